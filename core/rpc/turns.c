/* Calls that do not run yet or any more: those that wait for their turn (admission.h), and refused ones whose refusal
 * is held back.
 *
 * Who is refused and calls again immediately costs the server a refusal each time, and a client with hundreds of
 * streams can spend all of it so. Therefore a network is refused immediately SLOW_RATE times a second (and some times
 * that after a pause); the answers to further refusals come SLOW_MS later, or later still when they are many. Meanwhile
 * such a call holds its stream, of which its client has not many, and costs nothing.
 *
 * A fiber looks after both every TICK_MS, while there are any. Ends: the client goes -> the call is forgotten
 * (rpc_turns_forget); the server drains -> held refusals are sent; it stops -> waiting calls end with UNAVAILABLE.
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/limit/limit.h"
#include "core/rpc/rpc_internal.h"

#define REPORT_MS INT64_C(60000)
enum { TICK_MS = 20, SLOW_MS = 1000, SLOW_RATE = 10, SLOW_PERIODS = 3, BUSY_RETRY_MS = 500 };
/* Answers a tick, so that refusing many takes little of the loop's time, whenever they came. */
enum { ANSWERS_MAX = 32 };
/* Refusals held back for each call that may run. */
enum { SLOWED_OF_MAX = 4 };

/* ---- refusals ------------------------------------------------------------------------------------------ */

static void stop_slowing(struct rpc_call *call) {
    call->slowed = false;
    list_remove(&call->slow_node);
    call->server->n_slowed--;
}

static void end_slowed(struct rpc_call *call) {
    stop_slowing(call);
    rpc_end(call, call->fault.error, &call->fault);
}

static bool is_too_many(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    uint64_t network = http_network(&call->http);
    if (network == 0 || s->draining || s->n_slowed >= SLOWED_OF_MAX * s->options.max_calls) return false;
    return gcra_take(limit_table_use(s->refusals, network), rate_of(SLOW_RATE, 1, SLOW_PERIODS),
                     loop_now_ns(s->loop)) > 0;
}

static void keep(struct fiber *self, void *arg);

static bool keeper_runs(struct rpc_server *s) {
    struct fiber_options o = {.name = "turns"};
    return s->keeper || fiber_spawn(s->loop, &o, keep, s, &s->keeper) == 0;
}

void rpc_refuse(struct rpc_call *call, enum error e, const struct fault *fault) {
    struct rpc_server *s = call->server;
    if (error_grpc_status(e) != error_grpc_status(ERR_RESOURCE_EXHAUSTED) || call->began ||
        !is_too_many(call) || !keeper_runs(s)) {
        rpc_end(call, e, fault);
        return;
    }
    rpc_replies_over(call);
    if (fault != &call->fault) call->fault = *fault;
    call->fault.error = e;
    call->slowed = true;
    call->slow_until_ns = loop_now_ns(s->loop) + SLOW_MS * NS_PER_MS;
    http_want_nothing(&call->http);
    rpc_body_free(call);
    /* Or it would take from its network what others need, or give way and end now. */
    budget_close(&call->held);
    list_init(&call->slow_node);
    list_push_back(&s->slowed, &call->slow_node);
    s->n_slowed++;
    s->slowed_refusals->value++;
}

static struct fault busy(struct rpc_server *s) {
    struct fault fault = {0};
    s->overload_refusals->value++;
    fault_set(&fault, ERR_RESOURCE_EXHAUSTED, "the server handles as many calls as it can; try again");
    fault.retry_after_ms = BUSY_RETRY_MS;
    return fault;
}

static void refuse_full(struct rpc_call *call) {
    struct fault fault = busy(call->server);
    rpc_replies_over(call);
    rpc_refuse(call, fault.error, &fault);
}

/* ---- turns --------------------------------------------------------------------------------------------- */

static struct rpc_call *call_of(struct admission_call *c) {
    return list_entry(c, struct rpc_call, turn);
}

/* The account, or the network of a call of which that is not known. An account's id is below 1 << 63. */
static uint64_t party_of(struct rpc_call *call) {
    if (call->identity.account_id) return (uint64_t)call->identity.account_id;
    return http_network(&call->http) | UINT64_C(1) << 63;
}

