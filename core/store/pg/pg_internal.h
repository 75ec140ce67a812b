/* Inside the PostgreSQL client: what its files share. No other room includes this.
 *
 *   pg.c         the pool: calls, which link they are sent on, deadlines, opening and closing
 *   connect.c    a connection's beginning: connect, check, reconnect
 *   pipeline.c   an open connection: prepare, send, receive
 *   link.c       its socket, and its end
 *   op.c         calls in progress and the queue
 *   target.c     where to connect to: the URL and the session settings
 *   check.c      what must hold of the server
 *   shortage.c   a server without room, or read-only: counted, logged, remembered
 *   args.c, result.c   PostgreSQL's binary formats, and its errors
 *
 * Words: an *op* is one call, made of one or more statements between two syncs of the pipeline. A *link* is a
 * place for a connection; it outlives the connections it makes. libpq's own tags are pg_conn and pg_result:
 * `struct pg_result` of pg.h is libpq's PGresult itself.
 */
#ifndef ROOKERY_CORE_STORE_PG_PG_INTERNAL_H
#define ROOKERY_CORE_STORE_PG_PG_INTERNAL_H

#include <libpq-fe.h>

#include "core/base/map.h"
#include "core/base/metrics.h"
#include "core/store/pg/pg.h"

/* The queue of calls that wait for a free place in a pipeline. A few hundred ms of work: more would only wait until
 * they time out. */
#define PG_QUEUE_MAX 4096
#define PG_QUEUE_WAIT_MS 5000
#define PG_STATEMENT_TIMEOUT_MS 30000
#define PG_CONNECT_TIMEOUT_MS 5000
#define PG_BACKOFF_BASE_MS 50
#define PG_BACKOFF_CAP_MS 2000
/* A link whose oldest statement takes longer than this gets no further calls while others have room. */
#define PG_SLOW_MS 20
/* The server ends a statement at its timeout. If it is still silent this much later, the connection counts as
 * dead. */
#define PG_DEAD_AFTER_MS 5000
#define PG_SWEEP_MS 50
/* Refused writes: how long the client says so at least, and how often it is logged at most. */
#define PG_WRITES_REFUSED_MS 10000
#define PG_SHORTAGE_LOG_MS 10000

enum { PG_OID_BOOL = 16, PG_OID_BYTEA = 17, PG_OID_INT8 = 20, PG_OID_INT2 = 21, PG_OID_INT4 = 23 };
enum { PG_OID_TEXT = 25, PG_OID_OID = 26, PG_OID_FLOAT4 = 700, PG_OID_FLOAT8 = 701 };
enum { PG_OID_TIMESTAMPTZ = 1184, PG_OID_BOOL_ARRAY = 1000, PG_OID_BYTEA_ARRAY = 1001 };
enum { PG_OID_INT4_ARRAY = 1007, PG_OID_TEXT_ARRAY = 1009, PG_OID_INT8_ARRAY = 1016 };

/* ---- target.c --------------------------------------------------------------------------------------- */
#define PG_TARGET_KEYS 64
struct pg_target {
    const char *key[PG_TARGET_KEYS];
    const char *value[PG_TARGET_KEYS]; /* NULL-terminated, as PQconnectStartParams wants them */
    size_t n;
    const char *resolve; /* a host name that must be looked up before connecting; NULL when there is none */
};
/* Memory from a. Returns false, with a sentence in error[size], when the URL is invalid. */
bool pg_target_init(struct pg_target *t, struct arena *a, const struct pg_options *o, char *error,
                    size_t size);
/* Starts a connection. addresses: numeric, separated by commas, of t->resolve; NULL without it. Returns NULL on
 * allocation failure. */
PGconn *pg_target_connect(const struct pg_target *t, const char *addresses);

/* ---- result.c ------------------------------------------------------------------------------------------
 */
