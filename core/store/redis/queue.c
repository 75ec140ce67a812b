/* The states of batches, their end, and the count of bytes that wait. */
#include "core/base/clock.h"
#include "core/base/moves.h"
#include "core/store/redis/redis_internal.h"

static const moves BATCH_MOVES[] = {
    /* An empty batch is done immediately; our greeting is sent before all that is queued. */
    [BATCH_BUILDING] = MOVE_TO(BATCH_QUEUED) | MOVE_TO(BATCH_IN_FLIGHT) | MOVE_TO(BATCH_DONE),
    [BATCH_QUEUED] = MOVE_TO(BATCH_IN_FLIGHT) | MOVE_TO(BATCH_DONE),
    [BATCH_IN_FLIGHT] = MOVE_TO(BATCH_DONE),
    [BATCH_DONE] = 0, /* redis_batch_reset makes it a new one */
};

void redis_batch_enter(struct redis_batch *b, enum batch_state state) {
    MOVES_CHECK(BATCH_MOVES, b->state, state);
    b->state = state;
}

void redis_set_unsent(struct redis *r, size_t bytes) {
    r->unsent = bytes;
    r->unsent_bytes->value = (double)bytes;
}

bool redis_is_idle(const struct redis *r) {
    return list_empty(&r->queued) && list_empty(&r->in_flight);
}

void redis_finish(struct redis *r, struct redis_batch *b, int result) {
    list_remove(&b->node);
    redis_batch_enter(b, BATCH_DONE);
    b->result = result;
    if (result == 0)
        r->commands->value += b->commands;
    else
        r->lost_batches->value++;
    if (r->metrics)
        histogram_observe(r->latency, (double)(clock_mono_ns() - b->submitted_ns) / (double)NS_PER_S,
                          r->metrics);
    if (b->orphaned)
        redis_batch_free(b);
    else if (b->on_done)
        b->on_done(r, b);
    else if (b->waiter)
        fiber_wake(b->waiter);
    if (r->closer && redis_is_idle(r)) fiber_wake(r->closer);
}
