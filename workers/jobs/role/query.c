/* Filling a dataset from its query.
 *
 *   1. The attempt is counted, and the chunks of an earlier one are deleted. The count is a fence: only the latest
 *      attempt can append and complete, so two of them never mix, even if the query returns other rows each time.
 *   2. Our own database role lets the analysts' role read those views of the schema `analytics` that it cannot read
 *      yet.
 *   3. On a thread, the query runs (core/store/pg/reader.h) and its rows become a CSV in a file, within the limits.
 *   4. The file is stored chunk by chunk. The dataset is then complete, and is described next.
 * Failures: when the query is wrong, forbidden, too slow or too big, the dataset has failed, with PostgreSQL's
 * sentence or ours. When the dataset was deleted, its row is gone, and the attempt stops.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/domain/job/dataset.h"
#include "core/store/pg/reader.h"
#include "workers/jobs/role/files.h"
#include "workers/jobs/role/query.sql.h"
#include "workers/jobs/role/role.h"
#include "workers/jobs/table/text_buffer.h"

#define WRITE_BYTES (64u << 10)

struct querying {
    struct pg_reader reader;
    const char *statement;
    _Atomic bool stop;
    int fd;
    int64_t bytes, most_bytes, rows, most_rows;
    struct text_buffer text;
    int error;
    char sentence[512];
};

/* ---- on a thread: rows to CSV -------------------------------------------------------------------------- */

static bool flush_text(struct querying *q) {
    const char *at = q->text.at;
    size_t left = q->text.length;
    while (left > 0) {
        ssize_t n = write(q->fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        at += n;
        left -= (size_t)n;
    }
    q->bytes += (int64_t)q->text.length;
    q->text.length = 0;
    return true;
}

/* A quoted text is a text, whatever it says. */
static void put_text(struct text_buffer *b, struct str s) {
    text_buffer_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"') text_buffer_char(b, '"');
        text_buffer_char(b, s.ptr[i]);
    }
    text_buffer_char(b, '"');
}

/* NaN and the infinities are not numbers for a model: they count as missing. */
static bool is_finite(struct str s) {
    char first = s.len > 0 ? s.ptr[s.ptr[0] == '-' && s.len > 1] : 'N';
    return first >= '0' && first <= '9';
}

static void put_cell(struct text_buffer *b, const struct pg_cell *c) {
    if (c->is_null) return;
    if (c->kind == PG_CELL_BOOLEAN)
        text_buffer_char(b, c->text.len > 0 && c->text.ptr[0] == 't' ? '1' : '0');
    else if (c->kind == PG_CELL_NUMBER && is_finite(c->text))
        text_buffer_add(b, c->text.ptr, c->text.len);
    else if (c->kind == PG_CELL_TEXT)
        put_text(b, c->text);
}

static bool end_with(struct querying *q, const char *what, int64_t limit) {
    snprintf(q->sentence, sizeof q->sentence, "the query gives more than the %lld %s that are allowed here",
             (long long)limit, what);
    q->error = ERR_INVALID_ARGUMENT;
    return false;
}

static bool put_row(void *context, const struct pg_cell *cells, size_t n) {
    struct querying *q = context;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) text_buffer_char(&q->text, ',');
        put_cell(&q->text, &cells[i]);
    }
    text_buffer_char(&q->text, '\n');
    if (q->rows++ > q->most_rows)
        return end_with(q, "rows", q->most_rows); /* the first one holds the names */
    if (q->bytes + (int64_t)q->text.length > q->most_bytes) return end_with(q, "bytes", q->most_bytes);
    if (!q->text.failed && (q->text.length < WRITE_BYTES || flush_text(q))) return true;
    snprintf(q->sentence, sizeof q->sentence, "a temporary file cannot be written: %s", strerror(errno));
    q->error = ERR_UNAVAILABLE;
    return false;
}

static bool query_on_thread(void *arg) {
    struct querying *q = arg;
    char sentence[sizeof q->sentence];
    int e = pg_reader_run(&q->reader, q->statement, sentence, sizeof sentence);
    if (e == 0 && q->error == 0 && !flush_text(q)) e = ERR_UNAVAILABLE;
    if (e != 0 && q->error == 0) {
        q->error = e;
        memcpy(q->sentence, sentence, sizeof sentence);
    }
    text_buffer_free(&q->text);
    return false;
}

