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

struct log;
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

/* Why the server takes no writes: "PostgreSQL is out of disk space"; or NULL. It is known from a statement that was
 * refused for a cause which concerns all writes. Forgotten when a write is committed PG_WRITES_REFUSED_MS (10 s) or
 * more after the last refusal; those who wait for that can rely on the node lease's renewal, a write every 15 s. */
const char *pg_writes_refused(const struct pg *pg);
/* Why there is no working with it now: the above; without a connection, why the last attempt at one was refused, when
 * that is a shortage, too, or "waiting for PostgreSQL". NULL when nothing is in the way. */
const char *pg_hindrance(const struct pg *pg);

/* A statement: its address is its identity. Those of X.c are in X.sql beside it, whose header the build makes
 * (scripts/generate/statements.c). */
struct pg_stmt {
    const char *name; /* unique in the program */
    const char *sql;
    bool read_only; /* may be sent again after a lost connection */
};

/* A parameter's value. Texts and arrays are borrowed. */
struct pg_value {
    enum {
        PG_VALUE_NULL,
        PG_VALUE_I64,
        PG_VALUE_I32,
        PG_VALUE_BOOL,
        PG_VALUE_F64,
        PG_VALUE_TEXT,
        PG_VALUE_BYTES,
        PG_VALUE_I64_ARRAY,
        PG_VALUE_I32_ARRAY,
        PG_VALUE_BOOL_ARRAY,
        PG_VALUE_TEXT_ARRAY,
        PG_VALUE_BYTES_ARRAY,
    } kind;
    union {
        int64_t i64;
        int32_t i32;
        bool boolean;
        double f64;
        const void *ptr;
    };
    size_t n; /* bytes of a text, or elements of an array */
};

static inline struct pg_value pg_i64(int64_t v) { /* bigint */
    return (struct pg_value){.kind = PG_VALUE_I64, .i64 = v};
}
static inline struct pg_value pg_i32(int32_t v) { /* integer */
    return (struct pg_value){.kind = PG_VALUE_I32, .i32 = v};
}
static inline struct pg_value pg_bool(bool v) {
    return (struct pg_value){.kind = PG_VALUE_BOOL, .boolean = v};
}
static inline struct pg_value pg_f64(double v) {
    return (struct pg_value){.kind = PG_VALUE_F64, .f64 = v};
}
static inline struct pg_value pg_null(void) { /* typed by the statement */
    return (struct pg_value){.kind = PG_VALUE_NULL};
}
static inline struct pg_value pg_text(struct str v) {
    return (struct pg_value){.kind = PG_VALUE_TEXT, .ptr = v.ptr, .n = v.len};
}
static inline struct pg_value pg_text_or_null(struct str v) { /* ptr NULL is SQL NULL */
    return v.ptr ? pg_text(v) : pg_null();
}
static inline struct pg_value pg_bytes(struct str v) { /* bytea */
    return (struct pg_value){.kind = PG_VALUE_BYTES, .ptr = v.ptr, .n = v.len};
}
static inline struct pg_value pg_i64_array(const int64_t *v, size_t n) {
    return (struct pg_value){.kind = PG_VALUE_I64_ARRAY, .ptr = v, .n = n};
}
static inline struct pg_value pg_i32_array(const int32_t *v, size_t n) {
    return (struct pg_value){.kind = PG_VALUE_I32_ARRAY, .ptr = v, .n = n};
}
static inline struct pg_value pg_bool_array(const bool *v, size_t n) {
    return (struct pg_value){.kind = PG_VALUE_BOOL_ARRAY, .ptr = v, .n = n};
}
static inline struct pg_value pg_text_array(const struct str *v, size_t n) { /* ptr NULL is SQL NULL */
    return (struct pg_value){.kind = PG_VALUE_TEXT_ARRAY, .ptr = v, .n = n};
}
/* bytea[]; ptr NULL is SQL NULL */
static inline struct pg_value pg_bytes_array(const struct str *v, size_t n) {
    return (struct pg_value){.kind = PG_VALUE_BYTES_ARRAY, .ptr = v, .n = n};
}

/* Parameters, in order, as they are sent: for batches, and for statements that share a transaction. Numbers and
 * arrays are copied into the arena by pg_args_add; texts are borrowed until the statement's call returns. */
