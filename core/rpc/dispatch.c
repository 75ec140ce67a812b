/* From HTTP requests to calls: which method, which protocol, its body, and the end of it.
 *
 * One unary call: open takes a call from the pool -> request: the path finds the method, the content type the
 * protocol -> data: the message is collected, its length checked before it is kept -> end: the fiber starts ->
 * rpc_end sends the status -> closed: back to the pool when the fiber has ended too.
 *
 * A request that cannot become a call is answered here: 403, 404, 405, 415, 431, 505 in HTTP, UNIMPLEMENTED and
 * the like in the protocol it spoke. What arrives after the answer is discarded.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/rpc/rpc_internal.h"

static struct rpc_call *call_of(struct http_stream *s) {
    return (struct rpc_call *)(void *)s;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static struct http_stream *on_open(void *context) {
    struct rpc_server *s = context;
    struct list_node *n = list_pop_front(&s->pool);
    struct rpc_call *call;
    if (n) {
        call = list_entry(n, struct rpc_call, node);
        s->n_pool--;
    } else {
        call = calloc(1, sizeof *call);
        if (!call) abort();
        list_init(&call->http.node);
        list_init(&call->node);
        list_init(&call->reply_node);
        arena_init(&call->messages, 0);
    }
    call->server = s;
    return &call->http;
}

static void on_closed(struct http_stream *stream) {
    struct rpc_call *call = call_of(stream);
    rpc_replies_over(call);
    if (call->fiber) fiber_cancel(call->fiber);
    rpc_turns_forget(call);
    rpc_call_release_if_done(call);
}

/* ---- answers without a call ---------------------------------------------------------------------------- */

/* An answer in plain HTTP, for requests in none of our protocols. */
static void refuse(struct rpc_call *call, int status, const char *name, const char *value, const char *why) {
    struct http_stream *s = &call->http;
    struct buf *out = http_out(s);
    rpc_count(call, ERR_UNIMPLEMENTED);
    call->ended = true;
    if (name) http_fields_add(&call->headers, str_from(name), str_from(value));
    http_fields_add(&call->headers, STR("content-type"), STR("application/json"));
    rpc_refusal_json(out, status, why);
    int64_t len = (int64_t)out->len;
    if (s->method == HTTP_HEAD) {
        buf_clear(out);
        http_respond_only(s, status, &call->headers, len);
        return;
    }
    http_respond(s, status, &call->headers, len);
    http_finish(s);
}

/* The same, with a sentence that says what would be right. */
static void refuse_with_hint(struct rpc_call *call, int status, const char *name, const char *value,
                             void (*hint)(const struct rpc_call *call, struct buf *out)) {
    struct buf why;
    buf_init(&why);
    hint(call, &why);
    buf_append_char(&why, '\0');
    refuse(call, status, name, value, why.ptr);
    buf_free(&why);
}

static void refuse_unknown_path(struct rpc_call *call) {
    refuse_with_hint(call, 404, NULL, NULL, rpc_hint_path);
}

static void refuse_http_method(struct rpc_call *call, const char *allowed) {
    refuse_with_hint(call, 405, "allow", allowed, rpc_hint_http_method);
}

/* ---- which protocol ------------------------------------------------------------------------------------ */

enum content {
    CONTENT_OTHER,
    CONTENT_GRPC,
    CONTENT_JSON,
    CONTENT_PROTO,
    CONTENT_CONNECT_JSON,
    CONTENT_CONNECT_PROTO
};

static enum content content_of(const struct http_stream *s) {
    struct str type;
    if (!http_fields_find(&s->request, STR("content-type"), &type)) return CONTENT_OTHER;
    if (http_fields_count(&s->request, STR("content-type")) > 1) return CONTENT_OTHER;
    if (str_eq(type, STR("application/grpc"))) return CONTENT_GRPC; /* what nearly all clients send */
    type = str_trim(str_cut(&type, ';'));
    if (str_eq_ci(type, STR("application/grpc")) || str_eq_ci(type, STR("application/grpc+proto")))
        return CONTENT_GRPC;
    if (str_eq_ci(type, STR("application/json"))) return CONTENT_JSON;
    if (str_eq_ci(type, STR("application/proto"))) return CONTENT_PROTO;
    if (str_eq_ci(type, STR("application/connect+json"))) return CONTENT_CONNECT_JSON;
    if (str_eq_ci(type, STR("application/connect+proto"))) return CONTENT_CONNECT_PROTO;
    return CONTENT_OTHER;
}

