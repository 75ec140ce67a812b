/* Who calls, "authorization: Bearer <token>", and whether they may. */
#ifndef ROOKERY_GATEWAY_SERVICE_AUTH_H
#define ROOKERY_GATEWAY_SERVICE_AUTH_H

#include "gateway/gateway.h"

/* rpc_server_options.admit: takes from the limits (gateway/limit/limit.h) as soon as a call's headers are there, so
 * that refusing costs next to nothing. A call whose session this gateway has not in its cache takes from its account's
 * limits when it is authenticated. */
int auth_admit(struct rpc_call *call, struct fault *fault);

/* rpc_server_options.authenticate: the one place where a method's permission (rookery/v1/options.proto) is enforced. */
int auth_authenticate(struct fiber *self, struct rpc_call *call);
/* rpc_server_options.recognize: by the session cache. */
int auth_recognize(struct rpc_call *call);

#endif
