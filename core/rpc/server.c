/* The server: its table of methods, its start and its end.
 *
 * The end, step by step: (1) health says NOT_SERVING, new calls are refused; (2) the waiting connections are
 * accepted, then the listener closes; (3) GOAWAY without a last stream, so that requests on the wire are not lost;
 * GOAWAY_MS later the final one; (4) detached streams, which would never end by themselves, end with UNAVAILABLE:
 * their clients reconnect elsewhere; (5) calls get until the time is up, then they are cancelled and end with
 * UNAVAILABLE; (6) connections flush and close, the rest are cut; (7) everything is freed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/limit/limit.h"
#include "core/rpc/reflection.h"
#include "core/rpc/rpc_internal.h"
#include "core/text/fields.h"

enum {
    GOAWAY_MS = 100, /* at least a round trip between the two GOAWAYs */
    CLOSE_MS = 1000  /* for peers to take the last bytes and close */
};

/* ---- the table ----------------------------------------------------------------------------------------- */

static struct rpc_entry *table_add(struct rpc_table *t, const char *path) {
    struct str p = str_from(path);
    assert(rpc_table_find(t, p) == &t->unknown); /* one path, one method */
    size_t i = rpc_path_hash(p) & (t->cap - 1);
    while (t->slots[i].path.ptr) i = (i + 1) & (t->cap - 1);
    t->slots[i] = (struct rpc_entry){.hash = rpc_path_hash(p), .path = p};
    return &t->slots[i];
}

/* What anybody may send is bounded by what the texts of the message can need. */
static size_t message_limit(const struct rpc_server *s, const struct rpc_method *m) {
    size_t most = m->max_message_bytes ? m->max_message_bytes : s->options.max_message_bytes;
    size_t need = m->is_public && s->options.texts ? text_fields_most_bytes(s->options.texts, m->request) : 0;
    return need > 0 && need < most ? need : most;
}

static void add_method(struct rpc_server *s, const struct rpc_method *m) {
    char labels[256];
    struct rpc_entry *e = table_add(&s->table, m->path);
    e->method = m;
    e->max_message = message_limit(s, m);
    snprintf(labels, sizeof labels, "method=\"%s\"", m->path + 1);
    e->latency = metrics_histogram(s->metrics, "rookery_rpc_duration_seconds",
                                   "Duration from a call's headers to its status, by method", labels);
}

static void add_methods(struct rpc_server *s, const struct rpc_method *m, size_t n) {
    for (size_t i = 0; i < n; i++) add_method(s, &m[i]);
}

static void build_table(struct rpc_server *s) {
    size_t n_health, n_reflection;
    const struct rpc_method *health = health_methods(&n_health);
    const struct rpc_method *reflection = reflection_methods(&n_reflection);
    size_t n = s->options.n_methods + s->options.n_routes + n_health + n_reflection;
    s->table.cap = 64;
    while (s->table.cap < 4 * n) s->table.cap *= 2;
    s->table.slots = calloc(s->table.cap, sizeof *s->table.slots);
    if (!s->table.slots) abort();
    s->table.unknown.path = STR("unknown");
    add_methods(s, s->options.methods, s->options.n_methods);
    add_methods(s, health, n_health);
    add_methods(s, reflection, n_reflection);
    for (size_t i = 0; i < s->options.n_routes; i++)
        table_add(&s->table, s->options.routes[i].path)->route = &s->options.routes[i];
}

/* ---- start --------------------------------------------------------------------------------------------- */

/* Detached streams have no fiber that would meet their deadline. A stream's end may end others: start over then. */
static bool end_one_expired(struct rpc_server *s, int64_t now) {
    struct fault fault = {0};
    list_each (&s->detached, n) {
        struct rpc_call *call = list_entry(n, struct rpc_call, node);
        if (call->ended || !call->deadline_ns || now < call->deadline_ns) continue;
        rpc_end(call, fault_set(&fault, ERR_DEADLINE_EXCEEDED, "deadline exceeded"), &fault);
        rpc_stream_ended(call);
        return true;
    }
    return false;
}

