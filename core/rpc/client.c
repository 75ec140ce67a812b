/* The gRPC client: one connection, one nghttp2 session, any number of fibers with calls in flight.
 *
 * A unary call: (1) the fiber makes a call object, which copies the request, and submits it; (2) it parks;
 * (3) at the end of the turn the frames of all calls that were submitted go out in one write; (4) headers, data and
 * trailers gather in the call object; (5) the stream closes: the fiber is woken, copies the reply into its arena and
 * releases the object.
 *
 * Failures: the fiber is interrupted -> RST_STREAM(CANCEL); the object stays until the stream has closed. The
 * connection is lost -> every call is closed with ERR_CONNECTION_LOST. GOAWAY -> streams the server will not
 * serve close as UNAVAILABLE, the others finish. Replies beyond MAX_BUFFERED -> the stream is reset.
 */
#include "core/rpc/client.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/http/socket.h"
#include "core/rpc/rpc_internal.h"

enum {
    CONNECT_MS = 5000,
    STREAM_WINDOW = 1 << 20,
    CONNECTION_WINDOW = 16 << 20,
    MAX_BUFFERED = 64 << 20, /* of one stream's replies */
    FRAME_ROOM = 16384 + 16,
    POOL_KEEP = 256
};

struct rpc_client {
    struct net_socket socket; /* first */
    struct socket_pool pool;
    nghttp2_session *session;
    struct list_node calls; /* rpc_client_stream, in flight */
    struct list_node spare;
    size_t n_spare;
    struct fiber *waiter; /* in open or close */
    uv_connect_t connect;
    int connect_status;
    bool connected, goaway, gone /* no more calls */, closed;
    char authority[80];
};

/* A call, unary or streaming. Held by its fiber and by its stream; freed when both have released it. */
struct rpc_client_stream {
    struct list_node node;
    struct rpc_client *client; /* NULL once the stream has closed */
    struct fiber *fiber;       /* NULL once the fiber has released it */
    int32_t id;
    bool waiting;
    struct buf out; /* the request with its prefix */
    size_t out_sent;
    struct buf in; /* replies with their prefixes */
    size_t in_taken;
    size_t unreturned;            /* of in: bytes whose window was not given back */
    struct rpc_client_call *call; /* the caller's, for the status; streaming only */
    int http_status, grpc_status;
    struct buf message; /* grpc-message, still encoded */
    enum error error;   /* when no status came */
};

/* ---- call objects -------------------------------------------------------------------------------------- */

static struct rpc_client_stream *call_new(struct fiber *self, struct rpc_client *c) {
    struct list_node *n = list_pop_front(&c->spare);
    struct rpc_client_stream *s = n ? list_entry(n, struct rpc_client_stream, node) : calloc(1, sizeof *s);
    if (!s) abort();
    if (n) c->n_spare--;
    s->client = c;
    s->fiber = self;
    s->grpc_status = s->http_status = -1;
    s->error = ERR_OK;
    s->out_sent = s->in_taken = 0;
    s->out.len = s->in.len = s->message.len = 0;
    s->unreturned = 0;
    s->call = NULL;
    s->waiting = false;
    list_init(&s->node);
    list_push_back(&c->calls, &s->node);
    return s;
}

static void call_free(struct rpc_client_stream *s) {
    buf_free(&s->out);
    buf_free(&s->in);
    buf_free(&s->message);
    free(s);
}

/* client: where it may be kept for reuse, or NULL. */
static void call_release(struct rpc_client_stream *s, struct rpc_client *client) {
    if (s->client || s->fiber) return;
    bool small = s->out.cap <= 16384 && s->in.cap <= 65536;
    if (!client || client->n_spare >= POOL_KEEP || !small) {
        call_free(s);
        return;
    }
    list_push_front(&client->spare, &s->node);
    client->n_spare++;
}

static void call_wake(struct rpc_client_stream *s) {
    if (!s->waiting) return;
    s->waiting = false;
    fiber_wake(s->fiber);
}

static void call_closed(struct rpc_client_stream *s, enum error e) {
    struct rpc_client *c = s->client;
    list_remove(&s->node);
    s->client = NULL;
    if (s->grpc_status < 0) s->error = e;
    call_wake(s);
    call_release(s, c);
}

/* The fiber no longer needs it: resets the stream if it is in flight. */
static void call_abandon(struct rpc_client_stream *s, struct rpc_client *c) {
    s->fiber = NULL;
    s->waiting = false;
    if (s->client) { /* on_stream_close releases it */
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        socket_flush_later(&c->socket);
    }
    call_release(s, c);
}

