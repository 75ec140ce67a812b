/* Gene expression from transcripts: log2(sum of TPM + 1) per patient and gene.
 *
 * The sum comes first, then the logarithm. A missing TPM is ignored; if all are missing, the result is missing (or
 * log2(0 + 1) = 0 on request). A pair without rows gives no output row. A transcript mapped to two genes counts in
 * both. A transcript without a gene is left out, and the number of these is reported. Sums are taken over the sorted
 * values in long double, so they do not depend on the order of the rows, to the last bit.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_LOG2SUM_H
#define ROOKERY_WORKERS_JOBS_MODEL_LOG2SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Transcript -> genes, in compressed rows: the genes of transcript t are
 * genes[offsets[t]] .. genes[offsets[t+1]-1]. */
struct log2sum_map {
    size_t *offsets; /* n_transcripts + 1 */
    uint32_t *genes;
    uint32_t n_transcripts, n_genes;
};

/* Builds the map from pairs in any order; a repeated pair counts once. Ids are interned by the caller: transcripts 0
 * .. n_transcripts-1 (those without a gene too), genes 0 .. n_genes-1. Returns false on allocation failure; *map is
 * then empty. */
bool log2sum_map_build(struct log2sum_map *map, const uint32_t *transcript, const uint32_t *gene,
                       size_t pairs, uint32_t n_transcripts, uint32_t n_genes);
void log2sum_map_free(struct log2sum_map *map);

/* Expression rows, borrowed for the call. Output is ordered by patient id, then gene id: intern ids in the desired
 * order. */
struct log2sum_input {
    const uint32_t *patient; /* 0 .. n_patients-1 */
    const uint32_t *transcript;
    const double *tpm; /* >= 0, or NAN where missing */
    size_t rows;
    uint32_t n_patients;
    bool null_as_zero; /* all missing gives 0 instead of missing */
};

enum log2sum_status {
    LOG2SUM_OK,
    LOG2SUM_BAD_TPM, /* result->bad_row names the first row with a negative or infinite TPM */
    LOG2SUM_NO_MEMORY,
};

struct log2sum_row {
    uint32_t patient, gene;
    double log2_tpm; /* NAN: missing */
};

struct log2sum_result {
    struct log2sum_row *rows; /* owned by the result */
    size_t count;
    size_t unmapped_rows;        /* rows whose transcript has no gene */
    size_t unmapped_transcripts; /* distinct transcripts among them */
    size_t missing_rows;         /* rows without a TPM */
    size_t bad_row;
};

enum log2sum_status log2sum_run(const struct log2sum_map *map, const struct log2sum_input *input,
                                struct log2sum_result *result);
void log2sum_free(struct log2sum_result *result);

#endif
