/* CPU work on libuv's thread pool.
 *
 * 1. fiber_offload queues the work; the struct lives on the fiber's stack, which stays until the work is
 * done.
 * 2. A pool thread runs fn; libuv then calls on_done on the loop, which wakes the fiber.
 *
 * Failures: the fiber is interrupted while the work still waits for a thread -> the work is withdrawn and never runs;
 * while it runs -> the fiber waits until it has ended, uninterruptibly. Either way fiber_offload returns the
 * interrupt.
 */
#include "core/async/loop.h"
#include "core/async/loop_internal.h"

/* Work beyond this would wait for seconds: argon2 takes tens of ms on each of four threads. */
#define MAX_OFFLOADS 1024

struct offload {
    uv_work_t work;
    struct fiber *fiber;
    void (*fn)(void *arg);
    void *arg;
    bool done;
};

static void on_thread(uv_work_t *work) {
    struct offload *o = work->data;
    o->fn(o->arg);
}

static void on_done(uv_work_t *work, int status) {
    struct offload *o = work->data;
    (void)status; /* UV_ECANCELED after our own uv_cancel */
    o->done = true;
    fiber_wake(o->fiber);
}

int fiber_offload(struct fiber *self, void (*fn)(void *arg), void *arg) {
    struct loop *l = self->loop;
    struct offload o = {.fiber = self, .fn = fn, .arg = arg};
    int err = 0;
    o.work.data = &o;
    if (l->offloads >= MAX_OFFLOADS) return ERR_OVERLOADED;
    if (uv_queue_work(&l->uv, &o.work, on_thread, on_done) != 0) return ERR_OVERLOADED;
    l->offloads++;
    self->offloaded = true;
    while (!o.done && !err) err = fiber_park(self);
    if (err && !o.done) uv_cancel((uv_req_t *)&o.work);
    while (!o.done) fiber_park_uninterruptible(self);
    self->offloaded = false;
    l->offloads--;
    return err;
}