/* A reader of this row, before its first column. The row must exist. */
struct pg_row pg_row_at(const struct pg_result *r, int row);
/* The error of a failed result, and *f as pg_exec documents it. */
enum error pg_result_error(const PGresult *r, struct fault *f);
/* Whether the connection ended with it: severity FATAL or PANIC, or libpq's own error. */
bool pg_result_is_fatal(const PGresult *r);
/* A statement was planned before its table changed. It has not run. */
bool pg_result_is_stale_plan(const PGresult *r);
bool pg_result_has_state(const PGresult *r, const char *sqlstate);
/* Hands an error to pg_shortage_note. */
void pg_result_note(struct pg *pg, const PGresult *r);

/* ---- ops ----------------------------------------------------------------------------------------------- */
struct pg_op {
    struct list_node node;       /* on pg->queue until it is sent, then on link->in_flight */
    struct pg_link *link;        /* NULL until it is sent */
    struct fiber *fiber;         /* waits for it; NULL once detached */
    const struct pg_call *calls; /* the fiber's: not to be touched once detached */
    int64_t submitted_ns, queued_ns;
    bool read_only, resent, done;
    int error;
    size_t prepares; /* answers to Parse, each with a sync of its own, that come before its results */
    size_t at;       /* the statement whose results are awaited */
    size_t n;
    struct fault fault;
    PGresult *results[]; /* n */
};

/* ---- link.c ----------------------------------------------------------------------------------------------- */
enum pg_link_state {
    LINK_WAITING,    /* for the backoff timer */
    LINK_RESOLVING,  /* the host name is being looked up */
    LINK_CONNECTING, /* PQconnectPoll is at work */
    LINK_CHECKING,   /* the server is checked (check.h) */
    LINK_READY,
    LINK_CLOSED, /* permanently */
};

struct pg_socket;

struct pg_resolve {
    uv_getaddrinfo_t request;
    struct pg *pg;
    struct pg_link *link; /* NULL once given up */
};

enum prepared_state { PREPARED_NOT, PREPARED_ASKED, PREPARED_READY };

/* A statement on this connection, with the parameter types it was parsed with. */
struct pg_prepared {
    struct list_node node;    /* link->prepared */
    struct list_node pending; /* link->preparing, while ASKED */
    enum prepared_state state;
    char name[64];
    int n;
    Oid type[PG_MAX_PARAMS]; /* 0: the server chose */
    struct fault fault;      /* why the last Parse failed; error 0: it did not */
};

struct pg_link {
    struct pg *pg;
    enum pg_link_state state;
    uv_timer_t timer; /* backoff, or connect timeout */
    unsigned attempt;
    bool was_ready; /* has been ready before: the next connection is a reconnect */
    bool retiring;  /* takes no more calls; reconnects when those in flight are done */
    bool unflushed;
    /* CHECKING: when the server was asked, by the wall clock; whether it has answered; why it is refused, or NULL. */
    int64_t asked_ms;
    bool checked;
    const char *unusable;

    PGconn *conn;                                            /* NULL in WAITING, RESOLVING, CLOSED */
    void (*step)(struct pg_link *k, int status, int events); /* called at the socket's events */
    uv_timer_cb restart;                                     /* the backoff is over */
    struct pg_socket *socket;
    struct pg_resolve *resolve;
    struct idmap statements;    /* address of a pg_stmt -> struct pg_prepared, its newest */
    struct list_node prepared;  /* all of them */
    struct list_node preparing; /* Parse sent, answer awaited, in order */

    struct list_node in_flight; /* ops, in the order sent */
    size_t depth;               /* their number */
    int64_t progress_ns;        /* when the server last sent something, or was asked when idle */
};

/* Changes its state. */
void pg_link_enter(struct pg_link *k, enum pg_link_state state);
/* Watches the socket for UV_READABLE, UV_WRITABLE or both. Returns false on failure. */
bool pg_link_watch(struct pg_link *k, int events);
void pg_link_unwatch(struct pg_link *k);
/* Ends the connection: every op in flight is answered (pg_op_lost). Then backoff and reconnect. */
void pg_link_fail(struct pg_link *k, const char *reason);
/* Closes it permanently. Its handles are closed when pg->handles has been counted down. */
void pg_link_close(struct pg_link *k);

