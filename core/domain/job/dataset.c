/* Datasets.
 *
 * An upload:
 *   1. dataset_create makes the row (filling), within the account's quotas; the same key again finds it.
 *   2. dataset_append adds chunks. Each moves received_bytes on from the offset that the caller gives, in the same
 *      statement, so two callers cannot both write at one place.
 *   3. The gateway has compared the checksum; dataset_complete makes the dataset visible and publishes the step that
 *      describes it.
 * A query: 1 publishes the step that executes it; the worker appends and completes.
 * Failures:
 *   - the connection is cut in 2: the stored chunks stay, and an upload with the same key continues behind them. An
 *     upload that is not completed within a day is dropped when its owner creates the next dataset.
 *   - the outcome of 3 is unknown: the client's retry finds the upload complete, or all its bytes stored.
 *   - Redis is unreachable in 3: the relay publishes the step.
 */
#include "core/domain/job/dataset.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/domain/graph/graph.h"
#include "core/domain/job/dataset.sql.h"
#include "core/event/outbox.h"

#define COLUMN_TOKENS_MAX 1000
#define MS_PER_DAY INT64_C(86400000)

/* ---- rows ---------------------------------------------------------------------------------------------- */

static void read_brief(struct pg_row *row, struct dataset_record *out) {
    *out = (struct dataset_record){0};
    out->id = pg_take_i64(row);
    out->owner_id = pg_take_i64(row);
    out->name = pg_take_str(row);
    out->source = (Rookery__V1__DatasetSource)pg_take_i64(row);
    out->state = (Rookery__V1__DatasetState)pg_take_i64(row);
    out->size_bytes = pg_take_i64(row);
    out->received_bytes = pg_take_i64(row);
    out->row_count = pg_take_i64(row);
    out->error = pg_take_str(row);
}

/* The first row, to its end; false when there is none. */
static bool read_whole(const struct pg_result *r, struct dataset_record *out) {
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return false;
    read_brief(&row, out);
    out->sha256 = pg_take_str(&row);
    out->dialect = pg_take_str(&row);
    out->query = pg_take_str(&row);
    out->columns = pg_take_str(&row);
    out->hash_state = pg_take_str(&row);
    pg_end(&row);
    return true;
}

static enum error not_found(struct fault *fault) {
    return fault_field(fault, ERR_NOT_FOUND, "dataset_id", "there is no dataset with this dataset_id");
}

/* ---- checking ------------------------------------------------------------------------------------------ */

static int check_delimiter(const char *delimiter, struct fault *fault) {
    unsigned char c = (unsigned char)delimiter[0];
    if (c == '\0') return 0;
    bool fits = delimiter[1] == '\0' && c < 0x80 && c != '"' && c != '\r' && c != '\n';
    if (fits) return 0;
    return fault_field(fault, ERR_INVALID_ARGUMENT, "dialect.delimiter",
                       "dialect.delimiter must be one ASCII character that is not a quote or a line end");
}

static int check_dialect(const Rookery__V1__CsvDialect *dialect, struct fault *fault) {
    if (dialect->no_missing_tokens && dialect->missing_tokens[0])
        return fault_field(fault, ERR_INVALID_ARGUMENT, "dialect.missing_tokens",
                           "dialect.missing_tokens must be empty when no_missing_tokens is set");
    if (dialect->n_column_tokens > COLUMN_TOKENS_MAX)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "dialect.column_tokens",
                           "dialect.column_tokens must be at most %d", COLUMN_TOKENS_MAX);
    return check_delimiter(dialect->delimiter, fault);
}

static int check_upload(const struct domain *d, const struct dataset_draft *draft, struct fault *fault) {
    int64_t max = d->config->dataset_bytes;
    if (draft->size_bytes <= 0)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "header.size_bytes",
                           "header.size_bytes must be the content's size, at least 1");
    if (draft->size_bytes > max)
        return fault_field(fault, ERR_RESOURCE_EXHAUSTED, "header.size_bytes",
                           "a dataset may have at most %lld bytes here, not %lld", (long long)max,
                           (long long)draft->size_bytes);
    return 0;
}

static int check_draft(const struct domain *d, const struct dataset_draft *draft, struct fault *fault) {
    if (draft->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD) return 0;
    int e = draft->dialect ? check_dialect(draft->dialect, fault) : 0;
    return e == 0 ? check_upload(d, draft, fault) : e;
}

/* ---- creating ------------------------------------------------------------------------------------------ */

static int find_by_key(struct fiber *self, struct domain *d, int64_t owner_id, struct str key, bool *found,
                       struct dataset_record *out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_FIND_BY_KEY, &r, fault, pg_i64(owner_id), pg_text(key));
    if (e != 0) return e;
    *found = read_whole(r, out);
    return 0;
}

/* full: there are as many datasets as may be; used: bytes of all of them. */
static int quota_fault(const struct domain *d, const struct dataset_draft *draft, bool full, int64_t used,
                       struct fault *fault) {
    if (full)
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED,
                         "an account may have at most %lld datasets: delete one first",
                         (long long)d->config->datasets_per_account);
    if (used + draft->size_bytes > d->config->account_dataset_bytes)
        return fault_set(
            fault, ERR_RESOURCE_EXHAUSTED,
            "an account's datasets may have at most %lld bytes together and have %lld: delete some "
            "first",
            (long long)d->config->account_dataset_bytes, (long long)used);
    return 0;
}

