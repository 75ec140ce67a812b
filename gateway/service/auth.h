/* Authentication: finds the account of a call by its header "authorization: Bearer <token>". */
#ifndef ROOKERY_GATEWAY_SERVICE_AUTH_H
#define ROOKERY_GATEWAY_SERVICE_AUTH_H

#include "gateway/gateway.h"

/* rpc_server_options.authenticate. */
int auth_authenticate(struct fiber *self, struct rpc_call *call);

#endif
