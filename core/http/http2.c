/* HTTP/2, the server's side, on nghttp2: the protocol's state machine is the library's, the limits are ours.
 *
 * One request: begin_headers opens a stream -> header callbacks fill its fields -> the HEADERS frame is complete: the
 * application's request is called -> DATA chunks go to the application as they come; the connection's window is given
 * back immediately, the stream's as the application consumes -> the application responds: HEADERS are submitted with
 * a data source -> at the end of the turn fill() pulls frames from nghttp2; DATA bypasses its buffers (NO_COPY):
 * send_data copies from the stream's output straight into the connection's -> the last DATA chunk submits the
 * trailers -> the stream is closed.
 *
 * Failures: the peer resets a stream -> closed. A limit of one stream -> RST_STREAM. A limit of the connection ->
 * GOAWAY(ENHANCE_YOUR_CALM), flush, close. The answer is complete before the request -> RST_STREAM(NO_ERROR); what is
 * on its way is dropped, and nghttp2 gives its bytes back to the connection's window. Any negative answer of nghttp2 ->
 * close. Nothing is pulled while the socket has unwritten bytes, so a peer that does not read fills nghttp2's bounded
 * queues and is cut there.
 *
 * nghttp2 must not be re-entered from its callbacks, so those only submit; only fill() pulls.
 */
#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/http/conn.h"
#include "core/http/http2_frames.h"
#include "core/http/http2_guard.h"

enum {
    FRAME_ROOM = 16384 + 16,     /* the largest piece nghttp2 hands out */
    MAX_STREAMS = 250,           /* more than 100: live feeds share a connection with calls */
    NARROW_WINDOW = 64 * 1024,   /* what somebody unknown may send ahead */
    WIDE_WINDOW = 256 * 1024,    /* what one slow handler may have waiting */
    CONNECTION_WINDOW = 4 << 20, /* given back immediately, so this only bounds one round trip */
    MAX_RESPONSE_FIELDS = 64,
    SETTINGS_ACK_S = 10,
    HEAD_S = 10,        /* a header block that does not end */
    SLOW_READER_S = 60, /* a response that stands still */
    PING_AFTER_S = 60,  /* silence with open streams: is the peer still there? */
    PING_WAIT_S = 20
};

struct h2 {
    struct http_conn *conn;
    nghttp2_session *session;
    struct http2_guard guard;
    const char *close_reason; /* not NULL: close at the next chance */
    int64_t head_since_ns, ping_sent_ns;
    struct http2_frames frames;
    int64_t late_empty; /* empty DATA frames of this read that nghttp2 has not reported */
    size_t frame_data;  /* bytes of data in the DATA frame that is being read, without its padding */
    bool settings_acked, saw_settings, ending, draining;
};

static struct h2 *h2_of(void *user) {
    return ((struct http_conn *)user)->state;
}

static int64_t now_ns(const struct h2 *h) {
    return loop_now_ns(h->conn->server->loop);
}

