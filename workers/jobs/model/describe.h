/*
 * describe: what a person wants to know of a dataset before running a job on it. For each column: its type, the
 * number of missing cells, the number of slices it would make, and the first of these.
 *
 * Distinct values are counted up to DESCRIBE_DISTINCT_MAX per column, which bounds time and memory. "Missing" counts
 * as a value, since it is a slice.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_DESCRIBE_H
#define ROOKERY_WORKERS_JOBS_MODEL_DESCRIBE_H

#include "workers/jobs/table/dataset.h"
#include "workers/jobs/table/slices.h"

#define DESCRIBE_DISTINCT_MAX 1000
#define DESCRIBE_SLICES 20
/* Longer values are not shown; they would make descriptions big. */
#define DESCRIBE_VALUE_MAX 100

struct describe_column {
    struct slice_keys *keys;
    struct slice_kinds kinds;
    bool more; /* there are other values than those in keys */
};

struct describe {
    struct dataset *dataset;
    struct describe_column *columns; /* one per column of the dataset */
};

/* Call it before the first row is read. The dataset is borrowed. Returns false with *error set; nothing is owned
 * then. */
bool describe_open(struct describe *d, struct dataset *dataset, struct jobs_error *error);
void describe_close(struct describe *d);

/* Reads at most so many rows. DATASET_ROW: there may be more. DATASET_END: types, missing counts and row count are
 * the dataset's. DATASET_ERROR with *error set. */
enum dataset_status describe_rows(struct describe *d, size_t rows, struct jobs_error *error);

/* Returns the number of cells in `out`: a column's first values, in reporting order, that are neither missing nor too
 * long. Borrowed from d. */
size_t describe_slices(const struct describe *d, size_t column, struct slice_cell out[DESCRIBE_SLICES]);

#endif
