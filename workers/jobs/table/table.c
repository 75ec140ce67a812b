/* table: see table.h. All arrays grow together, by half; memory that was not touched is not resident. */
#include "workers/jobs/table/table.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROWS 1024

static bool wants_numbers(const struct table_column *column) {
    return (column->use & (USE_NUMBER | USE_TYPE)) != 0;
}

static size_t bitmap_words(size_t rows) {
    return (rows + 63) / 64;
}

/* ---- life -------------------------------------------------------------------------------------------- */

bool table_open(struct table *t, const struct dataset *d) {
    *t = (struct table){.n_columns = d->n_columns};
    t->columns = calloc(d->n_columns, sizeof *t->columns);
    t->used = calloc(d->n_columns, sizeof *t->used);
    if (!t->columns || !t->used) {
        table_close(t);
        return false;
    }
    for (size_t i = 0; i < d->n_columns; i++) {
        struct table_column *column = &t->columns[i];
        column->use = d->columns[i].use;
        if (column->use & ~(unsigned)USE_KEY) t->used[t->n_used++] = i;
        t->n_numbers += wants_numbers(column);
        column->name = strdup(d->columns[i].name);
        if (column->use & USE_SPELL) column->spelling = intern_new();
        if (column->name && (column->spelling || !(column->use & USE_SPELL))) continue;
        table_close(t);
        return false;
    }
    return true;
}

static void column_free(struct table_column *column) {
    free(column->name);
    free(column->text);
    free(column->missing);
    intern_free(column->spelling);
}

void table_close(struct table *t) {
    for (size_t i = 0; t->columns && i < t->n_columns; i++) column_free(&t->columns[i]);
    free(t->columns);
    free(t->numbers);
    free(t->marks);
    free(t->used);
    *t = (struct table){0};
}

/* ---- room -------------------------------------------------------------------------------------------- */

static bool grow_array(void *array, size_t item, size_t rows) {
    void **slot = array, *bigger = realloc(*slot, item * rows);
    if (bigger) *slot = bigger;
    return bigger != NULL;
}

static bool grow_bitmap(uint64_t **bitmap, size_t old_rows, size_t rows) {
    size_t old_words = *bitmap ? bitmap_words(old_rows) : 0, words = bitmap_words(rows);
    if (!grow_array(bitmap, sizeof **bitmap, words)) return false;
    memset(*bitmap + old_words, 0, (words - old_words) * sizeof **bitmap);
    return true;
}

static bool grow_marks(struct table *t, size_t old_rows, size_t rows) {
    size_t old = t->marks ? old_rows : 0;
    if (!grow_array(&t->marks, 1, rows)) return false;
    memset(t->marks + old, 0, rows - old);
    return true;
}

static bool grow_numbers(struct table *t, size_t rows) {
    if (!grow_array(&t->numbers, t->n_numbers * sizeof(double), rows)) return false;
    double *first = t->numbers;
    for (size_t u = 0; u < t->n_used; u++) {
        struct table_column *column = &t->columns[t->used[u]];
        if (!wants_numbers(column)) continue;
        column->number = first++;
        column->stride = t->n_numbers;
    }
    assert(first == t->numbers + t->n_numbers);
    return true;
}

static bool grow_rows(struct table *t) {
    size_t rows = t->rows_room ? t->rows_room + t->rows_room / 2 : FIRST_ROWS;
    if (rows > TABLE_ROWS_MAX) rows = TABLE_ROWS_MAX;
    assert(t->n_rows == t->rows_room);
    if (rows == t->rows_room) return false;
    if (t->n_numbers && !grow_numbers(t, rows)) return false;
    for (size_t i = 0; i < t->n_columns; i++) {
        struct table_column *column = &t->columns[i];
        if (column->spelling && !grow_array(&column->text, sizeof(uint32_t), rows)) return false;
        if (column->missing && !grow_bitmap(&column->missing, t->rows_room, rows)) return false;
    }
    if (t->marks && !grow_marks(t, t->rows_room, rows)) return false;
    t->rows_room = rows;
    return true;
}

size_t table_row_size(const struct table *t) {
    size_t size = t->marks != NULL;
    for (size_t u = 0; u < t->n_used; u++) {
        const struct table_column *column = &t->columns[t->used[u]];
        if (wants_numbers(column)) size += sizeof(double);
        if (column->spelling) size += sizeof(uint32_t);
    }
    return size;
}

size_t table_size(const struct table *t) {
    size_t size = table_row_size(t) * t->n_rows;
    for (size_t u = 0; u < t->n_used; u++) {
        const struct table_column *column = &t->columns[t->used[u]];
        if (column->missing) size += t->n_rows / 8;
        if (column->spelling) size += intern_size(column->spelling);
    }
    return size;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static bool set_missing(struct table *t, struct table_column *column, size_t row) {
    if (!column->missing && !grow_bitmap(&column->missing, 0, t->rows_room)) return false;
    uint64_t bit = 1ull << (row % 64);
    assert(row < t->rows_room && column->n_missing <= row);
    column->n_missing += !(column->missing[row / 64] & bit);
    column->missing[row / 64] |= bit;
    if (column->number) column->number[row * column->stride] = NAN;
    return true;
}

bool table_append(struct table *t, const struct dataset_row *cells) {
    if (t->n_rows == t->rows_room && !grow_rows(t)) return false;
    size_t row = t->n_rows;
    assert(row < t->rows_room);
    for (size_t u = 0; u < t->n_used; u++) {
        struct table_column *column = &t->columns[t->used[u]];
        const struct dataset_cell *cell = &cells->cells[t->used[u]];
        if (column->number) column->number[row * column->stride] = cell->number;
        if (column->spelling) {
            column->text[row] = intern_add(column->spelling, cell->text, cell->length);
            if (column->text[row] == INTERN_NONE) return false;
        }
        if (cell->missing && !set_missing(t, column, row)) return false;
    }
    if (cells->gap || cells->bad) {
        if (!t->marks && !grow_marks(t, 0, t->rows_room)) return false;
        t->marks[row] = (uint8_t)((cells->gap ? ROW_GAP : 0) | (cells->bad ? ROW_BAD : 0));
    }
    t->n_rows++;
    return true;
}

void table_row_cells(const struct table *t, size_t row, struct dataset_cell *cells, struct dataset_row *out) {
    assert(row < t->n_rows);
    for (size_t u = 0; u < t->n_used; u++) {
        const struct table_column *column = &t->columns[t->used[u]];
        struct dataset_cell *cell = &cells[t->used[u]];
        *cell = (struct dataset_cell){.number = column->number ? table_number(column, row) : NAN,
                                      .missing = table_is_missing(column, row)};
        if (!column->spelling) continue;
        size_t length;
        cell->text = intern_text(column->spelling, column->text[row], &length);
        cell->length = (uint32_t)length;
    }
    uint8_t marks = t->marks ? t->marks[row] : 0;
    *out = (struct dataset_row){.cells = cells, .gap = marks & ROW_GAP, .bad = marks & ROW_BAD};
}

void table_finish(struct table *t, const struct dataset *d) {
    assert(t->n_columns == d->n_columns);
    for (size_t i = 0; i < d->n_columns; i++) {
        struct table_column *column = &t->columns[i];
        column->type = wants_numbers(column) ? d->columns[i].type : COLUMN_TEXT;
        if (column->type == COLUMN_TEXT) column->number = NULL;
    }
}
