/* What a command shows to a person at a terminal. */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_TERMINAL_H
#define ROOKERY_WORKERS_JOBS_COMMAND_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "workers/jobs/table/error.h"

/* The columns of the terminal behind fd: what it says itself, else $COLUMNS, else 80. */
size_t terminal_columns(int fd);

/* Shows a table (as CSV) on standard output, which is a terminal: aligned, in blocks of columns that fit. A table of
 * --wide that is wider than the terminal goes to a pager instead, if `pager` and there is one: $PAGER, or less. */
bool terminal_show(const char *csv, size_t length, bool pager, struct jobs_error *error);

#endif
