/* The SQL of the steps of jobs. Each function is one transaction. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_STORE_H
#define ROOKERY_WORKERS_JOBS_ROLE_STORE_H

#include "rookery/v1/job.pb-c.h"
#include "workers/runtime/runtime.h"

/* The maximum number of tasks of one job on the streams, so that a short job's steps wait behind at most so many of a
 * long job. Task n is published when task n - ROLE_WINDOW is done. */
#define ROLE_WINDOW 32

/* What a step begins with. When `wanted` is false, the job is past that step, and nothing is left to do. */
struct role_job {
    bool wanted;
    int64_t attempts; /* of this step, this one included */
    int64_t tasks;
    struct str spec; /* encoded */
    int64_t dataset_id;
    struct str dataset_name; /* ptr is NULL when the dataset was deleted */
    struct str dialect;
};
int role_begin_plan(struct fiber *self, struct worker *w, int64_t job_id, struct role_job *out,
                    struct fault *fault);
int role_begin_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, struct role_job *out,
                    struct fault *fault);
int role_begin_combine(struct fiber *self, struct worker *w, int64_t job_id, struct role_job *out,
                       struct fault *fault);

/* Finds another dataset that a job reads. name->ptr is NULL when it was deleted. */
int role_find_dataset(struct fiber *self, struct worker *w, int64_t dataset_id, struct str *name,
                      struct str *dialect, struct fault *fault);

/* Call it when all parts are stored. The job then runs, and its first tasks are published. */
int role_end_plan(struct fiber *self, struct worker *w, int64_t job_id, int64_t tasks, const char *notes,
                  struct fault *fault);
/* Call it when the task's result is stored. Publishes the next task or, after the last one, the combining. */
int role_end_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, int64_t tasks,
                  struct fault *fault);
/* Call it when the whole table is stored: the job has succeeded. from: its state until now. notes: NULL leaves them
 * unchanged. */
int role_end_job(struct fiber *self, struct worker *w, int64_t job_id, Rookery__V1__JobState from,
                 int64_t result_bytes, const char *notes, struct fault *fault);

#endif
