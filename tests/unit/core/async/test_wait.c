/* What fibers wait on: semaphores, conditions, latches, work on the thread pool. Order and outcomes are checked, never
 * elapsed times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/async/loop.h"
#include "core/base/clock.h"
#include "tests/unit/support/traced_loop.h"

/* ---- semaphore, condition, latch ------------------------------------------------------------------------
 */

struct worker {
    struct fixture *fixture;
    struct semaphore *semaphore;
    struct fiber *fiber;
    char name;
    int result;
    int64_t hold_ms;
};

static void acquire_and_hold(struct fiber *self, void *arg) {
    struct worker *w = arg;
    w->fiber = self;
    w->result = semaphore_acquire(self, w->semaphore);
    if (w->result != 0) return;
    trace(&w->fixture->trace, w->name);
    fiber_sleep_ms(self, w->hold_ms);
    semaphore_release(w->semaphore);
}

static void spawn_workers(struct fixture *x, struct semaphore *s, struct worker *w, int n, int64_t hold_ms) {
    for (int i = 0; i < n; i++) {
        w[i] = (struct worker){x, s, NULL, (char)('a' + i), -1, hold_ms};
        fiber_spawn(x->loop, NULL, acquire_and_hold, &w[i], NULL);
    }
}

static void a_semaphore_serves_first_come_first(void **state) {
    struct fixture *x = *state;
    struct semaphore s;
    struct worker w[6];
    semaphore_init(&s, 2, 10);
    spawn_workers(x, &s, w, 6, 1);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "abcdef");
    assert_int_equal(s.available, 2);
    assert_int_equal(s.waiting, 0);
}

static void a_semaphore_refuses_more_waiters_than_its_cap(void **state) {
    struct fixture *x = *state;
    struct semaphore s;
    struct worker w[3];
    semaphore_init(&s, 1, 1);
    spawn_workers(x, &s, w, 3, 1);
    loop_run(x->loop);
    assert_int_equal(w[2].result, ERR_OVERLOADED);
    assert_int_equal(w[1].result, 0);
}

static void cancel_worker(struct fiber *self, void *arg) {
    (void)self;
    fiber_cancel(((struct worker *)arg)->fiber);
}

static void a_cancelled_waiter_leaves_the_semaphores_queue(void **state) {
    struct fixture *x = *state;
    struct semaphore s;
    struct worker w[3];
    semaphore_init(&s, 1, 10);
    spawn_workers(x, &s, w, 3, 1);
    fiber_spawn(x->loop, NULL, cancel_worker, &w[1], NULL);
    loop_run(x->loop);
    assert_int_equal(w[1].result, ERR_CANCELLED);
    assert_string_equal(x->trace.text, "ac");
    assert_int_equal(s.available, 1);
    assert_int_equal(s.waiting, 0);
}

struct handover {
    struct semaphore *semaphore;
    struct worker *waiter;
    bool cancel_first;
};

static void release_and_cancel(struct fiber *self, void *arg) {
    struct handover *h = arg;
    (void)self;
    if (h->cancel_first) fiber_cancel(h->waiter->fiber);
    semaphore_release(h->semaphore);
    fiber_cancel(h->waiter->fiber);
}

/* Neither order may lose the unit: either the waiter has it, and gives it back, or it is free. */
static void a_unit_handed_over_while_its_waiter_is_cancelled_is_not_lost(void **state) {
    struct fixture *x = *state;
    for (int cancel_first = 0; cancel_first <= 1; cancel_first++) {
        struct semaphore s;
        struct worker w[1];
        struct handover h = {&s, w, cancel_first == 1};
        semaphore_init(&s, 0, 10);
        spawn_workers(x, &s, w, 1, 0);
        fiber_spawn(x->loop, NULL, release_and_cancel, &h, NULL);
        loop_run(x->loop);
        assert_int_equal(w[0].result, 0);
        assert_int_equal(s.available, 1);
        assert_int_equal(s.waiting, 0);
    }
}

struct condition_case {
    struct fixture *fixture;
    struct condition *condition;
    char name;
    int result;
};

static void wait_for_condition(struct fiber *self, void *arg) {
    struct condition_case *c = arg;
    c->result = condition_wait(self, c->condition);
    trace(&c->fixture->trace, c->name);
}

static void signal_then_broadcast(struct fiber *self, void *arg) {
    struct condition_case *c = arg;
    condition_signal(c->condition);
    fiber_sleep_ms(self, 0);
    trace(&c->fixture->trace, '|');
    condition_broadcast(c->condition);
}

