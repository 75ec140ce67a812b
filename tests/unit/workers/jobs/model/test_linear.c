/* Least squares: the NIST suite, the penguin tables, slices that cannot be fitted, and the kernel's variants
 * against one another. */
#include <jansson.h>

#include "tests/unit/support/fit_fixture.h"
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/model/linear.h"

static struct slice slice;
static struct linear_result result;
static struct fit_term terms[64];

static void fit_slice(const struct linear_options *options) {
    struct linear_input input = {slice.y, slice.columns, NULL, slice.n, slice.p};
    assert_true(linear_fit(&input, options, scratch, &result, terms));
}

/* --- NIST ----------------------------------------------------------------------------------------------- */

/* Longley's data, the classic of badly scaled columns, so that this file stands without the shared folder. */
static const double longley[16][7] = {
    {60323, 83.0, 234289, 2356, 1590, 107608, 1947},  {61122, 88.5, 259426, 2325, 1456, 108632, 1948},
    {60171, 88.2, 258054, 3682, 1616, 109773, 1949},  {61187, 89.5, 284599, 3351, 1650, 110929, 1950},
    {63221, 96.2, 328975, 2099, 3099, 112075, 1951},  {63639, 98.1, 346999, 1932, 3594, 113270, 1952},
    {64989, 99.0, 365385, 1870, 3547, 115094, 1953},  {63761, 100.0, 363112, 3578, 3350, 116219, 1954},
    {66019, 101.2, 397469, 2904, 3048, 117388, 1955}, {67857, 104.6, 419180, 2822, 2857, 118734, 1956},
    {68169, 108.4, 442769, 2936, 2798, 120445, 1957}, {66513, 110.8, 444546, 4681, 2637, 121950, 1958},
    {68655, 112.6, 482704, 3813, 2552, 123366, 1959}, {69564, 114.2, 502601, 3931, 2514, 125368, 1960},
    {69331, 115.7, 518173, 4806, 2572, 127852, 1961}, {70551, 116.9, 554894, 4007, 2827, 130081, 1962},
};
static const double longley_certified[7][2] = {
    {-3482258.63459582, 890420.383607373},
    {15.0618722713733, 84.9149257747669},
    {-0.358191792925910E-01, 0.334910077722432E-01},
    {-2.02022980381683, 0.488399681651699},
    {-1.03322686717359, 0.214274163161675},
    {-0.511041056535807E-01, 0.226073200069370},
    {1829.15146461355, 455.478499142212},
};

static void longley_has_13_digits(void **state) {
    (void)state;
    slice.n = 16;
    slice.p = 6;
    for (size_t i = 0; i < 16; i++) {
        slice.y[i] = longley[i][0];
        for (size_t j = 0; j < 6; j++) slice.x[j][i] = longley[i][j + 1];
    }
    for (size_t j = 0; j < 6; j++) slice.columns[j] = slice.x[j];
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    for (size_t j = 0; j < 7; j++) {
        assert_true(digits_of(terms[j].estimate, longley_certified[j][0]) >= 13);
        assert_true(digits_of(terms[j].std_error, longley_certified[j][1]) >= 13);
    }
    assert_close(result.sigma, 304.854073561965, 1e-13);
    assert_close(result.r_squared, 0.995479004577296, 1e-14);
    assert_close(result.f_statistic, 330.285339234588, 1e-13);
    assert_close(result.f_log10_p, log10(result.f_p_value), 1e-12);
    assert_close(result.rss, 836424.055505915, 1e-12);
    assert_close(result.rmse, sqrt(result.rss / 16), 1e-14);
    assert_close(result.adj_r_squared, 1 - (1 - 0.995479004577296) * 15 / 9, 1e-12);
    assert_close(result.log_lik, -8 * (log(2 * M_PI * result.rss / 16) + 1), 1e-13);
    assert_close(result.aic, 2 * 8 - 2 * result.log_lik, 1e-14);
    assert_close(result.bic, 8 * log(16) - 2 * result.log_lik, 1e-14);
    assert_close(result.digits_estimate, 15 - log10(result.condition), 1e-14);
}

/* The digits that must be reached: the smallest over coefficients, and over standard errors. */
static const struct {
    const char *name;
    double estimates, errors;
} nist_bars[] = {
    {"Norris", 12, 13},  {"Pontius", 12, 12},   {"NoInt1", 14, 14},     {"NoInt2", 14, 14},
    {"Longley", 13, 13}, {"Wampler1", 10, 10},  {"Wampler2", 12.5, 14}, {"Wampler3", 10, 13},
    {"Wampler4", 9, 13}, {"Wampler5", 7.5, 13}, {"Filip", 7, 7},
};

