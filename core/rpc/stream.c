/* Streaming calls: messages in, messages out, and streams without a fiber.
 *
 * In: body bytes gather in call->body. rpc_receive takes the first whole message and gives the peer back the window
 * for it; while it waits for the rest of a message, it gives back the window for what has arrived. So a slow handler
 * holds at most one window and one message. While it waits, and only then, the peer's time counts (core/http/http.c).
 * Out: rpc_send appends to the stream's output and waits while more than HTTP_HIGH_WATER is unsent. Detached:
 * rpc_stream_send queues references to shared bytes and never waits.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"

/* ---- in ------------------------------------------------------------------------------------------------ */

static void give_window(struct rpc_call *call) {
    http_consume(&call->http, call->unconsumed);
    call->unconsumed = 0;
}

/* How long the next message may not begin; 0: for ever. A client stream is one request, which would otherwise keep what
 * it holds; a bidirectional stream may be silent, but that of somebody unknown only as long as a connection may. */
static int64_t silence_ns(const struct rpc_call *call) {
    int64_t most = 0, idle = http_idle_ns(&call->http);
    if (call->entry->method->kind == RPC_CLIENT_STREAM) {
        most = call->server->options.request_timeout_ms * NS_PER_MS;
        if (most < HTTP_LEAST_S * NS_PER_S) most = HTTP_LEAST_S * NS_PER_S;
    }
    return call->is_known || (most && most < idle) ? most : idle;
}

/* Begins the peer's time, and begins it again with the first byte of a message. */
static void want(struct rpc_call *call) {
    enum http_wants wants = call->body.len ? HTTP_WANTS_REST : HTTP_WANTS_MESSAGE;
    if (call->http.wants == wants || call->ended) return;
    if (wants == HTTP_WANTS_REST)
        http_want_rest(&call->http, 0);
    else
        http_want_message(&call->http, silence_ns(call));
}

static enum error late(struct rpc_call *call) {
    return fault_set(&call->fault, ERR_DEADLINE_EXCEEDED,
                     call->body.len ? "the rest of a message did not come in time"
                                    : "no message came for too long");
}

/* 0 when a whole message is at the front of body; *end when there will be none. */
static enum error await_message(struct fiber *self, struct rpc_call *call, bool *end) {
    for (;;) {
        bool complete;
        if (call->evicted) return ERR_CANCELLED; /* its body is gone, which looks like the end */
        enum error e = rpc_envelope(call, &complete, &call->fault);
        if (e != ERR_OK || complete) return e;
        if (call->http.request_ended) {
            *end = call->body.len == 0;
            call->is_malformed = !*end;
            return *end ? ERR_OK : fault_set(&call->fault, ERR_INTERNAL, "the stream ended inside a message");
        }
        if (!call->http.conn) return ERR_CANCELLED;
        if (call->is_late) return late(call);
        give_window(call);
        rpc_turns_leave(call);
        want(call);
        call->waiting = true;
        int rc = fiber_park(self);
        call->waiting = false;
        if (rc != 0) return rc;
    }
}

