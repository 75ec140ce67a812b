/* grpc.health.v1: Check and Watch.
 *
 * "" is the whole server; every service in the table has the same state as the server, since they share its backends.
 * Watch answers immediately and then at each change (checked once a second); for an unknown service it says
 * SERVICE_UNKNOWN and stays open, as the protocol asks. Watches are detached streams: they cost no fiber.
 */
#include <stdlib.h>
#include <string.h>

#include "core/rpc/rpc_internal.h"
#include "grpc/health/v1/health.pb-c.h"

enum { WATCH_QUEUE = 4096 }; /* bytes a watcher may leave unread; changes beyond it are dropped */

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

struct watcher {
    struct list_node node;
    struct rpc_stream *stream;
    bool known;
};

static serving_status status_of(struct rpc_server *s, bool known) {
    if (!known) return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    return rpc_server_serving(s) ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                                 : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static bool is_known(const struct rpc_server *s, const ProtobufCMessage *request) {
    const Grpc__Health__V1__HealthCheckRequest *r = (const Grpc__Health__V1__HealthCheckRequest *)request;
    return r->service[0] == '\0' || rpc_server_has_service(s, str_from(r->service));
}

static int check(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    (void)self;
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    if (!is_known(call->server, request)) return fault_set(rpc_fault(call), ERR_NOT_FOUND, "unknown service");
    reply.status = status_of(call->server, true);
    rpc_reply(call, &reply.base);
    return ERR_OK;
}

static void tell(struct rpc_server *s, struct watcher *w) {
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = status_of(s, w->known);
    struct rpc_shared *message = rpc_shared_new(&reply.base);
    rpc_stream_send(w->stream, message, WATCH_QUEUE);
    rpc_shared_unref(message);
}

static void watch_ended(void *arg) {
    struct watcher *w = arg;
    list_remove(&w->node);
    free(w);
}

static int watch(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    (void)self;
    struct watcher *w = calloc(1, sizeof *w);
    if (!w) return ERR_RESOURCE_EXHAUSTED;
    w->known = is_known(call->server, request);
    list_push_back(&call->server->watchers, &w->node);
    w->stream = rpc_detach(call, watch_ended, w);
    tell(call->server, w);
    return ERR_OK;
}

void health_sweep(struct rpc_server *s) {
    bool serving = rpc_server_serving(s);
    if (serving == s->was_serving) return;
    s->was_serving = serving;
    list_each_safe (&s->watchers, n) {
        struct watcher *w = list_entry(n, struct watcher, node);
        if (w->known) tell(s, w);
    }
}

const struct rpc_method *health_methods(size_t *n) {
    static const struct rpc_method methods[] = {
        {.path = "/grpc.health.v1.Health/Check",
         .kind = RPC_UNARY,
         .request = &grpc__health__v1__health_check_request__descriptor,
         .reply = &grpc__health__v1__health_check_response__descriptor,
         .handler = check,
         .is_public = true,
         .max_message_bytes = 1024,
         .side_effect_free = true},
        {.path = "/grpc.health.v1.Health/Watch",
         .kind = RPC_SERVER_STREAM,
         .request = &grpc__health__v1__health_check_request__descriptor,
         .reply = &grpc__health__v1__health_check_response__descriptor,
         .handler = watch,
         .is_public = true,
         .max_message_bytes = 1024},
    };
    *n = sizeof methods / sizeof *methods;
    return methods;
}
