/* The second, small server of a daemon: see monitor.h. It takes few connections and short messages, since only an
 * operator's machines ask. */
#include "core/process/monitor.h"

#include "core/config/config.h"

enum { MAX_ASKERS = 64, MAX_MESSAGE_BYTES = 4096 };

int monitor_start(const struct domain *d, const struct monitor_options *o, struct rpc_server **out,
                  struct fault *fault) {
    *out = NULL;
    if (d->config->metrics_listen[0] == '\0') return 0;
    struct rpc_server_options server = {
        .listen = d->config->metrics_listen,
        .routes = o->routes,
        .n_routes = o->n_routes,
        .context = o->context,
        .ready = o->ready,
        .request_timeout_ms = d->config->request_timeout_ms,
        .max_calls = MAX_ASKERS,
        .max_connections = MAX_ASKERS,
        .max_message_bytes = MAX_MESSAGE_BYTES,
    };
    *out = rpc_server_start(d->loop, &server, d->log, o->counts, fault);
    return *out ? 0 : fault->error;
}
