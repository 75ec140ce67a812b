/* A TCP connection: see socket.h.
 *
 * One flush: (1) fill pulls from the protocol; (2) uv_try_write hands it to the kernel, which nearly always takes it
 * all; (3) again while the protocol has more, at most FLUSH_ROUNDS times; the last round goes through uv_write, whose
 * completion in the next turn continues, so that one fast reader cannot hold up the loop. Short write -> the rest
 * through uv_write, and nothing is pulled until it is done. Write error -> lost.
 */
#include "core/http/socket.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"

enum {
    FLUSH_ROUNDS = 4,
    POOL_KEEP = 64 /* output buffers kept for reuse: 4 MiB */
};

struct out_buffer {
    struct out_buffer *next;
    char bytes[SOCKET_OUT_BYTES];
};

static void *must(void *p) {
    if (!p) abort(); /* as everywhere: for sizes the program controls, allocation failure aborts */
    return p;
}

void socket_pool_init(struct socket_pool *p) {
    *p = (struct socket_pool){.read_buffer = must(malloc(SOCKET_READ_BYTES))};
}

void socket_pool_free(struct socket_pool *p) {
    while (p->free) {
        struct out_buffer *b = p->free;
        p->free = b->next;
        free(b);
    }
    free(p->read_buffer);
    *p = (struct socket_pool){0};
}

static struct out_buffer *buffer_get(struct socket_pool *p) {
    struct out_buffer *b = p->free;
    p->n_used++;
    if (!b) return must(malloc(sizeof *b));
    p->free = b->next;
    p->n_free--;
    return b;
}

static void buffer_put(struct net_socket *k) {
    struct socket_pool *p = k->pool;
    struct out_buffer *b = k->out;
    k->out = NULL;
    k->out_len = 0;
    if (!b) return;
    p->n_used--;
    if (p->n_free >= POOL_KEEP) {
        free(b);
        return;
    }
    b->next = p->free;
    p->free = b;
    p->n_free++;
}

/* ---- output -------------------------------------------------------------------------------------------- */

static void report_lost(struct net_socket *k) {
    if (k->lost || k->closing) return;
    k->lost = true;
    k->events->lost(k);
}

static void write_done(uv_write_t *w, int status) {
    struct net_socket *k = w->data;
    k->writing = false;
    buffer_put(k);
    k->last_write_ns = loop_now_ns(k->loop);
    if (k->closing) return;
    if (status < 0) {
        report_lost(k);
        return;
    }
    socket_flush_later(k);
}

static void write_slowly(struct net_socket *k, size_t from) {
    uv_buf_t b = uv_buf_init(k->out->bytes + from, (unsigned)(k->out_len - from));
    k->write.data = k;
    k->seen_unwritten = 0;
    k->writing = uv_write(&k->write, (uv_stream_t *)&k->tcp, &b, 1, write_done) == 0;
    if (!k->writing) report_lost(k);
}

static void write_out(struct net_socket *k, bool give_way) {
    if (give_way) {
        write_slowly(k, 0);
        return;
    }
    uv_buf_t b = uv_buf_init(k->out->bytes, (unsigned)k->out_len);
    int n = uv_try_write((uv_stream_t *)&k->tcp, &b, 1);
    if (n < 0 && n != UV_EAGAIN) {
        buffer_put(k);
        report_lost(k);
        return;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent) k->last_write_ns = loop_now_ns(k->loop);
    if (sent < k->out_len) {
        write_slowly(k, sent);
        return;
    }
    k->out_len = 0;
}

static void shutdown_done(uv_shutdown_t *req, int status) {
    struct net_socket *k = req->data;
    if ((status < 0 || k->ended) && !k->closing) report_lost(k); /* or now both sides have ended */
}

static void shut_down(struct net_socket *k) {
    if (k->shut) return;
    k->shut = true;
    k->shutdown.data = k;
    socket_resume(k);
    if (uv_shutdown(&k->shutdown, (uv_stream_t *)&k->tcp, shutdown_done) != 0) report_lost(k);
}

static void flush(struct flusher *f) {
    struct net_socket *k = list_entry(f, struct net_socket, flusher);
    for (int round = 1; !k->writing && !k->closing && !k->shut; round++) {
        k->events->fill(k);
        if (k->closing || k->out_len == 0) break;
        write_out(k, round >= FLUSH_ROUNDS);
    }
    if (k->closing || k->writing) return;
    buffer_put(k);
    if (k->finishing) shut_down(k);
}

void socket_flush_later(struct net_socket *k) {
    if (k->closing || k->writing) return; /* a write in flight flushes when it is done */
    loop_flush_later(k->loop, &k->flusher);
}

size_t socket_room(const struct net_socket *k) {
    return SOCKET_OUT_BYTES - k->out_len;
}

