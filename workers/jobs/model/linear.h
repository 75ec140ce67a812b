/* Ordinary and weighted least squares on one slice, to nearly the last digit of the data.
 *
 * Columns are centred (two-pass mean with a correction) and scaled to unit norm, then factored by Householder
 * QR in long double, left to right; with more than LINEAR_LAPACK_FROM predictors by LAPACK's pivoted QR in
 * double with one step of refinement in long double. A column whose part independent of the columns left of
 * it is shorter than rank_tolerance (of unit length) is dropped. The intercept is recovered afterwards in
 * long double. `exact` does the same in 113-bit floating point.
 *
 * Numbers may be as large or small as a double can be (range.h).
 *
 * Sources: A. Bjoerck, Numerical Methods for Least Squares Problems (1996), ch. 2; robust errors as defined
 * by MacKinnon and White (1985); the information criteria count sigma as a parameter, as R does.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_LINEAR_H
#define ROOKERY_WORKERS_JOBS_MODEL_LINEAR_H

#include "workers/jobs/model/model.h"

#define LINEAR_RANK_TOLERANCE 1e-10
#define LINEAR_CONFIDENCE 0.95
/* From this many predictors on the blocked double-precision kernel of LAPACK pays for itself. */
#define LINEAR_LAPACK_FROM 33

/* A slice: complete rows only (the missing-value policy comes before). All arrays are borrowed for the call.
 * Rows of weight 0 are left out, as if they were not there. */
struct linear_input {
    const double *y;              /* n values */
    const double *const *columns; /* p predictors of n values each; may be NULL when p is 0 */
    const double *weights;        /* n values >= 0, or NULL for all ones */
    size_t n, p;
};

struct linear_options {
    bool no_intercept;
    bool robust;           /* fill se_hc */
    bool exact;            /* 113 bits instead of 64: about 25 times slower */
    double confidence;     /* 0 for LINEAR_CONFIDENCE */
    double rank_tolerance; /* 0 for LINEAR_RANK_TOLERANCE */
};

/* One slice's numbers. Weighted fits use weighted sums of squares throughout. */
struct linear_result {
    enum fit_status status;
    size_t n;           /* rows used */
    size_t n_terms;     /* p, plus 1 with an intercept: how many of terms[] were filled */
    size_t rank;        /* estimated coefficients, the intercept included */
    size_t n_dropped;   /* terms dropped: n_terms - rank */
    size_t df_residual; /* n - rank */
    double r_squared;   /* 1 - RSS/TSS; TSS about the mean, without intercept about 0 */
    double adj_r_squared;
    double sigma; /* sqrt(RSS / df_residual) */
    double rmse;  /* sqrt(RSS / n) */
    double rss;
    double f_statistic; /* of all slopes together, on df_model and df_residual degrees of freedom */
    double f_p_value, f_log10_p;
    size_t df_model; /* rank, less 1 with an intercept */
    double log_lik, aic, bic;
    double condition;       /* 1-norm condition number of the centred and scaled kept columns (1 for one) */
    double digits_estimate; /* 15 - log10(condition), at least 0 */
};

/* A result that is not known yet: every number is NAN, the status a parse error. */
extern const struct linear_result linear_result_undefined;

/* Fits. terms (the intercept first when there is one, then the columns in order) must have room for p + 1. options
 * may be NULL for the defaults. On bad data the status says so, and the numbers that are defined are set. Returns
 * false only on allocation failure. */
bool linear_fit(const struct linear_input *input, const struct linear_options *options,
                struct fit_scratch *scratch, struct linear_result *result, struct fit_term *terms);

#endif
