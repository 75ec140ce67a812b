/* First looks, kept until Redis invalidates them; why they are correct is in tail.h. */
#include "gateway/home/tail.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "gateway/cache/fill_guard.h"
#include "gateway/cache/lru.h"

/* Longer looks are for deep pages, which few read twice. */
#define KEPT_ELEMENTS 64
/* Looks may take so much of what viewers may: an eighth. */
#define TAILS_SHARE 8
/* Reading a list extends its life; it is enough to set its expiry once in so many reads. */
#define EXPIRE_EVERY 64
/* Floors that are being pushed concurrently; beyond that a later look pushes the floor. */
#define PUSHING_MAX 64

struct kept_tail {
    struct lru_item lru; /* by viewer */
    uint64_t generation, watched_generation;
    int64_t epoch;
    size_t asked;
    struct home_tail tail; /* its texts and ids are below */
    char relations[VIEWER_TOKEN_MAX], likes[VIEWER_TOKEN_MAX];
    int64_t ids[];
};

struct home_tails {
    struct redis *redis;
    struct lru kept;
    struct fill_guard guard;
    struct gateway *gateway;
    size_t pushing;
    struct fiber *closer; /* waits until nothing is being pushed */
    struct counter *hits, *looks, *floors;
};

static void drop(struct lru_item *item) {
    free(item);
}

static void on_changed(void *owner, struct str key) {
    struct home_tails *t = owner;
    int64_t viewer_id = key.ptr ? key_account(key) : 0;
    if (viewer_id == 0) { /* all keys, or the epoch */
        fill_guard_invalidated_all(&t->guard);
        lru_clear(&t->kept);
        return;
    }
    fill_guard_invalidated(&t->guard, viewer_id);
    lru_remove(&t->kept, viewer_id);
}

struct home_tails *home_tails_new(struct gateway *g) {
    struct home_tails *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->gateway = g;
    t->redis = redis_open_tracking(g->domain.redis, "rookery-gateway-tails", on_changed, t);
    if (!t->redis) {
        free(t);
        return NULL;
    }
    lru_init(&t->kept, (size_t)g->domain.config->viewer_cache_bytes / TAILS_SHARE, drop);
    const char *help = "First looks of home timeline reads, by where they were answered";
    t->hits = metrics_counter(g->domain.metrics, "rookery_home_tails_total", help, "from=\"kept\"");
    t->looks = metrics_counter(g->domain.metrics, "rookery_home_tails_total", help, "from=\"redis\"");
    t->floors = metrics_counter(g->domain.metrics, "rookery_timeline_floors_total",
                                "Floors pushed onto home timelines by reads", "");
    return t;
}

void home_tails_free(struct fiber *self, struct home_tails *t) {
    if (!t) return;
    t->closer = self;
    while (t->pushing > 0) fiber_park_uninterruptible(self);
    redis_close(self, t->redis);
    lru_free(&t->kept);
    free(t);
}

/* Returns true when the watched connection is up, and to the same server process as the shared one. */
static bool usable(const struct home_tails *t, const struct domain *d) {
    return redis_ready(t->redis) && redis_ready(d->redis) &&
           strcmp(redis_run_id(t->redis), redis_run_id(d->redis)) == 0;
}

static struct str copy_text(struct arena *a, struct str s) {
    return (struct str){arena_memdup(a, s.ptr ? s.ptr : "", s.len), s.len};
}

/* Copies the ids and the bound of the tail, and the tokens, so that the memory of `from` may be freed. */
static void copy_out(struct arena *a, const struct home_tail *from, struct home_tail *out) {
    *out = *from;
    out->tokens.relations = copy_text(a, from->tokens.relations);
    out->tokens.likes = copy_text(a, from->tokens.likes);
    out->part.ids = arena_memdup(a, from->part.ids, from->part.n * sizeof *from->part.ids);
}

static struct kept_tail *find(struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked) {
    struct home_tails *t = g->tails;
    struct kept_tail *k = (struct kept_tail *)(void *)lru_get(&t->kept, viewer_id);
    if (!k || k->epoch != epoch || k->asked < asked || !usable(t, &g->domain)) return NULL;
    bool same = k->generation == redis_generation(g->domain.redis) &&
                k->watched_generation == redis_generation(t->redis);
    return same ? k : NULL;
}

/* A tail that was kept before the fence is only a reason to wait for the fence; one that is still kept behind it is
 * valid. */
static bool answer_from_kept(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch,
                             size_t asked, struct home_tail *out) {
    if (!find(g, viewer_id, epoch, asked) || redis_fence(self, g->tails->redis) != 0) return false;
    const struct kept_tail *k = find(g, viewer_id, epoch, asked);
    if (!k) return false;
    assert(k->lru.id == viewer_id && k->tail.asked >= asked && !k->tail.part.building);
    copy_out(fiber_arena(self), &k->tail, out);
    g->tails->hits->value++;
    return true;
}

