/* Typed rows of a CSV, and tables of them. */
#include <math.h>

#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/table/table.h"

static struct text_source source;
static struct dataset d;
static struct jobs_error error;

static void open_text(const char *text, const struct dataset_options *options) {
    memset(&error, 0, sizeof error);
    source = (struct text_source){0};
    assert_true(dataset_open(&d, "rows.csv", text_source(&source, text), options, &error));
}

static enum dataset_status read_to_end(void) {
    struct dataset_row row;
    enum dataset_status status;
    while ((status = dataset_next(&d, &row, &error)) == DATASET_ROW) {
    }
    return status;
}

static void finds_types_from_all_rows(void **state) {
    (void)state;
    open_text("i,d,t,none,late\n1,2,3,NA,1\n2,2.5,x,,2\n-3,NA,4,NA,oops\n", &(struct dataset_options){0});
    dataset_use_all(&d, USE_TYPE);
    assert_int_equal(read_to_end(), DATASET_END);
    static const enum column_type types[] = {COLUMN_INTEGER, COLUMN_DOUBLE, COLUMN_TEXT, COLUMN_INTEGER,
                                             COLUMN_TEXT};
    static const unsigned missing[] = {0, 1, 0, 3, 0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(d.columns[i].type, types[i]);
        assert_int_equal(d.columns[i].n_missing, missing[i]);
    }
    assert_int_equal(d.n_rows, 3);
    dataset_close(&d);
}

static void a_quoted_cell_is_text(void **state) {
    (void)state;
    struct dataset_row row;
    open_text("a,b\n\"NA\",\"1\"\n\"\",2\n", &(struct dataset_options){0});
    dataset_use_all(&d, USE_TYPE | USE_SPELL);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_false(row.cells[0].missing);
    assert_true(row.cells[0].quoted);
    assert_true(isnan(row.cells[1].number));
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_false(row.cells[0].missing);
    assert_true(row.cells[1].number == 2);
    assert_int_equal(row.line, 3);
    dataset_close(&d);

    open_text("a\n\"1.5\"\n\"NA\"\n", &(struct dataset_options){.quoted_numbers = true});
    dataset_use_all(&d, USE_TYPE);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_true(row.cells[0].number == 1.5);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_false(row.cells[0].missing);
    dataset_close(&d);
}

static void missing_texts_are_a_list_and_may_be_numbers(void **state) {
    (void)state;
    static const char *const names[] = {"b"}, *const lists[] = {"-9,none"};
    struct dataset_row row;
    open_text("a,b\n-9,-9\nNA,NA\n,none\n",
              &(struct dataset_options){.na_columns = names, .na_of = lists, .n_na_columns = 1});
    dataset_use_all(&d, USE_TYPE);
    bool a[] = {false, true, true}, b[] = {true, false, true};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_int_equal(row.cells[0].missing, a[i]);
        assert_int_equal(row.cells[1].missing, b[i]);
    }
    dataset_close(&d);
}

static void parses_lists_of_missing_texts(void **state) {
    (void)state;
    struct na_list list;
    assert_true(na_list_parse(&list, ""));
    assert_int_equal(list.n, 0);
    assert_false(na_list_has(&list, "", 0));
    na_list_free(&list);
    assert_true(na_list_parse(&list, ","));
    assert_true(na_list_has(&list, "", 0));
    assert_false(na_list_has(&list, "NA", 2));
    na_list_free(&list);
    assert_true(na_list_parse(&list, NA_DEFAULT));
    assert_true(na_list_has(&list, "", 0) && na_list_has(&list, "NA", 2));
    assert_false(na_list_has(&list, "N", 1) || na_list_has(&list, "NAN", 3) || list.numeric);
    na_list_free(&list);
    assert_true(na_list_parse(&list, "x,-999,"));
    assert_true(na_list_has(&list, "", 0) && na_list_has(&list, "-999", 4) && list.numeric);
    na_list_free(&list);
    assert_true(na_list_parse(&list, "\"-9,9\",\"a\"\"b\",\"open"));
    assert_true(na_list_has(&list, "-9,9", 4) && na_list_has(&list, "a\"b", 3) &&
                na_list_has(&list, "\"open", 5));
    assert_true(!na_list_has(&list, "9", 1) && !na_list_has(&list, "\"-9", 3) && list.numeric && !list.empty);
    na_list_free(&list);
}

