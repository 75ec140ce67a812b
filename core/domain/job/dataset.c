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

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/domain/graph/graph.h"
#include "core/domain/job/dataset.sql.h"
#include "core/event/outbox.h"
#include "core/text/text.h"

#define NAME_MAX_CHARACTERS 100
#define KEY_MAX_BYTES 64
#define SHA256_BYTES 32
#define COLUMN_TOKENS_MAX 1000
#define MS_PER_DAY INT64_C(86400000)

/* ---- rows ---------------------------------------------------------------------------------------------- */

static void read_brief(const struct pg_result *r, int row, struct dataset_record *out) {
    *out = (struct dataset_record){
        .id = pg_get_i64(r, row, 0),
        .owner_id = pg_get_i64(r, row, 1),
        .name = pg_get_str(r, row, 2),
        .source = (Rookery__V1__DatasetSource)pg_get_i64(r, row, 3),
        .state = (Rookery__V1__DatasetState)pg_get_i64(r, row, 4),
        .size_bytes = pg_get_i64(r, row, 5),
        .received_bytes = pg_get_i64(r, row, 6),
        .row_count = pg_get_i64(r, row, 7),
        .error = pg_get_str(r, row, 8),
    };
}

static void read_whole(const struct pg_result *r, int row, struct dataset_record *out) {
    read_brief(r, row, out);
    out->sha256 = pg_get_str(r, row, 9);
    out->dialect = pg_get_str(r, row, 10);
    out->query = pg_get_str(r, row, 11);
    out->columns = pg_get_str(r, row, 12);
    out->hash_state = pg_get_str(r, row, 13);
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
    int64_t most = d->config->dataset_bytes;
    if (draft->sha256.len != SHA256_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "header.sha256",
                           "header.sha256 must be the %d bytes of the content's SHA-256, not %zu",
                           SHA256_BYTES, draft->sha256.len);
    if (draft->size_bytes <= 0)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "header.size_bytes",
                           "header.size_bytes must be the content's size, at least 1");
    if (draft->size_bytes > most)
        return fault_field(fault, ERR_RESOURCE_EXHAUSTED, "header.size_bytes",
                           "a dataset may have at most %lld bytes here, not %lld", (long long)most,
                           (long long)draft->size_bytes);
    return 0;
}

static int check_query(struct str query, struct fault *fault) {
    if (text_is_blank(query) || query.len > DATASET_QUERY_MAX)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "query",
                           "query must be one SELECT of at most %zu bytes", DATASET_QUERY_MAX);
    return 0;
}

static int check_draft(struct fiber *self, const struct domain *d, struct dataset_draft *draft,
                       struct fault *fault) {
    const char *wrong =
        text_check_line(fiber_arena(self), "name", draft->name, 1, NAME_MAX_CHARACTERS, false, &draft->name);
    if (wrong) return fault_field(fault, ERR_INVALID_ARGUMENT, "name", "%s", wrong);
    if (draft->idempotency_key.len == 0 || draft->idempotency_key.len > KEY_MAX_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "idempotency_key",
                           "idempotency_key must be 1 to %d bytes", KEY_MAX_BYTES);
    int e = draft->dialect ? check_dialect(draft->dialect, fault) : 0;
    if (e != 0) return e;
    return draft->source == ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD
               ? check_upload(d, draft, fault)
               : check_query(draft->query, fault);
}

/* ---- creating ------------------------------------------------------------------------------------------ */

static int find_by_key(struct fiber *self, struct domain *d, int64_t owner_id, struct str key, bool *found,
                       struct dataset_record *out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, owner_id);
    pg_text(&args, key);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &DATASET_FIND_BY_KEY, &args, &r, fault);
    if (e != 0) return e;
    *found = pg_rows(r) == 1;
    if (*found) read_whole(r, 0, out);
    return 0;
}

