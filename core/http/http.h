/* Requests and responses as streams, over HTTP/1.1 and HTTP/2 alike.
 *
 * Words: a *connection* (struct http_conn) speaks one *protocol* (http1.c or http2.c); it carries *streams*
 * (struct http_stream), each one request and its response; the *application* (rpc.c) answers them. A stream
 * is embedded in the application's own object, which the application makes (open) and frees.
 *
 * Upcalls, in this order: open, request (the head is complete), data*, end (of the request's body), closed
 * (exactly once, at any point after open; the stream has no connection from then on). wants_more comes
 * whenever unsent output has fallen to HTTP_LOW_WATER or below after it was above.
 *
 * Downcalls are the http_* functions below; all are harmless on a closed stream. Nothing here suspends, and nothing
 * is written before the end of the turn.
 *
 * Output of a stream is bytes (s->out, appended through http_out) and then shared blobs (http_push): after a blob,
 * only blobs may follow.
 */
#ifndef ROOKERY_CORE_HTTP_HTTP_H
#define ROOKERY_CORE_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/str.h"

struct http_conn;

/* Limits that guard against a peer; each names the attack. */
#define HTTP_MAX_HEAD_BYTES ((size_t)16 * 1024) /* name + value + 32 summed: header bombs */
#define HTTP_MAX_FIELDS ((size_t)128)
#define HTTP_LOW_WATER ((size_t)32 * 1024)  /* a waiting producer goes on */
#define HTTP_HIGH_WATER ((size_t)64 * 1024) /* a producer must wait */
#define HTTP_LEAST_BYTES ((size_t)4096)     /* less is a peer that only pretends to read or to send: */
#define HTTP_LEAST_S 30                     /* of a message that we wait for, in this time */

/* ---- header fields ------------------------------------------------------------------------------------- */

struct http_field {
    uint32_t name_at, name_len, value_at, value_len; /* in bytes */
};

/* Names are lower case. clear keeps the memory, so that a pooled stream does not allocate. */
struct http_fields {
    struct buf bytes;
    struct http_field *v;
    size_t n, cap;
};
void http_fields_free(struct http_fields *f);
void http_fields_clear(struct http_fields *f);
void http_fields_add(struct http_fields *f, struct str name, struct str value);
/* Replaces the value of the i-th. */
void http_fields_set(struct http_fields *f, size_t i, struct str value);
struct str http_fields_name(const struct http_fields *f, size_t i);
struct str http_fields_value(const struct http_fields *f, size_t i);
/* The first value of that name; false when absent. */
bool http_fields_find(const struct http_fields *f, struct str name, struct str *value);
size_t http_fields_count(const struct http_fields *f, struct str name);

/* ---- blobs: bytes encoded once, shared by reference ---------------------------------------------------- */

struct http_blob {
    size_t refs, len;
    char bytes[];
};
struct http_blob *http_blob_new(struct str bytes); /* one reference, the caller's */
void http_blob_unref(struct http_blob *b);

struct http_blob_queue {
    struct http_blob **v;
    size_t head, n, cap; /* a ring; cap is a power of two */
    size_t bytes;        /* sum of the lengths */
    size_t sent;         /* of the first */
};

/* ---- streams ------------------------------------------------------------------------------------------- */

