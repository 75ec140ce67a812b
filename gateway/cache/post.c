/* Encoded posts; the story is in post.h. */
#include "gateway/cache/post.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "gateway/cache/fill_guard.h"
#include "gateway/cache/message.h"
#include "gateway/hub/hub.h"

#define COUNTS_FRESH_NS (2 * NS_PER_S)
#define ENTRY_MAX_NS (30 * NS_PER_S)
#define REFRESH_EVERY_MS 200
/* Beyond it a refresh is not queued; the next reader asks for it again. */
#define REFRESH_CAP 4096

struct post_cache {
    struct hub_listener listener;
    struct gateway *gateway;
    struct lru lru;
    struct fill_guard guard;
    struct ids refresh;
    bool stopping;
    struct latch stopped;
    struct counter *hits, *misses;
};

static void drop(struct lru_item *item) {
    free(item);
}

/* ---- making entries ------------------------------------------------------------------------------------ */

static size_t entry_size(size_t encoded_len) {
    return sizeof(struct cached_post) + encoded_len;
}

static void fill_entry(struct cached_post *c, const struct post *p, struct str encoded, int64_t asked_ns) {
    assert(p->entry.repost_of_id == 0 || encoded.len == 0);
    *c = (struct cached_post){
        .lru = {.id = p->entry.id},
        .entry = p->entry,
        .likes = p->likes,
        .reposts = p->reposts,
        .replies = p->replies,
        .loaded_ns = asked_ns,
        .edit_count = p->edit_count,
        .deleted = p->deleted,
        .encoded_len = encoded.len,
    };
    if (encoded.len > 0) memcpy(c->encoded, encoded.ptr, encoded.len);
}

static const struct cached_post *wrap(struct arena *a, const struct post *p, int64_t asked_ns) {
    struct str encoded = message_encode_post(a, p);
    struct cached_post *c = arena_alloc(a, entry_size(encoded.len));
    fill_entry(c, p, encoded, asked_ns);
    return c;
}

const struct cached_post *post_cache_wrap(struct arena *a, const struct post *p) {
    return wrap(a, p, clock_mono_ns());
}

const struct cached_post *post_cache_copy(struct arena *a, const struct cached_post *p) {
    return arena_memdup(a, p, entry_size(p->encoded_len));
}

void post_cache_copy_shown(struct arena *a, const struct cached_post **entries,
                           const struct cached_post **shown, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool same = entries[i] == shown[i];
        entries[i] = post_cache_copy(a, entries[i]);
        shown[i] = same ? entries[i] : post_cache_copy(a, shown[i]);
    }
}

static void store(struct post_cache *cache, const struct cached_post *c) {
    struct cached_post *copy = malloc(entry_size(c->encoded_len));
    if (!copy) return;
    memcpy(copy, c, entry_size(c->encoded_len));
    lru_put(&cache->lru, &copy->lru, entry_size(c->encoded_len));
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void ask_refresh(struct post_cache *cache, struct cached_post *c, int64_t now) {
    if (c->refreshing || now - c->loaded_ns < COUNTS_FRESH_NS || cache->refresh.len >= REFRESH_CAP) return;
    c->refreshing = true;
    ids_push(&cache->refresh, c->lru.id);
}

static const struct cached_post *look_up(struct post_cache *cache, int64_t id, int64_t now) {
    struct cached_post *c = (struct cached_post *)(void *)lru_get(&cache->lru, id);
    if (!c || now - c->loaded_ns > ENTRY_MAX_NS) return NULL;
    ask_refresh(cache, c, now);
    return c;
}

/* Loads ids; *loaded maps each to an entry in the fiber's arena. Stores what may be stored. */
static int load(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n, struct idmap *loaded,
                struct fault *fault) {
    struct post_cache *cache = g->posts;
    bool is_fresh = hub_fresh(g->hub);
    uint64_t begun = fill_guard_begin(&cache->guard);
    int64_t asked_ns = clock_mono_ns();
    struct post *posts;
    size_t n_posts;
    int e = post_load(self, &g->domain, ids, n, &posts, &n_posts, fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n_posts; i++) {
        const struct cached_post *c = wrap(fiber_arena(self), &posts[i], asked_ns);
        idmap_put(loaded, c->lru.id, (void *)(uintptr_t)c);
        if (is_fresh && fill_guard_may_store(&cache->guard, begun, c->lru.id)) store(cache, c);
    }
    return 0;
}

size_t post_cache_peek(struct gateway *g, const int64_t *ids, size_t n, const struct cached_post **out) {
    struct post_cache *cache = g->posts;
    int64_t now = loop_now_ns(g->domain.loop);
    bool is_fresh = hub_fresh(g->hub);
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = is_fresh ? look_up(cache, ids[i], now) : NULL;
        n_missing += out[i] == NULL;
    }
    cache->hits->value += n - n_missing;
    cache->misses->value += n_missing;
    return n_missing;
}

