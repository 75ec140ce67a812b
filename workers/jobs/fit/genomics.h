/* genomics: the models of genes over tables with named columns (association.h, log2sum.h), from files to a file. */
#ifndef ROOKERY_WORKERS_JOBS_FIT_GENOMICS_H
#define ROOKERY_WORKERS_JOBS_FIT_GENOMICS_H

#include "workers/jobs/report/results.h"
#include "workers/jobs/table/dataset.h"

/* An input table: its source, and how it is written. */
struct genomics_file {
    const char *name; /* its name in errors; NULL: no such table */
    struct csv_source source;
    struct dataset_options options;
};

/* Columns and values by name; NULL: the default. */
struct genomics_spec {
    enum results_format format;
    const char *patient;
    /* association */
    const char *variant, *status, *diseased, *healthy;
    size_t top, min_patients;
    /* expression */
    const char *transcript, *tpm;
    bool null_as_zero;
    bool
        ignore_version; /* of transcripts, and of genes where their symbols are looked up: ENST1.2 is ENST1 */
};

/* Writes the table of `jobs associate`. Notes sum it up (NULL: no notes). Returns false with *error set. */
bool genomics_associate(const struct genomics_spec *spec, const struct genomics_file *rows, FILE *out,
                        FILE *notes, struct jobs_error *error);
/* Writes the table of `jobs expression`. map has the columns transcript and gene, and may have symbol; symbols, which
 * may be absent, has gene and symbol. Both go by position. Rows of which none has a gene are an error. Notes say what
 * was left out (NULL: no notes). */
bool genomics_express(const struct genomics_spec *spec, const struct genomics_file *rows,
                      const struct genomics_file *map, const struct genomics_file *symbols, FILE *out,
                      FILE *notes, struct jobs_error *error);

#endif
