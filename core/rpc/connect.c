/* The Connect protocol: unary calls as plain HTTP, streams as envelopes whose last one carries the status.
 *
 * Unary: the body is the message, errors are JSON with an HTTP status, trailers are headers named trailer-*.
 * Streams: HTTP 200 always; each message has the same five-byte prefix as gRPC's; flag 2 marks the last
 * envelope, a JSON object with the error, if any, and the trailers.
 */
#include <string.h>

#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"

enum { FLAG_END_STREAM = 2 };

/* ---- unary --------------------------------------------------------------------------------------------- */

static void add_trailer_headers(struct rpc_call *call) {
    struct buf name;
    buf_init(&name);
    const struct http_fields *t = &call->http.trailers;
    for (size_t i = 0; i < t->n; i++) {
        buf_clear(&name);
        buf_append_cstr(&name, "trailer-");
        buf_append_str(&name, http_fields_name(t, i));
        http_fields_add(&call->headers, buf_str(&name), http_fields_value(t, i));
    }
    buf_free(&name);
    http_fields_clear(&call->http.trailers);
}

static void add_retry_after(struct rpc_call *call, enum error e, const struct fault *fault) {
    char digits[24];
    if (!fault || fault->error != e || fault->retry_after_ms <= 0) return;
    size_t n = format_i64(digits, (fault->retry_after_ms + 999) / 1000);
    http_fields_add(&call->headers, STR("retry-after"), (struct str){digits, n});
}

static void unary_begin(struct rpc_call *call) {
    (void)call; /* a unary response goes out whole */
}

static void unary_end(struct rpc_call *call, enum error e, const struct fault *fault) {
    struct http_stream *s = &call->http;
    struct buf *out = http_out(s);
    bool json = e != ERR_OK || call->codec == RPC_JSON;
    if (e != ERR_OK) {
        buf_clear(out);
        rpc_error_json(out, e, fault);
        add_retry_after(call, e, fault);
    }
    add_trailer_headers(call);
    http_fields_add(&call->headers, STR("content-type"),
                    json ? STR("application/json") : STR("application/proto"));
    int status = e != ERR_OK && call->http_status ? call->http_status : rpc_http_status(error_grpc_status(e));
    http_respond(s, status, &call->headers, (int64_t)out->len);
    http_finish(s);
}

const struct rpc_protocol rpc_connect_unary = {.begin = unary_begin, .end = unary_end};

/* ---- streams ------------------------------------------------------------------------------------------- */

static void stream_begin(struct rpc_call *call) {
    http_fields_add(&call->headers, STR("content-type"),
                    call->codec == RPC_JSON ? STR("application/connect+json")
                                            : STR("application/connect+proto"));
    http_respond(&call->http, 200, &call->headers, -1);
}

static void put_metadata(struct buf *out, const struct http_fields *f) {
    buf_append_cstr(out, "\"metadata\":{");
    for (size_t i = 0; i < f->n; i++) {
        if (i) buf_append_char(out, ',');
        json_write_string(out, http_fields_name(f, i));
        buf_append_cstr(out, ":[");
        json_write_string(out, http_fields_value(f, i));
        buf_append_char(out, ']');
    }
    buf_append_char(out, '}');
}

static void stream_end(struct rpc_call *call, enum error e, const struct fault *fault) {
    struct http_stream *s = &call->http;
    struct buf last;
    buf_init(&last);
    buf_append(&last, (char[]){FLAG_END_STREAM, 0, 0, 0, 0, '{'}, 6);
    if (e != ERR_OK) {
        buf_append_cstr(&last, "\"error\":");
        rpc_error_json(&last, e, fault);
    }
    if (s->trailers.n) {
        if (e != ERR_OK) buf_append_char(&last, ',');
        put_metadata(&last, &s->trailers);
        http_fields_clear(&s->trailers);
    }
    buf_append_char(&last, '}');
    rpc_put_length(last.ptr + 1, last.len - 5);
    if (!call->began) stream_begin(call);
    struct http_blob *b = http_blob_new(buf_str(&last));
    http_push(s, b);
    http_blob_unref(b);
    buf_free(&last);
    http_finish(s);
}

const struct rpc_protocol rpc_connect_stream = {.enveloped = true, .begin = stream_begin, .end = stream_end};

/* ---- GET ----------------------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* One percent-decoding; '+' is a blank. False at a bad escape. */
static bool query_decode(struct str in, struct buf *out) {
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '%') {
            int high = in.len - i > 2 ? hex_digit(in.ptr[i + 1]) : -1;
            int low = in.len - i > 2 ? hex_digit(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buf_append_char(out, c);
    }
    return true;
}

struct get_query {
    struct str version, encoding, message, compression;
    bool base64;
};

static struct get_query parse_query(struct str query) {
    struct get_query q = {0};
    while (query.len) {
        struct str value = str_cut(&query, '&');
        struct str name = str_cut(&value, '=');
        if (str_eq(name, STR("connect"))) q.version = value;
        if (str_eq(name, STR("encoding"))) q.encoding = value;
        if (str_eq(name, STR("message"))) q.message = value;
        if (str_eq(name, STR("compression"))) q.compression = value;
        if (str_eq(name, STR("base64"))) q.base64 = str_eq(value, STR("1"));
    }
    return q;
}

static bool decode_base64(struct rpc_call *call) {
    struct arena a;
    struct str raw;
    arena_init(&a, 0);
    bool ok = base64_decode(&a, buf_str(&call->body), &raw);
    if (ok) {
        buf_clear(&call->body);
        buf_append_str(&call->body, raw);
    }
    arena_free(&a);
    return ok;
}

enum error rpc_connect_get(struct rpc_call *call, struct fault *fault) {
    struct get_query q = parse_query(call->http.query);
    if (q.compression.len && !str_eq(q.compression, STR("identity")))
        return fault_set(fault, ERR_UNIMPLEMENTED, "compression is not supported; send identity");
    if (q.version.len && !str_eq(q.version, STR("v1")))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "the query's connect must be v1");
    bool json = str_eq(q.encoding, STR("json"));
    if (!json && !str_eq(q.encoding, STR("proto")))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "the query needs encoding=json or encoding=proto");
    call->codec = json ? RPC_JSON : RPC_PROTO;
    if (!query_decode(q.message, &call->body))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "message holds a bad percent escape");
    if (q.base64 && !decode_base64(call))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "message is not base64");
    return ERR_OK;
}