static int get(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
               const struct cached_post **out, struct idmap *loaded, struct fault *fault) {
    struct post_cache *cache = g->posts;
    if (post_cache_peek(g, ids, n, out) == 0) return 0;
    int64_t *missing = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++)
        if (!out[i]) missing[n_missing++] = ids[i];
    assert(n_missing > 0);
    int e = load(self, g, missing, n_missing, loaded, fault);
    if (e != 0) return e;
    int64_t now = loop_now_ns(g->domain.loop);
    /* The load suspended: posts that were found before it may have been removed, so they are looked up again. */
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        bool was_found = out[i] != NULL;
        out[i] = idmap_get(loaded, ids[i]);
        if (!out[i] && was_found) out[i] = look_up(cache, ids[i], now);
        if (!out[i] && was_found) all = false;
    }
    return all ? 0 : ERR_ABORTED;
}

int post_cache_get(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                   const struct cached_post **out, struct fault *fault) {
    struct idmap loaded;
    idmap_init(&loaded);
    int e = get(self, g, ids, n, out, &loaded, fault);
    /* Rare: a post was invalidated during the load. Then all are loaded, which needs no second look-up. */
    if (e == ERR_ABORTED) {
        e = load(self, g, ids, n, &loaded, fault);
        for (size_t i = 0; i < n && e == 0; i++) out[i] = idmap_get(&loaded, ids[i]);
    }
    idmap_free(&loaded);
    return e;
}

/* ---- refreshing counts --------------------------------------------------------------------------------- */

/* Applies what SQL says now. An entry whose change the hub has not heard of, or that is newer than this look, is
 * loaded at its next read. */
static void refresh_one(struct post_cache *cache, const struct post *p, int64_t asked_ns) {
    struct cached_post *c = idmap_get(&cache->lru.map, p->entry.id);
    if (!c) return;
    if (c->edit_count != p->edit_count || c->deleted != p->deleted) {
        post_cache_invalidate(cache, p->entry.id);
        return;
    }
    c->likes = p->likes;
    c->reposts = p->reposts;
    c->replies = p->replies;
    c->loaded_ns = asked_ns;
}

static void refresh_some(struct fiber *self, struct post_cache *cache) {
    if (cache->refresh.len == 0) return;
    struct arena *a = fiber_arena(self);
    size_t n = cache->refresh.len;
    int64_t *ids = arena_memdup(a, cache->refresh.v, n * sizeof *ids);
    cache->refresh.len = 0;
    int64_t asked_ns = clock_mono_ns();
    struct post *posts;
    size_t n_posts = 0;
    if (post_load(self, &cache->gateway->domain, ids, n, &posts, &n_posts, NULL) != 0) n_posts = 0;
    for (size_t i = 0; i < n; i++) {
        struct cached_post *c = idmap_get(&cache->lru.map, ids[i]);
        if (c) c->refreshing = false;
    }
    for (size_t i = 0; i < n_posts; i++) refresh_one(cache, &posts[i], asked_ns);
}

static void refresher(struct fiber *self, void *arg) {
    struct post_cache *cache = arg;
    while (!cache->stopping && fiber_sleep_ms(self, REFRESH_EVERY_MS) == 0) {
        refresh_some(self, cache);
        arena_reset(fiber_arena(self));
    }
    latch_done(&cache->stopped);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void heard(void *context, const struct hub_heard *h) {
    switch (event_kind(h->event)) {
    case EVENT_POST_EDITED: post_cache_invalidate(context, h->event->post_edited->post_id); return;
    case EVENT_POST_DELETED: post_cache_invalidate(context, h->event->post_deleted->post_id); return;
    case EVENT_ACCOUNT_UPDATED:
    case EVENT_SESSIONS_REVOKED: return; /* for other caches */
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##caches(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
}

static void forget(void *context) {
    struct post_cache *cache = context;
    fill_guard_invalidated_all(&cache->guard);
    lru_clear(&cache->lru);
}

struct post_cache *post_cache_new(struct gateway *g) {
    struct post_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    cache->gateway = g;
    cache->listener = (struct hub_listener){
        .context = cache, .interests = INTEREST_CACHES, .heard = heard, .forget = forget};
    lru_init(&cache->lru, (size_t)g->domain.config->post_cache_bytes, drop);
    ids_init(&cache->refresh);
    latch_init(&cache->stopped, 1);
    struct metrics *m = g->domain.metrics;
    cache->hits = metrics_counter(m, "rookery_post_cache_hits_total", "Post cache hits", "");
    cache->misses =
        metrics_counter(m, "rookery_post_cache_misses_total", "Post cache misses, loaded from SQL", "");
    struct fiber_options options = {.name = "post counts refresher"};
    if (fiber_spawn(g->domain.loop, &options, refresher, cache, NULL) != 0) {
        free(cache);
        return NULL;
    }
    hub_listen(g->hub, &cache->listener);
    return cache;
}

void post_cache_free(struct fiber *self, struct post_cache *cache) {
    if (!cache) return;
    cache->stopping = true;
    latch_wait(self, &cache->stopped);
    lru_free(&cache->lru);
    ids_free(&cache->refresh);
    free(cache);
}

void post_cache_invalidate(struct post_cache *cache, int64_t id) {
    fill_guard_invalidated(&cache->guard, id);
    lru_remove(&cache->lru, id);
}
