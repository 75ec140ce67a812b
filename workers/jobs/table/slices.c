/* slices: see slices.h. A key is encoded cell by cell: a flag byte, four bytes of length, the text. */
#include "workers/jobs/table/slices.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/table/decimal.h"
#include "workers/jobs/table/intern.h"

#define CELL_HEAD 5 /* flag and length */

struct slice_keys {
    struct intern *keys;
    size_t n_columns;
    char *room; /* for encoding */
    size_t room_size;
    uint32_t last; /* the number of the key in room; files are often sorted by slice */
    struct slice_key last_key;
};

/* ---- kinds ------------------------------------------------------------------------------------------- */

bool slice_kinds_open(struct slice_kinds *kinds, size_t n_columns) {
    kinds->n_columns = n_columns;
    kinds->text = calloc(n_columns + 1, sizeof *kinds->text);
    return kinds->text != NULL;
}

void slice_kinds_close(struct slice_kinds *kinds) {
    free(kinds->text);
    *kinds = (struct slice_kinds){0};
}

static void note_cell(struct slice_kinds *kinds, size_t column, const struct slice_cell *cell) {
    double value;
    if (kinds->text[column] || cell->missing) return;
    kinds->text[column] = decimal_parse(cell->text, cell->length, &value) == DECIMAL_NOT;
}

void slice_kinds_note(struct slice_kinds *kinds, const struct slice_cell *cells) {
    for (size_t i = 0; i < kinds->n_columns; i++) note_cell(kinds, i, &cells[i]);
}

/* ---- one key ----------------------------------------------------------------------------------------- */

bool slice_key_encode(const struct slice_cell *cells, size_t n_columns, char **room, size_t *size,
                      struct slice_key *key) {
    size_t length = n_columns * CELL_HEAD;
    for (size_t i = 0; i < n_columns; i++) length += cells[i].missing ? 0 : cells[i].length;
    if (length + 1 > *size) {
        char *bigger = realloc(*room, length * 2 + 64);
        if (!bigger) return false;
        *room = bigger;
        *size = length * 2 + 64;
    }
    char *at = *room;
    for (size_t i = 0; i < n_columns; i++) {
        uint32_t text = cells[i].missing ? 0 : (uint32_t)cells[i].length;
        *at = (char)cells[i].missing;
        memcpy(at + 1, &text, sizeof text);
        if (text) memcpy(at + CELL_HEAD, cells[i].text, text);
        at += CELL_HEAD + text;
    }
    assert((size_t)(at - *room) == length);
    *key = (struct slice_key){*room, length};
    return true;
}

const char *slice_key_next(const char *at, struct slice_cell *cell) {
    uint32_t length;
    memcpy(&length, at + 1, sizeof length);
    *cell = (struct slice_cell){at + CELL_HEAD, length, *at != 0};
    return at + CELL_HEAD + length;
}

static int compare_cells(const struct slice_cell *a, const struct slice_cell *b, bool text) {
    if (a->missing || b->missing) return (int)a->missing - (int)b->missing;
    if (!text) {
        double x = 0, y = 0;
        decimal_parse(a->text, a->length, &x);
        decimal_parse(b->text, b->length, &y);
        if (x != y) return x < y ? -1 : 1;
    }
    return intern_compare(a->text, a->length, b->text, b->length);
}

int slice_key_compare(const struct slice_kinds *kinds, struct slice_key a, struct slice_key b) {
    const char *at_a = a.bytes, *at_b = b.bytes;
    for (size_t i = 0; i < kinds->n_columns; i++) {
        struct slice_cell x, y;
        at_a = slice_key_next(at_a, &x);
        at_b = slice_key_next(at_b, &y);
        int order = compare_cells(&x, &y, kinds->text[i]);
        if (order) return order;
    }
    assert(at_a == a.bytes + a.length && at_b == b.bytes + b.length);
    return 0;
}