/* ---- the session --------------------------------------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
    struct rpc_client_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
    int64_t number;
    (void)flags;
    (void)user;
    if (!s) return 0;
    if (str_eq(n, STR("grpc-status")) && str_to_i64(v, &number))
        s->grpc_status = number >= 0 && number < RPC_CODES ? (int)number : 2;
    else if (str_eq(n, STR(":status")) && str_to_i64(v, &number))
        s->http_status = (int)number;
    else if (str_eq(n, STR("grpc-message")) && s->message.len == 0 && v.len <= 16384)
        buf_append_str(&s->message, v);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *user) {
    struct rpc_client_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(session, len);
    if (!s || !s->fiber) return 0;
    if (s->in.len + len > MAX_BUFFERED) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        return 0;
    }
    buf_append(&s->in, data, len);
    s->unreturned += len;
    call_wake(s);
    return 0;
}

static enum error reset_error(uint32_t code) {
    switch (code) {
    case NGHTTP2_REFUSED_STREAM: return ERR_UNAVAILABLE;
    case NGHTTP2_CANCEL: return ERR_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM: return ERR_RESOURCE_EXHAUSTED;
    default: return ERR_INTERNAL;
    }
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user) {
    struct rpc_client_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)user;
    if (s) call_closed(s, reset_error(error_code));
    return 0;
}

/* A request that was never sent, because the server is shutting down. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user) {
    struct rpc_client *c = user;
    (void)session;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    list_each_safe (&c->calls, n) {
        struct rpc_client_stream *s = list_entry(n, struct rpc_client_stream, node);
        if (s->id == frame->hd.stream_id) call_closed(s, ERR_UNAVAILABLE);
    }
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct rpc_client *c = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) c->goaway = true;
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    struct rpc_client_stream *s = source->ptr;
    (void)session;
    (void)id;
    (void)user;
    size_t n = s->out.len - s->out_sent;
    if (n > max) n = max;
    memcpy(to, s->out.ptr + s->out_sent, n);
    s->out_sent += n;
    if (s->out_sent == s->out.len) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static bool session_new(struct rpc_client *c) {
    nghttp2_option *o;
    nghttp2_session_callbacks *cb;
    if (nghttp2_option_new(&o) != 0) return false;
    if (nghttp2_session_callbacks_new(&cb) != 0) {
        nghttp2_option_del(o);
        return false;
    }
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    int rc = nghttp2_session_client_new2(&c->session, cb, c, o);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    if (rc != 0) return false;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                                               {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    return true;
}

/* ---- the socket ---------------------------------------------------------------------------------------- */

static void wake_waiter(struct rpc_client *c) {
    struct fiber *f = c->waiter;
    c->waiter = NULL;
    if (f) fiber_wake(f);
}

/* No more calls on this connection; those in flight fail. */
static void shut(struct rpc_client *c) {
    if (c->gone) return;
    c->gone = true;
    socket_close(&c->socket);
    while (!list_empty(&c->calls))
        call_closed(list_entry(c->calls.next, struct rpc_client_stream, node), ERR_CONNECTION_LOST);
}

static void client_read(struct net_socket *k, const char *bytes, size_t n) {
    struct rpc_client *c = (struct rpc_client *)k;
    if (c->gone) return;
    ssize_t rc = (ssize_t)nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes, n);
    if (rc < 0) {
        shut(c);
        return;
    }
    socket_flush_later(k);
}

static void client_fill(struct net_socket *k) {
    struct rpc_client *c = (struct rpc_client *)k;
    if (!c->connected) return;
    while (socket_room(k) >= FRAME_ROOM) {
        const uint8_t *p;
        ssize_t n = (ssize_t)nghttp2_session_mem_send(c->session, &p);
        if (n < 0) {
            shut(c);
            return;
        }
        if (n == 0) break;
        memcpy(socket_reserve(k, (size_t)n), p, (size_t)n);
        socket_commit(k, (size_t)n);
    }
    bool over = !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session);
    if (over && c->socket.out_len == 0) shut(c);
}

static void client_lost(struct net_socket *k) {
    shut((struct rpc_client *)k);
}

static void client_closed(struct net_socket *k) {
    struct rpc_client *c = (struct rpc_client *)k;
    c->closed = true;
    wake_waiter(c);
}

static const struct socket_events client_events = {
    .read = client_read, .fill = client_fill, .lost = client_lost, .closed = client_closed};

static void on_connect(uv_connect_t *req, int status) {
    struct rpc_client *c = req->data;
    c->connect_status = status;
    if (status == 0 && !c->gone) c->connect_status = socket_start(&c->socket);
    c->connected = c->connect_status == 0 && !c->gone;
    wake_waiter(c);
}

/* ---- open and close ------------------------------------------------------------------------------------ */

static void client_free(struct rpc_client *c) {
    assert(list_empty(&c->calls));
    while (!list_empty(&c->spare))
        call_free(list_entry(list_pop_front(&c->spare), struct rpc_client_stream, node));
    nghttp2_session_del(c->session);
    socket_pool_free(&c->pool);
    free(c);
}

