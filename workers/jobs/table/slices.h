/*
 * slices: which rows belong together, and in which order slices are reported.
 *
 * A slice key is the text of one or more cells as it was written: "1" and "1.0" are two slices. A missing cell is a
 * key of its own (as with GROUP BY), whichever token says so. Slices are ordered column by column: as numbers when
 * every key in the column is a number (equal numbers by their bytes), else by bytes; missing keys come last.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_SLICES_H
#define ROOKERY_WORKERS_JOBS_TABLE_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLICE_NONE UINT32_MAX

/* One cell of a key. */
struct slice_cell {
    const char *text; /* bytes; ignored when missing */
    size_t length;
    bool missing;
};

/* An encoded key: all its cells in one byte string. Equal keys have equal bytes. */
struct slice_key {
    const char *bytes;
    size_t length;
};

/* The key columns that contain a text which is not a number, over all keys of a job. */
struct slice_kinds {
    bool *text; /* one per key column; owned */
    size_t n_columns;
};
bool slice_kinds_open(struct slice_kinds *kinds, size_t n_columns); /* false on allocation failure */
void slice_kinds_close(struct slice_kinds *kinds);
void slice_kinds_note(struct slice_kinds *kinds, const struct slice_cell *cells);

/* Encodes cells into *room (malloc'd, *size bytes, grown as needed and owned by the caller). False: no
 * memory. */
bool slice_key_encode(const struct slice_cell *cells, size_t n_columns, char **room, size_t *size,
                      struct slice_key *key);
/* Reads the cell at `at`, which points into an encoded key, and returns where the next one is. */
const char *slice_key_next(const char *at, struct slice_cell *cell);
/* Returns less than, equal to or greater than 0: reporting order. */
int slice_key_compare(const struct slice_kinds *kinds, struct slice_key a, struct slice_key b);

/* Writes a file name for the slice: its cells joined by "_", every byte except letters, digits, "-" and "." as %XX
 * ("." too at the start), a missing cell as "%", no columns as "all". A longer name is cut and ends with a hash, so
 * that different slices have different names. Returns name. */
#define SLICE_FILE_ROOM 160
char *slice_key_file_name(struct slice_key key, size_t n_columns, char name[SLICE_FILE_ROOM]);

/* Writes a line for people: "species = Adelie, sex = (missing)", or "all rows"; cut to room. Returns title. */
#define SLICE_TITLE_ROOM 256
char *slice_key_title(struct slice_key key, const char *const *names, size_t n_columns,
                      char title[SLICE_TITLE_ROOM]);

/* Numbers keys in the order in which they were first seen. */
struct slice_keys;
struct slice_keys *
slice_keys_new(size_t n_columns); /* NULL on allocation failure; no columns: one slice for all */
void slice_keys_free(struct slice_keys *keys);
uint32_t slice_keys_add(struct slice_keys *keys,
                        const struct slice_cell *cells); /* SLICE_NONE on allocation failure */
uint32_t slice_keys_add_encoded(struct slice_keys *keys, struct slice_key key);
size_t slice_keys_count(const struct slice_keys *keys);
struct slice_key slice_keys_key(const struct slice_keys *keys, uint32_t id);
size_t slice_keys_size(const struct slice_keys *keys); /* bytes held */

/* Numbers the keys of rows in the order in which they are pushed, but with a delay, in which the processor fetches
 * their memory (with many slices that is slow). When a key's turn comes, (*row_slice)[row] is written, and kinds
 * (unless NULL) note a new key. All are borrowed; row_slice may move. An empty queue is all zeros except these
 * three. */
#define SLICE_QUEUE_KEYS 32 /* a power of two */
#define SLICE_QUEUE_ROOM 52 /* bytes of a key; a longer one is numbered without delay */
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
                      size_t row); /* false on allocation failure */
bool slice_queue_push_encoded(struct slice_queue *q, struct slice_key key, size_t row);
/* Numbers all keys that are still queued. Returns false on allocation failure. */
bool slice_queue_settle(struct slice_queue *q);

/* Rows grouped by slice: the rows of the i-th slice in reporting order are rows[start[i]] .. rows[start[i+1]-1],
 * sorted, and its key is slice_keys_key(ids[i]). */
struct slice_index {
    size_t n_slices;
    uint32_t *ids;
    size_t *start; /* n_slices + 1 */
    uint32_t *rows;
};
/* Groups n_rows rows (by a counting sort). row_slice: the number of each row's key, or SLICE_NONE to leave the row
 * out. Slices without rows are kept. Returns false on allocation failure; nothing is owned then. */
bool slice_index_build(struct slice_index *index, const struct slice_keys *keys,
                       const struct slice_kinds *kinds, const uint32_t *row_slice, size_t n_rows);
void slice_index_free(struct slice_index *index);

#endif
