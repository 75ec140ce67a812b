/* Least squares by Householder QR, for one floating type. Included by qr_long.c and qr_quad.c, which define
 *   REAL      the type of all arithmetic
 *   REAL_EPS  the distance from 1 to the next larger REAL
 *   QR(name)  the name of an exported function
 *
 * 1. Means: a first estimate in double, and in REAL the mean of the differences from it. Any number near the
 *    mean would do as the first estimate, so its own rounding is of no consequence. The two parts are never
 *    added before they are subtracted from a value: the rounding of a centred column is then relative to its
 *    spread, however far from zero it is.
 * 2. For each block of rows: centre, multiply by the root of the weights, put below the triangle so far.
 * 3. Factor the block: reflector by reflector, the update of each column taking the inner products that the
 *    next reflector needs along (one pass over the block per reflector instead of two). y is the last
 *    column. In the last block a column is dropped when what is left of it is shorter than the tolerance
 *    times its length.
 * 4. From the triangle, its columns divided by their lengths: inverse, coefficients, variances, condition.
 *    Householder's method does not care how columns are scaled, so scaling the triangle is scaling the data.
 * 5. When asked for, one more pass over the rows for the robust variances.
 */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "workers/jobs/model/qr.h"

/* Values of a block: 16 bytes each, so that a block fits the second-level cache. */
#define QR_BLOCK_VALUES 8192

struct center {
    double near; /* exact: subtracting it from a value loses nothing */
    REAL shift;
};

struct fit {
    const struct qr_problem *in;
    struct qr_solution *out;
    size_t block_rows;     /* rows of data in a block */
    size_t stride;         /* from one column of the block to the next */
    REAL *block;           /* p + 1 columns, y last */
    REAL *root_weight;     /* of the block's rows */
    size_t *row;           /* which rows those are, when there are weights */
    struct center *center; /* p + 1 */
    REAL *norm2;           /* p + 1: squared lengths after centring */
    REAL *dot;             /* p + 1: inner products with the column to be reflected next */
    size_t *pivot;         /* the kept columns */
    size_t rank;
    REAL sum_weights;
    REAL rss, mss;
    /* the small triangular matrices, rank x rank, by columns */
    REAL *inverse;
    REAL *z; /* max(p, 1): work */
    REAL *b; /* coefficients */
    REAL (*hc)[FIT_HC_COUNT];
};

static size_t qr_block_rows(size_t n, size_t p) {
    size_t rows = QR_BLOCK_VALUES / (p + 1);
    if (rows < 4 * (p + 1)) rows = 4 * (p + 1);
    return rows < n ? rows : n;
}

/* Gives out consecutive pieces of a workspace; with base NULL it only adds up. */
static void *qr_piece(char *base, size_t *used, size_t count, size_t size) {
    char *piece = base ? base + *used : NULL;
    *used += fit_scratch_round(count * size);
    return piece;
}

static size_t qr_lay_out(struct fit *f, char *base, size_t n, size_t p) {
    size_t used = 0;
    f->block_rows = qr_block_rows(n, p);
    f->stride = f->block_rows + p + 1;
    f->block = qr_piece(base, &used, f->stride * (p + 1), sizeof(REAL));
    f->root_weight = qr_piece(base, &used, f->block_rows, sizeof(REAL));
    f->row = qr_piece(base, &used, f->block_rows, sizeof(size_t));
    f->center = qr_piece(base, &used, p + 1, sizeof *f->center);
    f->norm2 = qr_piece(base, &used, p + 1, sizeof(REAL));
    f->dot = qr_piece(base, &used, p + 1, sizeof(REAL));
    f->pivot = qr_piece(base, &used, p + 1, sizeof(size_t));
    f->inverse = qr_piece(base, &used, p * p, sizeof(REAL));
    f->z = qr_piece(base, &used, p + 1, sizeof(REAL));
    f->b = qr_piece(base, &used, p + 1, sizeof(REAL));
    f->hc = qr_piece(base, &used, p + 1, sizeof *f->hc);
    return used;
}

size_t QR(workspace)(size_t n, size_t p) {
    struct fit f;
    return qr_lay_out(&f, NULL, n, p);
}

static REAL qr_abs(REAL x) {
    return x < 0 ? -x : x;
}

