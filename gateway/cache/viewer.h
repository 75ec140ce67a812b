/* What the gateway knows of viewers: their relations, and the posts that they have liked and reposted.
 *
 * Each part is valid under a version token (core/event/tokens.h) on one Redis connection. The reader fetches the
 * tokens, in a round trip that it makes anyway, and acquires the viewer under them. Viewers are reference-counted: a
 * fiber holds one across suspensions, and always sees the state of one load.
 *
 * Without tokens (Redis is unreachable) relations come from SQL for this call only and are not kept.
 */
#ifndef ROOKERY_GATEWAY_CACHE_VIEWER_H
#define ROOKERY_GATEWAY_CACHE_VIEWER_H

#include "core/domain/graph/relations.h"
#include "core/domain/post/post.h"
#include "gateway/gateway.h"

#define VIEWER_TOKEN_MAX 40

struct viewer {
    struct relations relations;
    struct engagements engagements;
    /* private */
    int refs;
    uint64_t generation; /* of the Redis connection the tokens came from */
    char relations_token[VIEWER_TOKEN_MAX], likes_token[VIEWER_TOKEN_MAX];
};

/* The two tokens as Redis gave them; empty when missing. */
struct viewer_tokens {
    uint64_t generation; /* taken before they were fetched; 0: no Redis */
    struct str relations, likes;
};

struct viewer_cache *viewer_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void viewer_cache_free(struct viewer_cache *c);

/* Adds the command that fetches both tokens; its reply goes to viewer_read_tokens. */
void viewer_add_token_command(struct redis_batch *b, int64_t viewer_id);
struct viewer_tokens viewer_read_tokens(const struct redis_reply *reply, uint64_t generation);

/* Finds the viewer under these tokens, in the cache or in SQL. Tokens that are missing are set first (a round trip).
 * Release the viewer with viewer_release. */
int viewer_acquire(struct fiber *self, struct gateway *g, int64_t viewer_id, struct viewer_tokens tokens,
                   struct viewer **out, struct fault *fault);
/* The same, and fetches the tokens in a round trip of its own. */
int viewer_find(struct fiber *self, struct gateway *g, int64_t viewer_id, struct viewer **out,
                struct fault *fault);
void viewer_release(struct viewer *v);

#endif
