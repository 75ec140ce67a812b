/* steps_internal: what the files of the steps share. The story is in steps.h. */
#ifndef ROOKERY_WORKERS_JOBS_FIT_STEPS_INTERNAL_H
#define ROOKERY_WORKERS_JOBS_FIT_STEPS_INTERNAL_H

#include "workers/jobs/fit/grouped_internal.h"
#include "workers/jobs/fit/steps.h"
#include "workers/jobs/table/pack.h"

enum steps_record { STEPS_SLICE = 1, STEPS_ROW = 2, STEPS_END = 3 };
enum steps_cell { STEPS_OBSERVED = 0, STEPS_MISSING = 1, STEPS_FILLED = 2 };
/* Limits far above the size of a job with all the names of a wide table, and of a row (CSV_RECORD_MAX and its
 * overhead). */
#define STEPS_JOB_MAX (64u << 20)
#define STEPS_RECORD_MAX (4 * CSV_RECORD_MAX)

/* Returns true for columns that the rows of a part contain: those that are not only slice keys. */
static inline bool steps_column_travels(const struct dataset_column *column) {
    return (column->use & ~(unsigned)USE_KEY) != 0;
}
/* These say whether a column's values are numbers, and whether their spelling is kept. */
static inline bool steps_has_number(const struct dataset_column *column) {
    return (column->use & (USE_NUMBER | USE_TYPE)) && column->type != COLUMN_TEXT;
}
static inline bool steps_has_text(const struct dataset_column *column) {
    return (column->use & USE_SPELL) != 0;
}

/* Packs the job of a part. spelling: the table whose spelling has the texts that fills name by number; NULL when
 * state->fill_texts has them. */
void steps_job_pack(struct text_buffer *b, const struct grouped_state *state, const struct table *spelling);

/* The job at the head of a part: everything that fitting its rows needs. */
struct steps_job {
    char *bytes; /* the packed job; the texts below point into it */
    struct grouped_spec spec;
    struct dataset dataset; /* columns only: there is nothing to read */
    struct grouped job;
    struct grouped_state state;
    struct slice_kinds kinds;
    const char *positive;
};
/* Takes bytes (malloc'd), also on failure. */
bool steps_job_open(struct steps_job *s, const char *name, char *bytes, size_t length,
                    const struct steps_fit_options *options, struct jobs_error *error);
void steps_job_close(struct steps_job *s);

#endif
