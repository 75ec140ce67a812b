/* Logistic regression against R and scikit-learn; separation; the penalised fits against their optimality
 * conditions. */
#include "tests/unit/support/fit_fixture.h"
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/model/logistic.h"

static struct slice slice;
static struct logistic_result result;
static struct fit_term terms[16];

static void fit_slice(const struct linear_options *options) {
    struct linear_input input = {slice.y, slice.columns, NULL, slice.n, slice.p};
    assert_true(logistic_fit(&input, options, scratch, &result, terms));
}

static void fit_weighted(const double *weights) {
    struct linear_input input = {slice.y, slice.columns, weights, slice.n, slice.p};
    assert_true(logistic_fit(&input, NULL, scratch, &result, terms));
}

/* A text column becomes y: 1 where it says `one`, missing where it says NA. */
static void code_column(struct reference *r, const char *column, const char *one) {
    static char yes[] = "1", no[] = "0";
    size_t c = reference_column(r, column);
    for (size_t i = 1; i <= r->rows; i++) {
        char **cell = &r->cells[i * r->columns + c];
        if (strcmp(*cell, "NA") != 0) *cell = strcmp(*cell, one) == 0 ? yes : no;
    }
}

static void penguins_by_species_agree_with_r(void **state) {
    (void)state;
    static const char *const names[] = {"sex", "bill_length_mm", "body_mass_g"};
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/R_logistic_by_species.csv");
    code_column(&data, "sex", "male");
    for (size_t row = 0; row < table.rows; row++) {
        slice_take(&slice, &data, "species", reference_text(&table, row, "species"), names, 2);
        fit_slice(NULL);
        const struct fit_term *t = &terms[row % 3];
        assert_int_equal(result.status, FIT_OK);
        assert_int_equal(result.n, (size_t)reference_number(&table, row, "n"));
        assert_close(t->estimate, reference_number(&table, row, "estimate"), 1e-11);
        /* R takes the errors from the last step but one. */
        assert_close(t->std_error, reference_number(&table, row, "std.error"), 1e-6);
        assert_close(t->statistic, reference_number(&table, row, "statistic"), 1e-6);
        assert_close(t->p_value, reference_number(&table, row, "p.value"), 1e-5);
        assert_close(result.deviance, reference_number(&table, row, "deviance"), 1e-13);
        assert_close(result.null_deviance, reference_number(&table, row, "null.deviance"), 1e-13);
        assert_close(result.aic, reference_number(&table, row, "AIC"), 1e-13);
        assert_close(result.bic, reference_number(&table, row, "BIC"), 1e-13);
        assert_close(result.log_lik, reference_number(&table, row, "logLik"), 1e-13);
    }
    reference_close(&data);
    reference_close(&table);
}

/* y by x with 2x2 counts: the slope is the log odds ratio, its variance the sum of the counts' inverses. */
static const double table_rows[] = {1, 1, 0, 1, 1, 0, 0, 0};
static const double table_counts[] = {30, 10, 12, 24};

static void a_two_by_two_table_gives_the_log_odds_ratio(void **state) {
    (void)state;
    slice_put(&slice, 4, 1, table_rows);
    fit_weighted(table_counts);
    assert_int_equal(result.status, FIT_OK);
    assert_close(terms[1].estimate, log(30 * 24 / 120.0), 1e-14);
    assert_close(terms[1].std_error, sqrt(1 / 30.0 + 1 / 10.0 + 1 / 12.0 + 1 / 24.0), 1e-14);
    assert_close(terms[0].estimate, log(12 / 24.0), 1e-13);
    assert_close(terms[0].std_error, sqrt(1 / 12.0 + 1 / 24.0), 1e-14);
    assert_close(terms[1].conf_high - terms[1].conf_low, 2 * 1.9599639845400539 * terms[1].std_error, 1e-14);
    assert_close(result.deviance,
                 -2 * (30 * log(.75) + 10 * log(.25) + 12 * log(1 / 3.0) + 24 * log(2 / 3.0)), 1e-14);
    assert_close(result.null_deviance, -2 * (42 * log(42 / 76.0) + 34 * log(34 / 76.0)), 1e-14);
}

