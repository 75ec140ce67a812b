/* The pool: calls from fibers, distributed over the links.
 *
 * The story of a call:
 *   1. pg_exec makes an op and puts it in the queue; its fiber parks.
 *   2. At the end of the turn the flusher sends what the queue holds, each op on the link with the fewest in
 *      flight (one whose oldest statement is slow only when no other has room), and flushes those links once.
 *   3. The link finishes the op; the fiber wakes, takes the results into its arena and frees the op.
 *   4. That makes room in a pipeline: the flusher runs again if anything is queued.
 *
 * Failures:
 *   the queue is full                      ERR_OVERLOADED immediately
 *   the call waits 5 s in the queue        the sweep answers ERR_UNAVAILABLE
 *   the fiber is interrupted, op queued    the op is taken out of the queue and freed
 *   the fiber is interrupted, op sent      the op is detached and stays with its link; it is freed when its answer
 *                                          has come or its connection has died
 *   the connection dies                    a read_only op whose fiber still waits goes back to the queue, once; any
 *                                          other gets ERR_CONNECTION_LOST
 *   the server is silent                   long after statement_timeout, the sweep fails its link
 *
 * An op is on exactly one list (the queue or a link's in_flight) until it is done. The code that takes it off does
 * one of: send it, answer it, free it. So every call completes exactly once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/pg/pg_internal.h"

/* ---- metrics ---- */

static void init_metrics(struct pg_metrics *m, struct metrics *registry) {
    m->own = registry ? NULL : metrics_new();
    m->registry = registry ? registry : m->own;
    struct metrics *r = m->registry;
    m->ready = metrics_gauge(r, "rookery_pg_connections_ready", "Open database connections", "");
    m->in_flight = metrics_gauge(r, "rookery_pg_in_flight", "Database calls in flight", "");
    m->queued = metrics_gauge(r, "rookery_pg_queued", "Database calls waiting for a connection", "");
    pg_shortage_metrics(m);
    m->calls = metrics_counter(r, "rookery_pg_calls_total", "Database calls", "");
    m->errors = metrics_counter(r, "rookery_pg_errors_total", "Failed database calls", "");
    m->commits = metrics_counter(r, "rookery_pg_commits_total", "Committed transactions", "");
    m->reconnects = metrics_counter(r, "rookery_pg_reconnects_total", "Database reconnections", "");
    m->resent = metrics_counter(r, "rookery_pg_resent_total",
                                "Read-only database calls resent after a lost connection", "");
    m->lost = metrics_counter(r, "rookery_pg_connections_lost_total", "Lost database connections", "");
    m->seconds =
        metrics_histogram(r, "rookery_pg_call_seconds", "Duration of database calls, including queueing", "");
}

/* ---- which link an op is sent on ---- */

static bool has_room(const struct pg_link *k) {
    return k->state == LINK_READY && !k->retiring && k->depth < k->pg->pipeline;
}

static bool is_slow(const struct pg_link *k, int64_t now_ns) {
    return k->depth > 0 && now_ns - k->progress_ns > PG_SLOW_MS * NS_PER_MS;
}

static struct pg_link *choose_link(struct pg *pg) {
    struct pg_link *best = NULL;
    bool best_slow = true;
    int64_t now_ns = loop_now_ns(pg->loop);
    for (size_t i = 0; i < pg->n_links; i++) {
        struct pg_link *k = &pg->links[i];
        if (!has_room(k)) continue;
        bool slow = is_slow(k, now_ns);
        if (!best || slow < best_slow || (slow == best_slow && k->depth < best->depth)) {
            best = k;
            best_slow = slow;
        }
    }
    return best;
}

static void dispatch(struct pg *pg) {
    struct pg_link *k;
    while (pg->queued > 0 && (k = choose_link(pg))) {
        pg->in_flight++;
        pg_link_send(k, pg_queue_pop(pg));
    }
    for (size_t i = 0; i < pg->n_links; i++) {
        if (pg->links[i].unflushed) pg_link_flush(&pg->links[i]);
    }
    pg_show_load(pg);
}

static void on_flush(struct flusher *f) {
    dispatch(list_entry(f, struct pg, flusher));
}

