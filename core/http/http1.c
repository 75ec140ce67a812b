/* HTTP/1.1, the server's side: our own, small and strict.
 *
 * One exchange at a time: head -> body (by length or in chunks, passed on as it arrives) -> the response, by length
 * or in chunks, at the end of the turn -> the next head. Requests that are pipelined wait unread (up to 64 KiB, then
 * the socket is not read) and are answered in order.
 *
 * Failures: a head or a chunk that is not strictly valid -> one refusal, then the connection ends, since it is
 * unknown where the next request begins. A response that is complete before its request -> the connection ends after
 * it. The peer sends no more -> what it has asked completely is answered, since it may still read; a request that is
 * incomplete -> the connection ends. The peer has gone -> the stream is closed, its call cancelled. A reset by the
 * application -> the connection is cut without the final chunk, which is how HTTP/1.1 signals an aborted response.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/moves.h"
#include "core/http/conn.h"
#include "core/http/http1_parse.h"

enum {
    MAX_WAITING = 64 * 1024,     /* pipelined bytes kept while an exchange is under way */
    MAX_UNCONSUMED = 256 * 1024, /* body bytes a slow handler may have waiting: the socket rests above this */
    MAX_NARROW = 64 * 1024,      /* the same of somebody unknown */
    MAX_LINE = 256,              /* a chunk-size or trailer line */
    MAX_TRAILERS = 32,
    HEAD_S = 10,
    SLOW_READER_S = 60
};

enum state { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, WAITING, BROKEN };

static const moves MOVES[] = {
    [HEAD] = MOVE_TO(BODY) | MOVE_TO(CHUNK_SIZE) | MOVE_TO(BROKEN),
    [BODY] = MOVE_TO(WAITING),
    [CHUNK_SIZE] = MOVE_TO(CHUNK_DATA) | MOVE_TO(TRAILERS) | MOVE_TO(BROKEN),
    [CHUNK_DATA] = MOVE_TO(CHUNK_END),
    [CHUNK_END] = MOVE_TO(CHUNK_SIZE) | MOVE_TO(BROKEN),
    [TRAILERS] = MOVE_TO(WAITING) | MOVE_TO(BROKEN),
    [WAITING] = MOVE_TO(HEAD),
    [BROKEN] = 0,
};

struct h1 {
    struct http_conn *conn;
    struct http_stream *stream; /* the exchange under way */
    enum state state;
    struct buf in;     /* bytes not parsed yet */
    size_t scanned;    /* of the head: no blank line up to here */
    uint64_t left;     /* of the body or of the chunk */
    size_t unconsumed; /* body bytes given to the application and not consumed */
    unsigned trailers;
    int64_t head_since_ns;
    struct http1_head head;
    struct buf out_head; /* the response's head, up to but without its last line */
    bool head_written, by_length, in_chunks, owe_continue, must_close;
    bool half_closed; /* the peer sends no more */
};

static void enter(struct h1 *h, enum state state) {
    MOVES_CHECK(MOVES, h->state, state);
    h->state = state;
}