static double certified(json_t *problem, const char *part, const char *name) {
    json_t *value = json_object_get(json_object_get(problem, part), name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void take_nist(json_t *problem) {
    char name[64];
    const char *names[SLICE_COLUMNS + 1] = {"y"};
    json_t *features = json_object_get(problem, "features");
    size_t p = json_array_size(features);
    assert_in_range(p, 1, SLICE_COLUMNS);
    for (size_t j = 0; j < p; j++) names[j + 1] = json_string_value(json_array_get(features, j));
    snprintf(name, sizeof name, "nist/%s", json_string_value(json_object_get(problem, "wide_file")));
    struct reference r = reference_open(name);
    slice_take(&slice, &r, NULL, NULL, names, p);
    reference_close(&r);
}

static void check_nist(json_t *problem, const struct linear_options *base, double estimates, double errors) {
    struct linear_options options = *base;
    options.no_intercept = json_is_false(json_object_get(problem, "intercept"));
    take_nist(problem);
    fit_slice(&options);
    assert_int_equal(result.status, FIT_OK);
    json_t *features = json_object_get(problem, "features");
    for (size_t j = 0; j < result.n_terms; j++) {
        size_t feature = j - !options.no_intercept;
        const char *name = j == 0 && !options.no_intercept
                               ? "intercept"
                               : json_string_value(json_array_get(features, feature));
        double estimate = digits_of(terms[j].estimate, certified(problem, "coef", name));
        double error = digits_of(terms[j].std_error, certified(problem, "std_err", name));
        if (estimate < estimates || error < errors) print_error("%s: %g %g\n", name, estimate, error);
        assert_true(estimate >= estimates);
        assert_true(error >= errors);
    }
    assert_true(digits_of(result.r_squared, json_number_value(json_object_get(problem, "r2"))) >=
                fmin(10, estimates));
    assert_true(digits_of(result.rss, json_number_value(json_object_get(problem, "ss_resid"))) >= errors - 1);
}

static void nist_suite(const struct linear_options *options, double least) {
    char *text = reference_slurp("nist/certified.json");
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(root);
    for (size_t i = 0; i < sizeof nist_bars / sizeof *nist_bars; i++) {
        json_t *problem = json_object_get(json_object_get(root, "datasets"), nist_bars[i].name);
        assert_non_null(problem);
        /* Filip's ten powers are so close to dependent that rounding the data costs half the digits. */
        int filip = strcmp(nist_bars[i].name, "Filip") == 0;
        check_nist(problem, options, filip ? 7 : fmax(nist_bars[i].estimates, least), nist_bars[i].errors);
    }
    json_decref(root);
}

static void the_nist_suite_is_reached_in_default_mode(void **state) {
    (void)state;
    nist_suite(&(struct linear_options){0}, 0);
}

static void the_nist_suite_has_13_digits_in_exact_mode(void **state) {
    (void)state;
    nist_suite(&(struct linear_options){.exact = true}, 13);
}

static void filip_under_a_stricter_tolerance_names_the_dropped_term(void **state) {
    (void)state;
    struct reference r = reference_open("nist/filip_wide.csv");
    const char *names[] = {"y", "x", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10"};
    slice_take(&slice, &r, NULL, NULL, names, 10);
    reference_close(&r);
    fit_slice(&(struct linear_options){.rank_tolerance = 1e-7});
    assert_int_equal(result.status, FIT_RANK_DEFICIENT);
    assert_true(result.n_dropped > 0);
    for (size_t j = 0; j < 11; j++) assert_int_equal(terms[j].dropped, isnan(terms[j].estimate));
    assert_true(terms[10].dropped);
}

/* --- the penguins --------------------------------------------------------------------------------------- */

static const char *const species[] = {"Adelie", "Chinstrap", "Gentoo"};
static const char *const bill_model[] = {"flipper_length_mm", "bill_length_mm"};

/* The published table, in full precision: species by species intercept, slope, their errors. */
static const double adelie_exact[] = {158.92444194689234425, 7.3942998737287451853, 0.79989914912834076292,
                                      0.19017227277338654101};

static void the_penguin_table_is_exact_to_1e_12(void **state) {
    (void)state;
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference exact = reference_open("penguins/customer_table_exact.csv");
    for (size_t k = 0; k < 3; k++) {
        slice_take(&slice, &data, "species", species[k], bill_model, 1);
        fit_slice(NULL);
        size_t row = reference_find(&exact, "species", species[k]);
        assert_int_equal(result.status, FIT_OK);
        assert_int_equal(result.n, (size_t)reference_number(&exact, row, "n"));
        assert_int_equal(result.df_residual, (size_t)reference_number(&exact, row, "df_resid"));
        assert_close(terms[0].estimate, reference_number(&exact, row, "coef_intercept"), 1e-14);
        assert_close(terms[0].std_error, reference_number(&exact, row, "se_intercept"), 1e-14);
        assert_close(terms[1].estimate, reference_number(&exact, row, "coef_bill_length_mm"), 1e-14);
        assert_close(terms[1].std_error, reference_number(&exact, row, "se_bill_length_mm"), 1e-14);
        assert_close(result.rss, reference_number(&exact, row, "rss"), 1e-14);
        assert_close(result.sigma, reference_number(&exact, row, "sigma"), 1e-14);
        assert_close(result.r_squared, reference_number(&exact, row, "r2"), 1e-14);
        if (k == 0) assert_close(terms[1].std_error, adelie_exact[3], 1e-14);
    }
    reference_close(&data);
    reference_close(&exact);
}

/* As many digits as the program behind the table has: its t quantile has only ten. */
static void check_summary(const struct reference *r, size_t row, const char *const *names, size_t p) {
    static const char *const hc[] = {"HC0", "HC1", "HC2", "HC3"};
    char column[64];
    for (size_t j = 0; j <= p; j++) {
        const char *name = j == 0 ? "intercept" : names[j];
#define CHECK_TERM(prefix, field, digits)                                                                    \
    snprintf(column, sizeof column, prefix "%s", name);                                                      \
    assert_close(terms[j].field, reference_number(r, row, column), digits)
        CHECK_TERM("coef_", estimate, 1e-11);
        CHECK_TERM("se_", std_error, 1e-11);
        CHECK_TERM("t_", statistic, 1e-11);
        CHECK_TERM("p_", p_value, 1e-11);
        CHECK_TERM("ci_low_", conf_low, 1e-8);
        CHECK_TERM("ci_high_", conf_high, 1e-8);
#undef CHECK_TERM
        for (size_t h = 0; h < FIT_HC_COUNT; h++) {
            snprintf(column, sizeof column, "se_%s_%s", hc[h], name);
            assert_close(terms[j].se_hc[h], reference_number(r, row, column), 1e-10);
        }
    }
    assert_close(result.adj_r_squared, reference_number(r, row, "adj_r2"), 1e-11);
    assert_close(result.rmse, reference_number(r, row, "rmse"), 1e-12);
    assert_close(result.f_statistic, reference_number(r, row, "f"), 1e-11);
    assert_close(result.f_p_value, reference_number(r, row, "f_p"), 1e-11);
    assert_close(result.log_lik, reference_number(r, row, "loglik"), 1e-12);
    assert_close(result.aic, reference_number(r, row, "aic_R"), 1e-12);
    assert_close(result.bic, reference_number(r, row, "bic_R"), 1e-12);
}

static void terms_agree_with_r(void **state) {
    (void)state;
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/R_customer_tidy.csv");
    for (size_t row = 0; row < table.rows; row++) {
        slice_take(&slice, &data, "species", reference_text(&table, row, "species"), bill_model, 1);
        fit_slice(NULL);
        const struct fit_term *t = &terms[row % 2];
        assert_close(t->estimate, reference_number(&table, row, "estimate"), 1e-12);
        assert_close(t->std_error, reference_number(&table, row, "std.error"), 1e-12);
        assert_close(t->statistic, reference_number(&table, row, "statistic"), 1e-12);
        assert_close(t->p_value, reference_number(&table, row, "p.value"), 1e-11);
        assert_close(t->conf_low, reference_number(&table, row, "conf.low"), 1e-12);
        assert_close(t->conf_high, reference_number(&table, row, "conf.high"), 1e-12);
    }
    reference_close(&data);
    reference_close(&table);
}

static void summaries_and_robust_errors_agree_with_other_programs(void **state) {
    (void)state;
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/customer_table_by_species.csv");
    for (size_t k = 0; k < 3; k++) {
        slice_take(&slice, &data, "species", species[k], bill_model, 1);
        fit_slice(&(struct linear_options){.robust = true});
        check_summary(&table, reference_find(&table, "species", species[k]), bill_model, 1);
    }
    reference_close(&data);
    reference_close(&table);
}

static void several_predictors_by_two_keys_agree(void **state) {
    (void)state;
    static const char *const names[] = {"flipper_length_mm", "bill_length_mm", "bill_depth_mm",
                                        "body_mass_g"};
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/multi_by_species_sex.csv");
    size_t key = reference_column(&data, "species"), sex = reference_column(&data, "sex");
    for (size_t row = 0; row < table.rows; row++) {
        /* Join the two keys in the first, so that one of them selects. */
        char wanted[64], (*joined)[64] = calloc(data.rows + 1, sizeof *joined);
        assert_non_null(joined);
        char **saved = calloc(data.rows, sizeof *saved);
        assert_non_null(saved);
        snprintf(wanted, sizeof wanted, "%s/%s", reference_text(&table, row, "species"),
                 reference_text(&table, row, "sex"));
        for (size_t i = 0; i < data.rows; i++) {
            char **cell = &data.cells[(i + 1) * data.columns + key];
            saved[i] = *cell;
            snprintf(joined[i], sizeof *joined, "%.30s/%.30s", *cell,
                     data.cells[(i + 1) * data.columns + sex]);
            *cell = joined[i];
        }
        slice_take(&slice, &data, "species", wanted, names, 3);
        for (size_t i = 0; i < data.rows; i++) data.cells[(i + 1) * data.columns + key] = saved[i];
        free(joined);
        free(saved);
        fit_slice(&(struct linear_options){.robust = true});
        assert_int_equal(result.n, (size_t)reference_number(&table, row, "n"));
        assert_string_equal(fit_status_name(result.status), reference_text(&table, row, "status"));
        /* With one degree of freedom the reference's own robust errors have lost their digits. */
        if (result.df_residual > 1) check_summary(&table, row, names, 3);
        if (result.status == FIT_SATURATED) {
            assert_close(terms[0].estimate, reference_number(&table, row, "coef_intercept"), 1e-9);
            assert_true(isnan(terms[0].std_error) && isnan(terms[0].se_hc[FIT_HC0]));
            assert_true(isnan(result.sigma) && isnan(result.f_statistic) && isnan(result.log_lik));
            assert_true(result.rss == 0 && result.r_squared == 1);
        }
    }
    reference_close(&data);
    reference_close(&table);
}

static void weighted_fits_agree_with_r(void **state) {
    (void)state;
    static const char *const names[] = {"flipper_length_mm", "bill_length_mm", "body_mass_g"};
    struct reference data = reference_open("penguins/penguins.csv");
    struct reference table = reference_open("penguins/R_weighted_by_species.csv");
    for (size_t k = 0; k < 3; k++) {
        double weights[SLICE_ROWS];
        slice_take(&slice, &data, "species", species[k], names, 2);
        for (size_t i = 0; i < slice.n; i++) weights[i] = slice.x[1][i] / 1000;
        struct linear_input input = {slice.y, slice.columns, weights, slice.n, 1};
        assert_true(linear_fit(&input, NULL, scratch, &result, terms));
        size_t row = reference_find(&table, "species", species[k]);
        for (size_t j = 0; j < 2; j++) {
            assert_close(terms[j].estimate, reference_number(&table, row + j, "estimate"), 1e-12);
            assert_close(terms[j].std_error, reference_number(&table, row + j, "std.error"), 1e-12);
            assert_close(terms[j].p_value, reference_number(&table, row + j, "p.value"), 1e-10);
        }
        assert_close(result.r_squared, reference_number(&table, row, "r2"), 1e-12);
        assert_close(result.sigma, reference_number(&table, row, "sigma"), 1e-12);
    }
    reference_close(&data);
    reference_close(&table);
}

/* --- slices that cannot be fitted ----------------------------------------------------------------------- */

static const struct {
    const char *slice, *one, *two; /* statuses of y ~ x1 and of y ~ x1 + x2 */
} degenerate_statuses[] = {
    {"ok20", "ok", "ok"},
    {"all_y_missing", "too_few_rows", "too_few_rows"},
    {"n1", "too_few_rows", "too_few_rows"},
    {"n2", "saturated", "too_few_rows"},
    {"n_equals_p", "ok", "saturated"},
    {"const_x1", "rank_deficient", "rank_deficient"},
    {"const_y", "constant_response", "constant_response"},
    {"x2_is_2x1", "ok", "rank_deficient"},
    {"near_collinear", "ok", "ok"},
    {"perfect_fit", "ok", "ok"},
    {"epoch_seconds", "ok", "ok"},
    {"some_missing", "ok", "ok"},
    {"x1_all_missing", "too_few_rows", "too_few_rows"},
    {"zero_x2", "ok", "rank_deficient"},
    {"", "ok", "ok"},
    {"NA", "ok", "ok"},
};

static void check_degenerate(const struct reference *exact, size_t row, size_t p) {
    static const char *const terms_names[] = {"intercept", "x1", "x2"};
    const char *dropped = reference_text(exact, row, "dropped_terms");
    const char *name = reference_text(exact, row, "slice");
    /* The reference took the decimals; rounding them to double costs the nearly collinear slice ten digits,
     * as it says itself, and times of day in seconds since 1970 seven. */
    bool collinear = strcmp(name, "near_collinear") == 0 && p == 2;
    double tolerance = collinear ? 1e-5 : strcmp(name, "epoch_seconds") == 0 ? 1e-8 : 1e-13;
    assert_int_equal(result.rank, (size_t)reference_number(exact, row, "rank"));
    for (size_t j = 0; j <= p; j++) {
        char column[32];
        snprintf(column, sizeof column, "coef_%s", terms_names[j]);
        assert_close(terms[j].estimate, reference_number(exact, row, column), tolerance);
        snprintf(column, sizeof column, "se_%s", terms_names[j]);
        assert_close(terms[j].std_error, reference_number(exact, row, column), tolerance);
        if (result.n > 0) assert_int_equal(terms[j].dropped, strstr(dropped, terms_names[j]) != NULL);
    }
    assert_close(result.rss, reference_number(exact, row, "rss"), tolerance);
    assert_close(result.sigma, reference_number(exact, row, "sigma"), tolerance);
    assert_close(result.r_squared, reference_number(exact, row, "r2"), tolerance);
    if (collinear) assert_true(result.digits_estimate < 7);
}

static void awkward_slices_have_the_status_and_numbers_of_exact_arithmetic(void **state) {
    (void)state;
    static const char *const names[] = {"y", "x1", "x2"};
    struct reference data = reference_open("penguins/degenerate.csv");
    struct reference exact = reference_open("penguins/degenerate_exact.csv");
    assert_int_equal(exact.rows, 2 * sizeof degenerate_statuses / sizeof *degenerate_statuses);
    for (size_t row = 0; row < exact.rows; row++) {
        size_t p = row % 2 + 1;
        const char *name = reference_text(&exact, row, "slice");
        assert_string_equal(name, degenerate_statuses[row / 2].slice);
        slice_take(&slice, &data, "slice", name, names, p);
        fit_slice(NULL);
        assert_int_equal(result.n, (size_t)reference_number(&exact, row, "n"));
        assert_string_equal(fit_status_name(result.status),
                            p == 1 ? degenerate_statuses[row / 2].one : degenerate_statuses[row / 2].two);
        check_degenerate(&exact, row, p);
    }
    reference_close(&data);
    reference_close(&exact);
}

static void an_exact_line_leaves_nothing_and_claims_no_likelihood(void **state) {
    (void)state;
    const double rows[] = {1000000007, 1000000003, 1000000009, 1000000004,
                           1000000013, 1000000006, 1000000005, 1000000002};
    slice_put(&slice, 4, 1, rows);
    fit_slice(&(struct linear_options){.robust = true});
    assert_int_equal(result.status, FIT_OK);
    assert_close(terms[0].estimate, -999999999, 1e-15);
    assert_close(terms[1].estimate, 2, 1e-15);
    assert_true(result.rss == 0 && result.r_squared == 1 && result.sigma == 0);
    assert_true(terms[1].std_error == 0 && terms[1].conf_low == terms[1].estimate);
    assert_true(terms[1].se_hc[FIT_HC0] == 0 && terms[1].se_hc[FIT_HC3] == 0);
    assert_true(isnan(terms[1].statistic) && isnan(terms[1].p_value));
    assert_true(isnan(result.log_lik) && isnan(result.aic) && isnan(result.f_statistic));
    assert_true(isnan(result.f_p_value) && isnan(result.f_log10_p));
    assert_true(result.condition == 1 && result.digits_estimate == 15);
}

static void a_constant_column_of_inexact_numbers_is_dropped(void **state) {
    (void)state;
    const double rows[] = {1, 0.1, 1, 2, 0.1, 2, 3, 0.1, 4, 5, 0.1, 3, 2, 0.1, 9, 4, 0.1, 7, 9, 0.1, 5};
    slice_put(&slice, 7, 2, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_RANK_DEFICIENT);
    assert_true(terms[1].dropped && !terms[2].dropped);
    assert_int_equal(result.n_dropped, 1);
}

static void a_constant_response_of_inexact_numbers_is_noticed(void **state) {
    (void)state;
    const double rows[] = {0.1, 1, 0.1, 2, 0.1, 4, 0.1, 3, 0.1, 9, 0.1, 7, 0.1, 5};
    slice_put(&slice, 7, 1, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_CONSTANT_RESPONSE);
    assert_true(terms[0].estimate == 0.1 && terms[1].estimate == 0 && terms[1].std_error == 0);
    assert_true(isnan(result.r_squared) && isnan(result.adj_r_squared));
}

static void without_predictors_the_intercept_is_the_mean(void **state) {
    (void)state;
    const double rows[] = {1, 2, 3, 6};
    slice_put(&slice, 4, 0, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    assert_true(terms[0].estimate == 3);
    assert_close(terms[0].std_error, sqrt(14 / 3.0 / 4), 1e-15);
    assert_true(result.r_squared == 0 && isnan(result.f_statistic));
}

static void without_intercept_a_zero_column_is_dropped_and_r_squared_is_about_zero(void **state) {
    (void)state;
    const double rows[] = {3, 0, 4, 4, 0, 5, 4, 0, 6};
    slice_put(&slice, 3, 2, rows);
    fit_slice(&(struct linear_options){.no_intercept = true});
    assert_int_equal(result.status, FIT_RANK_DEFICIENT);
    assert_int_equal(result.n_terms, 2);
    assert_true(terms[0].dropped);
    assert_close(terms[1].estimate, 56 / 77.0, 1e-15);
    assert_close(result.r_squared, 1 - result.rss / 41, 1e-14);
}

static void numbers_that_are_not_finite_are_a_status(void **state) {
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    const double rows[] = {1, 1, 2, 2, 3, 5, 4, 3};
    for (size_t i = 0; i < 3; i++) {
        slice_put(&slice, 4, 1, rows);
        slice.x[0][2] = bad[i];
        fit_slice(NULL);
        assert_int_equal(result.status, FIT_PARSE_ERROR);
        assert_true(terms[0].dropped && isnan(terms[0].estimate) && isnan(result.r_squared));
        slice_put(&slice, 4, 1, rows);
        slice.y[3] = bad[i];
        fit_slice(&(struct linear_options){.no_intercept = true});
        assert_int_equal(result.status, FIT_PARSE_ERROR);
    }
}

static void negative_weights_are_a_status(void **state) {
    (void)state;
    const double rows[] = {1, 1, 2, 2, 3, 5, 4, 3}, weights[] = {1, 2, -1, 1};
    slice_put(&slice, 4, 1, rows);
    struct linear_input input = {slice.y, slice.columns, weights, 4, 1};
    assert_true(linear_fit(&input, NULL, scratch, &result, terms));
    assert_int_equal(result.status, FIT_PARSE_ERROR);
}

static void huge_and_tiny_numbers_are_no_obstacle(void **state) {
    (void)state;
    const double rows[] = {1, 1, 2, 2, 3, 5, 4, 3, 9, 8};
    const double factors[][2] = {
        {0x1p900, 0x1p-100}, {0x1p-900, 0x1p100}, {0x1p1019, 0x1p1019}, {0x1p-540, 0x1p-540}};
    slice_put(&slice, 5, 1, rows);
    fit_slice(NULL);
    struct linear_result plain = result;
    struct fit_term slope = terms[1];
    for (size_t k = 0; k < 4; k++) {
        slice_put(&slice, 5, 1, rows);
        for (size_t i = 0; i < 5; i++) {
            slice.y[i] *= factors[k][0];
            slice.x[0][i] *= factors[k][1];
        }
        fit_slice(&(struct linear_options){.robust = true});
        double factor = factors[k][0] / factors[k][1];
        assert_int_equal(result.status, FIT_OK);
        assert_close(terms[1].estimate, slope.estimate * factor, 1e-15);
        assert_close(terms[1].std_error, slope.std_error * factor, 1e-15);
        assert_close(terms[1].p_value, slope.p_value, 1e-13);
        assert_true(terms[1].se_hc[FIT_HC3] > 0 && isfinite(terms[1].se_hc[FIT_HC3]));
        assert_close(result.sigma, plain.sigma * factors[k][0], 1e-15);
        assert_close(result.r_squared, plain.r_squared, 1e-15);
        assert_close(result.f_statistic, plain.f_statistic, 1e-15);
        assert_close(result.log_lik, plain.log_lik - 5 * log(factors[k][0]), 1e-15);
    }
}

static void assert_back(double actual, double plain, int exponent) {
    double expected = ldexp(plain, exponent);
    if (isinf(expected) || (expected == 0 && plain != 0)) {
        assert_true(isnan(actual));
    } else {
        assert_close(actual, expected, 1e-15);
    }
}

/* Nothing is half-defined: without a standard error there is nothing that is made of it. */
static void assert_whole(const struct fit_term *t) {
    if (isnan(t->estimate)) assert_true(isnan(t->std_error));
    if (isnan(t->std_error)) assert_true(isnan(t->statistic) && isnan(t->p_value) && isnan(t->conf_low));
    assert_int_equal(isnan(t->conf_low), isnan(t->conf_high));
    assert_int_equal(isnan(t->statistic), isnan(t->p_value));
}

/* y, x and weights by powers of two up to the ends of a double: what a double can hold is right, the rest is NAN. */
static void the_ends_of_the_range_are_as_good_as_its_middle(void **state) {
    (void)state;
    static const double rows[] = {1, 1, 2, 2, 3, 5, 4, 3, 1.5, 1.75}, ones[] = {1, 0.5, 1, 1.5, 1};
    static const int ends[] = {-1070, -1020, -600, 0, 400, 1000, 1021};
    double weights[5];
    for (size_t k = 0; k < 7 * 7 * 7 * 4; k++) {
        int y = ends[k % 7], x = ends[k / 7 % 7], w = k / 49 % 7 ? ends[k / 49 % 7] & ~1 : 1;
        bool weighted = w != 1;
        struct linear_options options = {.robust = true, .exact = k / 343 & 1, .no_intercept = k / 343 & 2};
        slice_put(&slice, 5, 1, rows);
        struct linear_input input = {slice.y, slice.columns, weighted ? weights : NULL, 5, 1};
        memcpy(weights, ones, sizeof weights);
        assert_true(linear_fit(&input, &options, scratch, &result, terms));
        struct linear_result plain = result;
        struct fit_term plain_terms[2] = {terms[0], terms[1]};
        if (!weighted) w = 0;
        bool exact = true; /* nothing is lost in numbers below the normal ones */
        for (size_t i = 0; i < 5; i++) {
            exact &= ldexp(ldexp(slice.y[i], y), -y) == slice.y[i] &&
                     ldexp(ldexp(slice.x[0][i], x), -x) == slice.x[0][i];
            slice.y[i] = ldexp(slice.y[i], y);
            slice.x[0][i] = ldexp(slice.x[0][i], x);
            exact &= ldexp(ldexp(weights[i], w), -w) == weights[i];
            weights[i] = ldexp(weights[i], w);
        }
        if (!exact) continue;
        assert_true(linear_fit(&input, &options, scratch, &result, terms));
        assert_int_equal(result.status, FIT_OK);
        for (size_t j = 0; j < result.n_terms; j++) {
            bool slope = j + 1 == result.n_terms;
            int exponent = y - (slope ? x : 0);
            assert_whole(&terms[j]);
            assert_back(terms[j].estimate, plain_terms[j].estimate, exponent);
            if (isnan(terms[j].estimate)) continue;
            assert_back(terms[j].std_error, plain_terms[j].std_error, exponent);
            if (isnan(terms[j].std_error)) continue;
            assert_close(terms[j].statistic, plain_terms[j].statistic, 1e-14);
            assert_close(terms[j].p_value, plain_terms[j].p_value, 1e-13);
            assert_back(terms[j].se_hc[FIT_HC3], plain_terms[j].se_hc[FIT_HC3], exponent);
        }
        assert_back(result.sigma, plain.sigma, y + w / 2);
        assert_back(result.rmse, plain.rmse, y + w / 2);
        assert_back(result.rss, plain.rss, 2 * y + w);
        assert_close(result.r_squared, plain.r_squared, 1e-15);
        assert_close(result.f_statistic, plain.f_statistic, 1e-14);
        assert_close(result.log_lik, plain.log_lik - 5 * y * M_LN2, 1e-13);
        assert_close(result.aic, 2 * ((double)result.rank + 1) - 2 * result.log_lik, 1e-13);
    }
}

/* Residuals whose root of a sum of squares is no double: the finding's own numbers. */
static void a_response_near_the_end_has_errors(void **state) {
    (void)state;
    const double rows[] = {1.5e308, 1, -1.5e308, 2, -1.5e308, 3, 1.5e308, 4, 1.2e308, 5, -1.2e308, 6};
    slice_put(&slice, 6, 1, rows);
    fit_slice(NULL);
    assert_int_equal(result.status, FIT_OK);
    for (size_t j = 0; j < 2; j++) assert_whole(&terms[j]);
    assert_true(isfinite(terms[1].std_error) && terms[1].p_value > 0 && terms[1].p_value < 1);
    double error = terms[1].std_error, slope = terms[1].estimate;
    int by = 0;
    for (; isfinite(ldexp(error, by)); by++) {
    }
    assert_true(isfinite(ldexp(slope, by)));
    for (size_t i = 0; i < 6; i++) slice.x[0][i] = ldexp(slice.x[0][i], -by);
    fit_slice(NULL); /* the slope's error is too large for a double now, the slope is not */
    assert_whole(&terms[1]);
    assert_true(terms[1].estimate == ldexp(slope, by) && isnan(terms[1].std_error) &&
                isnan(terms[1].p_value));
    assert_true(isfinite(result.r_squared));
}

static void terms_are_whole_or_empty(void **state) {
    (void)state;
    struct fit_term t = {.estimate = 1,
                         .std_error = 2,
                         .statistic = 0.5,
                         .p_value = 0.6,
                         .log10_p = -0.2,
                         .conf_low = -3,
                         .conf_high = 5};
    struct fit_term whole = t;
    fit_term_tidy(&t);
    assert_memory_equal(&t, &whole, sizeof t);
    t.conf_high = INFINITY;
    fit_term_tidy(&t);
    assert_true(isnan(t.conf_low) && isnan(t.conf_high) && t.statistic == 0.5);
    t = whole;
    t.std_error = INFINITY;
    fit_term_tidy(&t);
    assert_true(t.estimate == 1 && isnan(t.std_error) && isnan(t.statistic) && isnan(t.p_value) &&
                isnan(t.log10_p) && isnan(t.conf_low));
    t = whole;
    t.estimate = -INFINITY;
    fit_term_tidy(&t);
    assert_true(isnan(t.estimate) && isnan(t.std_error) && isnan(t.conf_high) && !t.dropped);
}

static void numbers_far_from_zero_cost_no_digits(void **state) {
    (void)state;
    const double rows[] = {1, 4, 2, 2, 1, 5, 4, 3, 3, 9, 5, 8, 7, 6, 2, 0, 8, 7, 1};
    const struct linear_options robust = {.robust = true};
    struct fit_term near[3];
    slice_put(&slice, 6, 2, rows);
    fit_slice(&robust);
    memcpy(near, terms, sizeof near);
    double f = result.f_statistic, rss = result.rss;
    for (size_t i = 0; i < 6; i++) {
        slice.x[0][i] += 1334009411;
        slice.x[1][i] -= 0x1p50;
        slice.y[i] += 0x1p49;
    }
    fit_slice(&robust);
    for (size_t j = 1; j < 3; j++) {
        assert_close(terms[j].estimate, near[j].estimate, 1e-15);
        assert_close(terms[j].std_error, near[j].std_error, 1e-15);
        assert_close(terms[j].p_value, near[j].p_value, 1e-14);
        for (size_t h = 0; h < FIT_HC_COUNT; h++) assert_close(terms[j].se_hc[h], near[j].se_hc[h], 1e-15);
    }
    assert_close(result.f_statistic, f, 1e-15);
    assert_close(result.rss, rss, 1e-15);
}

static void a_row_the_line_must_pass_through_leaves_hc2_and_hc3_undefined(void **state) {
    (void)state;
    const double rows[] = {1, 0, 2, 0, 4, 0, 3, 1};
    const double offsets[] = {0, 1e9};
    for (size_t k = 0; k < 2; k++) {
        slice_put(&slice, 4, 1, rows);
        for (size_t i = 0; i < 4; i++) slice.x[0][i] += offsets[k];
        fit_slice(&(struct linear_options){.robust = true});
        assert_true(terms[1].se_hc[FIT_HC0] > 0 && terms[1].se_hc[FIT_HC1] > 0);
        assert_true(isnan(terms[1].se_hc[FIT_HC2]) && isnan(terms[1].se_hc[FIT_HC3]));
    }
}

/* --- the kernel's variants ------------------------------------------------------------------------------ */

enum { MANY_ROWS = 6000, MANY_COLUMNS = 40 };

static double next_uniform(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (double)(*seed >> 11) * 0x1p-53;
}

struct many {
    double y[MANY_ROWS], weight[MANY_ROWS], x[MANY_COLUMNS][MANY_ROWS];
    const double *columns[MANY_COLUMNS];
};

static struct many *make_many(void) {
    struct many *m = malloc(sizeof *m);
    assert_non_null(m);
    uint64_t seed = 88172645463325252u;
    for (size_t j = 0; j < MANY_COLUMNS; j++) {
        m->columns[j] = m->x[j];
        for (size_t i = 0; i < MANY_ROWS; i++) m->x[j][i] = 1000 + next_uniform(&seed) * (double)(j + 1);
    }
    for (size_t i = 0; i < MANY_ROWS; i++) {
        m->y[i] = 5 + next_uniform(&seed) + m->x[1][i] - 2 * m->x[3][i];
        m->weight[i] = i % 3 == 0 ? 0 : 0.5 + next_uniform(&seed);
    }
    return m;
}

static void assert_same_fit(const struct linear_result *a, const struct fit_term *s,
                            const struct linear_result *b, const struct fit_term *t, double tolerance) {
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->rank, b->rank);
    for (size_t j = 0; j < a->n_terms; j++) {
        assert_int_equal(s[j].dropped, t[j].dropped);
        assert_close(s[j].estimate, t[j].estimate, tolerance);
        assert_close(s[j].std_error, t[j].std_error, tolerance);
        for (size_t h = 0; h < FIT_HC_COUNT; h++) assert_close(s[j].se_hc[h], t[j].se_hc[h], tolerance);
    }
    assert_close(a->rss, b->rss, tolerance);
    assert_close(a->r_squared, b->r_squared, tolerance);
    assert_close(a->f_statistic, b->f_statistic, tolerance);
    assert_close(a->log_lik, b->log_lik, tolerance);
}

static void compare_modes(size_t p, bool weighted, bool no_intercept, size_t duplicate) {
    struct many *m = make_many();
    struct linear_result exact;
    struct fit_term exact_terms[MANY_COLUMNS + 1];
    if (duplicate) m->columns[duplicate] = m->x[duplicate - 1];
    struct linear_input input = {m->y, m->columns, weighted ? m->weight : NULL, MANY_ROWS, p};
    struct linear_options options = {.robust = true, .exact = true, .no_intercept = no_intercept};
    assert_true(linear_fit(&input, &options, scratch, &exact, exact_terms));
    options.exact = false;
    assert_true(linear_fit(&input, &options, scratch, &result, terms));
    assert_int_equal(result.status, duplicate ? FIT_RANK_DEFICIENT : FIT_OK);
    if (duplicate) assert_true(terms[duplicate + !no_intercept].dropped);
    assert_same_fit(&result, terms, &exact, exact_terms, 1e-10);
    free(m);
}

static void many_rows_in_blocks_agree_with_exact_mode(void **state) {
    (void)state;
    compare_modes(5, false, false, 0);
    compare_modes(5, true, false, 0);
    compare_modes(5, true, true, 0);
    compare_modes(5, false, false, 3);
}

static void many_predictors_agree_with_exact_mode(void **state) {
    (void)state;
    compare_modes(40, false, false, 0);
    compare_modes(40, true, false, 0);
    compare_modes(40, false, true, 0);
    compare_modes(40, false, false, 7);
}

static void rows_of_weight_zero_are_not_there(void **state) {
    (void)state;
    struct many *m = make_many();
    struct linear_result with;
    struct fit_term with_terms[6];
    struct linear_options options = {.robust = true};
    /* A first block of nothing but zeros, too. */
    for (size_t i = 0; i < 3000; i++) m->weight[i] = 0;
    struct linear_input input = {m->y, m->columns, m->weight, MANY_ROWS, 5};
    assert_true(linear_fit(&input, &options, scratch, &with, with_terms));
    size_t n = 0;
    for (size_t i = 0; i < MANY_ROWS; i++) {
        if (m->weight[i] == 0) continue;
        for (size_t j = 0; j < 5; j++) m->x[j][n] = m->x[j][i];
        m->y[n] = m->y[i];
        m->weight[n++] = m->weight[i];
    }
    input.n = n;
    assert_true(linear_fit(&input, &options, scratch, &result, terms));
    assert_same_fit(&result, terms, &with, with_terms, 1e-12);
    free(m);
}

static void repeated_rows_are_what_weights_mean_for_estimates(void **state) {
    (void)state;
    const double rows[] = {1, 1, 2, 2, 3, 5, 4, 3, 9, 8};
    const double weights[] = {1, 2, 3, 1, 2};
    const size_t repeats[] = {0, 1, 1, 2, 2, 2, 3, 4, 4};
    double repeated[18];
    slice_put(&slice, 5, 1, rows);
    struct linear_input input = {slice.y, slice.columns, weights, 5, 1};
    assert_true(linear_fit(&input, NULL, scratch, &result, terms));
    double intercept = terms[0].estimate, slope = terms[1].estimate, r2 = result.r_squared;
    for (size_t i = 0; i < 9; i++) memcpy(repeated + 2 * i, rows + 2 * repeats[i], 2 * sizeof *rows);
    slice_put(&slice, 9, 1, repeated);
    fit_slice(NULL);
    assert_close(intercept, terms[0].estimate, 1e-14);
    assert_close(slope, terms[1].estimate, 1e-14);
    assert_close(r2, result.r_squared, 1e-14);
}

static void a_larger_fit_before_it_changes_no_bit(void **state) {
    (void)state;
    struct many *m = make_many();
    struct linear_input small = {m->y, m->columns, NULL, 57, 3}, large = {m->y, m->columns, NULL, 5000, 40};
    struct linear_result first;
    struct fit_term first_terms[MANY_COLUMNS + 1];
    assert_true(linear_fit(&small, NULL, scratch, &first, first_terms));
    assert_true(linear_fit(&large, NULL, scratch, &result, terms));
    assert_true(linear_fit(&small, NULL, scratch, &result, terms));
    for (size_t j = 0; j < 4; j++) {
        assert_memory_equal(&first_terms[j].estimate, &terms[j].estimate, sizeof(double));
        assert_memory_equal(&first_terms[j].p_value, &terms[j].p_value, sizeof(double));
    }
    assert_memory_equal(&first.aic, &result.aic, sizeof(double));
    free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longley_has_13_digits),
        cmocka_unit_test(the_nist_suite_is_reached_in_default_mode),
        cmocka_unit_test(the_nist_suite_has_13_digits_in_exact_mode),
        cmocka_unit_test(filip_under_a_stricter_tolerance_names_the_dropped_term),
        cmocka_unit_test(the_penguin_table_is_exact_to_1e_12),
        cmocka_unit_test(terms_agree_with_r),
        cmocka_unit_test(summaries_and_robust_errors_agree_with_other_programs),
        cmocka_unit_test(several_predictors_by_two_keys_agree),
        cmocka_unit_test(weighted_fits_agree_with_r),
        cmocka_unit_test(awkward_slices_have_the_status_and_numbers_of_exact_arithmetic),
        cmocka_unit_test(an_exact_line_leaves_nothing_and_claims_no_likelihood),
        cmocka_unit_test(a_constant_column_of_inexact_numbers_is_dropped),
        cmocka_unit_test(a_constant_response_of_inexact_numbers_is_noticed),
        cmocka_unit_test(without_predictors_the_intercept_is_the_mean),
        cmocka_unit_test(without_intercept_a_zero_column_is_dropped_and_r_squared_is_about_zero),
        cmocka_unit_test(numbers_that_are_not_finite_are_a_status),
        cmocka_unit_test(negative_weights_are_a_status),
        cmocka_unit_test(huge_and_tiny_numbers_are_no_obstacle),
        cmocka_unit_test(the_ends_of_the_range_are_as_good_as_its_middle),
        cmocka_unit_test(a_response_near_the_end_has_errors),
        cmocka_unit_test(terms_are_whole_or_empty),
        cmocka_unit_test(numbers_far_from_zero_cost_no_digits),
        cmocka_unit_test(a_row_the_line_must_pass_through_leaves_hc2_and_hc3_undefined),
        cmocka_unit_test(many_rows_in_blocks_agree_with_exact_mode),
        cmocka_unit_test(many_predictors_agree_with_exact_mode),
        cmocka_unit_test(rows_of_weight_zero_are_not_there),
        cmocka_unit_test(repeated_rows_are_what_weights_mean_for_estimates),
        cmocka_unit_test(a_larger_fit_before_it_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
