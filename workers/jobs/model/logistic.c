/* Binary logistic regression by iteratively reweighted least squares.
 *
 * 1. Columns are shifted and scaled once (in double), so that linear predictors do not cancel; coefficients
 *    are kept in that scale until the end.
 * 2. At each step the QR kernel solves for the change of the coefficients; the first one, where all weights
 *    are equal, also decides which columns are independent. The step is halved while the deviance rises.
 * 3. After the deviance has settled, one more step: where the linear predictor still moves, it moves to
 *    infinity (separation).
 * 4. A last factorisation, of the original columns with the final weights, gives the standard errors.
 */
#include "workers/jobs/model/logistic.h"

#include <assert.h>
#include <float.h>
#include <math.h>

#include "workers/jobs/model/distributions.h"
#include "workers/jobs/model/qr.h"
#include "workers/jobs/model/range.h"

#define DEVIANCE_SETTLED 1e-10
/* A Newton step at a true maximum moves no linear predictor by this much once the deviance has settled; on
 * its way to infinity one moves by about 1. */
#define STILL_MOVING 0.1
/* Beyond this the probabilities are 0 and 1 in double anyway, and their inverse is still a number. */
#define PREDICTOR_MAX 300.0
/* After the first step all columns are known to be independent; only the weights can make them less so. */
#define LATER_TOLERANCE 1e-17

struct logistic {
    const struct linear_input *in;
    bool intercept;
    double rank_tolerance;
    struct logistic_result *result;
    size_t p;               /* columns still in the model */
    size_t *column;         /* which of the input's */
    const double **scaled;  /* p columns of in->n values: (x - center) / scale */
    const double **raw;     /* the same ones as given */
    double *center, *scale; /* per input column */
    double *predictor, *trial, *weight, *response;
    long double intercept_value, *slope; /* in the scaled columns */
    struct qr_solution step;
    void *workspace;
    double deviance;
};

static double row_weight(const struct logistic *l, size_t i) {
    return l->in->weights ? l->in->weights[i] : 1;
}

/* +1 for class 1, -1 for class 0. */
static double row_sign(const struct logistic *l, size_t i) {
    return l->in->y[i] == 1 ? 1 : -1;
}

/* ---- preparation ------------------------------------------------------------------------------------- */

/* Counts rows and classes; false when something is not a number, a class or a weight. */
static bool count_rows(struct logistic *l, double total[2]) {
    const struct linear_input *in = l->in;
    total[0] = total[1] = 0;
    for (size_t i = 0; i < in->n; i++) {
        double w = row_weight(l, i);
        if (!(w >= 0) || !isfinite(w) || (in->y[i] != 0 && in->y[i] != 1)) return false;
        if (w == 0) continue;
        l->result->n++;
        l->result->events += in->y[i] == 1;
        total[in->y[i] == 1] += w;
    }
    return true;
}

/* Shifts and scales one column into `to`; false when a value is not finite. A column that varies by no more
 * than its own rounding becomes 0, and will be dropped. */
static bool scale_column(struct logistic *l, size_t j, double *to) {
    const double *x = l->in->columns[j];
    size_t n = l->in->n;
    long double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    if (!isfinite((double)(sum / (long double)n))) return false;
    l->center[j] = l->intercept ? (double)(sum / (long double)n) : 0;
    for (size_t i = 0; i < n; i++) {
        long double d = (long double)x[i] - l->center[j];
        squares += d * d;
    }
    double spread = sqrt((double)(squares / (long double)n));
    bool varies = spread > DBL_EPSILON * fabs(l->center[j]);
    l->scale[j] = varies ? spread : 1;
    for (size_t i = 0; i < n; i++) to[i] = varies ? (x[i] - l->center[j]) / spread : 0;
    return true;
}

struct layout {
    size_t qr, kept, values, hc, index, pointers, slopes, rows, columns;
};

static struct layout lay_out(size_t n, size_t p) {
    return (struct layout){
        .qr = p < LINEAR_LAPACK_FROM ? qr_long_workspace(n, p) : qr_lapack_workspace(n, p),
        .kept = p * sizeof(bool),
        .values = p * sizeof(double),
        .hc = p * sizeof(double[FIT_HC_COUNT]),
        .index = p * sizeof(size_t),
        .pointers = p * sizeof(double *),
        .slopes = p * sizeof(long double),
        .rows = n * sizeof(double),
        .columns = n * p * sizeof(double),
    };
}

