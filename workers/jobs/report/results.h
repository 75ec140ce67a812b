/*
 * results: the one combined table of a job, as text.
 *
 * Long: for every slice a row about the slice (its term is empty) and then a row per term, in the model's order.
 * Wide: a row per slice with a column per coefficient. As CSV, or as a JSON array of objects. Numbers are the
 * shortest decimals that read back the same; an undefined number is empty (null in JSON), never NaN and never 0. A
 * missing slice key is empty; an empty text is "" in quotes.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_RESULTS_H
#define ROOKERY_WORKERS_JOBS_REPORT_RESULTS_H

#include <stdio.h>

#include "workers/jobs/model/linear.h"
#include "workers/jobs/model/logistic.h"
#include "workers/jobs/table/slices.h"
#include "workers/jobs/table/text_buffer.h"

enum results_format { RESULTS_CSV, RESULTS_JSON };

/* Rows of named cells. Cells are added in the order of the names; every row has all of them. */
struct results_out {
    struct text_buffer text; /* owned: results_out_free */
    enum results_format format;
    const char *const *names; /* borrowed */
    size_t n_names;
    size_t at;      /* the next cell */
    bool continued; /* JSON: a row has gone before this buffer's first */
};
void results_out_free(struct results_out *out);
void results_empty(struct results_out *out);
void results_number(struct results_out *out, double number); /* NAN and infinities are empty */
void results_count(struct results_out *out, uint64_t count);
void results_text(struct results_out *out, const char *text, size_t length);
void results_verbatim(struct results_out *out, const char *number,
                      size_t length); /* a number in text already */
/* Write what comes before the first row and after the last. */
void results_begin(struct results_out *out);
void results_end(struct results_out *out);

/* The shape of a job's table; everything is borrowed. */
struct results_shape {
    enum results_format format;
    bool wide, robust, logistic, intercept;
    bool imputed;    /* a policy fills cells, so the long table says how many */
    bool falls_back; /* one of them falls back to the mean, so it says how many of those there are */
    const char *const *slice_names;
    size_t n_slice_names;
    const char *const *x_names;
    size_t n_x;
};

/* The table's column names: malloc'd array of borrowed strings. NULL on allocation failure. */
const char **results_names(const struct results_shape *shape, size_t *n);
/* Returns the first name that would occur twice (such as an x called "n" in a wide table), or NULL. */
const char *results_name_twice(const char *const *names, size_t n);

/* Gaps of a column that a policy was to fill. */
struct results_cells {
    uint64_t filled;
    uint64_t by_mean; /* of those: with the mean, which the policy falls back to */
    uint64_t left;    /* which it could not fill: their rows are not used */
};

/* One slice, borrowed for the call. Exactly one of linear and logistic is set. */
struct results_slice {
    struct slice_key key;
    size_t n_rows;
    const struct results_cells *cells; /* per x, then the response's */
    const struct linear_result *linear;
    const struct logistic_result *logistic;
    const struct fit_term *terms; /* n_terms of the result */
};
/* Adds the slice's rows. Returns false on allocation failure. */
bool results_add_slice(struct results_out *out, const struct results_shape *shape,
                       const struct results_slice *slice);

/* Sets the results of a slice that was not fitted: every number is NAN, with this status. */
void results_undefined(enum fit_status status, size_t n_terms, struct linear_result *linear,
                       struct logistic_result *logistic, struct fit_term *terms);

#endif
