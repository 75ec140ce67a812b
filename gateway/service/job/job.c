/* JobService: jobs, and the method table. */
#include "core/domain/job/job.h"

#include "core/codec/codec.h"
#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/service/auth.h"
#include "gateway/service/job/job.h"
#include "gateway/service/job/rows.h"
#include "gateway/service/service.h"

static int shape_job(struct rpc_call *call, const struct job_record *job, Rookery__V1__Job **out) {
    struct arena *a = rpc_arena(call);
    *out = ARENA_NEW(a, Rookery__V1__Job);
    rookery__v1__job__init(*out);
    (*out)->id = job->id;
    (*out)->dataset_id = job->dataset_id;
    (*out)->spec = (void *)pb_decode(&rookery__v1__job_spec__descriptor, job->spec, a, rpc_fault(call));
    if (!(*out)->spec) return rpc_fault(call)->error;
    (*out)->state = job->state;
    (*out)->task_count = job->tasks;
    (*out)->tasks_done = job->tasks_done;
    (*out)->error = str_to_cstr(a, job->error);
    (*out)->notes = str_to_cstr(a, job->notes);
    (*out)->result_bytes = job->result_bytes;
    (*out)->create_time = message_time(a, snowflake_time_ms(job->id));
    if (job->ended_ms != 0) (*out)->end_time = message_time(a, job->ended_ms);
    return 0;
}

static int find_job(struct fiber *self, struct rpc_call *call, int64_t id, struct job_record *out) {
    return job_get(self, &gateway_of(call)->domain, caller_of(call), id, out, rpc_fault(call));
}

