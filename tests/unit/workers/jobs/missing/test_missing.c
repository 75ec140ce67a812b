/* Policies for missing values, on tables small enough to check by hand, and penalties of the odd cases. */
#include <math.h>

#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/fit_fixture.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/missing/missing.h"

static struct text_source source;
static struct dataset d;
static struct table t;
static struct missing_plan plan;
static struct missing_result result;
static struct jobs_error error;

/* A table of a text, all columns typed and spelled, and a plan of one policy for all of them. */
static bool open_plan(const char *text, enum missing_policy policy, struct missing_options options) {
    struct dataset_row row;
    enum dataset_status status;
    memset(&error, 0, sizeof error);
    memset(&result, 0, sizeof result);
    memset(&plan, 0, sizeof plan);
    memset(&t, 0, sizeof t);
    source = (struct text_source){0};
    if (!dataset_open(&d, "rows", text_source(&source, text), &(struct dataset_options){0}, &error))
        return false;
    dataset_use_all(&d, USE_TYPE | USE_SPELL);
    if (!table_open(&t, &d) || !missing_plan_open(&plan, d.n_columns, &options)) return false;
    while ((status = dataset_next(&d, &row, &error)) == DATASET_ROW) {
        if (!table_append(&t, &row)) return false;
    }
    if (status != DATASET_END) return false;
    table_finish(&t, &d);
    for (size_t i = 0; i < d.n_columns; i++) plan.policy[i] = policy;
    missing_plan_predict_by_all(&plan, &d);
    return true;
}

static void close_plan(void) {
    missing_result_free(&result);
    missing_plan_close(&plan);
    table_close(&t);
    dataset_close(&d);
}

static void run(const char *text, enum missing_policy policy, struct missing_options options) {
    assert_true(open_plan(text, policy, options));
    if (!missing_run(&t, &plan, NULL, t.n_rows, "", false, scratch, &result, &error))
        fail_msg("%s", error.text);
}

/* The same by the columns from one to another. */
static void run_by(const char *text, size_t from, size_t to, struct missing_options options) {
    assert_true(open_plan(text, MISSING_KNN, options));
    plan.n_predictors = 0;
    for (size_t i = from; i <= to; i++) plan.predictors[plan.n_predictors++] = i;
    if (!missing_run(&t, &plan, NULL, t.n_rows, "", false, scratch, &result, &error))
        fail_msg("%s", error.text);
}

/* What fills the gap of a column and row, as text. */
static const char *filled(size_t column, size_t row) {
    static char text[64];
    const struct missing_cell *cell = missing_result_cell(&result, column, row);
    struct missing_fill fill = result.fills[column];
    assert_true(table_is_missing(&t.columns[column], row));
    if (cell) fill = (struct missing_fill){true, cell->number, cell->text};
    if (!fill.known) return "nothing";
    if (t.columns[column].type == COLUMN_TEXT) {
        size_t length;
        return fill.text == INTERN_NONE ? MISSING_LEVEL
                                        : intern_text(t.columns[column].spelling, fill.text, &length);
    }
    snprintf(text, sizeof text, "%.12g", fill.number);
    return text;
}

