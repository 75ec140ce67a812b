/* Pulled authors; the story is in pulled.h. */
#include "gateway/home/pulled.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/domain/post/post.h"
#include "core/domain/timeline/home.h"
#include "gateway/home/pulled.sql.h"
#include "gateway/hub/hub.h"

/* Entries kept of an author: what a home timeline can show, and room to append before the oldest are dropped. */
#define RING_CAP (2 * HOME_LENGTH)
#define KEEP_NS (30 * NS_PER_S)

struct ring {
    struct ids entries; /* sorted, except for entries that raced with the load; at most RING_CAP */
    int64_t floor;      /* complete above it */
    bool loaded;
    int64_t asked_ns; /* when SQL was asked last */
};

struct pulled {
    struct hub_listener listener;
    struct idmap rings; /* author -> struct ring, for every pulled author */
    bool set_loaded;    /* rings has all pulled authors */
    int64_t asked_ns;   /* when SQL was asked last who they are */
    uint64_t forgotten; /* times cleared: a load that began before the last clearing is not kept */
};

static void forget(void *context) {
    struct pulled *p = context;
    size_t pos = 0;
    int64_t id;
    void *value;
    while (idmap_next(&p->rings, &pos, &id, &value)) {
        ids_free(&((struct ring *)value)->entries);
        free(value);
    }
    idmap_free(&p->rings);
    idmap_init(&p->rings);
    p->set_loaded = false;
    p->forgotten++;
}

void pulled_free(struct pulled *p) {
    if (!p) return;
    forget(p);
    idmap_free(&p->rings);
    free(p);
}

bool pulled_is(const struct pulled *p, int64_t author_id) {
    return idmap_get(&p->rings, author_id) != NULL;
}

/* Returns true when the set of pulled authors was loaded recently. */
static bool set_is_current(const struct pulled *p) {
    return p->set_loaded && clock_mono_coarse_ns() - p->asked_ns <= KEEP_NS;
}

bool pulled_any(const struct gateway *g) {
    return !set_is_current(g->pulled) || g->pulled->rings.len > 0 || !hub_fresh(g->hub);
}

static struct ring *ring_of(struct pulled *p, int64_t author_id) {
    struct ring *r = idmap_get(&p->rings, author_id);
    if (r) return r;
    r = calloc(1, sizeof *r);
    if (!r) abort();
    ids_init(&r->entries);
    r->floor = INT64_MAX;
    idmap_put(&p->rings, author_id, r);
    return r;
}

/* Drops the older half; the ring stays complete above the new floor. */
static void shorten(struct ring *r) {
    ids_sort_unique(&r->entries);
    if (r->entries.len < RING_CAP) return;
    size_t cut = r->entries.len - HOME_LENGTH;
    if (r->entries.v[cut - 1] > r->floor) r->floor = r->entries.v[cut - 1];
    for (size_t i = 0; i < HOME_LENGTH; i++) r->entries.v[i] = r->entries.v[cut + i];
    r->entries.len = HOME_LENGTH;
}

static void append(struct ring *r, int64_t post_id) {
    ids_push(&r->entries, post_id);
    if (r->entries.len >= RING_CAP) shorten(r);
}

