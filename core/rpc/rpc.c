/* A call: its fiber, and what its handler sees of it. Contract: rpc.h.
 *
 * The fiber: (1) the authenticator, unless the method is public; (2) the request is decoded, so that a stranger's
 * bytes are not decoded before the sender is known; (3) the handler; (4) its status goes out, or, if it detached the
 * stream, nothing does; (5) the fiber's hold on the call ends.
 *
 * The client disconnects or resets -> the fiber is cancelled: every park in it fails, the handler returns, and its
 * status is dropped. The deadline passes -> the same with ERR_DEADLINE_EXCEEDED, which is sent to the client. The
 * server stops -> the fiber is cancelled, and the client gets UNAVAILABLE.
 */
#include "core/rpc/rpc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"

enum { BUSY_RETRY_MS = 500 }; /* sent to clients when the server is full */

/* ---- what handlers see --------------------------------------------------------------------------------- */

void *rpc_context(const struct rpc_call *call) {
    return call->server->options.context;
}

struct arena *rpc_arena(struct rpc_call *call) {
    return fiber_arena(call->fiber);
}

struct fault *rpc_fault(struct rpc_call *call) {
    return &call->fault;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call) {
    return call->entry->method;
}

void rpc_will_wait(struct rpc_call *call) {
    rpc_turns_leave(call);
}

struct rpc_identity *rpc_identity(struct rpc_call *call) {
    return &call->identity;
}

uint64_t rpc_network(const struct rpc_call *call) {
    return http_network(&call->http);
}

static bool is_binary(struct str name) {
    return name.len > 4 && memcmp(name.ptr + name.len - 4, "-bin", 4) == 0;
}

bool rpc_metadata(const struct rpc_call *call, const char *name, struct str *value) {
    struct str n = str_from(name), raw;
    if (!http_fields_find(&call->http.request, n, &raw)) return false;
    if (!is_binary(n)) {
        *value = raw;
        return true;
    }
    return base64_decode(fiber_arena(call->fiber), str_cut(&raw, ','), value);
}

static void add_metadata(struct rpc_call *call, struct http_fields *f, const char *name, struct str value) {
    struct str n = str_from(name);
    assert(n.len && n.ptr[0] != ':' && f->n < 32);
    for (size_t i = 0; i < n.len; i++) assert(!(n.ptr[i] >= 'A' && n.ptr[i] <= 'Z'));
    if (is_binary(n)) value = base64_encode(fiber_arena(call->fiber), value, false);
    for (size_t i = 0; i < value.len; i++) assert(value.ptr[i] >= 0x20 && value.ptr[i] <= 0x7e);
    http_fields_add(f, n, value);
}

void rpc_set_header(struct rpc_call *call, const char *name, struct str value) {
    if (!call->began) add_metadata(call, &call->headers, name, value);
}

void rpc_set_trailer(struct rpc_call *call, const char *name, struct str value) {
    if (!call->ended) add_metadata(call, &call->http.trailers, name, value);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *reply) {
    assert(!call->replied && call->entry->method->reply == reply->descriptor);
    call->replied = true;
    rpc_append_message(call, reply);
}

int rpc_reply_empty(struct rpc_call *call, int e) {
    const ProtobufCMessage empty = PROTOBUF_C_MESSAGE_INIT(call->entry->method->reply);
    assert(call->entry->method->reply->n_fields == 0);
    if (e == 0) rpc_reply(call, &empty);
    return e;
}

struct buf *rpc_reply_open(struct rpc_call *call) {
    assert(!call->replied);
    struct buf *out = http_out(&call->http);
    call->reply_at = rpc_open_envelope(call, out);
    return out;
}

/* Converts the bytes behind the envelope in out to JSON. Returns false when they are not a message of the reply's
 * type. */
static bool turn_into_json(struct rpc_call *call, struct buf *out, size_t start) {
    struct str bytes = {out->ptr + start, out->len - start};
    ProtobufCMessage *m =
        pb_decode(call->entry->method->reply, bytes, fiber_arena(call->fiber), &call->fault);
    out->len = start;
    if (m) json_encode(m, out);
    return m != NULL;
}