/* Square root: from double's, doubling the digits twice. Brings x into double's range first. */
static REAL qr_root(REAL x) {
    if (!(x > 0)) return 0;
    if (x - x != 0) return x; /* infinite */
    REAL scale = 1;
    for (; x > 0x1p1000; x *= 0x1p-1000) scale *= 0x1p500;
    for (; x < 0x1p-1000; x *= 0x1p1000) scale *= 0x1p-500;
    REAL root = sqrt((double)x);
    root = (root + x / root) / 2;
    root = (root + x / root) / 2;
    return root * scale;
}

/* ---- means ------------------------------------------------------------------------------------------- */

/* The sum in double, in four strands; not finite when a value is not (or when it overflows). */
static double qr_rough_sum(const double *x, const double *w, size_t n) {
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t k = 0; k < 4; k++) s[k] += w ? w[i + k] * x[i + k] : x[i + k];
    }
    for (; i < n; i++) s[0] += w ? w[i] * x[i] : x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static bool qr_all_finite(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return false;
    }
    return true;
}

static REAL qr_difference_sum(const double *x, const double *w, size_t n, double from) {
    REAL s = 0, t = 0;
    size_t i = 0;
    if (w) {
        for (; i < n; i++) s += w[i] * ((REAL)x[i] - from);
        return s;
    }
    for (; i + 2 <= n; i += 2) {
        s += (REAL)x[i] - from;
        t += (REAL)x[i + 1] - from;
    }
    if (i < n) s += (REAL)x[i] - from;
    return s + t;
}

/* Mean of a column, 0 when nothing is centred; false when a value is not finite. */
static bool qr_find_center(struct fit *f, size_t j) {
    const struct qr_problem *in = f->in;
    const double *x = j < in->p ? in->columns[j] : in->y;
    double sum = qr_rough_sum(x, in->weights, in->n);
    /* A sum that overflows is not an error. An infinite value is, even with a weight of 0. */
    if (!isfinite(sum) && !qr_all_finite(x, in->n)) return false;
    f->center[j] = (struct center){0};
    if (!in->intercept || !(f->sum_weights > 0)) return true;
    double near = isfinite(sum) ? sum / (double)f->sum_weights : x[0];
    f->center[j].near = near;
    f->center[j].shift = qr_difference_sum(x, in->weights, in->n, near) / f->sum_weights;
    return true;
}

static REAL qr_centred(struct center c, double x) {
    return ((REAL)x - c.near) - c.shift;
}

static REAL qr_mean(const struct fit *f, size_t j) {
    return f->center[j].near + f->center[j].shift;
}

static bool qr_weigh(struct fit *f) {
    const double *w = f->in->weights;
    f->out->n = f->in->n;
    f->out->sum_log_weights = 0;
    f->sum_weights = (REAL)f->in->n;
    if (!w) return true;
    f->out->n = 0;
    f->sum_weights = 0;
    for (size_t i = 0; i < f->in->n; i++) {
        if (!(w[i] >= 0) || !isfinite(w[i])) return false;
        if (w[i] == 0) continue;
        f->out->n++;
        f->sum_weights += w[i];
        f->out->sum_log_weights += log(w[i]);
    }
    return true;
}

static bool qr_find_centers(struct fit *f) {
    if (!qr_weigh(f)) return false;
    for (size_t j = 0; j <= f->in->p; j++) {
        if (!qr_find_center(f, j)) return false;
    }
    return true;
}

/* ---- loading a block --------------------------------------------------------------------------------- */

/* Chooses the rows of positive weight from [from, to) and takes the roots of their weights. */
static size_t qr_choose_rows(struct fit *f, size_t from, size_t to) {
    size_t m = 0;
    for (size_t i = from; i < to; i++) {
        if (f->in->weights[i] == 0) continue;
        f->row[m] = i;
        f->root_weight[m++] = qr_root(f->in->weights[i]);
    }
    return m;
}

static REAL qr_load_plain(REAL *restrict to, const double *restrict x, size_t m, struct center c) {
    REAL s = 0, t = 0;
    size_t i = 0;
    for (; i + 2 <= m; i += 2) {
        REAL a = qr_centred(c, x[i]), b = qr_centred(c, x[i + 1]);
        to[i] = a;
        to[i + 1] = b;
        s += a * a;
        t += b * b;
    }
    if (i < m) {
        to[i] = qr_centred(c, x[i]);
        s += to[i] * to[i];
    }
    return s + t;
}

