/* The jobs role: passes each message to its step. The story is in role.h. */
#include "workers/jobs/role/role.h"

#include <assert.h>

/* ---- steps --------------------------------------------------------------------------------------------- */

static const JobMessage *message_of(const struct item *item) {
    return (const JobMessage *)(const void *)item->message;
}

static int run_step(struct fiber *self, struct worker *w, const JobMessage *m, struct fault *fault) {
    switch (m->what_case) {
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_DESCRIBE_DATASET:
        return role_describe(self, w, m->describe_dataset->dataset_id, fault);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_QUERY:
        return role_query(self, w, m->run_query->dataset_id, fault);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_PLAN_JOB:
        return role_plan(self, w, m->plan_job->job_id, fault);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_TASK:
        return role_task(self, w, m->run_task->job_id, m->run_task->task, fault);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_COMBINE_JOB:
        return role_combine(self, w, m->combine_job->job_id, fault);
    default: return fault_set(fault, ERR_UNIMPLEMENTED, "this worker does not know such a step: it is older");
    }
}

static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    struct semaphore *places = runtime_state(w, &JOBS_PLACES);
    assert(b->n > 0);
    int e = semaphore_acquire(self, places);
    if (e != 0) return e;
    for (size_t i = 0; i < b->n && e == 0; i++) e = run_step(self, w, message_of(&b->items[i]), fault);
    semaphore_release(places);
    return e;
}

/* Ends the job or dataset of the message, so that clients that wait for it learn of it. */
static int give_up(struct fiber *self, struct worker *w, const struct item *item, const char *reason) {
    const JobMessage *m = message_of(item);
    switch (m->what_case) {
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_DESCRIBE_DATASET:
        return role_dataset_fail(self, w, m->describe_dataset->dataset_id, reason, NULL);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_QUERY:
        return role_dataset_fail(self, w, m->run_query->dataset_id, reason, NULL);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_PLAN_JOB:
        return role_job_fail(self, w, m->plan_job->job_id, reason, NULL);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_TASK:
        return role_job_fail(self, w, m->run_task->job_id, reason, NULL);
    case ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_COMBINE_JOB:
        return role_job_fail(self, w, m->combine_job->job_id, reason, NULL);
    default: return 0;
    }
}

const struct role JOBS_ROLE = {
    .name = "jobs",
    .stream = &STREAMS[STREAM_JOBS],
    .handle = handle,
    .state = &JOBS_PLACES,
    .first_count = 1,
    .max_count = 1,
    .give_up = give_up,
};