static struct http_stream *stream_of(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

/* Tells the peer why, and ends the connection. */
static void end_session(struct h2 *h, const char *reason, uint32_t code) {
    if (h->ending) return;
    h->ending = true;
    count_drop(h->conn->server, reason);
    nghttp2_session_terminate_session(h->session, code);
}

/* The peer exceeds a limit. */
static void calm(struct h2 *h, const char *reason) {
    end_session(h, reason, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- input --------------------------------------------------------------------------------------------- */

/* nghttp2 does not look at priorities, since our SETTINGS say that they have no effect. */
static void check_priority(struct h2 *h) {
    if (h->frames.stream == 0) end_session(h, "http2_error", NGHTTP2_PROTOCOL_ERROR);
    if (h->frames.length != 5) end_session(h, "http2_error", NGHTTP2_FRAME_SIZE_ERROR);
}

/* Frames are counted before nghttp2 reads them. DATA and fields count as late until it reports them, which it does for
 * streams that are open. */
static void frame_begins(struct h2 *h) {
    const struct http2_frames *f = &h->frames;
    if (f->type == NGHTTP2_PRIORITY) check_priority(h);
    if (f->type == NGHTTP2_HEADERS) {
        h->head_since_ns = now_ns(h);
        http2_guard_useful(&h->guard);
    } else if (f->type == NGHTTP2_DATA) {
        h->guard.late_bytes += (int64_t)f->length;
        h->late_empty += f->length == 0;
    } else if (!http2_guard_frame(&h->guard, now_ns(h))) {
        calm(h, "frame_flood");
    }
}

static void frame_ends(struct h2 *h) {
    const struct http2_frames *f = &h->frames;
    bool of_block = f->type == NGHTTP2_HEADERS || f->type == NGHTTP2_CONTINUATION;
    if (of_block && (f->flags & NGHTTP2_FLAG_END_HEADERS)) h->head_since_ns = 0;
    if (f->type == NGHTTP2_HEADERS) h->guard.late_blocks++;
}

static void count_frames(struct h2 *h, struct str bytes) {
    for (;;) {
        switch (http2_frames_next(&h->frames, &bytes)) {
        case HTTP2_FRAME_BEGINS: frame_begins(h); break;
        case HTTP2_FRAME_ENDS: frame_ends(h); break;
        case HTTP2_NOTHING: return;
        }
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user) {
    struct h2 *h = h2_of(user);
    (void)session;
    if (hd->type != NGHTTP2_DATA) return 0;
    h->guard.late_bytes -= (int64_t)hd->length;
    h->late_empty -= hd->length == 0;
    h->frame_data = 0;
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct h2 *h = h2_of(user);
    h->guard.late_blocks--;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct http_stream *s = conn_stream_open(h->conn, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    (void)flags;
    (void)user;
    struct http_stream *s = stream_of(session, frame->hd.stream_id);
    if (!s) return 0;
    struct str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        /* Request trailers: they are ignored, but count against the limits. */
        s->head_bytes += n.len + v.len + 32;
        return s->head_bytes > 4 * HTTP_MAX_HEAD_BYTES ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
    }
    if (n.len == 7 && memcmp(n.ptr, ":method", 7) == 0) s->method = http_method_from(v);
    if (n.len && n.ptr[0] == ':' && !(n.len == 5 && memcmp(n.ptr, ":path", 5) == 0)) {
        s->head_bytes += n.len + v.len + 32;
        return 0;
    }
    return conn_request_field(s, n, v) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void request_ended(struct http_stream *s) {
    if (s->request_ended) return;
    s->request_ended = true;
    s->conn->server->app.end(s);
}

static nghttp2_nv nv_of(struct str name, struct str value) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .namelen = name.len,
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

/* The peer asks whether to send its body. Whatever was refused was answered already. */
static void send_continue(struct h2 *h, const struct http_stream *s) {
    struct str expectation;
    nghttp2_nv nv = nv_of(STR(":status"), STR("100"));
    if (s->responded || !http_fields_find(&s->request, STR("expect"), &expectation) ||
        !str_eq_ci(expectation, STR("100-continue")))
        return;
    nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}

static void on_headers_complete(struct h2 *h, const nghttp2_frame *frame, struct http_stream *s) {
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        conn_request_complete(s);
        if (!ends) send_continue(h, s);
    }
    if (ends) request_ended(s);
}

static void on_data_frame(struct h2 *h, const nghttp2_frame *frame, struct http_stream *s) {
    if (h->frame_data) http2_guard_useful(&h->guard);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        request_ended(s);
    } else if (h->frame_data == 0 && ++s->empty_frames > HTTP2_MAX_EMPTY_FRAMES) {
        count_drop(h->conn->server, "empty_frames");
        http_reset(s, HTTP_RESET_CALM);
    }
}

static void on_settings(struct h2 *h, const nghttp2_frame *frame) {
    if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
        h->settings_acked = true;
    } else if (h->saw_settings && !http2_guard_settings(&h->guard, now_ns(h))) {
        calm(h, "settings_flood");
    }
    h->saw_settings = true;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct h2 *h = h2_of(user);
    struct http_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if ((s = stream_of(session, frame->hd.stream_id))) on_headers_complete(h, frame, s);
        return 0;
    case NGHTTP2_DATA:
        if ((s = stream_of(session, frame->hd.stream_id))) on_data_frame(h, frame, s);
        return 0;
    case NGHTTP2_RST_STREAM: /* some clients have DATA behind it on its way */
        s = stream_of(session, frame->hd.stream_id);
        if (s && !s->request_ended) http2_guard_allow_late(&h->guard, WIDE_WINDOW);
        return 0;
    case NGHTTP2_SETTINGS: on_settings(h, frame); return 0;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK) && !http2_guard_ping(&h->guard, now_ns(h)))
            calm(h, "ping_flood");
        return 0;
    default: return 0;
    }
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *user) {
    struct h2 *h = h2_of(user);
    (void)flags;
    h->frame_data += len;
    nghttp2_session_consume_connection(session, len);
    struct http_stream *s = stream_of(session, id);
    if (!s) return 0;
    http_received(s, len, now_ns(h));
    h->conn->server->app.data(s, (const char *)data, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user) {
    struct http_stream *s = stream_of(session, id);
    (void)error_code;
    (void)user;
    if (s) conn_stream_closed(s);
    return 0;
}

static void h2_read(struct http_conn *c, const char *bytes, size_t n) {
    struct h2 *h = c->state;
    if (c->finish_by_ns) return;
    h->ping_sent_ns = 0;
    count_frames(h, (struct str){bytes, n});
    ssize_t rc = (ssize_t)nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, n);
    if (rc < 0) {
        conn_close(c, "http2_error");
        return;
    }
    for (; h->late_empty > 0; h->late_empty--)
        if (!http2_guard_frame(&h->guard, now_ns(h))) calm(h, "frame_flood");
    socket_flush_later(&c->socket);
}