/* ---- before and after ---------------------------------------------------------------------------------- */

static int begin_query(struct fiber *self, struct worker *w, int64_t id, struct pg_result **out,
                       struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_args_add(&args, pg_i64(id));
    const struct pg_call calls[] = {{&ROLE_BEGIN_QUERY, &args}, {&ROLE_DROP_CHUNKS, &args}};
    struct pg_result *r[2];
    int e = pg_exec_all(self, w->domain.pg, calls, 2, r, fault);
    *out = e == 0 ? r[0] : NULL;
    return e;
}

/* Sets *why, a sentence for the user, or returns a backend's error. */
static int let_read(struct fiber *self, struct worker *w, const char **why, struct fault *fault) {
    const char *url = w->domain.config->analyst_url;
    char role[128];
    *why = NULL;
    if (url[0] == '\0') {
        *why = "queries are not set up here: the operator must set ROOKERY_ANALYST_URL";
        return 0;
    }
    if (!pg_reader_role(url, role, sizeof role)) {
        *why = "ROOKERY_ANALYST_URL must name a role of its own";
        return 0;
    }
    int e = pg_ask(self, w->domain.pg, &ROLE_LET_READ, NULL, fault, pg_text(str_from(role)));
    if (e == ERR_SQL) {
        *why = "ROOKERY_ANALYST_URL names a role that does not exist";
        return 0;
    }
    return e;
}

static int run_query(struct fiber *self, struct worker *w, int64_t id, struct querying *q,
                     struct fault *fault) {
    const struct config *c = w->domain.config;
    q->reader = (struct pg_reader){
        .url = c->analyst_url,
        .schema = "analytics",
        .forbidden_table = "public.sessions",
        .timeout_ms = (int)c->query_timeout_ms,
        .stop = &q->stop,
        .row = put_row,
        .context = q,
    };
    q->most_rows = c->query_rows;
    int e = jobs_compute_long(self, w, (struct jobs_wanted){.dataset_id = id, .state = 1}, query_on_thread, q,
                              &q->stop);
    if (e != 0 || q->stop) return e;
    if (q->error == 0) return 0;
    if (q->error == ERR_UNAVAILABLE) return fault_set(fault, ERR_UNAVAILABLE, "%.200s", q->sentence);
    return role_dataset_fail(self, w, id, q->sentence, fault);
}

/* Stores the file's bytes as the dataset. */
static int store(struct fiber *self, struct worker *w, int64_t id, int64_t attempt, struct querying *q,
                 struct fault *fault) {
    struct role_bytes to = {.kind = ROLE_DATASET, .id = id, .attempt = attempt};
    int e = role_store(self, w, to, q->fd, 0, q->bytes, fault);
    if (e == ERR_ABORTED) return 0; /* a later attempt is filling it, or it was deleted */
    return e == 0 ? dataset_complete(self, &w->domain, id, attempt, fault) : e;
}

/* The number of bytes that an account may still store. */
static int64_t room_for(const struct config *c, int64_t others) {
    int64_t left = c->account_dataset_bytes - others;
    return left < c->dataset_bytes ? left : c->dataset_bytes;
}

int role_query(struct fiber *self, struct worker *w, int64_t dataset_id, struct fault *fault) {
    struct pg_result *r;
    const char *why;
    int e = begin_query(self, w, dataset_id, &r, fault);
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    struct str statement = pg_take_str(&row);
    int64_t attempt = pg_take_i64(&row), others = pg_take_i64(&row);
    pg_end(&row);
    if (attempt > ROLE_ATTEMPTS(w->domain.config))
        return role_dataset_fail(self, w, dataset_id, "the query: " ROLE_BEGUN_TOO_OFTEN, fault);
    struct querying q = {.statement = str_to_cstr(fiber_arena(self), statement),
                         .most_bytes = room_for(w->domain.config, others)};
    e = let_read(self, w, &why, fault);
    if (e != 0) return e;
    if (why) return role_dataset_fail(self, w, dataset_id, why, fault);
    q.fd = role_temporary(fault);
    if (q.fd < 0) return ERR_UNAVAILABLE;
    e = run_query(self, w, dataset_id, &q, fault);
    if (e == 0 && q.error == 0 && !q.stop) e = store(self, w, dataset_id, attempt, &q, fault);
    close(q.fd);
    return e;
}
