/* What streams of both protocols have in common: fields, output queues, and the downcalls. See http.h. */
#include "core/http/http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/http/conn.h"

/* ---- fields -------------------------------------------------------------------------------------------- */

static void *must(void *p) {
    if (!p) abort();
    return p;
}

void http_fields_free(struct http_fields *f) {
    buf_free(&f->bytes);
    free(f->v);
    *f = (struct http_fields){0};
}

void http_fields_clear(struct http_fields *f) {
    f->bytes.len = 0;
    f->n = 0;
}

void http_fields_add(struct http_fields *f, struct str name, struct str value) {
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 8;
        f->v = must(realloc(f->v, f->cap * sizeof *f->v));
    }
    f->v[f->n++] = (struct http_field){.name_at = (uint32_t)f->bytes.len,
                                       .name_len = (uint32_t)name.len,
                                       .value_at = (uint32_t)(f->bytes.len + name.len),
                                       .value_len = (uint32_t)value.len};
    char *p = buf_reserve(&f->bytes, name.len + value.len + 1);
    if (name.len) memcpy(p, name.ptr, name.len);
    if (value.len) memcpy(p + name.len, value.ptr, value.len);
    f->bytes.len += name.len + value.len;
}

void http_fields_set(struct http_fields *f, size_t i, struct str value) {
    f->v[i].value_at = (uint32_t)f->bytes.len;
    f->v[i].value_len = (uint32_t)value.len;
    buf_append(&f->bytes, value.ptr, value.len);
}

struct str http_fields_name(const struct http_fields *f, size_t i) {
    return (struct str){f->bytes.ptr + f->v[i].name_at, f->v[i].name_len};
}

struct str http_fields_value(const struct http_fields *f, size_t i) {
    return (struct str){f->bytes.ptr + f->v[i].value_at, f->v[i].value_len};
}

static bool has_name(const struct http_fields *f, size_t i, struct str name) {
    return f->v[i].name_len == name.len && memcmp(f->bytes.ptr + f->v[i].name_at, name.ptr, name.len) == 0;
}

bool http_fields_find(const struct http_fields *f, struct str name, struct str *value) {
    for (size_t i = 0; i < f->n; i++) {
        if (!has_name(f, i, name)) continue;
        *value = http_fields_value(f, i);
        return true;
    }
    return false;
}

size_t http_fields_count(const struct http_fields *f, struct str name) {
    size_t count = 0;
    for (size_t i = 0; i < f->n; i++) count += has_name(f, i, name);
    return count;
}

enum http_method http_method_from(struct str name) {
    static const struct str NAMES[] = {[HTTP_GET] = {"GET", 3},
                                       [HTTP_HEAD] = {"HEAD", 4},
                                       [HTTP_POST] = {"POST", 4},
                                       [HTTP_OPTIONS] = {"OPTIONS", 7}};
    size_t method = 0;
    while (method < HTTP_OTHER && !str_eq(NAMES[method], name)) method++;
    return (enum http_method)method;
}

/* ---- blobs --------------------------------------------------------------------------------------------- */

struct http_blob *http_blob_new(struct str bytes) {
    struct http_blob *b = must(malloc(sizeof *b + bytes.len));
    b->refs = 1;
    b->len = bytes.len;
    if (bytes.len) memcpy(b->bytes, bytes.ptr, bytes.len);
    return b;
}

void http_blob_unref(struct http_blob *b) {
    assert(b->refs > 0);
    if (--b->refs == 0) free(b);
}

static void queue_grow(struct http_blob_queue *q) {
    size_t cap = q->cap ? 2 * q->cap : 4;
    struct http_blob **v = must(malloc(cap * sizeof(struct http_blob *)));
    for (size_t i = 0; i < q->n; i++) v[i] = q->v[(q->head + i) & (q->cap - 1)];
    free(q->v);
    q->v = v;
    q->head = 0;
    q->cap = cap;
}

static void queue_push(struct http_blob_queue *q, struct http_blob *b) {
    if (q->n == q->cap) queue_grow(q);
    q->v[(q->head + q->n++) & (q->cap - 1)] = b;
    q->bytes += b->len;
    b->refs++;
}

