/* Sessions, by token.
 *
 * SQL decides whether a session is valid, by the database's clock, and says for how long. The answer is kept by token,
 * for a minute by the monotonic clock but not beyond the session's end, and used while the hub is fresh. When the hub
 * hears that a session was revoked (SessionsRevoked), the session is removed: on every gateway within the hub's
 * second. So a session may be used for a minute after it was revoked if the event is lost. No wall clock of a gateway
 * takes part.
 *
 * Tokens that were given out carry a mark (core/id/token.h), which those that ended keep. So the marks of tokens that
 * were tried and were not right are remembered as doubts: for limits only, SQL decides who is let in.
 */
#ifndef ROOKERY_GATEWAY_CACHE_SESSION_H
#define ROOKERY_GATEWAY_CACHE_SESSION_H

#include "core/domain/account/account.h"
#include "gateway/gateway.h"

struct session_cache *
session_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void session_cache_free(struct session_cache *c);
bool session_cache_find(struct session_cache *c, struct str token, struct rpc_identity *out);
/* True only if session_cache_find would find the same again: found is its answer, and no session has left the cache
 * since. */
bool session_cache_holds(const struct session_cache *c, const struct rpc_identity *found);
/* Whether the token was right a while ago; it may have been revoked since on another gateway. */
bool session_cache_knew(const struct session_cache *c, struct str token);
/* SQL says that the token is not a session's (any more). */
void session_cache_drop(struct session_cache *c, struct str token);
/* Remembers the mark, of the 40,000 that were doubted or asked about last, or forgets it. 0: nothing. */
void session_cache_doubt(struct session_cache *c, int64_t mark, bool is_doubtful);
bool session_cache_doubts(struct session_cache *c, int64_t mark);
void session_cache_revoke(struct session_cache *c, int64_t session_id);

/* Begin a fill before SQL is asked. Sessions that were revoked since then are not stored. */
struct session_fill {
    bool fresh;
    uint64_t begun;
    int64_t asked_ns;
};
struct session_fill session_cache_fill(const struct session_cache *c);
/* Of a session that SQL was asked for in this fill. */
struct rpc_identity session_identity(const struct session *s, const struct session_fill *fill);
void session_cache_store(struct session_cache *c, const struct session_fill *fill, const struct session *s,
                         struct str token);

#endif
