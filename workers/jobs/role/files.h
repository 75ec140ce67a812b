/* Bytes that are in SQL in chunks, as nameless temporary files: so that what computes, which blocks, can read them on a
 * thread, and so that memory holds one chunk.
 *
 * Only a chunk shorter than DATASET_CHUNK_BYTES ends a sequence. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_FILES_H
#define ROOKERY_WORKERS_JOBS_ROLE_FILES_H

#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/dataset.h"
#include "workers/runtime/runtime.h"

/* Which sequence of chunks. */
struct role_bytes {
    enum { ROLE_DATASET, ROLE_PART, ROLE_RESULT } kind;
    int64_t id;      /* the dataset's, or the job's */
    int32_t task;    /* of a part or result; ROLE_WHOLE: the job's table */
    int64_t attempt; /* of storing a dataset: which attempt to fill it this is */
};
#define ROLE_WHOLE (-1)

/* A nameless temporary file, or -1. */
int role_temporary(struct fault *fault);
/* Appends all of the sequence to fd. *length is how much that was. */
int role_fetch(struct fiber *self, struct worker *w, struct role_bytes from, int fd, int64_t *length,
               struct fault *fault);
/* Stores length bytes of fd from offset on: as a part or result of a job that still runs, where what is there already
 * stays; or as a dataset, where ERR_ABORTED says that another attempt is at it. */
int role_store(struct fiber *self, struct worker *w, struct role_bytes to, int fd, int64_t offset,
               int64_t length, struct fault *fault);

/* A range of a file as a source; the struct is its context and must live as long. */
struct role_range {
    int fd;
    int64_t at, end;
};
struct csv_source role_range_source(struct role_range *range);

/* What a dataset's dialect (encoded) means to the scanner, in the arena. */
void role_dialect(struct arena *a, struct str encoded, struct dataset_options *out);

#endif
