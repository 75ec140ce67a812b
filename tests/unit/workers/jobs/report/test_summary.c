/* The line that sums up a command: what is said, what is left out, one and many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/report/summary.h"

static void assert_line(const struct summary *s, const char *expected) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    summary_write(s, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void says_what_a_command_has_a_notion_of(void **state) {
    (void)state;
    struct summary s = {.rows = 344, .dropped = 2};
    assert_line(&s, "344 rows read, 2 dropped\n");
    s.fills = true;
    assert_line(&s, "344 rows read, 2 dropped, 0 cells filled\n");
    summary_add(&s.filled, "knn", 11);
    summary_add(&s.filled, SUMMARY_BY_MEAN, 1);
    s.knows_left = true;
    s.slices = 3;
    summary_add(&s.statuses, "ok", 3);
    assert_line(&s,
                "344 rows read, 2 dropped, 12 cells filled (knn 11, mean of the column 1), 0 left missing; "
                "3 slices: 3 ok\n");
    summary_add(&s.statuses, "saturated", 1);
    summary_add(&s.more, "without a TPM", 5);
    s.tables = 2;
    s.slices = 4;
    assert_line(&s,
                "2 tables of 344 rows read, 2 dropped, 5 without a TPM, 12 cells filled (knn 11, mean of the "
                "column 1), 0 left missing; 4 slices: 3 ok, 1 saturated\n");
    struct summary parts = {.rows = 1, .tables = 1, .results = "2 parts of 2 slices"};
    assert_line(&parts, "1 table of 1 row read, 0 dropped; 2 parts of 2 slices\n");
}

static void adds_up_by_name(void **state) {
    (void)state;
    struct summary s = {.rows = 1, .fills = true, .slices = 1};
    char names[SUMMARY_COUNTS + 3][16];
    summary_add(&s.filled, "", 1);
    assert_line(&s, "1 row read, 0 dropped, 1 cell filled\n");
    summary_add(&s.filled, "mean", 0); /* nothing is not mentioned */
    summary_add(&s.filled, "mean", 2);
    summary_add(&s.filled, "mean", 3);
    assert_line(&s, "1 row read, 0 dropped, 6 cells filled (mean 5)\n");
    for (int i = 0; i < SUMMARY_COUNTS + 3; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        summary_add(&s.statuses, names[i], 1);
    }
    assert_int_equal(s.statuses.n, SUMMARY_COUNTS);
    assert_int_equal(s.statuses.count[SUMMARY_COUNTS - 1].n, 4); /* the last takes the rest */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_command_has_a_notion_of),
        cmocka_unit_test(adds_up_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
