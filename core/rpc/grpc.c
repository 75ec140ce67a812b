/* gRPC over HTTP/2: headers, trailers, timeouts.
 *
 * A response is HEADERS, DATA, trailers; an error before the first message is one block of headers with
 * END_STREAM (trailers-only). The HTTP status is 200 whatever the gRPC status is.
 */
#include <string.h>

#include "core/rpc/rpc_internal.h"

static void grpc_begin(struct rpc_call *call) {
    http_fields_add(&call->headers, STR("content-type"), STR("application/grpc"));
    http_respond(&call->http, 200, &call->headers, -1);
}

static void add_details(struct http_fields *f, enum error e, const struct fault *fault) {
    struct buf status;
    struct arena a;
    buf_init(&status);
    arena_init(&a, 0);
    if (rpc_details_proto(&status, e, fault))
        http_fields_add(f, STR("grpc-status-details-bin"), base64_encode(&a, buf_str(&status), false));
    arena_free(&a);
    buf_free(&status);
}

static void add_status(struct http_fields *f, enum error e, const struct fault *fault) {
    char digits[24];
    if (e == ERR_OK) {
        http_fields_add(f, STR("grpc-status"), STR("0"));
        return;
    }
    struct buf message;
    buf_init(&message);
    http_fields_add(f, STR("grpc-status"), (struct str){digits, format_i64(digits, error_grpc_status(e))});
    rpc_percent_encode(&message, rpc_public_text(e, fault));
    http_fields_add(f, STR("grpc-message"), buf_str(&message));
    buf_free(&message);
    add_details(f, e, fault);
}

static void add_all(struct http_fields *to, const struct http_fields *from) {
    for (size_t i = 0; i < from->n; i++)
        http_fields_add(to, http_fields_name(from, i), http_fields_value(from, i));
}

static void grpc_end(struct rpc_call *call, enum error e, const struct fault *fault) {
    struct http_stream *s = &call->http;
    if (!call->began && e != ERR_OK) {
        http_fields_add(&call->headers, STR("content-type"), STR("application/grpc"));
        add_status(&call->headers, e, fault);
        add_all(&call->headers, &s->trailers);
        http_respond_only(s, 200, &call->headers, -1);
        return;
    }
    if (!call->began) grpc_begin(call);
    add_status(&s->trailers, e, fault);
    http_finish(s);
}

const struct rpc_protocol rpc_grpc = {.enveloped = true, .begin = grpc_begin, .end = grpc_end};

bool rpc_parse_timeout(struct str text, int64_t *ns) {
    static const struct {
        char unit;
        int64_t ns;
    } units[] = {{'H', INT64_C(3600000000000)},
                 {'M', INT64_C(60000000000)},
                 {'S', 1000000000},
                 {'m', 1000000},
                 {'u', 1000},
                 {'n', 1}};
    if (text.len < 2 || text.len > 9) return false;
    int64_t n = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        n = n * 10 + (text.ptr[i] - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].unit != text.ptr[text.len - 1]) continue;
        *ns = n > INT64_MAX / units[i].ns ? INT64_MAX : n * units[i].ns;
        return true;
    }
    return false;
}