static void fills_with_one_value(void **state) {
    (void)state;
    static const char text[] = "x,y,s\n3,1.5,b\n1,NA,a\nNA,2.5,NA\n4,2.5,b\n1,1.5,a\n";
    static const struct {
        enum missing_policy policy;
        const char *x, *y, *s;
    } cases[] = {{MISSING_MEAN, "2.25", "2", "nothing"},
                 {MISSING_MEDIAN, "2", "2", "nothing"},
                 {MISSING_MODE, "1", "1.5", "a"},
                 {MISSING_INDICATOR, "2.25", "2", MISSING_LEVEL},
                 {MISSING_DROP, "nothing", "nothing", "nothing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(text, cases[i].policy, (struct missing_options){0});
        assert_string_equal(filled(0, 2), cases[i].x);
        assert_string_equal(filled(1, 1), cases[i].y);
        assert_string_equal(filled(2, 2), cases[i].s);
        close_plan();
    }
}

static void medians_and_modes_of_odd_cases(void **state) {
    (void)state;
    run("a,b,c,e\n5,1.7e308,-0,\n1,1.7e308,0,\"\"\n9,NA,NA,x\nNA,NA,NA,x\n", MISSING_MEDIAN,
        (struct missing_options){0});
    assert_string_equal(filled(0, 3), "5");
    assert_string_equal(filled(1, 3), "1.7e+308"); /* the sum of the two would overflow */
    assert_string_equal(filled(2, 3), "0");
    close_plan();
    run("t\nb\nB\n\"\"\nNA\n", MISSING_MODE, (struct missing_options){0});
    assert_string_equal(filled(0, 3), ""); /* all once: the smallest by bytes */
    close_plan();
}

/* x, y and z measure; the year would drown them. */
static const char neighbours[] = "year,x,y,z\n"
                                 "1,0,0,10\n"
                                 "2,1,0,20\n"
                                 "3,0,2,30\n"
                                 "4,9,9,40\n"
                                 "5,0,NA,NA\n"
                                 "6,NA,NA,NA\n"
                                 "7,NA,0,50\n";

static void takes_the_nearest_rows(void **state) {
    (void)state;
    run_by(neighbours, 1, 3, (struct missing_options){.k = 2});
    /* Row 5 has x in common with rows 1, 2, 3, 4: distances 0, 1, 0, 9 times sqrt(3). */
    assert_string_equal(filled(2, 4), "1");
    assert_string_equal(filled(3, 4), "20");
    /* Row 6 has nothing in common with anybody: the means. */
    assert_string_equal(filled(2, 5), "2.2");
    assert_string_equal(filled(1, 5), "2");
    /* Row 7: z is 40 off row 1 and 30 off row 2, 20 off row 3, 10 off row 4. */
    assert_string_equal(filled(1, 6), "4.5");
    close_plan();
}

/* Text and empty columns take no part, slice columns neither; complete columns and those with gaps do. */
static void goes_by_every_number(void **state) {
    (void)state;
    assert_true(open_plan("a,text,none,b,late\n1,p,,1,1\n1.1,q,NA,,2\n9,p,,5,x\n", MISSING_KNN,
                          (struct missing_options){.k = 1}));
    assert_int_equal(plan.n_predictors, 2);
    assert_int_equal(plan.predictors[0], 0);
    assert_int_equal(plan.predictors[1], 3);
    assert_true(missing_may_predict(&d, 0) && missing_may_predict(&d, 3));
    assert_false(missing_may_predict(&d, 1) || missing_may_predict(&d, 2) || missing_may_predict(&d, 4));
    dataset_use(&d, "a", USE_KEY, "", &error);
    missing_plan_predict_by_all(&plan, &d);
    assert_int_equal(plan.n_predictors, 1);
    close_plan();
}

static void only_numbers_fall_back(void **state) {
    (void)state;
    for (enum missing_policy p = MISSING_DROP; p <= MISSING_INDICATOR; p++) {
        assert_int_equal(missing_falls_back(p, COLUMN_DOUBLE), p == MISSING_KNN || p == MISSING_LOGISTIC);
        assert_false(missing_falls_back(p, COLUMN_TEXT));
    }
}

static void weighs_by_distance_and_lets_rows_on_the_spot_decide(void **state) {
    (void)state;
    run_by(neighbours, 1, 3, (struct missing_options){.k = 3, .distance = true});
    assert_string_equal(filled(3, 4), "20"); /* rows 1 and 3 are on the spot; row 2 does not count */
    close_plan();
    run("a,b\n1,10\n3,30\n2,NA\nNA,5\n", MISSING_KNN, (struct missing_options){.k = 2, .distance = true});
    assert_string_equal(filled(1, 2), "20");
    close_plan();
}

static void ties_go_to_the_earlier_row(void **state) {
    (void)state;
    run("a,b\n1,10\n3,30\n3,50\n2,NA\nNA,1\n", MISSING_KNN, (struct missing_options){.k = 1});
    assert_string_equal(filled(1, 3), "10");
    close_plan();
}

static void standardises_when_asked(void **state) {
    (void)state;
    static const char text[] = "small,large,v\n1,1000,1\n2,3000,2\n1,3000,NA\nNA,NA,0\n";
    run(text, MISSING_KNN, (struct missing_options){.k = 1});
    assert_string_equal(filled(2, 2), "2");
    close_plan();
    run("small,large,v\n1,1000,1\n5,1001,2\n1,1002,NA\n9,2000,3\n9,5,4\nNA,NA,0\n", MISSING_KNN,
        (struct missing_options){.k = 1, .standardise = true});
    assert_string_equal(filled(2, 2), "1");
    close_plan();
}

/* Squares of these are no doubles, or 0. */
static void distances_at_the_ends_of_the_range(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        static const char *const texts[] = {"a,b\n1e308,1\n-1e308,2\n-0.9e308,NA\n1e307,3\n",
                                            "a,b\n1e200,1\n-1e200,2\n-0.9e200,NA\n1e199,3\n",
                                            "a,b\n1e-200,1\n-1e-200,2\n-0.9e-200,NA\n1e-201,3\n",
                                            "a,b\n1e-307,1\n-1e-307,2\n-0.9e-307,NA\n1e-308,3\n"};
        for (int distance = 0; distance < 2; distance++) {
            run(texts[k], MISSING_KNN, (struct missing_options){.k = 2, .distance = distance});
            /* Rows 2 and 4, at 0.1 and 1. */
            assert_string_equal(filled(1, 2), distance ? "2.09090909091" : "2.5");
            close_plan();
        }
    }
}

static void logistic_at_the_ends_of_the_range(void **state) {
    (void)state;
    run("x,s\n1e308,low\n1.1e308,low\n-1e308,high\n-1.1e308,high\n1.2e308,NA\n-1.2e308,NA\n",
        MISSING_LOGISTIC, (struct missing_options){0});
    assert_string_equal(filled(1, 4), "low");
    assert_string_equal(filled(1, 5), "high");
    close_plan();
}

