/* Sessions by token; the story is in session.h. */
#include "gateway/cache/session.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "gateway/cache/fill_guard.h"
#include "gateway/cache/lru.h"
#include "gateway/hub/hub.h"

/* Some 100,000. */
#define SESSION_CACHE_BYTES ((size_t)32 << 20)
/* Some 40,000. */
#define DOUBTS_BYTES ((size_t)4 << 20)
/* Of an entry of by_token beside the token. */
#define TOKEN_SLOT_BYTES 64
#define KEEP_NS (60 * NS_PER_S)

/* By session id (the LRU) and by token. */
struct cached_session {
    struct lru_item lru; /* id: the session's */
    struct session_cache *cache;
    struct rpc_identity identity;
    size_t token_len;
    char token[];
};

struct session_cache {
    struct hub_listener listener;
    struct hub *hub;
    struct lru lru;
    struct lru doubts; /* by mark */
    struct strmap by_token;
    uint64_t dropped; /* how many, and 1, so that 0 is never an answer of session_cache_find */
    struct fill_guard guard;
};

static void drop(struct lru_item *item) {
    struct cached_session *s = (struct cached_session *)(void *)item;
    strmap_remove(&s->cache->by_token, (struct str){s->token, s->token_len});
    s->cache->dropped++;
    free(s);
}

static void drop_doubt(struct lru_item *item) {
    free(item);
}

void session_cache_revoke(struct session_cache *c, int64_t session_id) {
    fill_guard_invalidated(&c->guard, session_id);
    lru_remove(&c->lru, session_id);
}

static void revoke_all(struct session_cache *c, const Rookery__Events__V1__SessionsRevoked *revoked) {
    for (size_t i = 0; i < revoked->n_session_ids; i++) session_cache_revoke(c, revoked->session_ids[i]);
}

static void heard(void *context, const struct hub_heard *h) {
    switch (event_kind(h->event)) {
    case EVENT_SESSIONS_REVOKED: revoke_all(context, h->event->sessions_revoked); return;
    case EVENT_POST_EDITED:
    case EVENT_POST_DELETED:
    case EVENT_ACCOUNT_UPDATED: return; /* for other caches */
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##caches(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
}

static void forget(void *context) {
    struct session_cache *c = context;
    fill_guard_invalidated_all(&c->guard);
    lru_clear(&c->lru);
}

struct session_cache *session_cache_new(struct gateway *g) {
    struct session_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    strmap_init(&c->by_token);
    lru_init(&c->lru, SESSION_CACHE_BYTES, drop);
    lru_init(&c->doubts, DOUBTS_BYTES, drop_doubt);
    c->hub = g->hub;
    c->dropped = 1;
    c->listener =
        (struct hub_listener){.context = c, .interests = INTEREST_CACHES, .heard = heard, .forget = forget};
    hub_listen(g->hub, &c->listener);
    return c;
}

void session_cache_free(struct session_cache *c) {
    if (!c) return;
    lru_free(&c->lru);
    lru_free(&c->doubts);
    assert(c->by_token.len == 0);
    strmap_free(&c->by_token);
    free(c);
}

bool session_cache_find(struct session_cache *c, struct str token, struct rpc_identity *out) {
    if (!hub_fresh(c->hub)) return false;
    struct cached_session *s = strmap_get(&c->by_token, token);
    if (!s || clock_mono_coarse_ns() >= s->identity.sure_ns) return false;
    assert(s->identity.session_id == s->lru.id); /* by which it is revoked */
    lru_use(&c->lru, &s->lru);
    *out = s->identity;
    out->sure_at = c->dropped;
    return true;
}

bool session_cache_holds(const struct session_cache *c, const struct rpc_identity *found) {
    return found->sure_at == c->dropped && clock_mono_coarse_ns() < found->sure_ns && hub_fresh(c->hub);
}

/* Not later than the session expires: SQL was asked after asked_ns. */
struct rpc_identity session_identity(const struct session *s, const struct session_fill *fill) {
    int64_t expires_ns = fill->asked_ns + s->left_ms * NS_PER_MS, kept_ns = fill->asked_ns + KEEP_NS;
    return (struct rpc_identity){.account_id = s->account_id,
                                 .session_id = s->id,
                                 .expires_ns = expires_ns,
                                 .sure_ns = expires_ns < kept_ns ? expires_ns : kept_ns};
}

bool session_cache_knew(const struct session_cache *c, struct str token) {
    return strmap_get(&c->by_token, token) != NULL;
}

void session_cache_drop(struct session_cache *c, struct str token) {
    const struct cached_session *s = strmap_get(&c->by_token, token);
    if (s) lru_remove(&c->lru, s->lru.id);
}

void session_cache_doubt(struct session_cache *c, int64_t mark, bool is_doubtful) {
    lru_remove(&c->doubts, mark);
    struct lru_item *doubt = is_doubtful && mark != 0 ? malloc(sizeof *doubt) : NULL;
    if (!doubt) return;
    *doubt = (struct lru_item){.id = mark};
    lru_put(&c->doubts, doubt, sizeof *doubt);
}

bool session_cache_doubts(struct session_cache *c, int64_t mark) {
    return lru_get(&c->doubts, mark) != NULL;
}

struct session_fill session_cache_fill(const struct session_cache *c) {
    return (struct session_fill){
        .fresh = hub_fresh(c->hub), .begun = fill_guard_begin(&c->guard), .asked_ns = clock_mono_ns()};
}

void session_cache_store(struct session_cache *c, const struct session_fill *fill, const struct session *s,
                         struct str token) {
    if (!fill->fresh || !fill_guard_may_store(&c->guard, fill->begun, s->id)) return;
    struct cached_session *kept = malloc(sizeof *kept + token.len);
    if (!kept) return;
    *kept = (struct cached_session){
        .lru = {.id = s->id},
        .cache = c,
        .identity = session_identity(s, fill),
        .token_len = token.len,
    };
    for (size_t i = 0; i < token.len; i++) kept->token[i] = token.ptr[i];
    /* The token is in both maps. */
    lru_put(&c->lru, &kept->lru, sizeof *kept + 2 * token.len + TOKEN_SLOT_BYTES);
    strmap_put(&c->by_token, token, kept);
    assert(c->by_token.len == c->lru.map.len);
}
