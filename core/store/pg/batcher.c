/* Group commit, with a fiber for each batch.
 *
 *   1. pg_batcher_submit links the fiber's request into `pending` and parks.
 *   2. At the end of the turn the flusher forms batches while fewer than max_in_flight are out: it takes up
 *      to max_rows requests, has their parameters built (all those fibers are parked, so their rows are
 *      there), and starts a fiber for the batch.
 *   3. The batch's fiber executes the statement, finds each request's row of the answer by its ordinal, and wakes
 *      their fibers. It stays until all of them have left, since the rows are in its arena.
 *   4. Its answer makes room: the flusher runs again if anything is pending.
 *
 * Failures:
 *   the database refuses the batch    each of its requests is retried alone, in its own fiber
 *   any other error                   goes to every request of the batch
 *   no fiber for the batch            ERR_OVERLOADED to every request of the batch
 *   a fiber is interrupted            pending: its request is unlinked. Sent: it leaves the batch
 */
#include "core/store/pg/batcher.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/moves.h"
#include "core/store/pg/pg_internal.h"

/* As many as the client's own queue of calls holds: more would only wait until they time out. */
#define PENDING_MAX 4096
#define DEFAULT_ROWS 256
#define DEFAULT_IN_FLIGHT 2

enum request_state {
    REQUEST_PENDING,
    REQUEST_SENT,
    REQUEST_ANSWERED, /* in its batch */
    REQUEST_ALONE,    /* to be tried by itself */
    REQUEST_REFUSED,  /* there was no fiber for a batch */
};

/* On the stack of the fiber that submitted. */
struct request {
    struct list_node node; /* batcher->pending */
    struct fiber *fiber;
    const void *row;
    enum request_state state;
    struct batch *batch; /* from SENT until it leaves; not in REFUSED */
    size_t place;        /* in the batch */
    int at;              /* its row of the answer, -1 for none */
};

struct batch {
    struct pg_batcher *batcher;
    struct fiber *fiber; /* NULL until it runs */
    struct arena arena;  /* of args and requests */
    struct pg_args args;
    size_t n;
    size_t present;            /* requests that have not left */
    struct request **requests; /* n; NULL for one that has left */
    int error;
    struct fault fault;
    struct pg_result *result; /* its fiber's */
};

struct pg_batcher {
    struct loop *loop;
    struct pg *pg;
    const struct pg_batch_kind *kind;
    size_t max_rows, max_in_flight;
    struct list_node pending;
    size_t n_pending;
    size_t in_flight; /* batches at the database */
    size_t batches;   /* batches alive */
    struct flusher flusher;
    struct fiber *closer;
    struct metrics *metrics, *own_metrics; /* own: made here because the caller gave none */
    struct histogram *rows;
    struct counter *alone;
};

static const moves REQUEST_MOVES[] = {
    [REQUEST_PENDING] = MOVE_TO(REQUEST_SENT),
    [REQUEST_SENT] = MOVE_TO(REQUEST_ANSWERED) | MOVE_TO(REQUEST_ALONE) | MOVE_TO(REQUEST_REFUSED),
    [REQUEST_ANSWERED] = 0,
    [REQUEST_ALONE] = 0,
    [REQUEST_REFUSED] = 0,
};

static void request_enter(struct request *q, enum request_state state) {
    MOVES_CHECK(REQUEST_MOVES, q->state, state);
    q->state = state;
}

/* ---- a batch, from its fiber ---- */

static void wake_all(struct batch *t, enum request_state state) {
    for (size_t i = 0; i < t->n; i++) {
        struct request *q = t->requests[i];
        if (!q) continue;
        request_enter(q, state);
        fiber_wake(q->fiber);
    }
}