void rpc_client_close(struct fiber *self, struct rpc_client *c) {
    shut(c);
    while (!c->closed) {
        c->waiter = self;
        fiber_park_uninterruptible(self);
    }
    client_free(c);
}

static enum error await_connection(struct fiber *self, struct rpc_client *c, int64_t deadline_ns) {
    int64_t own = fiber_deadline_ns(self);
    if (own == 0 || deadline_ns < own) fiber_set_deadline_ns(self, deadline_ns);
    int rc = 0;
    while (rc == 0 && c->connect_status > 0) {
        c->waiter = self;
        rc = fiber_park(self);
    }
    c->waiter = NULL;
    fiber_set_deadline_ns(self, own);
    if (c->connect_status > 0) return rc;
    return c->connect_status == 0 ? ERR_OK : ERR_UNAVAILABLE;
}

int rpc_client_open(struct fiber *self, const char *address, struct rpc_client **out) {
    struct sockaddr_storage a;
    struct loop *l = fiber_loop(self);
    *out = NULL;
    if (!socket_parse_address(address, &a)) return ERR_INVALID_ARGUMENT;
    struct rpc_client *c = calloc(1, sizeof *c);
    if (!c) abort();
    list_init(&c->calls);
    list_init(&c->spare);
    snprintf(c->authority, sizeof c->authority, "%s", address);
    socket_pool_init(&c->pool);
    if (!session_new(c) || socket_init(&c->socket, l, &c->pool, &client_events) != 0) abort();
    c->connect.data = c;
    c->connect_status = 1;
    if (uv_tcp_connect(&c->connect, &c->socket.tcp, (const struct sockaddr *)&a, on_connect) != 0)
        c->connect_status = UV_ECONNREFUSED;
    enum error e = await_connection(self, c, loop_now_ns(l) + CONNECT_MS * NS_PER_MS);
    if (e != ERR_OK) {
        rpc_client_close(self, c);
        return e;
    }
    *out = c;
    return ERR_OK;
}

