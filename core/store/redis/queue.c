/* The end of batches, and the count of bytes that wait. */
#include "core/base/clock.h"
#include "core/store/redis/redis_internal.h"

void redis_set_unsent(struct redis *r, size_t bytes) {
    r->unsent = bytes;
    r->unsent_bytes->value = (double)bytes;
}

bool redis_is_idle(const struct redis *r) {
    return list_empty(&r->queued) && list_empty(&r->in_flight);
}

void redis_finish(struct redis *r, struct redis_batch *b, int result) {
    list_remove(&b->node);
    b->state = BATCH_DONE;
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
