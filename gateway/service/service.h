/* The API's methods. The .proto files say what a method is called, what it takes and returns, who may call it and
 * what it costs; the table is generated from them (scripts/generate/services.c). The handler of a method is the
 * function SERVICE_METHOD, in the file of its service. */
#ifndef ROOKERY_GATEWAY_SERVICE_SERVICE_H
#define ROOKERY_GATEWAY_SERVICE_SERVICE_H

#include <stdio.h>

#include "core/rpc/rpc.h"
#include "gateway/limit/limit.h"

/* As in rookery/v1/options.proto. */
enum permission { PERMISSION_ANYBODY = 1, PERMISSION_ACCOUNT, PERMISSION_ANALYST };
enum cost { COST_LOOKUP = 1, COST_PAGE, COST_CHANGE, COST_PUBLISH, COST_PASSWORD, COST_STREAM, COST_WORK };

#define METHOD(path, handler, request, reply, kind, no_side_effects, permission, cost) rpc_handler handler;
#define TEXT(...)
#include "services.def"
#undef METHOD
#undef TEXT

/* The rules for texts in requests: for rpc_server_options.texts. The caller frees them (text_fields_free). */
struct text_fields;
void service_texts_init(struct text_fields *f);
/* All of them. */
const struct rpc_method *service_methods(size_t *n);
/* The limit by the hour that a method has beside that of its cost class; LIMIT_NONE for most. */
enum limit service_hourly_limit(const struct rpc_method *m);
/* For people: a line for each, with the limits that these settings give it; then the limits. */
void service_print(FILE *out, const struct config *c);

/* request is what the method's row says: the one place where the generic message becomes the typed one. */
#define REQUEST(type) ((const Rookery__V1__##type *)(const void *)request)

#endif
