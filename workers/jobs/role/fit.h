/* The computations of a job's steps, which run on a thread. Each function blocks, touches only its struct, and sets
 * either its outcome or *error. Files are nameless temporary ones, owned by the caller. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_FIT_H
#define ROOKERY_WORKERS_JOBS_ROLE_FIT_H

#include "workers/jobs/role/files.h"
#include "workers/jobs/role/spec.h"

/* The maximum size of a job's notes, which go beside its table. */
#define ROLE_NOTES_MAX 4096

/* What every step has. All zeros except `out` and the limit on its size. */
struct role_run {
    _Atomic bool stop;
    struct jobs_error error; /* JOBS_FAULT_STOPPED after a stop */
    int out;                 /* a file: parts, or a table */
    int64_t out_bytes, max_bytes;
};

/* ---- planning: a dataset becomes parts, one after the other in `out` ---- */
struct role_planning {
    struct role_run run;
    const char *name; /* of the dataset */
    struct role_range dataset;
    struct dataset_options options;
    struct grouped_spec spec;
    size_t part_rows, max_parts;
    /* the outcome; the array is malloc'ed: role_plan_free */
    int64_t *part_ends;
    size_t n_parts, parts_room;
    char notes[ROLE_NOTES_MAX];
};
bool role_plan_on_thread(void *planning);
void role_plan_free(struct role_planning *p);

/* ---- fitting: a part becomes a table in `out` ---- */
struct role_fitting {
    struct role_run run;
    char name[32];
    struct role_range part;
};
bool role_fit_on_thread(void *fitting);

/* ---- combining: tables become one ---- */
struct role_combining {
    struct role_run run;
    struct role_range *tables;
    size_t n_tables;
    enum results_format format;
};
bool role_combine_on_thread(void *combining);

/* ---- association and log2_sum: datasets become a table in `out`, in one step ---- */
struct role_table_file {
    const char *name; /* what errors call it */
    int fd;           /* read from its current offset; -1: none */
    struct dataset_options options;
};
struct role_genomics {
    struct role_run run;
    const Rookery__V1__JobSpec *spec;
    enum results_format format;
    struct role_table_file rows, map, symbols;
    char notes[ROLE_NOTES_MAX];
};
bool role_genomics_on_thread(void *genomics);

#endif