bool rpc_turns_run(struct rpc_call *call, fiber_fn *fn) {
    struct rpc_server *s = call->server;
    struct fiber_options o = {
        .deadline_ns = call->deadline_ns, .arena_limit = RPC_ARENA_LIMIT, .name = "call"};
    call->ready_ns = loop_now_ns(s->loop);
    if (fiber_spawn(s->loop, &o, fn, call, &call->fiber) != 0) return false;
    list_push_back(&s->running, &call->node);
    s->n_running++;
    s->in_flight->value = (double)s->n_running;
    return true;
}

void rpc_turns_start(struct rpc_call *call, fiber_fn *fn) {
    struct rpc_server *s = call->server;
    uint64_t party = party_of(call);
    call->fn = fn;
    if (admission_is_full(&s->admission, party)) {
        refuse_full(call);
    } else if (!admission_enter(&s->admission, &call->turn, party, loop_now_ns(s->loop))) {
        keeper_runs(s); /* failing: the next one that waits tries again */
    } else if (!rpc_turns_run(call, call->fn)) {
        admission_leave(&s->admission, &call->turn);
        refuse_full(call);
    }
}

static void start_next(struct rpc_server *s) {
    struct admission_call *c;
    while ((c = admission_next(&s->admission))) {
        struct rpc_call *call = call_of(c);
        if (s->stopping) {
            struct fault fault = {0};
            admission_leave(&s->admission, c);
            rpc_replies_over(call);
            rpc_end(call, fault_set(&fault, ERR_UNAVAILABLE, "shutting down"), &fault);
        } else if (call->ended) {
            admission_leave(&s->admission, c);
            rpc_replies_over(call);
        } else if (!rpc_turns_run(call, call->fn)) {
            admission_leave(&s->admission, c);
            refuse_full(call);
        }
    }
}

void rpc_turns_leave(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    if (!call->turn.party) return;
    admission_leave(&s->admission, &call->turn);
    start_next(s);
}

void rpc_turns_forget(struct rpc_call *call) {
    if (call->slowed) stop_slowing(call);
    if (call->turn.waits) admission_leave(&call->server->admission, &call->turn);
}

void rpc_turns_ran(struct rpc_call *call) {
    int64_t now_ns = clock_mono_ns();
    if (call->turn.party) admission_delayed(&call->server->admission, now_ns - call->ready_ns, now_ns);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void end_expired(struct rpc_server *s) {
    struct admission_call *c;
    for (int n = 0; n < ANSWERS_MAX && (c = admission_expired(&s->admission, loop_now_ns(s->loop))); n++) {
        struct fault fault = busy(s);
        rpc_replies_over(call_of(c));
        rpc_end(call_of(c), fault.error, &fault);
    }
}

static struct rpc_call *first_slowed(struct rpc_server *s) {
    return list_empty(&s->slowed) ? NULL : list_entry(s->slowed.next, struct rpc_call, slow_node);
}

static void end_due(struct rpc_server *s) {
    struct rpc_call *call;
    for (int n = 0; n < ANSWERS_MAX && (call = first_slowed(s)); n++) {
        if (call->slow_until_ns > loop_now_ns(s->loop)) return;
        end_slowed(call);
    }
}

void rpc_turns_sweep(struct rpc_server *s) {
    uint64_t refused = s->overload_refusals->value - s->reported_refusals;
    if (refused == 0 || loop_now_ns(s->loop) < s->report_at_ns) return;
    log_warn(s->log, "calls refused because too many waited", LOG_I("calls", refused),
             LOG_I("run_limit", s->admission.limit), LOG_I("waiting", s->admission.waiting));
    s->reported_refusals += refused;
    s->report_at_ns = loop_now_ns(s->loop) + REPORT_MS * NS_PER_MS;
}

void rpc_turns_drain(struct rpc_server *s) {
    for (struct rpc_call *call; (call = first_slowed(s));) end_slowed(call);
}

static void keep(struct fiber *self, void *arg) {
    struct rpc_server *s = arg;
    while (s->admission.waiting > 0 || s->n_slowed > 0) {
        fiber_sleep_ms(self, TICK_MS);
        end_expired(s);
        end_due(s);
    }
    s->keeper = NULL;
    rpc_server_changed(s);
}