static void on_sweep(void *context) {
    struct rpc_server *s = context;
    health_sweep(s);
    rpc_turns_sweep(s);
    rpc_held_sweep(s, loop_now_ns(s->loop));
    rpc_replies_sweep(s, loop_now_ns(s->loop));
    while (end_one_expired(s, loop_now_ns(s->loop))) {
    }
}

static void on_change(void *context) {
    rpc_server_changed(context);
}

static void make_metrics(struct rpc_server *s) {
    struct metrics *m = s->metrics;
    s->in_flight = metrics_gauge(m, "rookery_rpc_in_flight", "Calls whose handler is running", "");
    s->streams_detached = metrics_gauge(m, "rookery_rpc_live_streams", "Open streams fed by events", "");
    s->http.accepted = metrics_counter(m, "rookery_http_connections_total", "Accepted connections", "");
    s->http.refused = metrics_counter(m, "rookery_http_connections_refused_total",
                                      "Connections refused because too many were open", "");
    s->http.open_conns = metrics_gauge(m, "rookery_http_connections", "Open connections", "");
    s->http.open_streams = metrics_gauge(m, "rookery_http_streams", "Open requests", "");
    s->waiting = metrics_gauge(m, "rookery_rpc_waiting", "Calls that wait for their turn", "");
    s->run_limit = metrics_gauge(m, "rookery_rpc_run_limit",
                                 "Calls above which others wait; lower when the loop cannot keep up", "");
    s->slowed_refusals = metrics_counter(m, "rookery_rpc_slowed_refusals_total",
                                         "Refusals held back, to networks that were refused much", "");
    s->overload_refusals =
        metrics_counter(m, "rookery_rpc_overload_refusals_total",
                        "Calls refused because too many waited, or waited for too long", "");
    s->unsent_bytes = metrics_gauge(m, "rookery_rpc_unsent_bytes", "Bytes of replies not yet sent", "");
    s->waiting_replies = metrics_gauge(m, "rookery_rpc_waiting_replies",
                                       "Calls that wait until replies before them are sent", "");
    s->gave_way = metrics_counter(m, "rookery_rpc_requests_gave_way_total",
                                  "Incomplete requests that were ended for newer ones", "");
    s->queued_bytes =
        metrics_gauge(m, "rookery_rpc_request_bytes", "Bytes of requests held for calls in progress", "");
}

static void on_scrape(void *arg) {
    struct rpc_server *s = arg;
    s->waiting->value = (double)s->admission.waiting;
    s->run_limit->value = (double)s->admission.limit;
    s->queued_bytes->value = (double)budget_bytes(&s->budget);
    s->unsent_bytes->value = (double)s->http.n_unsent;
    s->waiting_replies->value = (double)s->replies.n_waiting;
    s->http.open_streams->value = (double)s->http.n_streams;
}

static struct rpc_server *server_new(struct loop *l, const struct rpc_server_options *o, struct log *log,
                                     struct metrics *metrics) {
    struct rpc_server *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->options = *o;
    s->loop = l;
    s->log = log;
    s->metrics = metrics;
    list_init(&s->running);
    list_init(&s->detached);
    list_init(&s->pool);
    list_init(&s->watchers);
    list_init(&s->slowed);
    admission_init(&s->admission, o->max_calls);
    s->refusals = limit_table_new(LIMIT_KEYS, 1);
    if (!s->refusals) abort();
    s->http = (struct http_server){.loop = l, .log = log, .metrics = metrics, .app = rpc_app};
    s->http.app.context = s;
    s->http.max_conns = o->max_connections;
    peers_init(&s->http.peers, &o->peers, conn_close);
    budget_init(&s->budget, &o->budget, rpc_evict);
    rpc_replies_init(s, rpc_call_go);
    s->http.on_change = on_change;
    s->http.on_sweep = on_sweep;
    list_init(&s->http.conns);
    socket_pool_init(&s->http.pool);
    if (!http2_options_new(&s->http)) abort();
    make_metrics(s);
    build_table(s);
    return s;
}

static void server_free(struct rpc_server *s) {
    metrics_off_scrape(s->metrics, on_scrape, s);
    while (!list_empty(&s->pool))
        rpc_call_dispose(list_entry(list_pop_front(&s->pool), struct rpc_call, node));
    http_server_release(&s->http);
    admission_free(&s->admission);
    limit_table_free(s->refusals);
    flusher_cancel(&s->replies.flusher);
    budget_free(&s->budget);
    descriptors_free(s->descriptors);
    free(s->table.slots);
    free(s);
}

