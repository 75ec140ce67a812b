/* Tables on a terminal: aligned, no wider than it, and nothing in them that moves its cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/jobs/report/display.h"
#include "workers/jobs/report/glyph.h"

static char *shown(const char *csv, size_t columns) {
    struct jobs_error error = {0};
    struct display *d = display_new(csv, strlen(csv), &error);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!d) fail_msg("%s", error.text);
    assert_true(out && display_show(d, columns, out));
    fclose(out);
    display_free(d);
    return text;
}

static void assert_shown(const char *csv, size_t columns, const char *expected) {
    char *text = shown(csv, columns);
    assert_string_equal(text, expected);
    free(text);
}

/* No line is wider, and none ends with a blank. */
static void assert_fits(const char *text, size_t columns) {
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        assert_true(glyph_width(line, length, glyph_columns) <= (double)columns);
        assert_true(length == 0 || line[length - 1] != ' ');
        line += length + (line[length] == '\n');
    }
}

static void numbers_stand_below_one_another_by_their_points(void **state) {
    (void)state;
    assert_shown("g,n,n_dropped,x\na,5,0,158.92444211\nb,12,1,0.799898\nc,7,0,-3\nd,9,0,1.25e-12\ne,2,0,\n",
                 80,
                 "g   n  n_dropped           x\n"
                 "a   5          0  158.924\n"
                 "b  12          1    0.799898\n"
                 "c   7          0   -3\n"
                 "d   9          0    1.25e-12\n"
                 "e   2          0\n");
}

static void keys_are_shown_as_they_were_written(void **state) {
    (void)state;
    assert_shown("g,n,n_dropped,x\n1.50,1,0,2\n3.14159265,1,0,3\n3.14159266,1,0,3\n", 80,
                 "         g  n  n_dropped  x\n"
                 "1.50        1          0  2\n"
                 "3.14159265  1          0  3\n"
                 "3.14159266  1          0  3\n");
    /* A column of numbers and texts is one of texts. */
    assert_shown("g,n,n_dropped\n10,1,0\n9,1,0\nx,1,0\n", 80,
                 "g   n  n_dropped\n10  1          0\n9   1          0\nx   1          0\n");
}

static void wide_tables_are_shown_in_blocks_that_repeat_the_key(void **state) {
    (void)state;
    static const char csv[] = "species,sex,n,n_dropped,intercept,bill_length_mm,r_squared,status\n"
                              "Adelie,male,73,0,168.5,0.5,0.1,ok\nGentoo,female,58,1,170.25,0.75,0.25,ok\n";
    assert_shown(csv, 80,
                 "species  sex      n  n_dropped  intercept  bill_length_mm  r_squared  status\n"
                 "Adelie   male    73          0     168.5             0.5        0.1   ok\n"
                 "Gentoo   female  58          1     170.25            0.75       0.25  ok\n");
    assert_shown(csv, 45,
                 "species  sex      n  n_dropped  intercept\n"
                 "Adelie   male    73          0     168.5\n"
                 "Gentoo   female  58          1     170.25\n"
                 "\n"
                 "species  sex     bill_length_mm  r_squared\n"
                 "Adelie   male              0.5        0.1\n"
                 "Gentoo   female            0.75       0.25\n"
                 "\n"
                 "species  sex     status\n"
                 "Adelie   male    ok\n"
                 "Gentoo   female  ok\n");
    for (size_t columns = 40; columns < 90; columns++) {
        char *text = shown(csv, columns);
        assert_fits(text, columns);
        free(text);
    }
}