/* ---- output -------------------------------------------------------------------------------------------- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct h2 *h = h2_of(user);
    uint8_t type = frame->hd.type;
    if (type == NGHTTP2_RST_STREAM) {
        http2_guard_allow_late(&h->guard, WIDE_WINDOW);
        uint32_t code = frame->rst_stream.error_code;
        bool blame = code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL;
        if (blame && !http2_guard_reset(&h->guard, now_ns(h))) calm(h, "reset_flood");
        return 0;
    }
    if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA) return 0;
    http2_guard_sent_data(&h->guard);
    /* The response is complete but the request is not: tells the peer to stop sending. Submitted only now, because a
     * reset drops the stream's queued frames. */
    int32_t id = frame->hd.stream_id;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

static size_t nv_fields(nghttp2_nv *nv, const struct http_fields *f) {
    assert(f->n <= MAX_RESPONSE_FIELDS);
    for (size_t i = 0; i < f->n; i++) nv[i] = nv_of(http_fields_name(f, i), http_fields_value(f, i));
    return f->n;
}

/* The last bytes are on their way: the trailers follow, or END_STREAM goes with them. */
static uint32_t end_flags(nghttp2_session *session, struct http_stream *s) {
    if (s->trailers.n == 0) return NGHTTP2_DATA_FLAG_EOF;
    nghttp2_nv nv[MAX_RESPONSE_FIELDS];
    size_t n = nv_fields(nv, &s->trailers);
    nghttp2_submit_trailer(session, s->id, nv, n);
    return NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

static ssize_t read_output(nghttp2_session *session, int32_t id, uint8_t *unused, size_t max, uint32_t *flags,
                           nghttp2_data_source *source, void *user) {
    struct http_stream *s = source->ptr;
    (void)id;
    (void)unused;
    (void)user;
    size_t n = http_unsent(s);
    if (n == 0 && !s->finished) {
        s->dry = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n <= max && s->finished) *flags |= end_flags(session, s);
    return (ssize_t)(n < max ? n : max);
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                     nghttp2_data_source *source, void *user) {
    struct http_conn *c = user;
    struct http_stream *s = source->ptr;
    (void)session;
    (void)frame;
    char *p = socket_reserve(&c->socket, 9 + len);
    if (!p) return NGHTTP2_ERR_WOULDBLOCK;
    memcpy(p, head, 9);
    size_t n = http_take(s, p + 9, len);
    assert(n == len);
    socket_commit(&c->socket, 9 + n);
    http_after_take(s, n);
    return 0;
}

/* Pulls what nghttp2 has to send, as far as there is room. False when the connection was closed. */
static bool pull(struct h2 *h) {
    struct http_conn *c = h->conn;
    while (socket_room(&c->socket) >= FRAME_ROOM) {
        const uint8_t *p;
        ssize_t n = (ssize_t)nghttp2_session_mem_send(h->session, &p);
        if (n < 0) {
            conn_close(c, "http2_error");
            return false;
        }
        if (n == 0) break;
        memcpy(socket_reserve(&c->socket, (size_t)n), p, (size_t)n);
        socket_commit(&c->socket, (size_t)n);
    }
    return true;
}

/* Looks at what came for ended streams once every reset has been sent, since each allows for some. After GOAWAY new
 * streams are ended without a reset. */
static bool sends_for_closed_streams(struct h2 *h) {
    if (h->ending || h->draining || !nghttp2_session_want_read(h->session)) return false;
    return nghttp2_session_get_outbound_queue_size(h->session) == 0 && !http2_guard_late(&h->guard);
}

static void h2_fill(struct http_conn *c) {
    struct h2 *h = c->state;
    if (h->close_reason) {
        conn_close(c, h->close_reason);
        return;
    }
    if (c->finish_by_ns || !pull(h)) return;
    if (sends_for_closed_streams(h)) {
        end_session(h, "closed_stream", NGHTTP2_STREAM_CLOSED);
        if (!pull(h)) return;
    }
    if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session)) conn_finish(c);
}