static void text_where_a_number_is_wanted(void **state) {
    (void)state;
    struct dataset_row row;
    static const char text[] = "a,b\n1,2\nx,3\n4,5\n";
    open_text(text, &(struct dataset_options){0});
    dataset_use_all(&d, USE_NUMBER);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ERROR);
    assert_int_equal(error.fault, JOBS_FAULT_DATA);
    assert_string_equal(error.text,
                        "rows.csv, line 3, column \"a\": \"x\" is not a number; write a decimal such as "
                        "-12.5, or name it as a missing-value text");
    dataset_close(&d);

    for (int marked = 0; marked < 2; marked++) {
        open_text(text, &(struct dataset_options){.text = marked ? TEXT_IS_MARKED : TEXT_IS_MISSING});
        dataset_use_all(&d, USE_NUMBER);
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_true(row.cells[0].missing);
        assert_int_equal(row.cells[0].bad, marked);
        assert_int_equal(row.bad, marked);
        assert_int_equal(read_to_end(), DATASET_END);
        dataset_close(&d);
    }
}

static void sees_gaps_in_columns_nobody_uses(void **state) {
    (void)state;
    struct dataset_row row;
    open_text("a,b\n1,2\n1,NA\n,2\n", &(struct dataset_options){.want_gaps = true});
    assert_true(dataset_use(&d, "a", USE_NUMBER, "--x", &error));
    d.columns[0].no_gap = true;
    bool gaps[] = {false, true, false};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_int_equal(row.gap, gaps[i]);
    }
    dataset_close(&d);
}

static void an_unknown_column_lists_what_there_is(void **state) {
    (void)state;
    open_text("a,b\n", &(struct dataset_options){0});
    assert_false(dataset_use(&d, "c", USE_NUMBER, "--x", &error));
    assert_int_equal(error.fault, JOBS_FAULT_USAGE);
    assert_string_equal(error.text, "--x: rows.csv has no column \"c\"; it has a, b");
    dataset_close(&d);
}

static void notes_integers_that_were_rounded(void **state) {
    (void)state;
    open_text("a\n1\n9007199254740993\n9007199254740995\n", &(struct dataset_options){0});
    dataset_use_all(&d, USE_NUMBER);
    assert_int_equal(read_to_end(), DATASET_END);
    assert_int_equal(d.columns[0].big_line, 3);
    dataset_close(&d);
}

static void row_labels_are_for_nobody(void **state) {
    (void)state;
    struct dataset_row row;
    open_text(",a\n,1\n", &(struct dataset_options){.want_gaps = true});
    assert_true(d.columns[0].label && !d.columns[1].label);
    dataset_use_all(&d, USE_TYPE);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_false(row.gap); /* a missing one is not a gap of the row */
    dataset_close(&d);
}

static void a_first_record_may_be_a_row(void **state) {
    (void)state;
    struct dataset_row row;
    open_text("NA,\"x\"\"y\"\n3,z\n", &(struct dataset_options){.allowed = {.no_header = true}});
    assert_string_equal(d.columns[0].name, "1");
    assert_string_equal(d.columns[1].name, "2");
    dataset_use_all(&d, USE_TYPE);
    assert_int_equal(dataset_first(&d, &row, &error), DATASET_ROW);
    assert_true(row.cells[0].missing && row.line == 1);
    assert_int_equal(row.cells[1].length, 3);
    assert_memory_equal(row.cells[1].text, "x\"y", 3);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_true(row.cells[0].number == 3 && row.line == 2 && d.n_rows == 2);
    dataset_close(&d);
}

static const char *fail_to_open(const char *text, const struct dataset_options *options) {
    memset(&error, 0, sizeof error);
    source = (struct text_source){0};
    assert_false(dataset_open(&d, "rows.csv", text_source(&source, text), options, &error));
    return error.text;
}

static void columns_are_called_as_they_are_renamed(void **state) {
    (void)state;
    static const char *const from[] = {"a", "b", ""}, *const to[] = {"b", "a", "id"};
    struct dataset_options options = {.rename_from = from, .rename_to = to, .n_renames = 3};
    open_text(",a,b\n1,2,3\n", &options);
    assert_int_equal(dataset_find(&d, "id"), 0);
    assert_int_equal(dataset_find(&d, "b"), 1);
    assert_int_equal(dataset_find(&d, "a"), 2);
    assert_false(d.columns[0].label);
    dataset_close(&d);
    assert_string_equal(fail_to_open("a,b\n", &options),
                        "--rename: rows.csv has no column \"\"; it has b, a");
    options.n_renames = 1;
    assert_string_equal(fail_to_open("a,b\n", &options),
                        "--rename: rows.csv would have two columns called \"b\"");
    static const char *const twice[] = {"a", "a"};
    options = (struct dataset_options){.rename_from = twice, .rename_to = to + 1, .n_renames = 2};
    assert_string_equal(fail_to_open("a,b\n", &options), "--rename: \"a\" is renamed twice");
}

