/* Loading in bulk; see bulk.h. Every call on the connection runs on the thread pool, and only there. */
#include "bulk.h"

#include <stdlib.h>
#include <string.h>

#define SEND_BYTES ((size_t)1 << 18)

struct job {
    struct bulk *bulk;
    const char *text; /* a URL, a statement */
    PGresult *result;
    bool ok;
};

static bool run(struct fiber *self, struct job *j, void (*fn)(void *arg)) {
    if (!j->bulk->failed && fiber_offload(self, fn, j) == 0 && j->ok) return true;
    j->bulk->failed = true;
    return false;
}

/* The server's message has lines of detail and hints; the first says it. */
static void complain_of(const struct bulk *b, const PGresult *result) {
    const char *text = result ? PQresultErrorMessage(result) : PQerrorMessage(b->connection);
    if (strstr(text, "accounts_handle_key"))
        complain("the handles of this import are taken: choose other numbers for them with --first");
    else
        complain("PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
}

static void run_sql(void *arg) {
    struct job *j = arg;
    j->result = PQexec(j->bulk->connection, j->text);
    ExecStatusType status = PQresultStatus(j->result);
    j->ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;
    if (!j->ok) complain_of(j->bulk, j->result);
}

static void run_connect(void *arg) {
    struct job *j = arg;
    j->bulk->connection = PQconnectdb(j->text);
    j->ok = PQstatus(j->bulk->connection) == CONNECTION_OK;
    if (!j->ok) complain_of(j->bulk, NULL);
}

static void run_send(void *arg) {
    struct job *j = arg;
    struct buf *rows = &j->bulk->rows;
    j->ok = PQputCopyData(j->bulk->connection, rows->ptr, (int)rows->len) == 1;
    if (!j->ok) complain_of(j->bulk, NULL);
    buf_clear(rows);
}

/* What was wrong with a row is told at the end of the COPY, or when the server hangs up before it. */
static void run_end(void *arg) {
    struct job *j = arg;
    j->ok = PQputCopyEnd(j->bulk->connection, NULL) == 1;
    while ((j->result = PQgetResult(j->bulk->connection)) != NULL) {
        if (j->ok && PQresultStatus(j->result) != PGRES_COMMAND_OK) {
            complain_of(j->bulk, j->result);
            j->ok = false;
        }
        PQclear(j->result);
    }
}

bool bulk_open(struct fiber *self, struct bulk *b, const char *url) {
    *b = (struct bulk){0};
    buf_init(&b->rows);
    struct job j = {.bulk = b, .text = url};
    return run(self, &j, run_connect) && bulk_exec(self, b, "BEGIN", NULL);
}

void bulk_close(struct bulk *b) {
    if (b->connection) PQfinish(b->connection);
    buf_free(&b->rows);
}

bool bulk_exec(struct fiber *self, struct bulk *b, const char *sql, int64_t *value) {
    struct job j = {.bulk = b, .text = sql};
    bool ok = run(self, &j, run_sql);
    if (ok && value) ok = PQntuples(j.result) > 0 && str_to_i64(str_from(PQgetvalue(j.result, 0, 0)), value);
    PQclear(j.result);
    return ok;
}

bool bulk_copy(struct fiber *self, struct bulk *b, const char *sql) {
    return bulk_exec(self, b, sql, NULL);
}

static bool send_rows(struct fiber *self, struct bulk *b) {
    struct job j = {.bulk = b};
    return b->rows.len == 0 || run(self, &j, run_send);
}

bool bulk_row(struct fiber *self, struct bulk *b) {
    return b->rows.len < SEND_BYTES || send_rows(self, b);
}

bool bulk_copy_end(struct fiber *self, struct bulk *b) {
    struct job j = {.bulk = b};
    return send_rows(self, b) && run(self, &j, run_end);
}