/* Finds each request's row by the ordinal in the first column. */
static void match_rows(struct batch *t) {
    int rows = pg_rows(t->result);
    for (int at = 0; at < rows; at++) {
        struct pg_row row = pg_row_at(t->result, at);
        int64_t place = pg_take_i64(&row);
        assert(place >= 1 && (size_t)place <= t->n && "the first column is the row's ordinal");
        struct request *q = t->requests[place - 1];
        if (q) q->at = at;
    }
}

/* Whether the database refused the statement, so that none of it was done. */
static bool was_refused(int error) {
    return error == ERR_SQL || error == ERR_SQL_CONFLICT || error == ERR_SQL_DUPLICATE ||
           error == ERR_SQL_CONSTRAINT;
}

static void batch_free(struct batch *t) {
    arena_free(&t->arena);
    free(t);
}

static void batch_run(struct fiber *self, void *arg) {
    struct batch *t = arg;
    struct pg_batcher *b = t->batcher;
    t->fiber = self;
    t->error = pg_exec(self, b->pg, b->kind->stmt, &t->args, &t->result, &t->fault);
    b->in_flight--;
    if (b->n_pending > 0) loop_flush_later(b->loop, &b->flusher);
    if (t->error == ERR_OK && b->kind->take) match_rows(t);
    wake_all(t, was_refused(t->error) && t->n > 1 ? REQUEST_ALONE : REQUEST_ANSWERED);
    while (t->present > 0) fiber_park_uninterruptible(self);
    batch_free(t);
    b->batches--;
    if (b->closer) fiber_wake(b->closer);
}

/* ---- forming batches ---- */

static void fill(struct batch *t, struct pg_batcher *b) {
    t->requests = ARENA_ARRAY(&t->arena, struct request *, t->n);
    const void **rows = ARENA_ARRAY(&t->arena, const void *, t->n);
    for (size_t i = 0; i < t->n; i++) {
        struct request *q = list_entry(list_pop_front(&b->pending), struct request, node);
        b->n_pending--;
        request_enter(q, REQUEST_SENT);
        q->batch = t;
        q->place = i;
        t->requests[i] = q;
        rows[i] = q->row;
    }
    pg_args_init(&t->args, &t->arena);
    b->kind->build(rows, t->n, &t->args);
}

static struct batch *batch_new(struct pg_batcher *b) {
    struct batch *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->batcher = b;
    t->n = t->present = b->n_pending < b->max_rows ? b->n_pending : b->max_rows;
    arena_init(&t->arena, 0);
    fill(t, b);
    return t;
}

static void refuse(struct batch *t) {
    for (size_t i = 0; i < t->n; i++) t->requests[i]->batch = NULL;
    wake_all(t, REQUEST_REFUSED);
    batch_free(t);
}

static void send_batch(struct pg_batcher *b) {
    struct batch *t = batch_new(b);
    struct fiber_options options = {.name = b->kind->name};
    if (fiber_spawn(b->loop, &options, batch_run, t, NULL) != 0) {
        refuse(t);
        return;
    }
    histogram_observe(b->rows, (double)t->n, b->metrics);
    b->in_flight++;
    b->batches++;
}

static void on_flush(struct flusher *f) {
    struct pg_batcher *b = list_entry(f, struct pg_batcher, flusher);
    while (b->n_pending > 0 && b->in_flight < b->max_in_flight) send_batch(b);
}

/* ---- submitting ---- */

static void leave(struct request *q) {
    struct batch *t = q->batch;
    t->requests[q->place] = NULL;
    t->present--;
    if (t->present == 0 && t->fiber) fiber_wake(t->fiber);
}

static void abandon(struct pg_batcher *b, struct request *q) {
    if (q->state == REQUEST_SENT) {
        leave(q);
        return;
    }
    list_remove(&q->node);
    b->n_pending--;
}

static int take(struct fiber *self, struct pg_batcher *b, const struct pg_result *r, int at, void *out) {
    if (!b->kind->take) return ERR_OK;
    if (at < 0) return b->kind->take(NULL, fiber_arena(self), out);
    struct pg_row row = pg_row_at(r, at);
    pg_take_i64(&row); /* its ordinal */
    int e = b->kind->take(&row, fiber_arena(self), out);
    pg_end(&row);
    return e;
}