static bool take_memory(struct logistic *l, struct fit_scratch *s, double **columns) {
    struct layout a = lay_out(l->in->n, l->in->p);
    size_t total = fit_scratch_round(a.qr) + fit_scratch_round(a.kept) + 4 * fit_scratch_round(a.values) +
                   fit_scratch_round(a.hc) + fit_scratch_round(a.index) + 2 * fit_scratch_round(a.pointers) +
                   fit_scratch_round(a.slopes) + 4 * fit_scratch_round(a.rows) + fit_scratch_round(a.columns);
    if (!fit_scratch_reserve(s, total)) return false;
    l->workspace = fit_scratch_take(s, a.qr);
    l->step.kept = fit_scratch_take(s, a.kept);
    l->step.coefficient = fit_scratch_take(s, a.values);
    l->step.unit_error = fit_scratch_take(s, a.values);
    l->center = fit_scratch_take(s, a.values);
    l->scale = fit_scratch_take(s, a.values);
    l->step.hc = fit_scratch_take(s, a.hc);
    l->column = fit_scratch_take(s, a.index);
    l->scaled = fit_scratch_take(s, a.pointers);
    l->raw = fit_scratch_take(s, a.pointers);
    l->slope = fit_scratch_take(s, a.slopes);
    l->predictor = fit_scratch_take(s, a.rows);
    l->trial = fit_scratch_take(s, a.rows);
    l->weight = fit_scratch_take(s, a.rows);
    l->response = fit_scratch_take(s, a.rows);
    *columns = fit_scratch_take(s, a.columns);
    return true;
}

static bool scale_columns(struct logistic *l, double *columns) {
    l->p = l->in->p;
    for (size_t j = 0; j < l->p; j++) {
        double *to = columns + j * l->in->n;
        if (!scale_column(l, j, to)) return false;
        l->column[j] = j;
        l->scaled[j] = to;
        l->raw[j] = l->in->columns[j];
        l->slope[j] = 0;
    }
    l->intercept_value = 0;
    for (size_t i = 0; i < l->in->n; i++) l->predictor[i] = 0;
    return true;
}

/* ---- steps ------------------------------------------------------------------------------------------- */

static double deviance_of(const struct logistic *l, const double *predictor) {
    long double sum = 0;
    for (size_t i = 0; i < l->in->n; i++) {
        double w = row_weight(l, i), right = row_sign(l, i) * predictor[i];
        if (w == 0) continue;
        /* log(1 + exp(-right)) */
        sum += w * (right > 0 ? log1p(exp(-right)) : log1p(exp(right)) - right);
    }
    return (double)(2 * sum);
}

/* Solves for the Newton step from the current predictor, in the scaled or the original columns. */
static void solve_step(struct logistic *l, const double *const *columns, double tolerance) {
    size_t n = l->in->n;
    for (size_t i = 0; i < n; i++) {
        double eta = fmax(-PREDICTOR_MAX, fmin(PREDICTOR_MAX, l->predictor[i]));
        double sign = row_sign(l, i), q = exp(-fabs(eta));
        l->weight[i] = row_weight(l, i) * (q / ((1 + q) * (1 + q)));
        l->response[i] = sign * (1 + exp(-sign * eta)); /* (y - mu) / (mu (1 - mu)) */
        assert(l->weight[i] >= 0);
    }
    struct qr_problem problem = {
        .y = l->response,
        .columns = columns,
        .weights = l->weight,
        .n = n,
        .p = l->p,
        .intercept = l->intercept,
        .rank_tolerance = tolerance,
    };
    if (l->p < LINEAR_LAPACK_FROM)
        qr_long_solve(&problem, l->workspace, &l->step);
    else
        qr_lapack_solve(&problem, l->workspace, &l->step);
}

/* Removes the columns the first step found dependent. */
static void drop_columns(struct logistic *l) {
    size_t q = 0;
    for (size_t j = 0; j < l->p; j++) {
        if (!l->step.kept[j]) continue;
        l->column[q] = l->column[j];
        l->scaled[q] = l->scaled[j];
        l->raw[q] = l->raw[j];
        l->step.kept[q] = true;
        l->step.coefficient[q] = l->step.coefficient[j];
        q++;
    }
    assert(!l->step.finite || q == l->step.rank);
    l->p = q;
}

/* l->trial := the linear predictor after `part` of the step; returns its deviance. */
static double try_step(struct logistic *l, long double part) {
    for (size_t i = 0; i < l->in->n; i++) {
        long double eta = l->intercept ? l->intercept_value + part * l->step.intercept : 0;
        for (size_t k = 0; k < l->p; k++) {
            eta += (l->slope[k] + part * l->step.coefficient[k]) * l->scaled[k][i];
        }
        l->trial[i] = (double)eta;
    }
    return deviance_of(l, l->trial);
}

