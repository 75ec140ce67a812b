/* When a call is served: after the replies before it, and in turn with other connections.
 *
 * A unary call has arrived whole -> if its connection has room it is started; else it waits in its connection's queue
 * -> a reply was written, or a call has ended -> at the end of the turn of the loop the queues are gone through, one
 * call of each, until none has room. A handler that is about to make a page asks again (rpc_has_room), and waits with
 * little in its hands (rpc_await_room).
 *
 * Room: the replies of a connection that are unsent, and those that its running calls are expected to make, are
 * bounded; so is the sum of all connections. What a call is expected to make is what replies on its connection were
 * lately (`usual`), and much at first: so of a burst of large replies a few are made concurrently, of small ones all. A
 * connection without unsent replies and running calls has room up to twice the sum, and does not count what is with
 * sockets, of which each has little: an honest client does not wait for those who do not read.
 *
 * Failures: the client goes -> its waiting calls are dropped. A deadline passes -> the call is ended by the sweep, or
 * when its turn comes. The sum stays full -> connections that read less than READ_LEAST a second are cut, since their
 * replies keep others waiting. The server drains -> what waits is served as long as calls are.
 *
 * Assumptions. A queue lives as long as its connection, and calls leave it (rpc_replies_over) when their stream closes,
 * which is before. A waiting call holds its request only, which core/rpc/budget.h bounds. Streams take no turns: they
 * wait by themselves while 64 KiB of theirs are unsent.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/rpc/rpc_internal.h"

enum {
    USUAL_FIRST = 64 * 1024, /* what a reply is expected to be on a new connection */
    USUAL_LEAST = 4 * 1024,
    USUAL_STEP = 4,        /* a smaller reply brings the expectation down by a quarter of the difference */
    READ_LEAST = 4 * 1024, /* bytes a second, of a connection with more than that unsent */
    SLOW_SWEEPS = 3        /* seconds for which it may be slower */
};
#define TELL_EVERY_NS (60 * NS_PER_S)

struct rpc_queue {
    struct list_node node;  /* among those with waiting calls */
    struct list_node calls; /* that wait, oldest first */
    size_t n_running, expected, usual;
};

static struct rpc_queue *queue_of(struct http_conn *c) {
    if (c->application) return c->application;
    struct rpc_queue *q = calloc(1, sizeof *q);
    if (!q) abort();
    list_init(&q->node);
    list_init(&q->calls);
    q->usual = USUAL_FIRST;
    c->application = q;
    return q;
}

/* ---- room ---------------------------------------------------------------------------------------------- */

static size_t all_unsent(const struct rpc_server *s) {
    return s->http.n_unsent + s->http.pool.n_used * SOCKET_OUT_BYTES;
}

static bool has_room(const struct rpc_server *s, const struct http_conn *c, size_t others, size_t more) {
    size_t one = s->options.reply_bytes / RPC_REPLY_SHARES, all = s->options.reply_bytes;
    if (all == 0) return true;
    if (c->n_unsent == 0 && others == 0) return s->http.n_unsent + more <= 2 * all;
    return c->n_unsent + others + more <= one && all_unsent(s) + s->replies.expected + more <= all;
}

static bool may_start(const struct rpc_server *s, const struct rpc_call *call) {
    const struct rpc_queue *q = call->http.conn->application;
    return has_room(s, call->http.conn, q->expected, q->usual);
}

bool rpc_has_room(struct rpc_call *call, size_t bytes) {
    struct http_conn *c = call->http.conn;
    return !c || has_room(call->server, c, 0, bytes);
}

int rpc_await_room(struct fiber *self, struct rpc_call *call, size_t bytes) {
    struct rpc_server *s = call->server;
    int rc = fiber_cancelled(self) ? ERR_CANCELLED : ERR_OK;
    while (rc == 0 && !rpc_has_room(call, bytes)) {
        call->room_bytes = bytes;
        list_push_back(&s->replies.at_room, &call->reply_node);
        call->waiting = true;
        rc = fiber_park(self);
        call->waiting = false;
        list_remove(&call->reply_node);
    }
    return rc;
}

/* ---- queues --------------------------------------------------------------------------------------------- */

static void count_in(struct rpc_call *call, struct rpc_queue *q) {
    struct rpc_replies *t = &call->server->replies;
    call->queue = q;
    call->expected = q->usual;
    q->n_running++;
    q->expected += call->expected;
    t->expected += call->expected;
}

static void count_out(struct rpc_call *call) {
    struct rpc_replies *t = &call->server->replies;
    struct rpc_queue *q = call->queue;
    assert(q->n_running > 0 && q->expected >= call->expected && t->expected >= call->expected);
    q->n_running--;
    q->expected -= call->expected;
    t->expected -= call->expected;
}

static void leave_queue(struct rpc_call *call) {
    call->in_queue = false;
    list_remove(&call->reply_node);
    call->server->replies.n_waiting--;
    if (list_empty(&call->queue->calls)) list_remove(&call->queue->node);
}

void rpc_replies_over(struct rpc_call *call) {
    if (!call->queue) return;
    if (call->in_queue)
        leave_queue(call);
    else
        count_out(call);
    call->queue = NULL;
    rpc_replies_later(call->server);
}

