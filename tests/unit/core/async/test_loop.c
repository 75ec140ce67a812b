/* The loop's turn, its fibers, their deadlines. Order and outcomes are checked, never elapsed times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/async/loop.h"
#include "core/base/clock.h"
#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/traced_loop.h"

/* A fiber that parks once and says how it went on. */
struct parker {
    struct fixture *fixture;
    struct fiber *fiber;
    char name;
    int result;
    bool over;
};

static void park_once(struct fiber *self, void *arg) {
    struct parker *p = arg;
    p->fiber = self;
    p->result = fiber_park(self);
    p->over = true;
    trace(&p->fixture->trace, p->name);
}

static struct parker start_parker(struct fixture *x, char name) {
    return (struct parker){.fixture = x, .name = name, .result = -1};
}

/* ---- waking ---------------------------------------------------------------------------------------------
 */

struct wakers {
    struct parker *parkers;
    const int *order;
    int n;
};

static void wake_in_order(struct fiber *self, void *arg) {
    struct wakers *w = arg;
    fiber_sleep_ms(self, 0);
    for (int i = 0; i < w->n; i++) fiber_wake(w->parkers[w->order[i]].fiber);
}

static void fibers_run_in_the_order_they_were_woken(void **state) {
    struct fixture *x = *state;
    struct parker p[4];
    struct wakers w = {p, (const int[]){2, 0, 3, 1}, 4};
    for (int i = 0; i < 4; i++) {
        p[i] = start_parker(x, (char)('a' + i));
        assert_int_equal(fiber_spawn(x->loop, NULL, park_once, &p[i], NULL), 0);
    }
    fiber_spawn(x->loop, NULL, wake_in_order, &w, NULL);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "cadb");
}

static void spawning_never_runs_the_fiber_inside_the_call(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    assert_int_equal(fiber_spawn(x->loop, NULL, park_once, &p, &f), 0);
    assert_null(p.fiber);
    assert_int_equal(loop_fibers(x->loop), 1);
    fiber_wake(f);
    loop_run(x->loop);
    assert_ptr_equal(p.fiber, f);
    assert_int_equal(loop_fibers(x->loop), 0);
}

static void a_wake_before_the_park_is_not_lost(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    fiber_spawn(x->loop, NULL, park_once, &p, &f);
    fiber_wake(f);
    fiber_wake(f);
    loop_run(x->loop);
    assert_int_equal(p.result, 0);
}

static void park_twice(struct fiber *self, void *arg) {
    struct parker *p = arg;
    p->result = fiber_park(self);
    p->result = fiber_park(self);
    p->over = true;
}

static void early_wakes_are_remembered_once(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    fiber_spawn(x->loop, NULL, park_twice, &p, &f);
    fiber_wake(f);
    fiber_wake(f);
    loop_run(x->loop);
    assert_false(p.over);
    fiber_wake(f);
    loop_run(x->loop);
    assert_true(p.over);
}

static void on_timer_wake(uv_timer_t *t) {
    fiber_wake(t->data);
    uv_close((uv_handle_t *)t, NULL);
}

static void a_callback_wakes_a_fiber_and_the_loop_ends_when_nothing_is_left(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    uv_timer_t t;
    fiber_spawn(x->loop, NULL, park_once, &p, &f);
    uv_timer_init(loop_uv(x->loop), &t);
    t.data = f;
    uv_timer_start(&t, on_timer_wake, 1, 0);
    loop_run(x->loop);
    assert_true(p.over);
}

static void on_close_wake(uv_handle_t *h) {
    fiber_wake(h->data);
}

/* Nothing else is alive then: the loop must still run the fiber. */
static void a_fiber_woken_by_the_last_closing_handle_runs(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    uv_timer_t t;
    fiber_spawn(x->loop, NULL, park_once, &p, &f);
    uv_timer_init(loop_uv(x->loop), &t);
    t.data = f;
    uv_close((uv_handle_t *)&t, on_close_wake);
    loop_run(x->loop);
    assert_true(p.over);
}

static void on_pipe(uv_poll_t *h, int status, int events) {
    (void)status, (void)events;
    fiber_wake(h->data);
    uv_poll_stop(h);
    uv_close((uv_handle_t *)h, NULL);
}

static void a_fiber_woken_while_polling_runs_before_the_loop_sleeps(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    int ends[2];
    uv_poll_t h;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    fiber_spawn(x->loop, NULL, park_once, &p, &f);
    uv_poll_init(loop_uv(x->loop), &h, ends[0]);
    h.data = f;
    uv_poll_start(&h, UV_READABLE, on_pipe);
    loop_run(x->loop);
    assert_true(p.over);
    close(ends[0]);
    close(ends[1]);
}

