/* describe: see describe.h. */
#include "workers/jobs/model/describe.h"

#include <assert.h>
#include <stdlib.h>

bool describe_open(struct describe *d, struct dataset *dataset, struct jobs_error *error) {
    *d = (struct describe){.dataset = dataset};
    d->columns = calloc(dataset->n_columns, sizeof *d->columns);
    bool good = d->columns != NULL;
    for (size_t i = 0; good && i < dataset->n_columns; i++) {
        d->columns[i].keys = slice_keys_new(1);
        good = d->columns[i].keys && slice_kinds_open(&d->columns[i].kinds, 1);
    }
    dataset_use_all(dataset, USE_TYPE | USE_KEY);
    if (good) return true;
    describe_close(d);
    return jobs_fail_memory(error, "describing the dataset");
}

void describe_close(struct describe *d) {
    for (size_t i = 0; d->columns && i < d->dataset->n_columns; i++) {
        slice_keys_free(d->columns[i].keys);
        slice_kinds_close(&d->columns[i].kinds);
    }
    free(d->columns);
    d->columns = NULL;
}

/* Once a column has too many values, another is not looked for. */
static bool note(struct describe_column *c, const struct dataset_cell *cell) {
    if (c->more) return true;
    struct slice_cell key = {cell->text, cell->length, cell->missing};
    if (slice_keys_add(c->keys, &key) == SLICE_NONE) return false;
    c->more = slice_keys_count(c->keys) > DESCRIBE_DISTINCT_MAX;
    slice_kinds_note(&c->kinds, &key);
    assert(slice_keys_count(c->keys) <= DESCRIBE_DISTINCT_MAX + 1);
    return true;
}

enum dataset_status describe_rows(struct describe *d, size_t rows, struct jobs_error *error) {
    struct dataset_row row;
    for (size_t n = 0; n < rows; n++) {
        enum dataset_status status = dataset_next(d->dataset, &row, error);
        if (status != DATASET_ROW) return status;
        for (size_t i = 0; i < d->dataset->n_columns; i++) {
            if (note(&d->columns[i], &row.cells[i])) continue;
            jobs_fail_memory(error, "describing the dataset");
            return DATASET_ERROR;
        }
    }
    return DATASET_ROW;
}

/* Puts a key in its place among the first so many. */
static size_t insert(const struct describe_column *c, struct slice_key *first, size_t n,
                     struct slice_key key) {
    size_t at = n;
    while (at > 0 && slice_key_compare(&c->kinds, key, first[at - 1]) < 0) at--;
    if (at == DESCRIBE_SLICES) return n;
    if (n < DESCRIBE_SLICES) n++;
    for (size_t i = n - 1; i > at; i--) first[i] = first[i - 1];
    first[at] = key;
    return n;
}

size_t describe_slices(const struct describe *d, size_t column, struct slice_cell out[DESCRIBE_SLICES]) {
    assert(column < d->dataset->n_columns);
    const struct describe_column *c = &d->columns[column];
    struct slice_key first[DESCRIBE_SLICES];
    size_t n = 0;
    for (uint32_t id = 0; id < slice_keys_count(c->keys); id++) {
        struct slice_key key = slice_keys_key(c->keys, id);
        struct slice_cell cell;
        slice_key_next(key.bytes, &cell);
        if (!cell.missing && cell.length <= DESCRIBE_VALUE_MAX) n = insert(c, first, n, key);
    }
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || slice_key_compare(&c->kinds, first[i - 1], first[i]) < 0);
        slice_key_next(first[i].bytes, &out[i]);
    }
    return n;
}
