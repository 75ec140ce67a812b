/* Grouped fits from end to end: in memory, in spill files and in parts the same table; what is written in which form;
 * and no lack of memory, and no failing read or write, that does more than end the job with a sentence. */
#include <errno.h>
#include <math.h>

#include "core/base/str.h"
#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/fit/impute.h"
#include "workers/jobs/fit/steps.h"
#include "workers/jobs/report/display.h"
#include "workers/jobs/table/spill.h"

static const char *const by_g[] = {"g"}, *const by_two[] = {"g", "h"}, *const x1[] = {"x"},
                         *const x2[] = {"x", "z"};

static void assert_table(const struct grouped_spec *spec, const char *text, const char *expected) {
    struct jobs_error error = {0};
    char *table = jobs_fit_text(spec, text, &error);
    if (!table) fail_msg("%s", error.text);
    assert_string_equal(table, expected);
    free(table);
}

static const char small[] = "g,y,x\nb,1,1\nb,3,2\nb,5,3\na,1,1\na,2,1\nNA,4,1\n\"\",7,2\n";

static void writes_wide_tables(void **state) {
    (void)state;
    const struct grouped_spec spec = {
        .slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x1, .n_x = 1, .wide = true};
    assert_table(&spec, small,
                 "g,n,n_dropped,intercept,x,r_squared,status\n"
                 "\"\",1,0,7,,,too_few_rows\n"
                 "a,2,0,1.5,,0,rank_deficient\n"
                 "b,3,0,-1,2,1,ok\n"
                 ",1,0,4,,,too_few_rows\n");
}

static void writes_json(void **state) {
    (void)state;
    const struct grouped_spec spec = {.slice_by = by_g,
                                      .n_slice_by = 1,
                                      .y = "y",
                                      .x = x1,
                                      .n_x = 1,
                                      .wide = true,
                                      .format = RESULTS_JSON,
                                      .drop_missing_keys = true};
    assert_table(&spec, "g,y,x\n\"q\"\"\\\",1,1\n\"q\"\"\\\",3,2\n\"q\"\"\\\",5,3\nNA,1,1\n",
                 "[\n{\"g\":\"q\\\"\\\\\",\"n\":3,\"n_dropped\":0,\"intercept\":-1,\"x\":2,\"r_squared\":1,"
                 "\"status\":\"ok\"}\n]\n");
    assert_table(&spec, "g,y,x\n", "[\n]\n");
}

static void writes_long_tables(void **state) {
    (void)state;
    const struct grouped_spec spec = {.slice_by = by_g,
                                      .n_slice_by = 1,
                                      .y = "y",
                                      .x = x1,
                                      .n_x = 1,
                                      .linear = {.robust = true},
                                      .missing = MISSING_MEAN};
    struct jobs_error error = {0};
    char *table = jobs_fit_text(&spec, "g,y,x\na,1,NA\na,2,1\na,4,3\na,5,4\n", &error);
    assert_non_null(table);
    assert_non_null(strstr(
        table, "g,status,n_rows,n,n_dropped,n_imputed,df_residual,rank,dropped_terms,term,estimate,"
               "std_error,statistic,p_value,conf_low,conf_high,se_hc0,se_hc1,se_hc2,se_hc3,r_squared,"));
    assert_non_null(strstr(table, "\na,ok,4,4,0,1,2,2,,,"));
    assert_non_null(strstr(table, "\na,ok,4,4,0,,2,2,,intercept,"));
    assert_non_null(strstr(table, "\na,ok,4,4,0,1,2,2,,x,"));
    free(table);
}

