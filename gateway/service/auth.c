/* Who calls; the story is in auth.h. */
#include "gateway/service/auth.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "gateway/cache/fill_guard.h"
#include "gateway/cache/lru.h"
#include "gateway/hub/hub.h"

#define SESSION_CACHE_ENTRIES 200000
#define KEEP_NS (60 * NS_PER_S)
/* Longer than any token we make. */
#define TOKEN_MAX 128

/* By session id (the LRU) and by token. */
struct cached_session {
    struct lru_item lru; /* id: the session's */
    struct session_cache *cache;
    int64_t account_id;
    int64_t asked_ns; /* when SQL was asked */
    size_t token_len;
    char token[];
};

struct session_cache {
    struct lru lru;
    struct strmap by_token;
    struct fill_guard guard;
};

static void drop(struct lru_item *item) {
    struct cached_session *s = (struct cached_session *)(void *)item;
    strmap_remove(&s->cache->by_token, (struct str){s->token, s->token_len});
    free(s);
}

struct session_cache *session_cache_new(struct gateway *g) {
    (void)g;
    struct session_cache *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    strmap_init(&c->by_token);
    lru_init(&c->lru, SESSION_CACHE_ENTRIES, drop);
    return c;
}

void session_cache_free(struct session_cache *c) {
    if (!c) return;
    lru_free(&c->lru);
    strmap_free(&c->by_token);
    free(c);
}

void session_cache_revoke(struct session_cache *c, int64_t session_id) {
    fill_guard_invalidated(&c->guard, session_id);
    lru_remove(&c->lru, session_id);
}

void session_cache_clear(struct session_cache *c) {
    fill_guard_invalidated_all(&c->guard);
    lru_clear(&c->lru);
}

static void store(struct session_cache *c, const struct session *s, struct str token, int64_t asked_ns) {
    struct cached_session *kept = malloc(sizeof *kept + token.len);
    if (!kept) return;
    *kept = (struct cached_session){
        .lru = {.id = s->id},
        .cache = c,
        .account_id = s->account_id,
        .asked_ns = asked_ns,
        .token_len = token.len,
    };
    for (size_t i = 0; i < token.len; i++) kept->token[i] = token.ptr[i];
    lru_put(&c->lru, &kept->lru);
    strmap_put(&c->by_token, token, kept);
}

static bool find_cached(struct gateway *g, struct str token, struct rpc_identity *out) {
    if (!hub_fresh(g->hub)) return false;
    struct cached_session *s = strmap_get(&g->sessions->by_token, token);
    if (!s || clock_mono_coarse_ns() - s->asked_ns > KEEP_NS) return false;
    lru_get(&g->sessions->lru, s->lru.id);
    *out = (struct rpc_identity){s->account_id, s->lru.id};
    return true;
}

static bool bearer_token(struct rpc_call *call, struct str *token) {
    struct str value;
    if (!rpc_metadata(call, "authorization", &value)) return false;
    struct str scheme = str_cut(&value, ' ');
    *token = str_trim(value);
    return str_eq_ci(scheme, STR("bearer")) && token->len > 0 && token->len <= TOKEN_MAX;
}

int auth_authenticate(struct fiber *self, struct rpc_call *call) {
    struct gateway *g = gateway_of(call);
    struct str token;
    if (!bearer_token(call, &token))
        return fault_set(
            rpc_fault(call), ERR_UNAUTHENTICATED,
            "this call needs the metadata \"authorization: Bearer <token>\"; Register and Login give one");
    if (find_cached(g, token, rpc_identity(call))) return 0;
    bool believed = hub_fresh(g->hub);
    uint64_t begun = fill_guard_begin(&g->sessions->guard);
    int64_t asked_ns = clock_mono_ns();
    struct session s;
    int e = session_authenticate(self, &g->domain, token, &s, rpc_fault(call));
    if (e != 0) return e;
    *rpc_identity(call) = (struct rpc_identity){s.account_id, s.id};
    if (believed && fill_guard_may_store(&g->sessions->guard, begun, s.id))
        store(g->sessions, &s, token, asked_ns);
    return 0;
}
