/* Account summaries, encoded. */
#include "gateway/cache/account.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/wire.h"
#include "core/domain/account/account.h"
#include "gateway/cache/fill_guard.h"
#include "gateway/cache/lru.h"
#include "gateway/cache/message.h"
#include "gateway/hub/hub.h"

/* Nearly all summaries are under 100 bytes: some 100,000. */
#define ACCOUNT_CACHE_BYTES ((size_t)24 << 20)
#define KEEP_NS (60 * NS_PER_S)

struct account_cache {
    struct hub_listener listener;
    struct lru lru;
    struct fill_guard guard;
};

struct cached_account {
    struct lru_item lru;
    int64_t loaded_ns; /* before SQL was asked */
    size_t len;
    char encoded[]; /* rookery.v1.AccountSummary */
};

static void drop(struct lru_item *item) {
    free(item);
}

static void store(struct account_cache *cache, int64_t id, struct str encoded, int64_t asked_ns) {
    struct cached_account *c = malloc(sizeof *c + encoded.len);
    if (!c) return;
    *c = (struct cached_account){.lru = {.id = id}, .loaded_ns = asked_ns, .len = encoded.len};
    memcpy(c->encoded, encoded.ptr, encoded.len);
    lru_put(&cache->lru, &c->lru, sizeof *c + encoded.len);
}

/* Appends the summaries that are cached; the other ids go to missing. */
static size_t append_known(struct account_cache *cache, bool is_fresh, const int64_t *ids, size_t n,
                           uint32_t field, struct buf *out, int64_t *missing) {
    size_t n_missing = 0;
    int64_t oldest_ns = clock_mono_coarse_ns() - KEEP_NS;
    for (size_t i = 0; i < n; i++) {
        struct cached_account *c =
            is_fresh ? (struct cached_account *)(void *)lru_get(&cache->lru, ids[i]) : NULL;
        if (c && c->loaded_ns >= oldest_ns)
            wire_append_bytes(out, field, (struct str){c->encoded, c->len});
        else
            missing[n_missing++] = ids[i];
    }
    return n_missing;
}

int account_cache_append(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n, uint32_t field,
                         struct buf *out, struct fault *fault) {
    struct account_cache *cache = g->accounts;
    bool is_fresh = hub_fresh(g->hub);
    int64_t *missing = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    size_t n_missing = append_known(cache, is_fresh, ids, n, field, out, missing);
    assert(n_missing <= n);
    if (n_missing == 0) return 0;
    uint64_t begun = fill_guard_begin(&cache->guard);
    int64_t asked_ns = clock_mono_ns();
    struct account_summary *found;
    size_t n_found;
    int e = account_summaries(self, &g->domain, missing, n_missing, &found, &n_found, fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n_found; i++) {
        struct str encoded = message_encode_summary(fiber_arena(self), &found[i]);
        wire_append_bytes(out, field, encoded);
        if (is_fresh && fill_guard_may_store(&cache->guard, begun, found[i].id))
            store(cache, found[i].id, encoded, asked_ns);
    }
    return 0;
}

static void heard(void *context, const struct hub_heard *h) {
    switch (event_kind(h->event)) {
    case EVENT_ACCOUNT_UPDATED: account_cache_invalidate(context, h->event->actor_id); return;
    case EVENT_POST_EDITED:
    case EVENT_POST_DELETED:
    case EVENT_SESSIONS_REVOKED: return; /* for other caches */
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##caches(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
}

static void forget(void *context) {
    struct account_cache *cache = context;
    fill_guard_invalidated_all(&cache->guard);
    lru_clear(&cache->lru);
}

struct account_cache *account_cache_new(struct gateway *g) {
    struct account_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    lru_init(&cache->lru, ACCOUNT_CACHE_BYTES, drop);
    cache->listener = (struct hub_listener){
        .context = cache, .interests = INTEREST_CACHES, .heard = heard, .forget = forget};
    hub_listen(g->hub, &cache->listener);
    return cache;
}

void account_cache_free(struct account_cache *cache) {
    if (!cache) return;
    lru_free(&cache->lru);
    free(cache);
}

void account_cache_invalidate(struct account_cache *cache, int64_t id) {
    fill_guard_invalidated(&cache->guard, id);
    lru_remove(&cache->lru, id);
}
