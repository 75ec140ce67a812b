/* Authentication; the sessions are in gateway/cache/session.h. */
#include "gateway/service/auth.h"

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "core/id/token.h"
#include "gateway/cache/session.h"
#include "gateway/limit/limit.h"
#include "gateway/service/service.h"

/* Longer than any token we make. */
#define TOKEN_MAX 128

static bool bearer_token(struct rpc_call *call, struct str *token) {
    struct str value;
    if (!rpc_metadata(call, "authorization", &value)) return false;
    struct str scheme = str_cut(&value, ' ');
    *token = str_trim(value);
    return str_eq_ci(scheme, STR("bearer")) && token->len > 0 && token->len <= TOKEN_MAX;
}

static bool is_public(const struct rpc_method *m) {
    return m->permission == PERMISSION_ANYBODY;
}

/* What this call takes from the limits of its account. */
static int take_from_account(struct rpc_call *call, int64_t account, struct fault *fault) {
    const struct rpc_method *m = rpc_call_method(call);
    struct limits *l = gateway_of(call)->limits;
    int e = limits_account(l, (enum limit)m->cost, account, fault);
    return e != 0 ? e : limits_account(l, service_hourly_limit(m), account, fault);
}

/* It was right a while ago, or was given out and not found wrong since: the network's limit of wrong ones does not
 * concern it, so that a neighbour who tries such does not shut out a caller that is new to this gateway. */
static bool is_likely(struct gateway *g, struct str token, int64_t mark) {
    return session_cache_knew(g->sessions, token) || (mark != 0 && !session_cache_doubts(g->sessions, mark));
}

int auth_admit(struct rpc_call *call, struct fault *fault) {
    struct gateway *g = gateway_of(call);
    struct str token;
    struct rpc_identity who;
    const struct rpc_method *m = rpc_call_method(call);
    if (m->cost == 0) return 0; /* health and reflection */
    if (is_public(m)) return limits_network(g->limits, LIMIT_STRANGERS, rpc_network(call), fault);
    if (!bearer_token(call, &token)) return limits_network(g->limits, LIMIT_TOKENS, rpc_network(call), fault);
    if (session_cache_find(g->sessions, token, &who)) {
        int e = take_from_account(call, who.account_id, fault);
        if (e == 0) *rpc_identity(call) = who;
        return e;
    }
    if (is_likely(g, token, token_mark(token, g->page_key))) return 0;
    return limits_network_peek(g->limits, LIMIT_TOKENS, rpc_network(call), fault);
}

/* SQL knows whether a token is right. Until it has answered, the token counts as wrong, unless it is a likely one. */
static int ask_sql(struct fiber *self, struct rpc_call *call, struct str token, struct session *out) {
    struct gateway *g = gateway_of(call);
    uint64_t network = rpc_network(call);
    int64_t mark = token_mark(token, g->page_key);
    bool likely = is_likely(g, token, mark);
    int e = likely ? 0 : limits_network(g->limits, LIMIT_TOKENS, network, rpc_fault(call));
    if (e != 0) return e;
    e = session_authenticate(self, &g->domain, token, out, rpc_fault(call));
    if (e == ERR_UNAUTHENTICATED) session_cache_drop(g->sessions, token);
    /* Hanging up and short deadlines count, too, or they would make guessing free. */
    bool is_paid = e == ERR_UNAUTHENTICATED || e == ERR_CANCELLED || e == ERR_DEADLINE_EXCEEDED;
    if (is_paid || e == 0) session_cache_doubt(g->sessions, mark, is_paid);
    if (!likely && !is_paid) limits_network_give_back(g->limits, LIMIT_TOKENS, network);
    return e;
}

static int require_token(struct rpc_call *call, struct str *token) {
    if (bearer_token(call, token)) return 0;
    return fault_set(
        rpc_fault(call), ERR_UNAUTHENTICATED,
        "this call needs the metadata \"authorization: Bearer <token>\"; Register and Login give one");
}

int auth_recognize(struct rpc_call *call) {
    struct str token;
    if (rpc_identity(call)->account_id != 0) return 0; /* auth_admit has found it just now */
    int e = require_token(call, &token);
    if (e != 0) return e;
    return session_cache_find(gateway_of(call)->sessions, token, rpc_identity(call)) ? 0 : ERR_NOT_FOUND;
}

/* Who calls, by the session cache or SQL. */
static int find_caller(struct fiber *self, struct rpc_call *call) {
    struct gateway *g = gateway_of(call);
    struct str token;
    bool admitted = rpc_identity(call)->account_id != 0;
    if (admitted && session_cache_holds(g->sessions, rpc_identity(call))) return 0;
    int e = require_token(call, &token);
    if (e != 0) return e;
    if (!session_cache_find(g->sessions, token, rpc_identity(call))) {
        struct session_fill fill = session_cache_fill(g->sessions);
        struct session s;
        e = ask_sql(self, call, token, &s);
        if (e != 0) return e;
        *rpc_identity(call) = session_identity(&s, &fill);
        session_cache_store(g->sessions, &fill, &s, token);
    }
    return admitted ? 0 : take_from_account(call, caller_of(call), rpc_fault(call));
}

int auth_authenticate(struct fiber *self, struct rpc_call *call) {
    int e = find_caller(self, call);
    if (e == 0 && rpc_call_method(call)->permission == PERMISSION_ANALYST)
        e = account_require_analyst(self, &gateway_of(call)->domain, caller_of(call), rpc_fault(call));
    return e;
}