/* ---- giving way, stopping -------------------------------------------------------------------------------
 */

static void give_way_thrice(struct fiber *self, void *arg) {
    struct parker *p = arg;
    for (int i = 0; i < 3; i++) {
        trace(&p->fixture->trace, p->name);
        fiber_sleep_ms(self, 0);
    }
}

static void sleeping_zero_gives_way_once(void **state) {
    struct fixture *x = *state;
    struct parker a = start_parker(x, 'a'), b = start_parker(x, 'b');
    fiber_spawn(x->loop, NULL, give_way_thrice, &a, NULL);
    fiber_spawn(x->loop, NULL, give_way_thrice, &b, NULL);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "ababab");
}

static bool stop_spinning;

static void spin(struct fiber *self, void *arg) {
    (void)arg;
    while (!stop_spinning) fiber_sleep_ms(self, 0);
}

static void on_timer_stop_spinning(uv_timer_t *t) {
    stop_spinning = true;
    uv_close((uv_handle_t *)t, NULL);
}

static void a_fiber_that_keeps_giving_way_does_not_starve_callbacks(void **state) {
    struct fixture *x = *state;
    uv_timer_t t;
    stop_spinning = false;
    fiber_spawn(x->loop, NULL, spin, NULL, NULL);
    uv_timer_init(loop_uv(x->loop), &t);
    uv_timer_start(&t, on_timer_stop_spinning, 1, 0);
    loop_run(x->loop);
    assert_true(stop_spinning);
}

struct duet {
    struct fiber *other;
    bool *other_over, over;
};

static void wake_each_other(struct fiber *self, void *arg) {
    struct duet *d = arg;
    while (!stop_spinning) {
        fiber_wake(d->other);
        fiber_park(self);
    }
    d->over = true;
    if (!*d->other_over) fiber_wake(d->other);
}

static void fibers_that_keep_waking_one_another_do_not_starve_callbacks(void **state) {
    struct fixture *x = *state;
    struct duet a = {.over = false}, b = {.other_over = &a.over};
    uv_timer_t t;
    stop_spinning = false;
    a.other_over = &b.over;
    fiber_spawn(x->loop, NULL, wake_each_other, &a, &b.other);
    fiber_spawn(x->loop, NULL, wake_each_other, &b, &a.other);
    uv_timer_init(loop_uv(x->loop), &t);
    uv_timer_start(&t, on_timer_stop_spinning, 1, 0);
    loop_run(x->loop);
    assert_int_equal(loop_fibers(x->loop), 0);
}

static void stop_the_loop(struct fiber *self, void *arg) {
    (void)arg;
    loop_stop(fiber_loop(self));
}

static void on_timer_nothing(uv_timer_t *t) {
    (void)t;
}

static void loop_stop_ends_the_run_while_handles_live(void **state) {
    struct fixture *x = *state;
    uv_timer_t t;
    uv_timer_init(loop_uv(x->loop), &t);
    uv_timer_start(&t, on_timer_nothing, 1000000, 0);
    fiber_spawn(x->loop, NULL, stop_the_loop, NULL, NULL);
    loop_run(x->loop);
    assert_true(uv_is_active((uv_handle_t *)&t));
    uv_close((uv_handle_t *)&t, NULL);
    loop_run(x->loop);
}

static void a_loop_that_a_fiber_stopped_in_the_first_turn_can_be_freed(void **state) {
    (void)state;
    struct loop *l = loop_new(NULL);
    fiber_spawn(l, NULL, stop_the_loop, NULL, NULL);
    loop_run(l);
    loop_free(l); /* asserts that its own handles are closed */
}

/* ---- flushers -------------------------------------------------------------------------------------------
 */

struct tracing_flusher {
    struct flusher flusher;
    struct fixture *fixture;
    struct fiber *wake;
};

static void on_flush(struct flusher *f) {
    struct tracing_flusher *t = (struct tracing_flusher *)(void *)f;
    trace(&t->fixture->trace, '!');
    if (t->wake) fiber_wake(t->wake);
    t->wake = NULL;
}

static void append_and_flush_later(struct fiber *self, void *arg) {
    struct tracing_flusher *t = arg;
    trace(&t->fixture->trace, 'w');
    loop_flush_later(fiber_loop(self), &t->flusher);
}

static void a_flusher_runs_once_after_all_ready_fibers(void **state) {
    struct fixture *x = *state;
    struct tracing_flusher t = {.fixture = x};
    flusher_init(&t.flusher, on_flush);
    for (int i = 0; i < 3; i++) fiber_spawn(x->loop, NULL, append_and_flush_later, &t, NULL);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "www!");
}

