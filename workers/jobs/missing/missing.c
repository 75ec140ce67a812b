/* missing: the plan, the policies with one value per column, and applying a result. knn and logistic have
 * files. */
#include "workers/jobs/missing/missing.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const policy_names[] = {"drop", "drop_any", "mean",     "median",
                                           "mode", "knn",      "logistic", "indicator"};

bool missing_policy_parse(const char *name, enum missing_policy *policy) {
    for (size_t i = 0; i < sizeof policy_names / sizeof *policy_names; i++) {
        if (strcmp(name, policy_names[i]) != 0) continue;
        *policy = (enum missing_policy)i;
        return true;
    }
    return false;
}

const char *missing_policy_name(enum missing_policy policy) {
    return policy_names[policy];
}

/* ---- the plan ---------------------------------------------------------------------------------------- */

bool missing_plan_open(struct missing_plan *plan, size_t n_columns, const struct missing_options *options) {
    *plan = (struct missing_plan){.n_columns = n_columns, .options = *options};
    if (plan->options.k == 0) plan->options.k = MISSING_K;
    plan->policy = calloc(n_columns + 1, sizeof *plan->policy);
    plan->predictors = calloc(n_columns + 1, sizeof *plan->predictors);
    if (plan->policy && plan->predictors) return true;
    missing_plan_close(plan);
    return false;
}

void missing_plan_close(struct missing_plan *plan) {
    free(plan->policy);
    free(plan->predictors);
    *plan = (struct missing_plan){0};
}

bool missing_may_predict(const struct dataset *d, size_t at) {
    const struct dataset_column *column = &d->columns[at];
    bool number = (column->use & (USE_NUMBER | USE_TYPE)) && column->type != COLUMN_TEXT;
    return number && column->n_missing < d->n_rows;
}

void missing_plan_predict_by_all(struct missing_plan *plan, const struct dataset *d) {
    assert(plan->n_columns == d->n_columns);
    plan->n_predictors = 0;
    for (size_t i = 0; i < d->n_columns; i++) {
        if (!missing_may_predict(d, i) || (d->columns[i].use & USE_KEY)) continue;
        plan->predictors[plan->n_predictors++] = i;
    }
}

bool missing_fills(enum missing_policy policy, enum column_type type) {
    switch (policy) {
    case MISSING_DROP:
    case MISSING_DROP_ANY: return false;
    case MISSING_MEAN:
    case MISSING_MEDIAN:
    case MISSING_KNN: return type != COLUMN_TEXT;
    case MISSING_MODE:
    case MISSING_LOGISTIC:
    case MISSING_INDICATOR: return true;
    }
    return false;
}

bool missing_falls_back(enum missing_policy policy, enum column_type type) {
    return type != COLUMN_TEXT && (policy == MISSING_KNN || policy == MISSING_LOGISTIC);
}

/* ---- one value per column ---------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The observed numbers, sorted; malloc'd. NULL on allocation failure. */
static double *sorted_numbers(const struct table_column *column, const uint32_t *rows, size_t n_rows,
                              size_t *n) {
    double *values = malloc((n_rows + 1) * sizeof *values);
    if (!values) return NULL;
    *n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = missing_row(rows, i);
        if (!table_is_missing(column, row)) values[(*n)++] = table_number(column, row);
    }
    qsort(values, *n, sizeof *values, compare_numbers);
    return values;
}

double missing_midpoint(double low, double high) {
    /* Never -0: otherwise the result would depend on which of the two zeros came first. */
    if (low == high) return low + 0.0;
    return isfinite(low + high) ? (low + high) / 2 : low / 2 + high / 2;
}

static double sorted_median(const double *values, size_t n) {
    assert(n > 0 && values[(n - 1) / 2] <= values[n / 2]);
    return missing_midpoint(values[(n - 1) / 2], values[n / 2]);
}

/* The longest run; the first of several, which is the smallest value. */
static double sorted_mode(const double *values, size_t n) {
    size_t best = 0, best_length = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && values[end] == values[i];) end++;
        if (end - i > best_length) best = i, best_length = end - i;
    }
    return values[best] + 0.0; /* never -0 */
}

/* The most frequent observed text. INTERN_NONE: nothing observed. Returns false on allocation failure. */
static bool text_mode(const struct table_column *column, const uint32_t *rows, size_t n_rows,
                      uint32_t *mode) {
    uint32_t n_levels = intern_count(column->spelling), best = INTERN_NONE;
    size_t *counts = calloc((size_t)n_levels + 1, sizeof *counts);
    if (!counts) return false;
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = missing_row(rows, i);
        if (table_is_missing(column, row)) continue;
        assert(column->text[row] < n_levels);
        counts[column->text[row]]++;
    }
    for (uint32_t level = 0; level < n_levels; level++) {
        if (counts[level] == 0) continue;
        if (best != INTERN_NONE && counts[level] < counts[best]) continue;
        if (best != INTERN_NONE && counts[level] == counts[best]) {
            size_t a_length, b_length;
            const char *a = intern_text(column->spelling, level, &a_length);
            const char *b = intern_text(column->spelling, best, &b_length);
            if (intern_compare(a, a_length, b, b_length) > 0) continue;
        }
        best = level;
    }
    free(counts);
    *mode = best;
    return true;
}

