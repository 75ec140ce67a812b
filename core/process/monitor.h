/* Where an operator's machines ask a daemon how it is: at ROOKERY_METRICS_LISTEN, which clients need not reach. */
#ifndef ROOKERY_CORE_PROCESS_MONITOR_H
#define ROOKERY_CORE_PROCESS_MONITOR_H

#include "core/domain/domain.h"
#include "core/rpc/rpc.h"

struct monitor_options {
    const struct http_route *routes;
    size_t n_routes;
    void *context;                /* of the routes and of ready */
    bool (*ready)(void *context); /* for grpc.health.v1 */
    /* Where its own calls and connections are counted. A daemon that serves clients, too, gives a registry of its own,
     * which nobody reads. */
    struct metrics *counts;
};

/* Listens; *out is NULL when the setting is empty. Returns 0, or ERR_* with a sentence. rpc_server_stop ends it. */
int monitor_start(const struct domain *d, const struct monitor_options *o, struct rpc_server **out,
                  struct fault *fault);

#endif