static void numbers_are_read_in_the_files_style(void **state) {
    (void)state;
    static const double expected[] = {1234.5, 7};
    struct dataset_options options = {.delimiter = ';', .numbers = {',', '.'}, .na = ",-9.999"};
    struct dataset_row row;
    open_text("a\n1.234,5\n7\n-9.999\n1.5\n", &options);
    assert_true(dataset_use(&d, "a", USE_NUMBER, "--x", &error));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_true(row.cells[0].number == expected[i]);
    }
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_true(row.cells[0].missing);
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ERROR);
    assert_non_null(
        strstr(error.text, "line 5, column \"a\": \"1.5\" is not a number; write a decimal such as -12,5"));
    dataset_close(&d);
    options.delimiter = 0;
    assert_non_null(strstr(fail_to_open("a\n", &options), "--decimal: rows.csv is separated by \",\" too"));
    options.numbers = (struct decimal_style){'.', ','};
    assert_non_null(strstr(fail_to_open("a\n", &options), "--thousands: rows.csv is separated by \",\" too"));
    options.quoted_numbers = true;
    open_text("a\n\"1,234\"\n", &options);
    assert_true(dataset_use(&d, "a", USE_NUMBER, "--x", &error));
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
    assert_true(row.cells[0].number == 1234);
    dataset_close(&d);
}

/* --- several files ----------------------------------------------------------------------------------------- */

struct few_files {
    const char *const *texts; /* NULL ends them */
    struct text_source source;
    char name[32];
    int n;
};

static void next_text(void *context, struct dataset_file *file) {
    struct few_files *files = context;
    if (!files->texts[files->n]) return;
    snprintf(files->name, sizeof files->name, "file %d", files->n + 2);
    files->source = (struct text_source){0};
    *file = (struct dataset_file){files->name, text_source(&files->source, files->texts[files->n]), ';'};
    files->n++;
}

static void files_follow_one_another(void **state) {
    (void)state;
    static const char *const texts[] = {"a;b\n3;4\n", "a;b\n", "a;b\r\n5;9007199254740993", NULL};
    struct few_files few = {.texts = texts};
    struct dataset_files more = {next_text, &few, "all of them"};
    struct dataset_row row;
    open_text("a,b\n1,2\n", &(struct dataset_options){.more = &more});
    dataset_use_all(&d, USE_NUMBER);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dataset_next(&d, &row, &error), DATASET_ROW);
        assert_true(row.cells[0].number == 2 * i + 1);
        assert_int_equal(row.line, 2);
        assert_int_equal(d.n_rows, i + 1);
    }
    assert_int_equal(dataset_next(&d, &row, &error), DATASET_END);
    assert_string_equal(d.name, "all of them");
    assert_string_equal(d.columns[1].big_file, "file 4");
    dataset_close(&d);
}