static const char *reason_phrase(int status) {
    static const struct {
        int status;
        const char *text;
    } table[] = {{200, "OK"},
                 {204, "No Content"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {499, "Client Closed Request"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status) return table[i].text;
    return "Status";
}

/* ---- input --------------------------------------------------------------------------------------------- */

/* The answer to a request that cannot be read. */
static void write_refusal(struct h1 *h, int status, const char *why) {
    struct buf body;
    buf_init(&body);
    h->conn->server->app.refusal(&body, status, why);
    buf_clear(&h->out_head);
    buf_printf(&h->out_head,
               "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\ndate: %s\r\n"
               "connection: close\r\n\r\n",
               status, reason_phrase(status), body.len, http_server_date(h->conn->server));
    if (h->head.method != HTTP_HEAD) buf_append_str(&h->out_head, buf_str(&body));
    buf_free(&body);
}

/* Answers a request that cannot be read, and ends the connection. */
static void refuse(struct h1 *h, int status, const char *why) {
    if (h->state == BROKEN) return;
    enter(h, BROKEN);
    count_drop(h->conn->server, "http1_refused");
    socket_flush_later(&h->conn->socket);
    struct http_stream *s = h->stream;
    if (s && s->responded) { /* an answer is already on its way: cut */
        h->must_close = true;
        return;
    }
    h->stream = NULL;
    if (s) conn_stream_closed(s);
    write_refusal(h, status, why);
}

static void request_ended(struct h1 *h) {
    enter(h, WAITING);
    h->stream->request_ended = true;
    h->stream->progress_ns = loop_now_ns(h->conn->server->loop);
    h->conn->server->app.end(h->stream);
}

static void begin_exchange(struct h1 *h, struct str head) {
    struct http_stream *s = conn_stream_open(h->conn, 0);
    h->stream = s;
    http_fields_add(&s->request, STR(":path"), (struct str){0}); /* its place; the target is known later */
    int status = http1_parse_head(head, &h->head, &s->request);
    if (status != 0) {
        refuse(h, status, h->head.why);
        return;
    }
    buf_clear(&h->out_head);
    h->head_written = h->by_length = h->in_chunks = false;
    h->owe_continue = h->head.expect_continue && h->head.minor == 1;
    h->unconsumed = 0;
    h->trailers = 0;
    h->left = h->head.content_length > 0 ? (uint64_t)h->head.content_length : 0;
    s->method = h->head.method;
    http_fields_set(&s->request, 0, h->head.target);
    enter(h, h->head.chunked ? CHUNK_SIZE : BODY);
    conn_request_complete(s);
    if (!h->head.chunked && h->left == 0) request_ended(h);
}

/* Each step takes a prefix of the bytes and returns its length; 0: more is needed, or none is wanted. */

/* What begins as no request does is refused without waiting for its end. */
static void refuse_strange(struct h1 *h, char first) {
    enum { TLS_HANDSHAKE = 0x16 };
    refuse(h, 400,
           first == TLS_HANDSHAKE ? "this port speaks HTTP without TLS: use http://"
                                  : "the request line does not begin with a method");
}

static size_t step_head(struct h1 *h, const char *p, size_t n) {
    if (!http1_may_begin(p[0])) {
        refuse_strange(h, p[0]);
        return 0;
    }
    if (h->scanned == 0 && n >= 2 && p[0] == '\r' && p[1] == '\n')
        return 2; /* a stray line before a request */
    if (!h->head_since_ns) h->head_since_ns = loop_now_ns(h->conn->server->loop);
    size_t from = h->scanned > 3 ? h->scanned - 3 : 0;
    const char *end = memmem(p + from, n - from, "\r\n\r\n", 4);
    size_t len = end ? (size_t)(end - p) + 4 : n;
    if (len > HTTP_MAX_HEAD_BYTES) {
        refuse(h, 431, "the request's header fields are larger than 16 KiB");
        return 0;
    }
    h->scanned = n;
    if (!end) return 0;
    h->scanned = 0;
    h->head_since_ns = 0;
    begin_exchange(h, (struct str){p, len});
    return len;
}

static void give_data(struct h1 *h, const char *p, size_t n) {
    struct http_stream *s = h->stream;
    h->owe_continue = false;
    http_received(s, n, loop_now_ns(h->conn->server->loop));
    h->unconsumed += n;
    h->conn->server->app.data(s, p, n);
    if (h->unconsumed > (s->is_wide ? MAX_UNCONSUMED : MAX_NARROW) && !s->finished)
        socket_pause(&h->conn->socket);
}

static size_t step_data(struct h1 *h, const char *p, size_t n) {
    size_t take = h->left < n ? (size_t)h->left : n;
    h->left -= take;
    bool last = h->left == 0;
    if (take) give_data(h, p, take);
    if (last && h->state == BODY) request_ended(h);
    if (last && h->state == CHUNK_DATA) enter(h, CHUNK_END);
    return take;
}

/* A line of at most MAX_LINE bytes; false when it is not complete (or was refused). */
static bool take_line(struct h1 *h, const char *p, size_t n, struct str *line) {
    const char *end = memmem(p, n, "\r\n", 2);
    if (!end) {
        if (n > MAX_LINE) refuse(h, 400, "a line between two chunks of the body is too long");
        return false;
    }
    *line = (struct str){p, (size_t)(end - p)};
    return true;
}

static size_t step_chunk_size(struct h1 *h, const char *p, size_t n) {
    struct str line;
    if (!take_line(h, p, n, &line)) return 0;
    if (!http1_parse_chunk_size(line, &h->left)) {
        refuse(h, 400, "a chunk of the body must begin with its size in hexadecimal digits");
        return 0;
    }
    enter(h, h->left ? CHUNK_DATA : TRAILERS);
    return line.len + 2;
}

static size_t step_chunk_end(struct h1 *h, const char *p, size_t n) {
    if (n < 2) return 0;
    if (p[0] != '\r' || p[1] != '\n') {
        refuse(h, 400, "a chunk of the body is not followed by the end of a line");
        return 0;
    }
    enter(h, CHUNK_SIZE);
    return 2;
}

static size_t step_trailer(struct h1 *h, const char *p, size_t n) {
    struct str line;
    if (!take_line(h, p, n, &line)) return 0;
    if (line.len == 0) {
        request_ended(h);
    } else if (!http1_is_field(line)) {
        refuse(h, 400, "a trailer must be a line of its own: a name, a colon and a value");
        return 0;
    } else if (++h->trailers > MAX_TRAILERS) {
        refuse(h, 431, "the request has too many trailers");
        return 0;
    }
    return line.len + 2;
}

static size_t step(struct h1 *h, const char *p, size_t n) {
    switch (h->state) {
    case HEAD: return step_head(h, p, n);
    case BODY:
    case CHUNK_DATA: return step_data(h, p, n);
    case CHUNK_SIZE: return step_chunk_size(h, p, n);
    case CHUNK_END: return step_chunk_end(h, p, n);
    case TRAILERS: return step_trailer(h, p, n);
    default: return 0;
    }
}

static size_t parse(struct h1 *h, const char *p, size_t n) {
    size_t at = 0;
    while (at < n) {
        size_t used = step(h, p + at, n - at);
        if (used == 0) break;
        at += used;
    }
    return at;
}

static void parse_waiting(struct h1 *h) {
    size_t used = parse(h, h->in.ptr, h->in.len);
    buf_consume(&h->in, used);
    if (h->in.len == 0) buf_free(&h->in); /* an idle connection holds no buffer */
}

static void h1_read(struct http_conn *c, const char *bytes, size_t n) {
    struct h1 *h = c->state;
    if (c->finish_by_ns || h->state == BROKEN) return;
    if (h->in.len) {
        buf_append(&h->in, bytes, n);
        parse_waiting(h);
    } else {
        size_t used = parse(h, bytes, n);
        if (used < n) buf_append(&h->in, bytes + used, n - used);
    }
    if (h->in.len > MAX_WAITING) socket_pause(&c->socket);
    if (h->owe_continue) socket_flush_later(&c->socket);
}

/* ---- output -------------------------------------------------------------------------------------------- */

static void h1_respond(struct http_stream *s, int status, const struct http_fields *f, int64_t content_length,
                       bool only) {
    struct h1 *h = s->conn->state;
    struct buf *b = &h->out_head;
    buf_printf(b, "HTTP/1.1 %d %s\r\ndate: %s\r\n", status, reason_phrase(status),
               http_server_date(s->conn->server));
    for (size_t i = 0; i < f->n; i++) {
        buf_append_str(b, http_fields_name(f, i));
        buf_append_cstr(b, ": ");
        buf_append_str(b, http_fields_value(f, i));
        buf_append_cstr(b, "\r\n");
    }
    h->by_length = content_length >= 0;
    h->in_chunks = !only && !h->by_length && h->head.minor == 1;
    if (h->by_length) buf_printf(b, "content-length: %lld\r\n", (long long)content_length);
    if (h->in_chunks) buf_append_cstr(b, "transfer-encoding: chunked\r\n");
    if (!only && !h->by_length && !h->in_chunks) h->head.keep_alive = false; /* 1.0: closing marks the end */
}

static bool write_text(struct h1 *h, struct str text) {
    char *p = socket_reserve(&h->conn->socket, text.len);
    if (!p) return false;
    memcpy(p, text.ptr, text.len);
    socket_commit(&h->conn->socket, text.len);
    return true;
}

/* The last line says whether the connection stays open, which is known only now. */
static bool write_head(struct h1 *h, bool keep) {
    if (h->head_written) return true;
    if (!keep) buf_append_cstr(&h->out_head, "connection: close\r\n");
    if (keep && h->head.minor == 0) buf_append_cstr(&h->out_head, "connection: keep-alive\r\n");
    buf_append_cstr(&h->out_head, "\r\n");
    h->head_written = write_text(h, buf_str(&h->out_head));
    if (h->head_written) buf_clear(&h->out_head);
    return h->head_written;
}

static void write_body(struct h1 *h) {
    enum { CHUNK_FRAME = 32 }; /* hexadecimal length and two CRLFs */
    struct net_socket *k = &h->conn->socket;
    struct http_stream *s = h->stream;
    while (http_unsent(s) && socket_room(k) > CHUNK_FRAME) {
        size_t n = http_unsent(s), most = socket_room(k) - CHUNK_FRAME;
        if (n > most) n = most;
        char *p = socket_reserve(k, n + CHUNK_FRAME);
        size_t at = h->in_chunks ? (size_t)sprintf(p, "%zx\r\n", n) : 0;
        at += http_take(s, p + at, n);
        if (h->in_chunks) {
            memcpy(p + at, "\r\n", 2);
            at += 2;
        }
        socket_commit(k, at);
        http_after_take(s, n);
    }
}

/* Whether the exchange under way, if any, cannot be completed, because the peer sends no more. */
static bool is_hopeless(const struct h1 *h) {
    return h->stream && !h->stream->request_ended && !h->stream->finished;
}

/* Behind the last complete request of a peer that sends no more. */
static void end_if_half_closed(struct h1 *h) {
    if (!h->half_closed) return;
    if (!h->stream && h->state == HEAD) conn_finish(h->conn);
    if (!is_hopeless(h)) return;
    h->must_close = true;
    socket_flush_later(&h->conn->socket);
}

static void exchange_done(struct h1 *h) {
    struct http_stream *s = h->stream;
    struct http_conn *c = h->conn;
    bool keep = h->head.keep_alive && s->request_ended && !c->server->draining;
    h->stream = NULL;
    conn_stream_closed(s);
    if (!keep) {
        conn_finish(c);
        return;
    }
    enter(h, HEAD);
    h->head.method = HTTP_OTHER;
    h->scanned = 0;
    socket_resume(&c->socket);
    if (h->in.len) parse_waiting(h);
    end_if_half_closed(h);
}

/* One response, as far as there is room. True when it is complete and another may follow. */
static bool fill_exchange(struct h1 *h) {
    struct http_stream *s = h->stream;
    if (h->owe_continue && !s->responded) {
        h->owe_continue = !write_text(h, STR("HTTP/1.1 100 Continue\r\n\r\n"));
        return false;
    }
    if (!s->responded) return false;
    bool keep = h->head.keep_alive && s->request_ended && !h->conn->server->draining;
    if (!write_head(h, keep)) return false;
    write_body(h);
    if (http_unsent(s)) return false;
    if (!s->finished) {
        s->dry = true;
        return false;
    }
    if (h->in_chunks && !write_text(h, STR("0\r\n\r\n"))) return false;
    if (!keep) h->head.keep_alive = false; /* as the head said */
    exchange_done(h);
    return true;
}

static void h1_fill(struct http_conn *c) {
    struct h1 *h = c->state;
    if (h->must_close) {
        conn_close(c, "http1_cut");
        return;
    }
    while (h->stream && !c->closed && !c->finish_by_ns && fill_exchange(h)) {
    }
    if (h->state == BROKEN && !h->stream && !c->finish_by_ns && write_text(h, buf_str(&h->out_head)))
        conn_finish(c);
}

static void h1_resume(struct http_stream *s) {
    (void)s; /* the flush that follows suffices */
}

static void h1_reset(struct http_stream *s, enum http_reset why) {
    struct h1 *h = s->conn->state;
    (void)why;
    h->must_close = true;
}

static void h1_consume(struct http_stream *s, size_t n) {
    struct h1 *h = s->conn->state;
    h->unconsumed -= n < h->unconsumed ? n : h->unconsumed;
    if (h->unconsumed <= MAX_NARROW / 2 && h->in.len <= MAX_WAITING) socket_resume(&s->conn->socket);
}

/* ---- time, begin and end ------------------------------------------------------------------------------- */

static void h1_drain(struct http_conn *c, bool now) {
    struct h1 *h = c->state;
    if (now && !h->stream) conn_finish(c); /* an exchange under way ends the connection itself */
}

static void h1_sweep(struct http_conn *c, int64_t now) {
    struct h1 *h = c->state;
    struct http_stream *s = h->stream;
    if (h->half_closed && socket_is_gone(&c->socket)) {
        conn_close(c, NULL);
        return;
    }
    if (!s) {
        if (h->head_since_ns && now - h->head_since_ns > HEAD_S * NS_PER_S)
            conn_close(c, "slow_head");
        else if (now - c->idle_since_ns > peers_idle_ns(c, HTTP_IDLE_S * NS_PER_S))
            conn_finish(c);
        return;
    }
    conn_check_body(s, now);
    int64_t still_s = (now - s->progress_ns) / NS_PER_S;
    if (s->responded && !s->dry && still_s > SLOW_READER_S) conn_close(c, "slow_reader");
}

static bool h1_ended(struct http_conn *c) {
    struct h1 *h = c->state;
    h->half_closed = true;
    if (c->finish_by_ns || h->state == BROKEN) return true; /* the last answer is on its way */
    return h->stream && !is_hopeless(h);
}

static bool h1_begin(struct http_conn *c) {
    struct h1 *h = calloc(1, sizeof *h);
    if (!h) return false;
    h->conn = c;
    c->state = h;
    return true;
}

static void h1_end(struct http_conn *c) {
    struct h1 *h = c->state;
    buf_free(&h->in);
    buf_free(&h->out_head);
    free(h);
    c->state = NULL;
}

const struct http_protocol http1_protocol = {
    .begin = h1_begin,
    .read = h1_read,
    .fill = h1_fill,
    .ended = h1_ended,
    .end = h1_end,
    .drain = h1_drain,
    .sweep = h1_sweep,
    .respond = h1_respond,
    .resume = h1_resume,
    .reset = h1_reset,
    .consume = h1_consume,
};
