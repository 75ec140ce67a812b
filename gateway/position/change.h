/* A change: the parts of an event by which streams match it, decoded once. */
#ifndef ROOKERY_GATEWAY_POSITION_CHANGE_H
#define ROOKERY_GATEWAY_POSITION_CHANGE_H

#include "core/event/events.h"

struct change {
    enum event_kind kind; /* EVENT_UNKNOWN: no stream is told of it */
    int64_t event_id;
    int64_t actor_id;
    int64_t target_id; /* the other account of a relation */
    int64_t post_id;
    int64_t reply_to_account_id;               /* 0: not a reply */
    int64_t repost_of_id, repost_of_author_id; /* 0: not a repost */
};

/* Returns an EVENT_UNKNOWN for an event that no stream is told of, and for NULL. */
struct change change_of(const Event *e);

/* Chains link changes that streams look for together (places.h). A chain is of one partition, except the last. */
enum { CHANGE_CHAINS = 2 };
int64_t chain_of_actor(int64_t account_id);  /* its posts and its own relations; the key is its id */
int64_t chain_of_posts(int partition);       /* edits and deletions */
int64_t chain_of_target(int64_t account_id); /* relations that others have changed with it */
bool chain_is_of_target(int64_t chain);
/* The chains that a change is on; 0: none. */
void change_chains(const struct change *c, int partition, int64_t keys[static CHANGE_CHAINS]);

#endif
