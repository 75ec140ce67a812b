/* What the files of the live feeds share; the story is in live.h.
 *
 *   live.c        subscribing, beginning and end
 *   subscriber.c  a stream: joining, holding, sending, going
 *   reset.c       streams that must read again
 *   resume.c      finds and sends what a resuming stream missed
 *   hear.c        queues what the hub hears
 *   audience.c    the index from authors to subscribers
 *   push.c        pushing to them
 *   message.c     the messages
 *   feed.c        the fiber that turns what was heard into messages, and the one that keeps streams alive
 */
#ifndef ROOKERY_GATEWAY_LIVE_LIVE_INTERNAL_H
#define ROOKERY_GATEWAY_LIVE_LIVE_INTERNAL_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "gateway/answer/shape.h"
#include "gateway/cache/post.h"
#include "gateway/hub/hub.h"
#include "gateway/live/live.h"
#include "gateway/position/position.h"

#define LIVE_QUEUE_CAP 10000         /* events that wait for the feeder: some seconds of a busy system */
#define LIVE_STREAM_CAP (256 * 1024) /* bytes a stream may have unsent: some hundred items */
#define LIVE_HELD_CAP 500            /* messages for a subscriber that is still catching up */
#define LIVE_RESUMES 16              /* streams that load their relations to resume concurrently */
#define LIVE_RESUMES_WAITING 20000   /* streams that wait for that: all those of a gateway that has stopped */
#define LIVE_NOT_JOINED UINT64_MAX

enum tell_kind { TELL_ITEM, TELL_EDITED, TELL_DELETED, TELL_RELATIONS, TELL_SESSIONS };

struct replay;

/* Something to tell: by the feeder to all subscribers that want it, or to one that resumes. */
struct tell {
    enum tell_kind kind;
    bool is_repost;     /* TELL_DELETED: a repost was deleted, not a post */
    int64_t account_id; /* the author; for relations and sessions, their owner */
    int64_t other_id;   /* TELL_RELATIONS: another account whose relations have changed, or 0 */
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
    struct rpc_shared *out;               /* what a tell has made for it; NULL: nothing */
};

struct subscriber {
    struct list_node node; /* in live.all */
    struct list_node turn; /* in live.due or live.resetting, while it must be reset and has its stream */
    struct live *live;
    int64_t account_id, session_id;
    int64_t expires_ns; /* when the session does, by the monotonic clock; SQL is asked then */
    struct relations relations;
    bool indexed;              /* by its relations */
    bool must_reset;           /* nothing is pushed to it until it has been sent "reset" */
    bool holds;                /* from joining until it is live: what is pushed is held */
    uint64_t joined;           /* events with a greater number are pushed; LIVE_NOT_JOINED: none */
    uint64_t told;             /* live.round of the last push to it */
    int64_t reset_ns;          /* when it was last sent "reset"; 0: never */
    struct rpc_stream *stream; /* NULL while the fiber of its call serves it */
    struct rpc_shared **held;
    size_t n_held, cap_held;
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
    struct list_node due,
        resetting;           /* subscribers that must be reset, and those of them that are being reset */
    struct idmap by_author;  /* author -> struct audience */
    struct idmap by_account; /* viewer -> struct audience */
    struct live_places places;
    struct tell *queue;
    size_t queue_len;
    uint64_t round;    /* of pushing one thing to several audiences */
    uint64_t n_forgot; /* how often live_forget was called: what was taken from the queue before is void */
    int64_t forgot_ns; /* the last time */
    struct condition wake, wake_resetter;
    bool stopping, feeding, sessions_due;
    struct latch stopped;
    struct semaphore resumes;
    struct gauge *subscribers;
    struct counter *sent, *dropped, *resets, *resumed, *resumed_by_reset;
};

/* ---- subscriber.c -------------------------------------------------------------------------------------- */
/* Returns NULL on allocation failure. */
struct subscriber *subscriber_new(struct live *l, const struct rpc_identity *who);
/* Ends its stream, which it must have, and frees it. */
void subscriber_end(struct subscriber *s, enum error e, const char *text);
void subscriber_free(struct subscriber *s);
/* From now on what is heard is pushed to it, and held until it goes live. */
void subscriber_join(struct subscriber *s);
/* Nothing is pushed to it any more, and what was held is dropped. */
void subscriber_leave(struct subscriber *s);
/* It leaves, and must read again. */
void subscriber_reset(struct subscriber *s);
/* Sends `first`, then what was held; what is pushed from now on is sent. The subscriber may have been freed
 * afterwards. */