char *socket_reserve(struct net_socket *k, size_t bytes) {
    assert(!k->writing);
    if (bytes > socket_room(k)) return NULL;
    if (!k->out) k->out = buffer_get(k->pool);
    return k->out->bytes + k->out_len;
}

void socket_commit(struct net_socket *k, size_t bytes) {
    assert(k->out && bytes <= socket_room(k));
    k->out_len += bytes;
}

size_t socket_stalled_bytes(struct net_socket *k) {
    if (!k->writing) return 0;
    size_t unwritten = uv_stream_get_write_queue_size((uv_stream_t *)&k->tcp);
    bool moved = unwritten != k->seen_unwritten;
    k->seen_unwritten = unwritten;
    if (moved) k->last_write_ns = loop_now_ns(k->loop);
    return moved ? 0 : unwritten;
}

/* ---- input --------------------------------------------------------------------------------------------- */

static void give_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct net_socket *k = h->data;
    (void)suggested;
    *out = uv_buf_init(k->pool->read_buffer, (unsigned)SOCKET_READ_BYTES);
}

static void on_read(uv_stream_t *t, ssize_t n, const uv_buf_t *b) {
    struct net_socket *k = t->data;
    if (n == 0) return;
    if (n < 0) {
        k->ended = true;
        bool goes_on = n == UV_EOF && !k->shut && k->events->ended && k->events->ended(k);
        if (!goes_on) report_lost(k);
        return;
    }
    if (k->shut) return;
    k->last_read_ns = loop_now_ns(k->loop);
    k->events->read(k, b->base, (size_t)n);
}

bool socket_has_unread(const struct net_socket *k) {
    uv_os_fd_t fd;
    char byte;
    if (uv_fileno((const uv_handle_t *)&k->tcp, &fd) != 0) return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

int socket_init(struct net_socket *k, struct loop *l, struct socket_pool *p,
                const struct socket_events *events) {
    *k = (struct net_socket){.loop = l, .pool = p, .events = events};
    flusher_init(&k->flusher, flush);
    k->last_read_ns = k->last_write_ns = loop_now_ns(l);
    int rc = uv_tcp_init(loop_uv(l), &k->tcp);
    k->tcp.data = k;
    return rc;
}

int socket_start(struct net_socket *k) {
    int rc = uv_tcp_nodelay(&k->tcp, 1);
    if (rc == 0) rc = uv_read_start((uv_stream_t *)&k->tcp, give_buffer, on_read);
    return rc;
}

void socket_pause(struct net_socket *k) {
    if (k->paused || k->closing) return;
    k->paused = true;
    uv_read_stop((uv_stream_t *)&k->tcp);
}

void socket_resume(struct net_socket *k) {
    if (!k->paused || k->closing || k->ended) return;
    k->paused = false;
    if (uv_read_start((uv_stream_t *)&k->tcp, give_buffer, on_read) != 0) report_lost(k);
}

bool socket_is_gone(const struct net_socket *k) {
    struct sockaddr_storage a;
    int len = sizeof a;
    return uv_tcp_getpeername(&k->tcp, (struct sockaddr *)&a, &len) != 0;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

void socket_finish(struct net_socket *k) {
    if (k->closing || k->finishing) return;
    k->finishing = true;
    socket_flush_later(k);
}

static void handle_closed(uv_handle_t *h) {
    struct net_socket *k = h->data;
    buffer_put(k);
    k->events->closed(k);
}

void socket_close(struct net_socket *k) {
    if (k->closing) return;
    k->closing = true;
    flusher_cancel(&k->flusher);
    uv_close((uv_handle_t *)&k->tcp, handle_closed);
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

bool socket_parse_address(const char *text, struct sockaddr_storage *out) {
    const char *colon = strrchr(text, ':');
    char host[64];
    int64_t port = 0;
    if (!colon || !str_to_i64(str_from(colon + 1), &port) || port < 0 || port > 65535) return false;
    size_t len = (size_t)(colon - text);
    bool six = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (six) {
        text++;
        len -= 2;
    }
    if (len >= sizeof host) return false;
    memcpy(host, text, len);
    host[len] = '\0';
    memset(out, 0, sizeof *out);
    if (six) return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0;
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0;
}

void socket_peer(const struct net_socket *k, struct sockaddr_storage *out) {
    int len = sizeof *out;
    *out = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (uv_tcp_getpeername(&k->tcp, (struct sockaddr *)out, &len) != 0) out->ss_family = AF_UNSPEC;
}

void socket_address_name(const struct sockaddr_storage *address, char *out, size_t size) {
    char host[64] = "?";
    unsigned port = 0;
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        uv_ip6_name(in6, host, sizeof host);
        port = ntohs(in6->sin6_port);
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
        uv_ip4_name(in4, host, sizeof host);
        port = ntohs(in4->sin_port);
    }
    snprintf(out, size, "%s:%u", host, port);
}
