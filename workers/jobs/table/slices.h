/*
 * slices: which rows belong together, and in which order slices are reported.
 *
 * A slice key is the text of one or more cells as it was written: "1" and "1.0" are two slices. A missing
 * cell is a key of its own (as GROUP BY has it), whichever token said so. Slices are ordered column by
 * column: as numbers when every key in the column is a number (equal numbers by their bytes), else by bytes;
 * missing keys come last.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_SLICES_H
#define ROOKERY_WORKERS_JOBS_TABLE_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLICE_NONE UINT32_MAX

/* One cell of a key. */
struct slice_cell {
    const char *text; /* bytes; not looked at when missing */
    size_t length;
    bool missing;
};

/* An encoded key: all its cells in one byte string, equal bytes for equal keys. */
struct slice_key {
    const char *bytes;
    size_t length;
};

/* Which key columns hold a text that is no number, over all the keys of a job. */
struct slice_kinds {
    bool *text; /* one per key column; owned */
    size_t n_columns;
};
bool slice_kinds_open(struct slice_kinds *kinds, size_t n_columns); /* false: no memory */
void slice_kinds_close(struct slice_kinds *kinds);
void slice_kinds_note(struct slice_kinds *kinds, const struct slice_cell *cells);

/* Encodes cells into *room (malloc'd, *size bytes, grown as needed and owned by the caller). False: no
 * memory. */
bool slice_key_encode(const struct slice_cell *cells, size_t n_columns, char **room, size_t *size,
                      struct slice_key *key);
/* Reads the cell at `at`, which points into an encoded key, and returns where the next one is. */
const char *slice_key_next(const char *at, struct slice_cell *cell);
/* Less than, equal to or greater than 0, in the order of reports. */
int slice_key_compare(const struct slice_kinds *kinds, struct slice_key a, struct slice_key b);

/* A name for the slice's file: its cells joined by "_", every byte but letters, digits, "-" and "." as %XX
 * ("." too at the start), a missing cell as "%", no columns as "all"; cut to room with a hash when it is too
 * long, so that different slices have different names. Returns name. */
#define SLICE_FILE_ROOM 160
char *slice_key_file_name(struct slice_key key, size_t n_columns, char name[SLICE_FILE_ROOM]);

/* A line for a person: "species = Adelie, sex = (missing)", or "all rows"; cut to room. Returns title. */
#define SLICE_TITLE_ROOM 256
char *slice_key_title(struct slice_key key, const char *const *names, size_t n_columns,
                      char title[SLICE_TITLE_ROOM]);

/* Keys numbered in the order they were first seen. */
struct slice_keys;
struct slice_keys *slice_keys_new(size_t n_columns); /* NULL: no memory; no columns: one slice for all */
void slice_keys_free(struct slice_keys *keys);
uint32_t slice_keys_add(struct slice_keys *keys, const struct slice_cell *cells); /* SLICE_NONE: no memory */
uint32_t slice_keys_add_encoded(struct slice_keys *keys, struct slice_key key);
size_t slice_keys_count(const struct slice_keys *keys);
struct slice_key slice_keys_key(const struct slice_keys *keys, uint32_t id);
size_t slice_keys_size(const struct slice_keys *keys); /* bytes held */

/* Numbers the keys of rows one after the other, a little later than they are given: with many slices their memory has
 * been fetched by then. (*row_slice)[row] is written when a key's turn comes, in the order they were pushed, and kinds
 * (unless NULL) note each new key. All are borrowed; row_slice may move. All zeros but those is an empty queue. */
#define SLICE_QUEUE_KEYS 32 /* a power of two */
#define SLICE_QUEUE_ROOM 52 /* bytes of a key; a longer one takes its turn at once */
struct slice_queue {
    struct slice_keys *keys;
    struct slice_kinds *kinds;
    uint32_t **row_slice;
    size_t pushed, settled; /* so far */
    struct {
        uint32_t hash;
        uint32_t length;
        size_t row;
        char key[SLICE_QUEUE_ROOM];
    } items[SLICE_QUEUE_KEYS];
};
bool slice_queue_push(struct slice_queue *q, const struct slice_cell *cells,
                      size_t row); /* false: no memory */
bool slice_queue_push_encoded(struct slice_queue *q, struct slice_key key, size_t row);
/* All turns. False: no memory. */
bool slice_queue_settle(struct slice_queue *q);

/* Rows gathered slice-major: the rows of the i-th slice in reporting order are rows[start[i]] ..
 * rows[start[i+1]-1], ascending, and its key is slice_keys_key(ids[i]). */
struct slice_index {
    size_t n_slices;
    uint32_t *ids;
    size_t *start; /* n_slices + 1 */
    uint32_t *rows;
};
/* Sorts (counting) n_rows rows by row_slice, the number of each row's key or SLICE_NONE to leave the row out.
 * Slices without rows are kept. False: no memory, and nothing is owned. */
bool slice_index_build(struct slice_index *index, const struct slice_keys *keys,
                       const struct slice_kinds *kinds, const uint32_t *row_slice, size_t n_rows);
void slice_index_free(struct slice_index *index);

#endif
