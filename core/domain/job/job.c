/* Jobs, as their owners see them.
 *
 * Creating: the dataset is looked up as the caller may see it, the spec checked against its columns, and the row
 * inserted with its outbox row while the owner's account is locked, so that the count of running jobs holds.
 * Cancelling sets the state; every step of a worker writes only while the state is the one it began with.
 */
#include "core/domain/job/job.h"

#include <assert.h>

#include "core/codec/codec.h"
#include "core/domain/job/job.sql.h"
#include "core/domain/job/spec.h"
#include "core/event/outbox.h"

#define SPEC_MAX_BYTES ((size_t)256 * 1024)
#define MAP_COLUMNS 2

bool job_has_ended(Rookery__V1__JobState state) {
    return state >= ROOKERY__V1__JOB_STATE__JOB_STATE_SUCCEEDED;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void read_job(struct pg_row *row, struct job_record *out) {
    out->id = pg_take_i64(row);
    out->dataset_id = pg_take_i64(row);
    out->spec = pg_take_str(row);
    out->state = (Rookery__V1__JobState)pg_take_i64(row);
    out->tasks = pg_take_i64(row);
    out->tasks_done = pg_take_i64(row);
    out->error = pg_take_str(row);
    out->notes = pg_take_str(row);
    out->result_bytes = pg_take_i64(row);
    out->ended_ms = pg_take_time_ms(row);
}

int job_get(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct job_record *out,
            struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &JOB_GET, &r, fault, pg_i64(id), pg_i64(owner_id));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row))
        return fault_field(fault, ERR_NOT_FOUND, "job_id", "there is no job with this job_id");
    read_job(&row, out);
    pg_end(&row);
    return 0;
}

int job_list(struct fiber *self, struct domain *d, int64_t owner_id, int64_t before, int limit,
             struct job_record **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &JOB_LIST, &r, fault, pg_i64(owner_id), pg_i64(before), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct job_record, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) read_job(&row, &(*out)[*n]);
    assert(*n <= (size_t)limit);
    return 0;
}

int job_result(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
               struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &JOB_RESULT, &r, fault, pg_i64(id), pg_i64(seq));
    if (e != 0) return e;
    *out = pg_only_str(r);
    return 0;
}

/* ---- creating ------------------------------------------------------------------------------------------ */

struct draft {
    int64_t owner_id, dataset_id, id;
    struct str key;  /* ptr NULL: none */
    struct str spec; /* encoded */
    struct event_record plan;
};

static int find_by_key(struct fiber *self, struct domain *d, const struct draft *draft, bool *found,
                       struct job_record *out, struct fault *fault) {
    *found = false;
    if (!draft->key.ptr) return 0;
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &JOB_FIND_BY_KEY, &r, fault, pg_i64(draft->owner_id), pg_text(draft->key));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *found = pg_next(&row);
    if (!*found) return 0;
    read_job(&row, out);
    pg_end(&row);
    if (out->dataset_id != draft->dataset_id || !str_eq(out->spec, draft->spec))
        return fault_field(fault, ERR_FAILED_PRECONDITION, "idempotency_key",
                           "this idempotency_key was used for another job");
    return 0;
}

/* *inserted: if false, a job with this key exists by now. */
static int insert(struct fiber *self, struct domain *d, const struct draft *draft, bool *inserted,
                  struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct pg_args lock, old, args;
    pg_args_init(&lock, a);
    pg_args_add(&lock, pg_i64(draft->owner_id));
    pg_args_init(&old, a);
    pg_args_add(&old, pg_i64(draft->owner_id), pg_i64(d->config->jobs_kept));
    pg_args_init(&args, a);
    pg_args_add(&args, pg_i64(draft->id), pg_i64(draft->owner_id), pg_i64(draft->dataset_id),
                pg_text_or_null(draft->key), pg_bytes(draft->spec), pg_i64(d->config->jobs_per_account),
                OUTBOX_ROW(&draft->plan));
    const struct pg_call calls[] = {{&JOB_LOCK_OWNER, &lock}, {&JOB_DROP_OLD, &old}, {&JOB_INSERT, &args}};
    struct pg_result *r[3];
    int e = pg_exec_all(self, d->pg, calls, 3, r, fault);
    if (e != 0) return e;
    struct pg_row row = pg_read(r[2]);
    pg_next(&row);
    *inserted = pg_take_bool(&row);
    bool full = pg_take_bool(&row);
    pg_end(&row);
    if (!*inserted && full)
        return fault_set(
            fault, ERR_RESOURCE_EXHAUSTED,
            "an account may have %lld jobs running at a time: wait for one to end, or cancel one",
            (long long)d->config->jobs_per_account);
    return 0;
}

static int columns_of(struct fiber *self, struct domain *d, int64_t viewer, int64_t id, const char *field,
                      Rookery__V1__DescribeDatasetResponse **out, struct fault *fault) {
    struct dataset_record dataset;
    int e = dataset_get(self, d, viewer, id, &dataset, fault);
    if (e == ERR_NOT_FOUND)
        return fault_field(fault, ERR_NOT_FOUND, field, "%s: there is no dataset with this id", field);
    if (e != 0) return e;
    if (dataset.state == ROOKERY__V1__DATASET_STATE__DATASET_STATE_FAILED)
        return fault_field(fault, ERR_FAILED_PRECONDITION, field, "%s: the dataset cannot be used: %.160s",
                           field, str_to_cstr(fiber_arena(self), dataset.error));
    if (dataset.state != ROOKERY__V1__DATASET_STATE__DATASET_STATE_READY)
        return fault_field(fault, ERR_FAILED_PRECONDITION, field,
                           "%s: the dataset is still being read; try again when it is ready", field);
    *out = (void *)pb_decode(&rookery__v1__describe_dataset_response__descriptor, dataset.columns,
                             fiber_arena(self), fault);
    return *out ? 0 : ERR_INTERNAL;
}

