/* What streams of both versions of HTTP have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/http/conn.h"

#define START_NS (1000 * NS_PER_S)

/* After how many seconds a body of so many bytes a second is late; 0: not within an hour. */
static int late_after_s(struct http_stream *s, size_t bytes_per_s) {
    for (int second = 1; second <= 3600; second++) {
        int64_t now = START_NS + second * NS_PER_S;
        if (bytes_per_s) http_received(s, bytes_per_s, now);
        if (http_is_late(s, now)) return second;
    }
    return 0;
}

static void a_body_has_a_least_rate(void **state) {
    static const struct {
        size_t bytes_per_s;
        int late_after_s;
    } cases[] = {{0, 31}, {1, 31}, {100, 31}, {132, 31}, {140, 0}, {100000, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_stream s = {.wants_body = true, .progress_ns = START_NS};
        assert_int_equal(late_after_s(&s, cases[i].bytes_per_s), cases[i].late_after_s);
    }
}

static void a_body_has_its_time(void **state) {
    struct http_stream s = {
        .wants_body = true, .progress_ns = START_NS, .body_by_ns = START_NS + 100 * NS_PER_S};
    (void)state;
    assert_int_equal(late_after_s(&s, 100000), 100);
}

static void nobody_waits_for_a_body_that_is_complete_or_not_wanted(void **state) {
    struct http_stream ended = {.wants_body = true,
                                .request_ended = true,
                                .progress_ns = START_NS,
                                .body_by_ns = 1},
                       unwanted = {.progress_ns = START_NS, .body_by_ns = 1};
    (void)state;
    assert_int_equal(late_after_s(&ended, 0), 0);
    assert_int_equal(late_after_s(&unwanted, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_has_a_least_rate),
        cmocka_unit_test(a_body_has_its_time),
        cmocka_unit_test(nobody_waits_for_a_body_that_is_complete_or_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
