/*
 * jobs_error: what went wrong in a job, as one sentence for the person who submitted it. It says where (file,
 * line, column, value) and what would be right.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_ERROR_H
#define ROOKERY_WORKERS_JOBS_TABLE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* The kind of fault decides the exit status of the command line. */
enum jobs_fault {
    JOBS_FAULT_NONE = 0,
    JOBS_FAULT_DATA = 1,    /* the data, or too little memory for them */
    JOBS_FAULT_USAGE = 2,   /* the request: an unknown column, a bad option */
    JOBS_FAULT_STOPPED = 3, /* not an error: the caller asked to stop */
    JOBS_FAULT_MACHINE =
        4, /* the machine: a file of our own cannot be made, written or read, as on a full disk. The
                             * sentence may name its place, so it is for who runs the machine alone */
};

struct jobs_error {
    enum jobs_fault fault;
    char text[640];
};

/* Replaces what a terminal would obey, which texts of a file may have, by blanks; line ends too for one line. */
void jobs_make_plain(char *text, size_t n, bool one_line);
/* Records the sentence, made plain, unless there is one already (the first cause counts). Returns false. */
__attribute__((format(printf, 3, 4))) bool jobs_fail(struct jobs_error *error, enum jobs_fault fault,
                                                     const char *format, ...);
/* The same for an allocation failure while doing `what` ("reading the table"). */
bool jobs_fail_memory(struct jobs_error *error, const char *what);

#endif