/* ---- the sweep ---- */

static void refuse_all(struct pg *pg, enum error e, const char *text) {
    struct pg_op *op;
    while ((op = pg_queue_pop(pg))) pg_op_refuse(pg, op, e, text);
}

static void refuse_old(struct pg *pg, int64_t now_ns) {
    while (pg->queued > 0) {
        struct pg_op *op = list_entry(pg->queue.next, struct pg_op, node);
        if (now_ns - op->queued_ns < PG_QUEUE_WAIT_MS * NS_PER_MS) return;
        pg_op_refuse(pg, pg_queue_pop(pg), ERR_UNAVAILABLE, "the database did not take the call in time");
    }
}

static void fail_dead_links(struct pg *pg, int64_t now_ns) {
    int64_t limit_ns = (pg->statement_timeout_ms + PG_DEAD_AFTER_MS) * NS_PER_MS;
    for (size_t i = 0; i < pg->n_links; i++) {
        struct pg_link *k = &pg->links[i];
        if (k->depth > 0 && now_ns - k->progress_ns > limit_ns) pg_link_fail(k, "the server is silent");
    }
}

static void on_sweep(uv_timer_t *t) {
    struct pg *pg = t->data;
    int64_t now_ns = loop_now_ns(pg->loop);
    refuse_old(pg, now_ns);
    fail_dead_links(pg, now_ns);
    if (pg->closing && now_ns >= pg->close_by_ns && pg->closer) fiber_wake(pg->closer);
    if (pg->queued + pg->in_flight == 0) uv_timer_stop(t);
}

static void start_sweep(struct pg *pg) {
    if (uv_is_active((uv_handle_t *)&pg->sweep)) return;
    uv_timer_start(&pg->sweep, on_sweep, PG_SWEEP_MS, PG_SWEEP_MS);
}

/* ---- calls ---- */

static enum error submit(struct pg *pg, struct pg_op *op) {
    if (pg->closing) return fault_set(&op->fault, ERR_UNAVAILABLE, "the database client is closing");
    if (pg->queued >= PG_QUEUE_MAX) dispatch(pg); /* a turn may submit more than the queue holds */
    if (pg->queued >= PG_QUEUE_MAX) {
        return fault_set(&op->fault, ERR_OVERLOADED, "too many database calls are waiting");
    }
    pg->m.calls->value++;
    pg_queue_push(pg, op);
    start_sweep(pg);
    return ERR_OK;
}

/* The fiber resumes without an answer. */
static void detach(struct pg *pg, struct pg_op *op) {
    if (op->link) {
        op->fiber = NULL;
        op->calls = NULL;
        return;
    }
    list_remove(&op->node);
    pg->queued--;
    op->fiber = NULL;
    op->error = ERR_CANCELLED;
    pg_op_answer(pg, op);
}

static void clear_result(void *r) {
    PQclear(r);
}

static enum error take_answer(struct fiber *self, struct pg_op *op, struct pg_result **results,
                              struct fault *fault) {
    enum error e = op->error;
    if (e != ERR_OK) {
        if (fault) *fault = op->fault;
        pg_op_free(op);
        return e;
    }
    for (size_t i = 0; i < op->n && results; i++) {
        results[i] = op->results[i];
        op->results[i] = NULL;
        arena_on_reset(fiber_arena(self), clear_result, results[i]);
    }
    pg_op_free(op);
    return ERR_OK;
}

int pg_exec_all(struct fiber *self, struct pg *pg, const struct pg_call *calls, size_t n,
                struct pg_result **results, struct fault *fault) {
    assert(n > 0);
    struct pg_op *op = pg_op_new(self, calls, n);
    if (!op) return fault_set(fault, ERR_OVERLOADED, "no memory for a database call");
    enum error refused = submit(pg, op);
    if (refused) {
        if (fault) *fault = op->fault;
        pg_op_free(op);
        return refused;
    }
    while (!op->done) {
        enum error interrupt = fiber_park(self);
        if (interrupt == ERR_OK || op->done) continue;
        detach(pg, op);
        return fault_set(fault, interrupt, "%s", error_text(interrupt));
    }
    return take_answer(self, op, results, fault);
}

