/* Tables in memory for the tests of the jobs lane: a source over a text, cut as wanted and failing where wanted, and
 * jobs run on it from end to end. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_JOBS_TABLE_H
#define ROOKERY_TESTS_UNIT_SUPPORT_JOBS_TABLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "workers/jobs/fit/grouped.h"

/* Bytes that come in pieces of at most `step` (0: as wanted), and an error (EIO) after `fail_at` of them (0: never). */
struct text_source {
    const char *text;
    size_t length, at, step, fail_at;
};
struct csv_source text_source(struct text_source *s, const char *text);
struct csv_source text_source_again(void *source); /* from the start */

/* Where a job writes in memory that is no heap: up to TEXT_SINK_MAX bytes, more is a full disk. */
#define TEXT_SINK_MAX (32u << 20)
struct text_sink {
    char *at; /* NUL-terminated after text_sink_close */
    size_t length;
};
/* The stream, to be closed with fclose; NULL when there is no memory. */
FILE *text_sink_open(struct text_sink *sink);
void text_sink_close(struct text_sink *sink); /* after fclose: gives the room back */

/* Runs a fit of spec over the text; the table is malloc'd. NULL with *error set. */
char *jobs_fit_text(const struct grouped_spec *spec, const char *text, struct jobs_error *error);
/* The same in three steps, parts of part_rows fitted and combined last to first. */
char *jobs_fit_in_parts(const struct grouped_spec *spec, const char *text, size_t part_rows,
                        struct jobs_error *error);

#endif
