/* Requeueing lost steps. The messages have no outbox rows: if they are lost too, the next run requeues them. */
#include "workers/jobs/role/requeue.h"

#include "core/event/outbox.h"
#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/role/requeue.sql.h"
#include "workers/jobs/role/store.h"

#define MOST 500

enum kind { PLAN = 1, TASK = 2, COMBINE = 3, QUERY = 11, DESCRIBE = 12 };

/* The message of a row, encoded. */
static bool encode(struct fiber *self, struct worker *w, const struct pg_result *r, int row,
                   struct event_record *out) {
    Rookery__Events__V1__PlanJob plan = ROOKERY__EVENTS__V1__PLAN_JOB__INIT;
    Rookery__Events__V1__RunTask task = ROOKERY__EVENTS__V1__RUN_TASK__INIT;
    Rookery__Events__V1__CombineJob combine = ROOKERY__EVENTS__V1__COMBINE_JOB__INIT;
    Rookery__Events__V1__RunQuery query = ROOKERY__EVENTS__V1__RUN_QUERY__INIT;
    Rookery__Events__V1__DescribeDataset describe = ROOKERY__EVENTS__V1__DESCRIBE_DATASET__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    plan.job_id = task.job_id = combine.job_id = query.dataset_id = describe.dataset_id =
        pg_get_i64(r, row, 1);
    task.task = (int32_t)pg_get_i64(r, row, 2);
    switch ((enum kind)pg_get_i64(r, row, 0)) {
    case PLAN: m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_PLAN_JOB, m.plan_job = &plan; break;
    case TASK: m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_TASK, m.run_task = &task; break;
    case COMBINE:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_COMBINE_JOB, m.combine_job = &combine;
        break;
    case QUERY: m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_QUERY, m.run_query = &query; break;
    case DESCRIBE:
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_DESCRIBE_DATASET, m.describe_dataset = &describe;
        break;
    default: return false;
    }
    if (domain_next_id(&w->domain, &m.id, NULL) != 0) return false;
    *out = job_message_encode(fiber_arena(self), &m, w->domain.config->partitions);
    return true;
}

void jobs_requeue_stalled(struct fiber *self, struct worker *w) {
    struct pg_args args;
    struct pg_result *r;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, w->domain.config->job_stall_s);
    pg_i32(&args, ROLE_WINDOW);
    pg_i64(&args, MOST);
    if (pg_exec(self, w->domain.pg, &ROLE_STALLED, &args, &r, NULL) != 0 || pg_rows(r) == 0) return;
    struct redis_batch *b = redis_batch_new();
    for (int i = 0; i < pg_rows(r); i++) {
        struct event_record record;
        if (encode(self, w, r, i, &record)) outbox_add_command(b, &record, true);
    }
    log_info(w->domain.log, "requeued stalled job steps", LOG_I("steps", pg_rows(r)));
    domain_send(self, &w->domain, b);
}
