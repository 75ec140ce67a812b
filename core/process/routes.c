/* Plain routes. */
#include "core/process/routes.h"

void route_text(struct http_reply *out, int status, const char *text) {
    out->status = status;
    out->content_type = "text/plain; charset=utf-8";
    buf_append_cstr(&out->body, text);
}

void route_metrics(struct http_reply *out, struct metrics *m) {
    out->status = 200;
    out->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(m, &out->body);
}
