/* The SQL of jobs' steps. Every statement that changes a job names the state it is in, so that a message that comes
 * late or twice changes nothing. Messages go into the outbox in the same statement, and are published after the
 * commit. */
#include "workers/jobs/role/store.h"

#include <assert.h>

#include "core/domain/job/job.h"
#include "workers/jobs/role/role.h"
#include "workers/jobs/role/store.sql.h"

static struct pg_args args_of(struct fiber *self, int64_t job_id) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_args_add(&args, pg_i64(job_id));
    return args;
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

int role_begin_plan(struct fiber *self, struct worker *w, int64_t job_id, struct role_job *out,
                    struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, &ROLE_BEGIN_PLAN, &r, fault, pg_i64(job_id));
    *out = (struct role_job){0};
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    out->wanted = pg_next(&row);
    if (!out->wanted) return 0;
    out->attempts = pg_take_i64(&row);
    out->tasks = pg_take_i64(&row);
    out->spec = pg_take_str(&row);
    out->dataset_id = pg_take_i64(&row);
    out->dataset_name = pg_take_str_or_null(&row);
    out->dialect = pg_take_str(&row);
    pg_end(&row);
    assert(out->attempts > 0); /* this one included: else a step that kills its worker would run forever */
    return 0;
}

int role_begin_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, struct role_job *out,
                    struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, &ROLE_BEGIN_TASK, &r, fault, pg_i64(job_id), pg_i32(task));
    *out = (struct role_job){0};
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    out->wanted = pg_next(&row);
    if (!out->wanted) return 0;
    out->attempts = pg_take_i64(&row);
    out->tasks = pg_take_i64(&row);
    pg_end(&row);
    return 0;
}

int role_begin_combine(struct fiber *self, struct worker *w, int64_t job_id, struct role_job *out,
                       struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, &ROLE_BEGIN_COMBINE, &r, fault, pg_i64(job_id));
    *out = (struct role_job){0};
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    out->wanted = pg_next(&row);
    if (!out->wanted) return 0;
    out->attempts = pg_take_i64(&row);
    out->tasks = pg_take_i64(&row);
    out->spec = pg_take_str(&row);
    pg_end(&row);
    return 0;
}

