/*
 * spill: rows that do not fit in memory, on disk, partitioned by slice key.
 *
 * A row is its encoded slice key, its marks and the cells of the columns a table holds, in binary. All rows of a
 * slice are in one partition, in the order they were appended. The files have no name (they vanish with the process)
 * and are written through small buffers.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_SPILL_H
#define ROOKERY_WORKERS_JOBS_TABLE_SPILL_H

#include "workers/jobs/table/dataset.h"
#include "workers/jobs/table/slices.h"
#include "workers/jobs/table/table.h"

/* The number of files, which are open at the same time. */
#define SPILL_PARTITIONS 64

struct spill;

/* Partitions by a hash of the key with this seed. (Another seed splits a partition further.) buffer: bytes of buffer
 * for all partitions together. NULL with *error set. directory NULL: $TMPDIR, or /var/tmp. */
struct spill *spill_new(const struct dataset *d, const char *directory, uint64_t seed, size_t buffer,
                        struct jobs_error *error);
void spill_free(struct spill *s);

bool spill_append(struct spill *s, struct slice_key key, const struct dataset_row *row,
                  struct jobs_error *error);
/* Writes the buffers to the files. Call it before reading. */
bool spill_flush(struct spill *s, struct jobs_error *error);
uint64_t spill_rows(const struct spill *s, size_t partition);
/* Frees a partition's disk space. */
void spill_discard(struct spill *s, size_t partition);

/* Reads a partition from its start, row by row; several cursors may be open on one spill. */
struct spill_cursor;
struct spill_cursor *spill_cursor_new(struct spill *s, size_t partition); /* NULL on allocation failure */
/* DATASET_ROW with *key and *row, borrowed until the next call; DATASET_END; DATASET_ERROR with *error set. */
enum dataset_status spill_cursor_next(struct spill_cursor *cursor, struct slice_key *key,
                                      struct dataset_row *row, struct jobs_error *error);
void spill_cursor_free(struct spill_cursor *cursor);

/* A nameless temporary file in the directory, or -1 with *error set. */
int spill_temporary(const char *directory, struct jobs_error *error);
/* Writes all bytes. Returns false with *error set, which says what helps when the disk is full. */
bool spill_write(int fd, const char *at, size_t n, struct jobs_error *error);

#endif
