/* Reading home timelines; the story is in home.h. */
#include "gateway/home/home.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/domain/timeline/list.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "gateway/home/pulled.h"
#include "gateway/home/tail.h"

/* Elements read beyond the page itself: for entries that the filters remove, for entries that came since the page
 * before, and for a floor below the page (FLOOR_EVERY). */
#define TAIL_SLACK 24
/* Each deeper look asks for so many times the elements. */
#define WIDEN 8
/* A trimmed list that covers fewer entries is not worth keeping: each read of it would ask SQL. */
#define COVER_MIN 100

/* A page that is being filled. */
struct filling {
    struct gateway *gateway;
    const struct home_request *request;
    struct viewer *viewer;
    int64_t cursor; /* everything at or above it has been considered */
    size_t wanted;  /* limit + 1: the last one only shows whether there are more */
    /* The chosen entries: in the post cache, so valid until the fiber suspends; the first n_kept are copies. */
    const struct cached_post **entries, **shown;
    size_t n, n_kept;
    uint64_t suspensions; /* the fiber's, when the last was chosen */
    struct fault *fault;
};

/* Call it before anything that may suspend. Chosen entries stay chosen, even if they are deleted meanwhile: so a page
 * that was full stays full. */
static void keep_chosen(struct fiber *self, struct filling *f) {
    assert(f->n_kept <= f->n);
    assert(f->n_kept == f->n || f->suspensions == fiber_suspensions(self));
    post_cache_copy_shown(fiber_arena(self), f->entries + f->n_kept, f->shown + f->n_kept, f->n - f->n_kept);
    f->n_kept = f->n;
}

static bool full(const struct filling *f) {
    return f->n >= f->wanted || f->cursor <= 1;
}

/* ---- filtering ----------------------------------------------------------------------------------------- */

/* The post an entry shows; NULL when it may not be shown. originals maps ids to what was loaded for reposts. */
static const struct cached_post *shown_by(const struct filling *f, const struct cached_post *entry,
                                          const struct cached_post *original) {
    if (!entry || entry->deleted || !relations_shows_at_home(&f->viewer->relations, &entry->entry))
        return NULL;
    if (entry->entry.repost_of_id == 0) return entry;
    return original && !original->deleted ? original : NULL;
}

/* The originals of the reposts among the entries, from the cache. Returns false when one is not in it. */
static bool peek_originals(struct gateway *g, const struct cached_post **entries, size_t n,
                           const struct cached_post **originals) {
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        originals[i] = NULL;
        if (!entries[i] || entries[i]->entry.repost_of_id == 0) continue;
        if (post_cache_peek(g, &entries[i]->entry.repost_of_id, 1, &originals[i]) > 0) all = false;
    }
    return all;
}

/* The same with SQL's help: the last step gets entries and originals together, so that both are valid at the same
 * time. */
static int load_with_originals(struct fiber *self, struct filling *f, const int64_t *ids, size_t n,
                               const struct cached_post **entries, const struct cached_post **originals) {
    struct arena *a = fiber_arena(self);
    int64_t *all = ARENA_ARRAY(a, int64_t, 2 * n);
    const struct cached_post **found = ARENA_ARRAY(a, const struct cached_post *, 2 * n);
    keep_chosen(self, f);
    int e = post_cache_get(self, f->gateway, ids, n, entries, f->fault);
    if (e != 0) return e;
    memcpy(all, ids, n * sizeof *ids);
    /* The original's id; for a post its own id again. */
    for (size_t i = 0; i < n; i++)
        all[n + i] = entries[i] && entries[i]->entry.repost_of_id ? entries[i]->entry.repost_of_id : ids[i];
    e = post_cache_get(self, f->gateway, all, 2 * n, found, f->fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n; i++) {
        entries[i] = found[i];
        originals[i] = all[n + i] == ids[i] ? NULL : found[n + i];
    }
    return 0;
}

/* Looks up the entries, and the originals of reposts among them. Both arrays are valid until the next suspension. */
static int look_up(struct fiber *self, struct filling *f, const int64_t *ids, size_t n,
                   const struct cached_post **entries, const struct cached_post **originals) {
    if (post_cache_peek(f->gateway, ids, n, entries) == 0 &&
        peek_originals(f->gateway, entries, n, originals))
        return 0;
    return load_with_originals(self, f, ids, n, entries, originals);
}