static REAL qr_load_weighted(const struct fit *f, REAL *restrict to, const double *restrict x, size_t m,
                             struct center c) {
    REAL s = 0;
    for (size_t i = 0; i < m; i++) {
        to[i] = f->root_weight[i] * qr_centred(c, x[f->row[i]]);
        s += to[i] * to[i];
    }
    return s;
}

/* Puts the rows [from, to) below the first `top` rows of the block; returns how many were put. */
static size_t qr_load(struct fit *f, size_t from, size_t to, size_t top) {
    const struct qr_problem *in = f->in;
    size_t m = in->weights ? qr_choose_rows(f, from, to) : to - from;
    assert(top + m <= f->stride);
    for (size_t j = 0; j <= in->p; j++) {
        const double *x = j < in->p ? in->columns[j] : in->y;
        REAL *column = f->block + j * f->stride + top;
        f->norm2[j] += in->weights ? qr_load_weighted(f, column, x, m, f->center[j])
                                   : qr_load_plain(column, x + from, m, f->center[j]);
    }
    return m;
}

/* ---- factoring --------------------------------------------------------------------------------------- */

static REAL qr_dot(const REAL *restrict a, const REAL *restrict b, size_t from, size_t to) {
    REAL s = 0;
    for (size_t i = from; i < to; i++) s += a[i] * b[i];
    return s;
}

/* a -= c v from row `from` on; returns the inner product of the new a with t from the row after that. */
static REAL qr_sweep(REAL *restrict a, const REAL *restrict v, const REAL *restrict t, REAL c, size_t from,
                     size_t to) {
    if (from >= to) return 0;
    a[from] -= c * v[from];
    REAL s = 0;
    for (size_t i = from + 1; i < to; i++) {
        REAL x = a[i] - c * v[i];
        a[i] = x;
        s += x * t[i];
    }
    return s;
}

/* The same for t itself: returns its own squared length. */
static REAL qr_sweep_self(REAL *restrict a, const REAL *restrict v, REAL c, size_t from, size_t to) {
    if (from >= to) return 0;
    a[from] -= c * v[from];
    REAL s = 0;
    for (size_t i = from + 1; i < to; i++) {
        REAL x = a[i] - c * v[i];
        a[i] = x;
        s += x * x;
    }
    return s;
}

/* Reflects column c, whose part below row r has inner products f->dot with the columns from c on, so that
 * only its row r remains, and the columns right of it along. Leaves in f->dot the products of column c + 1
 * below row r + 1. norm is the length of column c from row r on, and positive. */
static void qr_reflect(struct fit *f, size_t c, size_t r, size_t m, REAL norm) {
    REAL *column = f->block + c * f->stride;
    REAL *next = column + f->stride;
    REAL head = column[r];
    REAL v = head < 0 ? head - norm : head + norm;
    REAL scale = 1 / (norm * (norm + qr_abs(head)));
    for (size_t j = c + 1; j <= f->in->p; j++) {
        REAL *a = f->block + j * f->stride;
        REAL factor = (v * a[r] + f->dot[j]) * scale;
        a[r] -= factor * v;
        f->dot[j] = j == c + 1 ? qr_sweep_self(a, column, factor, r + 1, m)
                               : qr_sweep(a, column, next, factor, r + 1, m);
    }
    column[r] = head < 0 ? norm : -norm;
}

static void qr_fresh_dots(struct fit *f, size_t c, size_t r, size_t m) {
    for (size_t j = c; j <= f->in->p; j++) {
        f->dot[j] = qr_dot(f->block + c * f->stride, f->block + j * f->stride, r + 1, m);
    }
}

/* Returns true when the column is too short to be distinguished from a combination of the columns left of it. */
static bool qr_dependent(const struct fit *f, size_t c, REAL left2) {
    REAL tolerance = f->in->rank_tolerance;
    /* A column that varies by less than the spacing of doubles around its mean is constant. */
    REAL rounding = DBL_EPSILON * f->center[c].near;
    return left2 <= tolerance * tolerance * f->norm2[c] ||
           f->norm2[c] <= rounding * rounding * f->sum_weights;
}

