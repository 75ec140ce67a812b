/* The least-squares kernel in long double: 64 bits on x86-64, 113 (in software) on arm64. And its variant
 * for many predictors, where LAPACK's blocked double-precision factorisation is several times faster:
 *
 * 1. Centre, weigh and scale in long double, round to double, factor with column pivoting (dgeqp3).
 * 2. When the pivots show dependent columns, start again with the long-double kernel, which drops columns
 *    from the right, as for few predictors.
 * 3. Solve, then refine: residuals in long double, their correction through the same factorisation. What
 *    rounding to double cost the coefficients is thereby won back.
 * 4. Continue from the triangle as always.
 */
#define REAL long double
#define REAL_EPS LDBL_EPSILON
#define QR(name) qr_long_##name
#include "workers/jobs/model/qr_template.h"

#include <assert.h>
#include <lapacke.h>
#include <limits.h>

struct pivoted {
    lapack_int rows, columns;
    double *matrix, *tau, *rhs, *work;
    lapack_int *order; /* from 1 */
    lapack_int work_size;
    REAL *residual;
};

static size_t qr_lay_out_pivoted(struct pivoted *a, char *base, size_t n, size_t p) {
    size_t used = 0, work = 2 * p + (p + 1) * 64;
    a->columns = (lapack_int)p;
    a->work_size = (lapack_int)work;
    a->matrix = qr_piece(base, &used, n * p, sizeof(double));
    a->tau = qr_piece(base, &used, p, sizeof(double));
    a->rhs = qr_piece(base, &used, n, sizeof(double));
    a->work = qr_piece(base, &used, work, sizeof(double));
    a->order = qr_piece(base, &used, p, sizeof(lapack_int));
    a->residual = qr_piece(base, &used, n, sizeof(REAL));
    return used;
}

size_t qr_lapack_workspace(size_t n, size_t p) {
    struct pivoted a;
    return qr_long_workspace(n, p) + qr_lay_out_pivoted(&a, NULL, n, p);
}

/* One centred and weighted column into a->residual, skipping rows of weight 0. */
static void qr_load_column(const struct fit *f, struct pivoted *a, size_t j) {
    const struct qr_problem *in = f->in;
    const double *x = j < in->p ? in->columns[j] : in->y;
    size_t m = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (in->weights && in->weights[i] == 0) continue;
        REAL root = in->weights ? qr_root(in->weights[i]) : 1;
        a->residual[m++] = root * qr_centred(f->center[j], x[i]);
    }
    assert(m == f->out->n);
    f->norm2[j] = qr_dot(a->residual, a->residual, 0, m);
}

/* Fills and factors the matrix; false when its columns are (nearly) dependent. */
static bool qr_factor_pivoted(struct fit *f, struct pivoted *a) {
    size_t p = f->in->p, m = f->out->n;
    a->rows = (lapack_int)m;
    for (size_t j = 0; j < p; j++) {
        qr_load_column(f, a, j);
        if (qr_dependent(f, j, f->norm2[j])) return false;
        REAL norm = qr_root(f->norm2[j]);
        for (size_t i = 0; i < m; i++) a->matrix[j * m + i] = (double)(a->residual[i] / norm);
        a->order[j] = 0;
    }
    assert(a->columns > 0 && a->rows >= a->columns && m <= f->in->n);
    if (LAPACKE_dgeqp3_work(LAPACK_COL_MAJOR, a->rows, a->columns, a->matrix, a->rows, a->order, a->tau,
                            a->work, a->work_size) != 0)
        return false;
    double last = a->matrix[(p - 1) * m + p - 1];
    return fabs(last) > f->in->rank_tolerance * fabs(a->matrix[0]);
}

/* Puts Q' a->residual where the triangle's y is, and solves for f->b. */
static bool qr_solve_pivoted(struct fit *f, struct pivoted *a) {
    size_t p = f->in->p, m = f->out->n;
    for (size_t i = 0; i < m; i++) a->rhs[i] = (double)a->residual[i];
    if (LAPACKE_dormqr_work(LAPACK_COL_MAJOR, 'L', 'T', a->rows, 1, a->columns, a->matrix, a->rows, a->tau,
                            a->rhs, a->rows, a->work, a->work_size) != 0)
        return false;
    for (size_t k = 0; k < p; k++) f->block[p * f->stride + k] = a->rhs[k];
    qr_solve_triangle(f);
    return true;
}

/* The triangle goes where the kernel keeps its own, each column at its place and length. */
static void qr_take_triangle(struct fit *f, const struct pivoted *a) {
    size_t p = f->in->p, m = f->out->n;
    f->rank = p;
    for (size_t k = 0; k < p; k++) {
        size_t c = (size_t)a->order[k] - 1;
        assert(c < p);
        REAL norm = qr_root(f->norm2[c]);
        f->pivot[k] = c;
        for (size_t i = 0; i <= k; i++) f->block[c * f->stride + i] = norm * a->matrix[k * m + i];
    }
}

/* a->residual -= X b, starting from y. */
static void qr_residuals(struct fit *f, struct pivoted *a, const REAL *b) {
    const struct qr_problem *in = f->in;
    qr_load_column(f, a, in->p);
    for (size_t k = 0; k < f->rank; k++) {
        const double *x = in->columns[f->pivot[k]];
        struct center center = f->center[f->pivot[k]];
        size_t m = 0;
        for (size_t i = 0; i < in->n; i++) {
            if (in->weights && in->weights[i] == 0) continue;
            REAL root = in->weights ? qr_root(in->weights[i]) : 1;
            a->residual[m++] -= root * b[k] * qr_centred(center, x[i]);
        }
    }
}

static bool qr_refine(struct fit *f, struct pivoted *a) {
    REAL *first = f->dot, mss = f->mss;
    for (size_t k = 0; k < f->rank; k++) first[k] = f->b[k];
    qr_residuals(f, a, first);
    if (!qr_solve_pivoted(f, a)) return false;
    for (size_t k = 0; k < f->rank; k++) f->b[k] += first[k];
    qr_residuals(f, a, f->b);
    f->rss = qr_dot(a->residual, a->residual, 0, f->out->n);
    f->mss = mss;
    return true;
}

static bool qr_solve_many(struct fit *f, struct pivoted *a) {
    if (f->out->n > INT_MAX || f->out->n < f->in->p + f->in->intercept) return false;
    if (!qr_factor_pivoted(f, a)) return false;
    qr_take_triangle(f, a);
    qr_load_column(f, a, f->in->p);
    return qr_solve_pivoted(f, a) && qr_refine(f, a);
}

void qr_lapack_solve(const struct qr_problem *problem, void *workspace, struct qr_solution *solution) {
    struct fit f;
    struct pivoted a;
    if (!qr_begin(&f, problem, workspace, solution)) return;
    qr_lay_out_pivoted(&a, (char *)workspace + qr_long_workspace(problem->n, problem->p), problem->n,
                       problem->p);
    if (!qr_solve_many(&f, &a)) {
        qr_long_solve(problem, workspace, solution);
        return;
    }
    qr_end(&f);
}
