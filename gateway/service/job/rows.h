/* A table's CSV as rows of messages. The CSV is one that jobs write: every row ends with LF, quotes are paired.
 *
 * The CSV comes in pieces that end anywhere. job_rows_cut returns the complete rows, as pointers into the bytes kept
 * here; an incomplete row waits for the next piece.
 */
#ifndef ROOKERY_GATEWAY_SERVICE_JOB_ROWS_H
#define ROOKERY_GATEWAY_SERVICE_JOB_ROWS_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"
#include "rookery/v1/job.pb-c.h"

/* A longer row would not fit into a message: by default clients accept 4 MiB. */
#define JOB_ROW_MAX (3u << 20)

/* All zeros is an empty one. The owner frees `bytes` at the end. */
struct job_rows {
    struct buf bytes;
    size_t cut; /* of them, by the last job_rows_cut */
};

/* Appends a piece and puts the rows that are complete now, maybe none, into reply. Arrays are in the arena; texts are
 * valid until the next call. Returns ERR_FAILED_PRECONDITION when a row is too long. */
int job_rows_cut(struct job_rows *rows, struct str piece, struct arena *a,
                 Rookery__V1__GetResultResponse *reply, struct fault *fault);

#endif
