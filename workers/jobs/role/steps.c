/* The steps of a job.
 *
 *   1. Planning: the dataset becomes parts (steps.h), each with whole slices; tiny slices share one. They are stored,
 *      and the first tasks are published. If there is only one part, it is fitted immediately, and the job ends: a
 *      small job is one message.
 *   2. A task: its part becomes a table, which is stored. Then the next task is published; after the last, the
 *      combining.
 *   3. Combining: the tasks' tables become one, in the order of slice keys.
 * Association and log2_sum need all rows together: their planning is the whole job.
 * Failures:
 *   - the worker is killed: the message is redelivered to another one. What was stored stays; the same bytes are not
 *     stored twice, and the state changes once.
 *   - the data or the spec is wrong: the job has failed, with the sentence that says where.
 *   - the job is cancelled, or fails elsewhere: a long computation is told to stop; its result is not stored.
 *   - a step is begun ROLE_ATTEMPTS times and never ends: the job has failed.
 */
#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "core/domain/job/spec.h"
#include "workers/jobs/role/fit.h"
#include "workers/jobs/role/role.h"
#include "workers/jobs/role/store.h"

#define PLANNING ROOKERY__V1__JOB_STATE__JOB_STATE_PLANNING
#define RUNNING ROOKERY__V1__JOB_STATE__JOB_STATE_RUNNING
#define COMBINING ROOKERY__V1__JOB_STATE__JOB_STATE_COMBINING

/* Two files, and the computation from one to the other. */
struct step {
    struct worker *worker;
    int64_t job_id;
    Rookery__V1__JobState state;
    int in, out;
    struct fault *fault;
};

static int open_files(struct step *s) {
    s->in = role_temporary(s->fault);
    s->out = s->in >= 0 ? role_temporary(s->fault) : -1;
    if (s->out >= 0) return 0;
    if (s->in >= 0) close(s->in);
    return ERR_UNAVAILABLE;
}

static void close_files(struct step *s) {
    close(s->in);
    close(s->out);
}

/* Runs fn on a thread. *good: it succeeded. Otherwise the job has failed with a sentence, or is no longer wanted. What
 * the machine is to blame for is a backend's error: tried again later, and told to nobody but the log. */
static int compute(struct fiber *self, const struct step *s, jobs_piece *fn, struct role_run *run,
                   bool *good) {
    run->out = s->out;
    run->max_bytes = s->worker->domain.config->job_result_bytes;
    *good = false;
    int e = jobs_compute_long(self, s->worker, (struct jobs_wanted){.job_id = s->job_id, .state = s->state},
                              fn, run, &run->stop);
    if (e != 0 || run->error.fault == JOBS_FAULT_STOPPED) return e;
    if (run->error.fault == JOBS_FAULT_MACHINE)
        return fault_set(s->fault, ERR_UNAVAILABLE, "%.200s", run->error.text);
    if (run->error.fault != JOBS_FAULT_NONE)
        return role_job_fail(self, s->worker, s->job_id, run->error.text, s->fault);
    *good = true;
    return 0;
}

static struct role_bytes whole_table(int64_t job_id) {
    return (struct role_bytes){.kind = ROLE_RESULT, .id = job_id, .task = JOB_WHOLE_TABLE};
}

/* ---- planning ------------------------------------------------------------------------------------------ */

static int64_t part_start(const struct role_planning *p, size_t part) {
    assert(part <= p->n_parts);
    return part == 0 ? 0 : p->part_ends[part - 1];
}

static int store_parts(struct fiber *self, const struct step *s, const struct role_planning *p) {
    int e = 0;
    for (size_t i = 0; e == 0 && i < p->n_parts; i++) {
        struct role_bytes to = {.kind = ROLE_PART, .id = s->job_id, .task = (int32_t)i};
        int64_t at = part_start(p, i);
        e = role_store(self, s->worker, to, s->out, at, p->part_ends[i] - at, s->fault);
    }
    if (e == 0) e = role_end_plan(self, s->worker, s->job_id, (int64_t)p->n_parts, p->notes, s->fault);
    return e;
}

static enum results_format format_of(const Rookery__V1__JobSpec *spec) {
    return spec->format == ROOKERY__V1__RESULT_FORMAT__RESULT_FORMAT_JSON ? RESULTS_JSON : RESULTS_CSV;
}

/* Combines the tables in file `in` into one in `out`, and ends the job. */
static int combine_tables(struct fiber *self, const struct step *s, struct role_range *tables, size_t n,
                          enum results_format format, const char *notes) {
    struct role_combining c = {.tables = tables, .n_tables = n, .format = format};
    bool good;
    int e = compute(self, s, role_combine_on_thread, &c.run, &good);
    if (e != 0 || !good) return e;
    e = role_store(self, s->worker, whole_table(s->job_id), s->out, 0, c.run.out_bytes, s->fault);
    if (e == 0) e = role_end_job(self, s->worker, s->job_id, s->state, c.run.out_bytes, notes, s->fault);
    return e;
}

