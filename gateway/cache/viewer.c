/* Viewers and their relations; why they are correct is in viewer.h and core/event/tokens.h. */
#include "gateway/cache/viewer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/tokens.h"
#include "gateway/cache/lru.h"
#include "gateway/hub/hub.h"

struct viewer_cache {
    struct hub_listener listener;
    struct lru lru;
    uint64_t forgotten; /* how often */
    struct counter *hits, *loads;
};

/* The cache holds one reference. */
struct viewer_slot {
    struct lru_item lru;
    struct viewer *viewer;
};

void viewer_release(struct viewer *v) {
    assert(!v || v->refs > 0);
    if (!v || --v->refs > 0) return;
    relations_free(&v->relations);
    engagements_free(&v->engagements);
    free(v);
}

static void drop(struct lru_item *item) {
    struct viewer_slot *slot = (struct viewer_slot *)(void *)item;
    viewer_release(slot->viewer);
    free(slot);
}

/* A cached part is valid under its tokens; but PostgreSQL may have gone back (core/event/tokens.h). */
static void forget(void *context) {
    struct viewer_cache *c = context;
    c->forgotten++;
    lru_clear(&c->lru);
}

struct viewer_cache *viewer_cache_new(struct gateway *g) {
    struct viewer_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    lru_init(&c->lru, (size_t)g->domain.config->viewer_cache_bytes, drop);
    struct metrics *m = g->domain.metrics;
    c->hits = metrics_counter(m, "rookery_viewer_cache_hits_total", "Viewer cache hits", "");
    c->loads = metrics_counter(m, "rookery_viewer_cache_loads_total", "Viewers loaded from SQL", "");
    c->listener = (struct hub_listener){.context = c, .forget = forget};
    hub_listen(g->hub, &c->listener);
    return c;
}

void viewer_cache_free(struct viewer_cache *c) {
    if (!c) return;
    lru_free(&c->lru);
    free(c);
}

/* ---- tokens -------------------------------------------------------------------------------------------- */

void viewer_add_token_command(struct redis_batch *b, int64_t viewer_id) {
    char key[KEY_MAX];
    redis_cmd(b, 3);
    redis_arg(b, STR("MGET"));
    redis_arg(b, key_relations_token(key, viewer_id));
    redis_arg(b, key_likes_token(key, viewer_id));
}

static struct str token_in(const struct redis_reply *reply, size_t i) {
    if (reply->type != REDIS_ARRAY || i >= reply->elements || reply->element[i].type != REDIS_STRING)
        return (struct str){0};
    return reply->element[i].str.len < VIEWER_TOKEN_MAX ? reply->element[i].str : (struct str){0};
}

struct viewer_tokens viewer_read_tokens(const struct redis_reply *reply, uint64_t generation) {
    return (struct viewer_tokens){generation, token_in(reply, 0), token_in(reply, 1)};
}

static void add_set_if_missing(struct redis_batch *b, struct str key) {
    redis_cmd(b, 6);
    redis_arg(b, STR("SET"));
    redis_arg(b, key);
    redis_arg_printf(b, "%016" PRIx64 "%016" PRIx64, random_u64(), random_u64());
    redis_arg(b, STR("EX"));
    redis_arg_i64(b, TOKEN_TTL_S);
    redis_arg(b, STR("NX"));
}

