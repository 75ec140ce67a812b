/* Pages of other origins in browsers (CORS, as the Fetch standard says): which may call, and what they may read.
 *
 * A page's request carries its origin. If the setting names it, the answer, also an error, says that the page may read
 * it. Before a request that a plain page could not send, the browser asks with OPTIONS; its answer needs no call.
 * Tokens travel in a field of the request and never in cookies, so credentials are not allowed, and * may stand for all
 * names.
 */
#include <string.h>

#include "core/rpc/rpc_internal.h"

#define CALL_FIELDS                                                                                          \
    "authorization, content-type, connect-protocol-version, connect-timeout-ms, grpc-timeout, "              \
    "x-user-agent, *"
#define READ_FIELDS "grpc-status, grpc-message, grpc-status-details-bin, retry-after, *"

static bool is_port(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    return s.len > 0 && s.len <= 5;
}

/* "http://localhost:*" is that host with any port, also with its scheme's. */
static bool matches(struct str entry, struct str origin) {
    struct str any_port = STR(":*");
    if (entry.len <= any_port.len || !str_eq((struct str){entry.ptr + entry.len - 2, 2}, any_port))
        return str_eq_ci(entry, origin);
    struct str host = {entry.ptr, entry.len - 2};
    if (origin.len < host.len || !str_eq_ci((struct str){origin.ptr, host.len}, host)) return false;
    struct str rest = {origin.ptr + host.len, origin.len - host.len};
    return rest.len == 0 || (rest.ptr[0] == ':' && is_port((struct str){rest.ptr + 1, rest.len - 1}));
}

/* The value of access-control-allow-origin; empty when the origin is not in the list. */
static struct str allowed(struct str list, struct str origin) {
    while (list.len) {
        struct str entry = str_cut(&list, ',');
        if (str_eq(entry, STR("*"))) return entry;
        if (matches(entry, origin)) return origin;
    }
    return (struct str){0};
}

static struct str list_of(const struct rpc_call *call) {
    const char *list = call->server->options.cors_origins;
    return list ? str_from(list) : (struct str){0};
}

void rpc_cors_begin(struct rpc_call *call) {
    struct str list = list_of(call), origin;
    if (!list.len) return;
    http_fields_add(&call->headers, STR("vary"), STR("origin"));
    if (!http_fields_find(&call->http.request, STR("origin"), &origin)) return;
    struct str value = allowed(list, origin);
    if (!value.len) return;
    http_fields_add(&call->headers, STR("access-control-allow-origin"), value);
    http_fields_add(&call->headers, STR("access-control-expose-headers"), STR(READ_FIELDS));
}

bool rpc_cors_is_preflight(const struct rpc_call *call) {
    const struct http_fields *f = &call->http.request;
    struct str value;
    return list_of(call).len && call->http.method == HTTP_OPTIONS &&
           http_fields_find(f, STR("origin"), &value) &&
           http_fields_find(f, STR("access-control-request-method"), &value);
}

/* Whatever the path: the request itself is then told what is wrong with it. */
bool rpc_cors_preflight(struct rpc_call *call) {
    struct str value;
    http_fields_add(&call->headers, STR("vary"),
                    STR("access-control-request-method, access-control-request-headers"));
    if (!http_fields_find(&call->headers, STR("access-control-allow-origin"), &value)) return false;
    http_fields_add(&call->headers, STR("access-control-allow-methods"), STR("GET, POST"));
    http_fields_add(&call->headers, STR("access-control-allow-headers"), STR(CALL_FIELDS));
    http_fields_add(&call->headers, STR("access-control-max-age"), STR("7200"));
    call->ended = true;
    http_respond_only(&call->http, 204, &call->headers, -1);
    return true;
}