static int take_answer(struct fiber *self, struct pg_batcher *b, struct request *q, void *out,
                       struct fault *fault) {
    struct batch *t = q->batch;
    int error = t->error;
    if (error == ERR_OK) {
        error = take(self, b, t->result, q->at, out);
    } else if (fault) {
        *fault = t->fault;
    }
    leave(q);
    return error;
}

static int try_alone(struct fiber *self, struct pg_batcher *b, struct request *q, void *out,
                     struct fault *fault) {
    leave(q);
    b->alone->value++;
    struct pg_args args;
    struct pg_result *r;
    pg_args_init(&args, fiber_arena(self));
    b->kind->build(&q->row, 1, &args);
    int error = pg_exec(self, b->pg, b->kind->stmt, &args, &r, fault);
    return error ? error : take(self, b, r, pg_rows(r) > 0 ? 0 : -1, out);
}

int pg_batcher_submit(struct fiber *self, struct pg_batcher *b, const void *row, void *out,
                      struct fault *fault) {
    assert(!b->closer);
    if (b->n_pending >= PENDING_MAX) return fault_set(fault, ERR_OVERLOADED, "too many rows are waiting");
    struct request q = {.fiber = self, .row = row, .state = REQUEST_PENDING, .at = -1};
    list_push_back(&b->pending, &q.node);
    b->n_pending++;
    if (b->in_flight < b->max_in_flight) loop_flush_later(b->loop, &b->flusher);
    while (q.state == REQUEST_PENDING || q.state == REQUEST_SENT) {
        int interrupt = fiber_park(self);
        if (interrupt == ERR_OK || q.state > REQUEST_SENT) continue;
        abandon(b, &q);
        return fault_set(fault, interrupt, "%s", error_text(interrupt));
    }
    if (q.state == REQUEST_REFUSED) return fault_set(fault, ERR_OVERLOADED, "no fiber for a batch of rows");
    if (q.state == REQUEST_ALONE) return try_alone(self, b, &q, out, fault);
    return take_answer(self, b, &q, out, fault);
}

/* ---- opening and closing ---- */

static void init_metrics(struct pg_batcher *b, struct metrics *registry) {
    b->own_metrics = registry ? NULL : metrics_new();
    b->metrics = registry ? registry : b->own_metrics;
    struct buf labels;
    buf_init(&labels);
    buf_printf(&labels, "batcher=\"%s\"", b->kind->name);
    b->rows =
        metrics_size_histogram(b->metrics, "rookery_pg_batch_rows", "Rows per batched statement", labels.ptr);
    b->alone = metrics_counter(b->metrics, "rookery_pg_batch_alone_total",
                               "Rows retried alone because their batch was refused", labels.ptr);
    buf_free(&labels);
}

struct pg_batcher *pg_batcher_new(struct loop *l, struct pg *pg, const struct pg_batch_kind *kind,
                                  struct metrics *metrics) {
    struct pg_batcher *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->loop = l;
    b->pg = pg;
    b->kind = kind;
    b->max_rows = kind->max_rows ? kind->max_rows : DEFAULT_ROWS;
    b->max_in_flight = kind->max_in_flight ? kind->max_in_flight : DEFAULT_IN_FLIGHT;
    list_init(&b->pending);
    flusher_init(&b->flusher, on_flush);
    init_metrics(b, metrics);
    return b;
}

void pg_batcher_close(struct fiber *self, struct pg_batcher *b) {
    assert(b->n_pending == 0 && !b->closer);
    b->closer = self;
    while (b->batches > 0) fiber_park_uninterruptible(self);
    flusher_cancel(&b->flusher);
    metrics_free(b->own_metrics);
    free(b);
}