bool rpc_client_alive(const struct rpc_client *c) {
    return !c->gone && !c->goaway;
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static nghttp2_nv nv_of(struct str name, struct str value) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .namelen = name.len,
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

/* At most eight digits are allowed: beyond a day in ms, seconds do. */
static struct str timeout_text(char *out, size_t size, int64_t ms) {
    if (ms <= 99999999)
        snprintf(out, size, "%lldm", (long long)ms);
    else
        snprintf(out, size, "%lldS", (long long)(ms / 1000 > 99999999 ? 99999999 : ms / 1000));
    return str_from(out);
}

static enum error submit(struct rpc_client *c, struct rpc_client_stream *s,
                         const struct rpc_client_call *call) {
    char timeout[32];
    struct buf bearer;
    nghttp2_nv nv[9];
    size_t n = 0;
    buf_init(&bearer);
    nv[n++] = nv_of(STR(":method"), STR("POST"));
    nv[n++] = nv_of(STR(":scheme"), STR("http"));
    nv[n++] = nv_of(STR(":path"), str_from(call->path));
    nv[n++] = nv_of(STR(":authority"), str_from(c->authority));
    nv[n++] = nv_of(STR("te"), STR("trailers"));
    nv[n++] = nv_of(STR("content-type"), STR("application/grpc"));
    nv[n++] = nv_of(STR("user-agent"), STR("rookery"));
    if (call->timeout_ms > 0)
        nv[n++] = nv_of(STR("grpc-timeout"), timeout_text(timeout, sizeof timeout, call->timeout_ms));
    if (call->bearer.len) {
        buf_append_cstr(&bearer, "Bearer ");
        buf_append_str(&bearer, call->bearer);
        nv[n++] = nv_of(STR("authorization"), buf_str(&bearer));
    }
    nghttp2_data_provider source = {.source.ptr = s, .read_callback = read_request};
    s->id = nghttp2_submit_request(c->session, NULL, nv, n, &source, s);
    buf_free(&bearer);
    return s->id > 0 ? ERR_OK : ERR_UNAVAILABLE;
}

static enum error call_begin(struct fiber *self, struct rpc_client *c, struct rpc_client_call *call,
                             struct rpc_client_stream **out) {
    call->grpc_status = 2;
    call->grpc_message = call->reply = (struct str){0};
    if (c->gone) return ERR_CONNECTION_LOST;
    if (c->goaway) return ERR_UNAVAILABLE;
    struct rpc_client_stream *s = call_new(self, c);
    char prefix[5] = {0};
    rpc_put_length(prefix + 1, call->request.len);
    buf_append(&s->out, prefix, sizeof prefix);
    buf_append_str(&s->out, call->request);
    enum error e = submit(c, s, call);
    if (e != ERR_OK) {
        s->fiber = NULL;
        call_closed(s, e);
        return e;
    }
    socket_flush_later(&c->socket);
    *out = s;
    return ERR_OK;
}

/* Waits for more: gives back the window of what has arrived. */
static void give_window(struct rpc_client_stream *s) {
    if (!s->client || s->unreturned == 0) return;
    nghttp2_session_consume_stream(s->client->session, s->id, s->unreturned);
    s->unreturned = 0;
    socket_flush_later(&s->client->socket);
}

/* Parks until something has arrived for the call. */
static enum error call_wait(struct fiber *self, struct rpc_client_stream *s) {
    give_window(s);
    s->waiting = true;
    int rc = fiber_park(self);
    s->waiting = false;
    return rc;
}

static struct str percent_decode(struct arena *a, struct str in) {
    char *out = arena_alloc(a, in.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned value;
        char hex[3] = {0};
        if (in.ptr[i] == '%' && in.len - i > 2) {
            memcpy(hex, in.ptr + i + 1, 2);
            if (sscanf(hex, "%2x", &value) == 1) {
                out[n++] = (char)value;
                i += 2;
                continue;
            }
        }
        out[n++] = in.ptr[i];
    }
    out[n] = '\0';
    return (struct str){out, n};
}

static int status_of_http(int http_status) {
    switch (http_status) {
    case 400: return 13;
    case 401: return 16;
    case 403: return 7;
    case 404: return 12;
    case 429:
    case 502:
    case 503:
    case 504: return 14;
    default: return 2;
    }
}

/* The stream has closed: its status, or why there is none. */
static enum error call_status(struct fiber *self, struct rpc_client_stream *s, int *status,
                              struct str *message) {
    if (s->grpc_status >= 0) {
        *status = s->grpc_status;
        *message = percent_decode(fiber_arena(self), buf_str(&s->message));
        return ERR_OK;
    }
    if (s->http_status >= 0 && s->http_status != 200) {
        *status = status_of_http(s->http_status);
        return ERR_OK;
    }
    return s->error;
}

/* The next whole message in s->in, copied; false when there is none. */
static bool next_message(struct fiber *self, struct rpc_client_stream *s, struct str *message) {
    size_t have = s->in.len - s->in_taken;
    if (have < 5) return false;
    const unsigned char *p = (const unsigned char *)s->in.ptr + s->in_taken;
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (have - 5 < len) return false;
    *message = (struct str){arena_memdup(fiber_arena(self), p + 5, len), len};
    s->in_taken += 5 + len;
    if (s->in_taken == s->in.len) {
        s->in.len = s->in_taken = 0;
    } else if (s->in_taken > 65536) {
        buf_consume(&s->in, s->in_taken);
        s->in_taken = 0;
    }
    return true;
}

int rpc_client_unary(struct fiber *self, struct rpc_client *c, struct rpc_client_call *call) {
    struct rpc_client_stream *s;
    int64_t own = fiber_deadline_ns(self);
    enum error e = call_begin(self, c, call, &s);
    if (e != ERR_OK) return e;
    if (call->timeout_ms > 0) {
        int64_t deadline = clock_mono_ns() + call->timeout_ms * NS_PER_MS;
        if (own == 0 || deadline < own) fiber_set_deadline_ns(self, deadline);
    }
    while (e == ERR_OK && s->client) e = call_wait(self, s);
    if (call->timeout_ms > 0) fiber_set_deadline_ns(self, own);
    if (!s->client) e = call_status(self, s, &call->grpc_status, &call->grpc_message);
    if (e == ERR_OK && call->grpc_status == 0 && !next_message(self, s, &call->reply)) e = ERR_INTERNAL;
    /* The connection may have gone, and with it c, only if the stream was closed for that. */
    call_abandon(s, e == ERR_CONNECTION_LOST ? NULL : c);
    return e;
}

/* ---- streams ------------------------------------------------------------------------------------------- */

int rpc_client_stream_open(struct fiber *self, struct rpc_client *c, struct rpc_client_call *call,
                           struct rpc_client_stream **out) {
    enum error e = call_begin(self, c, call, out);
    if (e != ERR_OK) return e;
    (*out)->call = call;
    return ERR_OK;
}

int rpc_client_stream_read(struct fiber *self, struct rpc_client_stream *s, struct str *message, bool *end) {
    *end = false;
    s->fiber = self;
    while (!next_message(self, s, message)) {
        if (!s->client) {
            *end = true;
            return call_status(self, s, &s->call->grpc_status, &s->call->grpc_message);
        }
        enum error e = call_wait(self, s);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

void rpc_client_stream_close(struct rpc_client_stream *s) {
    call_abandon(s, s->client);
}