static bool plain_in_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* Adds a cell's bytes as they are written in a file name. Returns false when there is no room. */
static bool name_cell(const struct slice_cell *cell, char *name, size_t *used, size_t room) {
    if (cell->missing) name[(*used)++] = '%';
    for (size_t i = 0; i < cell->length && !cell->missing; i++) {
        if (*used + 4 > room) return false;
        char c = cell->text[i];
        if (plain_in_name(c) && !(c == '.' && *used == 0)) {
            name[(*used)++] = c;
        } else {
            *used += (size_t)snprintf(name + *used, 4, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
    return true;
}

char *slice_key_file_name(struct slice_key key, size_t n_columns, char name[SLICE_FILE_ROOM]) {
    const size_t room = SLICE_FILE_ROOM - 24; /* for "~", sixteen digits and a NUL */
    const char *at = key.bytes;
    size_t used = 0;
    bool whole = true;
    for (size_t i = 0; i < n_columns && whole; i++) {
        struct slice_cell cell;
        at = slice_key_next(at, &cell);
        if (i > 0) name[used++] = '_';
        whole = used + 4 < room && name_cell(&cell, name, &used, room);
    }
    assert(used < room);
    name[used] = '\0';
    if (n_columns == 0) memcpy(name, "all", sizeof "all");
    if (!whole) {
        snprintf(name + used, SLICE_FILE_ROOM - used, "~%016llx",
                 (unsigned long long)intern_hash(key.bytes, key.length, 0));
    }
    return name;
}

char *slice_key_title(struct slice_key key, const char *const *names, size_t n_columns,
                      char title[SLICE_TITLE_ROOM]) {
    const char *at = key.bytes;
    size_t used = 0;
    memcpy(title, "all rows", sizeof "all rows");
    for (size_t i = 0; i < n_columns && used < SLICE_TITLE_ROOM; i++) {
        struct slice_cell cell;
        at = slice_key_next(at, &cell);
        int shown = cell.length < 60 ? (int)cell.length : 60;
        used += (size_t)snprintf(title + used, SLICE_TITLE_ROOM - used, "%s%.60s = %.*s", i > 0 ? ", " : "",
                                 names[i], cell.missing ? 9 : shown, cell.missing ? "(missing)" : cell.text);
    }
    return title;
}

/* ---- numbered keys ----------------------------------------------------------------------------------- */

struct slice_keys *slice_keys_new(size_t n_columns) {
    struct slice_keys *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    k->keys = intern_new();
    k->n_columns = n_columns;
    k->last = SLICE_NONE;
    if (k->keys) return k;
    free(k);
    return NULL;
}

void slice_keys_free(struct slice_keys *k) {
    if (!k) return;
    intern_free(k->keys);
    free(k->room);
    free(k);
}

uint32_t slice_keys_add_encoded(struct slice_keys *k, struct slice_key key) {
    if (k->last != SLICE_NONE && key.length == k->last_key.length &&
        memcmp(key.bytes, k->last_key.bytes, key.length) == 0) {
        return k->last;
    }
    k->last = intern_add(k->keys, key.bytes, key.length);
    if (k->last != SLICE_NONE) k->last_key = slice_keys_key(k, k->last);
    return k->last;
}

uint32_t slice_keys_add(struct slice_keys *k, const struct slice_cell *cells) {
    struct slice_key key;
    if (!slice_key_encode(cells, k->n_columns, &k->room, &k->room_size, &key)) return SLICE_NONE;
    return slice_keys_add_encoded(k, key);
}

size_t slice_keys_count(const struct slice_keys *k) {
    return intern_count(k->keys);
}

struct slice_key slice_keys_key(const struct slice_keys *k, uint32_t id) {
    struct slice_key key;
    key.bytes = intern_text(k->keys, id, &key.length);
    return key;
}

size_t slice_keys_size(const struct slice_keys *k) {
    return intern_size(k->keys);
}

/* ---- the queue --------------------------------------------------------------------------------------- */

static void note_new_key(struct slice_kinds *kinds, struct slice_key key) {
    const char *at = key.bytes;
    for (size_t i = 0; i < kinds->n_columns; i++) {
        struct slice_cell cell;
        at = slice_key_next(at, &cell);
        note_cell(kinds, i, &cell);
    }
    assert(at == key.bytes + key.length);
}

static bool settle_key(struct slice_queue *q, struct slice_key key, uint32_t hash, size_t row) {
    size_t before = slice_keys_count(q->keys);
    uint32_t id = intern_add_hashed(q->keys->keys, key.bytes, key.length, hash);
    if (id == SLICE_NONE) return false;
    assert(id <= before);
    if (id == before && q->kinds) note_new_key(q->kinds, key);
    (*q->row_slice)[row] = id;
    return true;
}

static bool settle_next(struct slice_queue *q) {
    assert(q->settled < q->pushed);
    size_t at = q->settled++ % SLICE_QUEUE_KEYS;
    struct slice_key key = {q->items[at].key, q->items[at].length};
    return settle_key(q, key, q->items[at].hash, q->items[at].row);
}

bool slice_queue_settle(struct slice_queue *q) {
    while (q->settled < q->pushed) {
        if (!settle_next(q)) return false;
    }
    return true;
}

/* A key has waited a third of its time, or two thirds: prefetches the memory that it needs next. */
static void fetch_for(const struct slice_queue *q) {
    const size_t third = SLICE_QUEUE_KEYS / 3;
    const struct intern *keys = q->keys->keys;
    if (q->pushed - q->settled > third)
        intern_fetch_entry(keys, q->items[(q->pushed - third) % SLICE_QUEUE_KEYS].hash);
    if (q->pushed - q->settled > 2 * third)
        intern_fetch_text(keys, q->items[(q->pushed - 2 * third) % SLICE_QUEUE_KEYS].hash);
}

bool slice_queue_push_encoded(struct slice_queue *q, struct slice_key key, size_t row) {
    uint32_t hash = intern_hash_of(q->keys->keys, key.bytes, key.length);
    if (key.length > SLICE_QUEUE_ROOM) return slice_queue_settle(q) && settle_key(q, key, hash, row);
    if (q->pushed - q->settled == SLICE_QUEUE_KEYS && !settle_next(q)) return false;
    intern_fetch_slot(q->keys->keys, hash);
    fetch_for(q);
    assert(q->pushed - q->settled < SLICE_QUEUE_KEYS);
    size_t at = q->pushed++ % SLICE_QUEUE_KEYS;
    q->items[at].hash = hash;
    q->items[at].length = (uint32_t)key.length;
    q->items[at].row = row;
    memcpy(q->items[at].key, key.bytes, key.length);
    return true;
}

bool slice_queue_push(struct slice_queue *q, const struct slice_cell *cells, size_t row) {
    struct slice_keys *k = q->keys;
    struct slice_key key;
    return slice_key_encode(cells, k->n_columns, &k->room, &k->room_size, &key) &&
           slice_queue_push_encoded(q, key, row);
}

/* ---- the index --------------------------------------------------------------------------------------- */

/* A key to sort: `prefix` has the order of the first cell, as far as 64 bits can show it. */
struct sort_item {
    uint64_t prefix;
    struct slice_key key;
    uint32_t id;
};

static uint64_t prefix_of_number(double number) {
    uint64_t bits;
    number += 0.0; /* -0 and 0 are equal */
    memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static uint64_t prefix_of_text(const char *text, size_t length) {
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < length ? (unsigned char)text[i] : 0);
    return prefix;
}

static uint64_t prefix_of_key(struct slice_key key, const struct slice_kinds *kinds) {
    if (kinds->n_columns == 0) return 0;
    struct slice_cell first;
    slice_key_next(key.bytes, &first);
    if (first.missing) return UINT64_MAX; /* no number and no UTF-8 text reaches it */
    if (kinds->text[0]) return prefix_of_text(first.text, first.length);
    double number = 0;
    decimal_parse(first.text, first.length, &number);
    return prefix_of_number(number);
}

static int compare_items(const void *a, const void *b, void *kinds) {
    const struct sort_item *x = a, *y = b;
    if (x->prefix != y->prefix) return x->prefix < y->prefix ? -1 : 1;
    return slice_key_compare(kinds, x->key, y->key);
}

static bool sort_keys(const struct slice_keys *keys, const struct slice_kinds *kinds, uint32_t *ids) {
    size_t n = slice_keys_count(keys);
    struct sort_item *items = malloc((n + 1) * sizeof *items);
    if (!items) return false;
    for (uint32_t id = 0; id < n; id++) {
        struct slice_key key = slice_keys_key(keys, id);
        items[id] = (struct sort_item){prefix_of_key(key, kinds), key, id};
    }
    qsort_r(items, n, sizeof *items, compare_items, (void *)(uintptr_t)kinds);
    for (size_t i = 0; i < n; i++) ids[i] = items[i].id;
    free(items);
    return true;
}

/* The counting sort: count per slice, sum up, place. */
static bool place_rows(struct slice_index *index, const uint32_t *row_slice, size_t n_rows) {
    size_t n = index->n_slices;
    size_t *next =
        calloc(n + 1, sizeof *next); /* by slice number: first the count, then where the next row goes */
    if (!next) return false;
    for (size_t row = 0; row < n_rows; row++) {
        if (row_slice[row] != SLICE_NONE) next[row_slice[row]]++;
    }
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t count = next[index->ids[i]];
        index->start[i] = next[index->ids[i]] = total;
        total += count;
    }
    index->start[n] = total;
    for (size_t row = 0; row < n_rows; row++) {
        if (row_slice[row] != SLICE_NONE) index->rows[next[row_slice[row]]++] = (uint32_t)row;
    }
    assert(total <= n_rows && (n == 0 || next[index->ids[n - 1]] == total));
    free(next);
    return true;
}

bool slice_index_build(struct slice_index *index, const struct slice_keys *keys,
                       const struct slice_kinds *kinds, const uint32_t *row_slice, size_t n_rows) {
    size_t n = slice_keys_count(keys);
    assert(n_rows <= UINT32_MAX); /* rows are numbered in 32 bits (table.h) */
    *index = (struct slice_index){.n_slices = n};
    index->ids = malloc((n + 1) * sizeof *index->ids);
    index->start = malloc((n + 1) * sizeof *index->start);
    index->rows = malloc((n_rows + 1) * sizeof *index->rows);
    if (index->ids && index->start && index->rows && sort_keys(keys, kinds, index->ids) &&
        place_rows(index, row_slice, n_rows)) {
        return true;
    }
    slice_index_free(index);
    return false;
}

void slice_index_free(struct slice_index *index) {
    free(index->ids);
    free(index->start);
    free(index->rows);
    *index = (struct slice_index){0};
}
