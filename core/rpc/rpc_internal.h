/* Inside the rpc room: what a call and a server are. For the files of this folder only.
 *
 *   server.c    the front: the table of methods and routes; start, drain, stop
 *   dispatch.c  the application of http.h: which method, which protocol, admission; body bytes
 *   rpc.c       the call's fiber, and what handlers see
 *   stream.c    streaming in and out, detached streams, shared messages
 *   message.c   framing
 *   call.c      what all calls share, and the end of a call
 *   turns.c     calls that wait for their turn, and refusals that are held back
 *   admission.c which calls run, and whose turn it is
 *   held.c      what a call may hold while its request comes
 *   budget.c    the bytes of requests, by whose they are
 *   replies.c     when a call is served: after the replies before it
 *   grpc.c, connect.c   the two protocols' framing and status
 *   cors.c      pages of other origins in browsers
 *   status.c    faults as statuses, details and JSON
 *   hints.c     what the sender of a request that cannot become a call is told
 *
 * A call is freed (back to the server's pool) when its stream is closed and its fiber has ended.
 */
#ifndef ROOKERY_CORE_RPC_RPC_INTERNAL_H
#define ROOKERY_CORE_RPC_RPC_INTERNAL_H

#include "core/base/list.h"
#include "core/base/metrics.h"
#include "core/http/conn.h"
#include "core/http/http.h"
#include "core/rpc/admission.h"
#include "core/rpc/budget.h"
#include "core/rpc/rpc.h"

#define RPC_CODES 17 /* gRPC statuses 0..16 */

/* Memory that a call may take for decoding and for its handler. */
#define RPC_ARENA_LIMIT ((size_t)16 << 20)
#define RPC_DECODE_LIMIT(bytes) (8 * (bytes) + 64 * 1024)

/* A method or a route, found by path; its metrics are looked up once. */
struct rpc_entry {
    uint64_t hash;
    struct str path;
    const struct rpc_method *method; /* one of the two */
    const struct http_route *route;
    size_t max_message; /* bytes */
    struct counter *codes[RPC_CODES];
    struct histogram *latency;
};

struct limit_table;

struct rpc_table {
    struct rpc_entry *slots; /* open addressing, power of two */
    size_t cap;
    struct rpc_entry unknown; /* counts calls of methods that do not exist */
};

/* A connection's share of what all may have unsent. */
#define RPC_REPLY_SHARES 32

/* Calls that wait until the replies before them are sent: replies.c. */
struct rpc_queue;
struct rpc_replies {
    struct list_node queues;  /* with waiting calls, the next one first */
    struct list_node at_room; /* calls whose handler waits for room */
    size_t n_waiting, expected /* bytes that running calls may make */;
    size_t n_delayed, n_cut; /* since the last line in the log */
    int64_t told_ns;
    struct flusher flusher;
    void (*start)(struct rpc_call *call);
};

enum rpc_codec { RPC_PROTO, RPC_JSON };

/* How requests and replies of a call are framed. */
struct rpc_protocol {
    bool enveloped; /* messages have a five-byte prefix: flags, length */
    /* Response headers, for a response with messages. */
    void (*begin)(struct rpc_call *call);
    /* The end: status e and *fault (its error is e). Sends the headers first if they have not been sent. */
    void (*end)(struct rpc_call *call, enum error e, const struct fault *fault);
};
extern const struct rpc_protocol rpc_grpc, rpc_connect_unary, rpc_connect_stream;

struct rpc_call {
    struct http_stream http; /* first */
    struct list_node node;   /* the server's running or detached calls; or its pool */
    struct rpc_server *server;
    struct rpc_entry *entry;
    const struct rpc_protocol *protocol;
    enum rpc_codec codec;
    bool snake;          /* the request's JSON spells names as the .proto files do; errors then do, too */
    struct fiber *fiber; /* NULL before and after */
    int64_t started_ns, deadline_ns;
    struct admission_call turn;
    fiber_fn *fn;               /* that runs when it is its turn */
    int64_t ready_ns;           /* when it could run */
    struct list_node slow_node; /* while slowed */
    int64_t slow_until_ns;
    bool slowed;                 /* refused, with fault; the answer is held back */
    struct buf body;             /* request bytes not taken yet */
    size_t message_bytes;        /* of the message at the front of body, with its prefix; 0: not known yet */
    size_t unconsumed;           /* of body: bytes whose window has not been given back */
    struct rpc_queue *queue;     /* that it waits in, or counts for while it runs */
    struct list_node reply_node; /* in the queue, or among those that wait for room */
    size_t expected;             /* bytes of its reply */
    size_t room_bytes;           /* that the handler waits for */
    bool in_queue;
    struct budget_request held;
    bool is_known;     /* the sender was recognized or authenticated */
    bool looked_up;    /* in this fiber: the authenticator need not run again */
    bool checking;     /* a fiber authenticates while the body comes */
    bool is_whole;     /* and it came */
    bool evicted;      /* it gave way: core/rpc/budget.h */
    bool is_malformed; /* what the peer sent: the fault says how */
    struct rpc_identity identity;
    struct http_fields headers; /* the handler's response metadata */
    struct fault fault;
    int http_status; /* of an error as Connect sends it; 0: the one of its code */
    bool spawned;    /* a fiber was started: it frees the call, unless the stream closes after it has ended */
    bool began;      /* response headers went out */
    struct arena messages; /* of rpc_receive: reset at each */
    bool replied;          /* rpc_reply was called */
    size_t reply_at;       /* in the output: the envelope of a reply that is being written */
    bool ended;            /* status went out */
    bool detached, listed_detached;
    bool waiting; /* the fiber is parked for body bytes or for room */
    bool is_late; /* the message that rpc_receive waits for did not come in time */
    void (*on_end)(void *arg);
    void *on_end_arg;
};

