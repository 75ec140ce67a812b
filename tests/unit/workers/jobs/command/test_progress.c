/* The line that says how far a command is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "workers/jobs/command/progress.h"

static void assert_line(const struct progress *p, int64_t now, const char *expected) {
    char line[PROGRESS_ROOM];
    assert_int_equal(progress_line(p, now, 100, line), strlen(expected));
    assert_string_equal(line, expected);
}

static void a_file_has_a_percentage_and_a_time_left(void **state) {
    (void)state;
    struct progress p = {.doing = "reading", .in_bytes = true, .done = 25, .size = 100, .began = 1000};
    assert_line(&p, 1500, "reading: 25 %"); /* too early for an estimate */
    assert_line(&p, 5000, "reading: 25 %, 12 s left");
    p.rows = 123456;
    assert_line(&p, 5000, "reading: 25 %, 123456 rows, 12 s left");
    p.rows = 1234567;
    assert_line(&p, 61000, "reading: 25 %, 1.2 M rows, 3 min left");
    assert_line(&p, 1000 + 3600 * 1000, "reading: 25 %, 1.2 M rows, 3.0 h left");
    p.done = 999;
    p.size = 1000;
    assert_line(&p, 3000, "reading: 99 %, 1.2 M rows, 1 s left");
    p.done = 1000;
    assert_line(&p, 3000, "reading: 100 %, 1.2 M rows");
    /* A file that has grown. */
    p.done = 2500000;
    assert_line(&p, 3000, "reading: 2.5 MB, 1.2 M rows");
}

static void a_pipe_has_bytes(void **state) {
    (void)state;
    struct progress p = {.doing = "reading", .in_bytes = true, .done = 12345678};
    assert_line(&p, 9000, "reading: 12.3 MB");
    p.done = 2345678901;
    assert_line(&p, 9000, "reading: 2.35 GB");
    /* One of several inputs is a pipe. */
    p.size = 4000000000;
    p.of_unknown_size = true;
    assert_line(&p, 9000, "reading: 2.35 GB");
    p.in_bytes = false;
    assert_line(&p, 9000, "reading");
}

static void it_is_no_wider_than_asked(void **state) {
    (void)state;
    struct progress p = {.doing = "reading", .in_bytes = true, .done = 25, .size = 100, .rows = 12345};
    char line[PROGRESS_ROOM];
    for (size_t columns = 0; columns < 60; columns++) {
        assert_true(progress_line(&p, 5000, columns, line) <= columns);
        assert_true(strlen(line) <= columns);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_a_percentage_and_a_time_left),
        cmocka_unit_test(a_pipe_has_bytes),
        cmocka_unit_test(it_is_no_wider_than_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
