/* Datasets.
 *
 * An upload:
 *   1. dataset_create makes the row (filling), within the account's quotas; the same key again finds it.
 *   2. dataset_append adds chunks; each moves received_bytes from where the caller believes it to be, in the same
 *      statement, so two callers cannot both write at one place.
 *   3. The gateway has compared the checksum; dataset_complete makes the dataset visible and puts its description
 *      on the job streams.
 * A query: 1 puts its execution on the job streams; the worker appends and completes.
 * Failures:
 *   - the connection is cut in 2: what is stored stays; the same key goes on behind it. After a day without being
 *     completed, an upload is dropped when its owner creates the next dataset.
 *   - the outcome of 3 is unknown: the client's retry finds the upload complete, or all bytes there.
 *   - Redis is away in 3: the relay puts the description on the stream.
 */
#include "core/domain/job/dataset.h"

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/domain/graph/graph.h"
#include "core/event/outbox.h"

#define COLUMN_TOKENS_MAX 1000
#define MS_PER_DAY INT64_C(86400000)

/* ---- rows ---------------------------------------------------------------------------------------------- */

#define BRIEF_COLUMNS "id, owner_id, name, source, state, size_bytes, received_bytes, row_count, error"
#define WHOLE_COLUMNS BRIEF_COLUMNS ", sha256, dialect, query, columns, hash_state"

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
                       "dialect.delimiter must be one ASCII character that is no quote and no line end");
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
    if (draft->size_bytes <= 0)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "header.size_bytes",
                           "header.size_bytes must be the content's size, at least 1");
    if (draft->size_bytes > most)
        return fault_field(fault, ERR_RESOURCE_EXHAUSTED, "header.size_bytes",
                           "a dataset may have at most %lld bytes here, not %lld", (long long)most,
                           (long long)draft->size_bytes);
    return 0;
}

static int check_draft(const struct domain *d, const struct dataset_draft *draft, struct fault *fault) {
    if (draft->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD) return 0;
    int e = draft->dialect ? check_dialect(draft->dialect, fault) : 0;
    return e == 0 ? check_upload(d, draft, fault) : e;
}

/* ---- creating ------------------------------------------------------------------------------------------ */

static const struct pg_stmt FIND_BY_KEY = {
    .name = "dataset_find_by_key",
    .sql = "SELECT " WHOLE_COLUMNS " FROM datasets WHERE owner_id = $1 AND idempotency_key = $2",
    .read_only = true,
};

static int find_by_key(struct fiber *self, struct domain *d, int64_t owner_id, struct str key, bool *found,
                       struct dataset_record *out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, owner_id);
    pg_text(&args, key);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &FIND_BY_KEY, &args, &r, fault);
    if (e != 0) return e;
    *found = pg_rows(r) == 1;
    if (*found) read_whole(r, 0, out);
    return 0;
}

/* The account's row is locked first, and only then are its datasets counted: two creations at once cannot pass
 * the limit together. */
static const struct pg_stmt LOCK_OWNER = {
    .name = "dataset_lock_owner",
    .sql = "SELECT id FROM accounts WHERE id = $1 FOR NO KEY UPDATE",
};

static const struct pg_stmt DROP_STALE = {
    .name = "dataset_drop_stale",
    .sql = "DELETE FROM datasets WHERE owner_id = $1 AND source = 1 AND state = 1 AND id < $2",
};

static const struct pg_stmt INSERT = {
    .name = "dataset_insert",
    .sql =
        "WITH owned AS (SELECT count(*) AS n, coalesce(sum(greatest(size_bytes, received_bytes)), 0) AS bytes"
        "   FROM datasets WHERE owner_id = $2),"
        " ins AS (INSERT INTO datasets"
        "   (id, owner_id, name, idempotency_key, source, state, size_bytes, sha256, dialect, query)"
        "   SELECT $1, $2, $3, $4, $5, 1, $6, $7, $8, $9 FROM owned WHERE n < $10 AND bytes + $6 <= $11"
        "   ON CONFLICT (owner_id, idempotency_key) DO NOTHING RETURNING id),"
        " out AS (INSERT INTO outbox (id, partition, payload, stream)"
        "   SELECT $12, $13, $14, 1 FROM ins WHERE $5 <> 1)"
        " SELECT EXISTS (SELECT FROM ins), n >= $10, bytes::bigint FROM owned",
};

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

/* *inserted: else there is one with this key now. */
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
    const struct pg_call calls[] = {{&LOCK_OWNER, &lock}, {&DROP_STALE, &stale}, {&INSERT, &args}};
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

/* With the key, or new. */
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
    if (e == 0 && draft->source != ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD)
        e = account_require_analyst(self, d, draft->owner_id, fault);
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

static const struct pg_stmt APPEND = {
    .name = "dataset_append",
    .sql = "WITH moved AS (UPDATE datasets SET received_bytes = received_bytes + length($4), "
           "hash_state = $5"
           "   WHERE id = $1 AND state = 1 AND attempts = $6 AND received_bytes = $2 RETURNING id)"
           " INSERT INTO dataset_chunks (dataset_id, seq, bytes) SELECT id, $3, $4 FROM moved",
};

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
    int e = pg_exec(self, d->pg, &APPEND, &args, &r, fault);
    if (e == 0 && pg_affected(r) == 0)
        e = fault_set(fault, ERR_ABORTED, "another call goes on with this upload, or has dropped it");
    return e;
}

