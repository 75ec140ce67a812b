/* Listening, connections, and which protocol a connection speaks.
 *
 * A connection's life: (1) accepted; peers.c makes room for it, and if it is of a proxy that sends PROXY headers, that
 * is read first; (2) its first bytes are compared with HTTP/2's magic: all 24 equal -> http2, the first difference ->
 * http1; (3) the protocol reads and fills until the peer goes, a limit is passed or the server drains; (4) conn_close:
 * every stream is closed, the protocol's state is freed, the socket is closed; (5) the socket's last event frees the
 * memory.
 *
 * One timer a second sweeps all connections; connections and streams have no timers of their own. No protocol known
 * after SNIFF_S -> closed; the kernel's buffer has not moved for WRITE_STALL_S -> closed. Protocols sweep their
 * streams themselves.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/http/conn.h"
#include "core/http/network.h"

enum {
    BACKLOG = 1024,
    SWEEP_MS = 1000,
    SNIFF_S = 5,       /* slow loris, before a protocol is known */
    WRITE_STALL_S = 30 /* a peer that does not read */
};

static const char magic[24] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- connections --------------------------------------------------------------------------------------- */

static void speak(struct http_conn *c, const struct http_protocol *p, const char *bytes, size_t n) {
    c->protocol = p;
    if (!p->begin(c)) {
        conn_close(c, "memory");
        return;
    }
    c->phase = HTTP_SPEAKING;
    if (c->server->draining) p->drain(c, true);
    char head[sizeof c->sniffed];
    size_t n_head = c->n_sniffed;
    memcpy(head, c->sniffed, n_head);
    if (n_head) p->read(c, head, n_head);
    if (n && !c->closed) p->read(c, bytes, n);
}

static void sniff(struct http_conn *c, const char *bytes, size_t n) {
    for (size_t i = 0; i < n && c->n_sniffed + i < sizeof magic; i++) {
        if (bytes[i] == magic[c->n_sniffed + i]) continue;
        speak(c, &http1_protocol, bytes, n);
        return;
    }
    if (c->n_sniffed + n >= sizeof magic) {
        speak(c, &http2_protocol, bytes, n);
        return;
    }
    memcpy(c->sniffed + c->n_sniffed, bytes, n);
    c->n_sniffed += n;
}

/* Whose connection it is. */
static void belongs_to(struct http_conn *c, const struct sockaddr_storage *client) {
    c->network = network_of(client);
}

/* The PROXY header, then what follows it. */
static void introduce(struct http_conn *c, const char *bytes, size_t n) {
    struct sockaddr_storage client;
    size_t used = 0;
    buf_append(&c->early, bytes, n);
    enum proxy_header e = proxies_read_header(buf_str(&c->early), &used, &client);
    if (e == PROXY_HEADER_BAD) {
        conn_close(c, "proxy_header");
        return;
    }
    if (e == PROXY_HEADER_SHORT) return;
    if (client.ss_family != AF_UNSPEC) belongs_to(c, &client);
    c->phase = HTTP_SNIFFING;
    c->is_proxied = false;
    peers_enter(c);
    struct buf early = c->early;
    c->early = (struct buf){0};
    if (early.len > used) sniff(c, early.ptr + used, early.len - used);
    buf_free(&early);
}

static void conn_read(struct net_socket *k, const char *bytes, size_t n) {
    struct http_conn *c = (struct http_conn *)k;
    peers_active(c);
    if (c->phase == HTTP_INTRODUCED) {
        introduce(c, bytes, n);
    } else if (c->phase == HTTP_SNIFFING) {
        sniff(c, bytes, n);
    } else {
        c->protocol->read(c, bytes, n);
    }
}

static void conn_fill(struct net_socket *k) {
    struct http_conn *c = (struct http_conn *)k;
    if (c->phase == HTTP_SPEAKING) c->protocol->fill(c);
}

static bool conn_ended(struct net_socket *k) {
    struct http_conn *c = (struct http_conn *)k;
    return c->phase == HTTP_SPEAKING && c->protocol->ended && c->protocol->ended(c);
}

static void conn_lost(struct net_socket *k) {
    conn_close((struct http_conn *)k, NULL);
}

static void conn_free(struct net_socket *k) {
    struct http_conn *c = (struct http_conn *)k;
    struct http_server *s = c->server;
    assert(list_empty(&c->streams));
    list_remove(&c->node);
    s->n_conns--;
    s->open_conns->value = (double)s->n_conns;
    free(c->application);
    buf_free(&c->early);
    free(c);
    if (s->on_change) s->on_change(s->app.context);
}

static const struct socket_events conn_events = {
    .read = conn_read, .fill = conn_fill, .ended = conn_ended, .lost = conn_lost, .closed = conn_free};

static struct http_conn *conn_new(struct http_server *s) {
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->server = s;
    c->place.conn = c;
    c->phase = HTTP_SNIFFING;
    list_init(&c->streams);
    list_push_back(&s->conns, &c->node);
    s->n_conns++;
    s->n_open++;
    s->open_conns->value = (double)s->n_conns;
    c->opened_ns = c->idle_since_ns = loop_now_ns(s->loop);
    if (socket_init(&c->socket, s->loop, &s->pool, &conn_events) != 0) abort();
    return c;
}