int pg_exec(struct fiber *self, struct pg *pg, const struct pg_stmt *stmt, const struct pg_args *args,
            struct pg_result **out, struct fault *fault) {
    struct pg_call call = {.stmt = stmt, .args = args};
    return pg_exec_all(self, pg, &call, 1, out, fault);
}

int pg_ask_values(struct fiber *self, struct pg *pg, const struct pg_stmt *stmt, struct pg_result **out,
                  struct fault *fault, const struct pg_value *values, size_t n) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_args_add_values(&args, values, n);
    return pg_exec(self, pg, stmt, &args, out, fault);
}

/* ---- opening and closing ---- */

uint64_t pg_generation(const struct pg *pg) {
    return pg->generation;
}

bool pg_ready(const struct pg *pg) {
    return pg->ready > 0;
}

const char *pg_refusal(const struct pg *pg) {
    return pg->refusal;
}

int pg_wait_ready(struct fiber *self, struct pg *pg) {
    int e = ERR_OK;
    pg->waiters++;
    while (e == ERR_OK && !pg_ready(pg)) {
        if (pg->closing)
            e = ERR_UNAVAILABLE;
        else
            e = pg->refusal ? ERR_FAILED_PRECONDITION : condition_wait(self, &pg->ready_changed);
    }
    pg->waiters--;
    if (pg->closer && pg->waiters == 0) fiber_wake(pg->closer);
    return e;
}

struct pg *pg_open(struct loop *l, const struct pg_options *o, struct log *log, struct metrics *metrics) {
    assert(o->connections > 0 && o->pipeline > 0);
    struct pg *pg = calloc(1, sizeof *pg);
    if (!pg) return NULL;
    arena_init(&pg->arena, 0);
    char error[256];
    if (!pg_target_init(&pg->target, &pg->arena, o, error, sizeof error)) {
        log_error(log, "bad database URL", LOG_S("error", error));
        arena_free(&pg->arena);
        free(pg);
        return NULL;
    }
    pg->loop = l;
    pg->log = log;
    pg->pipeline = (size_t)o->pipeline;
    pg->statement_timeout_ms =
        o->statement_timeout_ms > 0 ? o->statement_timeout_ms : PG_STATEMENT_TIMEOUT_MS;
    init_metrics(&pg->m, metrics);
    list_init(&pg->queue);
    flusher_init(&pg->flusher, on_flush);
    condition_init(&pg->ready_changed);
    uv_timer_init(loop_uv(l), &pg->sweep);
    pg->sweep.data = pg;
    pg->handles++;
    pg->n_links = (size_t)o->connections;
    pg->links = ARENA_ARRAY(&pg->arena, struct pg_link, pg->n_links);
    for (size_t i = 0; i < pg->n_links; i++) pg_link_init(&pg->links[i], pg);
    for (size_t i = 0; i < pg->n_links; i++) pg_link_start(&pg->links[i]);
    return pg;
}

static void on_sweep_closed(uv_handle_t *h) {
    pg_handle_gone(h->data);
}

void pg_close(struct fiber *self, struct pg *pg, int64_t time_ms) {
    assert(!pg->closing);
    pg->closing = true;
    pg->closer = self;
    pg->close_by_ns = clock_mono_ns() + time_ms * NS_PER_MS;
    condition_broadcast(&pg->ready_changed);
    start_sweep(pg);
    while (pg->queued + pg->in_flight > 0 && clock_mono_ns() < pg->close_by_ns) {
        fiber_park_uninterruptible(self);
    }
    for (size_t i = 0; i < pg->n_links; i++) pg_link_close(&pg->links[i]);
    refuse_all(pg, ERR_UNAVAILABLE, "the database client is closing");
    uv_close((uv_handle_t *)&pg->sweep, on_sweep_closed);
    while (pg->handles + pg->waiters > 0) fiber_park_uninterruptible(self);
    flusher_cancel(&pg->flusher);
    metrics_free(pg->m.own);
    arena_free(&pg->arena);
    free(pg);
}
