/* The table of the API's methods. */
#include "gateway/service/service.h"

#include "core/codec/bounds.h"
#include "rookery/v1/account.pb-c.h"
#include "rookery/v1/graph.pb-c.h"
#include "rookery/v1/job.pb-c.h"
#include "rookery/v1/post.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"

static const struct rpc_method METHODS[] = {
#define METHOD(path_, handler_, request_, reply_, kind_, no_side_effects, permission_, cost_)                \
    {                                                                                                        \
        .path = path_,                                                                                       \
        .kind = RPC_##kind_,                                                                                 \
        .request = &rookery__v1__##request_##__descriptor,                                                   \
        .reply = &rookery__v1__##reply_##__descriptor,                                                       \
        .handler = handler_,                                                                                 \
        .is_public = PERMISSION_##permission_ == PERMISSION_ANYBODY,                                         \
        .side_effect_free = no_side_effects,                                                                 \
        .permission = PERMISSION_##permission_,                                                              \
        .cost = COST_##cost_,                                                                                \
    },
#define BOUND(message, field, max_bytes)
#include "services.def"
#undef METHOD
#undef BOUND
};

static const struct bound BOUNDS[] = {
#define METHOD(path, handler, request, reply, kind, no_side_effects, permission, cost)
#define BOUND(message_, field_, max_bytes_) {&rookery__v1__##message_##__descriptor, field_, max_bytes_},
#include "services.def"
#undef METHOD
#undef BOUND
};

void service_bounds_init(struct bounds *b) {
    bounds_init(b, BOUNDS, sizeof BOUNDS / sizeof *BOUNDS);
}
#define N_METHODS (sizeof METHODS / sizeof *METHODS)

const struct rpc_method *service_methods(size_t *n) {
    *n = N_METHODS;
    return METHODS;
}

void service_print(FILE *out) {
    static const char *const who[] = {NULL, "anybody", "account", "analyst"};
    static const char *const costs[] = {NULL,      "lookup",   "page",   "change",
                                        "publish", "password", "stream", "work"};
    fprintf(out, "%-56s %-8s %-9s %s\n", "METHOD", "WHO", "COST", "");
    for (const struct rpc_method *m = METHODS; m < METHODS + N_METHODS; m++)
        fprintf(out, "%-56s %-8s %-9s %s\n", m->path + 1, who[m->permission], costs[m->cost],
                m->side_effect_free ? "no side effects" : "");
}
