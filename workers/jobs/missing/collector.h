/*
 * collector: takes the texts of slices in any order, and returns them in the order of the slices' keys.
 *
 * Keys are held in memory; texts in a buffer of at most `memory` bytes, and beyond that in a nameless temporary file.
 * So memory depends on the number of slices, not on the length of the table.
 */
#ifndef ROOKERY_WORKERS_JOBS_MISSING_COLLECTOR_H
#define ROOKERY_WORKERS_JOBS_MISSING_COLLECTOR_H

#include "workers/jobs/table/error.h"
#include "workers/jobs/table/slices.h"

struct collector;

/* directory: for the temporary file, as spill_new has it; borrowed. NULL with *error set. */
struct collector *collector_new(size_t n_key_columns, const char *directory, size_t memory,
                                struct jobs_error *error);
void collector_free(struct collector *c); /* NULL is fine */

/* Copies the text. Returns false with *error set, or with *twice when the key has come before. */
bool collector_put(struct collector *c, struct slice_key key, const char *text, size_t length, bool *twice,
                   struct jobs_error *error);

/* Calls `put` with every text, in reporting order. May be called once only. */
bool collector_write(struct collector *c, const struct slice_kinds *kinds,
                     bool (*put)(void *context, struct slice_key key, const char *text, size_t length,
                                 struct jobs_error *error),
                     void *context, struct jobs_error *error);

#endif