static int by_id_descending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Considers candidates (newest first, all below the cursor) until the page is full. */
static int consider(struct fiber *self, struct filling *f, const int64_t *ids, size_t n) {
    size_t at = 0;
    while (at < n && !full(f)) {
        size_t chunk = f->wanted - f->n;
        if (chunk > n - at) chunk = n - at;
        const struct cached_post **entries =
            ARENA_ARRAY(fiber_arena(self), const struct cached_post *, chunk);
        const struct cached_post **originals =
            ARENA_ARRAY(fiber_arena(self), const struct cached_post *, chunk);
        assert(ids[at] < f->cursor);
        int e = look_up(self, f, ids + at, chunk, entries, originals);
        if (e != 0) return e;
        for (size_t i = 0; i < chunk; i++) {
            const struct cached_post *shown = shown_by(f, entries[i], originals[i]);
            if (!shown) continue;
            assert(f->n < f->wanted);
            assert(f->n == 0 || entries[i]->lru.id < f->entries[f->n - 1]->lru.id);
            f->entries[f->n] = entries[i];
            f->shown[f->n++] = shown;
        }
        f->suspensions = fiber_suspensions(self);
        at += chunk;
        f->cursor = ids[at - 1];
    }
    return 0;
}

/* Considers a part of the list that is exact above bound. Its entries are newest first, so those that count lie
 * together. */
static int consider_delivered(struct fiber *self, struct filling *f, const struct timeline_part *part) {
    int64_t lowest = part->bound;
    size_t from = 0, to;
    while (from < part->n && part->ids[from] >= f->cursor) from++;
    for (to = from; to < part->n && part->ids[to] > lowest;) to++;
    int e = consider(self, f, part->ids + from, to - from);
    if (e == 0 && !full(f) && lowest + 1 < f->cursor) f->cursor = lowest + 1;
    return e;
}

/* The same, merged with the pulled authors' entries where the viewer follows any. */
static int consider_part(struct fiber *self, struct filling *f, const struct timeline_part *part) {
    if (part->bound == INT64_MAX) return 0;
    if (!pulled_any(f->gateway)) return consider_delivered(self, f, part);
    keep_chosen(self, f);
    struct ids ids;
    ids_init(&ids);
    int64_t lowest = part->bound;
    int e = pulled_collect(self, f->gateway, &f->viewer->relations, f->cursor, &lowest, &ids, f->fault);
    bool merged = ids.len > 0;
    for (size_t i = 0; i < part->n; i++)
        if (part->ids[i] > lowest && part->ids[i] < f->cursor) ids_push(&ids, part->ids[i]);
    if (merged) {
        ids_sort_unique(&ids);
        qsort(ids.v, ids.len, sizeof *ids.v, by_id_descending);
    }
    int64_t *candidates = arena_memdup(fiber_arena(self), ids.v ? ids.v : &lowest, ids.len * sizeof *ids.v);
    size_t n = ids.len;
    ids_free(&ids);
    while (n > 0 && candidates[n - 1] <= lowest) n--; /* noted before lowest was raised */
    if (e == 0) e = consider(self, f, candidates, n);
    if (e == 0 && !full(f) && lowest + 1 < f->cursor) f->cursor = lowest + 1;
    return e;
}

static int consider_entries(struct fiber *self, struct filling *f, const struct entry *entries, size_t n) {
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    size_t n_ids = 0;
    for (size_t i = 0; i < n; i++)
        if (entries[i].id < f->cursor) ids[n_ids++] = entries[i].id;
    return consider(self, f, ids, n_ids);
}

/* ---- stages -------------------------------------------------------------------------------------------- */

/* Stage 3. Loops, because posts may be deleted between the two statements. */
static int from_sql(struct fiber *self, struct filling *f) {
    struct gateway *g = f->gateway;
    g->timeline_sql->value++;
    while (!full(f)) {
        struct entry *entries;
        size_t n, ask = f->wanted - f->n;
        keep_chosen(self, f);
        int e =
            home_from_sql(self, &g->domain, &f->viewer->relations, f->cursor, ask, &entries, &n, f->fault);
        if (e == 0) e = consider_entries(self, f, entries, n);
        if (e != 0 || n < ask) return e;
    }
    return 0;
}

/* Stage 2. An error other than an interrupt leaves the part as it was. */
static int from_longer_part(struct fiber *self, struct filling *f, struct str key, int64_t epoch,
                            size_t asked, struct timeline_part *part) {
    struct gateway *g = f->gateway;
    g->timeline_deep->value++;
    keep_chosen(self, f);
    struct redis_batch *b = redis_batch_new();
    timeline_add_range(b, key, asked);
    epoch_add_fence(b);
    int e = redis_exchange(self, g->domain.redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0) e = redis_batch_check(b, NULL);
    if (e == 0 && !epoch_check_fence(&g->domain, b, epoch)) e = ERR_ABORTED;
    if (e == 0) timeline_parse(redis_batch_reply(b, 0), asked, asked == 0, fiber_arena(self), part);
    redis_batch_free(b);
    return e == 0 ? consider_part(self, f, part) : e;
}

