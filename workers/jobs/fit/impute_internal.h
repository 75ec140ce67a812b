/* impute_internal: the fills that the first pass of impute.h finds and the second applies. */
#ifndef ROOKERY_WORKERS_JOBS_FIT_IMPUTE_INTERNAL_H
#define ROOKERY_WORKERS_JOBS_FIT_IMPUTE_INTERNAL_H

#include "workers/jobs/fit/grouped_internal.h"
#include "workers/jobs/fit/impute.h"

/* A column that is filled. */
struct impute_column {
    size_t at; /* in the dataset */
    enum missing_policy policy;
    bool text;
    bool has_gaps;
};

/* A value: a number, or the number of a text. */
struct impute_value {
    bool known;
    bool own; /* of a gap alone, not of the column */
    uint32_t text;
    double number;
};

/* A gap with a value of its own: the row counts within its slice. */
struct impute_cell {
    uint32_t row, column; /* place in columns */
    struct impute_value value;
};

/* The fills of one slice: n_columns values at slice * n_columns, and its cells, by row and column. */
struct impute_slice {
    size_t next_cell, end_cell;
    uint64_t rows; /* seen in the second pass */
};

/* A column whose gaps its policy, which is for numbers, does not fill, since it holds text. */
struct impute_left {
    size_t at; /* in the dataset */
    enum missing_policy policy;
    uint64_t text_line;
    const char *text_file; /* NULL when there is one only */
};

/* The mixed columns: those to be filled that hold text among numbers, and more numbers than text. */
struct impute_mixed {
    bool *is; /* per dataset column; NULL before they are known */
    bool any;
};

struct impute_fills {
    struct impute_column *columns;
    size_t n_columns;
    struct impute_left *left;
    size_t n_left;
    struct slice_keys *keys; /* one slice for all rows when filling over the whole table */
    struct impute_value *values;
    struct impute_slice *slices;
    size_t slices_room;
    struct impute_cell *cells;
    size_t n_cells, cells_room;
    struct intern *texts;
};

/* Reads the dataset (its header has been read, no column is marked yet) and finds the fills. mixed: the columns in
 * which text is a gap; when it is not known, finding some ends the pass with *mixed set. */
bool impute_find(struct impute_fills *fills, const struct grouped_spec *spec, struct dataset *dataset,
                 struct impute_mixed *mixed, struct jobs_error *error);
/* Reads such a dataset to find the mixed columns only; their array is malloc'd. */
bool impute_find_mixed(struct impute_mixed *mixed, const struct grouped_spec *spec, struct dataset *dataset,
                       struct jobs_error *error);
/* Marks the mixed columns: every cell is a number or missing. */
void impute_use_mixed(const struct impute_mixed *mixed, struct dataset *dataset);
void impute_fills_free(struct impute_fills *fills);

/* Returns the policy that the spec has for a column; row labels are not filled. */
enum missing_policy impute_policy(const struct grouped_spec *spec, const struct dataset_column *column);

#endif
