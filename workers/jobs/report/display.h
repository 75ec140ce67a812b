/*
 * display: shows a table of results to a person at a terminal: aligned columns, numbers with six digits below one
 * another by their decimal points, without columns that are empty in all rows. The long table of a fit is shown as two
 * tables: the terms, then the slices. A table that is wider than the terminal is shown in several blocks of columns,
 * each of which begins with the columns of the slice (and the term).
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H
#define ROOKERY_WORKERS_JOBS_REPORT_DISPLAY_H

#include <stdio.h>

#include "workers/jobs/table/error.h"

struct display;
/* csv: a table as results.h writes it. Returns NULL with *error set. */
struct display *display_new(const char *csv, size_t length, struct jobs_error *error);
void display_free(struct display *d);
/* A table with one row per slice and a column per coefficient. */
bool display_is_wide(const struct display *d);
/* The columns of a terminal that has room for all of it. */
size_t display_columns(const struct display *d);
/* columns: of the terminal; SIZE_MAX: as many as it takes. What could not be written, the stream knows. Returns false
 * on allocation failure. */
bool display_show(const struct display *d, size_t columns, FILE *out);

#endif