/* Factors the first m rows of the block. In the last block dependent columns are dropped: no reflection, no
 * row used up. Before, every column takes a row, so that the triangle keeps its form. */
static void qr_factor(struct fit *f, size_t m, bool last) {
    size_t r = 0, p = f->in->p;
    size_t most = last ? f->out->n - (f->in->intercept && f->out->n > 0 ? 1 : 0) : p;
    bool fresh = false;
    f->rank = 0;
    for (size_t c = 0; c < p && r < m; c++) {
        if (!fresh) qr_fresh_dots(f, c, r, m);
        fresh = false;
        REAL head = f->block[c * f->stride + r];
        REAL left2 = head * head + f->dot[c];
        if (last && (r >= most || qr_dependent(f, c, left2))) continue;
        if (left2 > 0) {
            qr_reflect(f, c, r, m, qr_root(left2));
            fresh = true;
        }
        f->pivot[f->rank++] = c;
        r++;
    }
    assert(last || f->rank == p); /* a triangle, for the next block to go below */
    const REAL *y = f->block + p * f->stride;
    f->rss = r >= m ? 0 : y[r] * y[r] + (fresh ? f->dot[p] : qr_dot(y, y, r + 1, m));
}

/* Leaves only the triangle in the first p + 1 rows, for the next block to go below. */
static void qr_keep_triangle(struct fit *f) {
    size_t p = f->in->p;
    for (size_t j = 0; j <= p; j++) {
        for (size_t i = j + 1; i <= p; i++) f->block[j * f->stride + i] = 0;
    }
    f->block[p * f->stride + p] = qr_root(f->rss);
}

static void qr_factor_all(struct fit *f) {
    const struct qr_problem *in = f->in;
    size_t top = 0, from = 0;
    for (;;) {
        size_t to = in->n - from > f->block_rows ? from + f->block_rows : in->n;
        size_t m = top + qr_load(f, from, to, top);
        bool last = to == in->n;
        /* Rows skipped for their weight can leave a first block too small for a triangle. */
        if (!last && m < in->p + 1) {
            for (size_t j = 0; j <= in->p; j++) {
                for (size_t i = m; i <= in->p; i++) f->block[j * f->stride + i] = 0;
            }
            m = in->p + 1;
        }
        qr_factor(f, m, last);
        if (last) return;
        qr_keep_triangle(f);
        top = in->p + 1;
        from = to;
    }
}

/* ---- from the triangle to the answers ---------------------------------------------------------------- */

/* Entry of the triangle with its columns scaled to unit length. */
static REAL qr_r(const struct fit *f, size_t i, size_t k) {
    size_t c = f->pivot[k];
    return f->block[c * f->stride + i] / f->z[k];
}

/* f->inverse := inverse of the scaled triangle; returns the 1-norm condition. */
static REAL qr_invert(struct fit *f) {
    size_t q = f->rank;
    REAL largest = 0, largest_inverse = 0;
    for (size_t k = 0; k < q; k++) {
        REAL *column = f->inverse + k * q;
        REAL sum = 0, inverse_sum = 0;
        for (size_t i = k + 1; i < q; i++) column[i] = 0;
        column[k] = 1 / qr_r(f, k, k);
        /* Column k of the inverse is -inverse(leading) * R[:,k] / R[k,k]. */
        for (size_t i = 0; i < k; i++) column[i] = 0;
        for (size_t l = 0; l < k; l++) {
            REAL r = qr_r(f, l, k) * column[k];
            for (size_t i = 0; i <= l; i++) column[i] -= f->inverse[l * q + i] * r;
        }
        for (size_t i = 0; i <= k; i++) {
            sum += qr_abs(qr_r(f, i, k));
            inverse_sum += qr_abs(column[i]);
        }
        if (sum > largest) largest = sum;
        if (inverse_sum > largest_inverse) largest_inverse = inverse_sum;
    }
    return q ? largest * largest_inverse : 1;
}