/* Sets new tokens first where asked to, then fetches both. Copies them into the fiber's arena. */
static void fetch_tokens(struct fiber *self, struct gateway *g, int64_t viewer_id, bool set_missing,
                         struct viewer_tokens *out) {
    struct domain *d = &g->domain;
    *out = (struct viewer_tokens){0};
    uint64_t generation = redis_generation(d->redis);
    int64_t epoch = epoch_now(d);
    if (epoch == 0) return; /* tokens of a Redis that others no longer use mean nothing */
    struct redis_batch *b = redis_batch_new();
    char key[KEY_MAX];
    if (set_missing) {
        add_set_if_missing(b, key_relations_token(key, viewer_id));
        add_set_if_missing(b, key_likes_token(key, viewer_id));
    }
    viewer_add_token_command(b, viewer_id);
    epoch_add_fence(b);
    int e = redis_exchange(self, d->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return;
    /* Commands that were queued across a reconnect return another server's tokens, which may be older. */
    if (e == 0 && generation == redis_generation(d->redis) && epoch_check_fence(d, b, epoch)) {
        *out = viewer_read_tokens(redis_batch_reply(b, set_missing ? 2 : 0), generation);
        struct arena *a = fiber_arena(self);
        out->relations =
            (struct str){arena_strndup(a, out->relations.ptr ? out->relations.ptr : "", out->relations.len),
                         out->relations.len};
        out->likes = (struct str){arena_strndup(a, out->likes.ptr ? out->likes.ptr : "", out->likes.len),
                                  out->likes.len};
    }
    redis_batch_free(b);
}

/* ---- acquiring ----------------------------------------------------------------------------------------- */

static bool same_token(const char *have, struct str wanted) {
    return strlen(have) == wanted.len && memcmp(have, wanted.ptr, wanted.len) == 0;
}

static bool complete(const struct viewer_tokens *t) {
    return t->generation != 0 && t->relations.len > 0 && t->likes.len > 0;
}

static bool valid_under(const struct viewer *v, const struct viewer_tokens *t) {
    return v->generation == t->generation && same_token(v->relations_token, t->relations) &&
           same_token(v->likes_token, t->likes);
}

static int load(struct fiber *self, struct gateway *g, int64_t viewer_id, const struct viewer_tokens *t,
                struct viewer **out, struct fault *fault) {
    assert(t->relations.len < VIEWER_TOKEN_MAX && t->likes.len < VIEWER_TOKEN_MAX);
    struct viewer *v = calloc(1, sizeof *v);
    if (!v) return fault_set(fault, ERR_OVERLOADED, "no memory");
    int e = relations_load(self, &g->domain, viewer_id, &v->relations, fault);
    if (e == 0) {
        e = post_engagements(self, &g->domain, viewer_id, &v->engagements, fault);
        if (e != 0) relations_free(&v->relations);
    }
    if (e != 0) {
        free(v);
        return e;
    }
    v->refs = 1;
    v->generation = t->generation;
    memcpy(v->relations_token, t->relations.ptr ? t->relations.ptr : "", t->relations.len);
    memcpy(v->likes_token, t->likes.ptr ? t->likes.ptr : "", t->likes.len);
    *out = v;
    return 0;
}

static size_t viewer_bytes(const struct viewer *v) {
    const struct relations *r = &v->relations;
    size_t n = r->followed.cap + r->blocked.cap + r->muted.cap;
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) n += v->engagements.of[kind].cap;
    return sizeof *v + n * sizeof(int64_t);
}

static void keep(struct gateway *g, struct viewer *v) {
    assert(v->refs == 1 && v->generation != 0);
    struct viewer_slot *slot = calloc(1, sizeof *slot);
    if (!slot) return;
    slot->lru.id = v->relations.viewer_id;
    slot->viewer = v;
    v->refs++;
    lru_put(&g->viewers->lru, &slot->lru, sizeof *slot + viewer_bytes(v));
}

int viewer_acquire(struct fiber *self, struct gateway *g, int64_t viewer_id, struct viewer_tokens tokens,
                   struct viewer **out, struct fault *fault) {
    if (tokens.generation != 0 && !complete(&tokens)) fetch_tokens(self, g, viewer_id, true, &tokens);
    struct viewer_slot *slot = (struct viewer_slot *)(void *)lru_get(&g->viewers->lru, viewer_id);
    if (slot && complete(&tokens) && valid_under(slot->viewer, &tokens)) {
        g->viewers->hits->value++;
        assert(slot->viewer->refs > 0 && slot->viewer->relations.viewer_id == viewer_id);
        slot->viewer->refs++;
        *out = slot->viewer;
        return 0;
    }
    g->viewers->loads->value++;
    uint64_t forgotten = g->viewers->forgotten;
    int e = load(self, g, viewer_id, &tokens, out, fault);
    /* What was loaded before everything was forgotten may be of before PostgreSQL went back: for this call only. */
    if (e == 0 && complete(&tokens) && forgotten == g->viewers->forgotten) keep(g, *out);
    return e;
}

int viewer_find(struct fiber *self, struct gateway *g, int64_t viewer_id, struct viewer **out,
                struct fault *fault) {
    struct viewer_tokens tokens;
    fetch_tokens(self, g, viewer_id, false, &tokens);
    return viewer_acquire(self, g, viewer_id, tokens, out, fault);
}