static const struct pg_stmt COMPLETE = {
    .name = "dataset_complete",
    .sql = "WITH done AS (UPDATE datasets SET state = 2, size_bytes = received_bytes, attempts = 0, "
           "touched_at = now()"
           "   WHERE id = $1 AND state = 1 AND attempts = $5 RETURNING id)"
           " INSERT INTO outbox (id, partition, payload, stream) SELECT $2, $3, $4, 1 FROM done",
};

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
    e = pg_exec(self, d->pg, &COMPLETE, &args, &r, fault);
    if (e == 0 && pg_affected(r) == 1) outbox_publish(self, d, &step, 1);
    return e;
}

static const struct pg_stmt DROP_UPLOAD = {
    .name = "dataset_drop_upload",
    .sql = "DELETE FROM datasets WHERE id = $1 AND source = $2 AND state = 1",
};

int dataset_drop_upload(struct fiber *self, struct domain *d, int64_t id, struct fault *fault) {
    struct pg_result *r;
    return domain_exec_ids(self, d, &DROP_UPLOAD, id, ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD, &r,
                           fault);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

#define VISIBLE "NOT (source = 1 AND state = 1)"

static const struct pg_stmt GET = {
    .name = "dataset_get",
    .sql = "SELECT " WHOLE_COLUMNS " FROM datasets d WHERE id = $1 AND " VISIBLE
           " AND (owner_id = $2 OR EXISTS (SELECT FROM dataset_shares s WHERE s.dataset_id = d.id AND "
           "s.account_id = $2))",
    .read_only = true,
};

int dataset_get(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t id,
                struct dataset_record *out, struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &GET, id, viewer_id, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0) return not_found(fault);
    read_whole(r, 0, out);
    return 0;
}

static const struct pg_stmt LIST = {
    .name = "dataset_list",
    .sql = "SELECT " BRIEF_COLUMNS " FROM datasets WHERE id IN ("
           "  (SELECT id FROM datasets WHERE owner_id = $1 AND id < $2 AND " VISIBLE
           " ORDER BY id DESC LIMIT $3)"
           "  UNION (SELECT dataset_id FROM dataset_shares WHERE account_id = $1 AND dataset_id < $2"
           "         ORDER BY dataset_id DESC LIMIT $3))"
           " ORDER BY id DESC LIMIT $3",
    .read_only = true,
};

int dataset_list(struct fiber *self, struct domain *d, int64_t viewer_id, int64_t before, int limit,
                 struct dataset_record **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, viewer_id);
    pg_i64(&args, before);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &LIST, &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct dataset_record, *n);
    for (int i = 0; i < pg_rows(r); i++) read_brief(r, i, &(*out)[i]);
    return 0;
}

static const struct pg_stmt CHUNK = {
    .name = "dataset_chunk",
    .sql = "SELECT bytes FROM dataset_chunks WHERE dataset_id = $1 AND seq = $2",
    .read_only = true,
};

int dataset_chunk(struct fiber *self, struct domain *d, int64_t id, int64_t seq, struct str *out,
                  struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &CHUNK, id, seq, &r, fault);
    if (e != 0) return e;
    *out = pg_rows(r) == 0 ? STR("") : pg_get_str(r, 0, 0);
    return 0;
}

/* ---- sharing and deleting ------------------------------------------------------------------------------ */

static const struct pg_stmt SHARES = {
    .name = "dataset_shares",
    .sql = "SELECT ARRAY(SELECT account_id FROM dataset_shares WHERE dataset_id = $1 AND $2 = 0 ORDER BY 1)",
    .read_only = true,
};

int dataset_shares(struct fiber *self, struct domain *d, int64_t id, int64_t **out, size_t *n,
                   struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &SHARES, id, 0, &r, fault);
    if (e == 0) *n = pg_get_i64_array(r, 0, 0, fiber_arena(self), out);
    return e;
}

/* Somebody else's is as good as none. */
static int own(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct dataset_record row;
    int e = dataset_get(self, d, owner_id, id, &row, fault);
    return e == 0 && row.owner_id != owner_id ? (int)not_found(fault) : e;
}

static const struct pg_stmt SHARE = {
    .name = "dataset_share",
    .sql = "WITH there AS (SELECT count(*) AS n, coalesce(bool_or(account_id = $2), false) AS already"
           "   FROM dataset_shares WHERE dataset_id = $1),"
           " ins AS (INSERT INTO dataset_shares (dataset_id, account_id) SELECT $1, $2 FROM there"
           "   WHERE n < $3 ON CONFLICT DO NOTHING)"
           " SELECT already OR n < $3 FROM there",
};

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
    e = pg_exec(self, d->pg, &SHARE, &args, &r, fault);
    if (e == 0 && !pg_get_bool(r, 0, 0))
        e = fault_set(fault, ERR_RESOURCE_EXHAUSTED, "a dataset may be shared with at most %d accounts",
                      DATASET_SHARES_MAX);
    return e;
}

static const struct pg_stmt UNSHARE = {
    .name = "dataset_unshare",
    .sql = "DELETE FROM dataset_shares WHERE dataset_id = $1 AND account_id = $2",
};

int dataset_unshare(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, int64_t account_id,
                    struct fault *fault) {
    struct pg_result *r;
    int e = own(self, d, owner_id, id, fault);
    return e != 0 ? e : domain_exec_ids(self, d, &UNSHARE, id, account_id, &r, fault);
}

static const struct pg_stmt DELETE = {
    .name = "dataset_delete",
    .sql = "DELETE FROM datasets WHERE id = $1 AND owner_id = $2",
};

int dataset_delete(struct fiber *self, struct domain *d, int64_t owner_id, int64_t id, struct fault *fault) {
    struct pg_result *r;
    int e = domain_exec_ids(self, d, &DELETE, id, owner_id, &r, fault);
    return e == 0 && pg_affected(r) == 0 ? (int)not_found(fault) : e;
}
