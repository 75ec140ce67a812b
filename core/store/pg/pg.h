/* PostgreSQL: an asynchronous, pipelined, pooled client on libpq.
 *
 * Statements are prepared on first use per connection and run in libpq's pipeline mode with a sync after each call.
 * So every call is its own implicit transaction, and an error of one call does not affect others, though many calls
 * share a connection and a round trip. A call goes to the connection with the fewest in flight. Beyond the pipeline
 * depth calls wait in one bounded queue (4,096: past it, ERR_OVERLOADED).
 *
 * Connections reconnect with capped exponential backoff and jitter (50 ms .. 2 s). A call that has not been sent
 * waits for a connection until its deadline (at most 5 s, then ERR_UNAVAILABLE). If its connection dies after it was
 * sent, it fails with ERR_CONNECTION_LOST (outcome unknown); but a read_only statement is sent again, once.
 *
 * A fiber that is interrupted while it waits gets its error immediately; the statement runs on and its result is
 * dropped. statement_timeout is set per connection (30 s), so no statement runs without end.
 *
 * Parameters and results are in PostgreSQL's binary format. Cast in SQL where a type is not plain:
 * $1::bigint[].
 */
#ifndef ROOKERY_CORE_STORE_PG_PG_H
#define ROOKERY_CORE_STORE_PG_PG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/async/loop.h"
#include "core/base/str.h"

struct metrics;
struct pg;

struct pg_options {
    const char *url; /* libpq URI; borrowed */
    int connections; /* > 0 */
    int pipeline;    /* calls in flight on a connection, > 0 */
    const char *application_name;
    int statement_timeout_ms; /* 0: 30,000 */
};

/* Starts connecting; does not wait. Returns NULL when the URL is bad (logged), and on allocation failure. metrics may
 * be NULL. */
struct pg *pg_open(struct loop *l, const struct pg_options *o, struct log *log, struct metrics *metrics);
/* Refuses new calls, waits until those in flight are done or time_ms has passed, closes and frees. */
void pg_close(struct fiber *self, struct pg *pg, int64_t time_ms);
/* Waits until a connection is ready. Returns 0, ERR_FAILED_PRECONDITION when the server is refused, or the fiber's
 * interrupt. */
int pg_wait_ready(struct fiber *self, struct pg *pg);
/* The sentence why the server is refused (check.h), while no connection is ready; NULL when it is not refused. The
 * client keeps trying to connect, as to an unreachable server. */
const char *pg_refusal(const struct pg *pg);
bool pg_ready(const struct pg *pg); /* at least one connection now */
/* How often a connection has become ready when none was. When it has grown, another database may be answering. */
uint64_t pg_generation(const struct pg *pg);

/* A statement: static const, its address is its identity. name must be unique in the program. */
struct pg_stmt {
    const char *name;
    const char *sql;
    bool read_only; /* may be sent again after a lost connection */
};

/* Parameters, in order. All memory comes from the arena; texts are borrowed until the call returns. */
#define PG_MAX_PARAMS 32
struct pg_args {
    struct arena *arena;
    int n;
    const char *value[PG_MAX_PARAMS];
    int length[PG_MAX_PARAMS];
    unsigned type[PG_MAX_PARAMS]; /* Oid */
};
void pg_args_init(struct pg_args *a, struct arena *arena);
void pg_i64(struct pg_args *a, int64_t v); /* bigint */
void pg_i32(struct pg_args *a, int32_t v); /* integer */
void pg_bool(struct pg_args *a, bool v);
void pg_f64(struct pg_args *a, double v);
void pg_text(struct pg_args *a, struct str v);
void pg_bytes(struct pg_args *a, struct str v); /* bytea */
void pg_null(struct pg_args *a);                /* typed by the statement */
void pg_i64_array(struct pg_args *a, const int64_t *v, size_t n);
void pg_i32_array(struct pg_args *a, const int32_t *v, size_t n);
void pg_bool_array(struct pg_args *a, const bool *v, size_t n);
void pg_text_array(struct pg_args *a, const struct str *v, size_t n);  /* ptr NULL is SQL NULL */
void pg_bytes_array(struct pg_args *a, const struct str *v, size_t n); /* bytea[]; ptr NULL is SQL NULL */

/* Rows. They belong to the calling fiber's arena and live until it is reset. */
struct pg_result;
int pg_rows(const struct pg_result *r);
int64_t pg_affected(const struct pg_result *r); /* rows changed by INSERT, UPDATE, DELETE */
bool pg_is_null(const struct pg_result *r, int row, int column);
/* Getters assert the column's type and width (int2, int4, int8 all read as i64); NULL reads as 0, false, "". */
int64_t pg_get_i64(const struct pg_result *r, int row, int column);
bool pg_get_bool(const struct pg_result *r, int row, int column);
double pg_get_f64(const struct pg_result *r, int row, int column);
struct str pg_get_str(const struct pg_result *r, int row,
                      int column); /* text, bytea and the like, not jsonb */
int64_t pg_get_time_ms(const struct pg_result *r, int row, int column); /* timestamptz -> Unix ms */
/* bigint[] -> array in the arena; returns its length. */
size_t pg_get_i64_array(const struct pg_result *r, int row, int column, struct arena *a, int64_t **out);

/* Runs one statement in its own transaction. Returns 0 and *out (may be NULL), or
 *   ERR_SQL                  with the SQLSTATE in fault->field and the server's message in fault->text
 *   ERR_SQL_CONFLICT         serialization failure, deadlock: try again
 *   ERR_ALREADY_EXISTS       unique violation; constraint name in fault->field
 *   ERR_FAILED_PRECONDITION  foreign key, check; constraint name in fault->field
 *   ERR_CONNECTION_LOST      outcome unknown
 *   ERR_UNAVAILABLE          also when the server is out of disk, memory or connections
 *   ERR_OVERLOADED           the queue is full
 *   ERR_DEADLINE_EXCEEDED    also when statement_timeout ended it
 *   ERR_CANCELLED
 * fault may be NULL. A parameter of a statement has the same type at every call. */
int pg_exec(struct fiber *self, struct pg *pg, const struct pg_stmt *stmt, const struct pg_args *args,
            struct pg_result **out, struct fault *fault);

/* Runs several statements in one transaction and one round trip: all or nothing. results (may be NULL) has room for
 * n. */
struct pg_call {
    const struct pg_stmt *stmt;
    const struct pg_args *args;
};
int pg_exec_all(struct fiber *self, struct pg *pg, const struct pg_call *calls, size_t n,
                struct pg_result **results, struct fault *fault);

#endif