static void queue_pop(struct http_blob_queue *q) {
    struct http_blob *b = q->v[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
    q->bytes -= b->len;
    q->sent = 0;
    http_blob_unref(b);
}

static void queue_clear(struct http_blob_queue *q) {
    while (q->n) queue_pop(q);
    free(q->v);
    *q = (struct http_blob_queue){0};
}

/* ---- output -------------------------------------------------------------------------------------------- */

static size_t take_bytes(struct http_stream *s, char *p, size_t max) {
    size_t n = s->out.len - s->out_sent;
    if (n > max) n = max;
    if (n == 0) return 0;
    memcpy(p, s->out.ptr + s->out_sent, n);
    s->out_sent += n;
    if (s->out_sent == s->out.len) s->out.len = s->out_sent = 0;
    return n;
}

static size_t take_blobs(struct http_blob_queue *q, char *p, size_t max) {
    size_t taken = 0;
    while (q->n && taken < max) {
        struct http_blob *b = q->v[q->head];
        size_t n = b->len - q->sent;
        if (n > max - taken) n = max - taken;
        memcpy(p + taken, b->bytes + q->sent, n);
        taken += n;
        q->sent += n;
        if (q->sent == b->len) queue_pop(q);
    }
    return taken;
}

size_t http_take(struct http_stream *s, char *p, size_t max) {
    size_t n = take_bytes(s, p, max);
    n += take_blobs(&s->blobs, p + n, max - n);
    return n;
}

/* ---- the peer's time ----------------------------------------------------------------------------------- */

/* Who keeps a request incomplete holds memory, and with a stream a fiber and a turn. So a message that has begun has a
 * least rate, whatever the method's kind; and where silence holds something, the next one has a time to begin.
 *
 * Only the peer's time counts. The clock runs while the application says what it waits for, and it says so only when
 * it has given back the window of all that has come: the peer then can send at least half a window. The application
 * is at something else (the call waits for its turn, its sender is looked up, the handler stores what came, or waits
 * until the peer has read) -> it wants nothing, and no clock runs, whatever lies in the window; it waits again -> the
 * clock begins at 0, once for each message that it takes, since the peer may have been held up by us. The loop stood
 * still -> what the peer sent meanwhile is in the socket: the sweep looks at nobody's body before that has been read
 * (conn_check_body). A full budget never holds back the window: it ends a request (core/rpc/budget.h).
 *
 * One message: the application waits for it (silent_ns) -> its first byte comes: it wants the rest, and the clock
 * begins again -> HTTP_LEAST_BYTES have come: again -> it is whole. So a trickle ends HTTP_LEAST_S later than its last
 * HTTP_LEAST_BYTES, while a peer with twice the least rate never is late. A peer that still reads our last answer is
 * not silent; http2.c's and http1.c's bound for readers is its bound then. */

static void want(struct http_stream *s, enum http_wants wants, int64_t by_ns, int64_t silent_ns) {
    if (!s->conn) return;
    s->wants = wants;
    s->body_by_ns = by_ns;
    s->silent_ns = silent_ns;
    s->came = 0;
    s->came_ns = loop_now_ns(s->conn->server->loop);
}

void http_want_rest(struct http_stream *s, int64_t by_ns) {
    want(s, HTTP_WANTS_REST, by_ns, 0);
}

void http_want_message(struct http_stream *s, int64_t silent_ns) {
    want(s, HTTP_WANTS_MESSAGE, 0, silent_ns);
}

void http_want_nothing(struct http_stream *s) {
    s->wants = HTTP_WANTS_NOTHING;
}

void http_received(struct http_stream *s, size_t n, int64_t now_ns) {
    s->came += n;
    if (s->came < HTTP_LEAST_BYTES) return;
    s->came = 0;
    s->came_ns = now_ns;
}

static bool is_silent(const struct http_stream *s, int64_t now_ns) {
    int64_t since_ns = s->progress_ns > s->came_ns ? s->progress_ns : s->came_ns;
    return s->silent_ns && now_ns - since_ns > s->silent_ns;
}

bool http_is_late(const struct http_stream *s, int64_t now_ns) {
    if (s->wants == HTTP_WANTS_NOTHING || s->request_ended) return false;
    if (s->wants == HTTP_WANTS_MESSAGE) return is_silent(s, now_ns);
    bool too_late = s->body_by_ns && now_ns >= s->body_by_ns;
    return too_late || now_ns - s->came_ns > HTTP_LEAST_S * NS_PER_S;
}

/* ---- what was sent ------------------------------------------------------------------------------------- */

void http_settle(struct http_stream *s) {
    size_t now = s->out.len - s->out_sent;
    s->conn->n_unsent += now - s->n_counted;
    s->conn->server->n_unsent += now - s->n_counted;
    s->n_counted = now;
}

void http_after_take(struct http_stream *s, size_t n) {
    s->moved += n;
    s->conn->n_taken += n;
    http_settle(s);
    s->conn->server->app.sent(s->conn->server->app.context);
    if (s->moved >= HTTP_LEAST_BYTES || http_unsent(s) == 0) {
        s->moved = 0;
        s->progress_ns = loop_now_ns(s->conn->server->loop);
    }
    if (!s->was_full || http_unsent(s) > HTTP_LOW_WATER) return;
    s->was_full = false;
    s->conn->server->app.wants_more(s);
}

/* ---- downcalls ----------------------------------------------------------------------------------------- */

static void respond(struct http_stream *s, int status, const struct http_fields *f, int64_t length,
                    bool only) {
    if (!s->conn) return;
    assert(!s->responded);
    s->responded = true;
    s->finished = only;
    s->moved = 0;
    s->progress_ns = loop_now_ns(s->conn->server->loop);
    s->conn->protocol->respond(s, status, f, length, only);
    socket_flush_later(&s->conn->socket);
}

void http_respond(struct http_stream *s, int status, const struct http_fields *f, int64_t content_length) {
    respond(s, status, f, content_length, false);
}

void http_respond_only(struct http_stream *s, int status, const struct http_fields *f,
                       int64_t content_length) {
    respond(s, status, f, content_length, true);
}

void http_flush(struct http_stream *s) {
    if (!s->conn) {
        s->out.len = s->out_sent = 0;
        return;
    }
    http_settle(s);
    if (http_unsent(s) > HTTP_HIGH_WATER) s->was_full = true;
    /* A slow reader's sent bytes are given back once they are the larger part. */
    if (s->out_sent > HTTP_HIGH_WATER && s->out_sent > s->out.len / 2) {
        buf_consume(&s->out, s->out_sent);
        s->out_sent = 0;
    }
    if (!s->dry) return;
    s->dry = false;
    s->progress_ns = loop_now_ns(s->conn->server->loop);
    s->conn->protocol->resume(s);
    socket_flush_later(&s->conn->socket);
}

void http_push(struct http_stream *s, struct http_blob *b) {
    if (!s->conn) return;
    queue_push(&s->blobs, b);
    http_flush(s);
}

void http_finish(struct http_stream *s) {
    if (!s->conn || s->finished) return;
    assert(s->responded);
    s->finished = true;
    http_flush(s);
}

void http_reset(struct http_stream *s, enum http_reset why) {
    if (!s->conn) return;
    s->finished = true;
    s->conn->protocol->reset(s, why);
    socket_flush_later(&s->conn->socket);
}

void http_consume(struct http_stream *s, size_t n) {
    if (!s->conn || s->request_ended || n == 0) return;
    s->conn->protocol->consume(s, n);
    socket_flush_later(&s->conn->socket);
}

int64_t http_idle_ns(const struct http_stream *s) {
    return s->conn ? peers_idle_ns(s->conn, HTTP_IDLE_S * NS_PER_S) : HTTP_IDLE_S * NS_PER_S;
}

uint64_t http_network(const struct http_stream *s) {
    return s->conn ? s->network : 0;
}

bool http_is_proxied(const struct http_stream *s) {
    return s->conn && s->conn->is_proxied;
}

void http_known(struct http_stream *s, int64_t account_id) {
    if (s->conn) peers_known(s->conn, account_id);
}

void http_widen(struct http_stream *s) {
    if (!s->conn || s->is_wide || s->request_ended) return;
    s->is_wide = true;
    if (s->conn->protocol->widen) s->conn->protocol->widen(s);
}

bool http_is_h2(const struct http_stream *s) {
    return s->conn && s->conn->protocol->multiplexed;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void recycle_buf(struct buf *b, size_t keep) {
    b->len = 0;
    if (b->cap > keep) buf_free(b);
}

static void recycle_fields(struct http_fields *f, size_t keep) {
    http_fields_clear(f);
    if (f->bytes.cap > keep || f->cap > 64) http_fields_free(f);
}

void http_stream_recycle(struct http_stream *s, size_t keep) {
    recycle_buf(&s->out, keep);
    recycle_fields(&s->request, keep);
    recycle_fields(&s->trailers, keep);
    queue_clear(&s->blobs);
    struct http_stream clean = {.out = s->out, .request = s->request, .trailers = s->trailers};
    *s = clean;
    list_init(&s->node);
}

void http_stream_dispose(struct http_stream *s) {
    buf_free(&s->out);
    http_fields_free(&s->request);
    http_fields_free(&s->trailers);
    queue_clear(&s->blobs);
}