void rpc_reply_close(struct rpc_call *call) {
    struct buf *out = http_out(&call->http);
    size_t start = call->reply_at + (call->protocol->enveloped ? 5 : 0);
    /* If our own bytes are malformed, the call ends like one without a reply. */
    call->replied = call->codec != RPC_JSON || turn_into_json(call, out, start);
    rpc_close_envelope(call, out, call->reply_at);
}

void rpc_reply_encoded(struct rpc_call *call, struct str bytes) {
    buf_append_str(rpc_reply_open(call), bytes);
    rpc_reply_close(call);
}

/* ---- the fiber ----------------------------------------------------------------------------------------- */

static bool takes_stream(const struct rpc_method *m) {
    return m->kind == RPC_CLIENT_STREAM || m->kind == RPC_BIDI;
}

static bool gives_stream(const struct rpc_method *m) {
    return m->kind == RPC_SERVER_STREAM || m->kind == RPC_BIDI;
}

static enum error authenticate(struct fiber *self, struct rpc_call *call) {
    const struct rpc_server_options *o = &call->server->options;
    if (call->entry->method->is_public || !o->authenticate || call->looked_up) return ERR_OK;
    int e = o->authenticate(self, call);
    if (e == 0) rpc_held_by(call);
    return e;
}

static enum error serve(struct fiber *self, struct rpc_call *call) {
    const struct rpc_method *m = call->entry->method;
    const ProtobufCMessage *request = NULL;
    if (call->deadline_ns && loop_now_ns(call->server->loop) >= call->deadline_ns)
        return ERR_DEADLINE_EXCEEDED;
    enum error known = authenticate(self, call);
    if (known != ERR_OK) return known;
    if (call->evicted) return ERR_CANCELLED; /* before it ran: its body is gone */
    if (!takes_stream(m)) {
        size_t prefix = call->protocol->enveloped ? 5 : 0;
        assert(call->body.len >= prefix);
        struct str bytes = {call->body.len ? call->body.ptr + prefix : NULL, call->body.len - prefix};
        request = rpc_decode(call, bytes, fiber_arena(self), &call->fault);
        rpc_body_free(call);
        if (!request) return call->fault.error;
    }
    enum error e = m->handler(self, call, request);
    if (e == ERR_OK && !call->replied && !gives_stream(m))
        return fault_set(&call->fault, ERR_INTERNAL, "the handler gave no reply");
    return e;
}

/* Logs an internal error, and gives the client, in place of what is wrong, a reference to that line of the log. What a
 * peer sent is its own fault, whose sentence it may read, and no line: a stranger could drown the others in them. */
static enum error refer(struct rpc_call *call, enum error e) {
    char reference[17];
    uint64_t number = 0;
    if (!rpc_is_internal(e) || call->is_malformed) return e;
    uv_random(NULL, NULL, &number, sizeof number, 0, NULL);
    snprintf(reference, sizeof reference, "%016" PRIx64, number);
    log_warn(call->server->log, "call failed", LOG_STR("method", call->entry->path),
             LOG_S("error", error_name(e)), LOG_S("text", call->fault.error == e ? call->fault.text : ""),
             LOG_S("reference", reference));
    const char *text = rpc_public_text(e, &call->fault).ptr;
    return fault_refer(&call->fault, error_grpc_status(e), text, reference);
}

static void leave_running(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    call->fiber = NULL;
    list_remove(&call->node);
    s->n_running--;
    s->in_flight->value = (double)s->n_running;
    rpc_turns_leave(call);
    rpc_server_changed(s);
}

static void stay_detached(struct rpc_call *call) {
    struct rpc_server *s = call->server;
    call->listed_detached = true;
    list_push_back(&s->detached, &call->node);
    s->n_detached++;
    if (call->is_known) budget_close(&call->held);
    s->streams_detached->value = (double)s->n_detached;
    /* An idle stream should be small. */
    http_fields_free(&call->http.request);
    http_fields_free(&call->headers);
    call->http.path = call->http.query = (struct str){0};
}

