/* The file that a result goes to. What was there stays as it is until the result is whole, and is replaced then; when
 * the result fails, or the process dies, nothing is left behind. Writes block.
 *
 *   path is                          the result
 *   NULL, "-", or standard output    goes there
 *   a pipe, a device, a terminal     goes straight to it
 *   a regular file, or a link to     takes its place, with its mode and owner; where that would lose more (another hard
 *   one                              link, an access list, a folder that lets nobody in) it is copied into it then
 *   nothing yet                      becomes a file, as the umask says
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_OUTPUT_H
#define ROOKERY_WORKERS_JOBS_REPORT_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "workers/jobs/table/error.h"

enum output_kind { OUTPUT_STREAM, OUTPUT_STRAIGHT, OUTPUT_REPLACES, OUTPUT_COPIED };

struct output {
    const char *path; /* what errors call it */
    FILE *file;
    enum output_kind kind;
    char *target; /* the file behind path and its links */
    int before;   /* the file that is there; -1 for none */
};

/* path is borrowed until output_close. Returns false with *error set (JOBS_FAULT_DATA): a folder, or what may not be
 * written. scratch_dir: for what is copied; NULL: TMPDIR, or /var/tmp. */
bool output_open(struct output *out, const char *path, const char *scratch_dir, struct jobs_error *error);
/* Puts the result in its place when `good`. Returns `good`, or false with *error set. */
bool output_close(struct output *out, bool good, struct jobs_error *error);

#endif