/* x is far from y, and z beside it; the last row has no predictor, and gets means. */
static void counts_what_falls_back_to_the_mean(void **state) {
    (void)state;
    struct grouped_spec spec = {
        .y = "y", .x = x2, .n_x = 2, .missing = MISSING_KNN, .missing_options = {.k = 1}};
    static const char text[] = "y,x,z\n1,1,1\n2,5,2\n4,7,4\n5,NA,2\n9,NA,NA\n";
    for (int i = 0; i < 3; i++) {
        struct jobs_error error = {0};
        spec.within_slice = i == 1;
        char *table = i == 2 ? jobs_fit_in_parts(&spec, text, 1, &error) : jobs_fit_text(&spec, text, &error);
        assert_non_null(table);
        assert_non_null(strstr(table, "n_imputed,n_imputed_by_mean,"));
        assert_non_null(strstr(table, "\nok,5,5,0,3,2,2,3,,,"));
        assert_non_null(strstr(table, "\nok,5,5,0,,,2,3,,intercept,"));
        assert_non_null(strstr(table, "\nok,5,5,0,2,1,2,3,,x,"));
        assert_non_null(strstr(table, "\nok,5,5,0,1,1,2,3,,z,"));
        free(table);
    }
}

/* More slices than are handed to a thread at once. */
static void writes_as_many_slices_as_there_are(void **state) {
    (void)state;
    struct buf text;
    struct jobs_error error = {0};
    size_t lines = 0;
    struct grouped_spec spec = {
        .slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x1, .n_x = 1, .wide = true, .threads = 2};
    buf_init(&text);
    buf_append_cstr(&text, "g,y,x\n");
    for (int i = 0; i < 3000; i++) buf_printf(&text, "%d,%d,%d\n", i % 1000, i, i % 7);
    buf_append_char(&text, '\0');
    char *table = jobs_fit_text(&spec, text.ptr, &error);
    if (!table) fail_msg("%s", error.text);
    for (const char *at = table; (at = strchr(at, '\n')) != NULL; at++) lines++;
    assert_int_equal(lines, 1001);
    free(table);
    buf_free(&text);
}

/* --- the same table ----------------------------------------------------------------------------------------- */

static char *random_rows(int rows, unsigned seed) {
    struct buf text;
    uint64_t s = seed * 2654435761u + 88172645463325252ull;
    buf_init(&text);
    buf_append_cstr(&text, "g,h,y,x,z,w,c\n");
    for (int i = 0; i < rows; i++) {
        s ^= s << 13, s ^= s >> 7, s ^= s << 17;
        buf_printf(&text, "k%d,%s,", (int)(s % 23), s % 29 == 0 ? "NA" : s % 31 == 0 ? "\"\"" : "1.0");
        buf_printf(&text, "%d.%d,", (int)(s >> 8 & 1023), (int)(s >> 20 & 7));
        if (s >> 24 & 15) buf_printf(&text, "%d", (int)(s >> 28 & 255));
        buf_printf(&text, ",%s", s >> 40 & 7 ? "" : "NA");
        if (s >> 40 & 7) buf_printf(&text, "%d", (int)(s >> 44 & 127));
        buf_printf(&text, ",%d,%s\n", (int)(s >> 52 & 3), s >> 55 & 3 ? (s >> 57 & 1 ? "yes" : "no") : "");
    }
    buf_append_char(&text, '\0');
    return text.ptr;
}