/* Moves along the step, by half of it as often as the deviance would rise. Returns by how much the linear
 * predictor moved at most. */
static double move(struct logistic *l) {
    long double part = 1;
    double deviance = try_step(l, part), most = 0;
    for (int halvings = 0; !(deviance <= l->deviance * (1 + 1e-12)) && halvings < 40; halvings++) {
        part /= 2;
        deviance = try_step(l, part);
    }
    if (l->intercept) l->intercept_value += part * l->step.intercept;
    for (size_t k = 0; k < l->p; k++) l->slope[k] += part * l->step.coefficient[k];
    for (size_t i = 0; i < l->in->n; i++) {
        if (row_weight(l, i) > 0) most = fmax(most, fabs(l->trial[i] - l->predictor[i]));
        l->predictor[i] = l->trial[i];
    }
    assert(!(deviance < 0));
    l->deviance = deviance;
    l->result->steps++;
    return most;
}

/* Returns true when every row is on the side of its class: then larger coefficients always raise the likelihood. */
static bool separated(const struct logistic *l) {
    for (size_t i = 0; i < l->in->n; i++) {
        if (row_weight(l, i) > 0 && !(row_sign(l, i) * l->predictor[i] > 0)) return false;
    }
    return true;
}

/* Newton's method to the end. */
static enum fit_status iterate(struct logistic *l) {
    double moved = 0;
    l->deviance = deviance_of(l, l->predictor);
    while (l->result->steps < LOGISTIC_MAX_STEPS) {
        double before = l->deviance;
        bool first = l->result->steps == 0;
        solve_step(l, l->scaled, first ? l->rank_tolerance : LATER_TOLERANCE);
        if (first) drop_columns(l);
        moved = move(l);
        if (separated(l)) return FIT_SEPARATION;
        if (fabs(before - l->deviance) / (fabs(l->deviance) + 0.1) < DEVIANCE_SETTLED) {
            solve_step(l, l->scaled, LATER_TOLERANCE);
            moved = move(l);
            return moved > STILL_MOVING || separated(l) ? FIT_SEPARATION : FIT_OK;
        }
    }
    return FIT_NOT_CONVERGED;
}

/* ---- results ----------------------------------------------------------------------------------------- */

static void fill_term(struct fit_term *t, double estimate, double std_error, double quantile) {
    t->dropped = false;
    t->estimate = estimate;
    t->std_error = std_error;
    t->conf_low = estimate - quantile * t->std_error;
    t->conf_high = estimate + quantile * t->std_error;
    t->statistic = estimate / t->std_error;
    struct tail tail = normal_two_sided(t->statistic);
    t->p_value = tail.p;
    t->log10_p = tail.log10_p;
    fit_term_tidy(t);
}

/* Standard errors from the original columns, whose intercept is the one wanted. False when the weights have
 * made columns dependent that were not: nothing can be said then. */
static bool finish(struct logistic *l, double confidence, struct fit_term *terms) {
    double quantile = normal_quantile(0.5 + confidence / 2);
    long double intercept = l->intercept_value;
    struct fit_term *slopes = terms + (l->intercept ? 1 : 0);
    solve_step(l, l->raw, LATER_TOLERANCE);
    if (l->step.rank < l->p) return false;
    for (size_t k = 0; k < l->p; k++) {
        size_t j = l->column[k];
        long double slope = l->slope[k] / l->scale[j];
        intercept -= slope * l->center[j];
        fill_term(&slopes[j], (double)slope, l->step.unit_error[k], quantile);
    }
    if (l->intercept) fill_term(&terms[0], (double)intercept, l->step.intercept_error, quantile);
    struct logistic_result *r = l->result;
    double n = (double)r->n, rank = (double)r->rank;
    r->deviance = l->deviance;
    r->log_lik = -r->deviance / 2;
    r->aic = r->deviance + 2 * rank;
    r->bic = r->deviance + log(n) * rank;
    r->condition = l->step.condition;
    r->digits_estimate = fmax(0, 15 - log10(r->condition));
    return true;
}

static double null_deviance(const double total[2], bool intercept) {
    double all = total[0] + total[1];
    if (!intercept) return 2 * all * M_LN2;
    double sum = 0;
    for (int k = 0; k < 2; k++) sum += total[k] > 0 ? total[k] * log(total[k] / all) : 0;
    return -2 * sum;
}

