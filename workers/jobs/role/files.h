/* Copies bytes that are stored in SQL in chunks to nameless temporary files, and back. Computations, which block,
 * read and write such files on a thread, and memory holds one chunk only.
 *
 * Only a chunk shorter than DATASET_CHUNK_BYTES ends a sequence. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_FILES_H
#define ROOKERY_WORKERS_JOBS_ROLE_FILES_H

#include "core/domain/job/step.h"
#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/dataset.h"
#include "workers/runtime/runtime.h"

/* Which sequence of chunks. */
struct role_bytes {
    enum { ROLE_DATASET, ROLE_PART, ROLE_RESULT } kind;
    int64_t id;      /* the dataset's, or the job's */
    int32_t task;    /* of a part or result; JOB_WHOLE_TABLE: the job's table */
    int64_t attempt; /* for a dataset: the number of the attempt to fill it */
};

/* Returns the descriptor of a nameless temporary file, or -1. */
int role_temporary(struct fault *fault);
/* Appends the whole sequence to fd. *length: the number of bytes. */
int role_fetch(struct fiber *self, struct worker *w, struct role_bytes from, int fd, int64_t *length,
               struct fault *fault);
/* Stores length bytes of fd from offset on: as a part or result of a job that still runs, where chunks that are there
 * already stay; or as a dataset. Returns ERR_ABORTED when another attempt is filling that dataset. */
int role_store(struct fiber *self, struct worker *w, struct role_bytes to, int fd, int64_t offset,
               int64_t length, struct fault *fault);

/* A range of a file as a source; the struct is its context and must live as long. */
struct role_range {
    int fd;
    int64_t at, end;
};
struct csv_source role_range_source(struct role_range *range);

/* Sets the scanner's options from a dataset's encoded dialect, in the arena. */
void role_dialect(struct arena *a, struct str encoded, struct dataset_options *out);

#endif