static const struct grouped_spec SPECS[] = {
    {.slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x2, .n_x = 2},
    {.slice_by = by_two,
     .n_slice_by = 2,
     .y = "y",
     .x = x2,
     .n_x = 2,
     .weights = "w",
     .missing = MISSING_MEDIAN},
    {.slice_by = by_two,
     .n_slice_by = 2,
     .y = "y",
     .x = x2,
     .n_x = 2,
     .missing = MISSING_MODE,
     .impute_response = true},
    {.slice_by = by_g,
     .n_slice_by = 1,
     .y = "c",
     .x = x1,
     .n_x = 1,
     .model = MODEL_LOGISTIC,
     .missing = MISSING_MODE,
     .impute_response = true},
    {.slice_by = by_g,
     .n_slice_by = 1,
     .y = "y",
     .x = x2,
     .n_x = 2,
     .missing = MISSING_KNN,
     .within_slice = true,
     .missing_options = {.k = 3},
     .wide = true},
    {.slice_by = by_g,
     .n_slice_by = 1,
     .y = "y",
     .x = x2,
     .n_x = 2,
     .missing = MISSING_DROP_ANY,
     .wide = true,
     .drop_missing_keys = true,
     .format = RESULTS_JSON},
    {.slice_by = by_g,
     .n_slice_by = 1,
     .y = "c",
     .x = x2,
     .n_x = 2,
     .model = MODEL_LOGISTIC,
     .missing = MISSING_LOGISTIC,
     .within_slice = true,
     .impute_response = true,
     .positive = "no"},
};
#define N_SPECS (sizeof SPECS / sizeof *SPECS)

static void threads_memory_and_parts_change_nothing(void **state) {
    (void)state;
    char *text = random_rows(40000, 1);
    for (size_t i = 0; i < N_SPECS; i++) {
        struct jobs_error error = {0};
        struct grouped_spec spec = SPECS[i];
        spec.threads = 1;
        char *one = jobs_fit_text(&spec, text, &error);
        if (!one) fail_msg("%s", error.text);
        spec.threads = 3;
        spec.memory = GROUPED_MEMORY_MIN;
        char *other = jobs_fit_text(&spec, text, &error);
        if (!other) fail_msg("%s", error.text);
        assert_string_equal(other, one);
        free(other);
        for (size_t rows = 1; rows < 1000000 && spec.format == RESULTS_CSV; rows *= 50) {
            spec.memory = rows == 50 ? 0 : GROUPED_MEMORY_MIN;
            char *parts = jobs_fit_in_parts(&spec, text, rows, &error);
            if (!parts) fail_msg("%s", error.text);
            assert_string_equal(parts, one);
            free(parts);
        }
        free(one);
    }
    free(text);
}

static void splits_partitions_that_are_too_large(void **state) {
    (void)state;
    struct buf text; /* slices that fit by themselves, but not two of them */
    buf_init(&text);
    buf_append_cstr(&text, "g,y,x\n");
    for (int i = 0; i < 552000; i++) buf_printf(&text, "%d,%d,%d\n", i % 24, i % 1013, i % 97);
    buf_append_char(&text, '\0');
    struct jobs_error error = {0};
    struct grouped_spec spec = {.slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x1, .n_x = 1};
    char *one = jobs_fit_text(&spec, text.ptr, &error);
    spec.memory = GROUPED_MEMORY_MIN;
    char *other = jobs_fit_text(&spec, text.ptr, &error);
    assert_true(one && other);
    assert_string_equal(one, other);
    free(one);
    free(other);
    buf_free(&text);
}

/* --- faults ------------------------------------------------------------------------------------------------- */

struct fault_case {
    const struct grouped_spec *spec;
    const char *text, *expected;
    bool parts;
};

static bool fit_case(void *context) {
    const struct fault_case *c = context;
    struct jobs_error error = {0};
    struct grouped_spec spec = *c->spec;
    spec.threads = 1; /* whose allocation is the n-th must not depend on the scheduler */
    char *table =
        c->parts ? jobs_fit_in_parts(&spec, c->text, 1000, &error) : jobs_fit_text(&spec, c->text, &error);
    if (table) {
        assert_string_equal(table, c->expected);
    } else {
        assert_true(error.fault == JOBS_FAULT_DATA || error.fault == JOBS_FAULT_NONE);
    }
    free(table);
    return table != NULL;
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    char *text = random_rows(400, 2);
    for (size_t i = 0; i < N_SPECS; i++) {
        struct jobs_error error = {0};
        struct grouped_spec spec = SPECS[i];
        spec.threads = 1;
        char *expected = jobs_fit_text(&spec, text, &error);
        struct fault_case c = {&spec, text, expected, false};
        assert_true(failing_malloc_each(fit_case, &c) > 40);
        c.parts = spec.format == RESULTS_CSV;
        if (c.parts) assert_true(failing_malloc_each(fit_case, &c) > 80);
        free(expected);
    }
    free(text);
}

