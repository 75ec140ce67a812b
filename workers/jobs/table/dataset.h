/*
 * dataset: the rows of a CSV as typed cells, one row at a time, so that a file of any size passes through.
 *
 * Types come from all rows: a column is INTEGER until a cell has a point or an exponent, DOUBLE until a cell is not a
 * number, then TEXT. A cell is missing when it is unquoted and equals one of the column's missing tokens (by default
 * the empty cell and NA). A quoted cell is text, whatever it says, unless quoted_numbers is set.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_DATASET_H
#define ROOKERY_WORKERS_JOBS_TABLE_DATASET_H

#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/decimal.h"
#include "workers/jobs/table/error.h"

/* In the order of widening. A column without an observed cell is INTEGER. */
enum column_type { COLUMN_INTEGER, COLUMN_DOUBLE, COLUMN_TEXT };

/* What a column is used for. The flags may be combined; a column with 0 is skipped. */
enum column_use {
    USE_NUMBER = 1,  /* every cell must be a number or missing */
    USE_TYPE = 2,    /* numbers where cells are numbers: the column's type is determined */
    USE_SPELL = 4,   /* the text as it was written is kept by a table (table.h) */
    USE_KEY = 8,     /* the text is part of the slice key */
    USE_WEIGHT = 16, /* with USE_NUMBER: and that is 0 or more */
};

/* What to do with text where USE_NUMBER requires a number, and with a negative weight. */
enum dataset_text {
    TEXT_IS_ERROR,   /* stop, naming line, column and value */
    TEXT_IS_MISSING, /* as if the cell said NA */
    TEXT_IS_MARKED,  /* the cell is missing and marked bad: its slice will say parse_error */
};

/* The texts that mean "missing". An empty list: nothing does. */
struct na_list {
    char **tokens;
    size_t n;
    bool empty;   /* the empty cell is one of them */
    bool numeric; /* one of them begins as a number does */
};
/* Splits a comma-separated list: "" is the empty list, "," is the empty cell alone, ",NA" the default. Returns false
 * on allocation failure. */
bool na_list_parse(struct na_list *list, const char *text);
void na_list_free(struct na_list *list);
/* Returns true when a cell with this text is missing, if it may be: an unquoted one. */
bool na_list_has(const struct na_list *list, const char *text, size_t length);
#define NA_DEFAULT ",NA"

/* A further file of a dataset, which has the same header. */
struct dataset_file {
    const char *name; /* NULL: there is none */
    struct csv_source source;
    char delimiter; /* 0: a comma */
};
struct dataset_files {
    void (*next)(void *context, struct dataset_file *file); /* *file is all zeros before */
    void *context;
    const char *together; /* what errors about all rows call the files */
};

struct dataset_options {
    char delimiter;                   /* 0: a comma */
    const struct dataset_files *more; /* what comes behind the first file; NULL: nothing */
    const char *na;                   /* NULL: NA_DEFAULT */
    const char *const *na_columns;    /* names with a list of their own … */
    const char *const *na_of;         /* … and those lists */
    size_t n_na_columns;
    enum dataset_text text;
    struct decimal_style numbers;
    bool quoted_numbers; /* a quoted cell may be a number, and where USE_NUMBER requires one, missing */
    bool want_gaps;      /* fill dataset_row.gap */
    /* no_header: the first record is a row, which dataset_first returns, and columns are called 1, 2, … */
    struct csv_allowed allowed;
    const char *const *rename_from; /* columns that are called something else than in the header: there … */
    const char *const *rename_to;   /* … and everywhere else */
    size_t n_renames;
};

struct dataset_column {
    char *name;   /* "" of row labels */
    bool label;   /* it has row labels: it is for nobody who does not name it, and nobody can */
    unsigned use; /* enum column_use flags; set by dataset_use before the first row */
    bool no_gap;  /* a policy fills its missing cells: they do not count in dataset_row.gap */
    struct na_list na;
    enum column_type type; /* so far; meaningful with USE_NUMBER or USE_TYPE */
    uint64_t n_missing;    /* so far; of used columns */
    uint64_t big_line;     /* the first line with an integer beyond 2^53, which was rounded; 0: none */
    const char *big_file;  /* and its file */
    uint64_t text_line;    /* the first line with a cell that is not a number; 0: none */
    const char *text_file; /* and its file */
    uint64_t n_text;       /* so far: such cells */
};

struct dataset_cell {
    double number;    /* NAN when missing or not a number */
    const char *text; /* as written, unquoted; borrowed until the next row */
    uint32_t length;
    bool missing;
    bool quoted;
    bool bad; /* TEXT_IS_MARKED and it is text */
};

/* One row: cells[i] belongs to column i and is filled when the column is used. */
struct dataset_row {
    const struct dataset_cell *cells;
    uint64_t line;
    bool gap; /* a cell of the row is missing, in any column without no_gap, used or not */
    bool bad; /* a cell is bad */
};

struct dataset {
    const char *name; /* of the file being read, in errors; borrowed */
    struct dataset_column *columns;
    size_t n_columns;
    uint64_t n_rows; /* so far */
    /* private */
    struct csv_reader *csv;
    const char *first_name;
    struct csv_source source;
    struct dataset_options options;
    struct dataset_cell *cells;
    bool styled; /* numbers are not written plainly */
    size_t *used;
    size_t n_used;
    const struct csv_field *first; /* the fields of the first record, until the next is read */
};

/* Opens a dataset over a source and reads its header. The name, the source's context and the options' strings
 * are borrowed until dataset_close. Returns false with *error set; *d then needs no closing. */
bool dataset_open(struct dataset *d, const char *name, struct csv_source source,
                  const struct dataset_options *options, struct jobs_error *error);
void dataset_close(struct dataset *d);

#define DATASET_NO_COLUMN SIZE_MAX
size_t dataset_find(const struct dataset *d, const char *name);
/* Adds flags to a column's use, by name. An unknown name is the user's fault; the error lists the columns.
 * `wanted_by` names the option ("--x"). */
bool dataset_use(struct dataset *d, const char *name, unsigned use, const char *wanted_by,
                 struct jobs_error *error);
/* The same for a column whose place is known. */
void dataset_use_at(struct dataset *d, size_t at, unsigned use);
void dataset_use_all(struct dataset *d, unsigned use);

enum dataset_status { DATASET_ROW, DATASET_END, DATASET_ERROR };
enum dataset_status dataset_next(struct dataset *d, struct dataset_row *row, struct jobs_error *error);
/* With no_header: returns the row of the first record. Call it once, before dataset_next. */
enum dataset_status dataset_first(struct dataset *d, struct dataset_row *row, struct jobs_error *error);

#endif