static void times_since_1970_cost_no_digits(void **state) {
    (void)state;
    /* The same table with x in seconds: the slope must be the same, the intercept that of x = 0. */
    double rows[8];
    for (size_t i = 0; i < 8; i++) rows[i] = i % 2 ? 1334009411 + table_rows[i] : table_rows[i];
    slice_put(&slice, 4, 1, rows);
    fit_weighted(table_counts);
    assert_int_equal(result.status, FIT_OK);
    double slope = log(30 * 24 / 120.0);
    assert_close(terms[1].estimate, slope, 1e-13);
    assert_close(terms[1].std_error, sqrt(1 / 30.0 + 1 / 10.0 + 1 / 12.0 + 1 / 24.0), 1e-13);
    assert_close(terms[0].estimate, log(0.5) - 1334009411 * slope, 1e-13);
}

static void separated_classes_are_a_status_without_estimates(void **state) {
    (void)state;
    const double rows[] = {0, 1, 0, 2, 0, 3, 0, 4, 1, 5, 1, 6, 1, 7, 1, 8};
    slice_put(&slice, 8, 1, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_SEPARATION);
    assert_true(isnan(terms[0].estimate) && isnan(terms[1].estimate) && isnan(result.aic));
    assert_false(terms[1].dropped);
    assert_close(result.null_deviance, 11.0903548889591, 1e-13);
}

static void classes_separated_but_for_ties_are_noticed(void **state) {
    (void)state;
    const double one_tie[] = {0, 1, 0, 2, 0, 3, 0, 4, 1, 4, 1, 6, 1, 7, 1, 8};
    slice_put(&slice, 8, 1, one_tie);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_SEPARATION);
    /* A group without an event, next to an ordinary predictor. */
    const double group[] = {0, 1, 1, 1, 0, 2, 0, 0, 3, 1, 0, 4, 0, 1, 5, 0, 1, 6, 1, 0, 7, 0, 0, 8, 1, 0, 9};
    slice_put(&slice, 9, 2, group);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_SEPARATION);
}

static void an_overlap_of_one_row_is_no_separation(void **state) {
    (void)state;
    const double rows[] = {0, 1, 0, 2, 0, 3, 0, 5.001, 1, 5, 1, 6, 1, 7, 1, 8};
    slice_put(&slice, 8, 1, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    assert_true(isfinite(terms[1].estimate) && terms[1].estimate > 0);
}

static void a_predictor_far_out_is_no_separation(void **state) {
    (void)state;
    /* One row has a linear predictor of about 1000. */
    double rows[42];
    for (size_t i = 0; i < 20; i++) {
        rows[2 * i] = i % 3 == 0 || i > 12;
        rows[2 * i + 1] = (double)i;
    }
    rows[40] = 1;
    rows[41] = 8000;
    slice_put(&slice, 21, 1, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    double far = terms[1].estimate;
    slice.n = 20;
    fit_slice(NULL);
    assert_close(far, terms[1].estimate, 1e-9);
}

static void dependent_columns_are_dropped_from_the_right(void **state) {
    (void)state;
    const double rows[] = {1, 1, 2,  3, 0, 1, 4,  1, 0, 1, 6,  2, 1, 1, 8,  9,
                           0, 1, 10, 4, 1, 1, 12, 6, 0, 1, 14, 8, 1, 1, 16, 7};
    slice_put(&slice, 8, 3, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_RANK_DEFICIENT);
    assert_true(terms[1].dropped && !terms[2].dropped && !terms[3].dropped);
    assert_int_equal(result.n_dropped, 1);
    assert_int_equal(result.rank, 3);
    struct fit_term kept[2] = {terms[2], terms[3]};
    double aic = result.aic;
    for (size_t i = 0; i < 8; i++) {
        slice.x[0][i] = slice.x[1][i];
        slice.x[1][i] = slice.x[2][i];
    }
    slice.p = 2;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    assert_close(terms[1].estimate, kept[0].estimate, 1e-13);
    assert_close(terms[2].std_error, kept[1].std_error, 1e-13);
    assert_close(result.aic, aic, 1e-14);
}

static void one_class_few_rows_and_bad_numbers_are_statuses(void **state) {
    (void)state;
    const double one_class[] = {1, 1, 1, 2, 1, 4, 1, 3};
    slice_put(&slice, 4, 1, one_class);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_CONSTANT_RESPONSE);
    slice.n = 1;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_TOO_FEW_ROWS);
    slice.n = 0;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_TOO_FEW_ROWS);
    slice.n = 4;
    slice.y[2] = 0.5;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_PARSE_ERROR);
    slice_put(&slice, 4, 1, one_class);
    slice.y[0] = 0;
    slice.x[0][3] = INFINITY;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_PARSE_ERROR);
    slice_put(&slice, 4, 1, one_class);
    slice.y[0] = NAN;
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_PARSE_ERROR);
}