/* Of tables without rows, the header and the end are all there is to make room for. */
static bool combine_case(void *context) {
    const struct fault_case *c = context;
    struct text_source source = {0};
    struct steps_table table = {"a table", text_source(&source, c->text)};
    struct steps_combine_options options = {.format = c->spec->format};
    struct jobs_error error = {0};
    struct text_sink sink;
    FILE *out = text_sink_open(&sink);
    if (!out) return false;
    bool good = steps_combine(&table, 1, &options, out, &error);
    if (!good) assert_int_equal(error.fault, JOBS_FAULT_DATA);
    good = fclose(out) == 0 && good;
    if (good) assert_string_equal(sink.at, c->expected);
    text_sink_close(&sink);
    return good;
}

static void combining_survives_it_too(void **state) {
    (void)state;
    struct grouped_spec csv = {.format = RESULTS_CSV}, json = {.format = RESULTS_JSON};
    struct fault_case c = {&csv, "g,status,term\n", "g,status,term\n", false};
    assert_true(combine_case(&c));
    if (failing_malloc_works()) assert_true(failing_malloc_each(combine_case, &c) > 10);
    c = (struct fault_case){&json, "g,status,term\n", "[\n]\n", false};
    assert_true(combine_case(&c));
    if (failing_malloc_works()) assert_true(failing_malloc_each(combine_case, &c) > 10);
}

static bool impute_case(void *policy) {
    struct text_source source = {0};
    struct impute_input input = {"rows", {0}, text_source_again, &source};
    struct grouped_spec spec = {.missing = *(enum missing_policy *)policy};
    struct dataset_options options = {0};
    struct jobs_error error = {0};
    struct text_sink sink;
    input.source = text_source(&source, "x,s\n1,a\nNA,b\n3,NA\n4,\"a,\"\n6,b\n");
    FILE *out = text_sink_open(&sink);
    if (!out) return false;
    bool good = impute_run(&spec, &input, &options, out, &error);
    good = fclose(out) == 0 && good;
    if (good) assert_memory_equal(sink.at, "x,s", 3);
    if (good && spec.missing == MISSING_MEAN)
        assert_string_equal(sink.at, "x,s\n1,a\n3.5,b\n3,NA\n4,\"a,\"\n6,b\n");
    text_sink_close(&sink);
    return good;
}

static void imputing_survives_it_too(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    for (enum missing_policy p = MISSING_MEAN; p <= MISSING_INDICATOR; p++) {
        assert_true(failing_malloc_each(impute_case, &p) > 20);
    }
}

/* Each gap is filled from its own slice's rows, wherever these stand. */
static void imputes_within_slices(void **state) {
    (void)state;
    static const char *const z[] = {"z"};
    struct text_source source = {0};
    struct impute_input input = {"rows", {0}, text_source_again, &source};
    struct grouped_spec spec = {.slice_by = by_g,
                                .n_slice_by = 1,
                                .missing = MISSING_KNN,
                                .missing_options = {.k = 1},
                                .predictors = z,
                                .n_predictors = 1,
                                .within_slice = true};
    struct dataset_options options = {0};
    struct jobs_error error = {0};
    struct text_sink sink;
    input.source = text_source(&source, "g,x,z\na,1,1\nb,10,1\na,NA,1\na,3,9\nb,NA,2\nb,30,8\na,NA,8\n");
    FILE *out = text_sink_open(&sink);
    assert_non_null(out);
    if (!impute_run(&spec, &input, &options, out, &error)) fail_msg("%s", error.text);
    fclose(out);
    assert_string_equal(sink.at, "g,x,z\na,1,1\nb,10,1\na,1,1\na,3,9\nb,10,2\nb,30,8\na,3,8\n");
    text_sink_close(&sink);
}