struct rpc_server {
    struct http_server http; /* first */
    struct rpc_server_options options;
    struct loop *loop;
    struct log *log;
    struct metrics *metrics;
    struct rpc_table table;

    struct list_node running, detached, pool;
    size_t n_running, n_detached, n_pool;
    struct admission admission;
    struct list_node slowed; /* calls whose refusal is held back, the next first */
    size_t n_slowed;
    struct limit_table *refusals; /* by network */
    struct fiber *keeper;         /* of turns.c; NULL while there is nothing to do */
    struct counter *slowed_refusals, *overload_refusals;
    uint64_t reported_refusals; /* of overload_refusals */
    int64_t report_at_ns;       /* the next may be */
    struct gauge *waiting, *run_limit;
    struct budgets budget;
    struct rpc_replies replies;
    struct descriptors *descriptors; /* of reflection.c, once it was asked */
    struct list_node watchers;       /* of health.c */
    bool draining;                   /* no new calls */
    bool stopping;                   /* calls are being cancelled */
    bool was_serving;
    struct fiber *stopper; /* parked in rpc_server_stop, to be woken by changes */
    struct gauge *in_flight, *streams_detached, *queued_bytes, *unsent_bytes, *waiting_replies;
    struct counter *gave_way;
};

/* ---- call.c */
void rpc_server_changed(struct rpc_server *s); /* a call or a connection has ended */
uint64_t rpc_path_hash(struct str path);
struct rpc_entry *rpc_table_find(struct rpc_table *t, struct str path);
bool rpc_server_serving(struct rpc_server *s);
bool rpc_server_has_service(const struct rpc_server *s, struct str service);
void rpc_count(struct rpc_call *call, enum error e);
/* When the server's request timeout is over for it; 0: there is none. */
int64_t rpc_timeout_at_ns(const struct rpc_call *call);
/* Waits for the rest of the one message of the request. */
void rpc_want_request(struct rpc_call *call);
/* Returns the call to the pool when neither its stream nor its fiber holds it. */
void rpc_call_release_if_done(struct rpc_call *call);
void rpc_call_dispose(struct rpc_call *call);
/* Drops the first n bytes of the request's body, or all. */
void rpc_body_take(struct rpc_call *call, size_t n);
void rpc_body_free(struct rpc_call *call);
/* Ends a call that has no fiber, or whose fiber is done. */
void rpc_end(struct rpc_call *call, enum error e, const struct fault *fault);
void rpc_stream_ended(struct rpc_call *call); /* calls on_end, once */
/* Wakes the fiber if it is parked for the stream. */
void rpc_call_wake(struct rpc_call *call);

/* The descriptors of the API; one copy for all streams that ask, since anybody may open them. NULL on allocation
 * failure. */
const struct descriptors *rpc_descriptors(struct rpc_call *call);

/* ---- message.c */
/* The four bytes of an envelope's length. */
void rpc_put_length(char *p, size_t length);
/* Opens an envelope in out (if the protocol has them); returns where, for rpc_close_envelope. */
size_t rpc_open_envelope(struct rpc_call *call, struct buf *out);
void rpc_close_envelope(struct rpc_call *call, struct buf *out, size_t at);
/* Appends one framed message to the response. */
void rpc_append_message(struct rpc_call *call, const ProtobufCMessage *m);
/* Decodes bytes to a message in the arena, of which it may take RPC_DECODE_LIMIT, with its texts in their normal
 * forms. Returns NULL and fills *fault when it is not a message, or a text is not what its field's rule asks for. */
const ProtobufCMessage *rpc_decode(struct rpc_call *call, struct str bytes, struct arena *a,
                                   struct fault *fault);
/* Maximum bytes of a message of this call: the method's own limit, or the server's. */
size_t rpc_message_limit(const struct rpc_call *call);
/* Checks the envelope at the front of body. Returns 0 with *complete: whether the whole message has arrived; or the
 * error of a bad envelope. */
enum error rpc_envelope(struct rpc_call *call, bool *complete, struct fault *fault);

