/* A table's CSV as rows of messages. The CSV is one that jobs write: every row ends with LF, quotes are paired.
 *
 * It comes in pieces that end anywhere. job_rows_cut gives the whole rows there are, as pointers into the bytes kept
 * here; what is behind them waits for the next piece.
 */
#ifndef ROOKERY_GATEWAY_SERVICE_JOB_ROWS_H
#define ROOKERY_GATEWAY_SERVICE_JOB_ROWS_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"
#include "rookery/v1/job.pb-c.h"

/* A longer row fits no message: clients take 4 MiB unless told otherwise. */
#define JOB_ROW_MAX (3u << 20)

/* All zeros is an empty one; free `bytes` at the end. */
struct job_rows {
    struct buf bytes;
    size_t cut; /* of them, by the last job_rows_cut */
};

/* Takes a piece and puts the whole rows there are now into reply, maybe none; arrays are the arena's, texts hold until
 * the next call. FAILED_PRECONDITION when a row is too long. */
int job_rows_cut(struct job_rows *rows, struct str piece, struct arena *a,
                 Rookery__V1__GetResultResponse *reply, struct fault *fault);

#endif