int job_service_create_job(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__CreateJobRequest *in = REQUEST(CreateJobRequest);
    Rookery__V1__CreateJobResponse reply = ROOKERY__V1__CREATE_JOB_RESPONSE__INIT;
    struct job_record job;
    int e = job_create(self, &gateway_of(call)->domain, caller_of(call), in->dataset_id, in->spec,
                       str_from(in->idempotency_key), &job, rpc_fault(call));
    if (e == 0) e = shape_job(call, &job, &reply.job);
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int job_service_get_job(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    Rookery__V1__GetJobResponse reply = ROOKERY__V1__GET_JOB_RESPONSE__INIT;
    struct job_record job;
    int e = find_job(self, call, REQUEST(GetJobRequest)->job_id, &job);
    if (e == 0) e = shape_job(call, &job, &reply.job);
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int job_service_cancel_job(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int64_t id = REQUEST(CancelJobRequest)->job_id;
    Rookery__V1__CancelJobResponse reply = ROOKERY__V1__CANCEL_JOB_RESPONSE__INIT;
    struct job_record job;
    int e = find_job(self, call, id, &job);
    if (e == 0 && !job_has_ended(job.state)) {
        e = job_cancel(self, &gateway_of(call)->domain, caller_of(call), id, rpc_fault(call));
        if (e == 0) e = find_job(self, call, id, &job);
    }
    if (e == 0) e = shape_job(call, &job, &reply.job);
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int job_service_list_jobs(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__ListJobsRequest *in = REQUEST(ListJobsRequest);
    struct page_request page;
    struct job_record *jobs;
    size_t n;
    int e = lists_page(call, LIST_JOBS, 0, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0)
        e = job_list(self, &gateway_of(call)->domain, caller_of(call), page.position.a, page.size + 1, &jobs,
                     &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page.size;
    Rookery__V1__ListJobsResponse reply = ROOKERY__V1__LIST_JOBS_RESPONSE__INIT;
    reply.n_jobs = more ? (size_t)page.size : n;
    reply.jobs = ARENA_ARRAY(rpc_arena(call), Rookery__V1__Job *, reply.n_jobs);
    for (size_t i = 0; e == 0 && i < reply.n_jobs; i++) e = shape_job(call, &jobs[i], &reply.jobs[i]);
    reply.next_page_token = lists_next(call, &page, more, more ? jobs[reply.n_jobs - 1].id : 0, 0);
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

/* ---- watching ------------------------------------------------------------------------------------------ */

/* The parts of a job whose changes a watcher is sent. */
struct progress {
    Rookery__V1__JobState state;
    int64_t tasks, tasks_done;
};

/* Sends the job if it differs from *last. Its memory is freed each time: a stream may be long. */
static int send_if_changed(struct fiber *self, struct rpc_call *call, int64_t id, struct progress *last) {
    Rookery__V1__WatchJobResponse reply = ROOKERY__V1__WATCH_JOB_RESPONSE__INIT;
    struct job_record job;
    int e = find_job(self, call, id, &job);
    bool same =
        e == 0 && job.state == last->state && job.tasks == last->tasks && job.tasks_done == last->tasks_done;
    if (e == 0 && !same) {
        *last = (struct progress){job.state, job.tasks, job.tasks_done};
        e = shape_job(call, &job, &reply.job);
        if (e == 0) e = rpc_send(self, call, &reply.base);
    }
    arena_reset(rpc_arena(call));
    return e;
}

static int watch_to_the_end(struct fiber *self, struct rpc_call *call, struct job_watcher *w) {
    struct progress last = {0};
    for (;;) {
        w->changed = false;
        int e = send_if_changed(self, call, w->job_id, &last);
        if (e != 0 || job_has_ended(last.state)) return e;
        rpc_will_wait(call);
        while (!w->changed && e == 0) e = fiber_park(self);
        if (e == 0) e = auth_authenticate(self, call); /* the session may have ended meanwhile */
        if (e != 0) return e;
    }
}

int job_service_watch_job(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct job_watch *watch = gateway_of(call)->job_watch;
    struct job_watcher w = {
        .fiber = self, .job_id = REQUEST(WatchJobRequest)->job_id, .account_id = caller_of(call)};
    int e = job_watch_add(watch, &w, rpc_fault(call));
    if (e != 0) return e;
    e = watch_to_the_end(self, call, &w);
    job_watch_remove(watch, &w);
    return e;
}

/* ---- results ------------------------------------------------------------------------------------------- */

struct result_reading {
    int64_t id, left; /* bytes still to come */
    bool as_rows;
    struct job_rows rows;
};

static int send_piece(struct fiber *self, struct rpc_call *call, struct result_reading *r, int64_t seq) {
    Rookery__V1__GetResultResponse reply = ROOKERY__V1__GET_RESULT_RESPONSE__INIT;
    struct str bytes;
    int e = job_result(self, &gateway_of(call)->domain, r->id, seq, &bytes, rpc_fault(call));
    if (e == 0 && bytes.len == 0)
        e = fault_set(rpc_fault(call), ERR_ABORTED, "the job was dropped while its result was read");
    if (e == 0) r->left -= (int64_t)bytes.len;
    if (e == 0 && r->as_rows) {
        e = job_rows_cut(&r->rows, bytes, rpc_arena(call), &reply, rpc_fault(call));
    } else if (e == 0) {
        reply.data.data = (uint8_t *)(uintptr_t)bytes.ptr;
        reply.data.len = bytes.len;
    }
    if (e == 0 && (reply.n_rows > 0 || !r->as_rows)) e = rpc_send(self, call, &reply.base);
    arena_reset(rpc_arena(call));
    return e;
}

static int check_result(struct rpc_call *call, const struct job_record *job, bool as_rows) {
    struct arena *a = rpc_arena(call);
    if (job->state != ROOKERY__V1__JOB_STATE__JOB_STATE_SUCCEEDED)
        return fault_field(rpc_fault(call), ERR_FAILED_PRECONDITION, "job_id",
                           "only a job that has succeeded has a result; WatchJob ends when it has");
    if (!as_rows) return 0;
    const Rookery__V1__JobSpec *spec =
        (const void *)pb_decode(&rookery__v1__job_spec__descriptor, job->spec, a, rpc_fault(call));
    if (!spec) return rpc_fault(call)->error;
    if (spec->format != ROOKERY__V1__RESULT_FORMAT__RESULT_FORMAT_JSON) return 0;
    return fault_field(rpc_fault(call), ERR_FAILED_PRECONDITION, "as_rows",
                       "this job's table is JSON; rows are of a job whose format is CSV");
}

int job_service_get_result(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__GetResultRequest *in = REQUEST(GetResultRequest);
    struct job_record job;
    int e = find_job(self, call, in->job_id, &job);
    if (e == 0) e = check_result(call, &job, in->as_rows);
    if (e != 0) return e;
    struct result_reading r = {.id = in->job_id, .left = job.result_bytes, .as_rows = in->as_rows};
    e = rpc_send_headers(self, call);
    for (int64_t seq = 0; e == 0 && r.left > 0; seq++) e = send_piece(self, call, &r, seq);
    buf_free(&r.rows.bytes);
    return e;
}