/* fill->known stays false when nothing is observed. Returns false on allocation failure. */
static bool fill_text(const struct table_column *column, enum missing_policy policy, const uint32_t *rows,
                      size_t n_rows, struct missing_fill *fill) {
    fill->text = INTERN_NONE;
    if (policy != MISSING_INDICATOR && !text_mode(column, rows, n_rows, &fill->text)) return false;
    fill->known = policy == MISSING_INDICATOR || fill->text != INTERN_NONE;
    return true;
}

static bool fill_number(const struct table_column *column, enum missing_policy policy, const uint32_t *rows,
                        size_t n_rows, struct missing_fill *fill) {
    if (policy != MISSING_MEDIAN && policy != MISSING_MODE) {
        fill->known = missing_mean(column, rows, n_rows, &fill->number);
        return true;
    }
    size_t n;
    double *values = sorted_numbers(column, rows, n_rows, &n);
    if (!values) return false;
    fill->known = n > 0;
    if (n > 0) fill->number = policy == MISSING_MEDIAN ? sorted_median(values, n) : sorted_mode(values, n);
    free(values);
    return true;
}

/* ---- the whole plan ---------------------------------------------------------------------------------- */

static bool any_missing(const struct table_column *column, const uint32_t *rows, size_t n_rows) {
    if (!rows || column->n_missing == 0) return column->n_missing > 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (table_is_missing(column, rows[i])) return true;
    }
    return false;
}

static bool run_column(const struct table *t, const struct missing_plan *plan, size_t at,
                       const uint32_t *rows, size_t n_rows, struct fit_scratch *scratch,
                       struct missing_result *result, struct jobs_error *error) {
    const struct table_column *column = &t->columns[at];
    enum missing_policy policy = plan->policy[at];
    bool text = column->type == COLUMN_TEXT;
    if (text && policy == MISSING_LOGISTIC) {
        return missing_logistic(t, plan, at, rows, n_rows, scratch, result, error);
    }
    bool good = text ? fill_text(column, policy, rows, n_rows, &result->fills[at])
                     : fill_number(column, policy, rows, n_rows, &result->fills[at]);
    return good || jobs_fail_memory(error, "filling missing values");
}

bool missing_unfillable(const char *column, const char *where, enum missing_policy policy,
                        struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA,
                     "column \"%s\"%s has no observed value, so %s cannot fill it; drop it or choose drop",
                     column, where, missing_policy_name(policy));
}

/* Returns true when knn must run; its columns need their means too, for rows without a donor. */
static bool run_columns(const struct table *t, const struct missing_plan *plan, const uint32_t *rows,
                        size_t n_rows, const char *where, bool lenient, struct fit_scratch *scratch,
                        struct missing_result *result, struct jobs_error *error) {
    bool knn = false;
    for (size_t i = 0; i < plan->n_columns; i++) {
        const struct table_column *column = &t->columns[i];
        if (!column->use || !missing_fills(plan->policy[i], column->type)) continue;
        if (!any_missing(column, rows, n_rows)) continue;
        size_t cells = result->n_cells;
        if (!run_column(t, plan, i, rows, n_rows, scratch, result, error)) return false;
        bool filled = result->fills[i].known || result->n_cells > cells;
        if (!filled && !lenient) {
            return missing_unfillable(column->name, where, plan->policy[i], error);
        }
        knn |= filled && plan->policy[i] == MISSING_KNN;
    }
    return !knn || missing_knn(t, plan, rows, n_rows, result, error);
}

static int compare_cells(const void *a, const void *b) {
    const struct missing_cell *x = a, *y = b;
    if (x->column != y->column) return x->column < y->column ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

bool missing_run(const struct table *t, const struct missing_plan *plan, const uint32_t *rows, size_t n_rows,
                 const char *where, bool lenient, struct fit_scratch *scratch, struct missing_result *result,
                 struct jobs_error *error) {
    assert(plan->n_columns == t->n_columns && plan->n_predictors <= t->n_columns);
    *result = (struct missing_result){.n_columns = plan->n_columns};
    result->fills = calloc(plan->n_columns + 1, sizeof *result->fills);
    if (!result->fills) return jobs_fail_memory(error, "filling missing values");
    if (!run_columns(t, plan, rows, n_rows, where, lenient, scratch, result, error)) {
        missing_result_free(result);
        return false;
    }
    missing_result_sort(result);
    return true;
}

void missing_result_sort(struct missing_result *result) {
    if (result->n_cells) qsort(result->cells, result->n_cells, sizeof *result->cells, compare_cells);
}

void missing_result_free(struct missing_result *result) {
    free(result->fills);
    free(result->cells);
    *result = (struct missing_result){0};
}

const struct missing_cell *missing_result_cell(const struct missing_result *result, size_t column,
                                               size_t row) {
    struct missing_cell wanted = {.column = (uint32_t)column, .row = (uint32_t)row};
    if (result->n_cells == 0) return NULL;
    return bsearch(&wanted, result->cells, result->n_cells, sizeof wanted, compare_cells);
}