/* Predictors and weights by powers of two: the same fit in other units. */
static void the_ends_of_the_range_are_as_good_as_its_middle(void **state) {
    (void)state;
    static const double rows[] = {1, 1, 0, 2, 0, -1, 1, 3, 1, -2, 0, 0.5, 1, 1.5, 0, -3};
    static const int columns[] = {-1040, -600, 0, 600, 1020}, weights[] = {-1000, -100, -40, 0, 40, 1000};
    struct logistic_result plain = {0};
    struct fit_term plain_terms[2] = {0};
    double w[8];
    for (size_t k = 0; k < 5 * 6; k++) {
        int x = columns[k % 5], by = weights[k / 5];
        for (int pass = 0; pass < 2; pass++) {
            slice_put(&slice, 8, 1, rows);
            for (size_t i = 0; i < 8; i++) {
                slice.x[0][i] = ldexp(slice.x[0][i], pass ? x : 0);
                w[i] = ldexp(i == 3 ? 0.75 : 1, pass ? by : 0);
            }
            fit_weighted(w);
            assert_int_equal(result.status, FIT_OK);
            if (pass) break;
            plain = result;
            memcpy(plain_terms, terms, sizeof plain_terms);
        }
        assert_close(result.deviance, ldexp(plain.deviance, by), 1e-12);
        assert_close(result.null_deviance, ldexp(plain.null_deviance, by), 1e-12);
        assert_close(result.aic, result.deviance + 4, 1e-12);
        assert_close(result.log_lik, -result.deviance / 2, 1e-12);
        for (size_t j = 0; j < 2; j++) {
            double estimate = ldexp(plain_terms[j].estimate, j ? -x : 0);
            double error = ldexp(plain_terms[j].std_error, (j ? -x : 0) - by / 2);
            if (isinf(estimate)) assert_true(isnan(terms[j].estimate) && isnan(terms[j].std_error));
            bool none = isinf(error) || error == 0;
            if (none) assert_true(isnan(terms[j].std_error) && isnan(terms[j].p_value));
            if (isinf(estimate)) continue;
            assert_close(terms[j].estimate, estimate, 1e-9);
            if (none) continue;
            assert_close(terms[j].std_error, error, 1e-9);
            assert_close(terms[j].statistic, terms[j].estimate / terms[j].std_error, 1e-9);
            assert_true(terms[j].conf_low <= terms[j].estimate && terms[j].conf_high >= terms[j].estimate);
        }
    }
}

static void without_intercept_the_score_of_each_slope_is_zero(void **state) {
    (void)state;
    const double rows[] = {1, 1, 0, 2, 0, -1, 1, 3, 1, -2, 0, 0.5, 1, 1.5, 0, -3};
    slice_put(&slice, 8, 1, rows);
    fit_slice(&(struct linear_options){.no_intercept = true});
    assert_int_equal(result.status, FIT_OK);
    assert_int_equal(result.n_terms, 1);
    double score = 0, information = 0;
    for (size_t i = 0; i < 8; i++) {
        double x = slice.x[0][i], mu = 1 / (1 + exp(-terms[0].estimate * x));
        score += (slice.y[i] - mu) * x;
        information += mu * (1 - mu) * x * x;
    }
    assert_true(fabs(score) < 1e-14);
    assert_close(terms[0].std_error, 1 / sqrt(information), 1e-13);
    assert_close(result.null_deviance, 16 * log(2), 1e-14);
}

