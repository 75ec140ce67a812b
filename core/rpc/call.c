/* What all calls of a server share, and the end of a call: below everything that starts one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/descriptors.h"
#include "core/rpc/rpc_internal.h"

enum {
    POOL_KEEP = 1024,        /* calls kept for reuse */
    BUFFER_KEEP = 16 * 1024, /* and of each buffer of theirs */
    BODY_KEEP = 4 * 1024
};

/* ---- the server ---------------------------------------------------------------------------------------- */

/* The keys are our own paths, so the hash need not withstand chosen keys; a lookup compares the path. */
uint64_t rpc_path_hash(struct str s) {
    uint64_t h = s.len * UINT64_C(0x9E3779B97F4A7C15);
    while (s.len >= 8) {
        uint64_t word;
        memcpy(&word, s.ptr, 8);
        h = (h ^ word) * UINT64_C(0xBF58476D1CE4E5B9);
        h ^= h >> 32;
        s.ptr += 8;
        s.len -= 8;
    }
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001B3);
    return h ^ h >> 29;
}

struct rpc_entry *rpc_table_find(struct rpc_table *t, struct str path) {
    uint64_t hash = rpc_path_hash(path);
    for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        struct rpc_entry *e = &t->slots[i];
        if (!e->path.ptr) return &t->unknown;
        if (e->hash == hash && str_eq(e->path, path)) return e;
    }
}

static struct str service_of(struct str path) {
    path.ptr++;
    path.len--;
    return str_cut(&path, '/');
}

bool rpc_server_has_service(const struct rpc_server *s, struct str service) {
    for (size_t i = 0; i < s->table.cap; i++) {
        const struct rpc_entry *e = &s->table.slots[i];
        if (e->method && str_eq(service_of(e->path), service)) return true;
    }
    return false;
}

bool rpc_server_serving(struct rpc_server *s) {
    if (s->draining) return false;
    return !s->options.ready || s->options.ready(s->options.context);
}

const struct descriptors *rpc_descriptors(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    if (!s->descriptors) s->descriptors = descriptors_load();
    return s->descriptors;
}

void rpc_server_changed(struct rpc_server *s) {
    struct fiber *f = s->stopper;
    s->stopper = NULL;
    if (f) fiber_wake(f);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

int64_t rpc_timeout_at_ns(const struct rpc_call *call) {
    int64_t ms = call->server->options.request_timeout_ms;
    return ms > 0 ? call->started_ns + ms * NS_PER_MS : 0;
}

void rpc_want_request(struct rpc_call *call) {
    http_want_rest(&call->http, call->deadline_ns ? call->deadline_ns : rpc_timeout_at_ns(call));
}

/* ---- the end of a call --------------------------------------------------------------------------------- */

void rpc_count(struct rpc_call *call, enum error e) {
    struct rpc_server *s = call->server;
    struct rpc_entry *entry = call->entry;
    int code = error_grpc_status(e);
    if (!entry->codes[code]) {
        char labels[256];
        struct str name = entry->path;
        if (name.len && name.ptr[0] == '/') name = (struct str){name.ptr + 1, name.len - 1};
        snprintf(labels, sizeof labels, "method=\"" STR_FMT "\",code=\"%s\"", STR_ARG(name),
                 rpc_code_name(code));
        entry->codes[code] = metrics_counter(s->metrics, "rookery_rpc_requests_total",
                                             "RPC calls, by method and status", labels);
    }
    entry->codes[code]->value++;
    double seconds = (double)(loop_now_ns(s->loop) - call->started_ns) / (double)NS_PER_S;
    if (entry->latency && !call->detached) histogram_observe(entry->latency, seconds, s->metrics);
}

void rpc_body_take(struct rpc_call *call, size_t n) {
    assert(n <= call->body.len);
    buf_consume(&call->body, n);
    budget_take(&call->held, n);
}

void rpc_body_free(struct rpc_call *call) {
    budget_take(&call->held, call->body.len);
    buf_clear(&call->body);
    if (call->body.cap > BODY_KEEP) buf_free(&call->body);
}

void rpc_end(struct rpc_call *call, enum error e, const struct fault *fault) {
    if (call->ended) return;
    call->ended = true;
    http_want_nothing(&call->http);
    rpc_body_free(call);
    budget_close(&call->held);
    if (!call->http.conn) {
        rpc_count(call, ERR_CANCELLED);
        return;
    }
    rpc_count(call, e);
    if (!call->began && e != ERR_OK) http_out(&call->http)->len = 0;
    call->protocol->end(call, e, fault);
    call->began = true;
}

void rpc_stream_ended(struct rpc_call *call) {
    void (*fn)(void *) = call->on_end;
    call->on_end = NULL;
    if (fn) fn(call->on_end_arg);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void rpc_call_dispose(struct rpc_call *call) {
    http_stream_dispose(&call->http);
    http_fields_free(&call->headers);
    buf_free(&call->body);
    arena_free(&call->messages);
    free(call);
}

static void recycle(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    rpc_body_free(call);
    budget_close(&call->held);
    arena_free(&call->messages);
    if (s->n_pool >= POOL_KEEP) {
        rpc_call_dispose(call);
        return;
    }
    http_stream_recycle(&call->http, BUFFER_KEEP);
    http_fields_clear(&call->headers);
    struct rpc_call clean = {
        .http = call->http, .headers = call->headers, .body = call->body, .messages = call->messages};
    *call = clean;
    list_init(&call->http.node);
    list_init(&call->node);
    list_init(&call->reply_node);
    list_push_front(&s->pool, &call->node);
    s->n_pool++;
}

void rpc_call_release_if_done(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    if (call->fiber || call->http.conn) return;
    if (call->detached) rpc_stream_ended(call);
    if (call->listed_detached) {
        list_remove(&call->node);
        s->n_detached--;
        s->streams_detached->value = (double)s->n_detached;
    }
    if (!call->ended && call->entry) rpc_count(call, ERR_CANCELLED);
    recycle(call);
}

void rpc_call_wake(struct rpc_call *call) {
    if (!call->waiting) return;
    call->waiting = false; /* one wake for one park */
    fiber_wake(call->fiber);
}