static void a_condition_signals_one_and_broadcasts_to_all(void **state) {
    struct fixture *x = *state;
    struct condition cond;
    struct condition_case c[4];
    condition_init(&cond);
    for (int i = 0; i < 4; i++) {
        c[i] = (struct condition_case){x, &cond, (char)('a' + i), -1};
        fiber_spawn(x->loop, NULL, i < 3 ? wait_for_condition : signal_then_broadcast, &c[i], NULL);
    }
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "a|bc");
}

static void a_waiter_for_a_condition_is_interrupted_by_its_deadline(void **state) {
    struct fixture *x = *state;
    struct condition cond;
    struct fiber_options soon = {.deadline_ns = clock_mono_ns() + NS_PER_MS};
    condition_init(&cond);
    struct condition_case c = {x, &cond, 'a', -1};
    fiber_spawn(x->loop, &soon, wait_for_condition, &c, NULL);
    loop_run(x->loop);
    assert_int_equal(c.result, ERR_DEADLINE_EXCEEDED);
    assert_true(list_empty(&cond.waiters));
}

struct latch_case {
    struct latch latch;
    struct fixture *fixture;
    int result;
};

static void wait_for_latch(struct fiber *self, void *arg) {
    struct latch_case *c = arg;
    c->result = latch_wait(self, &c->latch);
    trace(&c->fixture->trace, 'L');
}

static void finish_one(struct fiber *self, void *arg) {
    struct latch_case *c = arg;
    (void)self;
    trace(&c->fixture->trace, 'd');
    latch_done(&c->latch);
}

static void a_latch_opens_when_all_are_done(void **state) {
    struct fixture *x = *state;
    struct latch_case c = {.fixture = x, .result = -1};
    latch_init(&c.latch, 3);
    fiber_spawn(x->loop, NULL, wait_for_latch, &c, NULL);
    for (int i = 0; i < 3; i++) fiber_spawn(x->loop, NULL, finish_one, &c, NULL);
    loop_run(x->loop);
    assert_int_equal(c.result, 0);
    assert_string_equal(x->trace.text, "dddL");
}

static void a_latch_of_none_is_open(void **state) {
    struct fixture *x = *state;
    struct latch_case c = {.fixture = x, .result = -1};
    latch_init(&c.latch, 0);
    fiber_spawn(x->loop, NULL, wait_for_latch, &c, NULL);
    loop_run(x->loop);
    assert_int_equal(c.result, 0);
}

/* ---- offload --------------------------------------------------------------------------------------------
 */

struct offload_case {
    int ran;
    int result;
    int64_t work_ms;
    struct fiber *fiber;
};

static void work(void *arg) {
    struct offload_case *c = arg;
    usleep((useconds_t)(c->work_ms * 1000));
    c->ran = 1;
}

static void offload_it(struct fiber *self, void *arg) {
    struct offload_case *c = arg;
    c->fiber = self;
    c->result = fiber_offload(self, work, c);
}

static void offloaded_work_runs_before_the_fiber_goes_on(void **state) {
    struct fixture *x = *state;
    struct offload_case c[20] = {0};
    for (int i = 0; i < 20; i++) {
        c[i] = (struct offload_case){.result = -1, .work_ms = 1};
        fiber_spawn(x->loop, NULL, offload_it, &c[i], NULL);
    }
    loop_run(x->loop);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(c[i].result, 0);
        assert_true(c[i].ran);
    }
}

enum { HELD = 40 };

/* Work that ends when the test says so. */
struct held {
    struct fiber *fiber;
    int result;
    atomic_int *started;
    atomic_bool *release;
    atomic_bool running;
    bool over, early;
};

static void hold(void *arg) {
    struct held *h = arg;
    atomic_store(&h->running, true);
    atomic_fetch_add(h->started, 1);
    while (!atomic_load(h->release)) usleep(500);
    atomic_store(&h->running, false);
}

static void offload_held(struct fiber *self, void *arg) {
    struct held *h = arg;
    h->fiber = self;
    h->result = fiber_offload(self, hold, h);
    h->early = atomic_load(&h->running);
    h->over = true;
}

static int count_over(const struct held *h) {
    int over = 0;
    for (int i = 0; i < HELD; i++) over += h[i].over;
    return over;
}

static void cancel_then_release(struct fiber *self, void *arg) {
    struct held *h = arg;
    while (atomic_load(h->started) == 0) fiber_sleep_ms(self, 1);
    for (int i = 0; i < HELD; i++) fiber_cancel(h[i].fiber);
    while (count_over(h) == 0) fiber_sleep_ms(self, 1); /* those that never get a thread */
    atomic_store(h->release, true);
}