static void files_have_one_header(void **state) {
    (void)state;
    static const struct {
        const char *texts[2], *sentence;
    } cases[] = {
        {{"b;a\n", NULL}, "file 2, line 1: column 1 is \"b\", but in rows.csv it is \"a\""},
        {{"a;b;c\n", NULL}, "file 2 has 3 columns, but rows.csv has 2"},
        {{"a\n", NULL}, "file 2 has 1 column, but rows.csv has 2"},
        {{"", NULL}, "file 2, line 1, column 1: the input is empty"},
        {{"a;b\n1\n", NULL}, "file 2, line 2, column 2: the row has 1 field"},
        {{"a;b\nx;1\n", NULL}, "file 2, line 2, column \"a\": \"x\" is not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct few_files few = {.texts = cases[i].texts};
        struct dataset_files more = {next_text, &few, "all of them"};
        open_text("a,b\n1,2\n", &(struct dataset_options){.more = &more});
        dataset_use_all(&d, USE_NUMBER);
        assert_int_equal(read_to_end(), DATASET_ERROR);
        if (!strstr(error.text, cases[i].sentence)) print_error("%s\n", error.text);
        assert_non_null(strstr(error.text, cases[i].sentence));
        dataset_close(&d);
    }
}

/* --- tables ------------------------------------------------------------------------------------------------ */

static void a_table_keeps_what_was_read(void **state) {
    (void)state;
    struct table t;
    struct dataset_row row;
    struct dataset_cell cells[3];
    enum { ROWS = 5000 };
    char *text = malloc(ROWS * 32);
    size_t used = (size_t)sprintf(text, "n,s,unused\n");
    for (int i = 0; i < ROWS; i++) {
        used += (size_t)sprintf(text + used, i % 7 ? "%d,t%d,x\n" : "NA,NA,x\n", i, i % 13);
    }
    open_text(text, &(struct dataset_options){.want_gaps = true});
    assert_true(dataset_use(&d, "n", USE_NUMBER, "--x", &error));
    assert_true(dataset_use(&d, "s", USE_TYPE | USE_SPELL, "--y", &error));
    assert_true(table_open(&t, &d));
    while (dataset_next(&d, &row, &error) == DATASET_ROW) assert_true(table_append(&t, &row));
    table_finish(&t, &d);
    assert_int_equal(t.n_rows, ROWS);
    assert_null(t.columns[2].number);
    assert_null(t.columns[1].number); /* it turned out to be text */
    assert_int_equal(t.columns[0].n_missing, (ROWS + 6) / 7);
    assert_true(table_size(&t) >= ROWS * (sizeof(double) + sizeof(uint32_t)));
    for (size_t i = 0; i < ROWS; i++) {
        char spelled[16];
        table_row_cells(&t, i, cells, &row);
        assert_int_equal(row.gap, i % 7 == 0);
        assert_int_equal(cells[0].missing, i % 7 == 0);
        assert_int_equal(cells[1].missing, i % 7 == 0);
        if (i % 7 == 0) continue;
        assert_true(cells[0].number == (double)i);
        snprintf(spelled, sizeof spelled, "t%zu", i % 13);
        assert_int_equal(cells[1].length, strlen(spelled));
        assert_memory_equal(cells[1].text, spelled, cells[1].length);
    }
    table_close(&t);
    dataset_close(&d);
    free(text);
}

static bool read_into_table(void *text) {
    static const char *const texts[] = {"a;b;c\n1;2;3\n", NULL}, *const from[] = {"c"}, *const to[] = {"d"};
    struct few_files few = {.texts = texts};
    struct dataset_files more = {next_text, &few, "all of them"};
    struct dataset_options options = {
        .na = "-,x", .want_gaps = true, .more = &more, .rename_from = from, .rename_to = to, .n_renames = 1};
    struct dataset_row row;
    struct table t;
    enum dataset_status status = DATASET_ERROR;
    memset(&error, 0, sizeof error);
    source = (struct text_source){0};
    if (!dataset_open(&d, "rows.csv", text_source(&source, text), &options, &error)) return false;
    dataset_use_all(&d, USE_TYPE | USE_SPELL);
    bool good = table_open(&t, &d);
    if (good) {
        while (good && (status = dataset_next(&d, &row, &error)) == DATASET_ROW)
            good = table_append(&t, &row);
        good = good && status == DATASET_END;
        assert_true(!good || t.n_rows == 3001);
        table_close(&t);
    }
    dataset_close(&d);
    return good;
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    char *text = malloc(3000 * 24);
    size_t used = (size_t)sprintf(text, "a,b,c\n");
    for (int i = 0; i < 3000; i++)
        used += (size_t)sprintf(text + used, "%d,t%d,%s\n", i, i % 200, i % 5 ? "1.5" : "-");
    assert_true(failing_malloc_each(read_into_table, text) > 30);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_types_from_all_rows),
        cmocka_unit_test(a_quoted_cell_is_text),
        cmocka_unit_test(missing_texts_are_a_list_and_may_be_numbers),
        cmocka_unit_test(parses_lists_of_missing_texts),
        cmocka_unit_test(text_where_a_number_is_wanted),
        cmocka_unit_test(sees_gaps_in_columns_nobody_uses),
        cmocka_unit_test(an_unknown_column_lists_what_there_is),
        cmocka_unit_test(notes_integers_that_were_rounded),
        cmocka_unit_test(row_labels_are_for_nobody),
        cmocka_unit_test(a_first_record_may_be_a_row),
        cmocka_unit_test(columns_are_called_as_they_are_renamed),
        cmocka_unit_test(numbers_are_read_in_the_files_style),
        cmocka_unit_test(files_follow_one_another),
        cmocka_unit_test(files_have_one_header),
        cmocka_unit_test(a_table_keeps_what_was_read),
        cmocka_unit_test(survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests_name("unit/jobs_dataset", tests, NULL, NULL);
}