/* f->z := lengths of the kept columns; f->b := coefficients by back substitution, in the scale of the data. */
static void qr_solve_triangle(struct fit *f) {
    size_t q = f->rank;
    const REAL *y = f->block + f->in->p * f->stride;
    f->mss = qr_dot(y, y, 0, q);
    for (size_t k = q; k-- > 0;) {
        REAL s = y[k];
        for (size_t l = k + 1; l < q; l++) s -= f->block[f->pivot[l] * f->stride + k] * f->b[l];
        f->b[k] = s / f->block[f->pivot[k] * f->stride + k];
        f->z[k] = qr_root(f->norm2[f->pivot[k]]);
    }
}

/* What the arithmetic itself can leave of y after an exact fit: the rounding of y and of each column's part
 * in it. */
static bool qr_rss_is_rounding(const struct fit *f) {
    REAL level = qr_root(f->norm2[f->in->p]);
    for (size_t k = 0; k < f->rank; k++) level += qr_abs(f->b[k]) * f->z[k];
    level *= 8 * (REAL)(f->rank + 1) * REAL_EPS;
    return f->rss <= level * level;
}

static void qr_sums_of_squares(struct fit *f) {
    struct qr_solution *out = f->out;
    REAL tss = f->norm2[f->in->p];
    REAL rounding = DBL_EPSILON * f->center[f->in->p].near;
    bool saturated = f->rank + f->in->intercept >= out->n;
    out->constant = tss <= rounding * rounding * f->sum_weights;
    if (out->constant) {
        for (size_t k = 0; k < f->rank; k++) f->b[k] = 0;
    }
    if (out->constant || saturated || qr_rss_is_rounding(f)) f->rss = 0;
    out->rss = (double)f->rss;
    out->residual_norm = (double)qr_root(f->rss);
    out->explained = out->constant ? (double)NAN : (double)(f->mss / (f->mss + f->rss));
    out->explained_odds = f->rss > 0 ? (double)(f->mss / f->rss) : (double)NAN;
}

static void qr_coefficients(struct fit *f) {
    struct qr_solution *out = f->out;
    size_t q = f->rank;
    REAL intercept = qr_mean(f, f->in->p);
    REAL variance = f->sum_weights > 0 ? 1 / f->sum_weights : 0;
    for (size_t k = 0; k < q; k++) {
        size_t c = f->pivot[k];
        REAL own = 0, mixed = 0;
        assert(c < f->in->p && !out->kept[c]); /* each column once at most */
        for (size_t l = k; l < q; l++) own += f->inverse[l * q + k] * f->inverse[l * q + k];
        for (size_t i = 0; i <= k; i++) mixed += f->inverse[k * q + i] * (qr_mean(f, f->pivot[i]) / f->z[i]);
        intercept -= qr_mean(f, c) * f->b[k];
        variance += mixed * mixed;
        out->kept[c] = true;
        out->coefficient[c] = (double)f->b[k];
        out->unit_error[c] = (double)(qr_root(own) / f->z[k]);
    }
    out->rank = q;
    out->intercept = (double)intercept;
    out->intercept_error = (double)qr_root(variance);
}

/* ---- robust variances -------------------------------------------------------------------------------- */

struct robust_row {
    REAL residual, leverage, root; /* of the weighted row; root of the weight */
};

/* f->dot := the row of the orthogonal factor that belongs to data row i. */
static struct robust_row qr_row(struct fit *f, size_t i) {
    const struct qr_problem *in = f->in;
    size_t q = f->rank;
    struct robust_row row = {.root = in->weights ? qr_root(in->weights[i]) : 1};
    row.residual = qr_centred(f->center[in->p], in->y[i]);
    for (size_t k = 0; k < q; k++) f->dot[k] = 0;
    for (size_t k = 0; k < q; k++) {
        REAL x = qr_centred(f->center[f->pivot[k]], in->columns[f->pivot[k]][i]);
        row.residual -= f->b[k] * x;
        x *= row.root / f->z[k];
        for (size_t l = k; l < q; l++) f->dot[l] += x * f->inverse[l * q + k];
    }
    row.residual *= row.root;
    if (in->intercept) row.leverage = row.root * row.root / f->sum_weights;
    for (size_t l = 0; l < q; l++) row.leverage += f->dot[l] * f->dot[l];
    return row;
}

