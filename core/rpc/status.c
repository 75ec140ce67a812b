/* Faults as clients see them: gRPC status with google.rpc details, Connect's error object, HTTP status.
 *
 * The few google.rpc messages are encoded by hand, so that status.proto and error_details.proto need not be shipped:
 *   Status{code = 1, message = 2, repeated Any details = 3} Any{type_url = 1, value = 2} BadRequest{repeated
 *   FieldViolation = 1 {field = 1, description = 2}} RetryInfo{Duration retry_delay = 1 {seconds = 1, nanos = 2}}
 */
#include <string.h>

#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"

enum { FIRST_INSIDE = 32, MAX_MESSAGE = 1024 };

static const struct {
    const char *name, *connect;
    int http;
} codes[RPC_CODES] = {
    {"OK", "ok", 200},
    {"CANCELLED", "canceled", 499},
    {"UNKNOWN", "unknown", 500},
    {"INVALID_ARGUMENT", "invalid_argument", 400},
    {"DEADLINE_EXCEEDED", "deadline_exceeded", 504},
    {"NOT_FOUND", "not_found", 404},
    {"ALREADY_EXISTS", "already_exists", 409},
    {"PERMISSION_DENIED", "permission_denied", 403},
    {"RESOURCE_EXHAUSTED", "resource_exhausted", 429},
    {"FAILED_PRECONDITION", "failed_precondition", 400},
    {"ABORTED", "aborted", 409},
    {"OUT_OF_RANGE", "out_of_range", 400},
    {"UNIMPLEMENTED", "unimplemented", 501},
    {"INTERNAL", "internal", 500},
    {"UNAVAILABLE", "unavailable", 503},
    {"DATA_LOSS", "data_loss", 500},
    {"UNAUTHENTICATED", "unauthenticated", 401},
};

int rpc_http_status(int grpc_status) {
    return codes[grpc_status].http;
}

const char *rpc_code_name(int grpc_status) {
    return codes[grpc_status].name;
}

/* Whether the fault's sentence and field are for logs only: they may quote a statement, a path or a key. */
static bool is_inside(enum error e) {
    return (int)e >= FIRST_INSIDE;
}

bool rpc_is_internal(enum error e) {
    enum error shown = error_grpc_status(e);
    return shown == ERR_UNKNOWN || shown == ERR_INTERNAL || shown == ERR_DATA_LOSS;
}

struct str rpc_public_text(enum error e, const struct fault *fault) {
    bool has_sentence = fault && fault->error == e && fault->text[0] && !is_inside(e);
    if (has_sentence) return str_from(fault->text);
    return str_from(error_text(rpc_is_internal(e) ? error_grpc_status(e) : e));
}

void rpc_percent_encode(struct buf *out, struct str text) {
    static const char hex[] = "0123456789ABCDEF";
    size_t start = out->len;
    for (size_t i = 0; i < text.len && out->len - start < MAX_MESSAGE; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            buf_append_char(out, (char)c);
        } else {
            buf_append(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}

/* ---- protobuf by hand ---------------------------------------------------------------------------------- */

static void put_varint(struct buf *out, uint64_t v) {
    while (v >= 0x80) {
        buf_append_char(out, (char)(v | 0x80));
        v >>= 7;
    }
    buf_append_char(out, (char)v);
}

static void put_number(struct buf *out, unsigned field, uint64_t v) {
    if (v == 0) return;
    put_varint(out, field << 3);
    put_varint(out, v);
}

static void put_bytes(struct buf *out, unsigned field, struct str bytes) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len);
    buf_append_str(out, bytes);
}

/* Takes *inner: appends it as a submessage and empties it. */
static void put_message(struct buf *out, unsigned field, struct buf *inner) {
    put_bytes(out, field, buf_str(inner));
    buf_clear(inner);
}

static void bad_request(struct buf *out, const struct fault *fault) {
    struct buf violation;
    buf_init(&violation);
    put_bytes(&violation, 1, str_from(fault->field));
    put_bytes(&violation, 2, str_from(fault->text));
    put_message(out, 1, &violation);
    buf_free(&violation);
}

static void retry_info(struct buf *out, int64_t ms) {
    struct buf duration;
    buf_init(&duration);
    put_number(&duration, 1, (uint64_t)(ms / 1000));
    put_number(&duration, 2, (uint64_t)(ms % 1000) * 1000000);
    put_message(out, 1, &duration);
    buf_free(&duration);
}

/* An error about a field of the request. */
static bool names_field(const struct fault *fault) {
    return fault->field[0] && !is_inside(fault->error) && !rpc_is_internal(fault->error);
}

static bool has_details(enum error e, const struct fault *fault) {
    return fault && fault->error == e && (names_field(fault) || fault->retry_after_ms > 0);
}

/* Calls fn for each detail that the fault carries. */
static void each_detail(const struct fault *fault,
                        void (*fn)(struct buf *out, const char *type, struct str value), struct buf *out) {
    struct buf detail;
    buf_init(&detail);
    if (names_field(fault)) {
        bad_request(&detail, fault);
        fn(out, "google.rpc.BadRequest", buf_str(&detail));
        buf_clear(&detail);
    }
    if (fault->retry_after_ms > 0) {
        retry_info(&detail, fault->retry_after_ms);
        fn(out, "google.rpc.RetryInfo", buf_str(&detail));
    }
    buf_free(&detail);
}

static void put_any(struct buf *out, const char *type, struct str value) {
    struct buf url, any;
    buf_init(&url);
    buf_init(&any);
    buf_printf(&url, "type.googleapis.com/%s", type);
    put_message(&any, 1, &url);
    put_bytes(&any, 2, value);
    put_message(out, 3, &any);
    buf_free(&url);
    buf_free(&any);
}

bool rpc_details_proto(struct buf *out, enum error e, const struct fault *fault) {
    if (!has_details(e, fault)) return false;
    put_number(out, 1, (uint64_t)error_grpc_status(e));
    put_bytes(out, 2, rpc_public_text(e, fault));
    each_detail(fault, put_any, out);
    return true;
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void put_json_detail(struct buf *out, const char *type, struct str value) {
    struct arena a;
    arena_init(&a, 0);
    if (out->ptr[out->len - 1] == '}') buf_append_char(out, ',');
    buf_append_cstr(out, "{\"type\":");
    json_write_string(out, str_from(type));
    buf_append_cstr(out, ",\"value\":");
    json_write_string(out, base64_encode(&a, value, false));
    buf_append_char(out, '}');
    arena_free(&a);
}

void rpc_error_json(struct buf *out, enum error e, const struct fault *fault) {
    buf_append_cstr(out, "{\"code\":\"");
    buf_append_cstr(out, codes[error_grpc_status(e)].connect);
    buf_append_cstr(out, "\",\"message\":");
    json_write_string(out, rpc_public_text(e, fault));
    if (has_details(e, fault)) {
        buf_append_cstr(out, ",\"details\":[");
        each_detail(fault, put_json_detail, out);
        buf_append_char(out, ']');
    }
    buf_append_char(out, '}');
}

void rpc_refusal_json(struct buf *out, int http_status, const char *why) {
    const char *code = http_status == 400                         ? "invalid_argument"
                       : http_status == 403                       ? "permission_denied"
                       : http_status == 413 || http_status == 431 ? "resource_exhausted"
                       : http_status == 503                       ? "unavailable"
                                                                  : "unimplemented";
    buf_printf(out, "{\"code\":\"%s\",\"message\":", code);
    json_write_string(out, str_from(why));
    buf_append_char(out, '}');
}