static void a_fiber_woken_by_a_flusher_runs_in_the_same_turn(void **state) {
    struct fixture *x = *state;
    struct tracing_flusher t = {.fixture = x};
    struct parker p = start_parker(x, 'p');
    flusher_init(&t.flusher, on_flush);
    fiber_spawn(x->loop, NULL, park_once, &p, &t.wake);
    fiber_spawn(x->loop, NULL, append_and_flush_later, &t, NULL);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "w!p");
}

static void a_cancelled_flusher_does_not_run(void **state) {
    struct fixture *x = *state;
    struct tracing_flusher t = {.fixture = x};
    flusher_init(&t.flusher, on_flush);
    loop_flush_later(x->loop, &t.flusher);
    flusher_cancel(&t.flusher);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "");
}

/* ---- deadline and cancel --------------------------------------------------------------------------------
 */

static struct fiber_options in_ms(int64_t ms) {
    return (struct fiber_options){.deadline_ns = clock_mono_ns() + ms * NS_PER_MS};
}

static void wake_after_both(struct fiber *self, void *arg) {
    struct parker **p = arg;
    while (!p[0]->over || !p[1]->over) fiber_sleep_ms(self, 1);
    fiber_wake(p[2]->fiber);
}

static void a_parked_fiber_is_woken_when_its_deadline_passes(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p'), later = start_parker(x, 'l'), far = start_parker(x, 'f');
    struct fiber_options soon = in_ms(2), less_soon = in_ms(12), never = in_ms(3600 * 1000);
    fiber_spawn(x->loop, &never, park_once, &far, NULL);
    fiber_spawn(x->loop, &less_soon, park_once, &later, NULL);
    fiber_spawn(x->loop, &soon, park_once, &p, NULL);
    fiber_spawn(x->loop, NULL, wake_after_both, (struct parker *[]){&p, &later, &far}, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(later.result, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(far.result, 0);
}

static void a_park_after_the_deadline_returns_at_once(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber_options past = {.deadline_ns = 1};
    fiber_spawn(x->loop, &past, park_once, &p, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, ERR_DEADLINE_EXCEEDED);
}

static void a_deadline_far_away_does_not_hold_the_loop(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct wakers w = {&p, (const int[]){0}, 1};
    struct fiber_options far = in_ms(3600 * 1000);
    fiber_spawn(x->loop, &far, park_once, &p, NULL);
    fiber_spawn(x->loop, NULL, wake_in_order, &w, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, 0);
}

static void bring_deadline_forward(struct fiber *self, void *arg) {
    struct parker *p = arg;
    (void)self;
    fiber_set_deadline_ns(p->fiber, clock_mono_ns());
}

static void the_deadline_of_a_parked_fiber_can_be_brought_forward(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber_options far = in_ms(3600 * 1000);
    fiber_spawn(x->loop, &far, park_once, &p, NULL);
    fiber_spawn(x->loop, NULL, bring_deadline_forward, &p, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, ERR_DEADLINE_EXCEEDED);
}

static void cancel_it(struct fiber *self, void *arg) {
    struct parker *p = arg;
    (void)self;
    fiber_cancel(p->fiber);
    fiber_cancel(p->fiber);
}

static void a_parked_fiber_is_woken_when_it_is_cancelled(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    fiber_spawn(x->loop, NULL, park_once, &p, NULL);
    fiber_spawn(x->loop, NULL, cancel_it, &p, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, ERR_CANCELLED);
}

static void a_fiber_cancelled_before_it_runs_cannot_park(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber *f = NULL;
    fiber_spawn(x->loop, NULL, park_twice, &p, &f);
    fiber_cancel(f);
    assert_true(fiber_cancelled(f));
    loop_run(x->loop);
    assert_true(p.over);
    assert_int_equal(p.result, ERR_CANCELLED);
}

static void cancel_then_wake(struct fiber *self, void *arg) {
    struct parker *p = arg;
    (void)self;
    fiber_cancel(p->fiber);
    fiber_wake(p->fiber);
}

static void a_wake_between_the_interrupt_and_the_run_wins(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    fiber_spawn(x->loop, NULL, park_once, &p, NULL);
    fiber_spawn(x->loop, NULL, cancel_then_wake, &p, NULL);
    loop_run(x->loop);
    assert_int_equal(p.result, 0);
}

static void park_deaf(struct fiber *self, void *arg) {
    struct parker *p = arg;
    p->fiber = self;
    fiber_park_uninterruptible(self);
    p->over = true;
}

static void an_uninterruptible_park_ignores_cancel_and_deadline(void **state) {
    struct fixture *x = *state;
    struct parker p = start_parker(x, 'p');
    struct fiber_options past = {.deadline_ns = 1};
    fiber_spawn(x->loop, &past, park_deaf, &p, NULL);
    fiber_spawn(x->loop, NULL, cancel_it, &p, NULL);
    loop_run(x->loop);
    assert_false(p.over);
    fiber_wake(p.fiber);
    loop_run(x->loop);
    assert_true(p.over);
}

struct sleeper_case {
    struct fixture *fixture;
    int64_t ms;
    char name;
    int result;
};

static void sleep_and_trace(struct fiber *self, void *arg) {
    struct sleeper_case *c = arg;
    c->result = fiber_sleep_ms(self, c->ms);
    trace(&c->fixture->trace, c->name);
}

static void sleepers_wake_in_the_order_they_are_due(void **state) {
    struct fixture *x = *state;
    static const int64_t ms[] = {150, 30, 240, 90, 1, 210, 60, 180, 120};
    struct sleeper_case c[9];
    for (int i = 0; i < 9; i++) {
        c[i] = (struct sleeper_case){x, ms[i], (char)('0' + ms[i] / 30), -1};
        fiber_spawn(x->loop, NULL, sleep_and_trace, &c[i], NULL);
    }
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "012345678");
    assert_int_equal(c[4].result, 0);
}

static void a_sleeper_is_interrupted_by_its_deadline(void **state) {
    struct fixture *x = *state;
    struct sleeper_case c = {x, 3600 * 1000, 's', -1};
    struct fiber_options soon = in_ms(1);
    fiber_spawn(x->loop, &soon, sleep_and_trace, &c, NULL);
    loop_run(x->loop);
    assert_int_equal(c.result, ERR_DEADLINE_EXCEEDED);
}

static void thousands_of_sleepers_may_be_interrupted_in_any_order(void **state) {
    struct fixture *x = *state;
    enum { N = 2000 };
    struct sleeper_case *c = calloc(N, sizeof *c);
    struct fiber **f = calloc(N, sizeof *f);
    for (int i = 0; i < N; i++) {
        c[i] = (struct sleeper_case){x, 5 + (i * 7919) % 40, 's', -1};
        fiber_spawn(x->loop, NULL, sleep_and_trace, &c[i], &f[i]);
    }
    for (int i = 0; i < N; i += 3) fiber_cancel(f[(i * 17) % N]);
    loop_run(x->loop);
    int slept = 0, cancelled = 0;
    for (int i = 0; i < N; i++) {
        slept += c[i].result == 0;
        cancelled += c[i].result == ERR_CANCELLED;
    }
    assert_int_equal(slept + cancelled, N);
    assert_int_equal(cancelled, (N + 2) / 3);
    free(c);
    free(f);
}

/* ---- limits and life ------------------------------------------------------------------------------------
 */

static void ten_thousand_fibers_may_be_parked_at_once(void **state) {
    struct fixture *x = *state;
    enum { N = 10000 };
    struct parker *p = calloc(N, sizeof *p);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            p[i] = start_parker(x, '.');
            assert_int_equal(fiber_spawn(x->loop, NULL, park_once, &p[i], NULL), 0);
        }
        loop_run(x->loop);
        assert_int_equal(loop_fibers(x->loop), N);
        for (int i = 0; i < N; i++) fiber_wake(p[i].fiber);
        loop_run(x->loop);
        assert_int_equal(loop_fibers(x->loop), 0);
        for (int i = 0; i < N; i++) assert_true(p[i].over);
    }
    free(p);
}