int rpc_receive(struct fiber *self, struct rpc_call *call, const ProtobufCMessage **out) {
    bool end = false;
    *out = NULL;
    call->is_late = false;
    enum error e = await_message(self, call, &end);
    http_want_nothing(&call->http);
    if (e != ERR_OK || end) return e;
    arena_reset(&call->messages);
    /* For decoding, and as much again for normal forms. */
    call->messages.limit = 2 * RPC_DECODE_LIMIT(call->message_bytes);
    struct str bytes = {call->body.ptr + 5, call->message_bytes - 5};
    *out = rpc_decode(call, bytes, &call->messages, &call->fault);
    rpc_body_take(call, call->message_bytes);
    call->message_bytes = 0;
    if (call->unconsumed > call->body.len) {
        http_consume(&call->http, call->unconsumed - call->body.len);
        call->unconsumed = call->body.len;
    }
    return *out ? ERR_OK : call->fault.error;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void begin(struct rpc_call *call) {
    if (call->began || call->ended) return;
    call->protocol->begin(call);
    call->began = true;
}

static int await_room(struct fiber *self, struct rpc_call *call) {
    while (call->http.conn && http_unsent(&call->http) > HTTP_HIGH_WATER) {
        rpc_turns_leave(call);
        call->waiting = true;
        int rc = fiber_park(self);
        call->waiting = false;
        if (rc != 0) return rc;
    }
    return call->http.conn && !fiber_cancelled(self) ? ERR_OK : ERR_CANCELLED;
}

int rpc_send(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *message) {
    assert(call->entry->method->reply == message->descriptor && !call->detached);
    if (!call->http.conn) return ERR_CANCELLED;
    if (call->http.blobs.n) { /* bytes would overtake the shared messages before them */
        struct rpc_shared *s = rpc_shared_new(message);
        int rc = rpc_send_shared(self, call, s);
        rpc_shared_unref(s);
        return rc;
    }
    begin(call);
    rpc_append_message(call, message);
    http_flush(&call->http);
    return await_room(self, call);
}

int rpc_send_headers(struct fiber *self, struct rpc_call *call) {
    (void)self;
    if (!call->http.conn) return ERR_CANCELLED;
    begin(call);
    return ERR_OK;
}

/* ---- shared messages ----------------------------------------------------------------------------------- */

struct rpc_shared {
    size_t refs;
    const ProtobufCMessageDescriptor *type;
    struct http_blob *proto, *json; /* with their envelopes; JSON made when first asked for */
};

static struct http_blob *enveloped(struct buf *b) {
    rpc_put_length(b->ptr + 1, b->len - 5);
    struct http_blob *blob = http_blob_new(buf_str(b));
    buf_free(b);
    return blob;
}

struct rpc_shared *rpc_shared_new(const ProtobufCMessage *m) {
    struct rpc_shared *s = calloc(1, sizeof *s);
    if (!s) abort();
    struct buf b;
    buf_init(&b);
    buf_append(&b, "\0\0\0\0\0", 5);
    pb_encode(m, &b);
    *s = (struct rpc_shared){.refs = 1, .type = m->descriptor, .proto = enveloped(&b)};
    return s;
}

void rpc_shared_ref(struct rpc_shared *s) {
    s->refs++;
}

void rpc_shared_unref(struct rpc_shared *s) {
    assert(s->refs > 0);
    if (--s->refs) return;
    http_blob_unref(s->proto);
    if (s->json) http_blob_unref(s->json);
    free(s);
}

static struct http_blob *json_form(struct rpc_shared *s) {
    if (s->json) return s->json;
    struct arena a;
    struct buf b;
    arena_init(&a, 0);
    buf_init(&b);
    buf_append(&b, "\0\0\0\0\0", 5);
    struct str bytes = {s->proto->bytes + 5, s->proto->len - 5};
    ProtobufCMessage *m = pb_decode(s->type, bytes, &a, NULL);
    assert(m); /* we encoded it */
    json_encode(m, &b);
    s->json = enveloped(&b);
    arena_free(&a);
    return s->json;
}

int rpc_send_shared(struct fiber *self, struct rpc_call *call, struct rpc_shared *message) {
    assert(call->entry->method->reply == message->type && !call->detached);
    if (!call->http.conn) return ERR_CANCELLED;
    begin(call);
    http_push(&call->http, call->codec == RPC_JSON ? json_form(message) : message->proto);
    return await_room(self, call);
}

/* ---- detached streams ---------------------------------------------------------------------------------- */

static struct rpc_call *call_of(struct rpc_stream *s) {
    return (struct rpc_call *)(void *)s;
}

struct rpc_stream *rpc_detach(struct rpc_call *call, void (*on_end)(void *arg), void *arg) {
    assert(!call->detached && call->entry->method->kind == RPC_SERVER_STREAM);
    begin(call);
    call->detached = true;
    call->on_end = on_end;
    call->on_end_arg = arg;
    return (struct rpc_stream *)(void *)call;
}

bool rpc_stream_send(struct rpc_stream *s, struct rpc_shared *message, size_t max_queued) {
    struct rpc_call *call = call_of(s);
    assert(call->detached);
    if (!call->http.conn || call->ended) return true; /* on_end is on its way */
    if (http_unsent(&call->http) > max_queued) return false;
    http_push(&call->http, call->codec == RPC_JSON ? json_form(message) : message->proto);
    return true;
}

size_t rpc_stream_queued(const struct rpc_stream *s) {
    return http_unsent(&((const struct rpc_call *)(const void *)s)->http);
}

void rpc_stream_end(struct rpc_stream *s, enum error e, const char *text) {
    struct rpc_call *call = call_of(s);
    struct fault fault = {0};
    assert(call->detached);
    call->on_end = NULL;
    if (e != ERR_OK) fault_set(&fault, e, "%s", text ? text : error_text(e));
    rpc_end(call, e, &fault);
}