static bool show_case(void *text) {
    struct jobs_error error = {0};
    struct text_sink sink;
    FILE *out = text_sink_open(&sink);
    if (!out) return false;
    struct display *d = display_new(text, strlen(text), &error);
    bool good = d && display_show(d, 80, out);
    display_free(d);
    good = fclose(out) == 0 && good;
    if (good) assert_string_equal(sink.at, "g   x    y\na   1  0.1\n-  20\n");
    text_sink_close(&sink);
    return good;
}

static void tables_for_a_person_are_aligned(void **state) {
    (void)state;
    static char text[] = "g,x,empty,y\na,1,,0.1000001\n-,20,,\n";
    assert_true(show_case(text));
    if (failing_malloc_works()) assert_true(failing_malloc_each(show_case, text) > 4);
}

static ssize_t write_some(void *cookie, const char *at, size_t n) {
    size_t *left = cookie;
    (void)at;
    if (n > *left) {
        errno = ENOSPC;
        return 0;
    }
    *left -= n;
    return (ssize_t)n;
}

static bool run_into(FILE *out, struct jobs_error *error) {
    struct grouped_spec spec = {.slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x1, .n_x = 1, .threads = 1};
    struct text_source source = {0};
    struct dataset dataset;
    struct grouped job;
    assert_true(
        dataset_open(&dataset, "rows", text_source(&source, small), &(struct dataset_options){0}, error));
    assert_true(grouped_open(&job, &spec, &dataset, error));
    bool good = grouped_run(&job, out, error);
    grouped_close(&job);
    dataset_close(&dataset);
    return good;
}

static void says_that_the_disk_is_full(void **state) {
    (void)state;
    bool good = false;
    for (size_t room = 0; !good; room += 16) {
        size_t left = room;
        struct jobs_error error = {0};
        FILE *out = fopencookie(&left, "w", (cookie_io_functions_t){.write = write_some});
        assert_non_null(out);
        setvbuf(out, NULL, _IONBF, 0);
        good = run_into(out, &error);
        assert_true(good || strstr(error.text, "could not be written: No space left"));
        assert_true(room < 10000);
        fclose(out);
    }
}

static void says_that_a_read_failed(void **state) {
    (void)state;
    struct grouped_spec spec = {.slice_by = by_g, .n_slice_by = 1, .y = "y", .x = x1, .n_x = 1};
    for (size_t at = 1; at < sizeof small - 1; at++) {
        struct text_source source = {.fail_at = at, .step = 1};
        struct jobs_error error = {0};
        struct dataset dataset;
        struct grouped job;
        struct csv_source from = text_source(&source, small);
        if (dataset_open(&dataset, "rows", from, &(struct dataset_options){0}, &error)) {
            assert_true(grouped_open(&job, &spec, &dataset, &error));
            assert_false(grouped_run(&job, stderr, &error));
            grouped_close(&job);
            dataset_close(&dataset);
        }
        assert_non_null(strstr(error.text, "the input could not be read further"));
    }
}

static bool never(void *context, uint64_t rows) {
    (void)rows;
    return --*(int *)context >= 0;
}

static void stops_when_it_is_told_to(void **state) {
    (void)state;
    char *text = random_rows(20000, 3);
    for (int times = 0; times < 20; times++) {
        int left = times;
        struct grouped_spec spec = SPECS[0];
        struct jobs_error error = {0};
        spec.threads = 2;
        spec.go_on = never;
        spec.context = &left;
        char *table =
            times % 2 ? jobs_fit_in_parts(&spec, text, 1000, &error) : jobs_fit_text(&spec, text, &error);
        assert_true(table || error.fault == JOBS_FAULT_STOPPED);
        if (times == 0) assert_null(table);
        free(table);
    }
    free(text);
}

