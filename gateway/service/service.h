/* The services' method tables; main.c puts them together. One file each: account_service.c, post_service.c
 * ... */
#ifndef ROOKERY_GATEWAY_SERVICE_SERVICE_H
#define ROOKERY_GATEWAY_SERVICE_SERVICE_H

#include "core/rpc/rpc.h"

extern const struct rpc_method ACCOUNT_METHODS[], POST_METHODS[], GRAPH_METHODS[], TIMELINE_METHODS[],
    JOB_METHODS[];
extern const size_t N_ACCOUNT_METHODS, N_POST_METHODS, N_GRAPH_METHODS, N_TIMELINE_METHODS, N_JOB_METHODS;

/* A row of a method table: service and method by name, messages by their C prefix. */
#define RPC_METHOD(service, method, prefix, handler_fn, ...)                                                 \
    {                                                                                                        \
        .path = "/rookery.v1." #service "/" #method,                                                         \
        .request = &rookery__v1__##prefix##_request__descriptor,                                             \
        .reply = &rookery__v1__##prefix##_response__descriptor, .handler = (handler_fn), __VA_ARGS__         \
    }

/* request is what the method's row says: the one place where the generic message becomes the typed one. */
#define REQUEST(type) ((const Rookery__V1__##type *)(const void *)request)

#endif
