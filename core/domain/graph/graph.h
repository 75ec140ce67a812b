/* Follows, blocks and mutes. Each write is idempotent, and is acknowledged only when the tokens of the accounts whose
 * view it changes have moved (P3). ERR_UNAVAILABLE means: committed, but not yet visible everywhere; try again. */
#ifndef ROOKERY_CORE_DOMAIN_GRAPH_GRAPH_H
#define ROOKERY_CORE_DOMAIN_GRAPH_GRAPH_H

#include "core/domain/account/account.h"

/* INVALID_ARGUMENT when target is the actor, NOT_FOUND when it does not exist; follow also PERMISSION_DENIED when
 * either has blocked the other and FAILED_PRECONDITION above MAX_FOLLOWING. */
int graph_follow(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);
int graph_unfollow(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);
int graph_block(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);
int graph_unblock(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);
int graph_mute(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);
int graph_unmute(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault);

enum graph_list { GRAPH_FOLLOWERS, GRAPH_FOLLOWING };
struct graph_edge {
    struct account_summary account;
    int64_t id; /* of the follow: the list's order, newest first */
};
/* Edges with id < before. Accounts that the viewer may not see (blocked) are left out; a page is full nevertheless,
 * as long as there are more. */
int graph_list(struct fiber *self, struct domain *d, enum graph_list which, int64_t account_id,
               int64_t viewer_id, int64_t before, int limit, struct graph_edge **out, size_t *n,
               struct fault *fault);

struct graph_standing {
    bool followed, follows, blocked_by_viewer, muted_by_viewer, blocks_viewer;
};
int graph_standing(struct fiber *self, struct domain *d, int64_t viewer, int64_t other,
                   struct graph_standing *out, struct fault *fault);

#endif