/* --- spill files -------------------------------------------------------------------------------------------- */

static void spill_files_give_rows_back_in_order(void **state) {
    (void)state;
    struct text_source source = {0};
    struct jobs_error error = {0};
    struct dataset dataset;
    struct dataset_row row;
    char *text = random_rows(5000, 4), *room = NULL;
    size_t size = 0, rows = 0, last[SPILL_PARTITIONS] = {0};
    assert_true(
        dataset_open(&dataset, "rows", text_source(&source, text), &(struct dataset_options){0}, &error));
    assert_true(dataset_use(&dataset, "g", USE_KEY, "", &error) &&
                dataset_use(&dataset, "y", USE_NUMBER, "", &error) &&
                dataset_use(&dataset, "c", USE_TYPE | USE_SPELL, "", &error));
    struct spill *spill = spill_new(&dataset, NULL, 5, 0, &error);
    assert_non_null(spill);
    while (dataset_next(&dataset, &row, &error) == DATASET_ROW) {
        struct slice_cell cell = {row.cells[0].text, row.cells[0].length, false};
        struct slice_key key;
        assert_true(slice_key_encode(&cell, 1, &room, &size, &key));
        assert_true(spill_append(spill, key, &row, &error));
    }
    assert_true(spill_flush(spill, &error));
    for (size_t p = 0; p < SPILL_PARTITIONS; p++) {
        struct spill_cursor *cursor = spill_cursor_new(spill, p);
        struct slice_key key;
        size_t n = 0;
        while (spill_cursor_next(cursor, &key, &row, &error) == DATASET_ROW) {
            assert_true(row.cells[6].missing || row.cells[6].length == 2 || row.cells[6].length == 3);
            assert_true(isfinite(row.cells[2].number));
            n++;
            last[p]++;
        }
        assert_int_equal(n, spill_rows(spill, p));
        rows += n;
        spill_cursor_free(cursor);
        spill_discard(spill, p);
    }
    assert_int_equal(rows, 5000);
    assert_int_equal(error.fault, JOBS_FAULT_NONE);
    spill_free(spill);
    dataset_close(&dataset);
    free(room);
    free(text);
}

static void what_is_not_a_part_is_refused(void **state) {
    struct text_source source = {0};
    struct jobs_error error = {0};
    struct steps_fit_options options = {.threads = 1};
    struct text_sink sink;
    FILE *out = text_sink_open(&sink);
    (void)state;
    assert_non_null(out);
    assert_false(steps_fit("ids.csv", text_source(&source, "id,name\n1,somebody\n2,somebody else\n"),
                           &options, out, &error));
    assert_string_equal(error.text, "ids.csv is not a part; jobs slice writes them");
    fclose(out);
    text_sink_close(&sink);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_wide_tables),
        cmocka_unit_test(writes_json),
        cmocka_unit_test(writes_long_tables),
        cmocka_unit_test(counts_what_falls_back_to_the_mean),
        cmocka_unit_test(writes_as_many_slices_as_there_are),
        cmocka_unit_test(threads_memory_and_parts_change_nothing),
        cmocka_unit_test(splits_partitions_that_are_too_large),
        cmocka_unit_test(survives_a_lack_of_memory),
        cmocka_unit_test(combining_survives_it_too),
        cmocka_unit_test(imputing_survives_it_too),
        cmocka_unit_test(imputes_within_slices),
        cmocka_unit_test(tables_for_a_person_are_aligned),
        cmocka_unit_test(says_that_the_disk_is_full),
        cmocka_unit_test(says_that_a_read_failed),
        cmocka_unit_test(stops_when_it_is_told_to),
        cmocka_unit_test(spill_files_give_rows_back_in_order),
        cmocka_unit_test(what_is_not_a_part_is_refused),
    };
    return cmocka_run_group_tests_name("unit/jobs_grouped", tests, NULL, NULL);
}
