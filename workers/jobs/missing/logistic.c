/*
 * missing_logistic: the logistic policy of missing.h for one text column.
 *
 * Predictors are mean-filled and standardised over the rows at hand with the population standard deviation;
 * predictors that do not vary are left out. The model is logistic.h's penalised fit with C = 1 over the rows that
 * have the target, levels in byte order, so that ties go to the smallest.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/missing/missing.h"
#include "workers/jobs/model/logistic.h"

struct text_model {
    const struct table_column *target;
    const uint32_t *rows;
    size_t n_rows, n_seen, p;
    double **all;      /* p predictors of all rows */
    double **seen;     /* the same of the rows that have the target */
    uint32_t *labels;  /* of those rows: classes */
    uint32_t *levels;  /* class → text, in byte order */
    uint32_t *classes; /* text → class; INTERN_NONE: not observed */
    uint32_t n_classes;
    double *coefficients;
};

static void free_columns(double **columns, size_t p) {
    for (size_t j = 0; columns && j < p; j++) free(columns[j]);
    free(columns);
}

static void text_model_free(struct text_model *m, size_t p) {
    free_columns(m->all, p);
    free_columns(m->seen, p);
    free(m->labels);
    free(m->levels);
    free(m->classes);
    free(m->coefficients);
}

static int compare_levels(const void *a, const void *b, void *spelling) {
    size_t x_length, y_length;
    const char *x = intern_text(spelling, *(const uint32_t *)a, &x_length);
    const char *y = intern_text(spelling, *(const uint32_t *)b, &y_length);
    return intern_compare(x, x_length, y, y_length);
}

/* Numbers the observed levels and labels the rows that have one. */
static bool find_classes(struct text_model *m) {
    size_t n_texts = intern_count(m->target->spelling);
    m->classes = malloc((n_texts + 1) * sizeof *m->classes);
    m->levels = malloc((n_texts + 1) * sizeof *m->levels);
    m->labels = malloc((m->n_rows + 1) * sizeof *m->labels);
    if (!m->classes || !m->levels || !m->labels) return false;
    for (size_t i = 0; i < n_texts; i++) m->classes[i] = INTERN_NONE;
    for (size_t i = 0; i < m->n_rows; i++) {
        size_t row = missing_row(m->rows, i);
        if (table_is_missing(m->target, row)) continue;
        uint32_t text = m->target->text[row];
        assert(text < n_texts);
        m->labels[m->n_seen++] = text;
        if (m->classes[text] != INTERN_NONE) continue;
        m->classes[text] = 0;
        m->levels[m->n_classes++] = text;
    }
    qsort_r(m->levels, m->n_classes, sizeof *m->levels, compare_levels, m->target->spelling);
    for (uint32_t c = 0; c < m->n_classes; c++) m->classes[m->levels[c]] = c;
    for (size_t i = 0; i < m->n_seen; i++) m->labels[i] = m->classes[m->labels[i]];
    return true;
}

/* The exponent of the largest value, where differences of such values may be no doubles; else 0. */
static int far_exponent(const struct text_model *m, const struct table_column *column) {
    double most = 0;
    int exponent;
    for (size_t i = 0; i < m->n_rows; i++) {
        size_t row = missing_row(m->rows, i);
        if (!table_is_missing(column, row)) most = fmax(most, fabs(table_number(column, row)));
    }
    frexp(most, &exponent);
    return exponent < -900 || exponent > 900 ? exponent : 0;
}

/* Fills x with a predictor, mean-filled and standardised; false when it does not vary. */
static bool standardise(const struct text_model *m, const struct table_column *column, double *x) {
    double mean;
    if (!missing_mean(column, m->rows, m->n_rows, &mean)) return false;
    int exponent = far_exponent(m, column);
    mean = ldexp(mean, -exponent);
    long double squares = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        size_t row = missing_row(m->rows, i);
        x[i] = table_is_missing(column, row) ? 0 : ldexp(table_number(column, row), -exponent) - mean;
        squares += (long double)x[i] * x[i];
    }
    double sd = (double)sqrtl(squares / m->n_rows);
    for (size_t i = 0; i < m->n_rows && sd > 0; i++) x[i] /= sd;
    return sd > 0;
}