/* Adds influence^2 * residual^2, divided by what each variant divides by. A row that the fit must pass
 * through (leverage 1, up to noise) leaves HC2 and HC3 undefined. */
static void qr_add_robust(REAL hc[FIT_HC_COUNT], REAL influence, const struct robust_row *row, REAL noise) {
    REAL term = influence * row->residual;
    REAL left = 1 - row->leverage > noise ? 1 - row->leverage : (REAL)NAN;
    term *= term;
    hc[FIT_HC0] += term;
    hc[FIT_HC2] += term / left;
    hc[FIT_HC3] += term / (left * left);
}

/* f->hc := sums over the rows; the intercept's come last. */
static void qr_sum_robust(struct fit *f) {
    const struct qr_problem *in = f->in;
    size_t q = f->rank;
    REAL noise = 64 * REAL_EPS * f->out->condition;
    for (size_t k = 0; k <= q; k++) {
        for (size_t h = 0; h < FIT_HC_COUNT; h++) f->hc[k][h] = 0;
    }
    for (size_t i = 0; i < in->n; i++) {
        if (in->weights && in->weights[i] == 0) continue;
        struct robust_row row = qr_row(f, i);
        REAL intercept = row.root / f->sum_weights;
        for (size_t k = 0; k < q; k++) {
            REAL influence = 0;
            for (size_t l = k; l < q; l++) influence += f->inverse[l * q + k] * f->dot[l];
            influence /= f->z[k];
            intercept -= qr_mean(f, f->pivot[k]) * influence;
            qr_add_robust(f->hc[k], influence, &row, noise);
        }
        qr_add_robust(f->hc[q], intercept, &row, noise);
    }
}

static void qr_finish_robust(double to[FIT_HC_COUNT], REAL hc[FIT_HC_COUNT], size_t n, size_t parameters) {
    hc[FIT_HC1] = hc[FIT_HC0] * (REAL)n / (REAL)(n - parameters);
    /* qr_root takes what is not positive, NAN too, to 0. */
    for (size_t h = 0; h < FIT_HC_COUNT; h++) to[h] = hc[h] == hc[h] ? (double)qr_root(hc[h]) : (double)NAN;
}

static void qr_robust(struct fit *f) {
    struct qr_solution *out = f->out;
    size_t parameters = f->rank + f->in->intercept;
    for (size_t h = 0; h < FIT_HC_COUNT; h++) {
        double start = out->n > parameters ? 0 : (double)NAN;
        out->intercept_hc[h] = start;
        for (size_t j = 0; j < f->in->p; j++) out->hc[j][h] = start;
    }
    if (out->n <= parameters || f->rss == 0) return;
    qr_sum_robust(f);
    for (size_t k = 0; k < f->rank; k++) qr_finish_robust(out->hc[f->pivot[k]], f->hc[k], out->n, parameters);
    qr_finish_robust(out->intercept_hc, f->hc[f->rank], out->n, parameters);
}

/* Prepares f in the workspace and finds the centers; false when the data are not finite. */
static bool qr_begin(struct fit *f, const struct qr_problem *problem, void *workspace,
                     struct qr_solution *solution) {
    assert((uintptr_t)workspace % 64 == 0);
    f->in = problem;
    f->out = solution;
    qr_lay_out(f, workspace, problem->n, problem->p);
    for (size_t j = 0; j < problem->p; j++) {
        solution->kept[j] = false;
        solution->coefficient[j] = solution->unit_error[j] = 0;
    }
    for (size_t j = 0; j <= problem->p; j++) f->norm2[j] = 0;
    solution->finite = qr_find_centers(f);
    return solution->finite;
}

/* From the triangle and f->b to the solution. */
static void qr_end(struct fit *f) {
    f->out->condition = (double)qr_invert(f);
    qr_sums_of_squares(f);
    qr_coefficients(f);
    if (f->in->robust) qr_robust(f);
}

void QR(solve)(const struct qr_problem *problem, void *workspace, struct qr_solution *solution) {
    struct fit f;
    if (!qr_begin(&f, problem, workspace, solution)) return;
    qr_factor_all(&f);
    assert(f.rank <= problem->p && f.rank <= solution->n);
    qr_solve_triangle(&f);
    qr_end(&f);
}
