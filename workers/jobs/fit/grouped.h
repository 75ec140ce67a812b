/*
 * grouped: fits one model to every slice of a dataset and writes one combined table (dataset → slices → missing
 * values → model → table).
 *
 * Happy path:
 *   1. grouped_open resolves the names of the job against the dataset's header.
 *   2. grouped_run reads all rows into a table, numbering slice keys; the table is indexed slice-major.
 *   3. Missing values are filled over the whole table, or in each slice when it is fitted.
 *   4. Threads take blocks of slices in key order, fit them and format their rows; blocks are written in order, so
 *      the table is the same byte for byte for any number of threads.
 * When the rows outgrow `memory`, the rows read so far and all later ones go to spill files (spill.h), partitioned by
 * slice key. Steps 3 and 4 then run partition by partition, and the sorted results are merged. The table is the same
 * byte for byte. Each slice must fit in memory. Filling over the whole table by knn or logistic needs the whole table
 * in memory, and is refused with a sentence when it does not fit. A slice that cannot be fitted becomes a row with a
 * status. Every other error ends the job with a sentence.
 */
#ifndef ROOKERY_WORKERS_JOBS_FIT_GROUPED_H
#define ROOKERY_WORKERS_JOBS_FIT_GROUPED_H

#include <stdio.h>

#include "workers/jobs/missing/missing.h"
#include "workers/jobs/report/results.h"

#define GROUPED_MEMORY ((size_t)1 << 30)
/* Less than this would only cost time: files are read through buffers of about this size. */
#define GROUPED_MEMORY_MIN ((size_t)1 << 20)
#define GROUPED_THREADS_MAX 256

enum grouped_model { MODEL_LINEAR, MODEL_LOGISTIC };

/* A job; all strings and arrays are borrowed while the job runs. Zeros are the defaults. */
struct grouped_spec {
    const char *const *slice_by; /* column names; none: the whole file is one slice */
    size_t n_slice_by;
    const char *y;
    const char *const *x; /* at least one, or none for the intercept alone */
    size_t n_x;
    const char *weights; /* NULL: none */
    enum grouped_model model;
    /* logistic: the response's value that counts as 1, compared as a number when the response holds numbers; NULL: the
     * greater of its two */
    const char *positive;
    struct linear_options linear; /* no_intercept and confidence for both models */

    enum missing_policy missing; /* of the predictors */
    const char *const *missing_columns;
    const enum missing_policy *missing_of;
    size_t n_missing_columns;
    struct missing_options missing_options;
    const char *const *predictors; /* of knn and logistic; none: the numeric ones of x */
    size_t n_predictors;
    bool within_slice;      /* fill from the slice's rows only */
    bool mixed_is_text;     /* impute: a column of numbers and text is a column of text */
    bool impute_response;   /* let `missing` fill y too */
    bool drop_missing_keys; /* rows with a missing slice key are left out */

    bool wide;
    enum results_format format;
    size_t memory;           /* bytes for rows; 0: GROUPED_MEMORY */
    unsigned threads;        /* 0: one per core */
    const char *scratch_dir; /* for spill files; NULL: $TMPDIR, or /var/tmp */
    const char *plot_dir;    /* NULL: no pictures */
    FILE *notes;             /* warnings and counts, one per line; NULL: none */
    /* May be NULL. Called every few thousand rows and after each block of slices, with the number of rows read so
     * far, on the caller's thread. When it returns false, the job ends with JOBS_FAULT_STOPPED. */
    bool (*go_on)(void *context, uint64_t rows);
    /* May be NULL. Called after each block of slices, on the caller's thread: rows of slices that are fitted, and
     * all. */
    void (*fitted)(void *context, uint64_t rows, uint64_t of);
    void *context;
};

/* Which columns of the dataset the job uses. */
struct grouped_columns {
    size_t *keys;
    size_t *x;
    bool *x_indicates; /* x[j] stands for "column x[j] is missing" */
    size_t y, weights; /* weights may be DATASET_NO_COLUMN */
};

/* The number of a response's values that are kept: two are right, more are for the error. */
#define GROUPED_LEVELS 8

/* What a logistic response says, in the rows so far. */
struct grouped_levels {
    struct intern *texts; /* the first few of its values, as written */
    double numbers[GROUPED_LEVELS];
    size_t n_numbers; /* different ones, the first few */
    double positive;  /* the spec's as a number, NAN when it is none */
    bool positive_seen_as_number, positive_seen_as_text;
};

struct grouped {
    const struct grouped_spec *spec;
    struct dataset *dataset;
    struct grouped_columns columns;
    struct results_shape shape;
    const char **names; /* of the table's columns */
    size_t n_names;
    enum missing_policy *policy;   /* per dataset column */
    struct grouped_levels *levels; /* of a logistic response */
    bool sums_only;                /* only means are computed from the rows: no row is kept */
    bool without_model;            /* all columns are read to be filled: x and y say nothing */
    /* May be NULL. Called when all rows have been read, before anything is filled. */
    bool (*settled)(void *context, struct jobs_error *error);
    void *context;
};

/* Marks the columns that the job uses in the dataset (dataset_use), and checks the job against its header. The caller
 * may have marked more columns. Both are borrowed until grouped_close. Returns false with *error set; nothing is
 * owned then. */
bool grouped_open(struct grouped *job, const struct grouped_spec *spec, struct dataset *dataset,
                  struct jobs_error *error);
/* Adds the dataset options that a job needs to the user's. */
void grouped_dataset_options(const struct grouped_spec *spec, struct dataset_options *options);
/* Reads the dataset to its end and writes the table. */
bool grouped_run(struct grouped *job, FILE *out, struct jobs_error *error);
void grouped_close(struct grouped *job);

#endif
