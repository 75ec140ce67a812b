/* The gateway: what its parts share.
 *
 * A newcomer starts here. parts.c opens the parts, main.c is the process. Each proto service is a file of
 * gateway/service: a handler checks, calls core/domain or the read path (gateway/home/home.h), and shapes the answer
 * (gateway/answer/answer.h). The session of the call has been checked before (gateway/service/auth.h).
 *
 * Everything that a gateway remembers is a cache, which may be dropped at any moment: posts (gateway/cache/post.h),
 * account summaries (gateway/cache/account.h), viewers' relations (gateway/cache/viewer.h), sessions
 * (gateway/cache/session.h). The hub (gateway/hub/hub.h), which reads every event stream, and the version tokens of
 * core/event/tokens.h keep them correct. While the hub is not fresh (it has not confirmed for 700 ms that it has
 * heard everything), the caches that depend on it are bypassed, and SQL is asked instead.
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
struct limits;
struct live;
struct passwords;
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
    struct limits *limits;
    struct passwords *passwords;
    struct home_tails *tails;
    struct pulled *pulled;
    struct hub *hub;
    struct live *live;
    struct job_watch *job_watch;
    struct impressions *impressions;
    struct rpc_server *server;
    bool draining;
    /* The same in every gateway: a secret in SQL. Page tokens, resume tokens and the marks of session tokens are made
     * with it. */
    unsigned char page_key[PAGE_TOKEN_KEY_BYTES];
    struct counter *timeline_hits, *timeline_deep, *timeline_sql, *timeline_rebuilds;
};

static inline struct gateway *gateway_of(const struct rpc_call *call) {
    return rpc_context(call);
}

static inline int64_t caller_of(struct rpc_call *call) {
    return rpc_identity(call)->account_id;
}

#endif