static bool is_identity(const struct http_stream *s, struct str name) {
    struct str value;
    return !http_fields_find(&s->request, name, &value) || value.len == 0 ||
           str_eq_ci(value, STR("identity"));
}

static void set_deadline(struct rpc_call *call, int64_t timeout_ns) {
    call->deadline_ns = timeout_ns > INT64_MAX - call->started_ns ? 0 : call->started_ns + timeout_ns;
}

static enum error fault_unknown_method(const struct rpc_call *call, struct fault *fault) {
    struct buf why;
    buf_init(&why);
    rpc_hint_path(call, &why);
    enum error e = fault_set(fault, ERR_UNIMPLEMENTED, STR_FMT, STR_ARG(buf_str(&why)));
    buf_free(&why);
    return e;
}

static enum error accept_grpc(struct rpc_call *call, struct fault *fault) {
    struct http_stream *s = &call->http;
    struct str text;
    int64_t ns;
    if (!call->entry->method) return fault_unknown_method(call, fault);
    if (!is_identity(s, STR("grpc-encoding"))) {
        http_fields_add(&call->headers, STR("grpc-accept-encoding"), STR("identity"));
        return fault_set(fault, ERR_UNIMPLEMENTED, "the message encoding is not supported; send identity");
    }
    if (http_fields_find(&s->request, STR("grpc-timeout"), &text)) {
        if (!rpc_parse_timeout(text, &ns))
            return fault_set(fault, ERR_INTERNAL, "grpc-timeout cannot be read");
        set_deadline(call, ns);
    }
    return ERR_OK;
}

static bool parse_connect_timeout(struct str text, int64_t *ms) {
    if (text.len == 0 || text.len > 10) return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    return str_to_i64(text, ms);
}

static enum error accept_connect(struct rpc_call *call, struct fault *fault) {
    struct http_stream *s = &call->http;
    bool stream = call->protocol == &rpc_connect_stream;
    struct str text;
    int64_t ms;
    if (http_fields_find(&s->request, STR("connect-protocol-version"), &text) && !str_eq(text, STR("1")))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "connect-protocol-version must be 1");
    if (!is_identity(s, stream ? STR("connect-content-encoding") : STR("content-encoding")))
        return fault_set(fault, ERR_UNIMPLEMENTED, "the content encoding is not supported; send identity");
    if (http_fields_find(&s->request, STR("connect-timeout-ms"), &text)) {
        if (!parse_connect_timeout(text, &ms))
            return fault_set(fault, ERR_INVALID_ARGUMENT, "connect-timeout-ms must be at most ten digits");
        set_deadline(call, ms * NS_PER_MS);
    }
    return ERR_OK;
}

/* Chooses the protocol; false when the request was answered instead. */
static bool choose_post(struct rpc_call *call) {
    const struct rpc_method *m = call->entry->method;
    enum content content = content_of(&call->http);
    if (content == CONTENT_GRPC) {
        call->protocol = &rpc_grpc;
        if (http_is_h2(&call->http)) return true;
        refuse(call, 505, NULL, NULL, /* it needs trailers */
               "gRPC needs HTTP/2, without TLS and without an upgrade; over HTTP/1.1 send application/json");
        return false;
    }
    if (!m) {
        refuse_unknown_path(call);
        return false;
    }
    bool enveloped = content == CONTENT_CONNECT_JSON || content == CONTENT_CONNECT_PROTO;
    if (content == CONTENT_OTHER || enveloped == (m->kind == RPC_UNARY)) {
        refuse_with_hint(call, 415, "accept-post",
                         m->kind == RPC_UNARY
                             ? "application/grpc, application/json, application/proto"
                             : "application/grpc, application/connect+json, application/connect+proto",
                         rpc_hint_content);
        return false;
    }
    call->protocol = enveloped ? &rpc_connect_stream : &rpc_connect_unary;
    call->codec = content == CONTENT_JSON || content == CONTENT_CONNECT_JSON ? RPC_JSON : RPC_PROTO;
    return true;
}