const struct logistic_result logistic_result_undefined = {
    .status = FIT_PARSE_ERROR,
    .deviance = NAN,
    .null_deviance = NAN,
    .log_lik = NAN,
    .aic = NAN,
    .bic = NAN,
    .condition = NAN,
    .digits_estimate = NAN,
};

static void clear_result(struct logistic_result *r, size_t n_terms, struct fit_term *terms) {
    *r = logistic_result_undefined;
    r->n_terms = r->n_dropped = n_terms;
    for (size_t j = 0; j < n_terms; j++) {
        terms[j] = fit_term_undefined;
        terms[j].dropped = true;
    }
}

/* After the steps: sets the terms in the model and the status. */
static void note_rank(struct logistic *l, struct fit_term *terms) {
    struct logistic_result *r = l->result;
    r->rank = l->p + l->intercept;
    assert(r->rank <= r->n_terms && r->rank <= r->n);
    r->n_dropped = r->n_terms - r->rank;
    r->df_residual = r->n - r->rank;
    if (l->intercept) terms[0].dropped = false;
    for (size_t k = 0; k < l->p; k++) {
        assert(l->column[k] < l->in->p && (k == 0 || l->column[k - 1] < l->column[k]));
        terms[l->column[k] + l->intercept].dropped = false;
    }
}

static enum fit_status run(struct logistic *l, double confidence, struct fit_term *terms) {
    struct logistic_result *r = l->result;
    enum fit_status status = iterate(l);
    note_rank(l, terms);
    if (status != FIT_OK) return status;
    if (!finish(l, confidence, terms)) return FIT_NOT_CONVERGED;
    if (r->n_dropped > 0) return FIT_RANK_DEFICIENT;
    return r->df_residual == 0 ? FIT_SATURATED : FIT_OK;
}

static bool fit_in_range(const struct linear_input *input, const struct linear_options *options,
                         struct fit_scratch *scratch, struct logistic_result *result,
                         struct fit_term *terms) {
    double confidence = options && options->confidence > 0 ? options->confidence : LINEAR_CONFIDENCE;
    double tolerance =
        options && options->rank_tolerance > 0 ? options->rank_tolerance : LINEAR_RANK_TOLERANCE;
    struct logistic l = {
        .in = input,
        .intercept = !(options && options->no_intercept),
        .rank_tolerance = tolerance,
        .result = result,
    };
    double total[2], *columns;
    clear_result(result, input->p + l.intercept, terms);
    if (!take_memory(&l, scratch, &columns)) return false;
    if (!count_rows(&l, total)) return true;
    if (result->n == 0) {
        result->status = FIT_TOO_FEW_ROWS;
        return true;
    }
    if (!scale_columns(&l, columns)) return true;
    result->null_deviance = null_deviance(total, l.intercept);
    if (result->n < result->n_terms)
        result->status = FIT_TOO_FEW_ROWS;
    else if (l.intercept && (result->events == 0 || result->events == result->n))
        result->status = FIT_CONSTANT_RESPONSE;
    else
        result->status = run(&l, confidence, terms);
    return true;
}

/* Weights are 4^k times those of the fit: deviances are too, and standard errors smaller by 2^k. */
static void logistic_reweigh(int k, double quantile, struct logistic_result *result, struct fit_term *terms) {
    double deviance = range_back(result->deviance, 2 * k);
    result->aic += deviance - result->deviance;
    result->bic += deviance - result->deviance;
    result->deviance = deviance;
    result->log_lik = -deviance / 2;
    result->null_deviance = range_back(result->null_deviance, 2 * k);
    for (size_t i = 0; i < result->n_terms; i++) {
        if (isfinite(terms[i].std_error))
            fill_term(&terms[i], terms[i].estimate, range_back(terms[i].std_error, -k), quantile);
    }
}

bool logistic_fit(const struct linear_input *input, const struct linear_options *options,
                  struct fit_scratch *scratch, struct logistic_result *result, struct fit_term *terms) {
    double confidence = options && options->confidence > 0 ? options->confidence : LINEAR_CONFIDENCE;
    struct range range;
    if (!range_wanted(input, &range_logistic)) return fit_in_range(input, options, scratch, result, terms);
    if (!range_open(&range, input, &range_logistic)) return false;
    bool good = fit_in_range(&range.input, options, scratch, result, terms);
    if (good && range.root_weight != 0)
        logistic_reweigh(range.root_weight, normal_quantile(0.5 + confidence / 2), result, terms);
    if (good) range_back_terms(&range, !(options && options->no_intercept), terms);
    range_close(&range);
    return good;
}
