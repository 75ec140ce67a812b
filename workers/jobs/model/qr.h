/* Least squares by Householder QR, the kernel below the linear and the logistic model.
 *
 * qr_template.h is the algorithm; qr_long.c compiles it for long double and qr_quad.c for 113 bits. qr_long.c also
 * has a variant for many predictors, in which LAPACK factors. All of them fill a struct qr_solution.
 *
 * Rows are taken in blocks: the triangle of the blocks so far is stacked on the next one and factored again,
 * so memory depends on the number of columns only and the work stays in the cache.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_QR_H
#define ROOKERY_WORKERS_JOBS_MODEL_QR_H

#include <stdbool.h>
#include <stddef.h>

#include "workers/jobs/model/model.h"

struct qr_problem {
    const double *y;
    const double *const *columns;
    const double *weights; /* >= 0 or NULL; rows of weight 0 are skipped */
    size_t n, p;
    bool intercept; /* centre the columns and recover an intercept */
    bool robust;    /* fill hc */
    double rank_tolerance;
};

/* The caller provides the arrays, one entry per column; the kernel fills in everything. Errors are roots, so that
 * they are in the range of the data. A unit error is the standard error for residuals of standard deviation 1: the
 * root of the diagonal of (X'WX)^-1. Entries of columns that were not kept are 0. */
struct qr_solution {
    bool *kept;
    double *coefficient, *unit_error;
    double (*hc)[FIT_HC_COUNT]; /* robust standard errors; NAN where undefined. Not touched unless robust */

    bool finite; /* false: a number is not finite or a weight negative, and nothing below is set */
    size_t n;    /* rows of positive weight */
    size_t rank; /* kept columns, the intercept not included */
    double intercept, intercept_error, intercept_hc[FIT_HC_COUNT];
    bool constant;         /* y does not vary (is 0, without intercept): slopes are exactly 0 */
    double residual_norm;  /* root of RSS; 0 when what remains is rounding error of the arithmetic */
    double rss;            /* its square */
    double explained;      /* part of the sum of squares of y that the columns explain; NAN when constant */
    double explained_odds; /* explained / unexplained; NAN when nothing remains unexplained */
    double sum_log_weights;
    double condition; /* 1-norm, of the kept columns after centring and scaling; 1 when there are none */
};

/* workspace: at least the given number of bytes, aligned for 64 bytes. */
size_t qr_long_workspace(size_t n, size_t p);
void qr_long_solve(const struct qr_problem *problem, void *workspace, struct qr_solution *solution);

size_t qr_quad_workspace(size_t n, size_t p);
void qr_quad_solve(const struct qr_problem *problem, void *workspace, struct qr_solution *solution);

/* Double precision with one refinement step; falls back to qr_long_solve (whose workspace is included) when
 * the columns are dependent, so that the leftmost independent ones stay here as well. p >= 1. */
size_t qr_lapack_workspace(size_t n, size_t p);
void qr_lapack_solve(const struct qr_problem *problem, void *workspace, struct qr_solution *solution);

#endif