/* Why a fiber was cancelled, if the server did it. */
static enum error why_cancelled(struct rpc_call *call, enum error e) {
    if (e != ERR_CANCELLED) return e;
    if (call->evicted) return rpc_evicted(call);
    return call->server->stopping ? fault_set(&call->fault, ERR_UNAVAILABLE, "shutting down") : e;
}

static void call_main(struct fiber *self, void *arg) {
    struct rpc_call *call = arg;
    call->fiber = self;
    rpc_turns_ran(call);
    enum error e = why_cancelled(call, serve(self, call));
    if (call->codec == RPC_JSON && !call->snake) json_spell_fault(call->entry->method->request, &call->fault);
    e = refer(call, e);
    if (call->detached && e != ERR_OK) rpc_stream_ended(call);
    bool stays = call->detached && !call->ended;
    if (!stays) rpc_refuse(call, e, &call->fault);
    rpc_replies_made(call);
    rpc_replies_over(call);
    leave_running(call);
    rpc_body_free(call);
    if (stays) stay_detached(call);
    rpc_call_release_if_done(call);
}

/* The authenticator alone, while the body comes; the call begins here if that was faster. */
static void check_main(struct fiber *self, void *arg) {
    struct rpc_call *call = arg;
    call->fiber = self;
    rpc_turns_ran(call);
    enum error e = authenticate(self, call);
    call->checking = false;
    if (call->evicted) e = ERR_CANCELLED;
    e = refer(call, why_cancelled(call, e));
    if (e != ERR_OK) rpc_refuse(call, e, &call->fault);
    leave_running(call);
    call->looked_up = call->is_whole;
    http_consume(&call->http, call->body.len);
    if (e == ERR_OK && !call->ended && call->http.conn) {
        if (call->is_whole)
            rpc_call_start(call);
        else
            rpc_want_request(call);
    }
    rpc_call_release_if_done(call);
}

static void route_main(struct fiber *self, void *arg) {
    struct rpc_call *call = arg;
    struct http_stream *s = &call->http;
    struct http_reply reply = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    call->fiber = self;
    buf_init(&reply.body);
    call->entry->route->fn(self, call->server->options.context, s->path, s->query, &reply);
    http_fields_add(&call->headers, STR("content-type"), str_from(reply.content_type));
    http_fields_add(&call->headers, STR("x-content-type-options"), STR("nosniff"));
    if (s->method == HTTP_HEAD) {
        http_respond_only(s, reply.status, &call->headers, (int64_t)reply.body.len);
    } else {
        buf_append_str(http_out(s), buf_str(&reply.body));
        http_respond(s, reply.status, &call->headers, (int64_t)reply.body.len);
        http_finish(s);
    }
    buf_free(&reply.body);
    call->ended = true;
    leave_running(call);
    rpc_call_release_if_done(call);
}

static bool refuse_while_draining(struct rpc_call *call) {
    struct fault fault = {.retry_after_ms = BUSY_RETRY_MS};
    if (!call->server->draining) return false;
    rpc_end(call, fault_set(&fault, ERR_UNAVAILABLE, "the server is shutting down"), &fault);
    return true;
}

void rpc_call_check(struct rpc_call *call) {
    if (refuse_while_draining(call)) return;
    call->checking = true;
    rpc_turns_start(call, check_main);
}

void rpc_call_start(struct rpc_call *call) {
    call->is_whole = true;
    rpc_held_whole(call);
    if (call->checking) return; /* that fiber goes on */
    if (refuse_while_draining(call)) return;
    if (call->entry->method->kind != RPC_UNARY || rpc_replies_take(call)) rpc_call_go(call);
}

void rpc_call_go(struct rpc_call *call) {
    rpc_turns_start(call, call_main);
}

/* Routes do not wait for a turn: they are few, and say whether the server is well. */
bool rpc_call_start_route(struct rpc_call *call) {
    return call->server->n_running < 2 * call->server->options.max_calls && rpc_turns_run(call, route_main);
}