static bool choose_protocol(struct rpc_call *call) {
    const struct rpc_method *m = call->entry->method;
    if (call->http.method == HTTP_POST) return choose_post(call);
    if (!m) {
        refuse_unknown_path(call);
        return false;
    }
    bool gettable = m->side_effect_free && m->kind == RPC_UNARY;
    if (call->http.method == HTTP_GET && gettable && content_of(&call->http) != CONTENT_GRPC) {
        call->protocol = &rpc_connect_unary;
        return true;
    }
    refuse_http_method(call, gettable ? "GET, POST" : "POST");
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void serve_route(struct rpc_call *call) {
    if (call->http.method != HTTP_GET && call->http.method != HTTP_HEAD) {
        refuse_http_method(call, "GET, HEAD");
    } else if (!rpc_call_start_route(call)) {
        refuse(call, 503, "retry-after", "1", "the server handles as many calls as it can; try again");
    }
}

static bool takes_one(const struct rpc_call *call) {
    enum rpc_kind k = call->entry->method->kind;
    return k == RPC_UNARY || k == RPC_SERVER_STREAM;
}

/* Two of these could be read in two ways, by us and by a proxy before us. */
static enum error check_single_fields(const struct rpc_call *call, struct fault *fault) {
    static const struct str SINGLE[] = {
        {"authorization", 13},    {"grpc-timeout", 12},
        {"grpc-encoding", 13},    {"connect-timeout-ms", 18},
        {"content-encoding", 16}, {"connect-content-encoding", 24},
        {"content-length", 14},   {"connect-protocol-version", 24},
    };
    for (size_t i = 0; i < sizeof SINGLE / sizeof *SINGLE; i++)
        if (http_fields_count(&call->http.request, SINGLE[i]) > 1)
            return fault_set(fault, ERR_INVALID_ARGUMENT, "the request has two fields " STR_FMT "; send one",
                             STR_ARG(SINGLE[i]));
    return ERR_OK;
}

static enum error too_large(struct rpc_call *call, struct fault *fault) {
    call->http_status = 413;
    return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "the message is larger than %zu bytes",
                     rpc_message_limit(call));
}

/* So that a body that will be refused need not be sent. */
static enum error check_content_length(struct rpc_call *call, struct fault *fault) {
    struct str text;
    int64_t length;
    size_t limit = rpc_message_limit(call) + (call->protocol->enveloped ? 5 : 0);
    if (!takes_one(call) || !http_fields_find(&call->http.request, STR("content-length"), &text))
        return ERR_OK;
    if (!str_to_i64(text, &length) || length < 0 || (uint64_t)length <= limit) return ERR_OK;
    return too_large(call, fault);
}

static enum error accept_call(struct rpc_call *call, struct fault *fault) {
    if (call->http.head_too_large) {
        call->http_status = 431;
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED,
                         "the request's header fields are larger than %zu bytes", HTTP_MAX_HEAD_BYTES);
    }
    enum error e = check_single_fields(call, fault);
    if (e == ERR_OK && call->entry->method) e = check_content_length(call, fault);
    if (e != ERR_OK) return e;
    e = call->protocol == &rpc_grpc ? accept_grpc(call, fault) : accept_connect(call, fault);
    if (e == ERR_OK && call->server->options.admit) e = call->server->options.admit(call, fault);
    if (e != ERR_OK) return e;
    if (!call->deadline_ns && call->entry->method->kind == RPC_UNARY)
        call->deadline_ns = rpc_timeout_at_ns(call);
    return call->http.method == HTTP_GET ? rpc_connect_get(call, fault) : ERR_OK;
}