/* The other datasets that log2_sum reads. */
static int check_maps(struct fiber *self, struct domain *d, int64_t viewer, const Rookery__V1__JobSpec *spec,
                      struct fault *fault) {
    if (spec->model_case != ROOKERY__V1__JOB_SPEC__MODEL_LOG2_SUM) return 0;
    const int64_t ids[] = {spec->log2_sum->map_dataset_id, spec->log2_sum->symbols_dataset_id};
    const char *const fields[] = {"spec.log2_sum.map_dataset_id", "spec.log2_sum.symbols_dataset_id"};
    for (size_t i = 0; i < 2; i++) {
        Rookery__V1__DescribeDatasetResponse *map;
        if (ids[i] == 0) continue;
        int e = columns_of(self, d, viewer, ids[i], fields[i], &map, fault);
        if (e != 0) return e;
        if (map->n_columns != MAP_COLUMNS)
            return fault_field(fault, ERR_INVALID_ARGUMENT, fields[i], "%s: a map has two columns, not %zu",
                               fields[i], map->n_columns);
    }
    return 0;
}

static int check(struct fiber *self, struct domain *d, const struct draft *draft,
                 const Rookery__V1__JobSpec *spec, struct fault *fault) {
    Rookery__V1__DescribeDatasetResponse *described;
    if (draft->spec.len > SPEC_MAX_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "spec", "spec must be at most %zu bytes",
                           SPEC_MAX_BYTES);
    int e = columns_of(self, d, draft->owner_id, draft->dataset_id, "dataset_id", &described, fault);
    if (e == 0) e = job_spec_check(spec, described->columns, described->n_columns, fault);
    return e == 0 ? check_maps(self, d, draft->owner_id, spec, fault) : e;
}

static struct event_record plan_message(struct arena *a, const struct domain *d, int64_t message_id,
                                        int64_t job_id) {
    Rookery__Events__V1__PlanJob plan = ROOKERY__EVENTS__V1__PLAN_JOB__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    m.id = message_id;
    plan.job_id = job_id;
    m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_PLAN_JOB;
    m.plan_job = &plan;
    return job_message_encode(a, &m, d->config->partitions);
}

int job_create(struct fiber *self, struct domain *d, int64_t owner_id, int64_t dataset_id,
               const Rookery__V1__JobSpec *spec, struct str key, struct job_record *out,
               struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct draft draft = {.owner_id = owner_id, .dataset_id = dataset_id};
    bool found, inserted;
    int64_t message_id;
    if (!spec) return fault_field(fault, ERR_INVALID_ARGUMENT, "spec", "spec must be given");
    if (key.len > 0) draft.key = key;
    draft.spec = pb_encode_arena(&spec->base, a);
    int e = find_by_key(self, d, &draft, &found, out, fault);
    if (e != 0 || found) return e;
    e = check(self, d, &draft, spec, fault);
    if (e == 0) e = domain_next_id(d, &draft.id, fault);
    if (e == 0) e = domain_next_id(d, &message_id, fault);
    if (e != 0) return e;
    draft.plan = plan_message(a, d, message_id, draft.id);
    e = insert(self, d, &draft, &inserted, fault);
    if (e != 0) return e;
    if (inserted) {
        outbox_publish(self, d, &draft.plan, 1);
        return job_get(self, d, owner_id, draft.id, out, fault);
    }
    e = find_by_key(self, d, &draft, &found, out, fault);
    return e == 0 && !found ? fault_set(fault, ERR_ABORTED, "try again") : e;
}

/* ---- cancelling, and telling --------------------------------------------------------------------------- */

int job_cancel(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct pg_args cancel, drop;
    pg_args_init(&cancel, fiber_arena(self));
    pg_args_add(&cancel, pg_i64(id), pg_i64(owner_id));
    pg_args_init(&drop, fiber_arena(self));
    pg_args_add(&drop, pg_i64(id));
    const struct pg_call calls[] = {{&JOB_CANCEL, &cancel}, {&JOB_DROP_WORK, &drop}};
    int e = pg_exec_all(self, d->pg, calls, 2, NULL, fault);
    if (e == 0) job_tell_watchers(self, d, id);
    return e;
}

void job_tell_watchers(struct fiber *self, struct domain *d, int64_t id) {
    Rookery__Events__V1__JobChanged changed = ROOKERY__EVENTS__V1__JOB_CHANGED__INIT;
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    changed.job_id = id;
    e.id = e.actor_id = id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_JOB_CHANGED;
    e.job_changed = &changed;
    struct event_record record = event_encode(fiber_arena(self), &e, d->config->partitions);
    struct redis_batch *b = redis_batch_new();
    outbox_add_command(b, &record, false);
    if (redis_ready(d->redis))
        domain_send(self, d, b);
    else
        redis_batch_free(b);
}
