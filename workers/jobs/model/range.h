/* range: fits of numbers so large or small that a double cannot hold their squares, sums or inverses.
 *
 * Columns, response and weights whose largest value is far from 1 are multiplied by powers of two (weights by powers of
 * four, so that their roots are exact too), which changes no digit. The fit runs on the copy, and its results are
 * multiplied back. A result that no double can hold then, because it is too large or would be 0, is NAN.
 *
 * Ordinary numbers are fitted as they are: range_wanted is false, and nothing is copied.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_RANGE_H
#define ROOKERY_WORKERS_JOBS_MODEL_RANGE_H

#include "workers/jobs/model/linear.h"

/* A number is 2^exponent times the scaled one. */
struct range {
    struct linear_input input; /* scaled */
    int y, *columns;           /* exponents */
    int root_weight;           /* weights are 4^root_weight times the scaled ones */
    double *memory;            /* private */
};

/* What a fit needs. */
struct range_need {
    bool response;    /* y is a number: else it is 0 and 1, and stays */
    int least_weight; /* exponent below which the largest weight is too small */
};
extern const struct range_need range_linear, range_logistic;

bool range_wanted(const struct linear_input *input, const struct range_need *need);
/* Scales a copy. Returns false on allocation failure; nothing is owned then. */
bool range_open(struct range *r, const struct linear_input *input, const struct range_need *need);
void range_close(struct range *r);

/* Returns value * 2^exponent; NAN when a double cannot hold that, or it would be 0 though the value is not. */
double range_back(double value, int exponent);
/* Multiplies estimates, errors and intervals back. */
void range_back_terms(const struct range *r, bool intercept, struct fit_term *terms);

#endif
