/* Linear fits: chooses the kernel (qr.h), and turns its sums into the table's numbers. */
#include "workers/jobs/model/linear.h"

#include <assert.h>
#include <math.h>

#include "workers/jobs/model/distributions.h"
#include "workers/jobs/model/qr.h"
#include "workers/jobs/model/range.h"

static struct linear_options linear_defaults(const struct linear_options *options) {
    struct linear_options o = options ? *options : (struct linear_options){0};
    if (o.confidence == 0) o.confidence = LINEAR_CONFIDENCE;
    if (o.rank_tolerance == 0) o.rank_tolerance = LINEAR_RANK_TOLERANCE;
    assert(o.confidence > 0 && o.confidence < 1 && o.rank_tolerance > 0 && o.rank_tolerance < 1);
    return o;
}

static void linear_solve(const struct linear_options *o, const struct qr_problem *problem, void *workspace,
                         struct qr_solution *solution) {
    if (o->exact)
        qr_quad_solve(problem, workspace, solution);
    else if (problem->p >= LINEAR_LAPACK_FROM)
        qr_lapack_solve(problem, workspace, solution);
    else
        qr_long_solve(problem, workspace, solution);
}

static size_t linear_workspace(const struct linear_options *o, size_t n, size_t p) {
    if (o->exact) return qr_quad_workspace(n, p);
    return p >= LINEAR_LAPACK_FROM ? qr_lapack_workspace(n, p) : qr_long_workspace(n, p);
}

static enum fit_status linear_status(const struct linear_result *r, const struct qr_solution *s) {
    if (r->n < r->n_terms || r->n == 0) return FIT_TOO_FEW_ROWS;
    if (r->n_dropped > 0) return FIT_RANK_DEFICIENT;
    if (r->df_residual == 0) return FIT_SATURATED;
    if (s->constant) return FIT_CONSTANT_RESPONSE;
    return FIT_OK;
}

/* R squared, F and sigma, where they are defined. */
static void linear_summarise(struct linear_result *r, const struct qr_solution *s, bool intercept) {
    double n = (double)r->n, df = (double)r->df_residual;
    r->rss = s->rss;
    r->rmse = s->residual_norm / sqrt(n);
    r->r_squared = s->explained;
    if (r->df_residual == 0) return;
    r->sigma = s->residual_norm / sqrt(df);
    r->adj_r_squared = 1 - (1 - s->explained) * ((n - intercept) / df);
    if (r->df_model == 0) return; /* of an exact fit F is not defined either, since its odds are not */
    r->f_statistic = s->explained_odds * (df / (double)r->df_model);
    struct tail tail = f_upper(r->f_statistic, (double)r->df_model, df);
    r->f_p_value = tail.p;
    r->f_log10_p = tail.log10_p;
}

/* Normal log-likelihood at its maximum; infinite, so left undefined, for an exact fit. */
static void linear_inform(struct linear_result *r, const struct qr_solution *s) {
    if (s->residual_norm == 0) return;
    double n = (double)r->n, parameters = (double)(r->rank + 1);
    r->log_lik = (s->sum_log_weights - n * (log(2 * M_PI / n) + 1) - 2 * n * log(s->residual_norm)) / 2;
    r->aic = -2 * r->log_lik + 2 * parameters;
    r->bic = -2 * r->log_lik + log(n) * parameters;
}

/* quantile: of Student's t for the interval; hc: robust standard errors or NULL. */
static struct fit_term linear_term(double estimate, double unit_error, const double *hc,
                                   const struct linear_result *r, double quantile) {
    struct fit_term t = fit_term_undefined;
    t.estimate = estimate;
    for (size_t h = 0; hc && h < FIT_HC_COUNT; h++) t.se_hc[h] = hc[h];
    if (r->df_residual == 0) return t;
    t.std_error = r->sigma * unit_error;
    t.conf_low = estimate - quantile * t.std_error;
    t.conf_high = estimate + quantile * t.std_error;
    if (t.std_error == 0) return t;
    t.statistic = estimate / t.std_error;
    struct tail tail = student_two_sided(t.statistic, (double)r->df_residual);
    t.p_value = tail.p;
    t.log10_p = tail.log10_p;
    fit_term_tidy(&t);
    return t;
}

static void linear_fill_terms(const struct qr_problem *problem, const struct qr_solution *s,
                              const struct linear_result *r, double confidence, struct fit_scratch *scratch,
                              struct fit_term *terms) {
    double quantile =
        r->df_residual ? fit_student_quantile(scratch, 0.5 + confidence / 2, r->df_residual) : (double)NAN;
    struct fit_term *t = terms;
    if (problem->intercept) {
        *t = r->n ? linear_term(s->intercept, s->intercept_error, problem->robust ? s->intercept_hc : NULL, r,
                                quantile)
                  : fit_term_undefined;
        t++->dropped = r->n == 0;
    }
    for (size_t j = 0; j < problem->p; j++, t++) {
        *t = s->kept[j] ? linear_term(s->coefficient[j], s->unit_error[j], problem->robust ? s->hc[j] : NULL,
                                      r, quantile)
                        : fit_term_undefined;
        t->dropped = !s->kept[j];
    }
    assert(t == terms + r->n_terms);
}

