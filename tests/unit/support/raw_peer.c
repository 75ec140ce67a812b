/* A TCP client that sends exactly the bytes it is told to: see raw_peer.h. */
#include "tests/unit/support/raw_peer.h"

#include <stdlib.h>
#include <string.h>

#include "core/http/socket.h"
#include "tests/unit/support/fibers.h"

enum { PATIENCE_MS = 5000 };

static void wake(struct raw_peer *p) {
    struct fiber *f = p->fiber;
    p->fiber = NULL;
    if (f) fiber_wake(f);
}

static void give_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct raw_peer *p = h->data;
    (void)suggested;
    *out = uv_buf_init(buf_reserve(&p->in, 65536), 65536);
}

static void on_read(uv_stream_t *t, ssize_t n, const uv_buf_t *b) {
    struct raw_peer *p = t->data;
    (void)b;
    if (n > 0) p->in.len += (size_t)n;
    if (n < 0) p->ended = true;
    if (n < 0) uv_read_stop(t);
    wake(p);
}

static void on_connect(uv_connect_t *c, int status) {
    struct raw_peer *p = c->data;
    p->connected = status == 0;
    p->failed = status != 0;
    if (p->connected) uv_read_start((uv_stream_t *)&p->tcp, give_buffer, on_read);
    wake(p);
}

static bool wait_more(struct fiber *self, struct raw_peer *p, int64_t deadline_ns) {
    int64_t own = fiber_deadline_ns(self);
    fiber_set_deadline_ns(self, deadline_ns);
    p->fiber = self;
    int rc = fiber_park(self);
    p->fiber = NULL;
    fiber_set_deadline_ns(self, own);
    return rc == 0;
}

bool raw_wait_more(struct fiber *self, struct raw_peer *p) {
    return !p->ended && wait_more(self, p, in_ms(PATIENCE_MS));
}

void raw_open(struct fiber *self, struct raw_peer *p, const char *address) {
    struct sockaddr_storage a;
    *p = (struct raw_peer){0};
    buf_init(&p->in);
    uv_tcp_init(loop_uv(fiber_loop(self)), &p->tcp);
    p->tcp.data = p->connect.data = p;
    CHECK(socket_parse_address(address, &a));
    CHECK_INT(uv_tcp_connect(&p->connect, &p->tcp, (struct sockaddr *)&a, on_connect), 0);
    while (!p->connected && !p->failed && wait_more(self, p, in_ms(PATIENCE_MS))) continue;
    CHECK(p->connected);
    uv_tcp_nodelay(&p->tcp, 1);
}

static void on_closed(uv_handle_t *h) {
    struct raw_peer *p = h->data;
    p->closed = true;
    wake(p);
}

static void wait_closed(struct fiber *self, struct raw_peer *p) {
    while (!p->closed) {
        p->fiber = self;
        fiber_park_uninterruptible(self);
    }
    buf_free(&p->in);
}

void raw_close(struct fiber *self, struct raw_peer *p) {
    uv_close((uv_handle_t *)&p->tcp, on_closed);
    wait_closed(self, p);
}

void raw_close_reset(struct fiber *self, struct raw_peer *p) {
    CHECK_INT(uv_tcp_close_reset(&p->tcp, on_closed), 0);
    wait_closed(self, p);
}

void raw_half_close(struct raw_peer *p) {
    CHECK_INT(uv_shutdown(&p->shutdown, (uv_stream_t *)&p->tcp, NULL), 0);
}

struct write {
    uv_write_t req;
    char bytes[];
};

static void on_written(uv_write_t *w, int status) {
    (void)status; /* a server that closed in between shows as the end */
    free(w);
}

void raw_send(struct raw_peer *p, const void *bytes, size_t n) {
    struct write *w = malloc(sizeof *w + n);
    if (!w) abort();
    memcpy(w->bytes, bytes, n);
    uv_buf_t b = uv_buf_init(w->bytes, (unsigned)n);
    if (uv_write(&w->req, (uv_stream_t *)&p->tcp, &b, 1, on_written) != 0) free(w);
}

void raw_send_text(struct raw_peer *p, const char *text) {
    raw_send(p, text, strlen(text));
}

void raw_stop_reading(struct raw_peer *p) {
    uv_read_stop((uv_stream_t *)&p->tcp);
}

void raw_go_on_reading(struct raw_peer *p) {
    uv_read_start((uv_stream_t *)&p->tcp, give_buffer, on_read);
}

size_t raw_count(const struct raw_peer *p, const char *text) {
    size_t n = 0, len = strlen(text);
    if (p->in.len == 0) return 0;
    const char *at = p->in.ptr, *end = p->in.ptr + p->in.len;
    while ((at = memmem(at, (size_t)(end - at), text, len))) {
        n++;
        at += len;
    }
    return n;
}

bool raw_wait_text(struct fiber *self, struct raw_peer *p, const char *text) {
    int64_t deadline = in_ms(PATIENCE_MS);
    while (raw_count(p, text) == 0)
        if (p->ended || !wait_more(self, p, deadline)) return false;
    return true;
}

bool raw_wait_bytes(struct fiber *self, struct raw_peer *p, size_t n) {
    int64_t deadline = in_ms(PATIENCE_MS);
    while (p->in.len < n)
        if (p->ended || !wait_more(self, p, deadline)) return false;
    return true;
}

bool raw_wait_end(struct fiber *self, struct raw_peer *p) {
    int64_t deadline = in_ms(PATIENCE_MS);
    while (!p->ended)
        if (!wait_more(self, p, deadline)) return false;
    return true;
}
