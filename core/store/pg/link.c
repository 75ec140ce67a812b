/* One place for a connection: its socket, and its end. Its beginning is connect.c; an open connection is
 * pipeline.c. */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/moves.h"
#include "core/store/pg/pg_internal.h"

#define ENDS (MOVE_TO(LINK_WAITING) | MOVE_TO(LINK_CLOSED))

static const moves LINK_MOVES[] = {
    [LINK_WAITING] = MOVE_TO(LINK_RESOLVING) | MOVE_TO(LINK_CONNECTING) | MOVE_TO(LINK_CLOSED),
    [LINK_RESOLVING] = MOVE_TO(LINK_CONNECTING) | ENDS,
    [LINK_CONNECTING] = MOVE_TO(LINK_CHECKING) | ENDS,
    [LINK_CHECKING] = MOVE_TO(LINK_READY) | ENDS,
    [LINK_READY] = ENDS,
    [LINK_CLOSED] = 0,
};

void pg_link_enter(struct pg_link *k, enum pg_link_state state) {
    MOVES_CHECK(LINK_MOVES, k->state, state);
    k->state = state;
}

/* libuv's handle outlives the socket until its close callback. */
struct pg_socket {
    uv_poll_t poll;
    struct pg *pg;
    struct pg_link *link; /* NULL once given up */
    int fd;
    int events; /* watched now; 0: none */
};

/* ---- the socket ---- */

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct pg_socket *s = poll->data;
    if (!s->link) return;
    struct pg_link *k = s->link;
    if (status < 0) s->events = 0; /* libuv has stopped watching */
    k->step(k, status, events);
}

static void on_socket_closed(uv_handle_t *h) {
    struct pg_socket *s = h->data;
    pg_handle_gone(s->pg);
    free(s);
}

static void drop_socket(struct pg_link *k) {
    if (!k->socket) return;
    k->socket->link = NULL;
    uv_close((uv_handle_t *)&k->socket->poll, on_socket_closed);
    k->socket = NULL;
}

static bool open_socket(struct pg_link *k, int fd) {
    struct pg_socket *s = calloc(1, sizeof *s);
    if (!s) return false;
    if (uv_poll_init(loop_uv(k->pg->loop), &s->poll, fd) != 0) {
        free(s);
        return false;
    }
    s->poll.data = s;
    s->pg = k->pg;
    s->link = k;
    s->fd = fd;
    k->pg->handles++;
    k->socket = s;
    return true;
}

bool pg_link_watch(struct pg_link *k, int events) {
    int fd = PQsocket(k->conn);
    if (k->socket && k->socket->fd != fd) drop_socket(k);
    if (fd < 0 || (!k->socket && !open_socket(k, fd))) return false;
    if (k->socket->events == events) return true;
    k->socket->events = events;
    return uv_poll_start(&k->socket->poll, events, on_poll) == 0;
}

void pg_link_unwatch(struct pg_link *k) {
    if (!k->socket) return;
    uv_poll_stop(&k->socket->poll);
    k->socket->events = 0;
}

/* ---- the end of a connection ---- */

static void give_up_resolve(struct pg_link *k) {
    if (!k->resolve) return;
    k->resolve->link = NULL;
    uv_cancel((uv_req_t *)&k->resolve->request); /* when it is too late, its callback is still called */
    k->resolve = NULL;
}

static void forget_statements(struct pg_link *k) {
    struct list_node *n;
    list_init(&k->preparing);
    while ((n = list_pop_front(&k->prepared))) free(list_entry(n, struct pg_prepared, node));
    idmap_free(&k->statements);
    idmap_init(&k->statements);
}

static void disconnect(struct pg_link *k) {
    if (k->state == LINK_READY) pg_link_became_unready(k->pg);
    give_up_resolve(k);
    drop_socket(k);
    if (k->conn) PQfinish(k->conn);
    k->conn = NULL;
    k->retiring = k->unflushed = false;
    forget_statements(k);
}

static void answer_in_flight(struct pg_link *k) {
    struct list_node *n;
    while ((n = list_pop_front(&k->in_flight))) {
        k->depth--;
        pg_op_lost(k->pg, list_entry(n, struct pg_op, node));
    }
}

void pg_link_fail(struct pg_link *k, const char *reason) {
    char text[256]; /* the reason may be libpq's memory */
    struct str first = str_trim((struct str){reason, strcspn(reason, "\n")});
    size_t len = first.len < sizeof text ? first.len : sizeof text;
    memcpy(text, first.ptr, len);

    disconnect(k);
    pg_link_enter(k, LINK_WAITING);
    int64_t wait_ms = backoff_ms(k->attempt++, PG_BACKOFF_BASE_MS, PG_BACKOFF_CAP_MS);
    uv_timer_start(&k->timer, k->restart, (uint64_t)wait_ms, 0);
    log_warn(k->pg->log, "database connection lost", LOG_STR("reason", ((struct str){text, len})),
             LOG_I("in_flight", k->depth), LOG_I("retry_ms", wait_ms));
    answer_in_flight(k);
}

static void on_timer_closed(uv_handle_t *h) {
    struct pg_link *k = h->data;
    pg_handle_gone(k->pg);
}

void pg_link_close(struct pg_link *k) {
    disconnect(k);
    pg_link_enter(k, LINK_CLOSED);
    answer_in_flight(k);
    idmap_free(&k->statements);
    uv_close((uv_handle_t *)&k->timer, on_timer_closed);
}
