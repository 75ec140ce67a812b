/* The rpc surface: one table of methods, served as gRPC and as Connect on one port, over HTTP/2 (h2c by prior
 * knowledge) and HTTP/1.1 (Connect, and plain routes such as /healthz).
 *
 * Layers, top down:
 *   handler               a fiber per call
 *   rpc.c                 admission, deadline, codec, status
 *   grpc.c, connect.c     each protocol's framing and status
 *   http.h                requests and responses as streams
 *   http2.c, http1.c      the two versions of HTTP; http2.c uses nghttp2
 *   listener.c, socket.c  libuv; TLS will go between the socket and HTTP
 *
 * A call's life: headers arrive -> the method is found, the application admits the call, and whose the request is is
 * decided (held.c) -> message bytes arrive and are bounded (budget.h) -> the replies before it are sent (replies.c) ->
 * it is the call's turn (admission.h: immediately, but under overload) -> a fiber starts, the authenticator runs -> the
 * message is decoded, its texts are brought to their normal forms (core/text/fields.h) -> the handler runs -> the reply
 * and status go out. The client's RST, a closed connection or the deadline cancels the fiber. The call is freed when
 * its fiber has ended and its stream is closed, whichever comes last.
 *
 * A handler returns 0 or an enum error; the sentence is in rpc_fault(call).
 */
#ifndef ROOKERY_CORE_RPC_RPC_H
#define ROOKERY_CORE_RPC_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "core/async/loop.h"
#include "core/base/error.h"
#include "core/base/str.h"
#include "core/http/peers.h"
#include "core/rpc/budget.h"

struct log;
struct metrics;
struct text_fields;
struct rpc_call;
struct rpc_server;

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_CLIENT_STREAM, RPC_BIDI };

/* request: the decoded message (unary and server streaming). NULL for client streams: they call rpc_receive. */
typedef int rpc_handler(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request);

struct rpc_method {
    const char *path; /* "/rookery.v1.PostService/CreatePost" */
    enum rpc_kind kind;
    const ProtobufCMessageDescriptor *request, *reply;
    rpc_handler *handler;
    bool is_public;           /* the authenticator is not run */
    bool side_effect_free;    /* may be called by Connect GET */
    size_t max_message_bytes; /* 0: the server's */
    /* The application gives these their meaning. */
    uint8_t permission, cost;
};

/* ---- inside a handler ---------------------------------------------------------------------------------- */
void *rpc_context(const struct rpc_call *call); /* rpc_server_options.context */
struct arena *rpc_arena(struct rpc_call *call); /* the fiber's arena: dies with the call */
struct fault *rpc_fault(struct rpc_call *call);
const struct rpc_method *rpc_call_method(const struct rpc_call *call);
/* Finds request metadata by lower-case name: the first value. Returns false when absent. -bin values are decoded. */
bool rpc_metadata(const struct rpc_call *call, const char *name, struct str *value);
/* Adds response metadata, sent with the headers or with the trailers. Copied. Names and values come from our own
 * code: asserted valid. */
void rpc_set_header(struct rpc_call *call, const char *name, struct str value);
void rpc_set_trailer(struct rpc_call *call, const char *name, struct str value);
uint64_t rpc_network(const struct rpc_call *call); /* the client's, core/http/network.h; 0 once it has gone */

/* The caller's identity, set by the authenticator. */
struct rpc_identity {
    int64_t account_id, session_id; /* 0 when anonymous */
    int64_t expires_ns;             /* when the session does, by the monotonic clock */
    int64_t sure_ns;                /* the authenticator's: until when it needs not ask again, */
    uint64_t sure_at;               /* as long as this is the number of its changes; 0: it must */
};
/* For a stream that mostly waits from here on: it does not count as a call that runs any more. Receiving and sending
 * say so by themselves when they wait. */
void rpc_will_wait(struct rpc_call *call);
struct rpc_identity *rpc_identity(struct rpc_call *call);

/* Unary and client-streaming: exactly one of these before returning 0. The message is encoded immediately. */
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *reply);
/* For a method whose reply has no fields: replies if e is 0. Returns e. */
int rpc_reply_empty(struct rpc_call *call, int e);
/* A reply that the handler encodes itself, in protobuf: it appends to the buffer that rpc_reply_open returns, then
 * calls rpc_reply_close. It may suspend in between. If it then returns an error, its bytes are dropped. For JSON
 * clients the reply is decoded and encoded again. */
struct buf *rpc_reply_open(struct rpc_call *call);
void rpc_reply_close(struct rpc_call *call);
/* The same for bytes that are encoded already; copied. */
void rpc_reply_encoded(struct rpc_call *call, struct str bytes);

/* Whether a reply of so many bytes may be made now. If not, rpc_await_room waits until it may; it is best asked before
 * the memory is taken. rpc_await_room returns 0, ERR_CANCELLED or ERR_DEADLINE_EXCEEDED. */
bool rpc_has_room(struct rpc_call *call, size_t bytes);
int rpc_await_room(struct fiber *self, struct rpc_call *call, size_t bytes);