void subscriber_go_live(struct subscriber *s, struct rpc_shared *first);
/* Sends or holds the message, or ends a stream that does not read. The subscriber may have been freed afterwards. */
void subscriber_push(struct subscriber *s, struct rpc_shared *message);

/* ---- reset.c ------------------------------------------------------------------------------------------- */
/* The account's streams must read again. */
void live_reset_account(struct live *l, int64_t account_id);
/* Everything heard so far may be incomplete: all must read again, and what waits for the feeder is dropped. */
void live_forget(struct live *l);
fiber_fn live_resetter;

/* ---- audience.c ---------------------------------------------------------------------------------------- */
void audience_add(struct idmap *map, int64_t id, struct subscriber *s);
void audience_drop(struct idmap *map, int64_t id, struct subscriber *s);
const struct audience *audience_of(const struct idmap *map, int64_t id);
/* Takes the relations and indexes the subscriber by them, instead of those it had. */
void audience_index(struct subscriber *s, struct relations *r);
void audience_unindex(struct subscriber *s);

/* ---- push.c -------------------------------------------------------------------------------------------- */
/* Pushes to the subscribers whose join number has been told already: the message's token claims that much. */
void push_to_all(struct live *l, struct rpc_shared *message);
typedef bool push_wants(const struct subscriber *s, const struct tell *t);
/* Pushes to the subscribers of these authors that want it, to each once; in a replay, only to its subscriber. */
void push_to(struct live *l, const int64_t *authors, size_t n, struct tell *t, struct rpc_shared *message,
             push_wants *wants);

/* ---- message.c: the caller unrefs what these return ---------------------------------------------------- */
/* The token of a position. */
char *live_position_token(struct live *l, struct arena *a, const struct hub_place *places);
/* The token of a message about t. It covers what was told before, and t itself. */
char *live_tell_token(struct live *l, struct arena *a, const struct tell *t);
struct rpc_shared *live_heartbeat(char *token);
struct rpc_shared *live_reset_message(char *token);
struct rpc_shared *live_deleted_message(char *token, int64_t id);
struct rpc_shared *live_edited_message(char *token, struct arena *a, const struct cached_post *p);
/* The item with the accounts that it mentions. May suspend, but not before it has read the posts. */
struct rpc_shared *live_item_message(struct fiber *self, struct gateway *g, char *token,
                                     const struct cached_post *entry, const struct cached_post *shown,
                                     struct engaged by);

/* ---- hear.c -------------------------------------------------------------------------------------------- */
/* Registers with the hub. */
void live_listen(struct live *l);
/* Says how a change is to be told. Returns false when it does not concern live feeds. */
bool live_tell_of(const struct place_heard *heard, struct tell *t);

/* ---- feed.c -------------------------------------------------------------------------------------------- */
fiber_fn live_feeder, live_heart;
#define LIVE_BATCH 256 /* posts loaded in one statement */
#define LIVE_RETRY_MS 100
/* Loads the posts that these are about into the cache, if there are at most LIVE_BATCH. */
void live_load_ahead(struct fiber *self, struct live *l, const struct tell *batch, size_t n);
/* Tells one thing. While SQL is unreachable it tries again, until the feeder stops or the fiber is interrupted. */
void live_tell(struct fiber *self, struct live *l, struct tell *t);
/* Returns true when this subscriber may want it, by what is known without SQL. Always true of the change of a post,
 * since the post's reposts count too. */
bool live_may_want(const struct subscriber *s, const struct tell *t);

/* ---- resume.c ------------------------------------------------------------------------------------------ */
/* Finds what concerns a subscriber that has just joined of what was published behind the token and has been heard.
 * *tells are in the arena. Returns 0, or ERR_ABORTED when the client must read again; then *n is 0. */
int live_find_missed(struct subscriber *s, const struct live_token *from, struct arena *a,
                     struct tell **tells, size_t *n);
/* Sends it, or ends early when the client must read again. Returns 0, or the fiber's interrupt. */
int live_send_missed(struct fiber *self, struct rpc_call *call, struct subscriber *s,
                     const struct live_token *from, struct tell *tells, size_t n);

#endif
