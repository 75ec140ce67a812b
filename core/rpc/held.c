/* What a call may hold while its request comes: decided on its headers, before its body is kept.
 *
 * A method that anybody may call: the request is anonymous (core/rpc/budget.h), and its message is bounded by what its
 * texts can need. Any other method: the application recognizes the sender by the headers alone -> the request is the
 * account's. There is no token -> it is refused immediately, and its body is discarded as it comes. The token must be
 * looked up -> the request is anonymous meanwhile, a fiber looks it up (rpc.c), and the peer gets no more window than
 * it began with; then it is the account's.
 *
 * A request that gives way to newer ones ends with RESOURCE_EXHAUSTED: by rpc_end, or, if a fiber has it, by
 * cancelling that. So does an anonymous stream that stays open (health's Watch, reflection): it counts as incomplete
 * as long as it lasts.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/rpc/rpc_internal.h"

enum {
    CALL_BYTES = 2048,       /* of an open call, beside its fields */
    FIBER_BYTES = 16 * 1024, /* of a stream's fiber, which lasts as long as the stream */
    WIDE_AFTER = 16 * 1024,  /* a longer body gets the wide window */
    RETRY_MS = 500
};
#define TELL_EVERY_NS (60 * NS_PER_S)

static struct rpc_call *call_of(struct budget_request *r) {
    return list_entry(r, struct rpc_call, held);
}

enum error rpc_evicted(struct rpc_call *call) {
    call->fault.retry_after_ms = RETRY_MS;
    return fault_set(&call->fault, ERR_RESOURCE_EXHAUSTED,
                     "the request gave way to newer ones, since too many are incomplete at the same time");
}

void rpc_evict(struct budget_request *r) {
    struct rpc_call *call = call_of(r);
    rpc_body_free(call);
    budget_close(&call->held); /* also what the fiber holds, which is on its way out */
    call->server->gave_way->value++;
    call->evicted = true;
    if (call->fiber) {
        fiber_cancel(call->fiber);
        return;
    }
    enum error e = rpc_evicted(call);
    rpc_end(call, e, &call->fault);
    rpc_stream_ended(call);
}

static enum error too_much(struct fault *fault) {
    fault->retry_after_ms = RETRY_MS;
    return fault_set(fault, ERR_RESOURCE_EXHAUSTED,
                     "the requests that you send hold as many bytes as they may");
}

/* Whose the request is, as far as the headers say: 0 when *is_known is right, or the error that refuses it. */
static enum error sender(struct rpc_call *call, bool *is_known) {
    const struct rpc_server_options *o = &call->server->options;
    *is_known = false;
    if (call->entry->method->is_public || !o->recognize) return ERR_OK;
    int e = o->recognize(call);
    *is_known = e == 0;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum error rpc_hold(struct rpc_call *call, struct fault *fault) {
    struct rpc_server *s = call->server;
    const struct rpc_method *m = call->entry->method;
    bool is_known;
    enum error e = sender(call, &is_known);
    if (e != ERR_OK) {
        *fault = call->fault;
        return e;
    }
    if (is_known) {
        budget_open_known(&s->budget, &call->held, call->identity.account_id);
        rpc_held_by(call);
    } else {
        uint64_t network = http_network(&call->http);
        /* A proxy's connection is shared: its clients are told apart by their networks only. */
        uintptr_t owner = http_is_proxied(&call->http) ? (uintptr_t)network : (uintptr_t)call->http.conn;
        budget_open_anonymous(&s->budget, &call->held, owner, network);
    }
    bool takes_stream = m->kind == RPC_CLIENT_STREAM || m->kind == RPC_BIDI;
    size_t own = CALL_BYTES + call->http.head_bytes + (takes_stream ? FIBER_BYTES : 0);
    return budget_add(&s->budget, &call->held, own) ? ERR_OK : too_much(fault);
}

void rpc_held_by(struct rpc_call *call) {
    call->is_known = true;
    http_known(&call->http, call->identity.account_id);
    budget_known(&call->server->budget, &call->held, call->identity.account_id);
}

enum error rpc_hold_more(struct rpc_call *call, const char *bytes, size_t n, struct fault *fault) {
    if (!budget_add(&call->server->budget, &call->held, n)) return too_much(fault);
    buf_append(&call->body, bytes, n);
    if (call->is_known && call->body.len > WIDE_AFTER) http_widen(&call->http);
    return ERR_OK;
}

void rpc_held_whole(struct rpc_call *call) {
    enum rpc_kind kind = call->entry->method->kind;
    if (kind == RPC_UNARY || (kind == RPC_SERVER_STREAM && call->is_known)) budget_complete(&call->held);
}

void rpc_held_sweep(struct rpc_server *s, int64_t now_ns) {
    struct budgets *b = &s->budget;
    if (b->evicted == b->evicted_told || now_ns - b->told_ns < TELL_EVERY_NS) return;
    log_warn(s->log, "incomplete requests gave way to newer ones",
             LOG_I("requests", b->evicted - b->evicted_told), LOG_I("anonymous_bytes", b->anonymous.bytes),
             LOG_I("account_bytes", b->known.bytes));
    b->evicted_told = b->evicted;
    b->told_ns = now_ns;
}

bool rpc_must_look_up(const struct rpc_call *call) {
    return !call->entry->method->is_public && call->server->options.authenticate && !call->is_known;
}
