/*
 * jobs_args: parses the words of `rookery-worker jobs COMMAND ...` into options. It opens and reads no file.
 */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_ARGS_H
#define ROOKERY_WORKERS_JOBS_COMMAND_ARGS_H

#include <stdio.h>

#include "workers/jobs/fit/genomics.h"
#include "workers/jobs/fit/grouped.h"

/* Flags, so that an option can name the commands that take it. */
enum jobs_command {
    JOBS_FIT = 1,
    JOBS_IMPUTE = 2,
    JOBS_ASSOCIATE = 4,
    JOBS_EXPRESSION = 8,
    JOBS_SLICE = 16,
    JOBS_COMBINE = 32,
};

/* Texts of a list option; a name that contains a comma is quoted, as in CSV. */
struct text_list {
    const char **items; /* owned, as are their texts */
    size_t n;
};

/* Takes text (malloc'd, or NULL after a failed allocation), also on failure: false on allocation failure. */
bool text_list_add(struct text_list *list, char *text);
void text_list_free(struct text_list *list);

struct jobs_args {
    enum jobs_command command;
    bool help;
    struct text_list files;

    /* what to fit: the lists' items, names and policies are those of spec */
    struct grouped_spec spec;
    struct text_list slice_by, x, predictors;
    struct text_list missing_columns;
    enum missing_policy *missing_of;
    bool has_missing; /* --missing was given */

    /* how to read */
    struct dataset_options dataset;
    struct text_list na_columns, na_of, na_more;
    struct text_list rename_from, rename_to;
    char *na; /* NULL, or the list that dataset has: owned */

    /* where to write */
    const char *output;     /* NULL: standard output */
    const char *output_dir; /* of jobs slice */
    bool has_format;        /* --format was given */
    bool no_pager;
    bool quiet;
    bool clear;
    size_t part_rows;

    /* associate and expression */
    struct genomics_spec genomics; /* but for its format, which is spec's */
    const char *map, *symbols;
    char map_delimiter, symbols_delimiter; /* 0: not given */
    bool no_map_header, no_symbols_header;

    /* The last given option that says what to fit or how to read, or NULL. A part contains that itself. */
    const char *about_model;
};

/* argv[0] is the command's name. Texts are borrowed from argv. Also checks that everything a command needs is there,
 * except what depends on the file. Returns false with *error set (a usage fault); args then needs no freeing. */
bool jobs_args_parse(struct jobs_args *args, int argc, char **argv, struct jobs_error *error);
void jobs_args_free(struct jobs_args *args);

/* The text of --help: of a command, or of jobs as a whole. */
void jobs_args_help(enum jobs_command command, FILE *out);
void jobs_args_overview(FILE *out);
/* Returns 0 when there is no such command. */
enum jobs_command jobs_command_find(const char *name);
const char *jobs_command_name(enum jobs_command command);

#endif