/* --- penalised ------------------------------------------------------------------------------------------ */

enum { PREDICTORS = 4, PENGUINS = 512 };
static const char *const measures[PREDICTORS] = {"bill_length_mm", "bill_depth_mm", "flipper_length_mm",
                                                 "body_mass_g"};

struct measured {
    double x[PREDICTORS][PENGUINS]; /* mean-filled, standardised with the population's deviation */
    size_t n;
};

static void take_measures(const struct reference *r, struct measured *m) {
    m->n = r->rows;
    assert_true(m->n <= PENGUINS);
    for (size_t j = 0; j < PREDICTORS; j++) {
        double sum = 0, squares = 0, count = 0;
        for (size_t i = 0; i < m->n; i++) {
            double v = m->x[j][i] = reference_number(r, i, measures[j]);
            if (!isnan(v)) sum += v, count++;
        }
        double mean = sum / count;
        for (size_t i = 0; i < m->n; i++) {
            if (isnan(m->x[j][i])) m->x[j][i] = mean;
            squares += (m->x[j][i] - mean) * (m->x[j][i] - mean);
        }
        double deviation = sqrt(squares / (double)m->n);
        for (size_t i = 0; i < m->n; i++) m->x[j][i] = (m->x[j][i] - mean) / deviation;
    }
}

/* Fits the rows whose label is known (< classes). */
static void fit_known(const struct measured *m, const uint32_t *labels, uint32_t classes,
                      double *coefficients) {
    static double known[PREDICTORS][PENGUINS];
    uint32_t known_labels[PENGUINS];
    const double *columns[PREDICTORS];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (labels[i] >= classes) continue;
        for (size_t j = 0; j < PREDICTORS; j++) known[j][n] = m->x[j][i];
        known_labels[n++] = labels[i];
    }
    for (size_t j = 0; j < PREDICTORS; j++) columns[j] = known[j];
    struct penalised_input input = {columns, known_labels, n, PREDICTORS, classes, 0};
    assert_int_equal(penalised_fit(&input, scratch, coefficients), PENALISED_OK);
}

static void the_sex_of_penguins_is_filled_as_by_exact_newton(void **state) {
    (void)state;
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/penguins_logistic_sex_l2_C1_newton_exact.csv");
    static struct measured m;
    uint32_t labels[PENGUINS];
    double coefficients[PREDICTORS + 1];
    take_measures(&data, &m);
    for (size_t i = 0; i < m.n; i++) {
        const char *sex = reference_text(&data, i, "sex");
        labels[i] = strcmp(sex, "female") == 0 ? 0 : strcmp(sex, "male") == 0 ? 1 : UINT32_MAX;
    }
    assert_int_equal(penalised_coefficient_count(PREDICTORS, 2), PREDICTORS + 1);
    fit_known(&m, labels, 2, coefficients);
    for (size_t row = 0; row < table.rows; row++) {
        double x[PREDICTORS], probabilities[2];
        size_t i = (size_t)reference_number(&table, row, "row");
        for (size_t j = 0; j < PREDICTORS; j++) x[j] = m.x[j][i];
        uint32_t class = penalised_predict(coefficients, PREDICTORS, 2, x, probabilities);
        assert_string_equal(class ? "male" : "female", reference_text(&table, row, "imputed"));
        assert_close(probabilities[0], reference_number(&table, row, "p_female"), 1e-10);
        assert_close(probabilities[1], reference_number(&table, row, "p_male"), 1e-10);
    }
    reference_close(&data);
    reference_close(&table);
}

/* Deterministic overlapping classes. */
static size_t make_classes(double x[2][90], uint32_t *labels, uint32_t classes) {
    for (uint32_t i = 0; i < 90; i++) {
        labels[i] = i % classes;
        x[0][i] = sin(i * 1.7) + 0.8 * (i % classes);
        x[1][i] = cos(i * 2.9) - 0.5 * (i % classes == 1);
    }
    return 90;
}