static void a_long_table_is_one_of_terms_and_one_of_slices(void **state) {
    (void)state;
    static const char csv[] =
        "g,status,n_rows,n,n_dropped,df_residual,rank,dropped_terms,term,estimate,std_error,r_squared\n"
        "a,ok,5,5,0,3,2,,,,,0.5\na,ok,5,5,0,3,2,,intercept,1.5,0.25,\na,ok,5,5,0,3,2,,x,20,0.125,\n";
    assert_shown(csv, 80,
                 "g  term       estimate  std_error\n"
                 "a  intercept       1.5      0.25\n"
                 "a  x              20        0.125\n"
                 "\n"
                 "g  status  n_rows  n  n_dropped  df_residual  rank  r_squared\n"
                 "a  ok           5  5          0            3     2        0.5\n");
    assert_shown(csv, 30,
                 "g  term       estimate\n"
                 "a  intercept       1.5\n"
                 "a  x              20\n"
                 "\n"
                 "g  term       std_error\n"
                 "a  intercept      0.25\n"
                 "a  x              0.125\n"
                 "\n"
                 "g  status  n_rows  n\n"
                 "a  ok           5  5\n"
                 "\n"
                 "g  n_dropped  df_residual\n"
                 "a          0            3\n"
                 "\n"
                 "g  rank  r_squared\n"
                 "a     2        0.5\n");
}

static void long_keys_leave_room_for_what_they_are_about(void **state) {
    (void)state;
    char csv[400], key[64];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    snprintf(csv, sizeof csv, "g,h,n,n_dropped,intercept\n%s,%s,5,0,1.5\n", key, key);
    char *text = shown(csv, 60);
    assert_fits(text, 60);
    assert_int_equal(glyph_width(text, strcspn(text, "\n"), glyph_columns) > 40, true);
    assert_non_null(strstr(text, "k\xe2\x80\xa6k"));
    assert_non_null(strstr(text, "intercept"));
    assert_null(strstr(text, "\n\n"));
    free(text);
    /* Narrower than any column: a column at a time. */
    text = shown(csv, 5);
    assert_non_null(strstr(text, "intercept"));
    free(text);
}

static void wide_characters_take_two_columns(void **state) {
    (void)state;
    assert_shown("g,n,n_dropped\n\xe4\xbc\x81\xe9\xb9\x85,1,0\npenguin,2,0\ne\xcc\x81,3,0\n", 80,
                 "g        n  n_dropped\n"
                 "\xe4\xbc\x81\xe9\xb9\x85     1          0\n"
                 "penguin  2          0\n"
                 "e\xcc\x81        3          0\n");
}

static void nothing_moves_the_cursor(void **state) {
    (void)state;
    assert_shown("g,n,n_dropped\n\"a\x1b[2Jb\",1,0\n\"c\nd\",1,0\n\"e\xc2\x9b"
                 "f\",1,0\n\"g\xe2\x80\xaeh\",1,0\n",
                 80,
                 "g       n  n_dropped\na [2Jb  1          0\nc d     1          0\ne f     1          0\n"
                 "g h     1          0\n");
}

static void a_table_knows_how_wide_it_is(void **state) {
    (void)state;
    static const char wide[] = "g,n,n_dropped,x\na,5,0,158.92444211\nb,12,1,0.799898\n",
                      other[] = "a,b\n1,2\n";
    struct jobs_error error = {0};
    struct display *d = display_new(wide, sizeof wide - 1, &error);
    assert_non_null(d);
    assert_true(display_is_wide(d));
    assert_int_equal(display_columns(d), strlen("a   5          0  158.924   "));
    display_free(d);
    d = display_new(other, sizeof other - 1, &error);
    assert_non_null(d);
    assert_false(display_is_wide(d));
    assert_int_equal(display_columns(d), 4);
    display_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stand_below_one_another_by_their_points),
        cmocka_unit_test(keys_are_shown_as_they_were_written),
        cmocka_unit_test(wide_tables_are_shown_in_blocks_that_repeat_the_key),
        cmocka_unit_test(a_long_table_is_one_of_terms_and_one_of_slices),
        cmocka_unit_test(long_keys_leave_room_for_what_they_are_about),
        cmocka_unit_test(wide_characters_take_two_columns),
        cmocka_unit_test(nothing_moves_the_cursor),
        cmocka_unit_test(a_table_knows_how_wide_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