static void h2_respond(struct http_stream *s, int status, const struct http_fields *f, int64_t content_length,
                       bool only) {
    struct h2 *h = s->conn->state;
    char code[24], length[24];
    nghttp2_nv nv[MAX_RESPONSE_FIELDS + 2];
    nv[0] = nv_of(STR(":status"), (struct str){code, format_i64(code, status)});
    size_t n = 1 + nv_fields(nv + 1, f);
    if (content_length >= 0) {
        size_t digits = format_i64(length, content_length);
        nv[n++] = nv_of(STR("content-length"), (struct str){length, digits});
    }
    nghttp2_data_provider source = {.source.ptr = s, .read_callback = read_output};
    if (nghttp2_submit_response(h->session, s->id, nv, n, only ? NULL : &source) != 0)
        h->close_reason = "http2_error";
}

static void h2_resume(struct http_stream *s) {
    struct h2 *h = s->conn->state;
    nghttp2_session_resume_data(h->session, s->id);
}

static void h2_reset(struct http_stream *s, enum http_reset why) {
    static const uint32_t code[] = {[HTTP_RESET_INTERNAL] = NGHTTP2_INTERNAL_ERROR,
                                    [HTTP_RESET_CANCEL] = NGHTTP2_CANCEL,
                                    [HTTP_RESET_REFUSED] = NGHTTP2_REFUSED_STREAM,
                                    [HTTP_RESET_CALM] = NGHTTP2_ENHANCE_YOUR_CALM};
    struct h2 *h = s->conn->state;
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, code[why]);
}

static void h2_consume(struct http_stream *s, size_t n) {
    struct h2 *h = s->conn->state;
    nghttp2_session_consume_stream(h->session, s->id, n);
}

static void h2_widen(struct http_stream *s) {
    struct h2 *h = s->conn->state;
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, s->id, WIDE_WINDOW);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void h2_drain(struct http_conn *c, bool now) {
    struct h2 *h = c->state;
    if (h->ending || h->draining) return;
    if (now) {
        h->draining = true;
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
    } else {
        nghttp2_submit_shutdown_notice(h->session);
    }
    socket_flush_later(&c->socket);
}