static void softmax_is_stationary_with_intercepts_that_sum_to_zero(void **state) {
    (void)state;
    double x[2][90], b[9], gradient[9] = {0};
    uint32_t labels[90];
    const double *columns[] = {x[0], x[1]};
    struct penalised_input input = {columns, labels, make_classes(x, labels, 3), 2, 3, 0.7};
    assert_int_equal(penalised_fit(&input, scratch, b), PENALISED_OK);
    for (size_t i = 0; i < 90; i++) {
        double row[] = {x[0][i], x[1][i], 1}, probabilities[3];
        penalised_predict(b, 2, 3, row, probabilities);
        assert_close(probabilities[0] + probabilities[1] + probabilities[2], 1, 1e-15);
        for (uint32_t k = 0; k < 3; k++) {
            for (size_t j = 0; j < 3; j++) {
                gradient[3 * k + j] += 0.7 * (probabilities[k] - (labels[i] == k)) * row[j];
            }
        }
    }
    for (size_t u = 0; u < 9; u++) assert_true(fabs(gradient[u] + (u % 3 == 2 ? 0 : b[u])) < 1e-10);
    assert_true(fabs(b[2] + b[5] + b[8]) < 1e-12);
}

static void perfectly_separated_classes_still_have_a_penalised_fit(void **state) {
    (void)state;
    double x[6] = {-3, -2, -1, 1, 2, 3}, b[2];
    uint32_t labels[6] = {0, 0, 0, 1, 1, 1};
    const double *columns[] = {x};
    struct penalised_input input = {columns, labels, 6, 1, 2, 0};
    assert_int_equal(penalised_fit(&input, scratch, b), PENALISED_OK);
    assert_true(b[0] > 0 && b[0] < 10 && fabs(b[1]) < 1e-10);
    double zero = 0;
    assert_int_equal(penalised_predict((double[]){1, 0}, 1, 2, &zero, NULL), 0); /* a tie */
    assert_int_equal(penalised_predict(b, 1, 2, &x[5], NULL), 1);
    assert_int_equal(penalised_predict((double[]){0, 1, 0, 1, 0, 0}, 1, 3, &zero, NULL), 0);
}

static void too_many_classes_are_refused_and_nonsense_does_not_hang(void **state) {
    (void)state;
    double x[4] = {1, 2, 3, NAN}, b[2];
    uint32_t labels[4] = {0, 1, 0, 1};
    const double *columns[] = {x};
    struct penalised_input input = {columns, labels, 4, 1, PENALISED_MAX_UNKNOWNS, 0};
    assert_int_equal(penalised_fit(&input, scratch, NULL), PENALISED_TOO_LARGE);
    input.classes = 2;
    assert_int_equal(penalised_fit(&input, scratch, b), PENALISED_NOT_CONVERGED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penguins_by_species_agree_with_r),
        cmocka_unit_test(a_two_by_two_table_gives_the_log_odds_ratio),
        cmocka_unit_test(times_since_1970_cost_no_digits),
        cmocka_unit_test(separated_classes_are_a_status_without_estimates),
        cmocka_unit_test(classes_separated_but_for_ties_are_noticed),
        cmocka_unit_test(an_overlap_of_one_row_is_no_separation),
        cmocka_unit_test(a_predictor_far_out_is_no_separation),
        cmocka_unit_test(dependent_columns_are_dropped_from_the_right),
        cmocka_unit_test(one_class_few_rows_and_bad_numbers_are_statuses),
        cmocka_unit_test(the_ends_of_the_range_are_as_good_as_its_middle),
        cmocka_unit_test(without_intercept_the_score_of_each_slope_is_zero),
        cmocka_unit_test(the_sex_of_penguins_is_filled_as_by_exact_newton),
        cmocka_unit_test(softmax_is_stationary_with_intercepts_that_sum_to_zero),
        cmocka_unit_test(perfectly_separated_classes_still_have_a_penalised_fit),
        cmocka_unit_test(too_many_classes_are_refused_and_nonsense_does_not_hang),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
