/* Deadlines of parked fibers, and sleep.
 *
 * Deadlines rarely pass, so parking must be cheap and sweeping rare: parked fibers that have one are on an
 * unsorted list, and one timer is armed for a time no later than the earliest of them. When it fires, the
 * list is swept: who is late is woken with ERR_DEADLINE_EXCEEDED, and the timer is armed for the earliest
 * that is left, at least SWEEP_NS away. A fiber that parks again and again with the same deadline therefore
 * never touches the timer. The timer keeps the loop alive only while the list has somebody on it.
 *
 * Sleepers do come due, so they sit in a binary heap, with a second timer armed for the first.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/async/loop_internal.h"
#include "core/base/clock.h"

#define SWEEP_NS (5 * NS_PER_MS)

/* libuv counts whole ms from its own idea of now, which may be old by all that ran since it last looked. The
 * clock is the same; rounded up, since a timer that fires early finds nothing to do. */
static void arm(struct loop *l, uv_timer_t *timer, uv_timer_cb cb, int64_t then_ns) {
    uv_update_time(&l->uv);
    uint64_t then_ms = (uint64_t)((then_ns + NS_PER_MS - 1) / NS_PER_MS), now_ms = uv_now(&l->uv);
    uv_timer_start(timer, cb, then_ms > now_ms ? then_ms - now_ms : 0, 0);
}

/* ---- deadlines ------------------------------------------------------------------------------------------
 */

static void on_sweep(uv_timer_t *timer);

static void arm_sweep(struct loop *l, int64_t earliest_ns) {
    int64_t now_ns = clock_mono_ns();
    l->sweep_at_ns = earliest_ns > now_ns + SWEEP_NS ? earliest_ns : now_ns + SWEEP_NS;
    arm(l, &l->sweep_timer, on_sweep, l->sweep_at_ns);
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

void deadline_watch(struct fiber *f) {
    struct loop *l = f->loop;
    list_push_back(&l->timed, &f->timed);
    if (l->timed_count++ == 0) uv_ref((uv_handle_t *)&l->sweep_timer);
    /* Within SWEEP_NS is near enough: else each park would move the timer by some ns. */
    if (f->deadline_ns < l->sweep_at_ns - SWEEP_NS) arm_sweep(l, f->deadline_ns);
}

void deadline_unwatch(struct fiber *f) {
    struct loop *l = f->loop;
    if (!list_linked(&f->timed)) return;
    list_remove(&f->timed);
    if (--l->timed_count == 0) uv_unref((uv_handle_t *)&l->sweep_timer);
}

/* ---- sleep: a binary heap of sleepers -------------------------------------------------------------------
 */

static void place(struct loop *l, struct sleeper *s, size_t i) {
    l->sleep[i] = s;
    s->place = i;
}

static void sift_up(struct loop *l, struct sleeper *s, size_t i) {
    for (; i > 0 && s->due_ns < l->sleep[(i - 1) / 2]->due_ns; i = (i - 1) / 2)
        place(l, l->sleep[(i - 1) / 2], i);
    place(l, s, i);
}

static void sift_down(struct loop *l, struct sleeper *s, size_t i) {
    for (size_t child; (child = 2 * i + 1) < l->sleeping; i = child) {
        if (child + 1 < l->sleeping && l->sleep[child + 1]->due_ns < l->sleep[child]->due_ns) child++;
        if (s->due_ns <= l->sleep[child]->due_ns) break;
        place(l, l->sleep[child], i);
    }
    place(l, s, i);
}

static void on_sleep(uv_timer_t *timer);

static void arm_sleep(struct loop *l) {
    if (l->sleeping > 0)
        arm(l, &l->sleep_timer, on_sleep, l->sleep[0]->due_ns);
    else
        uv_timer_stop(&l->sleep_timer);
}

static bool sleep_insert(struct loop *l, struct sleeper *s) {
    if (l->sleeping == l->sleep_cap) {
        size_t cap = l->sleep_cap ? 2 * l->sleep_cap : 64;
        struct sleeper **grown = realloc(l->sleep, cap * sizeof *grown);
        if (!grown) return false;
        l->sleep = grown;
        l->sleep_cap = cap;
    }
    sift_up(l, s, l->sleeping++);
    if (s->place == 0) arm_sleep(l);
    return true;
}

/* The timer is left as it is: at worst it fires once for nobody. */
static void sleep_remove(struct loop *l, struct sleeper *s) {
    size_t hole = s->place;
    struct sleeper *last = l->sleep[--l->sleeping];
    if (last == s) return;
    if (hole > 0 && last->due_ns < l->sleep[(hole - 1) / 2]->due_ns)
        sift_up(l, last, hole);
    else
        sift_down(l, last, hole);
}

static void on_sleep(uv_timer_t *timer) {
    struct loop *l = timer->data;
    int64_t now_ns = clock_mono_ns();
    while (l->sleeping > 0 && l->sleep[0]->due_ns <= now_ns) {
        struct sleeper *s = l->sleep[0];
        sleep_remove(l, s);
        s->over = true;
        fiber_wake(s->fiber);
    }
    arm_sleep(l);
}

static int give_way(struct fiber *self) {
    struct loop *l = self->loop;
    int err = fiber_interrupted(self);
    if (err) return err;
    self->state = FIBER_YIELDED;
    list_push_back(&l->yielded, &self->ready);
    coroutine_yield(self->coroutine);
    return 0;
}

int fiber_sleep_ms(struct fiber *self, int64_t ms) {
    struct loop *l = self->loop;
    if (ms <= 0) return give_way(self);
    struct sleeper s = {.due_ns = clock_mono_ns() + ms * NS_PER_MS, .fiber = self};
    if (!sleep_insert(l, &s)) return ERR_OVERLOADED;
    int err = 0;
    while (!s.over && !err) err = fiber_park(self);
    if (s.over) return 0;
    sleep_remove(l, &s);
    if (l->sleeping == 0) uv_timer_stop(&l->sleep_timer);
    return err;
}

/* ---- life -----------------------------------------------------------------------------------------------
 */

void deadline_init(struct loop *l) {
    list_init(&l->timed);
    l->sweep_at_ns = INT64_MAX;
    uv_timer_init(&l->uv, &l->sweep_timer);
    uv_timer_init(&l->uv, &l->sleep_timer);
    l->sweep_timer.data = l->sleep_timer.data = l;
    uv_unref((uv_handle_t *)&l->sweep_timer);
}

void deadline_close(struct loop *l) {
    assert(l->timed_count == 0 && l->sleeping == 0);
    uv_close((uv_handle_t *)&l->sweep_timer, NULL);
    uv_close((uv_handle_t *)&l->sleep_timer, NULL);
    free(l->sleep);
}
