/* summary: the one line in which a command says what it did with what it read, as
 *
 *   344 rows read, 2 dropped, 12 cells filled (knn 11, mean of the column 1), 0 left missing; 3 slices: 3 ok
 *
 * All commands write theirs here; what a command has no notion of is left out.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_SUMMARY_H
#define ROOKERY_WORKERS_JOBS_REPORT_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SUMMARY_COUNTS 16
/* What cells are called that fell back to the mean (missing.h). */
#define SUMMARY_BY_MEAN "mean of the column"

/* Numbers by name, in the order in which the names came. */
struct summary_counts {
    struct {
        const char *name; /* borrowed; "": it has none, and counts in the sum alone */
        uint64_t n;
    } count[SUMMARY_COUNTS];
    size_t n;
};
/* Adds to a name's number; of more than SUMMARY_COUNTS names the last one takes the rest. */
void summary_add(struct summary_counts *counts, const char *name, uint64_t n);

struct summary {
    uint64_t tables; /* 0: one, which is not mentioned */
    uint64_t rows, dropped;
    struct summary_counts more; /* of rows: ", 2 without a TPM" */
    bool fills;                 /* cells may have been filled */
    struct summary_counts filled;
    bool knows_left; /* gaps that stayed were counted */
    uint64_t left;
    uint64_t slices;
    struct summary_counts statuses; /* none: slices are not mentioned */
    char results[160];              /* what came of it instead: "2 parts of 2 slices", or "" */
};
void summary_write(const struct summary *s, FILE *out);

#endif
