/* grpc.reflection.v1 and v1alpha: tools such as grpcurl ask for the server's services and types.
 *
 * Source: grpc/reflection/v1/reflection.proto. v1alpha has the same messages under another name, so one handler on
 * the v1 types serves both. Public: the .proto files are not secret.
 */
#ifndef ROOKERY_CORE_RPC_REFLECTION_H
#define ROOKERY_CORE_RPC_REFLECTION_H

#include "core/codec/descriptors.h"
#include "core/rpc/rpc.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

/* For the server's table of methods. */
const struct rpc_method *reflection_methods(size_t *n);

/* The answer to one request, in the arena (a few times the size of the descriptor set at most, and of the request). A
 * request for something unknown gets an error_response. Borrows request and d. */
Grpc__Reflection__V1__ServerReflectionResponse *
reflection_answer(const struct descriptors *d, Grpc__Reflection__V1__ServerReflectionRequest *request,
                  struct arena *a);

#endif
