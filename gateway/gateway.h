/* The gateway: what its parts share.
 *
 * A newcomer starts here. main.c builds this struct; each proto service is a file *_service.c with its rows
 * of the method table (services.h); a handler authenticates (auth.c), checks, calls core/domain or the read
 * path (home_read.h), and shapes the answer (shape.h).
 *
 * Everything a gateway knows is a cache that may be dropped at any moment: posts (post_cache.h), account
 * summaries (account_cache.h), viewers' relations (viewer_cache.h), sessions (auth.c). They are kept true by
 * the hub (hub.h), which reads every event stream, and by the version tokens of core/event/tokens.h. While
 * the hub is not fresh (it has not confirmed for 700 ms that it has seen everything), what it guards is not
 * believed and SQL is asked instead.
 */
#ifndef ROOKERY_GATEWAY_GATEWAY_H
#define ROOKERY_GATEWAY_GATEWAY_H

#include "core/domain/domain.h"
#include "core/id/page_token.h"
#include "core/rpc/rpc.h"

struct account_cache;
struct home_tails;
struct hub;
struct impressions;
struct job_watch;
struct post_cache;
struct pulled;
struct session_cache;
struct viewer_cache;

struct gateway {
    struct domain domain;
    struct post_cache *posts;
    struct account_cache *accounts;
    struct viewer_cache *viewers;
    struct session_cache *sessions;
    struct home_tails *tails;
    struct pulled *pulled;
    struct hub *hub;
    struct job_watch *job_watch;
    struct impressions *impressions;
    struct rpc_server *server;
    bool draining;
    unsigned char
        page_key[PAGE_TOKEN_KEY_BYTES]; /* the same in every gateway: derived from a secret in SQL */
    struct counter *timeline_hits, *timeline_deep, *timeline_sql, *timeline_rebuilds;
};

/* Opens the caches and starts the hub; the domain has been started. Aborts without memory: nothing runs yet. */
void gateway_open(struct gateway *g);
/* After the server has stopped. Harmless when nothing was opened. */
void gateway_close(struct fiber *self, struct gateway *g);
/* Forgets everything that a gap in the event streams may have made wrong. */
void gateway_forget(struct gateway *g);

static inline struct gateway *gateway_of(const struct rpc_call *call) {
    return rpc_context(call);
}

static inline int64_t caller_of(struct rpc_call *call) {
    return rpc_identity(call)->account_id;
}

#endif
