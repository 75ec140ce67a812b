/* Who calls: "authorization: Bearer <token>".
 *
 * Whether a session is valid is for SQL to say, by the database's clock. The answer is kept by token, for a minute by the
 * monotonic clock, and believed while the hub is fresh; a revoked session is removed when the hub reads of it
 * (SessionsRevoked), so everywhere within the hub's second. So a session may be used for a minute after it expired, and for as
 * long after it was revoked should the event be lost; no wall clock of a gateway takes part.
 */
#ifndef ROOKERY_GATEWAY_SERVICE_AUTH_H
#define ROOKERY_GATEWAY_SERVICE_AUTH_H

#include "gateway/gateway.h"

struct session_cache *session_cache_new(struct gateway *g);
void session_cache_free(struct session_cache *c);
void session_cache_revoke(struct session_cache *c, int64_t session_id);
void session_cache_clear(struct session_cache *c);

/* rpc_server_options.authenticate. */
int auth_authenticate(struct fiber *self, struct rpc_call *call);

#endif
