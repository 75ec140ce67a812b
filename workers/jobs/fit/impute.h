/*
 * impute: writes a table with its gaps filled; observed cells stay as they were written.
 *
 * Two passes over the same bytes. The first computes fills, in bounded memory as the fits do (grouped.h): rows that
 * outgrow it go to temporary files, and only knn and logistic over the whole table need the table in memory. The
 * second reads the rows again and writes them, filled.
 *
 * Policies are those of missing.h, for every column but the slice columns. DROP for a column leaves out the rows
 * where it is missing. DROP_ANY for all columns leaves out the rows with a gap in any column that no policy fills. A
 * policy that does not cover text leaves text missing. indicator adds its columns at the end. Within slices, a column
 * without an observed value in a slice stays missing there; over the whole table that is an error. The notes say of
 * every column how many of its gaps were filled, how many stayed, and why.
 *
 * A column to be filled that holds text among more numbers is most likely one of numbers with a text for "missing" that
 * nobody has named. So it is an error, with line and value (TEXT_IS_ERROR); or the text is a gap too (TEXT_IS_MISSING,
 * at the cost of one more pass), or the column is one of text (mixed_is_text).
 */
#ifndef ROOKERY_WORKERS_JOBS_FIT_IMPUTE_H
#define ROOKERY_WORKERS_JOBS_FIT_IMPUTE_H

#include "workers/jobs/fit/grouped.h"

/* spec: the fields about missing values (missing to mixed_is_text), slice_by, memory, scratch_dir, notes and go_on are
 * used; the rest is ignored. `again` returns a source of the same bytes, after the first source has been read to its
 * end. */
struct impute_input {
    const char *name;
    struct csv_source source;
    struct csv_source (*again)(void *context);
    void *context;
};
bool impute_run(const struct grouped_spec *spec, const struct impute_input *input,
                const struct dataset_options *options, FILE *out, struct jobs_error *error);

#endif