static struct event_record first_step(struct arena *a, const struct domain *d, int64_t message_id,
                                      const struct dataset_draft *draft, int64_t dataset_id) {
    Rookery__Events__V1__RunQuery run = ROOKERY__EVENTS__V1__RUN_QUERY__INIT;
    Rookery__Events__V1__DescribeDataset describe = ROOKERY__EVENTS__V1__DESCRIBE_DATASET__INIT;
    JobMessage m = ROOKERY__EVENTS__V1__JOB_MESSAGE__INIT;
    m.id = message_id;
    if (draft && draft->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD) {
        run.dataset_id = dataset_id;
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_RUN_QUERY;
        m.run_query = &run;
    } else {
        describe.dataset_id = dataset_id;
        m.what_case = ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT_DESCRIBE_DATASET;
        m.describe_dataset = &describe;
    }
    return job_message_encode(a, &m, d->config->partitions);
}

/* *inserted: if false, a dataset with this key exists by now. */
static int insert(struct fiber *self, struct domain *d, const struct dataset_draft *draft, int64_t id,
                  const struct event_record *step, bool *inserted, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__CsvDialect plain = ROOKERY__V1__CSV_DIALECT__INIT;
    const Rookery__V1__CsvDialect *dialect = draft->dialect ? draft->dialect : &plain;
    struct pg_args lock, stale, args;
    pg_args_init(&lock, a);
    pg_args_add(&lock, pg_i64(draft->owner_id));
    pg_args_init(&stale, a);
    pg_args_add(&stale, pg_i64(draft->owner_id), pg_i64(snowflake_floor(domain_now_ms(d) - MS_PER_DAY)));
    pg_args_init(&args, a);
    pg_args_add(&args, pg_i64(id), pg_i64(draft->owner_id), pg_text(draft->name),
                pg_text(draft->idempotency_key), pg_i32((int32_t)draft->source), pg_i64(draft->size_bytes),
                pg_bytes(draft->sha256), pg_bytes(pb_encode_arena(&dialect->base, a)), pg_text(draft->query),
                pg_i64(d->config->datasets_per_account), pg_i64(d->config->account_dataset_bytes),
                OUTBOX_ROW(step));
    const struct pg_call calls[] = {
        {&DATASET_LOCK_OWNER, &lock}, {&DATASET_DROP_STALE, &stale}, {&DATASET_INSERT, &args}};
    struct pg_result *r[3];
    int e = pg_exec_all(self, d->pg, calls, 3, r, fault);
    if (e != 0) return e;
    struct pg_row row = pg_read(r[2]);
    pg_next(&row);
    *inserted = pg_take_bool(&row);
    bool full = pg_take_bool(&row);
    int64_t used = pg_take_i64(&row);
    pg_end(&row);
    return *inserted ? 0 : quota_fault(d, draft, full, used, fault);
}

static bool same_content(const struct dataset_draft *draft, const struct dataset_record *row) {
    return row->source == draft->source && str_eq(row->name, draft->name) &&
           str_eq(row->sha256, draft->sha256) && str_eq(row->query, draft->query) &&
           (row->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD ||
            row->size_bytes == draft->size_bytes);
}

/* The dataset with the key, or a new one. */
static int find_or_insert(struct fiber *self, struct domain *d, const struct dataset_draft *draft,
                          struct dataset_record *out, struct fault *fault) {
    struct event_record step;
    int64_t id, message_id;
    bool found, inserted = false;
    int e = find_by_key(self, d, draft->owner_id, draft->idempotency_key, &found, out, fault);
    if (e != 0 || found) return e;
    e = domain_next_id(d, &id, fault);
    if (e == 0) e = domain_next_id(d, &message_id, fault);
    if (e != 0) return e;
    step = first_step(fiber_arena(self), d, message_id, draft, id);
    e = insert(self, d, draft, id, &step, &inserted, fault);
    if (e != 0) return e;
    if (inserted && draft->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD)
        outbox_publish(self, d, &step, 1);
    e = find_by_key(self, d, draft->owner_id, draft->idempotency_key, &found, out, fault);
    return e == 0 && !found ? fault_set(fault, ERR_ABORTED, "the dataset was deleted at the same time") : e;
}

int dataset_create(struct fiber *self, struct domain *d, const struct dataset_draft *draft,
                   struct dataset_record *out, struct fault *fault) {
    int e = check_draft(d, draft, fault);
    if (e == 0) e = find_or_insert(self, d, draft, out, fault);
    if (e == 0 && !same_content(draft, out))
        e = fault_field(fault, ERR_FAILED_PRECONDITION, "idempotency_key",
                        "this idempotency_key was used for another dataset");
    return e;
}

