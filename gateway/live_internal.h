/* What the files of the live feeds share; the story is in live.h.
 *
 *   live.c            hearing, subscribing, beginning and end
 *   live_audience.c   who wants to hear of whom, and pushing to them
 *   live_message.c    the messages
 *   live_feed.c       the fiber that turns what was heard into messages, and the one that keeps streams alive
 */
#ifndef ROOKERY_GATEWAY_LIVE_INTERNAL_H
#define ROOKERY_GATEWAY_LIVE_INTERNAL_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "gateway/live.h"
#include "gateway/post_cache.h"
#include "gateway/shape.h"

#define LIVE_QUEUE_CAP 10000         /* events that wait for the feeder: some seconds of a busy system */
#define LIVE_STREAM_CAP (256 * 1024) /* bytes a stream may have unsent: some hundred items */
#define LIVE_PENDING_CAP 500         /* messages for a subscriber that is still catching up */

enum tell_kind { TELL_ITEM, TELL_EDITED, TELL_DELETED, TELL_RELATIONS, TELL_SESSIONS };

/* What the feeder is to tell. */
struct tell {
    enum tell_kind kind;
    bool is_repost;     /* TELL_DELETED: what is gone is a repost */
    int64_t account_id; /* the author; for relations and sessions, whose */
    int64_t post_id;
    struct entry entry; /* TELL_ITEM */
};

struct subscriber {
    struct list_node node; /* in live.all */
    struct live *live;
    int64_t account_id, session_id;
    struct relations relations;
    bool indexed;                /* by its relations */
    uint64_t told;               /* live.round in which it was last pushed something */
    struct rpc_stream *stream;   /* NULL while catching up */
    struct rpc_shared **pending; /* room for LIVE_PENDING_CAP while catching up, then NULL */
    size_t n_pending;
    bool overflowed;
};

/* An author's subscribers, or an account's own streams. */
struct audience {
    struct subscriber **v;
    size_t len, cap;
};

struct live {
    struct gateway *gateway;
    struct list_node all;
    size_t n_all;
    struct idmap by_author;  /* author -> struct audience */
    struct idmap by_account; /* viewer -> struct audience */
    struct tell *queue;
    size_t queue_len;
    uint64_t round; /* of pushing one thing to several audiences */
    struct condition wake;
    bool stopping, reset_due;
    struct latch stopped;
    struct gauge *subscribers;
    struct counter *sent, *dropped, *resets;
};

/* ---- live_audience.c ---- */
/* NULL without memory. In by_account at once, in by_author with audience_index. */
struct subscriber *audience_subscribe(struct live *l, int64_t account_id, int64_t session_id);
/* Takes the relations and indexes the subscriber by them, instead of what it had. */
void audience_index(struct subscriber *s, struct relations *r);
void audience_unsubscribe(struct subscriber *s);
const struct audience *audience_of(const struct idmap *map, int64_t id);
/* Queues the message, or ends a stream that does not read: the subscriber may be gone afterwards. */
void audience_push(struct subscriber *s, struct rpc_shared *message);
void audience_push_all(struct live *l, struct rpc_shared *message);
typedef bool audience_wants(const struct subscriber *s, const struct tell *t);
/* To those subscribers of an author who want it and have not been told in this round. */
void audience_push_to(struct live *l, int64_t author_id, const struct tell *t, struct rpc_shared *message,
                      audience_wants *wants);

/* ---- live_message.c: each is the caller's to unref ---- */
struct rpc_shared *live_heartbeat(struct gateway *g, struct arena *a);
struct rpc_shared *live_reset_message(struct gateway *g, struct arena *a);
struct rpc_shared *live_deleted_message(struct gateway *g, struct arena *a, int64_t id);
struct rpc_shared *live_edited_message(struct gateway *g, struct arena *a, const struct cached_post *p);
/* The item with the accounts it speaks of. May suspend, after it has read the posts. */
struct rpc_shared *live_item_message(struct fiber *self, struct gateway *g, const struct cached_post *entry,
                                     const struct cached_post *shown, struct engaged by);

/* ---- live_feed.c ---- */
fiber_fn live_feeder, live_heart;

#endif