/* The only part is in file `out` of the planning: fits and combines it immediately. */
static int finish_small(struct fiber *self, const struct step *planned, const struct role_planning *p,
                        const Rookery__V1__JobSpec *spec) {
    struct role_fitting f = {.name = "the part",
                             .part = {.fd = planned->out, .end = part_start(p, p->n_parts)}};
    struct step s = *planned;
    bool good;
    int e = open_files(&s);
    if (e != 0) return e;
    int table = s.out;
    e = compute(self, &s, role_fit_on_thread, &f.run, &good);
    if (e == 0 && good) {
        struct role_range range = {.fd = table, .end = f.run.out_bytes};
        s.out = s.in; /* the other file is still empty */
        e = combine_tables(self, &s, &range, 1, format_of(spec), p->notes);
        s.out = table;
    }
    close_files(&s);
    return e;
}

static int plan_file(struct fiber *self, const struct step *s, const struct role_job *job,
                     const Rookery__V1__JobSpec *spec, int64_t length) {
    const struct config *config = s->worker->domain.config;
    struct arena *a = fiber_arena(self);
    struct role_planning p = {.name = str_to_cstr(a, job->dataset_name),
                              .dataset = {.fd = s->in, .end = length},
                              .part_rows = (size_t)config->job_part_rows,
                              .max_parts = (size_t)config->job_tasks};
    bool good;
    role_dialect(a, job->dialect, &p.options);
    role_spec_grouped(a, spec, &p.spec, &p.options);
    int e = compute(self, s, role_plan_on_thread, &p.run, &good);
    assert(!good || p.n_parts > 0);
    if (e == 0 && good) e = p.n_parts == 1 ? finish_small(self, s, &p, spec) : store_parts(self, s, &p);
    role_plan_free(&p);
    return e;
}

/* ---- association and log2_sum -------------------------------------------------------------------------- */

/* Fetches a map into a file of its own. *gone: it was deleted. */
static int fetch_map(struct fiber *self, const struct step *s, int64_t dataset_id,
                     struct role_table_file *out, bool *gone) {
    struct role_bytes from = {.kind = ROLE_DATASET, .id = dataset_id};
    struct str name, dialect;
    int64_t length;
    if (dataset_id == 0) return 0;
    int e = role_find_dataset(self, s->worker, dataset_id, &name, &dialect, s->fault);
    *gone |= e == 0 && !name.ptr;
    if (e != 0 || *gone) return e;
    out->name = str_to_cstr(fiber_arena(self), name);
    role_dialect(fiber_arena(self), dialect, &out->options);
    out->fd = role_temporary(s->fault);
    if (out->fd < 0) return ERR_UNAVAILABLE;
    e = role_fetch(self, s->worker, from, out->fd, &length, s->fault);
    lseek(out->fd, 0, SEEK_SET);
    return e;
}

static int run_genomics(struct fiber *self, const struct step *s, struct role_genomics *g) {
    bool good;
    lseek(s->in, 0, SEEK_SET);
    int e = compute(self, s, role_genomics_on_thread, &g->run, &good);
    if (e != 0 || !good) return e;
    e = role_store(self, s->worker, whole_table(s->job_id), s->out, 0, g->run.out_bytes, s->fault);
    return e == 0 ? role_end_job(self, s->worker, s->job_id, s->state, g->run.out_bytes, g->notes, s->fault)
                  : e;
}

/* The dataset is in file `in`. */
static int genomics(struct fiber *self, const struct step *s, const struct role_job *job,
                    const Rookery__V1__JobSpec *spec) {
    struct role_genomics g = {
        .spec = spec, .format = format_of(spec), .map = {.fd = -1}, .symbols = {.fd = -1}};
    bool gone = false;
    int e = 0;
    g.rows = (struct role_table_file){.name = str_to_cstr(fiber_arena(self), job->dataset_name), .fd = s->in};
    role_dialect(fiber_arena(self), job->dialect, &g.rows.options);
    if (spec->model_case == ROOKERY__V1__JOB_SPEC__MODEL_LOG2_SUM) {
        e = fetch_map(self, s, spec->log2_sum->map_dataset_id, &g.map, &gone);
        if (e == 0) e = fetch_map(self, s, spec->log2_sum->symbols_dataset_id, &g.symbols, &gone);
    }
    if (e == 0)
        e = gone ? role_job_fail(self, s->worker, s->job_id, "a map's dataset was deleted", s->fault)
                 : run_genomics(self, s, &g);
    if (g.map.fd >= 0) close(g.map.fd);
    if (g.symbols.fd >= 0) close(g.symbols.fd);
    return e;
}