static void more_fibers_than_allowed_are_refused(void **state) {
    (void)state;
    struct fixture x = {.loop = loop_new(&(struct loop_options){.max_fibers = 2})};
    struct parker p[3];
    struct fiber *f[2];
    for (int i = 0; i < 3; i++) p[i] = start_parker(&x, 'p');
    assert_int_equal(fiber_spawn(x.loop, NULL, park_once, &p[0], &f[0]), 0);
    assert_int_equal(fiber_spawn(x.loop, NULL, park_once, &p[1], &f[1]), 0);
    assert_int_equal(fiber_spawn(x.loop, NULL, park_once, &p[2], NULL), ERR_OVERLOADED);
    fiber_wake(f[0]);
    fiber_wake(f[1]);
    loop_run(x.loop);
    loop_free(x.loop);
}

static void use_arena(struct fiber *self, void *arg) {
    void **got = arg;
    got[0] = arena_try_alloc(fiber_arena(self), 100);
    got[1] = arena_try_alloc(fiber_arena(self), 4000);
}

static void a_fibers_arena_is_empty_at_start_and_has_its_limit(void **state) {
    struct fixture *x = *state;
    for (int i = 0; i < 3; i++) {
        void *got[2] = {NULL, NULL};
        struct fiber_options limited = {.arena_limit = 1000};
        fiber_spawn(x->loop, i == 1 ? NULL : &limited, use_arena, got, NULL);
        loop_run(x->loop);
        assert_non_null(got[0]);
        assert_int_equal(got[1] != NULL, i == 1);
    }
}

