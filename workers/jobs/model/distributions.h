/* Tails and quantiles of the distributions that tests and intervals need, and Fisher's exact test.
 *
 * The relative error of tail probabilities is about 1e-12, where they are representable. Each comes with its decimal
 * logarithm, which stays finite long after the probability has become 0. The incomplete beta is a continued fraction
 * (modified Lentz), the incomplete gamma a series or a continued fraction, with the power factor formed so that large
 * parameters do not cancel. Beyond 1e5 degrees of freedom Student's t is the normal at a corrected deviate.
 *
 * Sources: NIST Digital Library of Mathematical Functions 8.17, 8.11, 8.9, 26.7; Loader (2000) for the power
 * factors; Hill (1970) for many degrees of freedom; Fisher's test and its conditional interval as defined in
 * Agresti, Categorical Data Analysis, 3.5 and 16.6.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_DISTRIBUTIONS_H
#define ROOKERY_WORKERS_JOBS_MODEL_DISTRIBUTIONS_H

#include <stdint.h>

#define STUDENT_NORMAL_FROM 1e5

/* A probability; both NAN when an argument is NAN or a parameter is not positive. */
struct tail {
    double p;
    double log10_p; /* <= 0; -INFINITY only when the probability is exactly 0 */
};

struct tail normal_two_sided(double z);                /* P(|Z| >= |z|) */
struct tail student_two_sided(double t, double df);    /* P(|T| >= |t|) */
struct tail f_upper(double f, double df1, double df2); /* P(F >= f) */
struct tail chi_square_upper(double x, double df);     /* P(X >= x) */

/* log of the binomial probability of k in 0..n, for 0 < q < 1, by Loader's saddle-point form. */
long double log_binomial(int64_t k, int64_t n, long double q);

/* The x with P(X <= x) = p, for 0 < p < 1; NAN outside. */
double normal_quantile(double p);
double student_quantile(double p, double df);

/* Fisher's exact test of a 2x2 table [a b; c d].
 * p: two-sided, the sum over all tables with the same margins that are no more likely than this one (ties
 * within 1e-7 relative count, as in R). odds_ratio: the conditional maximum-likelihood estimate (0 or
 * INFINITY when a cell is 0, NAN when a margin is 0), with its exact conditional interval. */
struct fisher {
    struct tail p;
    double odds_ratio, conf_low, conf_high;
};
struct fisher fisher_exact(uint32_t a, uint32_t b, uint32_t c, uint32_t d, double confidence);

#endif