/* ---- connect.c -------------------------------------------------------------------------------------------- */
void pg_link_init(struct pg_link *k, struct pg *pg);
void pg_link_start(struct pg_link *k);

/* ---- pipeline.c ------------------------------------------------------------------------------------------- */
void pg_link_step(struct pg_link *k, int status, int events);
/* Takes the op, even if the connection fails. Sends only what libpq writes by itself when its buffer is full: call
 * pg_link_flush afterwards. */
void pg_link_send(struct pg_link *k, struct pg_op *op);
void pg_link_flush(struct pg_link *k);
/* Reads the results that have arrived. The link may have failed when it returns. */
void pg_link_read(struct pg_link *k);

/* ---- shortage.c ------------------------------------------------------------------------------------------- */
#define PG_SHORTAGES 6
/* Counts an error by its SQLSTATE, if it is a shortage, and logs each cause at most every 10 s. */
void pg_shortage_note(struct pg *pg, const char *state, const char *message);
/* The same for a connection that failed, whose SQLSTATE is within libpq's message. */
void pg_shortage_note_connect(struct pg *pg, const char *message);
/* A write was committed. */
void pg_shortage_over(struct pg *pg);
struct pg_metrics;
void pg_shortage_metrics(struct pg_metrics *m);

/* ---- the pool, pg.c ------------------------------------------------------------------------------------ */
struct pg_metrics {
    struct metrics *registry, *own; /* own: made here because the caller gave none */
    struct gauge *ready, *in_flight, *queued;
    struct counter *shortages[PG_SHORTAGES];
    struct counter *calls, *errors, *commits, *reconnects, *resent, *lost;
    struct histogram *seconds;
};

struct pg {
    struct loop *loop;
    struct log *log;
    struct arena arena; /* options and target; as long as the pool */
    struct pg_target target;
    size_t pipeline;
    int64_t statement_timeout_ms;
    struct pg_metrics m;

    struct list_node queue; /* ops not sent yet, oldest first */
    size_t queued, in_flight;
    struct flusher flusher;
    uv_timer_t sweep; /* runs while there are ops */
    struct condition ready_changed;
    size_t waiters;      /* fibers inside pg_wait_ready */
    size_t ready;        /* links in LINK_READY */
    unsigned logged;     /* server_check's memory */
    const char *refusal; /* pg_refusal */
    const char *writes_refused;
    const char *connect_refused;              /* a sentence, or NULL; of the last attempt that failed */
    int64_t refused_ns;                       /* when a write was last refused */
    int64_t shortage_logged_ns[PG_SHORTAGES]; /* 0: not since writes were last taken */
    uint64_t generation;

    bool closing;
    int64_t close_by_ns;
    struct fiber *closer;
    size_t handles; /* libuv handles and requests still open */

    size_t n_links;
    struct pg_link *links;
};

/* ---- op.c ------------------------------------------------------------------------------------------------- */
struct pg_op *pg_op_new(struct fiber *self, const struct pg_call *calls,
                        size_t n); /* NULL on allocation failure */
void pg_op_free(struct pg_op *op);
/* Wakes the op's fiber; frees the op if no fiber waits. The op is on no list. */
void pg_op_answer(struct pg *pg, struct pg_op *op);
void pg_op_refuse(struct pg *pg, struct pg_op *op, enum error e, const char *text);
void pg_queue_push(struct pg *pg, struct pg_op *op);
struct pg_op *pg_queue_pop(struct pg *pg); /* NULL when it is empty */
void pg_show_load(struct pg *pg);
/* The same for an op that was on a link. */
void pg_op_finish(struct pg *pg, struct pg_op *op);
/* Its connection died: sends it again if allowed, else answers ERR_CONNECTION_LOST. */
void pg_op_lost(struct pg *pg, struct pg_op *op);
void pg_link_became_ready(struct pg *pg);
void pg_link_became_unready(struct pg *pg);
/* A handle or request that was counted in pg->handles has closed. */
void pg_handle_gone(struct pg *pg);

#endif
