/* Logistic regression: binary by maximum likelihood, and the L2-penalised binary or softmax form that fills
 * gaps in text columns.
 *
 * logistic_fit: Newton steps (iteratively reweighted least squares) on the QR of linear.h, halved when the deviance
 * would rise, until |change of deviance| / (|deviance| + 0.1) < 1e-10, at most 50; one more step is then taken. It
 * squares the remaining error, and it detects separated data, where the linear predictor still moves by about one.
 * Complete separation is certain (every row is on its side), and is detected immediately.
 *
 * penalised_fit: minimises 1/2 sum(slope^2) + C sum(-log likelihood), intercepts free, by damped Newton until
 * no coefficient moves by 1e-10; the optimum is unique. With more than two classes each has its own
 * coefficients (softmax) and the intercepts, which are only defined up to a common shift, sum to 0.
 *
 * Sources: McCullagh and Nelder, Generalized Linear Models (1989), ch. 2 and 4; Albert and Anderson (1984)
 * on separation.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_LOGISTIC_H
#define ROOKERY_WORKERS_JOBS_MODEL_LOGISTIC_H

#include <stdint.h>

#include "workers/jobs/model/linear.h"
#include "workers/jobs/model/model.h"

#define LOGISTIC_MAX_STEPS 50
/* The penalised fit solves dense systems of classes * (p + 1) unknowns; it refuses larger systems. */
#define PENALISED_MAX_UNKNOWNS 512

struct logistic_result {
    enum fit_status status;
    size_t n, n_terms, rank, n_dropped, df_residual; /* as in linear_result */
    size_t events;                                   /* rows of class 1 */
    double deviance, null_deviance;
    double log_lik, aic, bic;
    double condition, digits_estimate; /* of the weighted columns at the solution */
    int steps;                         /* Newton steps taken */
};

/* A result that is not known yet: every number is NAN, the status a parse error. */
extern const struct logistic_result logistic_result_undefined;

/* Fits P(y = 1) to y values of 0 and 1 (anything else is a parse_error). Input, options and terms are those
 * of linear_fit; robust and exact are ignored; weights count as repetitions of a row. A response of one class
 * is constant_response when there is an intercept. Returns false only on allocation failure. */
bool logistic_fit(const struct linear_input *input, const struct linear_options *options,
                  struct fit_scratch *scratch, struct logistic_result *result, struct fit_term *terms);

struct penalised_input {
    const double *const *columns; /* p complete, standardised predictors of n values */
    const uint32_t *labels;       /* n classes, 0 .. classes-1, every one present */
    size_t n, p;
    uint32_t classes; /* at least 2 */
    double c;         /* 0 for 1 */
};

enum penalised_status {
    PENALISED_OK,
    PENALISED_TOO_LARGE,     /* classes * (p + 1) > PENALISED_MAX_UNKNOWNS */
    PENALISED_NOT_CONVERGED, /* never observed; most likely a number in the input is not finite */
    PENALISED_NO_MEMORY,
};

/* Returns the number of coefficients: p + 1 for two classes (slopes, then the intercept, of class 1), otherwise
 * classes * (p + 1), class by class. */
size_t penalised_coefficient_count(size_t p, uint32_t classes);
enum penalised_status penalised_fit(const struct penalised_input *input, struct fit_scratch *scratch,
                                    double *coefficients);
/* Returns the class with the largest probability for one row of p values; of equal ones the smallest class. Fills
 * `probabilities` (of all classes) unless it is NULL. */
uint32_t penalised_predict(const double *coefficients, size_t p, uint32_t classes, const double *x,
                           double *probabilities);

#endif
