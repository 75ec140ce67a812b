/*
 * steps: a grouped fit (grouped.h) in three steps that may run on different machines.
 *
 *   1. steps_plan reads the dataset, fills missing values over the whole table if the job says so, and writes parts.
 *      Every slice is completely in one part; tiny slices share a part, a huge one has its own.
 *   2. steps_fit reads one part and writes the table of its slices, as CSV. It needs nothing but the part, and a part
 *      always gives the same bytes.
 *   3. steps_combine merges such tables in the order of slice keys.
 *
 * The final table is byte for byte the one that grouped_run writes, for any number of parts and any order of fitting
 * and combining.
 *
 * These functions know no path, except scratch space for what does not fit in memory. Parts go to FILE streams that a
 * sink opens (open_memstream is enough); parts and tables are read through sources, a piece at a time.
 *
 * A part contains what depends on all rows, since a worker cannot derive it from the rows of one part: types, the
 * response's classes, predictors and fills of the missing-value policies, which rows had a gap in a column that is
 * not part of the model, and how slice keys are ordered. Its bytes, with the notation of pack.h:
 *
 *   "RKPART1\n"
 *   u32 length, the job (steps_job.c says which fields, in which order)
 *   records: u8 kind, u32 length, that many bytes
 *     SLICE  the encoded slice key (slices.c); the rows that follow are its rows
 *     ROW    u8 marks (table.h), then per column of the job: u8 state
 *              0 observed: the value    1 missing    2 missing, filled: the value
 *            a value is an f64 unless the column is text; then the text, when the column's spelling is kept
 *     END    u64 slices, u64 rows, u64 hash of all that came before
 *
 * A part that is cut short or changed is refused with a sentence. Any bytes may be passed.
 */
#ifndef ROOKERY_WORKERS_JOBS_FIT_STEPS_H
#define ROOKERY_WORKERS_JOBS_FIT_STEPS_H

#include "workers/jobs/fit/grouped.h"

/* The maximum number of rows in a part of several slices: about a tenth of a second of work. */
#define STEPS_PART_ROWS 100000
#define STEPS_MAGIC "RKPART1\n"
#define STEPS_MAGIC_LENGTH 8

/* ---- 1: plan ----------------------------------------------------------------------------------------- */

struct steps_part {
    size_t number; /* from 0 */
    uint64_t slices, rows;
    const char *name; /* usable as a file name: the number and, of a single slice, its key; borrowed */
};

/* Where parts go. `open` returns the stream of a new part, or NULL with *error set. `close` is called once for every
 * opened stream; `whole` is false when the part could not be finished. When it returns false, with *error set, the
 * plan ends. */
struct steps_sink {
    FILE *(*open)(void *context, const struct steps_part *part, struct jobs_error *error);
    bool (*close)(void *context, const struct steps_part *part, FILE *file, bool whole,
                  struct jobs_error *error);
    void *context;
};

struct steps_planned {
    size_t parts;
    uint64_t slices, rows;
    uint64_t left_out; /* rows without a slice key, where the job leaves them out */
};

/* Reads the job's dataset to its end. part_rows: 0 for STEPS_PART_ROWS; SIZE_MAX for as few parts as memory allows; 1
 * for one slice per part. The same dataset and options give the same parts. Uses the spec's memory, scratch_dir,
 * notes and go_on; its format, plots and threads belong to the later steps. */
bool steps_plan(struct grouped *job, size_t part_rows, const struct steps_sink *sink,
                struct steps_planned *planned, struct jobs_error *error);

/* ---- 2: fit ------------------------------------------------------------------------------------------ */

/* Zeros are the defaults; as in grouped_spec. */
struct steps_fit_options {
    unsigned threads;
    const char *plot_dir;
    FILE *notes;
    bool (*go_on)(void *context, uint64_t rows);
    void (*fitted)(void *context, uint64_t rows, uint64_t of);
    void *context;
    enum results_format format; /* steps_combine takes CSV only */
};

/* name: of the part, for errors. Holds the part's rows in memory. */
bool steps_fit(const char *name, struct csv_source part, const struct steps_fit_options *options, FILE *out,
               struct jobs_error *error);

/* ---- 3: combine -------------------------------------------------------------------------------------- */

/* A table as steps_fit (or grouped_run, as CSV) writes it. */
struct steps_table {
    const char *name; /* what errors call it */
    struct csv_source source;
};

struct steps_combine_options {
    enum results_format format;
    size_t memory;           /* bytes of table held in memory; 0: an eighth of GROUPED_MEMORY */
    const char *scratch_dir; /* as in grouped_spec */
    FILE *notes;             /* the summary; NULL: none */
};

/* Reads the tables one after the other. Refuses tables of different jobs, and a slice that comes twice. */
bool steps_combine(const struct steps_table *tables, size_t n, const struct steps_combine_options *options,
                   FILE *out, struct jobs_error *error);

#endif
