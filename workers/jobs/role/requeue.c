/* Requeueing lost steps. The messages have no outbox rows: if they are lost too, the next run requeues them. */
#include "workers/jobs/role/requeue.h"

#include "core/domain/job/step.h"
#include "core/event/outbox.h"
#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/role/requeue.sql.h"
#include "workers/jobs/role/store.h"

#define MOST 500

/* The message of a row, encoded. */
static bool encode(struct fiber *self, struct worker *w, struct pg_row *row, struct event_record *out) {
    Rookery__Events__V1__PlanJob plan = ROOKERY__EVENTS__V1__PLAN_JOB__INIT;
    Rookery__Events__V1__RunTask task = ROOKERY__EVENTS__V1__RUN_TASK__INIT;
    Rookery__Events__V1__CombineJob combine = ROOKERY__EVENTS__V1__COMBINE_JOB__INIT;
    Rookery__Events__V1__RunQuery query = ROOKERY__EVENTS__V1__RUN_QUERY__INIT;
    Rookery__Events__V1__DescribeDataset describe = ROOKERY__EVENTS__V1__DESCRIBE_DATASET__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    int64_t step = pg_take_i64(row), id = pg_take_i64(row);
    task.task = pg_take_i32(row);
    plan.job_id = task.job_id = combine.job_id = query.dataset_id = describe.dataset_id = id;
    switch ((enum job_step)step) {
    case JOB_STEP_PLAN:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_PLAN_JOB, m.plan_job = &plan;
        break;
    case JOB_STEP_TASK:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_TASK, m.run_task = &task;
        break;
    case JOB_STEP_COMBINE:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_COMBINE_JOB, m.combine_job = &combine;
        break;
    case JOB_STEP_QUERY:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_QUERY, m.run_query = &query;
        break;
    case JOB_STEP_DESCRIBE:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_DESCRIBE_DATASET, m.describe_dataset = &describe;
        break;
    default: return false;
    }
    if (domain_next_id(&w->domain, &m.id, NULL) != 0) return false;
    *out = job_message_encode(fiber_arena(self), &m, w->domain.config->partitions);
    return true;
}

void jobs_requeue_stalled(struct fiber *self, struct worker *w) {
    struct pg_result *r;
    if (pg_ask(self, w->domain.pg, &ROLE_STALLED, &r, NULL, pg_i64(w->domain.config->job_stall_s),
               pg_i32(ROLE_WINDOW), pg_i64(MOST)) != 0 ||
        pg_rows(r) == 0)
        return;
    struct redis_batch *b = redis_batch_new();
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        struct event_record record;
        if (encode(self, w, &row, &record)) outbox_add_command(b, &record, true);
    }
    log_info(w->domain.log, "requeued stalled job steps", LOG_I("steps", pg_rows(r)));
    domain_send(self, &w->domain, b);
}
