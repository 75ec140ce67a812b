/* What all models share: the status of a fit, the results of one term, and working memory.
 *
 * A fit is a pure function of its inputs: same numbers in, same bits out, on any thread and in any order. One bad
 * slice never fails a job: an error in its data becomes the status of its row. A fit function returns false only on
 * allocation failure.
 *
 * Undefined numbers (such as the standard error of a saturated fit) are NAN: print them as empty. So are numbers that
 * no double can hold: a sum of squares of values near 1e308, or one of values near 1e-308, which is not 0.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_MODEL_H
#define ROOKERY_WORKERS_JOBS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>

/* How a fit ended. When several apply, the first of: parse_error, too_few_rows, separation, not_converged,
 * rank_deficient, saturated, constant_response. */
enum fit_status {
    FIT_OK,
    FIT_SATURATED,         /* as many rows as coefficients: the estimates stand, errors are undefined */
    FIT_TOO_FEW_ROWS,      /* fewer rows than coefficients: the leftmost estimable terms stand, if any */
    FIT_RANK_DEFICIENT,    /* some terms are combinations of terms left of them; they are marked dropped */
    FIT_CONSTANT_RESPONSE, /* y does not vary: R squared is undefined */
    FIT_SEPARATION,        /* logistic: a combination of the predictors tells the classes apart (all rows, or
                              all but ties), so that no finite estimate exists; none is given */
    FIT_NOT_CONVERGED,     /* logistic: 50 steps were not enough; no estimates are given */
    FIT_PARSE_ERROR,       /* a number is not finite, a weight is negative, a class is not 0 or 1 */
};

/* "ok", "saturated", ... as in the output's status column. */
const char *fit_status_name(enum fit_status status);

enum { FIT_HC0, FIT_HC1, FIT_HC2, FIT_HC3, FIT_HC_COUNT };

/* One coefficient. */
struct fit_term {
    bool dropped; /* not estimable; all numbers are NAN */
    double estimate;
    double std_error;
    double statistic; /* t (linear) or z (logistic) */
    double p_value;   /* two-sided; may underflow to 0, then log10_p still tells */
    double log10_p;
    double conf_low, conf_high;
    double se_hc[FIT_HC_COUNT]; /* heteroscedasticity-consistent standard errors, when asked for */
};

/* All NAN, and not dropped. */
extern const struct fit_term fit_term_undefined;
/* Leaves nothing half-defined: without an estimate all numbers become NAN, without a standard error those that are made
 * of it, and an interval has two ends or none. */
void fit_term_tidy(struct fit_term *term);

/* Working memory of fits. It grows to the largest slice and is reused, so that a million small slices
 * allocate once. One per thread: it may not be used by two fits at a time. */
struct fit_scratch;
struct fit_scratch *fit_scratch_new(void);    /* NULL on allocation failure */
void fit_scratch_free(struct fit_scratch *s); /* NULL is fine */

/* For the models: 64-byte aligned pieces of one block. fit_scratch_reserve takes all pieces back and makes the block
 * at least that big (it may move: call it first); it returns false on allocation failure. fit_scratch_take never
 * fails within the reserved size. fit_scratch_round returns the size that a piece really takes. */
bool fit_scratch_reserve(struct fit_scratch *s, size_t bytes);
void *fit_scratch_take(struct fit_scratch *s, size_t bytes);
size_t fit_scratch_round(size_t bytes);

/* student_quantile (distributions.h), cached: the slices of a job have few different degrees of freedom, and
 * inverting the distribution costs as much as a small fit. */
double fit_student_quantile(struct fit_scratch *s, double p, size_t df);

#endif
