/* Connections and their streams, as the protocols use them; the life of a connection is in listener.c. */
#include <time.h>

#include "core/base/clock.h"
#include "core/http/conn.h"
#include "core/http/network.h"

enum { FINISH_S = 5 }; /* a peer that does not close after we have */

void count_drop(struct http_server *s, const char *reason) {
    char labels[64];
    snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    metrics_counter(s->metrics, "rookery_http_drops_total",
                    "Connections and streams closed by the server, by reason", labels)
        ->value++;
}

/* ---- streams of a connection --------------------------------------------------------------------------- */

struct http_stream *conn_stream_open(struct http_conn *c, int32_t id) {
    struct http_server *server = c->server;
    struct http_stream *s = server->app.open(server->app.context);
    s->conn = c;
    s->id = id;
    s->network = c->network;
    s->method = HTTP_OTHER;
    s->progress_ns = loop_now_ns(server->loop);
    list_push_back(&c->streams, &s->node);
    c->n_streams++;
    server->n_streams++;
    return s;
}

void conn_stream_closed(struct http_stream *s) {
    struct http_conn *c = s->conn;
    struct http_server *server = c->server;
    list_remove(&s->node);
    c->n_unsent -= s->n_counted;
    server->n_unsent -= s->n_counted;
    s->n_counted = 0;
    s->conn = NULL;
    c->n_streams--;
    server->n_streams--;
    if (c->n_streams == 0) c->idle_since_ns = loop_now_ns(server->loop);
    server->app.closed(s);
    server->app.sent(server->app.context);
}

bool conn_request_field(struct http_stream *s, struct str name, struct str value) {
    s->head_bytes += name.len + value.len + 32;
    if (s->head_bytes > HTTP_MAX_HEAD_BYTES || s->request.n >= HTTP_MAX_FIELDS) {
        s->head_too_large = true;
        return s->head_bytes <= 4 * HTTP_MAX_HEAD_BYTES;
    }
    http_fields_add(&s->request, name, value);
    return true;
}

static void find_client(struct http_stream *s) {
    struct sockaddr_storage client;
    if (s->conn->is_proxied && proxies_forwarded_for(&s->conn->server->proxies, &s->request, &client))
        s->network = network_of(&client);
}

void conn_request_complete(struct http_stream *s) {
    struct str path = {0};
    find_client(s);
    http_fields_find(&s->request, STR(":path"), &path);
    s->path = str_cut(&path, '?');
    s->query = path;
    s->progress_ns = loop_now_ns(s->conn->server->loop);
    s->conn->server->app.request(s);
}

void conn_check_body(struct http_stream *s, int64_t now_ns) {
    struct http_server *server = s->conn->server;
    if (!http_is_late(s, now_ns) || server->stood_still) return;
    count_drop(server, s->wants == HTTP_WANTS_REST ? "slow_body" : "silent_stream");
    http_want_nothing(s);
    server->app.late(s);
}

/* ---- connections --------------------------------------------------------------------------------------- */

void conn_close(struct http_conn *c, const char *reason) {
    if (c->closed) return;
    c->closed = true;
    c->server->n_open--;
    peers_leave(c);
    if (reason) count_drop(c->server, reason);
    socket_close(&c->socket);
    while (!list_empty(&c->streams))
        conn_stream_closed(list_entry(c->streams.next, struct http_stream, node));
    if (c->phase == HTTP_SPEAKING) c->protocol->end(c);
}

void conn_finish(struct http_conn *c) {
    if (c->closed || c->finish_by_ns) return;
    c->finish_by_ns = loop_now_ns(c->server->loop) + FINISH_S * NS_PER_S;
    socket_finish(&c->socket);
}

const char *http_server_date(struct http_server *s) {
    int64_t now_s = clock_wall_ms() / 1000;
    if (now_s == s->date_s) return s->date;
    time_t t = (time_t)now_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    s->date_s = now_s;
    return s->date;
}