int role_find_dataset(struct fiber *self, struct worker *w, int64_t dataset_id, struct str *name,
                      struct str *dialect, struct fault *fault) {
    struct pg_result *r;
    assert(dataset_id != 0);
    int e = pg_ask(self, w->domain.pg, &ROLE_FIND_DATASET, &r, fault, pg_i64(dataset_id));
    *name = *dialect = (struct str){0};
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    *name = pg_take_str(&row);
    *dialect = pg_take_str(&row);
    pg_end(&row);
    return 0;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static int task_message(struct fiber *self, struct worker *w, int64_t job_id, int64_t task,
                        struct event_record *out, struct fault *fault) {
    Rookery__Events__V1__RunTask run = ROOKERY__EVENTS__V1__RUN_TASK__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    assert(task >= 0 && task <= INT32_MAX);
    int e = domain_next_id(&w->domain, &m.id, fault);
    run.job_id = job_id;
    run.task = (int32_t)task;
    m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_TASK;
    m.run_task = &run;
    if (e == 0) *out = job_message_encode(fiber_arena(self), &m, w->domain.config->partitions);
    return e;
}

static int combine_message(struct fiber *self, struct worker *w, int64_t job_id, struct event_record *out,
                           struct fault *fault) {
    Rookery__Events__V1__CombineJob combine = ROOKERY__EVENTS__V1__COMBINE_JOB__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    int e = domain_next_id(&w->domain, &m.id, fault);
    combine.job_id = job_id;
    m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_COMBINE_JOB;
    m.combine_job = &combine;
    if (e == 0) *out = job_message_encode(fiber_arena(self), &m, w->domain.config->partitions);
    return e;
}

/* ---- ending -------------------------------------------------------------------------------------------- */

static void message_arrays(struct pg_args *args, const struct event_record *m, size_t n) {
    int64_t *ids = ARENA_ARRAY(args->arena, int64_t, n);
    int32_t *partitions = ARENA_ARRAY(args->arena, int32_t, n);
    struct str *payloads = ARENA_ARRAY(args->arena, struct str, n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = m[i].id;
        partitions[i] = m[i].partition;
        payloads[i] = m[i].payload;
    }
    pg_args_add(args, pg_i64_array(ids, n), pg_i32_array(partitions, n), pg_bytes_array(payloads, n));
}

int role_end_plan(struct fiber *self, struct worker *w, int64_t job_id, int64_t tasks, const char *notes,
                  struct fault *fault) {
    assert(tasks > 1); /* the only part is fitted by the planning itself */
    size_t n = tasks < ROLE_WINDOW ? (size_t)tasks : ROLE_WINDOW;
    struct event_record first[ROLE_WINDOW];
    for (size_t i = 0; i < n; i++) {
        int e = task_message(self, w, job_id, (int64_t)i, &first[i], fault);
        if (e != 0) return e;
    }
    struct pg_args args = args_of(self, job_id);
    struct pg_result *r;
    pg_args_add(&args, pg_i32((int32_t)tasks), pg_text(role_clean_text(fiber_arena(self), notes)));
    message_arrays(&args, first, n);
    int e = pg_exec(self, w->domain.pg, &ROLE_END_PLAN, &args, &r, fault);
    if (e != 0 || pg_affected(r) == 0) return e;
    outbox_publish(self, &w->domain, first, n);
    job_tell_watchers(self, &w->domain, job_id);
    return 0;
}

int role_end_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, int64_t tasks,
                  struct fault *fault) {
    struct event_record next, combine;
    assert(task >= 0 && task < tasks);
    int e = task_message(self, w, job_id, (int64_t)task + ROLE_WINDOW, &next, fault);
    if (e == 0) e = combine_message(self, w, job_id, &combine, fault);
    if (e != 0) return e;
    bool more = (int64_t)task + ROLE_WINDOW < tasks;
    struct pg_args lock = args_of(self, job_id), one = args_of(self, job_id), all = args_of(self, job_id);
    pg_args_add(&one, pg_i32(task), OUTBOX_ROW(&next), pg_bool(more));
    pg_args_add(&all, OUTBOX_ROW(&combine));
    const struct pg_call calls[] = {{&ROLE_LOCK_JOB, &lock}, {&ROLE_END_TASK, &one}, {&ROLE_END_TASKS, &all}};
    struct pg_result *r[3];
    e = pg_exec_all(self, w->domain.pg, calls, 3, r, fault);
    if (e != 0) return e;
    if (more && pg_only_i64(r[1]) == 1) outbox_publish(self, &w->domain, &next, 1);
    if (pg_only_i64(r[2]) == 1) outbox_publish(self, &w->domain, &combine, 1);
    job_tell_watchers(self, &w->domain, job_id);
    return 0;
}

/* The statement ends the job; then its parts and results of tasks are deleted. */
static int end_job(struct fiber *self, struct worker *w, int64_t job_id, const struct pg_stmt *stmt,
                   const struct pg_args *args, struct fault *fault) {
    struct pg_args drop = args_of(self, job_id);
    const struct pg_call calls[] = {{stmt, args}, {&JOB_DROP_WORK, &drop}};
    int e = pg_exec_all(self, w->domain.pg, calls, 2, NULL, fault);
    if (e == 0) job_tell_watchers(self, &w->domain, job_id);
    return e;
}

int role_end_job(struct fiber *self, struct worker *w, int64_t job_id, Rookery__V1__JobState from,
                 int64_t result_bytes, const char *notes, struct fault *fault) {
    assert(from == ROOKERY__V1__JOB_STATE__JOB_STATE_PLANNING ||
           from == ROOKERY__V1__JOB_STATE__JOB_STATE_COMBINING);
    struct pg_args args = args_of(self, job_id);
    struct str clean = notes ? role_clean_text(fiber_arena(self), notes) : (struct str){0};
    pg_args_add(&args, pg_i32((int32_t)from), pg_i64(result_bytes), pg_text_or_null(clean));
    return end_job(self, w, job_id, &ROLE_END_JOB, &args, fault);
}

int role_job_fail(struct fiber *self, struct worker *w, int64_t job_id, const char *sentence,
                  struct fault *fault) {
    struct pg_args args = args_of(self, job_id);
    pg_args_add(&args, pg_text(role_clean_text(fiber_arena(self), sentence)));
    return end_job(self, w, job_id, &ROLE_JOB_FAIL, &args, fault);
}
