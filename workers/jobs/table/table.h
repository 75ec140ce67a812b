/*
 * table: rows of a dataset held in memory, with what the jobs lane needs to know about each cell: its number, the text
 * it was written as (where that is kept), and whether it is missing. The numbers of a row stand side by side, because
 * rows of a slice are gathered from all over a table: a visit to memory brings all of a row's. The rest is arrays of
 * columns.
 *
 * A table is filled by one thread, finished, and may then be read by many. Columns keep the positions they
 * have in the dataset; those that are not used have no cells.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_TABLE_H
#define ROOKERY_WORKERS_JOBS_TABLE_TABLE_H

#include "workers/jobs/table/dataset.h"
#include "workers/jobs/table/intern.h"

/* Rows are numbered in 32 bits. */
#define TABLE_ROWS_MAX UINT32_MAX

/* Marks of a row. */
enum { ROW_GAP = 1, ROW_BAD = 2 };

struct table_column {
    char *name;   /* owned */
    unsigned use; /* as in the dataset; 0: no cells */
    enum column_type type;
    double *number; /* of row 0: see table_number; NULL when the column is not used for numbers or is text */
    size_t stride;  /* from there to the number of row 1 */
    uint32_t
        *text; /* each cell as it was written, missing ones too: numbers in spelling; NULL unless USE_SPELL */
    struct intern *spelling;
    uint64_t *missing; /* a bit per row; NULL: nothing is missing */
    size_t n_missing;
};

struct table {
    struct table_column *columns;
    size_t n_columns;
    size_t n_rows;
    uint8_t *marks; /* ROW_GAP | ROW_BAD per row; NULL: none has any */
    size_t rows_room;
    size_t *used; /* private: the columns that have cells */
    size_t n_used;
    double *numbers; /* private: n_numbers a row */
    size_t n_numbers;
};

/* An empty table with the dataset's columns and uses. False when there is no memory; nothing is owned then.
 */
bool table_open(struct table *t, const struct dataset *d);
void table_close(struct table *t);

/* Appends a row. False when there is no memory or no row number left. */
bool table_append(struct table *t, const struct dataset_row *row);
/* A row's cells as the dataset gave them, into cells[n_columns]; text is borrowed from the table. Of what was
 * not kept (quotes, the line) nothing is said. */
void table_row_cells(const struct table *t, size_t row, struct dataset_cell *cells, struct dataset_row *out);
/* Takes the types the dataset has found and drops the numbers of text columns. Call it after the last row. */
void table_finish(struct table *t, const struct dataset *d);
/* Bytes held, as far as rows have touched them. */
size_t table_size(const struct table *t);
/* What one more row would take, texts not counted: for planning. */
size_t table_row_size(const struct table *t);

/* A cell's number, NAN where it is missing; of a column whose number is not NULL. */
static inline double table_number(const struct table_column *column, size_t row) {
    return column->number[row * column->stride];
}

static inline bool table_is_missing(const struct table_column *column, size_t row) {
    return column->missing && (column->missing[row / 64] >> (row % 64) & 1);
}

#endif
