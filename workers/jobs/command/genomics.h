/* genomics: the models of genes over tables with named columns (association.h, log2sum.h), from files to a file. */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_GENOMICS_H
#define ROOKERY_WORKERS_JOBS_COMMAND_GENOMICS_H

#include "workers/jobs/command/command.h"

/* A table: where it comes from, and how it is written. */
struct genomics_file {
    struct input *in;
    struct dataset_options options;
};

/* Writes the table of `jobs associate`; columns, values, limits and format are args'. False with *error set. */
bool genomics_associate(const struct jobs_args *args, const struct genomics_file *rows, FILE *out,
                        struct jobs_error *error);
/* Writes the table of `jobs expression`. map and symbols (in NULL: none) have two columns, transcript and gene, gene
 * and symbol. What was left out is said in notes (NULL: not). */
bool genomics_express(const struct jobs_args *args, const struct genomics_file *rows,
                      const struct genomics_file *map, const struct genomics_file *symbols, FILE *out,
                      FILE *notes, struct jobs_error *error);

#endif