static void a_finished_fiber_is_kept_for_the_next_one_however_often_it_was_reused(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    struct fixture x = {.loop = loop_new(&(struct loop_options){.keep_stacks = 1})};
    long kept = 0;
    for (int i = 0; i < 4; i++) {
        void *got[2];
        assert_int_equal(fiber_spawn(x.loop, NULL, use_arena, got, NULL), 0);
        loop_run(x.loop);
        if (i == 0) kept = failing_malloc_blocks();
        assert_int_equal(failing_malloc_blocks(), kept);
    }
    loop_free(x.loop);
}

static void leave_behind(bool a_fiber, bool a_handle) {
    static uv_timer_t t;
    struct fixture x = {.loop = loop_new(NULL)};
    struct parker p = start_parker(&x, 'p');
    if (a_fiber) fiber_spawn(x.loop, NULL, park_once, &p, NULL);
    if (a_handle) uv_timer_init(loop_uv(x.loop), &t);
    loop_run(x.loop);
    loop_free(x.loop);
}

static int signal_of(bool a_fiber, bool a_handle) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(3);
        leave_behind(a_fiber, a_handle);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void loop_free_asserts_that_nothing_is_left(void **state) {
    (void)state;
    assert_int_equal(signal_of(false, false), 0);
    assert_int_equal(signal_of(true, false), SIGABRT);
    assert_int_equal(signal_of(false, true), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_LOOP(fibers_run_in_the_order_they_were_woken),
        WITH_LOOP(spawning_never_runs_the_fiber_inside_the_call),
        WITH_LOOP(a_wake_before_the_park_is_not_lost),
        WITH_LOOP(early_wakes_are_remembered_once),
        WITH_LOOP(a_callback_wakes_a_fiber_and_the_loop_ends_when_nothing_is_left),
        WITH_LOOP(a_fiber_woken_by_the_last_closing_handle_runs),
        WITH_LOOP(a_fiber_woken_while_polling_runs_before_the_loop_sleeps),
        WITH_LOOP(sleeping_zero_gives_way_once),
        WITH_LOOP(a_fiber_that_keeps_giving_way_does_not_starve_callbacks),
        WITH_LOOP(fibers_that_keep_waking_one_another_do_not_starve_callbacks),
        WITH_LOOP(loop_stop_ends_the_run_while_handles_live),
        cmocka_unit_test(a_loop_that_a_fiber_stopped_in_the_first_turn_can_be_freed),
        WITH_LOOP(a_flusher_runs_once_after_all_ready_fibers),
        WITH_LOOP(a_fiber_woken_by_a_flusher_runs_in_the_same_turn),
        WITH_LOOP(a_cancelled_flusher_does_not_run),
        WITH_LOOP(a_parked_fiber_is_woken_when_its_deadline_passes),
        WITH_LOOP(a_park_after_the_deadline_returns_at_once),
        WITH_LOOP(a_deadline_far_away_does_not_hold_the_loop),
        WITH_LOOP(the_deadline_of_a_parked_fiber_can_be_brought_forward),
        WITH_LOOP(a_parked_fiber_is_woken_when_it_is_cancelled),
        WITH_LOOP(a_fiber_cancelled_before_it_runs_cannot_park),
        WITH_LOOP(a_wake_between_the_interrupt_and_the_run_wins),
        WITH_LOOP(an_uninterruptible_park_ignores_cancel_and_deadline),
        WITH_LOOP(sleepers_wake_in_the_order_they_are_due),
        WITH_LOOP(a_sleeper_is_interrupted_by_its_deadline),
        WITH_LOOP(thousands_of_sleepers_may_be_interrupted_in_any_order),
        WITH_LOOP(ten_thousand_fibers_may_be_parked_at_once),
        cmocka_unit_test(more_fibers_than_allowed_are_refused),
        WITH_LOOP(a_fibers_arena_is_empty_at_start_and_has_its_limit),
        cmocka_unit_test(a_finished_fiber_is_kept_for_the_next_one_however_often_it_was_reused),
        cmocka_unit_test(loop_free_asserts_that_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
