/* An open connection: statements prepared, calls sent, results read.
 *
 *   1. pg_link_send: for each statement that is not prepared on this connection, Parse and a sync of its own; then
 *      Bind and Execute for every statement of the op, and one sync.
 *   2. pg_link_flush: what the socket does not take immediately goes out when it is writable. Reading goes on
 *      meanwhile, or both ends could wait for each other with full buffers.
 *   3. pg_link_read: reads the results that have arrived, always for the first op in flight. At its sync the op is
 *      finished: not before, because COMMIT happens there and may still fail.
 *
 * Why Parse has its own sync: an error skips everything up to the next sync. If Parse shared a segment with other
 * work, an error of that work could skip it, while calls that were already sent behind it rely on it. Alone it fails
 * only by its own error. What was sent behind it meanwhile fails with SQLSTATE 26000 (the prepared statement does not
 * exist), for which the error of the Parse is reported. The next call parses again.
 *
 * Failures that end the connection (pg_link_fail): the socket ends | a result of severity FATAL or PANIC (57P01 when
 * an administrator stops the server) | libpq cannot send | results that do not match what was asked. A connection
 * whose prepared statements are no longer valid (a table of its plan has changed, or they were deallocated) is
 * retired: no new calls, and a new connection when those in flight are done.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/moves.h"
#include "core/store/pg/pg_internal.h"

static const struct pg_args no_args;

static const struct pg_args *args_of(const struct pg_call *call) {
    return call->args ? call->args : &no_args;
}

/* ---- prepared statements ---- */

static const moves PREPARED_MOVES[] = {
    [PREPARED_NOT] = MOVE_TO(PREPARED_ASKED),
    [PREPARED_ASKED] = MOVE_TO(PREPARED_READY) | MOVE_TO(PREPARED_NOT),
    [PREPARED_READY] = 0,
};

static void prepared_enter(struct pg_prepared *p, enum prepared_state state) {
    MOVES_CHECK(PREPARED_MOVES, p->state, state);
    p->state = state;
}

static int64_t key_of(const struct pg_stmt *stmt) {
    return (int64_t)(uintptr_t)stmt;
}

static struct pg_prepared *find_prepared(const struct pg_link *k, const struct pg_stmt *stmt) {
    return idmap_get(&k->statements, key_of(stmt));
}

/* Whether p was parsed for these types. A NULL's type (0) fits any; a type that the server chose for a NULL does not
 * fit one that is given now. */
static bool fits(const struct pg_prepared *p, const struct pg_args *args) {
    assert(p->n == args->n);
    for (int i = 0; i < p->n; i++) {
        if (args->type[i] == 0 || args->type[i] == p->type[i]) continue;
        assert(p->type[i] == 0 && "a parameter of a statement has one type");
        return false;
    }
    return true;
}

/* A new version, with the types of the old one and those of args. */
static struct pg_prepared *add_prepared(struct pg_link *k, const struct pg_stmt *stmt,
                                        const struct pg_prepared *old, const struct pg_args *args) {
    struct pg_prepared *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->n = args->n;
    int known = 0;
    for (int i = 0; i < p->n; i++) {
        p->type[i] = args->type[i] ? args->type[i] : old ? old->type[i] : 0;
        known += p->type[i] != 0;
    }
    /* The number of known types only grows, so it tells the versions apart. */
    int len = snprintf(p->name, sizeof p->name, "%s.%d", stmt->name, known);
    assert(len > 0 && (size_t)len < sizeof p->name);
    list_init(&p->pending);
    list_push_back(&k->prepared, &p->node);
    idmap_put(&k->statements, key_of(stmt), p);
    return p;
}

/* Sends a sync. From libpq 17 on it stays in the buffer until pg_link_flush; before, libpq writes it immediately. */
static bool send_sync(PGconn *conn) {
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    return PQsendPipelineSync(conn) == 1;
#else
    return PQpipelineSync(conn) == 1;
#endif
}

static bool send_parse(struct pg_link *k, struct pg_op *op, const struct pg_call *call) {
    const struct pg_args *args = args_of(call);
    struct pg_prepared *p = find_prepared(k, call->stmt);
    if (!p || !fits(p, args)) p = add_prepared(k, call->stmt, p, args);
    if (p->state != PREPARED_NOT) return true;
    if (PQsendPrepare(k->conn, p->name, call->stmt->sql, p->n, p->type) != 1 || !send_sync(k->conn)) {
        return false;
    }
    prepared_enter(p, PREPARED_ASKED);
    list_push_back(&k->preparing, &p->pending);
    op->prepares++;
    return true;
}

/* ---- sending ---- */

