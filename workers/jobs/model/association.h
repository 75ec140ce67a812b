/* Variant-disease association: the frequency of each variant among diseased and healthy patients.
 *
 * Frequencies count distinct patients, over all distinct patients of that status (those without a variant
 * included). A patient listed under both statuses counts on both sides. A side with fewer than min_patients
 * carriers counts as absent (frequency 0), and a variant absent on both sides is left out, as in a full outer
 * join of two filtered sides. Ranking compares the exact fractions, so ties are real ties; they go by id.
 * Fisher's test uses the true counts.
 */
#ifndef ROOKERY_WORKERS_JOBS_MODEL_ASSOCIATION_H
#define ROOKERY_WORKERS_JOBS_MODEL_ASSOCIATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/jobs/model/distributions.h"

#define ASSOCIATION_NO_VARIANT UINT32_MAX
#define ASSOCIATION_TOP 5
#define ASSOCIATION_MIN_PATIENTS 2

enum association_status { ASSOCIATION_HEALTHY, ASSOCIATION_DISEASED, ASSOCIATION_UNKNOWN };

/* Ids are interned by the caller: variants 0 .. n_variants-1 in the order of their names (so that ties by id
 * are ties by name), patients 0 .. n_patients-1 in any order. Arrays are borrowed for the call; rows may
 * repeat and come in any order. */
struct association_input {
    const uint32_t *variant; /* ASSOCIATION_NO_VARIANT for a patient without one */
    const uint32_t *patient;
    const uint8_t *status; /* enum association_status; rows of unknown status are left out */
    size_t rows;
    uint32_t n_variants, n_patients;
};

struct association_options {
    uint32_t min_patients; /* 0 for ASSOCIATION_MIN_PATIENTS */
    size_t top;            /* 0 for ASSOCIATION_TOP; SIZE_MAX for all */
    double confidence;     /* of the odds ratio's interval; 0 for 0.95 */
};

struct association_row {
    uint32_t variant;
    uint32_t diseased_carriers, healthy_carriers; /* distinct patients, before min_patients */
    double diseased_frequency, healthy_frequency; /* after min_patients */
    double frequency_difference;                  /* diseased - healthy */
    /* The same three in thousandths, rounded half away from zero from the integers: 45/80 is 563. */
    int32_t diseased_milli, healthy_milli, difference_milli;
    struct fisher fisher; /* diseased carriers, diseased others; healthy carriers, healthy others */
};

struct association_result {
    struct association_row *rows; /* best first; owned by the result */
    size_t count;
    uint32_t diseased, healthy; /* distinct patients: the denominators */
};

/* Returns false only on allocation failure; *result is then empty. */
bool association_run(const struct association_input *input, const struct association_options *options,
                     struct association_result *result);
void association_free(struct association_result *result);

/* Writes thousandths as "-0.563"; returns the length without the NUL. */
size_t association_format_milli(char out[static 16], int32_t milli);

#endif
