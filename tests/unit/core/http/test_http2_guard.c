/* The budgets of an HTTP/2 connection: how much at once, how much with time, what useful frames earn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/http/http2_guard.h"

#define START_NS (1000 * NS_PER_S)

typedef bool take_fn(struct http2_guard *g, int64_t now_ns);

/* How many can be had at one moment. */
static int spend(struct http2_guard *g, take_fn *take, int64_t now_ns) {
    int n = 0;
    while (n < 100000 && take(g, now_ns)) n++;
    return n;
}

static void each_budget_has_its_burst(void **state) {
    struct http2_guard g;
    (void)state;
    http2_guard_init(&g, START_NS);
    assert_int_equal(spend(&g, http2_guard_reset, START_NS), 200);
    assert_int_equal(spend(&g, http2_guard_ping, START_NS), 60);
    assert_int_equal(spend(&g, http2_guard_settings, START_NS), 10);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS), 10000);
}

static void spend_all(struct http2_guard *g) {
    http2_guard_init(g, START_NS);
    spend(g, http2_guard_reset, START_NS);
    spend(g, http2_guard_ping, START_NS);
    spend(g, http2_guard_settings, START_NS);
    spend(g, http2_guard_frame, START_NS);
}

static void each_budget_refills_at_its_rate(void **state) {
    struct http2_guard g;
    int64_t now = START_NS + NS_PER_S;
    (void)state;
    spend_all(&g);
    assert_int_equal(spend(&g, http2_guard_reset, now), 20);
    assert_int_equal(spend(&g, http2_guard_ping, now), 2);
    assert_int_equal(spend(&g, http2_guard_frame, now), 1000);
    /* 10 a minute: one every 6 s and a little, since a rate is in whole thousandths a second. */
    assert_int_equal(spend(&g, http2_guard_settings, START_NS + 6 * NS_PER_S), 0);
    assert_int_equal(spend(&g, http2_guard_settings, START_NS + 7 * NS_PER_S), 1);
}

static void a_millisecond_counts(void **state) {
    struct http2_guard g;
    (void)state;
    spend_all(&g);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS + NS_PER_MS - 1), 0);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS + NS_PER_MS), 1);
}

static void asking_often_does_not_keep_a_budget_empty(void **state) {
    struct http2_guard g;
    int had = 0;
    (void)state;
    spend_all(&g);
    for (int64_t passed = 0; passed <= 2 * NS_PER_S; passed += 4 * NS_PER_MS / 10)
        had += http2_guard_ping(&g, START_NS + passed);
    assert_in_range(had, 3, 4);
}

static void a_clock_that_goes_back_changes_nothing(void **state) {
    struct http2_guard g;
    (void)state;
    spend_all(&g);
    assert_false(http2_guard_frame(&g, START_NS - NS_PER_S));
    assert_int_equal(spend(&g, http2_guard_frame, START_NS + NS_PER_S), 1000);
}

static void a_budget_is_never_more_than_its_burst(void **state) {
    struct http2_guard g;
    int64_t later = START_NS + 2 * 3600 * NS_PER_S, end = INT64_MAX;
    (void)state;
    spend_all(&g);
    assert_int_equal(spend(&g, http2_guard_reset, later), 200);
    assert_int_equal(spend(&g, http2_guard_ping, later), 60);
    assert_int_equal(spend(&g, http2_guard_settings, later), 10);
    assert_int_equal(spend(&g, http2_guard_frame, later), 10000);
    assert_int_equal(spend(&g, http2_guard_frame, end), 10000);
}

static void useful_frames_earn_four_others(void **state) {
    struct http2_guard g;
    (void)state;
    spend_all(&g);
    http2_guard_useful(&g);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS), 4);
    assert_int_equal(spend(&g, http2_guard_ping, START_NS), 0);
}

static void data_sent_earns_four_frames_and_a_ping(void **state) {
    struct http2_guard g;
    (void)state;
    spend_all(&g);
    http2_guard_sent_data(&g);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS), 4);
    assert_int_equal(spend(&g, http2_guard_ping, START_NS), 1);
    assert_int_equal(spend(&g, http2_guard_settings, START_NS), 0);
}

static void what_is_earned_does_not_pass_the_burst(void **state) {
    struct http2_guard g;
    (void)state;
    http2_guard_init(&g, START_NS);
    assert_true(http2_guard_frame(&g, START_NS));
    http2_guard_useful(&g);
    assert_int_equal(spend(&g, http2_guard_frame, START_NS), 10000);
}

static void what_is_late_is_what_was_on_its_way(void **state) {
    struct http2_guard g;
    (void)state;
    http2_guard_init(&g, START_NS);
    assert_true(http2_guard_late(&g));
    g.late_bytes++;
    assert_false(http2_guard_late(&g));
    http2_guard_allow_late(&g, 1000);
    g.late_bytes += 999;
    g.late_blocks += 2;
    assert_true(http2_guard_late(&g));
    g.late_blocks++;
    assert_false(http2_guard_late(&g));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_budget_has_its_burst),
        cmocka_unit_test(each_budget_refills_at_its_rate),
        cmocka_unit_test(a_millisecond_counts),
        cmocka_unit_test(asking_often_does_not_keep_a_budget_empty),
        cmocka_unit_test(a_clock_that_goes_back_changes_nothing),
        cmocka_unit_test(a_budget_is_never_more_than_its_burst),
        cmocka_unit_test(useful_frames_earn_four_others),
        cmocka_unit_test(data_sent_earns_four_frames_and_a_ping),
        cmocka_unit_test(what_is_earned_does_not_pass_the_burst),
        cmocka_unit_test(what_is_late_is_what_was_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
