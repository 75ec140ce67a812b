/* Jobs, as their owners see them. What workers do with them is in workers/jobs/role. Only the owner sees a job: for
 * other accounts it is NOT_FOUND. */
#ifndef ROOKERY_CORE_DOMAIN_JOB_JOB_H
#define ROOKERY_CORE_DOMAIN_JOB_JOB_H

#include "core/domain/job/dataset.h"

/* Results are stored and sent in pieces of at most this. */
#define JOB_CHUNK_BYTES DATASET_CHUNK_BYTES

struct job_record {
    int64_t id, dataset_id;
    struct str spec; /* encoded JobSpec */
    Rookery__V1__JobState state;
    int64_t tasks, tasks_done;
    struct str error, notes;
    int64_t result_bytes;
    int64_t ended_ms; /* 0: not yet */
};

bool job_has_ended(Rookery__V1__JobState state);

/* Commits, and publishes the step that plans the job. NOT_FOUND (a dataset), FAILED_PRECONDITION (it is not ready;
 * the key was used for another job), INVALID_ARGUMENT (by field), RESOURCE_EXHAUSTED (naming the limit). Drops the
 * oldest ended jobs beyond those kept. */
int job_create(struct fiber *self, struct domain *d, int64_t owner_id, int64_t dataset_id,
               const Rookery__V1__JobSpec *spec, struct str idempotency_key, struct job_record *out,
               struct fault *fault);
/* NOT_FOUND (job_id). */
int job_get(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct job_record *out,
            struct fault *fault);
/* Newest first, id < before. */
int job_list(struct fiber *self, struct domain *d, int64_t owner_id, int64_t before, int limit,
             struct job_record **out, size_t *n, struct fault *fault);
/* Idempotent; a job that has ended stays as it is. Workers notice soon, and drop their results. */
int job_cancel(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault);
/* Deletes what an ended job no longer needs: parts, tasks and their results; a succeeded job keeps its table. One
 * parameter, the job's id. Run it in the transaction that ends the job, after that statement: a worker that stores
 * something for the job holds a lock on its row, so nothing can come in between. */
extern const struct pg_stmt JOB_DROP_WORK;

/* A piece of a succeeded job's table; the empty string behind the last. Checks no permission. */
int job_result(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
               struct fault *fault);
/* Notifies the job's watchers to look again. Best effort. */
void job_tell_watchers(struct fiber *self, struct domain *d, int64_t id);

#endif
