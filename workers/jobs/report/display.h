/*
 * display: a table of results for a person at a terminal: aligned columns, numbers to six digits, nothing that is
 * empty throughout. A long table of a fit comes as two: the terms, then the slices.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H
#define ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H

#include <stdio.h>

#include "workers/jobs/table/error.h"

/* csv: a table as results.h writes it. False with *error set. */
bool display_table(const char *csv, size_t length, FILE *out, struct jobs_error *error);

#endif
