/*
 * progress: how far a command is, on one line of standard error, when that is a terminal and the command takes longer
 * than a moment. The line is rewritten a few times a second, and is gone at the end, and before anything else is said.
 * A process has one such line, and runs one command.
 */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_PROGRESS_H
#define ROOKERY_WORKERS_JOBS_COMMAND_PROGRESS_H

#include <stdio.h>
#include <sys/types.h>

#include "workers/jobs/command/args.h"

void progress_begin(const struct jobs_args *args);
/* Removes the line, and shows none any more. May be called again. */
void progress_end(void);

/* Where a command says something: standard error, once the line has made room; NULL with --quiet. Good until
 * progress_end. */
FILE *progress_notes(void);
/* Lets a job tell how many rows it has read and fitted. */
void progress_follow(struct grouped_spec *spec);

/* One more input of this size; -1: not known, as of a pipe. */
void progress_expect(off_t size);
/* Bytes were read; 0: an input has ended. */
void progress_read(size_t bytes);
/* All inputs are read again, to do this with them. */
void progress_again(const char *doing);

/* ---- what the line says ------------------------------------------------------------------------------ */

struct progress {
    const char *doing;   /* "reading" */
    uint64_t done, size; /* of that, in any unit; size 0: it is not known */
    bool in_bytes;       /* which can be shown where the size is not known */
    bool of_unknown_size;
    uint64_t rows; /* read so far; 0: not counted */
    int64_t began; /* in milliseconds of the monotonic clock */
};
/* Writes what the line says at that time, at most `columns` characters; returns their number. */
#define PROGRESS_ROOM 160
size_t progress_line(const struct progress *p, int64_t now, size_t columns, char line[PROGRESS_ROOM]);

#endif
