/*
 * missing: the policies for missing cells.
 *
 *   drop       rows where a column of the model is missing are left out (by the fit; nothing is filled here)
 *   drop_any   rows where any column of the table is missing are left out
 *   mean       numbers: the mean of the observed
 *   median     numbers: the middle of the observed, the midpoint of the two middle ones
 *   mode       numbers and text: the most frequent; of several the smallest (text by bytes)
 *   knn        numbers: the (weighted) mean over the k nearest rows that have the column, by (distance, row)
 *   logistic   text: the likeliest level by a penalised logistic model of the predictors; numbers: the mean
 *   indicator  numbers: the mean, and a 0/1 column missingindicator_<name>; text: a level __missing__
 *
 * A policy that does not mention text leaves text missing. A column without an observed value cannot be filled: that
 * is an error, never a silent drop. All fills are computed from the table as it was read, then applied.
 *
 * knn measures d(a, b) = sqrt(m / m_common * sum over common coordinates of (a - b)^2) over the m predictors. A
 * coordinate is common when both rows have it, so the column being filled takes no part in the distances of its own
 * gaps, also when it is a predictor; m counts it, which changes no result. Donors of a gap are the rows that have the
 * column and a coordinate in common. If there is none, the gap falls back to the column's mean. Distance weights are
 * 1/d; where some d is 0 only those rows count.
 *
 * Predictors (of knn and logistic) are the named columns, which must hold numbers. When none is named they are, for a
 * fit, the model's numeric predictors, never its response or weights; for a table without a model, every numeric column
 * but the slice columns. Text, and columns without an observed value, take no part.
 */
#ifndef ROOKERY_WORKERS_JOBS_MISSING_MISSING_H
#define ROOKERY_WORKERS_JOBS_MISSING_MISSING_H

#include "workers/jobs/model/model.h"
#include "workers/jobs/table/table.h"

enum missing_policy {
    MISSING_DROP,
    MISSING_DROP_ANY,
    MISSING_MEAN,
    MISSING_MEDIAN,
    MISSING_MODE,
    MISSING_KNN,
    MISSING_LOGISTIC,
    MISSING_INDICATOR,
};
#define MISSING_POLICIES "drop, drop_any, mean, median, mode, knn, logistic, indicator"
bool missing_policy_parse(const char *name, enum missing_policy *policy);
const char *missing_policy_name(enum missing_policy policy);

#define MISSING_INDICATOR_PREFIX "missingindicator_"
#define MISSING_LEVEL "__missing__"
#define MISSING_K 5
#define MISSING_K_MAX 1000000

struct missing_options {
    size_t k;         /* of knn; 0: MISSING_K */
    bool distance;    /* weigh donors by 1/d */
    bool standardise; /* divide coordinates by their population standard deviation first */
};

/* The policies for a table, column by column. */
struct missing_plan {
    enum missing_policy *policy; /* one per table column; DROP fills nothing */
    size_t n_columns;
    size_t *predictors; /* table columns */
    size_t n_predictors;
    struct missing_options options;
};
/* Sets every policy to MISSING_DROP, without predictors. Returns false on allocation failure. */
bool missing_plan_open(struct missing_plan *plan, size_t n_columns, const struct missing_options *options);
void missing_plan_close(struct missing_plan *plan);
/* Returns true when a column of a dataset that has been read to its end may be a predictor: it has a number. */
bool missing_may_predict(const struct dataset *d, size_t column);
/* Makes a predictor of each column that may be one, but for those that are USE_KEY. */
void missing_plan_predict_by_all(struct missing_plan *plan, const struct dataset *d);
/* Returns true for a policy that fills gaps; the others leave rows out. */
static inline bool missing_is_fill(enum missing_policy policy) {
    return policy != MISSING_DROP && policy != MISSING_DROP_ANY;
}
/* Returns true when the policy fills the gaps of a column of this type. */
bool missing_fills(enum missing_policy policy, enum column_type type);
/* Returns true when the one value of a column of this type (missing_fill) is what its policy falls back to: the mean,
 * for gaps without a donor and for the numbers of logistic. */
bool missing_falls_back(enum missing_policy policy, enum column_type type);

/* One value for all of a column's gaps. */
struct missing_fill {
    bool known;
    double number;
    uint32_t text; /* in the column's spelling; INTERN_NONE: MISSING_LEVEL */
};

/* A gap with a value of its own. */
struct missing_cell {
    uint32_t column, row;
    double number;
    uint32_t text;
};

/* The fills of a set of rows. */
struct missing_result {
    struct missing_fill *fills; /* per table column */
    struct missing_cell *cells; /* by column, then row */
    size_t n_cells, cells_room;
    size_t n_columns;
};
void missing_result_free(struct missing_result *result);

/* Computes fills for the rows rows[0 .. n_rows) (NULL: rows 0 .. n_rows-1), reading nothing else of the table, which
 * must be finished. Safe for several threads on one table. `where` is added to errors (" of slice a=1", or ""). With
 * `lenient`, a column that cannot be filled is left unchanged instead. Returns false with *error set; nothing is
 * owned then. */
bool missing_run(const struct table *t, const struct missing_plan *plan, const uint32_t *rows, size_t n_rows,
                 const char *where, bool lenient, struct fit_scratch *scratch, struct missing_result *result,
                 struct jobs_error *error);
/* The cell of a column and row in the result, or NULL. */
const struct missing_cell *missing_result_cell(const struct missing_result *result, size_t column,
                                               size_t row);

/* Sorts the cells of a result that was assembled elsewhere. */
void missing_result_sort(struct missing_result *result);

/* Sets *error: the column has no observed value; `where` as above. Returns false. */
bool missing_unfillable(const char *column, const char *where, enum missing_policy policy,
                        struct jobs_error *error);
/* The middle of two numbers, in the way medians are formed. */
double missing_midpoint(double low, double high);

/* ---- for the files of this module ---------------------------------------------------------------------- */

static inline size_t missing_row(const uint32_t *rows, size_t i) {
    return rows ? rows[i] : i;
}
/* The mean of the observed cells of a numeric column, summed in long double in row order. Returns false when no cell
 * is observed. */
bool missing_mean(const struct table_column *column, const uint32_t *rows, size_t n_rows, double *mean);
bool missing_add_cell(struct missing_result *result, struct missing_cell cell);
/* The policies with files of their own: they add cells to the result. */
bool missing_knn(const struct table *t, const struct missing_plan *plan, const uint32_t *rows, size_t n_rows,
                 struct missing_result *result, struct jobs_error *error);
bool missing_logistic(const struct table *t, const struct missing_plan *plan, size_t target,
                      const uint32_t *rows, size_t n_rows, struct fit_scratch *scratch,
                      struct missing_result *result, struct jobs_error *error);

#endif
