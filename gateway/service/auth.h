/* Who calls, "authorization: Bearer <token>", and whether they may. */
#ifndef ROOKERY_GATEWAY_SERVICE_AUTH_H
#define ROOKERY_GATEWAY_SERVICE_AUTH_H

#include "gateway/gateway.h"

/* rpc_server_options.authenticate: the one place where a method's permission (rookery/v1/options.proto) is enforced. */
int auth_authenticate(struct fiber *self, struct rpc_call *call);
/* rpc_server_options.recognize: by the session cache. */
int auth_recognize(struct rpc_call *call);

#endif
