/* An analyst's statement: connect, check that the role is fit, send, read row by row. */
#include "core/store/pg/reader.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/pg/reader.sql.h"

#define CONNECT_TIMEOUT_S "10"
/* How soon *stop is noticed while the server is silent. */
#define LOOK_MS 200

/* Types of PostgreSQL's catalogue, which never change. */
enum { BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };

struct reading {
    const struct pg_reader *reader;
    PGconn *conn;
    char *error;
    size_t size;
    struct pg_cell *cells;
    size_t n;
};

static int fail(const struct reading *r, int e, const char *what, const char *why) {
    snprintf(r->error, r->size, "%s%.*s", what, (int)strcspn(why, "\n"), why);
    return e;
}

bool pg_reader_role(const char *url, char *out, size_t size) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool found = false;
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (strcmp(o->keyword, "user") != 0 || !o->val) continue;
        found = (size_t)snprintf(out, size, "%s", o->val) < size;
    }
    PQconninfoFree(options);
    return found;
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

static int connect_reader(struct reading *r) {
    char options[512];
    snprintf(
        options, sizeof options,
        "-c default_transaction_read_only=on -c statement_timeout=%d -c search_path=%s,pg_catalog -c jit=off"
        " -c timezone=UTC -c datestyle=ISO -c extra_float_digits=1 -c client_connection_check_interval=1000",
        r->reader->timeout_ms, r->reader->schema);
    const char *keys[] = {"dbname",           "options",         "connect_timeout",
                          "application_name", "client_encoding", NULL};
    const char *values[] = {r->reader->url, options, CONNECT_TIMEOUT_S, "rookery-analyst", "UTF8", NULL};
    r->conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(r->conn) == CONNECTION_OK) return 0;
    return fail(r, ERR_UNAVAILABLE, "the analysts' connection: ", PQerrorMessage(r->conn));
}

static int check_role(const struct reading *r) {
    enum { FITS }; /* its only column */
    const char *values[] = {r->reader->schema, r->reader->forbidden_table};
    PGresult *result = PQexecParams(r->conn, READER_ROLE_FITS.sql, 2, NULL, values, NULL, NULL, 0);
    bool fit = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
               strcmp(PQgetvalue(result, 0, FITS), "t") == 0;
    PQclear(result);
    if (fit) return 0;
    return fail(r, ERR_FAILED_PRECONDITION, "the analysts' role may do too much",
                ": it must be an ordinary role of its own");
}

static int begin_reading(struct reading *r, const char *statement) {
    PGresult *begun = PQexec(r->conn, "BEGIN READ ONLY");
    bool good = PQresultStatus(begun) == PGRES_COMMAND_OK;
    PQclear(begun);
    good = good && PQsendQueryParams(r->conn, statement, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
           PQsetSingleRowMode(r->conn) == 1;
    return good ? 0 : fail(r, ERR_UNAVAILABLE, "the query cannot be sent: ", PQerrorMessage(r->conn));
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* Waits for the next result. Returns false at *stop, or when the connection is lost. */
static bool await_result(const struct reading *r) {
    struct pollfd p = {.fd = PQsocket(r->conn), .events = POLLIN};
    while (PQisBusy(r->conn)) {
        if (*r->reader->stop) return false;
        int n = poll(&p, 1, LOOK_MS);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0 && PQconsumeInput(r->conn) != 1) return false;
    }
    return !*r->reader->stop;
}

static enum pg_cell_kind kind_of(unsigned type) {
    switch (type) {
    case INT2:
    case INT4:
    case INT8:
    case FLOAT4:
    case FLOAT8:
    case NUMERIC: return PG_CELL_NUMBER;
    case BOOL: return PG_CELL_BOOLEAN;
    default: return PG_CELL_TEXT;
    }
}

static bool give_names(struct reading *r, const PGresult *result) {
    r->n = (size_t)PQnfields(result);
    r->cells = calloc(r->n + 1, sizeof *r->cells);
    for (size_t i = 0; r->cells && i < r->n; i++)
        r->cells[i] = (struct pg_cell){.text = str_from(PQfname(result, (int)i)), .kind = PG_CELL_TEXT};
    return r->cells && r->reader->row(r->reader->context, r->cells, r->n);
}

static bool give_row(struct reading *r, const PGresult *result) {
    if (!r->cells && !give_names(r, result)) return false;
    if (PQntuples(result) == 0) return true;
    for (size_t i = 0; i < r->n; i++)
        r->cells[i] = (struct pg_cell){
            .text = {PQgetvalue(result, 0, (int)i), (size_t)PQgetlength(result, 0, (int)i)},
            .is_null = PQgetisnull(result, 0, (int)i) == 1,
            .kind = kind_of(PQftype(result, (int)i)),
        };
    return r->reader->row(r->reader->context, r->cells, r->n);
}

/* Nothing of the statement caused it, and the server's sentence may name its files. */
static bool is_servers_own(const PGresult *result) {
    static const char *const prefixes[] = {"53100", "53200", "53300", "57P", "58", "XX"};
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    for (size_t i = 0; state && i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(state, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false;
}

static int refuse(const struct reading *r, const PGresult *result) {
    const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (why && is_servers_own(result)) return fail(r, ERR_UNAVAILABLE, "the analysts' connection: ", why);
    if (why) return fail(r, ERR_INVALID_ARGUMENT, "the query: ", why);
    if (PQstatus(r->conn) != CONNECTION_OK)
        return fail(r, ERR_UNAVAILABLE, "the analysts' connection: ", PQerrorMessage(r->conn));
    return fail(r, ERR_INVALID_ARGUMENT, "the query must be a SELECT", ", which gives rows");
}

/* *more: another result may follow. */
static int take_result(struct reading *r, bool *more) {
    *more = false;
    if (!await_result(r))
        return *r->reader->stop ? 0 : fail(r, ERR_UNAVAILABLE, "the analysts' connection", " was lost");
    PGresult *result = PQgetResult(r->conn);
    if (!result) return 0;
    ExecStatusType status = PQresultStatus(result);
    int e = 0;
    if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK)
        *more = give_row(r, result) && status == PGRES_SINGLE_TUPLE;
    else
        e = refuse(r, result);
    PQclear(result);
    return e;
}

/* Makes the server stop working on a query that is no longer wanted. */
static void cancel(PGconn *conn) {
    char ignored[256];
    PGcancel *c = PQtransactionStatus(conn) == PQTRANS_ACTIVE ? PQgetCancel(conn) : NULL;
    if (c) PQcancel(c, ignored, sizeof ignored);
    PQfreeCancel(c);
}

int pg_reader_run(const struct pg_reader *reader, const char *statement, char *error, size_t size) {
    struct reading r = {.reader = reader, .error = error, .size = size};
    int e = connect_reader(&r);
    if (e == 0) e = check_role(&r);
    if (e == 0) e = begin_reading(&r, statement);
    bool more = e == 0;
    while (e == 0 && more) e = take_result(&r, &more);
    cancel(r.conn);
    PQfinish(r.conn);
    free(r.cells);
    return e;
}