int dataset_upload_find(struct fiber *self, struct domain *d, int64_t owner_id, struct str key,
                        struct dataset_record *out, struct fault *fault) {
    bool found;
    int e = find_by_key(self, d, owner_id, key, &found, out, fault);
    if (e == 0 && !(found && out->source == ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD))
        e = fault_field(fault, ERR_NOT_FOUND, "idempotency_key",
                        "there is no upload with this idempotency_key");
    return e;
}

/* ---- filling ------------------------------------------------------------------------------------------- */

int dataset_append(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, int64_t offset,
                   struct str bytes, struct str hash_state, struct fault *fault) {
    assert(bytes.len <= DATASET_CHUNK_BYTES);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_APPEND, &r, fault, pg_i64(id), pg_i64(offset),
                   pg_i32((int32_t)(offset / (int64_t)DATASET_CHUNK_BYTES)), pg_bytes(bytes),
                   pg_bytes(hash_state), pg_i64(attempt));
    if (e == 0 && pg_affected(r) == 0)
        e = fault_set(fault, ERR_ABORTED, "another call has continued this upload, or has dropped it");
    return e;
}

int dataset_complete(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, struct fault *fault) {
    int64_t message_id;
    int e = domain_next_id(d, &message_id, fault);
    if (e != 0) return e;
    struct event_record step = first_step(fiber_arena(self), d, message_id, NULL, id);
    struct pg_result *r;
    e = pg_ask(self, d->pg, &DATASET_COMPLETE, &r, fault, pg_i64(id), OUTBOX_ROW(&step), pg_i64(attempt));
    if (e == 0 && pg_affected(r) == 1) outbox_publish(self, d, &step, 1);
    return e;
}

int dataset_drop_upload(struct fiber *self, struct domain *d, int64_t id, struct fault *fault) {
    return pg_ask(self, d->pg, &DATASET_DROP_UPLOAD, NULL, fault, pg_i64(id),
                  pg_i64(ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD));
}

/* ---- reading ------------------------------------------------------------------------------------------- */

int dataset_get(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t id,
                struct dataset_record *out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_GET, &r, fault, pg_i64(id), pg_i64(viewer_id));
    if (e != 0) return e;
    return read_whole(r, out) ? 0 : (int)not_found(fault);
}

int dataset_list(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t before, int limit,
                 struct dataset_record **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_LIST, &r, fault, pg_i64(viewer_id), pg_i64(before), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct dataset_record, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) read_brief(&row, &(*out)[*n]);
    assert(*n <= (size_t)limit);
    return 0;
}

int dataset_chunk(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
                  struct fault *fault) {
    assert(seq >= 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_CHUNK, &r, fault, pg_i64(id), pg_i64(seq));
    if (e != 0) return e;
    *out = pg_only_str(r);
    return 0;
}

/* ---- sharing and deleting ------------------------------------------------------------------------------ */

int dataset_shares(struct fiber *self, struct domain *d, int64_t id, int64_t **out, size_t *n,
                   struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_SHARES, &r, fault, pg_i64(id), pg_i64(0));
    if (e != 0) return e;
    *n = pg_only_i64_array(r, fiber_arena(self), out);
    assert(ids_are_sorted_unique(*out, *n)); /* the statement sorts */
    return 0;
}

/* Another account's dataset counts as unknown. */
static int own(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct dataset_record row;
    int e = dataset_get(self, d, owner_id, id, &row, fault);
    return e == 0 && row.owner_id != owner_id ? (int)not_found(fault) : e;
}

int dataset_share(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                  struct fault *fault) {
    struct account other;
    struct graph_standing standing = {0};
    int e = own(self, d, owner_id, id, fault);
    if (e == 0) e = account_get(self, d, account_id, &other, fault);
    if (e == ERR_NOT_FOUND && fault && !fault->field[0])
        return fault_field(fault, ERR_NOT_FOUND, "account_id", "there is no account with this account_id");
    if (e == 0) e = graph_standing(self, d, owner_id, account_id, &standing, fault);
    if (e != 0) return e;
    if (standing.blocks_viewer || standing.blocked_by_viewer)
        return fault_field(fault, ERR_PERMISSION_DENIED, "account_id",
                           "one of the two accounts has blocked the other");
    if (account_id == owner_id)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "account_id", "account_id must be another account's");
    struct pg_result *r;
    e = pg_ask(self, d->pg, &DATASET_SHARE, &r, fault, pg_i64(id), pg_i64(account_id),
               pg_i64(DATASET_SHARES_MAX));
    if (e == 0 && !pg_only_bool(r))
        e = fault_set(fault, ERR_RESOURCE_EXHAUSTED, "a dataset may be shared with at most %d accounts",
                      DATASET_SHARES_MAX);
    return e;
}

int dataset_unshare(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                    struct fault *fault) {
    int e = own(self, d, owner_id, id, fault);
    return e != 0 ? e : pg_ask(self, d->pg, &DATASET_UNSHARE, NULL, fault, pg_i64(id), pg_i64(account_id));
}

int dataset_delete(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &DATASET_DELETE, &r, fault, pg_i64(id), pg_i64(owner_id));
    return e == 0 && pg_affected(r) == 0 ? (int)not_found(fault) : e;
}
