/* L2-penalised logistic and softmax regression by damped Newton steps.
 *
 * The same code serves both: class k has coefficients when k >= first, and the linear predictor 0 otherwise. Two
 * classes: first = 1. More: first = 0, and half the squared sum of the intercepts is added to the objective, which
 * picks the solution whose intercepts sum to 0 and changes nothing else.
 */
#include <assert.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "workers/jobs/model/logistic.h"

#define STEP_SETTLED 1e-10
/* Steps this small are taken without a check: the objective no longer shows the difference. */
#define STEP_TRUSTED 1e-6
#define MAX_STEPS 200

struct penalised {
    const struct penalised_input *in;
    uint32_t first;
    size_t width;    /* p + 1 */
    size_t unknowns; /* (classes - first) * width */
    double c;
    double *coefficients, *trial;
    double *gradient, *step;
    double *hessian;     /* lower triangle, by columns */
    double *probability; /* classes */
    double *x;           /* a row, and 1 */
};

size_t penalised_coefficient_count(size_t p, uint32_t classes) {
    return (classes == 2 ? 1 : (size_t)classes) * (p + 1);
}

/* Fills all classes' probabilities for x (p values and 1); returns log(sum exp) for the likelihood and the
 * most probable class in *best. */
static double softmax(const double *coefficients, size_t width, uint32_t first, uint32_t classes,
                      const double *x, double *probability, uint32_t *best) {
    double sum = 0;
    *best = 0;
    for (uint32_t k = 0; k < classes; k++) {
        double eta = 0;
        const double *b = k < first ? NULL : coefficients + (k - first) * width;
        for (size_t j = 0; b && j < width; j++) eta += b[j] * x[j];
        probability[k] = eta;
        if (eta > probability[*best]) *best = k;
    }
    double top = probability[*best];
    for (uint32_t k = 0; k < classes; k++) sum += probability[k] = exp(probability[k] - top);
    for (uint32_t k = 0; k < classes; k++) probability[k] /= sum;
    return top + log(sum);
}

static void load_row(const struct penalised *f, size_t i) {
    for (size_t j = 0; j < f->in->p; j++) f->x[j] = f->in->columns[j][i];
    f->x[f->in->p] = 1;
}

static double intercept_sum(const struct penalised *f, const double *coefficients) {
    double sum = 0;
    for (size_t k = 0; k < f->unknowns; k += f->width) sum += coefficients[k + f->in->p];
    return sum;
}

static double objective(const struct penalised *f, const double *coefficients) {
    long double loss = 0, penalty = 0;
    uint32_t best;
    for (size_t i = 0; i < f->in->n; i++) {
        load_row(f, i);
        loss += softmax(coefficients, f->width, f->first, f->in->classes, f->x, f->probability, &best);
        if (f->in->labels[i] < f->first) continue;
        const double *b = coefficients + (f->in->labels[i] - f->first) * f->width;
        for (size_t j = 0; j < f->width; j++) loss -= b[j] * f->x[j];
    }
    for (size_t u = 0; u < f->unknowns; u++) {
        if (u % f->width != f->in->p) penalty += coefficients[u] * coefficients[u];
    }
    double sum = f->first == 0 ? intercept_sum(f, coefficients) : 0;
    return (double)(f->c * loss + penalty / 2 + sum * sum / 2);
}

/* Adds weight * x x' to the block of classes k >= m. */
static void add_block(struct penalised *f, size_t k, size_t m, double weight) {
    for (size_t b = 0; b < f->width; b++) {
        double *column = f->hessian + (m * f->width + b) * f->unknowns + k * f->width;
        double factor = weight * f->x[b];
        for (size_t a = k == m ? b : 0; a < f->width; a++) column[a] += factor * f->x[a];
    }
}

static void add_row(struct penalised *f, size_t i) {
    uint32_t best, free_classes = f->in->classes - f->first;
    assert(f->in->labels[i] < f->in->classes);
    load_row(f, i);
    softmax(f->coefficients, f->width, f->first, f->in->classes, f->x, f->probability, &best);
    const double *p = f->probability + f->first;
    for (uint32_t k = 0; k < free_classes; k++) {
        double excess = f->c * (p[k] - (f->in->labels[i] == k + f->first));
        for (size_t j = 0; j < f->width; j++) f->gradient[k * f->width + j] += excess * f->x[j];
        for (uint32_t m = 0; m <= k; m++)
            add_block(f, k, m, f->c * (k == m ? p[k] * (1 - p[k]) : -p[k] * p[m]));
    }
}