static void keep_seen(const struct text_model *m, const double *all, double *seen) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        if (!table_is_missing(m->target, missing_row(m->rows, i))) seen[n++] = all[i];
    }
    assert(n == m->n_seen);
}

static bool find_predictors(struct text_model *m, const struct table *t, const struct missing_plan *plan) {
    m->all = calloc(plan->n_predictors + 1, sizeof *m->all);
    m->seen = calloc(plan->n_predictors + 1, sizeof *m->seen);
    if (!m->all || !m->seen) return false;
    for (size_t j = 0; j < plan->n_predictors; j++) {
        if (!m->all[m->p]) m->all[m->p] = malloc((m->n_rows + 1) * sizeof(double));
        if (!m->seen[m->p]) m->seen[m->p] = malloc((m->n_seen + 1) * sizeof(double));
        if (!m->all[m->p] || !m->seen[m->p]) return false;
        if (!standardise(m, &t->columns[plan->predictors[j]], m->all[m->p])) continue;
        keep_seen(m, m->all[m->p], m->seen[m->p]);
        m->p++;
    }
    return true;
}

static bool fit_model(struct text_model *m, struct fit_scratch *scratch, struct jobs_error *error) {
    struct penalised_input input = {
        (const double *const *)m->seen, m->labels, m->n_seen, m->p, m->n_classes, 0};
    m->coefficients = calloc(penalised_coefficient_count(m->p, m->n_classes) + 1, sizeof *m->coefficients);
    if (!m->coefficients) return jobs_fail_memory(error, "filling missing values");
    switch (penalised_fit(&input, scratch, m->coefficients)) {
    case PENALISED_OK: return true;
    case PENALISED_NO_MEMORY: return jobs_fail_memory(error, "filling missing values");
    case PENALISED_TOO_LARGE:
        return jobs_fail(
            error, JOBS_FAULT_DATA,
            "column \"%s\" has %u levels, too many for logistic with %zu predictors (the product with one "
            "more predictor may be %d at most); choose mode for it",
            m->target->name, m->n_classes, m->p, PENALISED_MAX_UNKNOWNS);
    case PENALISED_NOT_CONVERGED: break;
    }
    return jobs_fail(error, JOBS_FAULT_DATA,
                     "the logistic model for column \"%s\" did not converge; choose mode for it",
                     m->target->name);
}

static bool fill_gaps(const struct text_model *m, size_t column, struct missing_result *result, double *x) {
    for (size_t i = 0; i < m->n_rows; i++) {
        size_t row = missing_row(m->rows, i);
        if (!table_is_missing(m->target, row)) continue;
        for (size_t j = 0; j < m->p; j++) x[j] = m->all[j][i];
        uint32_t class = penalised_predict(m->coefficients, m->p, m->n_classes, x, NULL);
        assert(class < m->n_classes);
        struct missing_cell cell = {(uint32_t)column, (uint32_t)row, NAN, m->levels[class]};
        if (!missing_add_cell(result, cell)) return false;
    }
    return true;
}

bool missing_logistic(const struct table *t, const struct missing_plan *plan, size_t target,
                      const uint32_t *rows, size_t n_rows, struct fit_scratch *scratch,
                      struct missing_result *result, struct jobs_error *error) {
    struct text_model m = {.target = &t->columns[target], .rows = rows, .n_rows = n_rows};
    bool good = find_classes(&m);
    if (good && m.n_classes < 2) {
        result->fills[target] =
            (struct missing_fill){m.n_classes == 1, NAN, m.n_classes == 1 ? m.levels[0] : INTERN_NONE};
    } else if (good && find_predictors(&m, t, plan)) {
        double *x = malloc((m.p + 1) * sizeof *x);
        good = x && fit_model(&m, scratch, error) && fill_gaps(&m, target, result, x);
        free(x);
    } else {
        good = false;
    }
    text_model_free(&m, plan->n_predictors);
    return good || jobs_fail_memory(error, "filling missing values");
}