/* Reads deeper until the page is full, the whole list has been read, or Redis does not answer; SQL serves the rest. */
static int from_longer_parts(struct fiber *self, struct filling *f, struct str key, int64_t epoch,
                             size_t asked, struct timeline_part *part) {
    while (!part->whole && !full(f)) {
        asked = WIDEN * asked < LIST_TRIM_TO ? WIDEN * asked : 0;
        int e = from_longer_part(self, f, key, epoch, asked, part);
        if (e != 0) return e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED ? e : 0;
    }
    return 0;
}

static void forget_list(struct fiber *self, struct gateway *g, struct str key) {
    const struct redis_reply *reply;
    redis_call(self, g->domain.redis, &reply, "DEL %.*s", (int)key.len, key.ptr);
}

/* The list is missing or covers too little: rebuilds it, and serves the page from what was read for that. */
static int from_rebuild(struct fiber *self, struct filling *f, int64_t epoch) {
    struct gateway *g = f->gateway;
    struct entry *entries;
    size_t n;
    bool written;
    keep_chosen(self, f);
    int e =
        timeline_rebuild(self, &g->domain, epoch, f->request->viewer_id, &entries, &n, &written, f->fault);
    if (e != 0) return e;
    g->timeline_rebuilds->value += written;
    e = consider_entries(self, f, entries, n);
    return e != 0 || n < HOME_LENGTH || full(f) ? e : from_sql(self, f);
}

static bool covers_enough(const struct timeline_part *part) {
    size_t n = 0;
    if (part->bound == 0) return true; /* it is complete; what is missing are entries of pulled authors */
    while (n < part->n && part->ids[n] > part->bound) n++;
    return part->bound != INT64_MAX && n >= COVER_MIN;
}

static int fill_from_list(struct fiber *self, struct filling *f, const struct home_tail *first,
                          struct str key, int64_t epoch) {
    if (first->list_missing) return from_rebuild(self, f, epoch);
    struct timeline_part part = first->part;
    int e = consider_part(self, f, &part);
    if (e != 0 || full(f)) {
        f->gateway->timeline_hits->value++;
        return e;
    }
    e = from_longer_parts(self, f, key, epoch, first->asked, &part);
    if (e != 0 || full(f)) return e;
    if (f->cursor <= 1) return 0; /* the list is complete: that is all there is */
    if (part.building) return from_rebuild(self, f, epoch);
    if (part.whole && !covers_enough(&part)) {
        keep_chosen(self, f);
        forget_list(self, f->gateway, key);
        return from_rebuild(self, f, epoch);
    }
    return from_sql(self, f);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void finish(struct fiber *self, struct filling *f, struct home_page *out) {
    out->entries = f->entries;
    out->shown = f->shown;
    out->n = f->n < f->request->limit ? f->n : f->request->limit;
    out->more = f->n > f->request->limit && f->request->served + out->n < HOME_LENGTH;
    out->viewer = f->viewer;
    out->suspensions = fiber_suspensions(self);
    assert(f->n_kept == f->n || f->suspensions == out->suspensions);
    assert(out->n <= f->request->limit && f->n <= f->wanted);
}

int home_read(struct fiber *self, struct gateway *g, const struct home_request *asked, struct home_page *out,
              struct fault *fault) {
    struct home_request r = *asked;
    *out = (struct home_page){0};
    if (r.served >= HOME_LENGTH) r.limit = 0;
    if (r.limit > HOME_LENGTH - r.served) r.limit = HOME_LENGTH - r.served;
    struct filling f = {
        .gateway = g, .request = &r, .cursor = r.before, .wanted = r.limit + 1, .fault = fault};
    f.entries = ARENA_ARRAY(fiber_arena(self), const struct cached_post *, f.wanted);
    f.shown = ARENA_ARRAY(fiber_arena(self), const struct cached_post *, f.wanted);

    int64_t epoch = epoch_now(&g->domain);
    struct home_tail first = {0};
    char key_space[KEY_MAX];
    struct str key = {0};
    bool have_redis = false;
    if (epoch != 0) {
        key = key_timeline(key_space, epoch, r.viewer_id);
        int e = home_tail_look(self, g, r.viewer_id, epoch, r.served + r.limit + TAIL_SLACK, &first);
        if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
        have_redis = e == 0 && epoch_now(&g->domain) == epoch;
        if (!have_redis) first = (struct home_tail){0}; /* do not use the tokens either */
    }
    int e = viewer_acquire(self, g, r.viewer_id, first.tokens, &f.viewer, fault);
    if (e != 0) return e;
    if (r.limit == 0) {
        out->viewer = f.viewer;
        return 0;
    }
    e = have_redis ? fill_from_list(self, &f, &first, key, epoch) : from_sql(self, &f);
    if (e == 0)
        finish(self, &f, out);
    else
        viewer_release(f.viewer);
    return e;
}
