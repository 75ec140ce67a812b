/* range: see range.h. */
#include "workers/jobs/model/range.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* A sum of 2^32 squares of numbers below 2^300, with weights below that too, is a double; and so is the inverse of its
 * root, of numbers above 2^-300. */
#define FAR 300

/* The deviance of a logistic fit has settled when it changes by little beside itself or 0.1: of weights much below 1 it
 * would have settled before it began. */
const struct range_need range_linear = {.response = true, .least_weight = -FAR};
const struct range_need range_logistic = {.response = false, .least_weight = -6};

/* The largest absolute value, in four strands: every fit asks for it. */
static double largest_of_all(const double *x, size_t n) {
    double most[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t k = 0; k < 4; k++) most[k] = fabs(x[i + k]) > most[k] ? fabs(x[i + k]) : most[k];
    }
    for (; i < n; i++) most[0] = fabs(x[i]) > most[0] ? fabs(x[i]) : most[0];
    return fmax(fmax(most[0], most[1]), fmax(most[2], most[3]));
}

/* The same of the rows that count. */
static double largest(const double *x, const double *weights, size_t n) {
    double most = 0;
    if (!weights) return largest_of_all(x, n);
    for (size_t i = 0; i < n; i++) {
        if (weights[i] > 0 && fabs(x[i]) > most) most = fabs(x[i]);
    }
    return most;
}

/* The exponent of such a value when it is below `low` or above FAR, else 0. */
static int far_exponent(double most, int low) {
    int exponent = 0;
    if (most > 0 && isfinite(most)) frexp(most, &exponent);
    return exponent < low || exponent > FAR ? exponent : 0;
}

static int y_exponent(const struct linear_input *in, const struct range_need *need) {
    return need->response ? far_exponent(largest(in->y, in->weights, in->n), -FAR) : 0;
}

static int column_exponent(const struct linear_input *in, size_t j) {
    return far_exponent(largest(in->columns[j], in->weights, in->n), -FAR);
}

/* Half of the exponent, so that the weights are divided by a power of four. */
static int root_weight_exponent(const struct linear_input *in, const struct range_need *need) {
    if (!in->weights) return 0;
    int exponent = far_exponent(largest(in->weights, NULL, in->n), need->least_weight);
    return exponent / 2;
}

bool range_wanted(const struct linear_input *in, const struct range_need *need) {
    bool wanted = y_exponent(in, need) != 0 || root_weight_exponent(in, need) != 0;
    for (size_t j = 0; j < in->p && !wanted; j++) wanted = column_exponent(in, j) != 0;
    return wanted;
}

/* Rows of weight 0 may hold anything: a number that overflows there would look like one that is not finite. */
static void scale(double *to, const double *x, const double *weights, size_t n, int exponent) {
    for (size_t i = 0; i < n; i++) {
        double value = ldexp(x[i], -exponent);
        to[i] = weights && weights[i] == 0 && isfinite(x[i]) ? 0 : value;
    }
}

bool range_open(struct range *r, const struct linear_input *in, const struct range_need *need) {
    size_t n = in->n, p = in->p;
    *r = (struct range){
        .input = *in, .y = y_exponent(in, need), .root_weight = root_weight_exponent(in, need)};
    const double **columns = calloc(p + 1, sizeof *columns);
    r->columns = calloc(p + 1, sizeof *r->columns);
    r->memory = malloc((n * (p + 2) + 1) * sizeof *r->memory);
    r->input.columns = columns;
    if (!columns || !r->columns || !r->memory) {
        range_close(r);
        return false;
    }
    double *next = r->memory;
    for (size_t j = 0; j < p; j++, next += n) {
        r->columns[j] = column_exponent(in, j);
        scale(next, in->columns[j], in->weights, n, r->columns[j]);
        columns[j] = next;
    }
    scale(next, in->y, need->response ? in->weights : NULL, n, r->y);
    r->input.y = next;
    if (!in->weights) return true;
    next += n;
    scale(next, in->weights, NULL, n, 2 * r->root_weight);
    r->input.weights = next;
    return true;
}

void range_close(struct range *r) {
    free((void *)(uintptr_t)r->input.columns);
    free(r->columns);
    free(r->memory);
    *r = (struct range){0};
}

double range_back(double value, int exponent) {
    double back = ldexp(value, exponent);
    bool lost = isinf(back) || (back == 0 && value != 0);
    return lost ? (double)NAN : back;
}

static void back_term(struct fit_term *t, int exponent) {
    t->estimate = range_back(t->estimate, exponent);
    t->std_error = range_back(t->std_error, exponent);
    t->conf_low = range_back(t->conf_low, exponent);
    t->conf_high = range_back(t->conf_high, exponent);
    for (size_t h = 0; h < FIT_HC_COUNT; h++) t->se_hc[h] = range_back(t->se_hc[h], exponent);
    fit_term_tidy(t);
}

void range_back_terms(const struct range *r, bool intercept, struct fit_term *terms) {
    if (intercept) back_term(terms++, r->y);
    for (size_t j = 0; j < r->input.p; j++) {
        assert(abs(r->columns[j]) < 2048);
        back_term(&terms[j], r->y - r->columns[j]);
    }
}
