/* Clocks, backoff, random bits. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"

static void monotonic_time_never_steps_back(void **state) {
    (void)state;
    int64_t last = clock_mono_ns();
    assert_true(last > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void coarse_time_is_the_same_of_a_little_while_ago(void **state) {
    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t before = clock_mono_ns(), coarse = clock_mono_coarse_ns();
        assert_true(coarse <= clock_mono_ns());
        assert_true(coarse >= before - CLOCK_COARSE_NS);
    }
}

static void wall_time_is_in_milliseconds_since_1970(void **state) {
    (void)state;
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
    assert_true(clock_wall_ms() < INT64_C(10000000000000));
}

static void backoff_doubles_up_to_its_cap(void **state) {
    (void)state;
    static const int64_t highest[] = {100, 200, 400, 800, 1000, 1000};
    for (unsigned attempt = 0; attempt < 6; attempt++) {
        bool above_last = attempt == 0;
        for (int i = 0; i < 5000; i++) {
            int64_t ms = backoff_ms(attempt, 100, 1000);
            assert_in_range(ms, 50, highest[attempt]);
            if (attempt && ms > highest[attempt - 1] - 10) above_last = true;
        }
        assert_true(above_last); /* it does use the room it has */
    }
}

static void backoff_stands_any_numbers(void **state) {
    (void)state;
    for (unsigned attempt = 0; attempt < 200; attempt++) {
        assert_true(backoff_ms(attempt, 1, INT64_MAX) >= 0);
        assert_true(backoff_ms(attempt, INT64_MAX, INT64_MAX) > 0);
        assert_in_range(backoff_ms(attempt, 0, 0), 0, 1);
        assert_in_range(backoff_ms(attempt, 100, 10), 10, 50);
    }
    assert_true(backoff_ms(UINT32_MAX, 1, 1000) <= 1000);
}

static void backoff_spreads_those_who_wait(void **state) {
    (void)state;
    int64_t lowest = INT64_MAX, highest = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t ms = backoff_ms(3, 1000, 100000);
        if (ms < lowest) lowest = ms;
        if (ms > highest) highest = ms;
    }
    assert_true(highest - lowest > 4000);
}

static void *take_one(void *out) {
    *(uint64_t *)out = random_u64();
    return NULL;
}

static void random_bits_differ_between_calls_and_threads(void **state) {
    (void)state;
    uint64_t seen[200], all = 0, none = UINT64_MAX;
    for (int i = 0; i < 100; i++) seen[i] = random_u64();
    for (int i = 100; i < 200; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, take_one, &seen[i]), 0);
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < 200; i++) {
        all |= seen[i];
        none &= seen[i];
        for (int k = 0; k < i; k++) assert_true(seen[i] != seen[k]);
    }
    assert_true(all == UINT64_MAX);
    assert_true(none == 0);
}

/* ---- a clock that follows another ---- */

static const int64_t THERE = INT64_C(1750000000000);

static void a_followed_clock_counts_on_by_the_monotonic_clock(void **state) {
    (void)state;
    struct followed_clock c = {0};
    int64_t ahead;
    assert_int_equal(followed_clock_ms(&c, NS_PER_S), 0);
    assert_true(followed_clock_sample(&c, 10 * NS_PER_S, 10 * NS_PER_S + 40 * NS_PER_MS, THERE, &ahead));
    assert_int_equal(ahead, 0);
    assert_int_equal(followed_clock_ms(&c, 10 * NS_PER_S + 40 * NS_PER_MS),
                     THERE + 20); /* half of the way there and back */
    assert_int_equal(followed_clock_ms(&c, 15 * NS_PER_S), THERE + 4980);
}

static void a_followed_clock_takes_no_sample_that_was_long_under_way(void **state) {
    (void)state;
    struct followed_clock c = {0};
    int64_t ahead;
    assert_false(followed_clock_sample(&c, 0, FOLLOWED_SAMPLE_MAX_NS + 1, THERE, &ahead));
    assert_int_equal(followed_clock_ms(&c, NS_PER_S), 0);
    assert_true(followed_clock_sample(&c, 0, FOLLOWED_SAMPLE_MAX_NS, THERE, &ahead));
    assert_false(followed_clock_sample(&c, 0, FOLLOWED_SAMPLE_MAX_NS + 1, THERE + 60000, &ahead));
    assert_int_equal(followed_clock_ms(&c, FOLLOWED_SAMPLE_MAX_NS), THERE + 500);
}

/* Samples at the same monotonic moment, each so far from what the clock shows. */
static void a_followed_clock_jumps_ahead_and_never_far_back(void **state) {
    (void)state;
    struct followed_clock c = {0};
    int64_t ahead;
    assert_true(followed_clock_sample(&c, NS_PER_S, NS_PER_S, THERE, &ahead));
    assert_true(followed_clock_sample(&c, NS_PER_S, NS_PER_S, THERE + 30000, &ahead));
    assert_int_equal(ahead, 30000);
    assert_int_equal(followed_clock_ms(&c, NS_PER_S), THERE + 30000);
    assert_true(followed_clock_sample(&c, NS_PER_S, NS_PER_S, THERE + 30000 - FOLLOWED_BACK_MAX_MS, &ahead));
    assert_int_equal(ahead, -FOLLOWED_BACK_MAX_MS);
    assert_int_equal(followed_clock_ms(&c, NS_PER_S), THERE + 30000 - FOLLOWED_BACK_MAX_MS);
    assert_true(followed_clock_sample(&c, NS_PER_S, NS_PER_S, THERE, &ahead));
    assert_int_equal(ahead, FOLLOWED_BACK_MAX_MS - 30000);
    assert_int_equal(followed_clock_ms(&c, 2 * NS_PER_S), THERE + 31000 - FOLLOWED_BACK_MAX_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_steps_back),
        cmocka_unit_test(coarse_time_is_the_same_of_a_little_while_ago),
        cmocka_unit_test(wall_time_is_in_milliseconds_since_1970),
        cmocka_unit_test(backoff_doubles_up_to_its_cap),
        cmocka_unit_test(backoff_stands_any_numbers),
        cmocka_unit_test(backoff_spreads_those_who_wait),
        cmocka_unit_test(random_bits_differ_between_calls_and_threads),
        cmocka_unit_test(a_followed_clock_counts_on_by_the_monotonic_clock),
        cmocka_unit_test(a_followed_clock_takes_no_sample_that_was_long_under_way),
        cmocka_unit_test(a_followed_clock_jumps_ahead_and_never_far_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