/* Far more than the pool has threads. AddressSanitizer watches over the structs that the threads use. */
static void an_interrupted_offload_returns_only_when_its_work_is_over(void **state) {
    struct fixture *x = *state;
    struct held h[HELD];
    atomic_int started = 0;
    atomic_bool release = false;
    for (int i = 0; i < HELD; i++) {
        h[i] = (struct held){.result = -1, .started = &started, .release = &release};
        fiber_spawn(x->loop, NULL, offload_held, &h[i], NULL);
    }
    fiber_spawn(x->loop, NULL, cancel_then_release, h, NULL);
    loop_run(x->loop);
    for (int i = 0; i < HELD; i++) {
        assert_int_equal(h[i].result, ERR_CANCELLED);
        assert_false(h[i].early);
    }
    assert_int_equal(count_over(h), HELD);
    assert_in_range(atomic_load(&started), 1, HELD - 1);
}

static void offload_refuses_more_than_its_queue_holds(void **state) {
    struct fixture *x = *state;
    enum { N = 1100 };
    struct offload_case *c = calloc(N, sizeof *c);
    for (int i = 0; i < N; i++) fiber_spawn(x->loop, NULL, offload_it, &c[i], NULL);
    loop_run(x->loop);
    int refused = 0;
    for (int i = 0; i < N; i++) refused += c[i].result == ERR_OVERLOADED;
    assert_int_equal(refused, N - 1024);
    free(c);
}

/* ---- watching another fiber ----------------------------------------------------------------------------- */

struct watched {
    struct fixture *fixture;
    struct fiber *fiber;
    uint64_t asleep[2], next, offloaded, ready;
    struct offload_case offload;
};

static void be_watched(struct fiber *self, void *arg) {
    struct watched *w = arg;
    w->fiber = self;
    fiber_sleep_ms(self, 30);
    trace(&w->fixture->trace, 'b');
    fiber_sleep_ms(self, 30);
    trace(&w->fixture->trace, 'c');
    fiber_offload(self, work, &w->offload);
}

static void before_it_goes_on(struct fiber *self, void *arg) {
    struct watched *w = arg;
    fiber_sleep_ms(self, 5);
    trace(&w->fixture->trace, 'a');
}

static void await_trace(struct fiber *self, struct watched *w, size_t letters) {
    while (strlen(w->fixture->trace.text) < letters) fiber_sleep_ms(self, 1);
}

static void watch_it(struct fiber *self, void *arg) {
    struct watched *w = arg;
    w->asleep[0] = fiber_wait_number(w->fiber);
    fiber_sleep_ms(self, 1);
    w->asleep[1] = fiber_wait_number(w->fiber);
    fiber_on_resume(w->fiber, before_it_goes_on, w);
    await_trace(self, w, 2);
    w->next = fiber_wait_number(w->fiber);
    await_trace(self, w, 3);
    w->offloaded = fiber_wait_number(w->fiber);
    fiber_cancel(w->fiber); /* it waits for its work all the same */
    w->ready = fiber_wait_number(w->fiber);
}

static void a_wait_has_a_number_and_what_runs_at_its_end(void **state) {
    struct fixture *x = *state;
    struct watched w = {.fixture = x, .offload = {.work_ms = 20}};
    fiber_spawn(x->loop, NULL, be_watched, &w, NULL);
    fiber_spawn(x->loop, NULL, watch_it, &w, NULL);
    loop_run(x->loop);
    assert_string_equal(x->trace.text, "abc");
    assert_true(w.asleep[0] > 0);
    assert_true(w.asleep[0] == w.asleep[1]);
    assert_true(w.next > w.asleep[0]);
    assert_true(w.offloaded == 0);
    assert_true(w.ready == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_LOOP(a_semaphore_serves_first_come_first),
        WITH_LOOP(a_semaphore_refuses_more_waiters_than_its_cap),
        WITH_LOOP(a_cancelled_waiter_leaves_the_semaphores_queue),
        WITH_LOOP(a_unit_handed_over_while_its_waiter_is_cancelled_is_not_lost),
        WITH_LOOP(a_condition_signals_one_and_broadcasts_to_all),
        WITH_LOOP(a_waiter_for_a_condition_is_interrupted_by_its_deadline),
        WITH_LOOP(a_latch_opens_when_all_are_done),
        WITH_LOOP(a_latch_of_none_is_open),
        WITH_LOOP(a_wait_has_a_number_and_what_runs_at_its_end),
        WITH_LOOP(offloaded_work_runs_before_the_fiber_goes_on),
        WITH_LOOP(an_interrupted_offload_returns_only_when_its_work_is_over),
        WITH_LOOP(offload_refuses_more_than_its_queue_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
