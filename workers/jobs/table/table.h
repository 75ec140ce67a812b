/*
 * table: rows of a dataset in memory. Of each cell a table has the number, the text as written (where that is kept),
 * and whether it is missing. The numbers of a row are adjacent, because the rows of a slice are spread over the whole
 * table: one memory access then fetches all numbers of a row. The rest is stored by column.
 *
 * A table is filled by one thread, finished, and may then be read by many. Columns keep their positions in the
 * dataset; columns that are not used have no cells.
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
    /* Each cell as it was written, missing ones too: numbers in spelling; NULL unless USE_SPELL. */
    uint32_t *text;
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

/* Opens an empty table with the dataset's columns and uses. Returns false on allocation failure; nothing is owned
 * then. */
bool table_open(struct table *t, const struct dataset *d);
void table_close(struct table *t);

/* Appends a row. Returns false on allocation failure, or when no row number is left. */
bool table_append(struct table *t, const struct dataset_row *row);
/* Sets cells[n_columns] to a row's cells as the dataset returned them; texts are borrowed from the table. Quotes and
 * the line number are not kept. */
void table_row_cells(const struct table *t, size_t row, struct dataset_cell *cells, struct dataset_row *out);
/* Takes the types the dataset has found and drops the numbers of text columns. Call it after the last row. */
void table_finish(struct table *t, const struct dataset *d);
/* The number of bytes in memory, as far as rows have touched them. */
size_t table_size(const struct table *t);
/* The number of bytes that one more row would take, without texts. */
size_t table_row_size(const struct table *t);

/* Returns a cell's number, NAN when it is missing. The column's `number` must not be NULL. */
static inline double table_number(const struct table_column *column, size_t row) {
    return column->number[row * column->stride];
}

static inline bool table_is_missing(const struct table_column *column, size_t row) {
    return column->missing && (column->missing[row / 64] >> (row % 64) & 1);
}

#endif
