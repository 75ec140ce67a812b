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
        struct http_stream s = {.wants = HTTP_WANTS_REST, .came_ns = START_NS};
        assert_int_equal(late_after_s(&s, cases[i].bytes_per_s), cases[i].late_after_s);
    }
}

static void a_body_has_its_time(void **state) {
    struct http_stream s = {
        .wants = HTTP_WANTS_REST, .came_ns = START_NS, .body_by_ns = START_NS + 100 * NS_PER_S};
    (void)state;
    assert_int_equal(late_after_s(&s, 100000), 100);
}

static void nobody_waits_for_a_body_that_is_complete_or_not_wanted(void **state) {
    struct http_stream ended = {.wants = HTTP_WANTS_REST,
                                .request_ended = true,
                                .came_ns = START_NS,
                                .body_by_ns = 1},
                       unwanted = {.came_ns = START_NS, .body_by_ns = 1, .silent_ns = 1};
    (void)state;
    assert_int_equal(late_after_s(&ended, 0), 0);
    assert_int_equal(late_after_s(&unwanted, 0), 0);
}

static void the_next_message_has_a_time_to_begin(void **state) {
    struct http_stream bounded = {.wants = HTTP_WANTS_MESSAGE,
                                  .came_ns = START_NS,
                                  .silent_ns = 20 * NS_PER_S},
                       patient = {.wants = HTTP_WANTS_MESSAGE, .came_ns = START_NS};
    (void)state;
    assert_int_equal(late_after_s(&bounded, 0), 21);
    assert_int_equal(late_after_s(&patient, 0), 0);
}

static void who_reads_our_answer_is_not_silent(void **state) {
    struct http_stream s = {.wants = HTTP_WANTS_MESSAGE,
                            .came_ns = START_NS,
                            .progress_ns = START_NS + 15 * NS_PER_S,
                            .silent_ns = 20 * NS_PER_S};
    (void)state;
    assert_int_equal(late_after_s(&s, 0), 36);
}

static int n_late;
static void count_late(struct http_stream *s) {
    n_late++;
    assert_int_equal(s->wants, HTTP_WANTS_NOTHING);
}

/* What the peer sent meanwhile has not been read. */
static void nobody_is_late_when_the_loop_stood_still(void **state) {
    struct http_server server = {.metrics = metrics_new(), .app.late = count_late, .stood_still = true};
    struct http_conn c = {.server = &server};
    struct http_stream s = {.conn = &c, .wants = HTTP_WANTS_REST, .came_ns = START_NS};
    int64_t later = START_NS + 3600 * NS_PER_S;
    (void)state;
    conn_check_body(&s, later);
    assert_int_equal(n_late, 0);
    server.stood_still = false; /* by the next sweep it has */
    conn_check_body(&s, later);
    conn_check_body(&s, later);
    assert_int_equal(n_late, 1);
    metrics_free(server.metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_has_a_least_rate),
        cmocka_unit_test(a_body_has_its_time),
        cmocka_unit_test(nobody_waits_for_a_body_that_is_complete_or_not_wanted),
        cmocka_unit_test(the_next_message_has_a_time_to_begin),
        cmocka_unit_test(who_reads_our_answer_is_not_silent),
        cmocka_unit_test(nobody_is_late_when_the_loop_stood_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
