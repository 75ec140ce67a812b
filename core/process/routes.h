/* Replies of the daemons' plain routes. */
#ifndef ROOKERY_CORE_PROCESS_ROUTES_H
#define ROOKERY_CORE_PROCESS_ROUTES_H

#include "core/base/metrics.h"
#include "core/rpc/rpc.h"

/* A line for people. */
void route_text(struct http_reply *out, int status, const char *text);
/* /metrics, as Prometheus reads it. */
void route_metrics(struct http_reply *out, struct metrics *m);

#endif