void rpc_replies_made(struct rpc_call *call) {
    struct rpc_queue *q = call->queue;
    if (!q) return;
    size_t size = http_unsent(&call->http);
    size_t low = q->usual - (q->usual > size ? (q->usual - size + USUAL_STEP - 1) / USUAL_STEP : 0);
    q->usual = size > low ? size : low;
    if (q->usual < USUAL_LEAST) q->usual = USUAL_LEAST;
}

bool rpc_replies_take(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    struct rpc_queue *q = queue_of(call->http.conn);
    if (list_empty(&q->calls) && may_start(s, call)) {
        count_in(call, q);
        return true;
    }
    call->queue = q;
    call->in_queue = true;
    list_push_back(&q->calls, &call->reply_node);
    if (!list_linked(&q->node)) list_push_back(&s->replies.queues, &q->node);
    s->replies.n_waiting++;
    s->replies.n_delayed++;
    return false;
}

/* The first call of a queue, if there is room: started. */
static bool start_one(struct rpc_server *s, struct rpc_queue *q) {
    struct rpc_call *call = list_entry(q->calls.next, struct rpc_call, reply_node);
    if (!may_start(s, call)) return false;
    leave_queue(call);
    if (!list_empty(&q->calls)) { /* behind the others */
        list_remove(&q->node);
        list_push_back(&s->replies.queues, &q->node);
    }
    count_in(call, q);
    s->replies.start(call);
    return true;
}

static bool start_round(struct rpc_server *s) {
    bool some = false;
    size_t left = s->replies.n_waiting; /* a queue that goes to the back is met again: stop then */
    list_each_safe (&s->replies.queues, n) {
        if (left-- == 0) break;
        some |= start_one(s, list_entry(n, struct rpc_queue, node));
    }
    return some;
}

static void go_on(struct flusher *f) {
    struct rpc_server *s = list_entry(f, struct rpc_server, replies.flusher);
    list_each_safe (&s->replies.at_room, n) {
        struct rpc_call *call = list_entry(n, struct rpc_call, reply_node);
        if (rpc_has_room(call, call->room_bytes)) rpc_call_wake(call);
    }
    while (s->replies.n_waiting > 0 && start_round(s)) continue;
}

void rpc_replies_later(struct rpc_server *s) {
    if (s->replies.n_waiting > 0 || !list_empty(&s->replies.at_room))
        loop_flush_later(s->loop, &s->replies.flusher);
}

void rpc_replies_init(struct rpc_server *s, void (*start)(struct rpc_call *call)) {
    s->replies.start = start;
    list_init(&s->replies.queues);
    list_init(&s->replies.at_room);
    flusher_init(&s->replies.flusher, go_on);
}

/* ---- once a second ------------------------------------------------------------------------------------- */

static void end_waiting(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    struct fault fault = {0};
    enum error e = s->stopping ? ERR_UNAVAILABLE : ERR_DEADLINE_EXCEEDED;
    fault_set(&fault, e, "%s", s->stopping ? "shutting down" : "deadline exceeded");
    rpc_replies_over(call);
    rpc_end(call, e, &fault);
    rpc_server_changed(s);
}

void rpc_replies_end_waiting(struct rpc_server *s, int64_t now_ns) {
    list_each_safe (&s->replies.queues, n) {
        struct rpc_queue *q = list_entry(n, struct rpc_queue, node);
        list_each_safe (&q->calls, m) {
            struct rpc_call *call = list_entry(m, struct rpc_call, reply_node);
            if (s->stopping || (call->deadline_ns && now_ns >= call->deadline_ns)) end_waiting(call);
        }
    }
}

/* Connections that do not read, while their replies keep others waiting. */
static void cut_slow_readers(struct rpc_server *s) {
    bool is_full = s->options.reply_bytes > 0 && all_unsent(s) > s->options.reply_bytes;
    list_each_safe (&s->http.conns, n) {
        struct http_conn *c = list_entry(n, struct http_conn, node);
        bool is_slow = (c->n_unsent > READ_LEAST || c->socket.writing) && c->n_taken < READ_LEAST;
        c->n_taken = 0;
        c->slow_sweeps = is_slow ? c->slow_sweeps + 1 : 0;
        if (!is_full || c->slow_sweeps < SLOW_SWEEPS || c->closed) continue;
        s->replies.n_cut++;
        conn_close(c, "unread_replies");
    }
}

void rpc_replies_sweep(struct rpc_server *s, int64_t now_ns) {
    struct rpc_replies *t = &s->replies;
    rpc_replies_end_waiting(s, now_ns);
    cut_slow_readers(s);
    rpc_replies_later(s);
    if (t->n_cut + t->n_delayed == 0 || now_ns - t->told_ns < TELL_EVERY_NS) return;
    log_warn(s->log, "calls waited until the replies before them were sent", LOG_I("calls", t->n_delayed),
             LOG_I("connections_cut", t->n_cut), LOG_I("unsent_bytes", all_unsent(s)));
    t->n_cut = t->n_delayed = 0;
    t->told_ns = now_ns;
}