/* Server streaming: waits while more than 64 KiB of this stream is unsent (backpressure). Returns 0, ERR_CANCELLED or
 * ERR_DEADLINE_EXCEEDED. Headers go out with rpc_send_headers or the first message. */
int rpc_send(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *message);
int rpc_send_headers(struct fiber *self, struct rpc_call *call);
/* The same for a shared message (below); the caller keeps its reference. */
struct rpc_shared;
int rpc_send_shared(struct fiber *self, struct rpc_call *call, struct rpc_shared *message);

/* Client streaming and bidi: receives the next message; *out is NULL at the end of the client's stream. Returns
 * ERR_DEADLINE_EXCEEDED when it does not begin, or trickles (core/http/http.c). */
int rpc_receive(struct fiber *self, struct rpc_call *call, const ProtobufCMessage **out);

/* ---- streams without a fiber (live feeds) -------------------------------------------------------------- */

/* A server-streaming handler may detach its stream: when it has returned 0, its fiber and arena are freed, while the
 * stream stays open and callbacks feed it. on_end is called once, when the client has gone, the stream has ended or
 * the server drains, but not after rpc_stream_end. After on_end or rpc_stream_end the stream must not be used. */
struct rpc_stream;
struct rpc_stream *rpc_detach(struct rpc_call *call, void (*on_end)(void *arg), void *arg);
/* A message encoded once and shared by reference by any number of streams. Reference-counted; one thread. */
struct rpc_shared;
struct rpc_shared *rpc_shared_new(const ProtobufCMessage *m);
void rpc_shared_ref(struct rpc_shared *s);
void rpc_shared_unref(struct rpc_shared *s);
/* Queues the message (takes a reference). Returns false when the stream's queue holds more than max_queued bytes: the
 * caller decides what to do. Never suspends. */
bool rpc_stream_send(struct rpc_stream *s, struct rpc_shared *message, size_t max_queued);
size_t rpc_stream_queued(const struct rpc_stream *s); /* bytes not yet written */
void rpc_stream_end(struct rpc_stream *s, enum error e, const char *text);

/* ---- plain HTTP routes (GET and HEAD) ------------------------------------------------------------------ */
struct http_reply {
    int status;
    const char *content_type;
    struct buf body; /* initialised; freed by the server */
};
typedef void http_route_fn(struct fiber *self, void *context, struct str path, struct str query,
                           struct http_reply *out);
struct http_route {
    const char *path; /* exact */
    http_route_fn *fn;
};

/* ---- the server ---------------------------------------------------------------------------------------- */
struct rpc_server_options {
    /* "ADDR:PORT"; port 0 picks one. SO_REUSEPORT is set: several processes may share a port. */
    const char *listen;
    /* Borrowed, n_methods. The server adds grpc.health.v1 and reflection. */
    const struct rpc_method *methods;
    size_t n_methods;
    const struct text_fields *texts; /* of requests (core/text/fields.h); borrowed; NULL: no rules */
    const struct http_route *routes;
    size_t n_routes;
    /* Runs when a call's headers have arrived, before its body is taken and before anything is spent on it; may be
     * NULL. May set rpc_identity when it knows who calls. Returns 0, or the error to end the call with. Never
     * suspends. */
    int (*admit)(struct rpc_call *call, struct fault *fault);
    /* Runs in the call's fiber before the handler of a method that is not public. Returns 0 to let the call pass. */
    int (*authenticate)(struct fiber *self, struct rpc_call *call);
    /* Optional: the same by the headers alone, without suspending, so that the request is held for its sender. Returns
     * 0 and sets the identity; ERR_NOT_FOUND when authenticate must be asked; or the error that refuses the call. A
     * call that it lets pass is authenticated all the same. */
    int (*recognize)(struct rpc_call *call);
    void *context;
    bool (*ready)(void *context); /* for grpc.health.v1: SERVING or NOT_SERVING */
    /* Of unary calls without a client deadline, from their headers; other single messages must have come by then. */
    int64_t request_timeout_ms;
    size_t max_calls; /* that run at a time; as many may wait for their turn */
    size_t max_connections, max_message_bytes;
    /* Origins whose pages may call from a browser, separated by commas: "https://app.example", "http://localhost:*"
     * (any port), "*" (all). NULL or "": none. */
    const char *cors_origins;
    const char *trusted_proxies; /* core/http/proxies.h; NULL: none */
    bool proxy_headers;          /* they send PROXY headers, not X-Forwarded-For */
    struct peer_limits peers;    /* of connections */
    struct budget_limits budget; /* of the bytes of requests */
    size_t reply_bytes;          /* unsent or being made, above which calls wait; 0: no limit */
};

/* Binds and listens. Returns NULL with a sentence in *fault on failure. */
struct rpc_server *rpc_server_start(struct loop *l, const struct rpc_server_options *o, struct log *log,
                                    struct metrics *metrics, struct fault *fault);
int rpc_server_port(const struct rpc_server *s);
/* Drains: stops accepting, health says NOT_SERVING, GOAWAY, waits for calls until time_ms has passed, ends
 * streams with UNAVAILABLE, closes every connection, frees. */
void rpc_server_stop(struct fiber *self, struct rpc_server *s, int64_t time_ms);

#endif