static int quota_fault(const struct domain *d, const struct dataset_draft *draft, const struct pg_result *r,
                       struct fault *fault) {
    if (pg_get_bool(r, 0, 1))
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED,
                         "an account may have at most %lld datasets: delete one first",
                         (long long)d->config->datasets_per_account);
    int64_t used = pg_get_i64(r, 0, 2);
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
    pg_i64(&lock, draft->owner_id);
    pg_args_init(&stale, a);
    pg_i64(&stale, draft->owner_id);
    pg_i64(&stale, snowflake_floor(domain_now_ms(d) - MS_PER_DAY));
    pg_args_init(&args, a);
    pg_i64(&args, id);
    pg_i64(&args, draft->owner_id);
    pg_text(&args, draft->name);
    pg_text(&args, draft->idempotency_key);
    pg_i32(&args, (int32_t)draft->source);
    pg_i64(&args, draft->size_bytes);
    pg_bytes(&args, draft->sha256);
    pg_bytes(&args, pb_encode_arena(&dialect->base, a));
    pg_text(&args, draft->query);
    pg_i64(&args, d->config->datasets_per_account);
    pg_i64(&args, d->config->account_dataset_bytes);
    outbox_args(&args, step);
    const struct pg_call calls[] = {
        {&DATASET_LOCK_OWNER, &lock}, {&DATASET_DROP_STALE, &stale}, {&DATASET_INSERT, &args}};
    struct pg_result *r[3];
    int e = pg_exec_all(self, d->pg, calls, 3, r, fault);
    if (e != 0) return e;
    *inserted = pg_get_bool(r[2], 0, 0);
    return *inserted ? 0 : quota_fault(d, draft, r[2], fault);
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

int dataset_create(struct fiber *self, struct domain *d, const struct dataset_draft *raw,
                   struct dataset_record *out, struct fault *fault) {
    struct dataset_draft draft = *raw;
    int e = check_draft(self, d, &draft, fault);
    if (e == 0 && draft.source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD)
        e = account_require_analyst(self, d, draft.owner_id, fault);
    if (e == 0) e = find_or_insert(self, d, &draft, out, fault);
    if (e == 0 && !same_content(&draft, out))
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
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    pg_i64(&args, offset);
    pg_i32(&args, (int32_t)(offset / (int64_t)DATASET_CHUNK_BYTES));
    pg_bytes(&args, bytes);
    pg_bytes(&args, hash_state);
    pg_i64(&args, attempt);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &DATASET_APPEND, &args, &r, fault);
    if (e == 0 && pg_affected(r) == 0)
        e = fault_set(fault, ERR_ABORTED, "another call has continued this upload, or has dropped it");
    return e;
}

int dataset_complete(struct fiber *self, struct domain *d, int64_t id, int64_t attempt, struct fault *fault) {
    int64_t message_id;
    int e = domain_next_id(d, &message_id, fault);
    if (e != 0) return e;
    struct event_record step = first_step(fiber_arena(self), d, message_id, NULL, id);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    outbox_args(&args, &step);
    pg_i64(&args, attempt);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &DATASET_COMPLETE, &args, &r, fault);
    if (e == 0 && pg_affected(r) == 1) outbox_publish(self, d, &step, 1);
    return e;
}

int dataset_drop_upload(struct fiber *self, struct domain *d, int64_t id, struct fault *fault) {
    struct pg_result *r;
    return domain_exec_ids(self, d, &DATASET_DROP_UPLOAD, id,
                           ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD, &r, fault);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

int dataset_get(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t id,
                struct dataset_record *out, struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &DATASET_GET, id, viewer_id, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0) return not_found(fault);
    read_whole(r, 0, out);
    return 0;
}

int dataset_list(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t before, int limit,
                 struct dataset_record **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, viewer_id);
    pg_i64(&args, before);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &DATASET_LIST, &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct dataset_record, *n);
    for (int i = 0; i < pg_rows(r); i++) read_brief(r, i, &(*out)[i]);
    return 0;
}

int dataset_chunk(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
                  struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &DATASET_CHUNK, id, seq, &r, fault);
    if (e != 0) return e;
    *out = pg_rows(r) == 0 ? STR("") : pg_get_str(r, 0, 0);
    return 0;
}

/* ---- sharing and deleting ------------------------------------------------------------------------------ */

int dataset_shares(struct fiber *self, struct domain *d, int64_t id, int64_t **out, size_t *n,
                   struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &DATASET_SHARES, id, 0, &r, fault);
    if (e == 0) *n = pg_get_i64_array(r, 0, 0, fiber_arena(self), out);
    return e;
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
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    pg_i64(&args, account_id);
    pg_i64(&args, DATASET_SHARES_MAX);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &DATASET_SHARE, &args, &r, fault);
    if (e == 0 && !pg_get_bool(r, 0, 0))
        e = fault_set(fault, ERR_RESOURCE_EXHAUSTED, "a dataset may be shared with at most %d accounts",
                      DATASET_SHARES_MAX);
    return e;
}

int dataset_unshare(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                    struct fault *fault) {
    struct pg_result *r;
    int e = own(self, d, owner_id, id, fault);
    return e != 0 ? e : domain_exec_ids(self, d, &DATASET_UNSHARE, id, account_id, &r, fault);
}

int dataset_delete(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &DATASET_DELETE, id, owner_id, &r, fault);
    return e == 0 && pg_affected(r) == 0 ? (int)not_found(fault) : e;
}