#define PG_MAX_PARAMS 32
struct pg_args {
    struct arena *arena;
    int n;
    const char *value[PG_MAX_PARAMS];
    int length[PG_MAX_PARAMS];
    unsigned type[PG_MAX_PARAMS]; /* Oid */
};
void pg_args_init(struct pg_args *a, struct arena *arena);
/* pg_args_add(args, VALUE...): appends values. */
#define pg_args_add(args, ...) pg_args_add_values((args), PG_VALUES(__VA_ARGS__))
void pg_args_add_values(struct pg_args *a, const struct pg_value *values, size_t n);
#define PG_VALUES(...)                                                                                       \
    (const struct pg_value[]){__VA_ARGS__}, sizeof((struct pg_value[]){__VA_ARGS__}) / sizeof(struct pg_value)

/* Rows. They belong to the calling fiber's arena and live until it is reset. */
struct pg_result;
int pg_rows(const struct pg_result *r);
int64_t pg_affected(const struct pg_result *r); /* rows changed by INSERT, UPDATE, DELETE */

/* A reader of rows. All columns must be taken, in the order of the SELECT: pg_next and pg_end assert it.
 *
 *   struct pg_row row = pg_read(r);
 *   while (pg_next(&row)) {
 *       out[n].id = pg_take_i64(&row);
 *       out[n++].name = pg_take_str(&row);
 *   }
 *
 * Where one row is read, pg_end follows its last column. Never take two columns in one expression, in a call's
 * arguments or in an initialiser with braces: C does not say which is taken first. */
struct pg_row {
    const struct pg_result *result;
    int row, column; /* the next column to be taken */
};
/* Stands before the first row. */
struct pg_row pg_read(const struct pg_result *r);
bool pg_next(struct pg_row *row); /* false when there is no further row */
void pg_end(const struct pg_row *row);
/* These assert the column's type and width (int2, int4, int8 all read as i64); NULL reads as 0, false, "". */
int64_t pg_take_i64(struct pg_row *row);
int32_t pg_take_i32(struct pg_row *row); /* asserts that it fits */
bool pg_take_bool(struct pg_row *row);
double pg_take_f64(struct pg_row *row);
struct str pg_take_str(struct pg_row *row);         /* text, bytea and the like, not jsonb */
struct str pg_take_str_or_null(struct pg_row *row); /* the same; SQL NULL reads as ptr NULL */
int64_t pg_take_time_ms(struct pg_row *row);        /* timestamptz -> Unix ms */
/* bigint[] -> array in the arena; returns its length. */
size_t pg_take_i64_array(struct pg_row *row, struct arena *a, int64_t **out);
/* The only column of the first row, in the same way; 0, false, "" when there is no row. */
int64_t pg_only_i64(const struct pg_result *r);
bool pg_only_bool(const struct pg_result *r);
struct str pg_only_str(const struct pg_result *r);
size_t pg_only_i64_array(const struct pg_result *r, struct arena *a, int64_t **out);

/* Runs one statement in its own transaction. Returns 0 and *out (may be NULL), or
 *   ERR_SQL                  another error of the server
 *   ERR_SQL_CONFLICT         serialization failure, deadlock: try again
 *   ERR_SQL_DUPLICATE        unique violation
 *   ERR_SQL_CONSTRAINT       foreign key, check
 *   ERR_SQL_RESOURCES        the server is out of disk space, memory or connections
 *   ERR_SQL_READ_ONLY        the server takes no writes
 *   ERR_CONNECTION_LOST      outcome unknown
 *   ERR_UNAVAILABLE          no connection in time
 *   ERR_OVERLOADED           the queue is full
 *   ERR_DEADLINE_EXCEEDED    also when statement_timeout ended it
 *   ERR_CANCELLED
 * Those with SQL in their names have the SQLSTATE and the server's message in fault->text, for logs: a caller that
 * expects one says what it means in words of its own. fault may be NULL. A parameter of a statement has the same type
 * at every call. */
int pg_exec(struct fiber *self, struct pg *pg, const struct pg_stmt *stmt, const struct pg_args *args,
            struct pg_result **out, struct fault *fault);

/* pg_ask(self, pg, stmt, out, fault, VALUE...): pg_exec with these parameters, in order. */
#define pg_ask(self, pg, stmt, out, fault, ...)                                                              \
    pg_ask_values((self), (pg), (stmt), (out), (fault), PG_VALUES(__VA_ARGS__))
int pg_ask_values(struct fiber *self, struct pg *pg, const struct pg_stmt *stmt, struct pg_result **out,
                  struct fault *fault, const struct pg_value *values, size_t n);

/* Runs several statements in one transaction and one round trip: all or nothing. results (may be NULL) has room for
 * n. */
struct pg_call {
    const struct pg_stmt *stmt;
    const struct pg_args *args;
};
int pg_exec_all(struct fiber *self, struct pg *pg, const struct pg_call *calls, size_t n,
                struct pg_result **results, struct fault *fault);

#endif