static void keep(struct home_tails *t, struct kept_tail about, const struct home_tail *tail) {
    bool whole = tail->tokens.relations.len > 0 && tail->tokens.likes.len > 0 && !tail->list_missing &&
                 !tail->part.building && about.asked <= KEPT_ELEMENTS;
    if (!whole) return;
    struct kept_tail *k = malloc(sizeof *k + tail->part.n * sizeof *k->ids);
    if (!k) return;
    *k = about;
    k->tail = *tail;
    memcpy(k->relations, tail->tokens.relations.ptr, tail->tokens.relations.len);
    memcpy(k->likes, tail->tokens.likes.ptr, tail->tokens.likes.len);
    memcpy(k->ids, tail->part.ids, tail->part.n * sizeof *k->ids);
    k->tail.tokens.relations.ptr = k->relations;
    k->tail.tokens.likes.ptr = k->likes;
    k->tail.part.ids = k->ids;
    lru_put(&t->kept, &k->lru, sizeof *k + tail->part.n * sizeof *k->ids);
}

static void add_expire(struct redis_batch *b, struct str key, int64_t seconds) {
    redis_cmd(b, 3);
    redis_arg(b, STR("EXPIRE"));
    redis_arg(b, key);
    redis_arg_i64(b, seconds);
}

/* The round trip, on either connection. */
static int ask(struct fiber *self, struct gateway *g, struct redis *redis, int64_t viewer_id, int64_t epoch,
               size_t asked, bool expire, struct home_tail *out) {
    char key_space[KEY_MAX];
    struct str key = key_timeline(key_space, epoch, viewer_id);
    uint64_t generation = redis_generation(g->domain.redis);
    struct redis_batch *b = redis_batch_borrow(redis);
    viewer_add_token_command(b, viewer_id);
    timeline_add_range(b, key, asked);
    if (expire) add_expire(b, key, g->domain.config->timeline_ttl_s);
    epoch_add_fence(b);
    int e = redis_exchange(self, redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0) e = redis_batch_check(b, NULL);
    if (e == 0 && !epoch_check_fence(&g->domain, b, epoch)) e = ERR_ABORTED;
    if (e == 0) {
        struct arena *a = fiber_arena(self);
        const struct redis_reply *range = redis_batch_reply(b, 1);
        out->tokens = viewer_read_tokens(redis_batch_reply(b, 0), generation);
        out->tokens.relations = copy_text(a, out->tokens.relations);
        out->tokens.likes = copy_text(a, out->tokens.likes);
        out->list_missing = range->elements == 0;
        out->asked = asked;
        timeline_parse(range, asked, false, a, &out->part);
    }
    redis_batch_give_back(redis, b);
    return e;
}

/* The round trip on the watched connection; keeps what it brought, if nothing has changed since. */
static int ask_watched(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked,
                       bool expire, struct home_tail *out) {
    struct home_tails *t = g->tails;
    struct kept_tail about = {.lru.id = viewer_id,
                              .generation = redis_generation(g->domain.redis),
                              .watched_generation = redis_generation(t->redis),
                              .epoch = epoch,
                              .asked = asked};
    uint64_t begun = fill_guard_begin(&t->guard);
    int e = ask(self, g, t->redis, viewer_id, epoch, asked, expire, out);
    if (e != 0) return e;
    bool same = usable(t, &g->domain) && about.generation == redis_generation(g->domain.redis) &&
                about.watched_generation == redis_generation(t->redis);
    if (!same)
        return ERR_CONNECTION_LOST; /* it is not known which server answered: ask on the shared connection */
    if (fill_guard_may_store(&t->guard, begun, viewer_id)) keep(t, about, out);
    return 0;
}

/* ---- floors -------------------------------------------------------------------------------------------- */

struct pushing {
    struct home_tails *tails;
    int64_t epoch, viewer_id;
};

static void push_floor(struct fiber *self, void *arg) {
    struct pushing p = *(struct pushing *)arg;
    free(arg);
    fiber_set_deadline_ns(self, clock_mono_ns() + NS_PER_S);
    timeline_push_floor(self, &p.tails->gateway->domain, p.epoch, p.viewer_id);
    assert(p.tails->pushing > 0 && p.tails->pushing <= PUSHING_MAX);
    p.tails->pushing--;
    if (p.tails->closer) fiber_wake(p.tails->closer);
}

static void see_to_floors(struct home_tails *t, int64_t viewer_id, int64_t epoch,
                          const struct timeline_part *part) {
    if (part->unbound < FLOOR_EVERY || part->building || t->pushing >= PUSHING_MAX || t->closer) return;
    struct pushing *p = malloc(sizeof *p);
    if (!p) return;
    *p = (struct pushing){t, epoch, viewer_id};
    struct fiber_options options = {.name = "floor"};
    if (fiber_spawn(t->gateway->domain.loop, &options, push_floor, p, NULL) != 0) {
        free(p);
        return;
    }
    t->pushing++;
    t->floors->value++;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

static int look(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked,
                struct home_tail *out) {
    bool expire = random_u64() % EXPIRE_EVERY == 0;
    if (usable(g->tails, &g->domain)) {
        if (!expire && answer_from_kept(self, g, viewer_id, epoch, asked, out)) return 0;
        g->tails->looks->value++;
        int e = ask_watched(self, g, viewer_id, epoch, asked, expire, out);
        if (e == 0 || e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    }
    return ask(self, g, g->domain.redis, viewer_id, epoch, asked, expire, out);
}

int home_tail_look(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked,
                   struct home_tail *out) {
    int e = look(self, g, viewer_id, epoch, asked, out);
    if (e == 0) see_to_floors(g->tails, viewer_id, epoch, &out->part);
    return e;
}
