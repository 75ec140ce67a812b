/* Rates: a burst, then one an interval, whatever the callers do; checked against a bucket that is counted out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/limit/gcra.h"

#define START_NS (1000 * NS_PER_S)

static int64_t spend(int64_t *state, struct rate r, int64_t now_ns) {
    int64_t n = 0;
    while (n < 1000000 && gcra_take(state, r, now_ns) == 0) n++;
    return n;
}

static void a_burst_then_one_an_interval(void **state) {
    (void)state;
    struct rate r = rate_of(10, 1, 3);
    int64_t s = 0;
    assert_int_equal(r.interval_ns, NS_PER_S / 10);
    assert_int_equal(spend(&s, r, START_NS), 30);
    assert_int_equal(gcra_wait(s, r, START_NS), r.interval_ns);
    assert_int_equal(spend(&s, r, START_NS + r.interval_ns - 1), 0);
    assert_int_equal(spend(&s, r, START_NS + r.interval_ns), 1);
    assert_int_equal(spend(&s, r, START_NS + 11 * r.interval_ns), 10);
}

static void refused_calls_take_nothing(void **state) {
    (void)state;
    struct rate r = rate_of(5, 1, 1);
    int64_t s = 0;
    spend(&s, r, START_NS);
    int64_t before = s;
    for (int i = 0; i < 1000; i++) assert_true(gcra_take(&s, r, START_NS + i) > 0);
    assert_int_equal(s, before);
    assert_int_equal(spend(&s, r, START_NS + NS_PER_S), 5);
}

static void the_wait_it_says_is_long_enough_and_not_longer(void **state) {
    (void)state;
    struct rate r = rate_of(7, 60, 1);
    int64_t s = 0;
    spend(&s, r, START_NS);
    int64_t now = START_NS + 12345, wait = gcra_wait(s, r, now);
    assert_true(wait > 0);
    assert_true(gcra_wait(s, r, now + wait - 1) > 0);
    assert_int_equal(gcra_wait(s, r, now + wait), 0);
}

static void a_long_pause_fills_the_burst_and_no_more(void **state) {
    (void)state;
    struct rate r = rate_of(100, 3600, 1);
    int64_t s = 0;
    spend(&s, r, START_NS);
    assert_int_equal(spend(&s, r, START_NS + 86400 * NS_PER_S), 100);
}

static void giving_back_is_as_if_it_had_not_been_taken(void **state) {
    (void)state;
    struct rate r = rate_of(4, 1, 1);
    for (int64_t at = 0; at < 2 * NS_PER_S; at += NS_PER_S / 10) {
        int64_t with = 0, without = 0;
        assert_int_equal(gcra_take(&with, r, START_NS), 0);
        gcra_take(&without, r, START_NS);
        assert_int_equal(gcra_take(&with, r, START_NS + 5), 0);
        gcra_give_back(&with, r);
        assert_int_equal(spend(&with, r, START_NS + 5 + at), spend(&without, r, START_NS + 5 + at));
    }
}

static void one_an_hour_and_a_million_a_second(void **state) {
    (void)state;
    struct rate slow = rate_of(1, 3600, 1), fast = rate_of(1000000, 1, 10);
    int64_t s = 0, f = 0;
    assert_int_equal(spend(&s, slow, START_NS), 1);
    assert_int_equal(spend(&s, slow, START_NS + 3599 * NS_PER_S), 0);
    assert_int_equal(spend(&s, slow, START_NS + 3600 * NS_PER_S), 1);
    assert_int_equal(fast.burst, 10000000);
    assert_int_equal(gcra_take(&f, fast, START_NS), 0);
    assert_int_equal(rate_of(1000000000, 1, 1).interval_ns, 1);
}

/* A bucket counted in ns of its refill. */
static bool reference(int64_t *filled_ns, int64_t *at_ns, struct rate r, int64_t now_ns) {
    *filled_ns += now_ns - *at_ns;
    if (*filled_ns > r.burst * r.interval_ns) *filled_ns = r.burst * r.interval_ns;
    *at_ns = now_ns;
    if (*filled_ns < r.interval_ns) return false;
    *filled_ns -= r.interval_ns;
    return true;
}

static void it_decides_as_a_bucket_that_is_counted_out(void **state) {
    (void)state;
    srandom(7);
    for (int round = 0; round < 200; round++) {
        struct rate r = rate_of(1 + random() % 50, 1 + random() % 60, 1 + random() % 10);
        int64_t s = 0, now = START_NS, filled = r.burst * r.interval_ns, at = now;
        for (int i = 0; i < 500; i++) {
            now += random() % 3 ? random() % (2 * r.interval_ns + 1) : random() % 100;
            assert_int_equal(gcra_take(&s, r, now) == 0, reference(&filled, &at, r, now));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_one_an_interval),
        cmocka_unit_test(refused_calls_take_nothing),
        cmocka_unit_test(the_wait_it_says_is_long_enough_and_not_longer),
        cmocka_unit_test(a_long_pause_fills_the_burst_and_no_more),
        cmocka_unit_test(giving_back_is_as_if_it_had_not_been_taken),
        cmocka_unit_test(one_an_hour_and_a_million_a_second),
        cmocka_unit_test(it_decides_as_a_bucket_that_is_counted_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