static void sweep_stream(struct http_stream *s, int64_t now) {
    conn_check_body(s, now);
    int64_t still_s = (now - s->progress_ns) / NS_PER_S;
    if (s->responded && !s->dry && still_s > SLOW_READER_S) {
        count_drop(s->conn->server, "slow_reader");
        http_reset(s, HTTP_RESET_CANCEL);
    }
}

static bool is_silent(struct h2 *h, int64_t now) {
    struct http_conn *c = h->conn;
    if (c->n_streams == 0 || now - c->socket.last_read_ns < PING_AFTER_S * NS_PER_S) return false;
    if (h->ping_sent_ns) return now - h->ping_sent_ns > PING_WAIT_S * NS_PER_S;
    h->ping_sent_ns = now;
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    socket_flush_later(&c->socket);
    return false;
}

static void h2_sweep(struct http_conn *c, int64_t now) {
    struct h2 *h = c->state;
    if (!h->settings_acked && now - c->opened_ns > SETTINGS_ACK_S * NS_PER_S) {
        conn_close(c, "settings_timeout");
    } else if (h->head_since_ns && now - h->head_since_ns > HEAD_S * NS_PER_S) {
        conn_close(c, "slow_head");
    } else if (is_silent(h, now)) {
        conn_close(c, "silent");
    } else if (c->n_streams == 0 && now - c->idle_since_ns > peers_idle_ns(c, HTTP_IDLE_S * NS_PER_S)) {
        h2_drain(c, true);
    } else {
        list_each_safe (&c->streams, n) sweep_stream(list_entry(n, struct http_stream, node), now);
    }
}

/* ---- begin and end ------------------------------------------------------------------------------------- */

bool http2_options_new(struct http_server *s) {
    nghttp2_option *o;
    nghttp2_session_callbacks *cb;
    if (nghttp2_option_new(&o) != 0) return false;
    if (nghttp2_session_callbacks_new(&cb) != 0) {
        nghttp2_option_del(o);
        return false;
    }
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_outbound_ack(o, 256); /* pings and settings whose answers are not read */
    nghttp2_option_set_max_settings(o, 16);      /* entries in one frame */
    nghttp2_option_set_max_continuations(o, 8);
    nghttp2_option_set_stream_reset_rate_limit(o, 500, 100); /* rapid reset */
    nghttp2_option_set_max_send_header_block_length(o, 16384);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
    s->h2_options = o;
    s->h2_callbacks = cb;
    return true;
}

void http2_options_free(struct http_server *s) {
    nghttp2_option_del(s->h2_options);
    nghttp2_session_callbacks_del(s->h2_callbacks);
    s->h2_options = s->h2_callbacks = NULL;
}

static bool h2_begin(struct http_conn *c) {
    struct h2 *h = calloc(1, sizeof *h);
    if (!h) return false;
    h->conn = c;
    c->state = h;
    http2_guard_init(&h->guard, loop_now_ns(c->server->loop));
    http2_frames_init(&h->frames);
    if (nghttp2_session_server_new2(&h->session, c->server->h2_callbacks, c, c->server->h2_options) != 0) {
        free(h);
        return false;
    }
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, NARROW_WINDOW},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MAX_HEAD_BYTES},
                                               {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    socket_flush_later(&c->socket);
    return true;
}

static void h2_end(struct http_conn *c) {
    struct h2 *h = c->state;
    nghttp2_session_del(h->session);
    free(h);
    c->state = NULL;
}

const struct http_protocol http2_protocol = {
    .multiplexed = true,
    .begin = h2_begin,
    .read = h2_read,
    .fill = h2_fill,
    .end = h2_end,
    .drain = h2_drain,
    .sweep = h2_sweep,
    .respond = h2_respond,
    .resume = h2_resume,
    .reset = h2_reset,
    .consume = h2_consume,
    .widen = h2_widen,
};
