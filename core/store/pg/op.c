/* Calls in progress, the queue, and the metrics of both: what the pool and its links share. */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/store/pg/pg_internal.h"

void pg_show_load(struct pg *pg) {
    pg->m.queued->value = (double)pg->queued;
    pg->m.in_flight->value = (double)pg->in_flight;
}

struct pg_op *pg_op_new(struct fiber *self, const struct pg_call *calls, size_t n) {
    struct pg_op *op = malloc(sizeof *op + n * sizeof op->results[0]);
    if (!op) return NULL;
    list_init(&op->node);
    op->fiber = self;
    op->calls = calls;
    op->submitted_ns = op->queued_ns = loop_now_ns(fiber_loop(self));
    op->link = NULL;
    op->resent = op->done = false;
    op->read_only = true;
    op->error = ERR_OK;
    op->prepares = op->at = 0;
    op->n = n;
    for (size_t i = 0; i < n; i++) {
        op->results[i] = NULL;
        op->read_only &= calls[i].stmt->read_only;
    }
    return op;
}

static void op_clear_results(struct pg_op *op) {
    for (size_t i = 0; i < op->n; i++) {
        PQclear(op->results[i]);
        op->results[i] = NULL;
    }
}

void pg_op_free(struct pg_op *op) {
    op_clear_results(op);
    free(op);
}

/* op is on no list. */
void pg_op_answer(struct pg *pg, struct pg_op *op) {
    double seconds = (double)(loop_now_ns(pg->loop) - op->submitted_ns) / (double)NS_PER_S;
    histogram_observe(pg->m.seconds, seconds, pg->m.registry);
    if (op->error) pg->m.errors->value++;
    op->done = true;
    if (op->fiber) {
        fiber_wake(op->fiber);
    } else {
        pg_op_free(op);
    }
    pg_show_load(pg);
    if (pg->closer && pg->queued + pg->in_flight == 0) fiber_wake(pg->closer);
}

void pg_op_refuse(struct pg *pg, struct pg_op *op, enum error e, const char *text) {
    op->error = (int)fault_set(&op->fault, e, "%s", text);
    pg_op_answer(pg, op);
}

void pg_queue_push(struct pg *pg, struct pg_op *op) {
    op->queued_ns = loop_now_ns(pg->loop);
    list_push_back(&pg->queue, &op->node);
    pg->queued++;
    loop_flush_later(pg->loop, &pg->flusher);
}

struct pg_op *pg_queue_pop(struct pg *pg) {
    struct list_node *n = list_pop_front(&pg->queue);
    if (!n) return NULL;
    pg->queued--;
    return list_entry(n, struct pg_op, node);
}

void pg_op_finish(struct pg *pg, struct pg_op *op) {
    pg->in_flight--;
    if (op->error == ERR_OK && !op->read_only) {
        pg->m.commits->value++;
        pg_shortage_over(pg);
    }
    if (pg->queued > 0) loop_flush_later(pg->loop, &pg->flusher);
    pg_op_answer(pg, op);
}

void pg_op_lost(struct pg *pg, struct pg_op *op) {
    pg->in_flight--;
    if (!op->read_only || op->resent || !op->fiber) {
        pg_op_refuse(pg, op, ERR_CONNECTION_LOST, "the connection to the database was lost");
        return;
    }
    op_clear_results(op);
    op->link = NULL;
    op->resent = true;
    op->error = ERR_OK;
    op->prepares = op->at = 0;
    pg->m.resent->value++;
    pg_queue_push(pg, op);
    pg_show_load(pg);
}

/* ---- links ---- */

void pg_link_became_ready(struct pg *pg) {
    if (pg->ready++ == 0) pg->generation++;
    pg->m.ready->value = (double)pg->ready;
    condition_broadcast(&pg->ready_changed);
    if (pg->queued > 0) loop_flush_later(pg->loop, &pg->flusher);
}

void pg_link_became_unready(struct pg *pg) {
    pg->ready--;
    pg->m.ready->value = (double)pg->ready;
    pg->m.lost->value++;
}

void pg_handle_gone(struct pg *pg) {
    pg->handles--;
    if (pg->handles == 0 && pg->closer) fiber_wake(pg->closer);
}
