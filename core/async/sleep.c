/* Sleep: a binary heap of sleepers, since they do come due, with a timer armed for the first. */
#include <assert.h>
#include <stdlib.h>

#include "core/async/loop_internal.h"
#include "core/base/clock.h"

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
        loop_arm_timer(l, &l->sleep_timer, on_sleep, l->sleep[0]->due_ns);
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

/* The timer is left as it is: at worst it fires once without a sleeper. */
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
    fiber_enter(self, FIBER_YIELDED);
    self->parks++; /* others run meanwhile: what is good until it suspends is no longer */
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

void sleep_init(struct loop *l) {
    uv_timer_init(&l->uv, &l->sleep_timer);
    l->sleep_timer.data = l;
}

void sleep_close(struct loop *l) {
    assert(l->sleeping == 0);
    uv_close((uv_handle_t *)&l->sleep_timer, NULL);
    free(l->sleep);
}