/* What of the request the application waits for (http_want_...), and is told of when it is late. */
enum http_wants {
    HTTP_WANTS_NOTHING,
    HTTP_WANTS_MESSAGE, /* the next one, of which nothing has come */
    HTTP_WANTS_REST     /* of one that has begun */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

/* HTTP_OTHER for a name that is not one of these, in capitals. */
enum http_method http_method_from(struct str name);

struct http_stream {
    struct list_node node;  /* on its connection's list */
    struct http_conn *conn; /* NULL once closed */
    int32_t id;
    uint64_t network; /* of the client: core/http/network.h */
    enum http_method method;
    struct str path, query;     /* into request; valid from the request upcall on */
    struct http_fields request; /* ":path" included, other pseudo fields left out */
    size_t head_bytes;          /* of the request's fields, name + value + 32 each */
    bool head_too_large;
    bool request_ended;
    bool responded; /* the response's head was submitted */
    bool finished;  /* no more output will come */
    bool dry;       /* the protocol asked for output and there was none */
    bool was_full;  /* unsent passed HTTP_HIGH_WATER: wants_more must follow */
    bool is_wide;   /* http_widen */
    enum http_wants wants;
    unsigned empty_frames;
    struct buf out;
    size_t out_sent, n_counted; /* in the connection's n_unsent */
    struct http_blob_queue blobs;
    struct http_fields trailers;
    size_t moved;        /* bytes sent since progress_ns */
    int64_t progress_ns; /* when bytes were last sent, trickles not counted */
    size_t came;         /* bytes of the request received since came_ns */
    int64_t came_ns;     /* when some last came, trickles not counted, or the application began to wait */
    int64_t body_by_ns;  /* when the rest must have come; 0: no such time */
    int64_t silent_ns;   /* how long the next message may not begin; 0: for ever */
};

/* Where the application appends response bytes; call http_flush afterwards. */
static inline struct buf *http_out(struct http_stream *s) {
    return &s->out;
}
static inline size_t http_unsent(const struct http_stream *s) {
    return s->out.len - s->out_sent + s->blobs.bytes - s->blobs.sent;
}

/* The response's head; more follows. fields are copied. content_length -1: unknown. */
void http_respond(struct http_stream *s, int status, const struct http_fields *fields,
                  int64_t content_length);
/* A response without a body (HEAD, gRPC trailers-only). content_length: what GET would have had, or -1. */
void http_respond_only(struct http_stream *s, int status, const struct http_fields *fields,
                       int64_t content_length);
void http_flush(struct http_stream *s);
void http_push(struct http_stream *s, struct http_blob *b); /* takes a reference of its own */
/* The end of the response; s->trailers, if any, go with it. */
void http_finish(struct http_stream *s);

enum http_reset {
    HTTP_RESET_INTERNAL,
    HTTP_RESET_CANCEL,
    HTTP_RESET_REFUSED, /* nothing was done: safe to try again */
    HTTP_RESET_CALM     /* the peer exceeds a limit */
};
void http_reset(struct http_stream *s, enum http_reset why);
/* The application has consumed n bytes of the request's body: the peer may send as many again. */
void http_consume(struct http_stream *s, size_t n);
/* The application waits for the peer, from now on, with the whole window given back: for the rest of a message, which
 * must come at the least rate (HTTP_LEAST_BYTES in HTTP_LEAST_S) and, unless by_ns is 0, by then; for the next message,
 * which must begin before the peer has been silent for silent_ns (0: whenever it likes); or not any more. */
void http_want_rest(struct http_stream *s, int64_t by_ns);
void http_want_message(struct http_stream *s, int64_t silent_ns);
void http_want_nothing(struct http_stream *s);
/* How long the stream's connection may be without a request. */
int64_t http_idle_ns(const struct http_stream *s);
/* The client's, core/http/network.h: of the peer, or of the client that a trusted proxy names; 0 once closed. */
uint64_t http_network(const struct http_stream *s);
/* Whether the connection is a proxy's, with requests of many clients. */
bool http_is_proxied(const struct http_stream *s);
bool http_is_h2(const struct http_stream *s);
/* The stream's request is of this account, which has been authenticated: core/http/peers.h. */
void http_known(struct http_stream *s, int64_t account_id);
/* The peer may send more of this request ahead: of somebody who is known, and of a body that is long. */
void http_widen(struct http_stream *s);

/* ---- the application ----------------------------------------------------------------------------------- */

struct http_app {
    void *context;
    struct http_stream *(*open)(
        void *context); /* zeroed or recycled through http_stream_recycle; never NULL */
    void (*request)(struct http_stream *s);
    void (*data)(struct http_stream *s, const char *bytes, size_t n);
    void (*end)(struct http_stream *s);
    void (*wants_more)(struct http_stream *s);
    void (*sent)(void *context); /* some of the unsent output of some stream was taken, or dropped */
    void (*closed)(struct http_stream *s);
    /* What the application waits for (http_want_...) did not come in time; it waits for nothing now. */
    void (*late)(struct http_stream *s);
    /* Appends the JSON body of an answer to a request that cannot be read. */
    void (*refusal)(struct buf *out, int status, const char *why);
};

/* Makes a stream ready for another request; buffers of at most keep bytes stay allocated. */
void http_stream_recycle(struct http_stream *s, size_t keep);
void http_stream_dispose(struct http_stream *s);

#endif
