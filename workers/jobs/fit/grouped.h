/*
 * grouped: one model fitted to every slice of a dataset, in one combined table (dataset → slices → missing
 * values → model → table).
 *
 * Happy path:
 *   1. grouped_open resolves the names of the job against the dataset's header.
 *   2. grouped_run reads all rows into a table, numbering slice keys; the table is indexed slice-major.
 *   3. Missing values are filled over the whole table, or slice by slice as each comes up.
 *   4. Threads take blocks of slices in key order, fit them and format their rows; blocks are written in
 *      order, so the table is the same byte for byte whatever the number of threads.
 * When the rows outgrow `memory`, what has been read and what follows goes to spill files (spill.h), partitioned by slice key;
 * steps 3 and 4 then run partition by partition, and the sorted results are merged. The table is the same
 * byte for byte. A slice is the least that must fit in memory. Filling over the whole table by knn or
 * logistic needs the whole table, and is refused with a sentence when it does not fit. A slice that cannot be
 * fitted is a row with a status. Everything else that goes wrong ends the job with a sentence.
 */
#ifndef ROOKERY_WORKERS_JOBS_FIT_GROUPED_H
#define ROOKERY_WORKERS_JOBS_FIT_GROUPED_H

#include <stdio.h>

#include "workers/jobs/missing/missing.h"
#include "workers/jobs/report/results.h"

#define GROUPED_MEMORY ((size_t)1 << 30)
/* Less than this would only cost time: files are read through buffers of this order. */
#define GROUPED_MEMORY_MIN ((size_t)1 << 20)
#define GROUPED_THREADS_MAX 256

enum grouped_model { MODEL_LINEAR, MODEL_LOGISTIC };

/* What to do; all strings and arrays are borrowed while the job runs. Zeros are the defaults. */
struct grouped_spec {
    const char *const *slice_by; /* column names; none: the whole file is one slice */
    size_t n_slice_by;
    const char *y;
    const char *const *x; /* at least one, or none for the intercept alone */
    size_t n_x;
    const char *weights; /* NULL: none */
    enum grouped_model model;
    const char *positive; /* logistic: the response's value that counts as 1; NULL: the greater of its two */
    struct linear_options linear; /* no_intercept and confidence for both models */

    enum missing_policy missing; /* of the predictors */
    const char *const *missing_columns;
    const enum missing_policy *missing_of;
    size_t n_missing_columns;
    struct missing_options missing_options;
    const char *const *predictors; /* of knn and logistic; none: see missing.h */
    size_t n_predictors;
    bool within_slice;      /* fill from the slice's rows only */
    bool impute_response;   /* let `missing` fill y too */
    bool drop_missing_keys; /* rows with a missing slice key are left out */

    bool wide;
    enum results_format format;
    size_t memory;           /* bytes for rows; 0: GROUPED_MEMORY */
    unsigned threads;        /* 0: one per core */
    const char *scratch_dir; /* for spill files; NULL: $TMPDIR, or /var/tmp */
    const char *plot_dir;    /* NULL: no pictures */
    FILE *notes;             /* warnings and counts, one per line; NULL: none */
    /* Called every few thousand rows and after each block of slices, with the rows read so far, on the caller's
     * thread; false ends the job with JOBS_FAULT_STOPPED. NULL: nobody asks. */
    bool (*go_on)(void *context, uint64_t rows);
    void *context;
};

/* Which columns of the dataset the job uses. */
struct grouped_columns {
    size_t *keys;
    size_t *x;
    bool *x_indicates; /* x[j] stands for "column x[j] is missing" */
    size_t y, weights; /* weights may be DATASET_NO_COLUMN */
};

struct grouped {
    const struct grouped_spec *spec;
    struct dataset *dataset;
    struct grouped_columns columns;
    struct results_shape shape;
    const char **names; /* of the table's columns */
    size_t n_names;
    enum missing_policy *policy; /* per dataset column */
    struct intern *levels;       /* of a logistic response */
    bool sums_only;              /* means are all that is wanted of the rows: none is kept */
};

/* Names the columns the job wants to the dataset (dataset_use) and checks the job against its header; the
 * caller may have named more. Both are borrowed until grouped_close. False with *error set, nothing is owned
 * then. */
bool grouped_open(struct grouped *job, const struct grouped_spec *spec, struct dataset *dataset,
                  struct jobs_error *error);
/* The dataset options a job needs on top of the user's. */
void grouped_dataset_options(const struct grouped_spec *spec, struct dataset_options *options);
/* Reads the dataset to its end and writes the table. */
bool grouped_run(struct grouped *job, FILE *out, struct jobs_error *error);
void grouped_close(struct grouped *job);

#endif
