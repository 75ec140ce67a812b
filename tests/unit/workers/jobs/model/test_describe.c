/* Describing a dataset: types, gaps and slices per column, in bounded pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "workers/jobs/model/describe.h"

struct text {
    const char *at;
    size_t left;
};

static ssize_t read_text(void *context, char *at, size_t room) {
    struct text *t = context;
    size_t n = t->left < room ? t->left : room;
    memcpy(at, t->at, n);
    t->at += n;
    t->left -= n;
    return (ssize_t)n;
}

struct described {
    struct text text;
    struct dataset dataset;
    struct describe describe;
    struct jobs_error error;
};

/* Reads it all, `rows` at a time; returns how many pieces that took. */
static size_t read_all(struct described *d, const char *csv, size_t rows) {
    static const struct dataset_options plain;
    *d = (struct described){.text = {csv, strlen(csv)}};
    assert_true(
        dataset_open(&d->dataset, "the data", (struct csv_source){read_text, &d->text}, &plain, &d->error));
    assert_true(describe_open(&d->describe, &d->dataset, &d->error));
    size_t pieces = 1;
    enum dataset_status status;
    while ((status = describe_rows(&d->describe, rows, &d->error)) == DATASET_ROW) pieces++;
    assert_int_equal(status, DATASET_END);
    return pieces;
}

static void close_all(struct described *d) {
    describe_close(&d->describe);
    dataset_close(&d->dataset);
}

/* The slices of a column, joined by blanks. */
static void assert_slices(const struct described *d, size_t column, const char *wanted) {
    struct slice_cell cells[DESCRIBE_SLICES];
    char text[1024] = "";
    size_t n = describe_slices(&d->describe, column, cells);
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, i ? " %.*s" : "%.*s", (int)cells[i].length,
                               cells[i].text);
    assert_string_equal(text, wanted);
}

static void types_gaps_and_slices_are_found(void **state) {
    (void)state;
    struct described d;
    read_all(&d, "a,b,c\n10,x,1\n9,,1\n10,NA,1.5\n,\"NA\",2\n", 100);
    assert_int_equal(d.dataset.n_rows, 4);
    assert_int_equal(d.dataset.columns[0].type, COLUMN_INTEGER);
    assert_int_equal(d.dataset.columns[1].type, COLUMN_TEXT);
    assert_int_equal(d.dataset.columns[2].type, COLUMN_DOUBLE);
    assert_int_equal(d.dataset.columns[0].n_missing, 1);
    assert_int_equal(d.dataset.columns[1].n_missing, 2);
    assert_int_equal(slice_keys_count(d.describe.columns[0].keys), 3); /* the missing cell is one */
    assert_slices(&d, 0, "9 10");
    assert_slices(&d, 1, "NA x");
    assert_slices(&d, 2, "1 1.5 2");
    close_all(&d);
}

static void pieces_change_nothing(void **state) {
    (void)state;
    struct described d;
    assert_int_equal(read_all(&d, "k\nb\na\nc\na\n", 1), 5);
    assert_slices(&d, 0, "a b c");
    close_all(&d);
}

static void distinct_values_are_counted_up_to_a_cap(void **state) {
    (void)state;
    static char csv[(DESCRIBE_DISTINCT_MAX + 500) * 8];
    size_t at = (size_t)sprintf(csv, "n,same\n");
    for (int i = DESCRIBE_DISTINCT_MAX + 400; i > 0; i--) at += (size_t)sprintf(csv + at, "%d,0\n", i);
    struct described d;
    read_all(&d, csv, 7);
    assert_true(d.describe.columns[0].more);
    assert_int_equal(slice_keys_count(d.describe.columns[0].keys), DESCRIBE_DISTINCT_MAX + 1);
    assert_false(d.describe.columns[1].more);
    struct slice_cell cells[DESCRIBE_SLICES];
    assert_int_equal(describe_slices(&d.describe, 0, cells), DESCRIBE_SLICES);
    close_all(&d);
}

static void values_too_long_to_show_are_passed_over(void **state) {
    (void)state;
    char csv[DESCRIBE_VALUE_MAX + 32] = "k\nb\n";
    memset(csv + 4, 'a', DESCRIBE_VALUE_MAX + 1);
    strcpy(csv + 4 + DESCRIBE_VALUE_MAX + 1, "\n");
    struct described d;
    read_all(&d, csv, 100);
    assert_slices(&d, 0, "b");
    close_all(&d);
}

static void an_error_says_where(void **state) {
    (void)state;
    static const struct dataset_options plain;
    struct described d = {.text = {"a,b\n1,2\n3\n", 10}};
    assert_true(
        dataset_open(&d.dataset, "the data", (struct csv_source){read_text, &d.text}, &plain, &d.error));
    assert_true(describe_open(&d.describe, &d.dataset, &d.error));
    assert_int_equal(describe_rows(&d.describe, 100, &d.error), DATASET_ERROR);
    assert_non_null(strstr(d.error.text, "line 3"));
    close_all(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_gaps_and_slices_are_found),
        cmocka_unit_test(pieces_change_nothing),
        cmocka_unit_test(distinct_values_are_counted_up_to_a_cap),
        cmocka_unit_test(values_too_long_to_show_are_passed_over),
        cmocka_unit_test(an_error_says_where),
    };
    return cmocka_run_group_tests_name("jobs_describe", tests, NULL, NULL);
}
