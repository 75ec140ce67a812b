/* Authentication; the sessions are in gateway/cache/session.h. */
#include "gateway/service/auth.h"

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "gateway/cache/session.h"
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

static int require_token(struct rpc_call *call, struct str *token) {
    if (bearer_token(call, token)) return 0;
    return fault_set(
        rpc_fault(call), ERR_UNAUTHENTICATED,
        "this call needs the metadata \"authorization: Bearer <token>\"; Register and Login give one");
}

int auth_recognize(struct rpc_call *call) {
    struct str token;
    int e = require_token(call, &token);
    if (e != 0) return e;
    return session_cache_find(gateway_of(call)->sessions, token, rpc_identity(call)) ? 0 : ERR_NOT_FOUND;
}

/* Who calls, by the session cache or SQL. */
static int find_caller(struct fiber *self, struct rpc_call *call) {
    struct gateway *g = gateway_of(call);
    struct str token;
    int e = require_token(call, &token);
    if (e != 0) return e;
    if (session_cache_find(g->sessions, token, rpc_identity(call))) return 0;
    struct session_fill fill = session_cache_fill(g->sessions);
    struct session s;
    e = session_authenticate(self, &g->domain, token, &s, rpc_fault(call));
    if (e != 0) return e;
    *rpc_identity(call) = (struct rpc_identity){s.account_id, s.id};
    session_cache_store(g->sessions, &fill, &s, token);
    return 0;
}

int auth_authenticate(struct fiber *self, struct rpc_call *call) {
    int e = find_caller(self, call);
    if (e == 0 && rpc_call_method(call)->permission == PERMISSION_ANALYST)
        e = account_require_analyst(self, &gateway_of(call)->domain, caller_of(call), rpc_fault(call));
    return e;
}