static void on_request(struct http_stream *stream) {
    struct rpc_call *call = call_of(stream);
    struct rpc_server *s = call->server;
    struct fault fault = {0};
    call->started_ns = loop_now_ns(s->loop);
    call->entry = rpc_table_find(&s->table, stream->path);
    rpc_cors_begin(call);
    if (rpc_cors_is_preflight(call)) {
        if (!rpc_cors_preflight(call))
            refuse(call, 403, NULL, NULL,
                   "pages of this origin may not call this server: ROOKERY_CORS_ORIGINS does not name it");
        return;
    }
    if (call->entry->route) {
        serve_route(call);
        return;
    }
    if (!choose_protocol(call)) return;
    enum error e = accept_call(call, &fault);
    if (e != ERR_OK) {
        rpc_refuse(call, e, &fault);
    } else if (stream->method == HTTP_GET) {
        rpc_call_start(call);
    } else if ((e = rpc_hold(call, &fault)) != ERR_OK) {
        rpc_refuse(call, e, &fault);
    } else if (!takes_one(call)) {
        rpc_call_start(call);
    } else if (rpc_must_look_up(call)) {
        rpc_call_check(call);
    } else {
        rpc_want_request(call);
    }
}

/* ---- bodies -------------------------------------------------------------------------------------------- */

/* The one message of a unary or server-streaming call, as far as it has arrived. */
static enum error check_message(struct rpc_call *call, struct fault *fault) {
    bool complete;
    if (call->protocol->enveloped) {
        enum error e = rpc_envelope(call, &complete, fault);
        if (e == ERR_OK && complete && call->body.len > call->message_bytes)
            return fault_set(fault, ERR_UNIMPLEMENTED, "this method takes one message");
        return e;
    }
    return call->body.len <= rpc_message_limit(call) ? ERR_OK : too_large(call, fault);
}

static void on_data(struct http_stream *stream, const char *bytes, size_t n) {
    struct rpc_call *call = call_of(stream);
    struct fault fault = {0};
    if (call->ended || call->slowed || call->evicted || !call->entry || !call->entry->method ||
        stream->method == HTTP_GET) {
        http_consume(stream, n);
        return;
    }
    enum error e = rpc_hold_more(call, bytes, n, &fault);
    if (e == ERR_OK && takes_one(call)) e = check_message(call, &fault);
    if (e != ERR_OK) {
        rpc_end(call, e, &fault);
    } else if (takes_one(call) && !rpc_must_look_up(call)) {
        http_consume(stream, n);
    } else {
        call->unconsumed += n;
        rpc_call_wake(call);
    }
}

static void on_end(struct http_stream *stream) {
    struct rpc_call *call = call_of(stream);
    struct fault fault = {0};
    if (call->ended || call->slowed || !call->entry || !call->entry->method || stream->method == HTTP_GET)
        return;
    if (call->evicted) return; /* its fiber ends it */
    if (!takes_one(call)) {
        rpc_call_wake(call);
        return;
    }
    bool complete = !call->protocol->enveloped || call->message_bytes > 0;
    if (complete && call->body.len >= call->message_bytes) {
        rpc_call_start(call);
        return;
    }
    enum error e = call->body.len == 0
                       ? fault_set(&fault, ERR_UNIMPLEMENTED, "this method takes one message")
                       : fault_set(&fault, ERR_INTERNAL, "the request ended inside a message");
    rpc_end(call, e, &fault);
}

static void on_late(struct http_stream *stream) {
    struct rpc_call *call = call_of(stream);
    struct fault fault = {0};
    if (!takes_one(call)) { /* its handler ends it */
        call->is_late = true;
        rpc_call_wake(call);
        return;
    }
    fault_set(&fault, ERR_DEADLINE_EXCEEDED, "the request's body did not come in time");
    rpc_body_free(call);
    rpc_end(call, ERR_DEADLINE_EXCEEDED, &fault);
}

static void on_wants_more(struct http_stream *stream) {
    rpc_call_wake(call_of(stream));
}

static void on_sent(void *context) {
    rpc_replies_later(context);
}

const struct http_app rpc_app = {
    .open = on_open,
    .request = on_request,
    .data = on_data,
    .end = on_end,
    .wants_more = on_wants_more,
    .sent = on_sent,
    .closed = on_closed,
    .late = on_late,
    .refusal = rpc_refusal_json,
};