static void on_connection(uv_stream_t *listener, int status) {
    struct http_server *s = listener->data;
    if (status < 0) {
        log_warn(s->log, "accept failed", LOG_S("error", uv_strerror(status)));
        return;
    }
    struct http_conn *c = conn_new(s);
    if (!c) return;
    if (uv_accept(listener, (uv_stream_t *)&c->socket.tcp) != 0) {
        conn_close(c, NULL);
        return;
    }
    struct sockaddr_storage peer;
    socket_peer(&c->socket, &peer);
    belongs_to(c, &peer);
    c->is_proxied = proxies_trust(&s->proxies, &peer);
    if (c->is_proxied && s->proxies.send_header) c->phase = HTTP_INTRODUCED;
    if (!peers_join(c)) {
        s->refused->value++;
        conn_close(c, "too_many_connections");
        return;
    }
    s->accepted->value++;
    if (socket_start(&c->socket) != 0) conn_close(c, NULL);
}

/* ---- the sweep ----------------------------------------------------------------------------------------- */

static void sweep_conn(struct http_conn *c, int64_t now) {
    if (!c->closed) peers_sweep_conn(c);
    if (c->closed) return;
    if (c->finish_by_ns && now > c->finish_by_ns) {
        conn_close(c, "finish_timeout");
    } else if (c->phase != HTTP_SPEAKING) {
        if (now - c->opened_ns > SNIFF_S * NS_PER_S) conn_close(c, "handshake_timeout");
    } else if (socket_stalled_bytes(&c->socket) && now - c->socket.last_write_ns > WRITE_STALL_S * NS_PER_S) {
        conn_close(c, "write_stall");
    } else if (!c->finish_by_ns) {
        c->protocol->sweep(c, now);
    }
}

static void on_sweep(uv_timer_t *t) {
    struct http_server *s = t->data;
    int64_t now = loop_now_ns(s->loop);
    s->stood_still = s->swept_ns && now - s->swept_ns > 2 * SWEEP_MS * NS_PER_MS;
    s->swept_ns = now;
    list_each_safe (&s->conns, n) sweep_conn(list_entry(n, struct http_conn, node), now);
    s->open_streams->value = (double)s->n_streams;
    peers_sweep(s, now);
    if (s->on_sweep) s->on_sweep(s->app.context);
}

/* ---- listening ----------------------------------------------------------------------------------------- */

/* SO_REUSEPORT by hand: libuv 1.44 has no flag for it. Returns the descriptor, or -1 with errno. */
static int bound_socket(const struct sockaddr_storage *a) {
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int on = 1;
    socklen_t len = a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)a, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int port_of(int fd) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return 0;
    if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static void handle_closed(uv_handle_t *h) {
    struct http_server *s = h->data;
    s->open_handles--;
    if (s->on_change) s->on_change(s->app.context);
}

/* Beside the connections: servers, logs, streams. */
enum { OTHER_FILES = 256 };

/* A connection is a file: where there are fewer than max_conns, accepting would fail before anybody gives way. */
static void bound_by_files(struct http_server *s) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    if (files.rlim_cur == RLIM_INFINITY || s->max_conns + OTHER_FILES <= files.rlim_cur) return;
    s->max_conns = files.rlim_cur > 2 * OTHER_FILES ? files.rlim_cur - OTHER_FILES : files.rlim_cur / 2;
    log_warn(s->log, "fewer connections than configured, since this process may open few files",
             LOG_I("connections", s->max_conns), LOG_I("files", files.rlim_cur));
}

static void start_sweeper(struct http_server *s) {
    if (uv_timer_init(loop_uv(s->loop), &s->sweeper) != 0) abort();
    s->sweeper.data = s;
    s->open_handles++;
    if (uv_timer_start(&s->sweeper, on_sweep, SWEEP_MS, SWEEP_MS) != 0) abort();
}

bool http_server_listen(struct http_server *s, const char *address, struct fault *fault) {
    struct sockaddr_storage a;
    if (!socket_parse_address(address, &a)) {
        fault_set(fault, ERR_INVALID_ARGUMENT,
                  "%s is not an address to listen on: give ADDR:PORT with a numeric address", address);
        return false;
    }
    int fd = bound_socket(&a);
    if (fd < 0) {
        fault_set(fault, ERR_UNAVAILABLE, "cannot listen on %s: %s", address, strerror(errno));
        return false;
    }
    if (uv_tcp_init(loop_uv(s->loop), &s->listener) != 0) abort();
    s->listener.data = s;
    s->open_handles++;
    int rc = uv_tcp_open(&s->listener, fd);
    if (rc != 0) close(fd);
    if (rc == 0) rc = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    if (rc != 0) {
        fault_set(fault, ERR_UNAVAILABLE, "cannot listen on %s: %s", address, uv_strerror(rc));
        uv_close((uv_handle_t *)&s->listener, handle_closed);
        return false;
    }
    s->port = port_of(fd);
    bound_by_files(s);
    start_sweeper(s);
    return true;
}

void http_server_stop_accepting(struct http_server *s) {
    if (!uv_is_closing((uv_handle_t *)&s->listener)) uv_close((uv_handle_t *)&s->listener, handle_closed);
}

void http_server_drain(struct http_server *s, bool now) {
    s->draining = true;
    list_each_safe (&s->conns, n) {
        struct http_conn *c = list_entry(n, struct http_conn, node);
        if (!c->closed && c->phase == HTTP_SPEAKING) c->protocol->drain(c, now);
    }
}

void http_server_close_all(struct http_server *s) {
    list_each_safe (&s->conns, n) conn_close(list_entry(n, struct http_conn, node), NULL);
    if (!uv_is_closing((uv_handle_t *)&s->sweeper)) uv_close((uv_handle_t *)&s->sweeper, handle_closed);
}

void http_server_release(struct http_server *s) {
    assert(s->open_handles == 0 && list_empty(&s->conns));
    socket_pool_free(&s->pool);
    peers_free(&s->peers);
    http2_options_free(s);
}
