/* Snowflake ids: order, uniqueness, clocks that step back, leases that run out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/id/snowflake.h"

#define T0 (SNOWFLAKE_EPOCH_MS + INT64_C(1000000000))
#define FAR_LEASE (T0 + INT64_C(1000000000))

static void carries_time_node_and_sequence(void **state) {
    (void)state;
    struct snowflake s;
    snowflake_init(&s, 1023, FAR_LEASE);
    assert_int_equal(snowflake_next(&s, T0), INT64_C(1000000000) << 22 | INT64_C(1023) << 12);
    assert_int_equal(snowflake_next(&s, T0), INT64_C(1000000000) << 22 | INT64_C(1023) << 12 | 1);
    assert_int_equal(snowflake_next(&s, T0 + 1), INT64_C(1000000001) << 22 | INT64_C(1023) << 12);
}

static void ascends_whatever_the_clock_does(void **state) {
    (void)state;
    static const int64_t steps[] = {0, 1, -1, -500, 3, 1000, -999, 0};
    struct snowflake s;
    int64_t last = 0, now = T0;
    snowflake_init(&s, 7, FAR_LEASE);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        now += steps[i];
        for (int k = 0; k < 1000; k++) {
            int64_t id = snowflake_next(&s, now);
            assert_true(id > last);
            last = id;
        }
    }
}

static void borrows_milliseconds_up_to_a_second_ahead(void **state) {
    (void)state;
    struct snowflake s;
    int64_t made = 0, last = 0, id;
    snowflake_init(&s, 1, FAR_LEASE);
    while ((id = snowflake_next(&s, T0)) != 0) {
        assert_true(id > last);
        last = id;
        made++;
    }
    assert_int_equal(made, 4096 * 1001);
    assert_int_equal(snowflake_time_ms(last), T0 + 1000);
    assert_int_equal(snowflake_next(&s, T0), 0);
    assert_true(snowflake_next(&s, T0 + 1) > last); /* time catches up */
}

static void makes_none_when_the_clock_is_far_behind(void **state) {
    (void)state;
    struct snowflake s;
    snowflake_init(&s, 1, FAR_LEASE);
    int64_t first = snowflake_next(&s, T0);
    assert_int_equal(snowflake_next(&s, T0 - 1001), 0);
    assert_true(snowflake_next(&s, T0 - 1000) > first);
}

static void makes_none_once_the_lease_has_run_out(void **state) {
    (void)state;
    struct snowflake s;
    snowflake_init(&s, 1, T0);
    assert_true(snowflake_next(&s, T0 - 1) > 0);
    assert_int_equal(snowflake_next(&s, T0), 0);
    s.lease_until_ms = T0 + 10; /* renewed */
    assert_true(snowflake_next(&s, T0) > 0);
}

/* Else the next holder of the node number, who begins at that time, could make the same id. */
static void borrows_no_time_beyond_the_lease(void **state) {
    (void)state;
    struct snowflake s;
    int64_t id, last = 0;
    snowflake_init(&s, 1, T0 + 2);
    while ((id = snowflake_next(&s, T0)) != 0) last = id;
    assert_int_equal(snowflake_time_ms(last), T0 + 1);
}

static void makes_none_outside_its_epoch(void **state) {
    (void)state;
    struct snowflake s;
    snowflake_init(&s, 0, INT64_MAX);
    assert_int_equal(snowflake_next(&s, 0), 0);
    assert_int_equal(snowflake_next(&s, SNOWFLAKE_EPOCH_MS), 0); /* the id would be 0 */
    assert_true(snowflake_next(&s, SNOWFLAKE_EPOCH_MS + 1) > 0);
    assert_int_equal(snowflake_next(&s, SNOWFLAKE_EPOCH_MS + (INT64_C(1) << 41)), 0);
    assert_true(snowflake_next(&s, SNOWFLAKE_EPOCH_MS + (INT64_C(1) << 41) - 1) > 0);
}

static void converts_between_ids_and_times(void **state) {
    (void)state;
    struct snowflake s;
    snowflake_init(&s, 512, FAR_LEASE);
    int64_t id = snowflake_next(&s, T0);
    assert_int_equal(snowflake_time_ms(id), T0);
    assert_true(snowflake_floor(T0) <= id);
    assert_true(snowflake_floor(T0 + 1) > id);
    assert_int_equal(snowflake_floor(SNOWFLAKE_EPOCH_MS - 1), 0);
    assert_int_equal(snowflake_floor(0), 0);
    assert_true(snowflake_floor(INT64_MAX) > 0);
    assert_int_equal(snowflake_time_ms(0), SNOWFLAKE_EPOCH_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_time_node_and_sequence),
        cmocka_unit_test(ascends_whatever_the_clock_does),
        cmocka_unit_test(borrows_milliseconds_up_to_a_second_ahead),
        cmocka_unit_test(makes_none_when_the_clock_is_far_behind),
        cmocka_unit_test(makes_none_once_the_lease_has_run_out),
        cmocka_unit_test(borrows_no_time_beyond_the_lease),
        cmocka_unit_test(makes_none_outside_its_epoch),
        cmocka_unit_test(converts_between_ids_and_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
