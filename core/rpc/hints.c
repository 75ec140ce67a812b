/* What the sender of a request that cannot become a call is told: a sentence that says what would be right. Names of
 * methods and services in it are ours; of the request only its content type is repeated, as far as it is text. */
#include <string.h>

#include "core/rpc/rpc_internal.h"

enum { SHOWN = 60 };

/* ---- paths --------------------------------------------------------------------------------------------- */

/* The method whose path differs in the case of its letters only; NULL when there is none. */
static const struct rpc_method *find_in_other_case(const struct rpc_table *t, struct str path) {
    for (size_t i = 0; i < t->cap; i++) {
        const struct rpc_entry *e = &t->slots[i];
        if (e->method && str_eq_ci(e->path, path)) return e->method;
    }
    return NULL;
}

/* "rookery.v1.PostService" of "/rookery.v1.PostService/CreatePost"; empty when the path has another form. */
static struct str service_of(struct str path) {
    const char *slash = path.len > 1 ? memchr(path.ptr + 1, '/', path.len - 1) : NULL;
    return slash ? (struct str){path.ptr + 1, (size_t)(slash - path.ptr) - 1} : (struct str){0};
}

void rpc_hint_path(const struct rpc_call *call, struct buf *out) {
    const struct rpc_server *s = call->server;
    struct str service = service_of(call->http.path);
    const struct rpc_method *near = find_in_other_case(&s->table, call->http.path);
    if (near) {
        buf_printf(out, "there is nothing at this path, but there is %s", near->path);
    } else if (service.len && rpc_server_has_service(s, service)) {
        buf_printf(out, STR_FMT " has no such method", STR_ARG(service));
    } else if (s->options.n_methods) {
        buf_printf(out, "there is nothing at this path; methods are called as POST %s",
                   s->options.methods[0].path);
    } else {
        buf_append_cstr(out, "there is nothing at this path");
    }
}

/* ---- methods of HTTP ----------------------------------------------------------------------------------- */

void rpc_hint_http_method(const struct rpc_call *call, struct buf *out) {
    const struct rpc_method *m = call->entry->method;
    if (!m) {
        buf_append_cstr(out, "this is read with GET or HEAD");
    } else if (m->side_effect_free && m->kind == RPC_UNARY) {
        buf_printf(out, "%s is called with POST, or with GET, encoding=json and its message in the query",
                   m->path + 1);
    } else {
        buf_printf(out, "%s is called with POST", m->path + 1);
    }
}

/* ---- content types ------------------------------------------------------------------------------------- */

static void append_shown(struct buf *out, struct str value) {
    for (size_t i = 0; i < value.len && i < SHOWN; i++) {
        char c = value.ptr[i];
        buf_append_char(out, c >= 0x20 && c <= 0x7e ? c : '?');
    }
}

static void describe_given(const struct rpc_call *call, struct buf *out) {
    struct str given;
    if (!http_fields_find(&call->http.request, STR("content-type"), &given)) {
        buf_append_cstr(out, "there is no content-type");
    } else if (http_fields_count(&call->http.request, STR("content-type")) > 1) {
        buf_append_cstr(out, "there are two fields content-type");
    } else {
        buf_append_cstr(out, "the content-type is ");
        append_shown(out, given);
    }
}

void rpc_hint_content(const struct rpc_call *call, struct buf *out) {
    const struct rpc_method *m = call->entry->method;
    describe_given(call, out);
    if (m->kind == RPC_UNARY) {
        buf_printf(
            out,
            "; for %s send application/json and a JSON message, or application/proto, or application/grpc",
            m->path + 1);
    } else {
        buf_printf(
            out,
            "; %s is a stream: send application/connect+json, with five bytes in front of each JSON message, "
            "which are 0 and the length in four bytes, the highest first; or application/connect+proto, or "
            "application/grpc",
            m->path + 1);
    }
}
