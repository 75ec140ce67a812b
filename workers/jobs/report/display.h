/*
 * display: shows a table of results to a person at a terminal: aligned columns, numbers with six digits, without
 * columns that are empty in all rows. The long table of a fit is shown as two tables: the terms, then the slices.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H
#define ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H

#include <stdio.h>

#include "workers/jobs/table/error.h"

/* csv: a table as results.h writes it. Returns false with *error set. */
bool display_table(const char *csv, size_t length, FILE *out, struct jobs_error *error);

#endif
