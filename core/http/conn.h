/* Inside the transport: connections, and what a protocol is. For listener.c, http1.c, http2.c and http.c.
 *
 * listener.c makes a connection, looks at its first bytes and hands it to a protocol. conn_close() is the only way it
 * ends: it tells every stream, frees the protocol's state, then closes the socket.
 */
#ifndef ROOKERY_CORE_HTTP_CONN_H
#define ROOKERY_CORE_HTTP_CONN_H

#include "core/base/metrics.h"
#include "core/http/http.h"
#include "core/http/peers.h"
#include "core/http/proxies.h"
#include "core/http/socket.h"

#define HTTP_IDLE_S 300 /* a connection without streams */

/* What all connections of a server share. */
struct http_server {
    struct loop *loop;
    struct log *log;
    struct metrics *metrics;
    struct http_app app;
    struct socket_pool pool;
    uv_tcp_t listener;
    uv_timer_t sweeper;
    struct list_node conns;
    size_t n_conns, n_open /* not closed yet */, max_conns;
    struct peers peers;
    struct proxies proxies;
    int port;
    unsigned open_handles; /* listener and sweeper */
    bool draining;
    int64_t swept_ns;                 /* when the last sweep was */
    bool stood_still;                 /* the loop did, before this sweep */
    void (*on_change)(void *context); /* a connection or the listener has closed (during the drain) */
    void (*on_sweep)(void *context);
    void *h2_options; /* nghttp2_option, made by http2.c */
    void *h2_callbacks;
    char date[40]; /* the Date header's value */
    int64_t date_s;
    struct counter *accepted, *refused;
    struct gauge *open_conns, *open_streams;
    size_t n_streams, n_unsent; /* bytes of all connections, without shared ones */
};

enum http_phase { HTTP_INTRODUCED /* by a PROXY header */, HTTP_SNIFFING, HTTP_SPEAKING };

struct http_protocol {
    bool multiplexed; /* HTTP/2 */
    /* The first bytes are this protocol's. Returns false on allocation failure. */
    bool (*begin)(struct http_conn *c);
    void (*read)(struct http_conn *c, const char *bytes, size_t n);
    void (*fill)(struct http_conn *c);
    /* The peer sends no more. Returns whether it is still to be answered. NULL: never. */
    bool (*ended)(struct http_conn *c);
    void (*end)(struct http_conn *c);             /* frees c->state; streams are closed already */
    void (*drain)(struct http_conn *c, bool now); /* no new streams; now: the second step */
    /* Closes or resets what takes too long; called once a second. */
    void (*sweep)(struct http_conn *c, int64_t now_ns);
    void (*respond)(struct http_stream *s, int status, const struct http_fields *f, int64_t content_length,
                    bool only);
    void (*resume)(struct http_stream *s); /* output was added, or finished */
    void (*reset)(struct http_stream *s, enum http_reset why);
    void (*consume)(struct http_stream *s, size_t n);
    void (*widen)(struct http_stream *s); /* or NULL */
};
extern const struct http_protocol http1_protocol, http2_protocol;

struct http_conn {
    struct net_socket socket; /* first */
    struct list_node node;
    struct http_server *server;
    const struct http_protocol *protocol;
    void *state; /* the protocol's */
    struct list_node streams;
    size_t n_streams;
    enum http_phase phase;
    int64_t opened_ns, idle_since_ns; /* idle: without streams */
    int64_t finish_by_ns;             /* 0, or when a finishing connection is cut */
    char sniffed[24];
    size_t n_sniffed;
    bool closed;
    uint64_t network; /* that the peer calls from: core/http/network.h */
    bool is_proxied;  /* of a trusted proxy: its clients are known by what it says of them */
    struct buf early; /* a PROXY header that is not complete */
    struct peer_place place;
    size_t n_unsent,
        n_taken; /* bytes of its streams that wait to be written; that were written since the last sweep */
    unsigned slow_sweeps; /* the application's */
    void *application;    /* the application's: malloc'ed, freed with the connection */
};

/* Binds, listens, starts the sweep. On failure: false and a sentence in *fault. */
struct fault;
bool http_server_listen(struct http_server *s, const char *address, struct fault *fault);
void http_server_stop_accepting(struct http_server *s);
void http_server_drain(struct http_server *s, bool now);
void http_server_close_all(struct http_server *s);
void http_server_release(struct http_server *s); /* after the last handle has closed */
const char *http_server_date(struct http_server *s);

void conn_close(struct http_conn *c, const char *reason);
/* The orderly close: flush, shut down, wait briefly for the peer to close. */
void conn_finish(struct http_conn *c);

/* A stream of this connection begins or ends. */
struct http_stream *conn_stream_open(struct http_conn *c, int32_t id);
void conn_stream_closed(struct http_stream *s);
/* Adds one request header field, counted against the limits. Returns false when the peer went far beyond them. */
bool conn_request_field(struct http_stream *s, struct str name, struct str value);
/* Splits path and query, then calls the application. */
void conn_request_complete(struct http_stream *s);

/* For protocols: copies a stream's next output bytes, at most max, to p. Returns how many. */
size_t http_take(struct http_stream *s, char *p, size_t max);
/* Counts what of the stream is unsent. */
void http_settle(struct http_stream *s);
/* Records that n bytes were taken: notes the progress, wakes a waiting producer. */
void http_after_take(struct http_stream *s, size_t n);

/* Notes that n bytes of the request have come. */
void http_received(struct http_stream *s, size_t n, int64_t now_ns);
/* Whether what the application waits for stands still or trickles, or its time is over. */
bool http_is_late(const struct http_stream *s, int64_t now_ns);
/* Tells the application, if so. For sweeps. */
void conn_check_body(struct http_stream *s, int64_t now_ns);

void count_drop(struct http_server *s, const char *reason);

bool http2_options_new(struct http_server *s);
void http2_options_free(struct http_server *s);

#endif
