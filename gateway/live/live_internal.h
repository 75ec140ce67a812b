/* What the files of the live feeds share; the story is in live.h.
 *
 *   live.c       subscribing, beginning and end
 *   hear.c       queues what the hub hears
 *   audience.c   the index from authors to subscribers, and pushing to them
 *   message.c    the messages
 *   feed.c       the fiber that turns what was heard into messages, and the one that keeps streams alive
 *   resume.c     reads what a resuming stream missed, and sends it
 *   places.c     positions in the event streams
 *   token.c      resume tokens
 */
#ifndef ROOKERY_GATEWAY_LIVE_LIVE_INTERNAL_H
#define ROOKERY_GATEWAY_LIVE_LIVE_INTERNAL_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "gateway/answer/shape.h"
#include "gateway/cache/post.h"
#include "gateway/hub/hub.h"
#include "gateway/live/live.h"
#include "gateway/live/places.h"
#include "gateway/live/token.h"

#define LIVE_QUEUE_CAP 10000         /* events that wait for the feeder: some seconds of a busy system */
#define LIVE_STREAM_CAP (256 * 1024) /* bytes a stream may have unsent: some hundred items */
#define LIVE_PENDING_CAP 500         /* messages for a subscriber that is still catching up */
#define LIVE_RESUMES 16              /* streams that read what they missed concurrently */
#define LIVE_RESUMES_WAITING 20000   /* streams that wait for that: all those of a gateway that has stopped */

enum tell_kind { TELL_ITEM, TELL_EDITED, TELL_DELETED, TELL_RELATIONS, TELL_SESSIONS };

struct replay;

/* Something to tell: by the feeder to all subscribers that want it, or to one that resumes. */
struct tell {
    enum tell_kind kind;
    bool is_repost;     /* TELL_DELETED: a repost was deleted, not a post */
    int64_t account_id; /* the author; for relations and sessions, their owner */
    int64_t other_id;   /* TELL_RELATIONS: the other account */
    int64_t post_id;
    struct entry entry; /* TELL_ITEM */
    int partition;
    struct hub_place place;
    uint64_t number;       /* as it was heard */
    uint64_t round;        /* live.round while it is told */
    struct replay *replay; /* NULL: to everybody */
};

/* The state of a resuming stream. */
struct replay {
    struct subscriber *subscriber;
    struct hub_place *told;               /* up to where it has been told */
    struct ids engaged[ENGAGEMENT_KINDS]; /* of what it is brought */
    struct rpc_shared **out;              /* what a tell has made; malloc'ed */
    size_t n_out, cap_out;
};

struct subscriber {
    struct list_node node; /* in live.all */
    struct live *live;
    int64_t account_id, session_id;
    struct relations relations;
    bool indexed;                /* by its relations */
    uint64_t joined;             /* events with a greater number are pushed; UINT64_MAX: not joined */
    uint64_t told;               /* live.round of the last push to it */
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
    struct hub_listener listener;
    struct list_node all;
    size_t n_all;
    struct idmap by_author;  /* author -> struct audience */
    struct idmap by_account; /* viewer -> struct audience */
    struct live_places places;
    struct tell *queue;
    size_t queue_len;
    uint64_t round; /* of pushing one thing to several audiences */
    struct condition wake;
    bool stopping, feeding, reset_due;
    int64_t reset_since_ns; /* when it became due */
    struct latch stopped;
    struct semaphore resumes;
    struct gauge *subscribers;
    struct counter *sent, *dropped, *resets, *resumed, *resumed_by_reset;
};

/* ---- audience.c ---- */
/* Adds a subscriber to by_account; audience_index adds it to by_author. Returns NULL on allocation failure. */
struct subscriber *audience_subscribe(struct live *l, int64_t account_id, int64_t session_id);
/* Takes the relations and indexes the subscriber by them, instead of those it had. */
void audience_index(struct subscriber *s, struct relations *r);
void audience_unsubscribe(struct subscriber *s);
const struct audience *audience_of(const struct idmap *map, int64_t id);
/* Queues the message, or ends a stream that does not read. The subscriber may have been freed afterwards. */
void audience_push(struct subscriber *s, struct rpc_shared *message);
/* Pushes to the subscribers whose join number has been told already: the message's token claims that much. */
void audience_push_all(struct live *l, struct rpc_shared *message);
typedef bool audience_wants(const struct subscriber *s, const struct tell *t);
/* Pushes to the author's subscribers that want it and have not been told in this round; in a replay, only to its
 * subscriber. */
void audience_push_to(struct live *l, int64_t author_id, const struct tell *t, struct rpc_shared *message,
                      audience_wants *wants);

/* ---- message.c: the caller unrefs what these return ---- */
/* The token of a position. */
char *live_position_token(struct live *l, struct arena *a, const struct hub_place *places);
/* The token of messages about t. It covers everything before t; with_own: t itself, too. */
char *live_tell_token(struct live *l, struct arena *a, const struct tell *t, bool with_own);
struct rpc_shared *live_heartbeat(char *token);
struct rpc_shared *live_reset_message(char *token);
struct rpc_shared *live_deleted_message(char *token, int64_t id);
struct rpc_shared *live_edited_message(char *token, struct arena *a, const struct cached_post *p);
/* The item with the accounts that it mentions. May suspend, but not before it has read the posts. */
struct rpc_shared *live_item_message(struct fiber *self, struct gateway *g, char *token,
                                     const struct cached_post *entry, const struct cached_post *shown,
                                     struct engaged by);

/* ---- hear.c ---- */
/* Registers with the hub. */
void live_listen(struct live *l);
/* Says how an event is to be told. Returns false when it does not concern live feeds. */
bool live_tell_of(const Event *e, struct tell *t);

/* ---- feed.c ---- */
fiber_fn live_feeder, live_heart;
#define LIVE_BATCH 256 /* posts loaded in one statement */
/* Loads the posts that these are about into the cache, if there are at most LIVE_BATCH. */
void live_load_ahead(struct fiber *self, struct live *l, const struct tell *batch, size_t n);
/* Tells one thing. While SQL is unreachable it tries again, until the feeder stops or the fiber is interrupted. */
void live_tell(struct fiber *self, struct live *l, struct tell *t);
/* Returns true when this subscriber may want it, by what is known without SQL. Always true of the change of a post,
 * since the post's reposts count too. */
bool live_may_want(const struct subscriber *s, const struct tell *t);

/* ---- resume.c ---- */
/* Waits until this gateway has heard all that the token covers. Returns false when the client must read again. */
bool live_reaches(struct fiber *self, struct live *l, const struct live_token *token);
/* Reads what was published between the token and `until`, both in one epoch. *tells are in the fiber's arena. Returns
 * 0; ERR_ABORTED when the client must read again; or the fiber's interrupt. On an error *n is 0. */
int live_read_missed(struct fiber *self, struct subscriber *s, const struct live_token *from,
                     const struct hub_place *until, struct tell **tells, size_t *n);
/* Sends it. Returns 0, or the fiber's interrupt. */
int live_send_missed(struct fiber *self, struct rpc_call *call, struct subscriber *s,
                     const struct live_token *from, struct tell *tells, size_t n);

#endif
