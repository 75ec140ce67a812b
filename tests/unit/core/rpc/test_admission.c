/* Who runs and who waits: shares, turns, patience, and the limit that follows the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/rpc/admission.h"

#define START_NS (1000 * NS_PER_S)
enum { FLOOD = 1, HONEST, OTHER };

static struct admission a;

static int tear_down(void **state) {
    (void)state;
    admission_free(&a);
    return 0;
}

/* n calls of a party; returns how many run. */
static int enter(struct admission_call *c, int n, uint64_t party) {
    int running = 0;
    for (int i = 0; i < n; i++) {
        c[i] = (struct admission_call){.party = NULL};
        running += admission_enter(&a, &c[i], party, START_NS + i);
    }
    return running;
}

static void leave(struct admission_call *c, int n) {
    for (int i = 0; i < n; i++) admission_leave(&a, &c[i]);
}

static void below_the_limit_all_run(void **state) {
    struct admission_call c[10];
    (void)state;
    admission_init(&a, 10);
    assert_int_equal(enter(c, 10, FLOOD), 10);
    leave(c, 10);
    assert_int_equal(a.active, 0);
}

static void parties_that_went_are_forgotten_after_many_others(void **state) {
    struct admission_call c[3];
    (void)state;
    admission_init(&a, 2);
    for (uint64_t party = 1; party <= 20000; party++) {
        assert_int_equal(enter(c, 3, party), 2);
        leave(c, 3);
        assert_int_equal(a.active, 0);
        assert_true(a.parties.len < 5000);
    }
}

static void a_party_with_less_than_its_share_runs_at_once(void **state) {
    struct admission_call flood[20], honest[6], other[1];
    (void)state;
    admission_init(&a, 10);
    assert_int_equal(enter(flood, 20, FLOOD), 10);
    assert_int_equal(enter(honest, 6, HONEST), 5); /* a half */
    assert_int_equal(enter(other, 1, OTHER), 1);
    leave(flood, 20);
    leave(honest, 6);
    leave(other, 1);
}

static void everybody_has_one_call(void **state) {
    struct admission_call c[21];
    (void)state;
    admission_init(&a, 10);
    for (uint64_t i = 0; i < 20; i++) assert_int_equal(enter(&c[i], 1, 1 + i), 1);
    assert_int_equal(enter(&c[20], 1, 21), 0); /* within reason */
    leave(c, 21);
}

static void what_is_free_goes_to_parties_in_turns(void **state) {
    struct admission_call running[2], flood[50], honest[2];
    (void)state;
    admission_init(&a, 2);
    assert_int_equal(enter(running, 2, FLOOD), 2);
    assert_int_equal(enter(flood, 50, FLOOD), 0);
    assert_int_equal(enter(honest, 2, HONEST), 1);
    assert_null(admission_next(&a)); /* three run */
    admission_leave(&a, &running[0]);
    assert_null(admission_next(&a));
    admission_leave(&a, &running[1]);
    assert_ptr_equal(admission_next(&a), &flood[0]);
    admission_leave(&a, &flood[0]);
    assert_ptr_equal(admission_next(&a), &honest[1]);
    admission_leave(&a, &honest[0]);
    assert_ptr_equal(admission_next(&a), &flood[1]);
    leave(flood, 50);
    leave(honest, 2);
    assert_int_equal(a.waiting, 0);
}

static void as_many_wait_as_may_run(void **state) {
    struct admission_call c[20];
    (void)state;
    admission_init(&a, 10);
    enter(c, 19, FLOOD);
    assert_false(admission_is_full(&a, FLOOD));
    enter(&c[19], 1, FLOOD);
    assert_true(admission_is_full(&a, FLOOD));
    assert_false(admission_is_full(&a, HONEST));
    leave(c, 20);
}

static void patience_ends_in_the_order_of_coming(void **state) {
    struct admission_call c[4];
    (void)state;
    admission_init(&a, 1);
    enter(c, 4, FLOOD);
    int64_t end = START_NS + ADMISSION_WAIT_MS * NS_PER_MS;
    assert_null(admission_expired(&a, end));
    assert_ptr_equal(admission_expired(&a, end + 2), &c[1]);
    assert_ptr_equal(admission_expired(&a, end + 2), &c[2]);
    assert_null(admission_expired(&a, end + 2));
    assert_int_equal(a.waiting, 1);
    leave(c, 4);
}

