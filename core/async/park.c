/* Parking, waking and interrupting fibers, and their deadlines.
 *
 * Deadlines rarely pass, so parking must be cheap and sweeping rare: parked fibers that have one are on an unsorted
 * list, and one timer is armed for a time no later than the earliest of them. When it fires, the list is swept:
 * fibers past their deadline are woken with ERR_DEADLINE_EXCEEDED, and the timer is armed for the earliest of the
 * others, at least SWEEP_NS away. A fiber that parks again and again with the same deadline therefore never touches
 * the timer. The timer keeps the loop alive only while the list is not empty.
 */
#include <assert.h>

#include "core/async/loop_internal.h"
#include "core/base/clock.h"

#define SWEEP_NS (5 * NS_PER_MS)

/* libuv counts whole ms from its own idea of now, which may be old by all that ran since it last looked. The
 * clock is the same; rounded up, since a timer that fires early finds nothing to do. */
void loop_arm_timer(struct loop *l, uv_timer_t *timer, uv_timer_cb cb, int64_t then_ns) {
    uv_update_time(&l->uv);
    uint64_t then_ms = (uint64_t)((then_ns + NS_PER_MS - 1) / NS_PER_MS), now_ms = uv_now(&l->uv);
    uv_timer_start(timer, cb, then_ms > now_ms ? then_ms - now_ms : 0, 0);
}

/* ---- deadlines ----------------------------------------------------------------------------------------- */

static void on_sweep(uv_timer_t *timer);

static void arm_sweep(struct loop *l, int64_t earliest_ns) {
    int64_t now_ns = clock_mono_ns();
    l->sweep_at_ns = earliest_ns > now_ns + SWEEP_NS ? earliest_ns : now_ns + SWEEP_NS;
    loop_arm_timer(l, &l->sweep_timer, on_sweep, l->sweep_at_ns);
}

static void on_sweep(uv_timer_t *timer) {
    struct loop *l = timer->data;
    int64_t now_ns = clock_mono_ns(), earliest_ns = INT64_MAX;
    list_each_safe (&l->timed, n) {
        struct fiber *f = list_entry(n, struct fiber, timed);
        if (f->deadline_ns <= now_ns)
            fiber_unpark(f, ERR_DEADLINE_EXCEEDED);
        else if (f->deadline_ns < earliest_ns)
            earliest_ns = f->deadline_ns;
    }
    l->sweep_at_ns = INT64_MAX;
    if (earliest_ns != INT64_MAX) arm_sweep(l, earliest_ns);
}

static void deadline_watch(struct fiber *f) {
    struct loop *l = f->loop;
    list_push_back(&l->timed, &f->timed);
    if (l->timed_count++ == 0) uv_ref((uv_handle_t *)&l->sweep_timer);
    /* Within SWEEP_NS is near enough: else each park would move the timer by some ns. */
    if (f->deadline_ns < l->sweep_at_ns - SWEEP_NS) arm_sweep(l, f->deadline_ns);
}

static void deadline_unwatch(struct fiber *f) {
    struct loop *l = f->loop;
    if (!list_linked(&f->timed)) return;
    list_remove(&f->timed);
    if (--l->timed_count == 0) uv_unref((uv_handle_t *)&l->sweep_timer);
}

void deadline_init(struct loop *l) {
    list_init(&l->timed);
    l->sweep_at_ns = INT64_MAX;
    uv_timer_init(&l->uv, &l->sweep_timer);
    l->sweep_timer.data = l;
    uv_unref((uv_handle_t *)&l->sweep_timer);
}

void deadline_close(struct loop *l) {
    assert(l->timed_count == 0);
    uv_close((uv_handle_t *)&l->sweep_timer, NULL);
}

/* ---- parking ------------------------------------------------------------------------------------------- */

int64_t fiber_deadline_ns(const struct fiber *self) {
    return self->deadline_ns;
}

void fiber_set_deadline_ns(struct fiber *self, int64_t deadline_ns) {
    deadline_unwatch(self);
    self->deadline_ns = deadline_ns;
    if (self->state == FIBER_PARKED && !self->uninterruptible && deadline_ns != 0) deadline_watch(self);
}

int fiber_interrupted(const struct fiber *f) {
    if (f->cancelled) return ERR_CANCELLED;
    if (f->deadline_ns != 0 && loop_time_ns(f->loop) >= f->deadline_ns) return ERR_DEADLINE_EXCEEDED;
    return 0;
}

/* Suspends until f is woken; returns why it resumed. */
static int suspend(struct fiber *self, bool uninterruptible) {
    fiber_enter(self, FIBER_PARKED);
    self->uninterruptible = uninterruptible;
    self->parks++;
    if (!uninterruptible && self->deadline_ns != 0) deadline_watch(self);
    coroutine_yield(self->coroutine);
    int result = self->park_result;
    fiber_fn *fn = self->on_resume;
    self->on_resume = NULL;
    if (fn) fn(self, self->on_resume_arg);
    return result;
}

int fiber_park(struct fiber *self) {
    assert(self->loop->current == self);
    if (self->wake_pending) {
        self->wake_pending = false;
        return 0;
    }
    int err = fiber_interrupted(self);
    return err ? err : suspend(self, false);
}

void fiber_park_uninterruptible(struct fiber *self) {
    assert(self->loop->current == self);
    if (self->wake_pending)
        self->wake_pending = false;
    else
        suspend(self, true);
}

uint64_t fiber_wait_number(const struct fiber *f) {
    return f->state == FIBER_PARKED && !f->offloaded ? f->parks : 0;
}

uint64_t fiber_suspensions(const struct fiber *f) {
    return f->parks;
}

void fiber_on_resume(struct fiber *f, fiber_fn *fn, void *arg) {
    assert(f->state == FIBER_PARKED);
    f->on_resume = fn;
    f->on_resume_arg = arg;
}

void fiber_unpark(struct fiber *f, int result) {
    fiber_enter(f, FIBER_READY);
    deadline_unwatch(f);
    f->park_result = result;
    list_push_back(&f->loop->ready, &f->ready);
}

void fiber_wake(struct fiber *f) {
    if (f->state == FIBER_PARKED)
        fiber_unpark(f, 0);
    else if (f->state == FIBER_READY && f->park_result != 0)
        f->park_result = 0; /* interrupted but not resumed yet: what it waited for came after all */
    else
        f->wake_pending = true;
}

void fiber_cancel(struct fiber *f) {
    f->cancelled = true;
    if (f->state == FIBER_PARKED && !f->uninterruptible) fiber_unpark(f, ERR_CANCELLED);
}

bool fiber_cancelled(const struct fiber *self) {
    return self->cancelled;
}