/* ---- held.c */
/* Counts the request by its headers. Returns 0, or the error that refuses it. */
enum error rpc_hold(struct rpc_call *call, struct fault *fault);
/* The sender is known: call->identity. */
void rpc_held_by(struct rpc_call *call);
/* Keeps n more bytes of the body. */
enum error rpc_hold_more(struct rpc_call *call, const char *bytes, size_t n, struct fault *fault);
/* Whether a fiber must authenticate before the body may be large. */
bool rpc_must_look_up(const struct rpc_call *call);
void rpc_evict(struct budget_request *r);
/* The request has arrived: a call that will end by itself does not give way any more. */
void rpc_held_whole(struct rpc_call *call);
/* Once a second: a line in the log a minute when requests gave way. */
void rpc_held_sweep(struct rpc_server *s, int64_t now_ns);
/* The error of a call that gave way, with its sentence in call->fault. */
enum error rpc_evicted(struct rpc_call *call);

/* ---- replies.c */
/* start is rpc_call_go, which is built on this. */
void rpc_replies_init(struct rpc_server *s, void (*start)(struct rpc_call *call));
/* Returns true when the call may start now; it waits otherwise, and is started in its turn. */
bool rpc_replies_take(struct rpc_call *call);
/* The call has made its reply. */
void rpc_replies_made(struct rpc_call *call);
/* The call does not wait or run any more; harmless when it did neither. */
void rpc_replies_over(struct rpc_call *call);
/* Something may have made room: looked at when the turn of the loop ends. */
void rpc_replies_later(struct rpc_server *s);
void rpc_replies_sweep(struct rpc_server *s, int64_t now_ns);
/* Ends waiting calls whose deadline has passed; all, while the server cancels calls. */
void rpc_replies_end_waiting(struct rpc_server *s, int64_t now_ns);

/* ---- dispatch.c */
extern const struct http_app rpc_app;

/* ---- hints.c: sentences for requests that cannot become calls */
void rpc_hint_path(const struct rpc_call *call, struct buf *out);        /* nothing is there */
void rpc_hint_http_method(const struct rpc_call *call, struct buf *out); /* what is there is not asked so */
void rpc_hint_content(const struct rpc_call *call, struct buf *out);     /* nor is its content type right */

/* ---- cors.c */
/* Adds to the response what lets the page that called read it. */
void rpc_cors_begin(struct rpc_call *call);
/* Whether the request is a browser's question whether a page may call. */
bool rpc_cors_is_preflight(const struct rpc_call *call);
/* Answers it, behind rpc_cors_begin. Returns false, and has not answered, when the page may not call. */
bool rpc_cors_preflight(struct rpc_call *call);
/* ---- turns.c */
/* Ends a call that is not served, sooner or later. */
void rpc_refuse(struct rpc_call *call, enum error e, const struct fault *fault);
/* Runs fn in a fiber of the call: immediately, when it is its turn, or never: then it has been refused. */
void rpc_turns_start(struct rpc_call *call, fiber_fn *fn);
/* The same without waiting. Returns false when there is no memory for the fiber. */
bool rpc_turns_run(struct rpc_call *call, fiber_fn *fn);
void rpc_turns_ran(struct rpc_call *call);    /* its fiber has got to run */
void rpc_turns_leave(struct rpc_call *call);  /* its fiber ends: others may run */
void rpc_turns_forget(struct rpc_call *call); /* its stream has closed before it ran */
void rpc_turns_sweep(struct rpc_server *s);   /* logs what was refused, once a minute */
void rpc_turns_drain(struct rpc_server *s);   /* sends what is held back */

/* ---- rpc.c */
void rpc_call_start(struct rpc_call *call);
/* Its turn has come. */
void rpc_call_go(struct rpc_call *call);
/* Starts a fiber that authenticates while the body comes. */
void rpc_call_check(struct rpc_call *call);
/* The fiber of a plain route. */
bool rpc_call_start_route(struct rpc_call *call);

/* ---- status.c */
/* Whether a client sees the fault of the server: UNKNOWN, INTERNAL or DATA_LOSS. */
bool rpc_is_internal(enum error e);
/* What a client may read about e: the fault's sentence; or the table's when that is for logs only. */
struct str rpc_public_text(enum error e, const struct fault *fault);
/* Percent-encodes for grpc-message, at most 1 KiB. */
void rpc_percent_encode(struct buf *out, struct str text);
/* google.rpc.Status with BadRequest and RetryInfo, encoded; empty when there are no details. */
bool rpc_details_proto(struct buf *out, enum error e, const struct fault *fault);
/* The Connect error object. */
void rpc_error_json(struct buf *out, enum error e, const struct fault *fault);
int rpc_http_status(int grpc_status);
/* The same for an answer in HTTP that has no fault. */
void rpc_refusal_json(struct buf *out, int http_status, const char *why);
const char *rpc_code_name(int grpc_status); /* "OK", "NOT_FOUND" */

/* ---- grpc.c */
/* "100m" -> ns, saturating. False when malformed. */
bool rpc_parse_timeout(struct str text, int64_t *ns);

/* ---- connect.c */
/* GET: the message from the query, into call->body. */
enum error rpc_connect_get(struct rpc_call *call, struct fault *fault);

/* ---- health.c */
const struct rpc_method *health_methods(size_t *n);
void health_sweep(struct rpc_server *s); /* notifies watchers of changes */

#endif