struct rpc_server *rpc_server_start(struct loop *l, const struct rpc_server_options *o, struct log *log,
                                    struct metrics *metrics, struct fault *fault) {
    assert(o->max_calls && o->max_connections && o->max_message_bytes && metrics);
    struct rpc_server *s = server_new(l, o, log, metrics);
    s->http.proxies.send_header = o->proxy_headers;
    const char *proxies = o->trusted_proxies ? o->trusted_proxies : "";
    if (!proxies_parse(proxies, &s->http.proxies, fault) || !http_server_listen(&s->http, o->listen, fault)) {
        server_free(s);
        return NULL;
    }
    s->was_serving = rpc_server_serving(s);
    metrics_on_scrape(metrics, on_scrape, s);
    return s;
}

int rpc_server_port(const struct rpc_server *s) {
    return s->http.port;
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

/* Waits until done(s), or until the time; the fiber's own deadline and cancellation end it too. */
static void wait_for(struct fiber *self, struct rpc_server *s, bool (*done)(const struct rpc_server *s),
                     int64_t until_ns) {
    int64_t own = fiber_deadline_ns(self);
    fiber_set_deadline_ns(self, until_ns);
    int rc = 0;
    while (rc == 0 && !done(s)) {
        s->stopper = self;
        rc = fiber_park(self);
        s->stopper = NULL;
    }
    fiber_set_deadline_ns(self, own);
}

static void wait_surely(struct fiber *self, struct rpc_server *s, bool (*done)(const struct rpc_server *s)) {
    while (!done(s)) {
        s->stopper = self;
        fiber_park_uninterruptible(self);
    }
}

static bool no_calls(const struct rpc_server *s) {
    return s->n_running == 0 && s->replies.n_waiting == 0;
}

static bool no_connections(const struct rpc_server *s) {
    return s->http.n_conns == 0;
}

static bool no_handles(const struct rpc_server *s) {
    return s->http.n_conns == 0 && s->http.open_handles == 0 && !s->keeper;
}

static void end_detached(struct rpc_server *s) {
    struct fault fault = {0};
    fault_set(&fault, ERR_UNAVAILABLE, "the server is shutting down");
    bool found = true;
    while (found) {
        found = false;
        list_each (&s->detached, n) {
            struct rpc_call *call = list_entry(n, struct rpc_call, node);
            if (call->ended) continue;
            rpc_end(call, ERR_UNAVAILABLE, &fault);
            rpc_stream_ended(call);
            found = true; /* the list may have changed */
            break;
        }
    }
}

static void cancel_calls(struct rpc_server *s) {
    s->stopping = true;
    rpc_replies_end_waiting(s, loop_now_ns(s->loop));
    list_each_safe (&s->running, n) fiber_cancel(list_entry(n, struct rpc_call, node)->fiber);
}

void rpc_server_stop(struct fiber *self, struct rpc_server *s, int64_t time_ms) {
    int64_t now = loop_now_ns(s->loop), until = now + time_ms * NS_PER_MS;
    int64_t moment_ms = time_ms / 4 < GOAWAY_MS ? time_ms / 4 : GOAWAY_MS;
    s->draining = true;
    health_sweep(s);
    rpc_turns_drain(s);
    http_server_drain(&s->http, false);
    fiber_sleep_ms(self, moment_ms);
    http_server_stop_accepting(&s->http);
    http_server_drain(&s->http, true);
    end_detached(s);
    wait_for(self, s, no_calls, until);
    if (!no_calls(s)) {
        log_warn(s->log, "calls cancelled at shutdown", LOG_I("calls", s->n_running));
        cancel_calls(s);
    }
    wait_surely(self, s, no_calls);
    end_detached(s); /* handlers may have detached meanwhile */
    wait_for(self, s, no_connections, loop_now_ns(s->loop) + CLOSE_MS * NS_PER_MS);
    http_server_close_all(&s->http);
    wait_surely(self, s, no_handles);
    server_free(s);
}