static bool send_execute(struct pg_link *k, const struct pg_call *call) {
    static const int binary[PG_MAX_PARAMS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                              1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct pg_args *args = args_of(call);
    const char *name = find_prepared(k, call->stmt)->name;
    return PQsendQueryPrepared(k->conn, name, args->n, args->value, args->length, binary, 1) == 1;
}

static bool send_all(struct pg_link *k, struct pg_op *op) {
    for (size_t i = 0; i < op->n; i++) {
        if (!send_parse(k, op, &op->calls[i])) return false;
    }
    for (size_t i = 0; i < op->n; i++) {
        if (!send_execute(k, &op->calls[i])) return false;
    }
    return send_sync(k->conn);
}

void pg_link_send(struct pg_link *k, struct pg_op *op) {
    assert(k->state == LINK_READY);
    if (k->depth == 0) k->progress_ns = loop_now_ns(k->pg->loop);
    op->link = k;
    list_push_back(&k->in_flight, &op->node);
    k->depth++;
    k->unflushed = true;
    if (!send_all(k, op)) pg_link_fail(k, PQerrorMessage(k->conn));
}

void pg_link_flush(struct pg_link *k) {
    if (k->state != LINK_READY) return;
    k->unflushed = false;
    int left = PQflush(k->conn);
    if (left < 0) {
        pg_link_read(k); /* the server may have sent the reason */
        if (k->state == LINK_READY) pg_link_fail(k, PQerrorMessage(k->conn));
    } else if (!pg_link_watch(k, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE)) {
        pg_link_fail(k, "the socket cannot be watched");
    }
}

/* ---- results ---- */

/* The answer to the oldest Parse. */
static bool take_parsed(struct pg_link *k, const PGresult *r) {
    struct list_node *n = list_pop_front(&k->preparing);
    if (!n) return false;
    struct pg_prepared *p = list_entry(n, struct pg_prepared, pending);
    if (PQresultStatus(r) == PGRES_COMMAND_OK) {
        prepared_enter(p, PREPARED_READY);
        p->fault.error = ERR_OK;
        return true;
    }
    prepared_enter(p, PREPARED_NOT);
    pg_result_note(k->pg, r);
    pg_result_error(r, &p->fault);
    return PQresultStatus(r) == PGRES_FATAL_ERROR;
}

/* Statement `at` of the op failed. */
static void take_error(struct pg_link *k, struct pg_op *op, const PGresult *r) {
    pg_result_note(k->pg, r);
    if (op->error) return; /* the first one counts */
    op->error = (int)pg_result_error(r, &op->fault);
    bool unknown = pg_result_has_state(r, "26000");
    if (!unknown && !pg_result_is_stale_plan(r)) return;
    const struct pg_prepared *p =
        op->fiber && op->at < op->n ? find_prepared(k, op->calls[op->at].stmt) : NULL;
    if (unknown && p && p->fault.error) {
        op->error = (int)p->fault.error;
        op->fault = p->fault;
        return;
    }
    if (unknown) op->error = fault_set(&op->fault, ERR_SQL_CONFLICT, "a prepared statement was lost");
    k->retiring = true;
}

static void finish_first(struct pg_link *k, struct pg_op *op) {
    list_remove(&op->node);
    k->depth--;
    pg_op_finish(k->pg, op);
    if (k->retiring && k->depth == 0) pg_link_fail(k, "its prepared statements are no longer valid");
}

static bool take_sync(struct pg_link *k, struct pg_op *op) {
    if (op->prepares > 0) {
        op->prepares--;
        return true;
    }
    if (op->at < op->n) return false;
    finish_first(k, op);
    return true;
}

/* Keeps r in the op, or frees it. Returns false when r does not belong here. */
static bool take_rows(struct pg_op *op, PGresult *r) {
    if (op->at >= op->n || op->results[op->at]) return false;
    op->results[op->at] = r;
    return true;
}

/* One result, or the NULL that ends a statement's. Returns false when the connection can no longer be trusted.
 */
static bool take_result(struct pg_link *k, PGresult *r) {
    struct pg_op *op = list_entry(k->in_flight.next, struct pg_op, node);
    if (!r) {
        if (op->prepares == 0) op->at++;
        return op->at <= op->n + 1; /* one more when COMMIT failed */
    }
    ExecStatusType status = PQresultStatus(r);
    bool good = true;
    if (status == PGRES_FATAL_ERROR && pg_result_is_fatal(r)) {
        pg_result_note(k->pg, r);
        good = false;
    } else if (status == PGRES_PIPELINE_SYNC) {
        good = take_sync(k, op);
    } else if (op->prepares > 0) {
        good = take_parsed(k, r);
    } else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        if (take_rows(op, r)) return true;
        good = false;
    } else if (status == PGRES_FATAL_ERROR) {
        take_error(k, op, r);
    } else {
        good = status == PGRES_PIPELINE_ABORTED; /* anything else is COPY, which is not used here */
    }
    PQclear(r);
    return good;
}

void pg_link_read(struct pg_link *k) {
    bool alive = PQconsumeInput(k->conn) == 1;
    k->progress_ns = loop_now_ns(k->pg->loop);
    /* PQisBusy also parses messages that a server sends without being asked. */
    while (k->state == LINK_READY && !PQisBusy(k->conn) && k->depth > 0) {
        PGresult *r = PQgetResult(k->conn);
        if (!take_result(k, r)) {
            const char *message = PQerrorMessage(k->conn);
            pg_link_fail(k, *message ? message : "results out of step");
        }
    }
    if (k->state == LINK_READY && !alive) pg_link_fail(k, PQerrorMessage(k->conn));
}

void pg_link_step(struct pg_link *k, int status, int events) {
    /* Read even on an error: answers may have come before it. */
    if (status < 0 || (events & UV_READABLE)) pg_link_read(k);
    if (status < 0 && k->state == LINK_READY) pg_link_fail(k, uv_strerror(status));
    if (k->state == LINK_READY && (events & UV_WRITABLE)) pg_link_flush(k);
}