static void heard(void *context, const struct hub_heard *h) {
    const Event *e = h->event;
    switch (event_kind(e)) {
    case EVENT_AUTHOR_PULLED: ring_of(context, e->actor_id); return;
    case EVENT_POST_CREATED:
        if (e->post_created->pulled) append(ring_of(context, e->actor_id), e->post_created->post_id);
        return;
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##home(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
}

struct pulled *pulled_new(struct gateway *g) {
    struct pulled *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    idmap_init(&p->rings);
    p->listener =
        (struct hub_listener){.context = p, .interests = INTEREST_HOME, .heard = heard, .forget = forget};
    hub_listen(g->hub, &p->listener);
    return p;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

static int load_set(struct fiber *self, struct gateway *g, struct fault *fault) {
    struct pulled *p = g->pulled;
    uint64_t begun = p->forgotten;
    int64_t asked_ns = clock_mono_ns();
    struct pg_result *r;
    int e = pg_ask(self, g->domain.pg, &PULLED_AUTHORS, &r, fault);
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) ring_of(p, pg_take_i64(&row));
    p->set_loaded = begun == p->forgotten;
    p->asked_ns = asked_ns;
    return 0;
}

static int load_ring(struct fiber *self, struct gateway *g, int64_t author_id, struct fault *fault) {
    struct pulled *p = g->pulled;
    uint64_t begun = p->forgotten;
    int64_t asked_ns = clock_mono_ns();
    int64_t *ids;
    size_t n;
    int e = post_by_author(self, &g->domain, author_id, INT64_MAX, HOME_LENGTH, &ids, &n, fault);
    if (e != 0) return e;
    if (begun != p->forgotten) return fault_set(fault, ERR_ABORTED, "try again");
    struct ring *r = ring_of(p, author_id);
    for (size_t i = 0; i < n; i++) ids_push(&r->entries, ids[i]);
    r->floor = n < HOME_LENGTH ? 0 : ids[n - 1] - 1;
    r->loaded = true;
    r->asked_ns = asked_ns;
    shorten(r);
    return 0;
}

/* A ring that was loaded long ago is loaded again by one reader; meanwhile the others use it as it is. After an error
 * the next reader loads it. */
static int renew_set(struct fiber *self, struct gateway *g, struct fault *fault) {
    struct pulled *p = g->pulled;
    int64_t was_ns = p->asked_ns;
    if (set_is_current(p)) return 0;
    p->asked_ns = clock_mono_ns();
    int e = load_set(self, g, fault);
    if (e != 0) p->asked_ns = was_ns;
    return e;
}

static int renew_ring(struct fiber *self, struct gateway *g, int64_t author_id, struct fault *fault) {
    struct ring *r = ring_of(g->pulled, author_id);
    int64_t was_ns = r->asked_ns, now_ns = clock_mono_ns();
    if (r->loaded && now_ns - was_ns <= KEEP_NS) return 0;
    r->asked_ns = now_ns;
    int e = load_ring(self, g, author_id, fault);
    if (e != 0) ring_of(g->pulled, author_id)->asked_ns = was_ns; /* the ring may be another one by now */
    return e;
}

/* ---- collecting ---------------------------------------------------------------------------------------- */

/* The pulled authors among the viewer's sources, as a list that survives suspensions. */
static size_t sources(struct fiber *self, const struct pulled *p, const struct relations *r, int64_t **out) {
    *out = ARENA_ARRAY(fiber_arena(self), int64_t, p->rings.len);
    size_t pos = 0, n = 0;
    int64_t id;
    void *value;
    while (idmap_next(&p->rings, &pos, &id, &value))
        if (id == r->viewer_id || ids_contains(r->followed.v, r->followed.len, id)) (*out)[n++] = id;
    return n;
}

/* The rings are complete only while the hub is fresh; otherwise SQL is asked. */
static int collect_from_sql(struct fiber *self, struct gateway *g, const struct relations *r, int64_t before,
                            int64_t *lowest, struct ids *out, struct fault *fault) {
    int e = load_set(self, g, fault);
    if (e != 0) return e;
    int64_t *authors, *ids;
    size_t n = sources(self, g->pulled, r, &authors), n_ids;
    for (size_t i = 0; i < n; i++) {
        e = post_by_author(self, &g->domain, authors[i], before, HOME_LENGTH, &ids, &n_ids, fault);
        if (e != 0) return e;
        if (n_ids == HOME_LENGTH && ids[n_ids - 1] - 1 > *lowest) *lowest = ids[n_ids - 1] - 1;
        for (size_t k = 0; k < n_ids && ids[k] > *lowest; k++) ids_push(out, ids[k]);
    }
    return 0;
}

int pulled_collect(struct fiber *self, struct gateway *g, const struct relations *r, int64_t before,
                   int64_t *lowest, struct ids *out, struct fault *fault) {
    if (!hub_fresh(g->hub)) return collect_from_sql(self, g, r, before, lowest, out, fault);
    int e = renew_set(self, g, fault);
    if (e != 0) return e;
    int64_t *authors;
    size_t n = sources(self, g->pulled, r, &authors);
    for (size_t i = 0; i < n && e == 0; i++) e = renew_ring(self, g, authors[i], fault);
    if (e != 0) return e;
    /* No suspension from here on: every ring is as it is now. */
    for (size_t i = 0; i < n; i++) {
        const struct ring *ring = ring_of(g->pulled, authors[i]);
        assert(ring->loaded);
        if (ring->floor > *lowest) *lowest = ring->floor;
    }
    for (size_t i = 0; i < n; i++) {
        const struct ring *ring = ring_of(g->pulled, authors[i]);
        for (size_t k = 0; k < ring->entries.len; k++)
            if (ring->entries.v[k] > *lowest && ring->entries.v[k] < before)
                ids_push(out, ring->entries.v[k]);
    }
    return 0;
}