const struct linear_result linear_result_undefined = {
    .status = FIT_PARSE_ERROR,
    .r_squared = NAN,
    .adj_r_squared = NAN,
    .sigma = NAN,
    .rmse = NAN,
    .rss = NAN,
    .f_statistic = NAN,
    .f_p_value = NAN,
    .f_log10_p = NAN,
    .log_lik = NAN,
    .aic = NAN,
    .bic = NAN,
    .condition = NAN,
    .digits_estimate = NAN,
};

static void linear_clear(struct linear_result *r, size_t n_terms, struct fit_term *terms) {
    *r = linear_result_undefined;
    r->n_terms = r->n_dropped = n_terms;
    for (size_t j = 0; j < n_terms; j++) {
        terms[j] = fit_term_undefined;
        terms[j].dropped = true;
    }
}

static bool linear_take(struct fit_scratch *scratch, const struct linear_options *o, size_t n, size_t p,
                        struct qr_solution *s, void **workspace) {
    size_t bytes = linear_workspace(o, n, p);
    if (!fit_scratch_reserve(scratch, fit_scratch_round(bytes) + fit_scratch_round(p * sizeof *s->kept) +
                                          2 * fit_scratch_round(p * sizeof *s->unit_error) +
                                          fit_scratch_round(p * sizeof *s->hc)))
        return false;
    *workspace = fit_scratch_take(scratch, bytes);
    s->kept = fit_scratch_take(scratch, p * sizeof *s->kept);
    s->coefficient = fit_scratch_take(scratch, p * sizeof *s->coefficient);
    s->unit_error = fit_scratch_take(scratch, p * sizeof *s->unit_error);
    s->hc = fit_scratch_take(scratch, p * sizeof *s->hc);
    return true;
}

static size_t count_estimated(const struct fit_term *terms, size_t n) {
    size_t estimated = 0;
    for (size_t j = 0; j < n; j++) estimated += !terms[j].dropped;
    return estimated;
}

static bool fit_in_range(const struct linear_input *input, struct linear_options o,
                         struct fit_scratch *scratch, struct linear_result *result, struct fit_term *terms) {
    struct qr_problem problem = {
        .y = input->y,
        .columns = input->columns,
        .weights = input->weights,
        .n = input->n,
        .p = input->p,
        .intercept = !o.no_intercept,
        .robust = o.robust,
        .rank_tolerance = o.rank_tolerance,
    };
    struct qr_solution s;
    void *workspace;
    linear_clear(result, input->p + problem.intercept, terms);
    if (!linear_take(scratch, &o, input->n, input->p, &s, &workspace)) return false;
    linear_solve(&o, &problem, workspace, &s);
    if (!s.finite) return true;
    assert(s.rank <= input->p && s.n <= input->n);
    result->n = s.n;
    result->rank = s.rank + (problem.intercept && s.n > 0);
    result->n_dropped = result->n_terms - result->rank;
    assert(result->rank <= result->n_terms && result->rank <= s.n);
    result->df_residual = s.n - result->rank;
    result->df_model = s.rank;
    result->status = linear_status(result, &s);
    if (s.n > 0) {
        linear_summarise(result, &s, problem.intercept);
        linear_inform(result, &s);
        result->condition = s.condition;
        result->digits_estimate = fmax(0, 15 - log10(s.condition));
    }
    linear_fill_terms(&problem, &s, result, o.confidence, scratch, terms);
    assert(count_estimated(terms, result->n_terms) == result->rank);
    return true;
}

/* Ratios of sums of squares stay as they are; a log-likelihood is that of the scaled residuals, shifted. */
static void linear_back(const struct range *r, struct linear_result *result) {
    double shift = (double)result->n * r->y * M_LN2;
    result->rss = range_back(result->rss, 2 * (r->y + r->root_weight));
    result->rmse = range_back(result->rmse, r->y + r->root_weight);
    result->sigma = range_back(result->sigma, r->y + r->root_weight);
    result->log_lik -= shift;
    result->aic += 2 * shift;
    result->bic += 2 * shift;
}

bool linear_fit(const struct linear_input *input, const struct linear_options *options,
                struct fit_scratch *scratch, struct linear_result *result, struct fit_term *terms) {
    struct linear_options o = linear_defaults(options);
    struct range range;
    if (!range_wanted(input, &range_linear)) return fit_in_range(input, o, scratch, result, terms);
    if (!range_open(&range, input, &range_linear)) return false;
    bool good = fit_in_range(&range.input, o, scratch, result, terms);
    if (good) {
        linear_back(&range, result);
        range_back_terms(&range, !o.no_intercept, terms);
    }
    range_close(&range);
    return good;
}