int role_plan(struct fiber *self, struct worker *w, int64_t job_id, struct fault *fault) {
    struct step s = {.worker = w, .job_id = job_id, .state = PLANNING, .fault = fault};
    struct role_job job;
    int64_t length;
    int e = role_begin_plan(self, w, job_id, &job, fault);
    if (e != 0 || !job.wanted) return e;
    if (!job.dataset_name.ptr) return role_job_fail(self, w, job_id, "the dataset was deleted", fault);
    if (job.attempts > ROLE_ATTEMPTS(w->domain.config))
        return role_job_fail(self, w, job_id, "planning: " ROLE_BEGUN_TOO_OFTEN, fault);
    const Rookery__V1__JobSpec *spec = role_spec_decode(fiber_arena(self), job.spec);
    if (!spec) return fault_set(fault, ERR_INTERNAL, "the spec cannot be read");
    e = open_files(&s);
    if (e != 0) return e;
    struct role_bytes dataset = {.kind = ROLE_DATASET, .id = job.dataset_id};
    e = role_fetch(self, w, dataset, s.in, &length, fault);
    if (e == 0)
        e = job_spec_regression(spec) ? plan_file(self, &s, &job, spec, length)
                                      : genomics(self, &s, &job, spec);
    close_files(&s);
    return e;
}

/* ---- a task -------------------------------------------------------------------------------------------- */

static int fit_part(struct fiber *self, const struct step *s, int32_t task, int64_t tasks) {
    struct role_fitting f = {.part = {.fd = s->in}};
    struct role_bytes part = {.kind = ROLE_PART, .id = s->job_id, .task = task};
    struct role_bytes result = {.kind = ROLE_RESULT, .id = s->job_id, .task = task};
    bool good;
    snprintf(f.name, sizeof f.name, "part %d", (int)task);
    int e = role_fetch(self, s->worker, part, s->in, &f.part.end, s->fault);
    /* Another worker has just ended the task, or the job: its parts are gone. */
    if (e == 0 && f.part.end == 0) return 0;
    if (e == 0) e = compute(self, s, role_fit_on_thread, &f.run, &good);
    if (e != 0 || !good) return e;
    e = role_store(self, s->worker, result, s->out, 0, f.run.out_bytes, s->fault);
    return e == 0 ? role_end_task(self, s->worker, s->job_id, task, tasks, s->fault) : e;
}

int role_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, struct fault *fault) {
    struct step s = {.worker = w, .job_id = job_id, .state = RUNNING, .fault = fault};
    struct role_job job;
    int e = role_begin_task(self, w, job_id, task, &job, fault);
    if (e != 0 || !job.wanted) return e;
    if (job.attempts > ROLE_ATTEMPTS(w->domain.config))
        return role_job_fail(self, w, job_id, "a task: " ROLE_BEGUN_TOO_OFTEN, fault);
    e = open_files(&s);
    if (e != 0) return e;
    e = fit_part(self, &s, task, job.tasks);
    close_files(&s);
    return e;
}

/* ---- combining ----------------------------------------------------------------------------------------- */

static int combine_results(struct fiber *self, const struct step *s, const struct role_job *job) {
    const Rookery__V1__JobSpec *spec = role_spec_decode(fiber_arena(self), job->spec);
    struct role_range *tables = ARENA_ARRAY(fiber_arena(self), struct role_range, (size_t)job->tasks);
    int64_t at = 0;
    if (!spec) return fault_set(s->fault, ERR_INTERNAL, "the spec cannot be read");
    for (int64_t i = 0; i < job->tasks; i++) {
        struct role_bytes result = {.kind = ROLE_RESULT, .id = s->job_id, .task = (int32_t)i};
        int64_t length;
        int e = role_fetch(self, s->worker, result, s->in, &length, s->fault);
        if (e != 0) return e;
        tables[i] = (struct role_range){.fd = s->in, .at = at, .end = at + length};
        at += length;
    }
    return combine_tables(self, s, tables, (size_t)job->tasks, format_of(spec), NULL);
}

int role_combine(struct fiber *self, struct worker *w, int64_t job_id, struct fault *fault) {
    struct step s = {.worker = w, .job_id = job_id, .state = COMBINING, .fault = fault};
    struct role_job job;
    int e = role_begin_combine(self, w, job_id, &job, fault);
    if (e != 0 || !job.wanted) return e;
    if (job.attempts > ROLE_ATTEMPTS(w->domain.config))
        return role_job_fail(self, w, job_id, "combining: " ROLE_BEGUN_TOO_OFTEN, fault);
    e = open_files(&s);
    if (e != 0) return e;
    e = combine_results(self, &s, &job);
    close_files(&s);
    return e;
}