static void logistic_takes_the_likelier_text(void **state) {
    (void)state;
    run("x,y,s\n1,NA,low\n2,0,low\n3,0,low\n11,0,high\n12,0,high\n13,0,high\n2,0,NA\n12,0,NA\n7,0,NA\nNA,0,"
        "\n",
        MISSING_LOGISTIC, (struct missing_options){0});
    assert_string_equal(filled(2, 6), "low");
    assert_string_equal(filled(2, 7), "high");
    assert_string_equal(filled(0, 9), "7"); /* a number gets its mean */
    close_plan();
    run("x,s\n1,one\n2,one\nNA,NA\n", MISSING_LOGISTIC, (struct missing_options){0});
    assert_string_equal(filled(1, 2), "one");
    close_plan();
}

static void logistic_refuses_what_it_cannot_solve(void **state) {
    (void)state;
    char *text = malloc(20000);
    size_t used = (size_t)sprintf(text, "x,s\n");
    for (int i = 0; i < 400; i++) used += (size_t)sprintf(text + used, "%d,level%d\n", i, i);
    sprintf(text + used, "NA,NA\n");
    assert_true(open_plan(text, MISSING_LOGISTIC, (struct missing_options){0}));
    assert_false(missing_run(&t, &plan, NULL, t.n_rows, "", false, scratch, &result, &error));
    assert_non_null(strstr(error.text, "column \"s\" has 400 levels"));
    assert_non_null(strstr(error.text, "choose mode"));
    close_plan();
    free(text);
}

static void a_column_without_a_value_is_an_error(void **state) {
    (void)state;
    assert_true(open_plan("a,b\n,1\nNA,2\n", MISSING_MEAN, (struct missing_options){0}));
    assert_false(missing_run(&t, &plan, NULL, t.n_rows, " of slice g", false, scratch, &result, &error));
    assert_string_equal(error.text,
                        "column \"a\" of slice g has no observed value, so mean cannot fill it; drop it or "
                        "choose drop");
    memset(&error, 0, sizeof error);
    assert_true(missing_run(&t, &plan, NULL, t.n_rows, "", true, scratch, &result, &error));
    assert_string_equal(filled(0, 0), "nothing");
    close_plan();
}

static void fills_from_the_rows_it_is_given(void **state) {
    (void)state;
    const uint32_t rows[] = {1, 3, 4};
    assert_true(open_plan("x\n100\n1\n200\nNA\n2\nNA\n", MISSING_MEAN, (struct missing_options){0}));
    assert_true(missing_run(&t, &plan, rows, 3, "", false, scratch, &result, &error));
    assert_string_equal(filled(0, 3), "1.5");
    close_plan();
}

static void names_policies(void **state) {
    (void)state;
    enum missing_policy policy;
    for (enum missing_policy p = MISSING_DROP; p <= MISSING_INDICATOR; p++) {
        assert_true(missing_policy_parse(missing_policy_name(p), &policy));
        assert_int_equal(policy, p);
        assert_non_null(strstr(MISSING_POLICIES, missing_policy_name(p)));
    }
    assert_false(missing_policy_parse("guess", &policy));
}

static bool fill_everything(void *policy) {
    bool good =
        open_plan("x,y,s\n1,1,a\n2,NA,b\nNA,3,a\n4,4,NA\n5,NA,b\n6,6,a\n", *(enum missing_policy *)policy,
                  (struct missing_options){.k = 2, .standardise = true});
    struct fit_scratch *own = good ? fit_scratch_new() : NULL;
    good = good && own && missing_run(&t, &plan, NULL, t.n_rows, "", false, own, &result, &error);
    if (good) assert_string_not_equal(filled(0, 2), "nothing");
    fit_scratch_free(own);
    close_plan();
    return good;
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    for (enum missing_policy p = MISSING_MEAN; p <= MISSING_INDICATOR; p++) {
        assert_true(failing_malloc_each(fill_everything, &p) > 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_with_one_value),
        cmocka_unit_test(medians_and_modes_of_odd_cases),
        cmocka_unit_test(takes_the_nearest_rows),
        cmocka_unit_test(goes_by_every_number),
        cmocka_unit_test(only_numbers_fall_back),
        cmocka_unit_test(weighs_by_distance_and_lets_rows_on_the_spot_decide),
        cmocka_unit_test(ties_go_to_the_earlier_row),
        cmocka_unit_test(standardises_when_asked),
        cmocka_unit_test(distances_at_the_ends_of_the_range),
        cmocka_unit_test(logistic_at_the_ends_of_the_range),
        cmocka_unit_test(logistic_takes_the_likelier_text),
        cmocka_unit_test(logistic_refuses_what_it_cannot_solve),
        cmocka_unit_test(a_column_without_a_value_is_an_error),
        cmocka_unit_test(fills_from_the_rows_it_is_given),
        cmocka_unit_test(names_policies),
        cmocka_unit_test(survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests_name("unit/jobs_missing", tests, set_up, tear_down);
}