static void differentiate(struct penalised *f) {
    size_t n = f->unknowns, p = f->in->p;
    memset(f->gradient, 0, n * sizeof *f->gradient);
    memset(f->hessian, 0, n * n * sizeof *f->hessian);
    for (size_t i = 0; i < f->in->n; i++) add_row(f, i);
    for (size_t u = 0; u < n; u++) {
        if (u % f->width == p) continue;
        f->gradient[u] += f->coefficients[u];
        f->hessian[u * n + u] += 1;
    }
    if (f->first > 0) return;
    double sum = intercept_sum(f, f->coefficients);
    for (size_t u = p; u < n; u += f->width) {
        f->gradient[u] += sum;
        for (size_t v = p; v <= u; v += f->width) f->hessian[v * n + u] += 1;
    }
}

/* Newton's step into f->step; false when something is not finite. */
static bool solve(struct penalised *f) {
    lapack_int n = (lapack_int)f->unknowns;
    for (size_t u = 0; u < f->unknowns; u++) f->step[u] = -f->gradient[u];
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', n, f->hessian, n) != 0 ||
        LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', n, 1, f->hessian, n, f->step, n) != 0)
        return false;
    for (size_t u = 0; u < f->unknowns; u++) {
        if (!isfinite(f->step[u])) return false;
    }
    return true;
}

/* Moves along the step, halved until the objective falls by a part of what its slope promises. */
static void move(struct penalised *f, double largest) {
    double slope = 0, from = objective(f, f->coefficients), part = 1;
    for (size_t u = 0; u < f->unknowns; u++) slope += f->gradient[u] * f->step[u];
    for (int halvings = 0; halvings < 50; halvings++, part /= 2) {
        for (size_t u = 0; u < f->unknowns; u++) f->trial[u] = f->coefficients[u] + part * f->step[u];
        if (largest < STEP_TRUSTED || objective(f, f->trial) <= from + 1e-4 * part * slope) break;
    }
    memcpy(f->coefficients, f->trial, f->unknowns * sizeof *f->trial);
}

static enum penalised_status iterate(struct penalised *f) {
    memset(f->coefficients, 0, f->unknowns * sizeof *f->coefficients);
    for (int steps = 0; steps < MAX_STEPS; steps++) {
        double largest = 0;
        differentiate(f);
        if (!solve(f)) return PENALISED_NOT_CONVERGED;
        for (size_t u = 0; u < f->unknowns; u++) largest = fmax(largest, fabs(f->step[u]));
        move(f, largest);
        if (largest < STEP_SETTLED) return PENALISED_OK;
    }
    return PENALISED_NOT_CONVERGED;
}

enum penalised_status penalised_fit(const struct penalised_input *input, struct fit_scratch *scratch,
                                    double *coefficients) {
    assert(input->classes >= 2);
    struct penalised f = {
        .in = input,
        .first = input->classes == 2 ? 1 : 0,
        .width = input->p + 1,
        .unknowns = penalised_coefficient_count(input->p, input->classes),
        .c = input->c > 0 ? input->c : 1,
        .coefficients = coefficients,
    };
    if (f.unknowns > PENALISED_MAX_UNKNOWNS) return PENALISED_TOO_LARGE;
    size_t vector = f.unknowns * sizeof(double), matrix = f.unknowns * vector;
    size_t classes = input->classes * sizeof(double), row = f.width * sizeof(double);
    if (!fit_scratch_reserve(scratch, 3 * fit_scratch_round(vector) + fit_scratch_round(matrix) +
                                          fit_scratch_round(classes) + fit_scratch_round(row)))
        return PENALISED_NO_MEMORY;
    f.trial = fit_scratch_take(scratch, vector);
    f.gradient = fit_scratch_take(scratch, vector);
    f.step = fit_scratch_take(scratch, vector);
    f.hessian = fit_scratch_take(scratch, matrix);
    f.probability = fit_scratch_take(scratch, classes);
    f.x = fit_scratch_take(scratch, row);
    return iterate(&f);
}

uint32_t penalised_predict(const double *coefficients, size_t p, uint32_t classes, const double *x,
                           double *probabilities) {
    uint32_t first = classes == 2 ? 1 : 0, best;
    double row[PENALISED_MAX_UNKNOWNS + 1], all[PENALISED_MAX_UNKNOWNS + 1];
    assert(p < PENALISED_MAX_UNKNOWNS && classes <= PENALISED_MAX_UNKNOWNS);
    memcpy(row, x, p * sizeof *x);
    row[p] = 1;
    softmax(coefficients, p + 1, first, classes, row, probabilities ? probabilities : all, &best);
    return best;
}