static void leaving_twice_is_harmless(void **state) {
    struct admission_call c[2];
    (void)state;
    admission_init(&a, 1);
    enter(c, 2, FLOOD);
    leave(c, 2);
    leave(c, 2);
    assert_int_equal(a.running + a.waiting, 0);
}

/* Some intervals in which all calls were delayed by so much. */
static int64_t pass(int64_t now_ns, int intervals, int64_t delay_ms) {
    for (int i = 0; i < 20 * intervals; i++) {
        now_ns += ADMISSION_INTERVAL_MS * NS_PER_MS / 20;
        admission_delayed(&a, delay_ms * NS_PER_MS, now_ns);
    }
    return now_ns;
}

static void the_limit_follows_the_loop(void **state) {
    static struct admission_call c[1000];
    (void)state;
    admission_init(&a, 1000);
    enter(c, 400, FLOOD);
    int64_t now = pass(START_NS, 2, ADMISSION_DELAY_MS + 1);
    assert_in_range(a.limit, 200, 399);
    now = pass(now, 30, ADMISSION_DELAY_MS + 1);
    assert_int_equal(a.limit, ADMISSION_LEAST);
    now = pass(now, 1, ADMISSION_DELAY_MS);
    assert_in_range(a.limit, ADMISSION_LEAST + 1, 2 * ADMISSION_LEAST);
    pass(now, 30, 0);
    assert_true(a.limit > 400); /* it was reached again and again; then it is high enough */
    leave(c, 400);
}

static void the_limit_stays_when_it_is_not_reached(void **state) {
    struct admission_call c[10];
    (void)state;
    admission_init(&a, 1000);
    enter(c, 10, FLOOD);
    int64_t now = pass(START_NS, 3, 10 * ADMISSION_DELAY_MS);
    assert_int_equal(a.limit, ADMISSION_LEAST);
    pass(now, 30, 0);
    assert_int_equal(a.limit, ADMISSION_LEAST);
    leave(c, 10);
}

/* Whatever happens: nobody waits while there is room, and the counts are right. */
static void invariants_hold_under_random_use(void **state) {
    enum { N = 300 };
    static struct admission_call c[N];
    bool runs[N] = {false};
    (void)state;
    srandom(5);
    admission_init(&a, 40);
    for (int i = 0; i < N; i++) c[i] = (struct admission_call){.party = NULL};
    int64_t now = START_NS;
    for (int step = 0; step < 100000; step++) {
        int i = (int)(random() % N);
        now += random() % (2 * NS_PER_MS);
        if (c[i].party) {
            admission_leave(&a, &c[i]);
            runs[i] = false;
        } else if (!admission_is_full(&a, (uint64_t)(i % 7))) {
            runs[i] = admission_enter(&a, &c[i], (uint64_t)(i % 7), now);
        }
        struct admission_call *other;
        while ((other = admission_next(&a))) runs[other - c] = true;
        while ((other = admission_expired(&a, now))) assert_false(runs[other - c]);
        if (random() % 4 == 0) admission_delayed(&a, random() % (60 * NS_PER_MS), now);
        while ((other = admission_next(&a))) runs[other - c] = true;
        size_t running = 0, waiting = 0;
        for (int k = 0; k < N; k++) {
            running += c[k].party && runs[k];
            waiting += c[k].waits;
            assert_true(!c[k].party || runs[k] != c[k].waits);
        }
        assert_int_equal(running, a.running);
        assert_int_equal(waiting, a.waiting);
        assert_true(waiting == 0 || running >= a.limit);
        assert_true(running <= 2 * a.max && waiting <= a.max);
    }
    leave(c, N);
}

#define TEST(test) cmocka_unit_test_teardown(test, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(below_the_limit_all_run),
        TEST(parties_that_went_are_forgotten_after_many_others),
        TEST(a_party_with_less_than_its_share_runs_at_once),
        TEST(everybody_has_one_call),
        TEST(what_is_free_goes_to_parties_in_turns),
        TEST(as_many_wait_as_may_run),
        TEST(patience_ends_in_the_order_of_coming),
        TEST(leaving_twice_is_harmless),
        TEST(the_limit_follows_the_loop),
        TEST(the_limit_stays_when_it_is_not_reached),
        TEST(invariants_hold_under_random_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
