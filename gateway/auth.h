/* Who calls: "authorization: Bearer <token>".
 *
 * Sessions found in SQL are kept by token for as long as the hub is fresh; a revoked session is removed when
 * the hub reads of it (SessionsRevoked), so everywhere within the hub's second.
 */
#ifndef ROOKERY_GATEWAY_AUTH_H
#define ROOKERY_GATEWAY_AUTH_H

#include "gateway/gateway.h"

struct session_cache *session_cache_new(struct gateway *g);
void session_cache_free(struct session_cache *c);
void session_cache_revoke(struct session_cache *c, int64_t session_id);
void session_cache_clear(struct session_cache *c);

/* rpc_server_options.authenticate. */
int auth_authenticate(struct fiber *self, struct rpc_call *call);

#endif
