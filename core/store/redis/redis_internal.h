/* What the files of the Redis client share. No other room includes this.
 *
 *   redis.c  the client: its life, reconnecting
 *   queue.c  the states of batches, and their end
 *   link.c   one connection: socket, writing, reading
 *   batch.c  a batch: its commands, its replies
 *   resp3.c  replies and pushes of tracking connections
 *   fence.c  one PING for all that wait in a turn
 *   target.c the URL
 *   check.c  what must hold of the server
 *   call.c   single commands and scripts, on top of the public calls
 */
#ifndef ROOKERY_CORE_STORE_REDIS_REDIS_INTERNAL_H
#define ROOKERY_CORE_STORE_REDIS_REDIS_INTERNAL_H

#include <stdarg.h>

#include "core/base/metrics.h"
#include "core/store/redis/redis.h"

struct redisReader;

/* ---- a batch ----------------------------------------------------------------------------------------- */

/* BUILDING: the caller's. QUEUED, IN_FLIGHT: on the client's list of that name. DONE: the caller's again. */
enum batch_state { BATCH_BUILDING, BATCH_QUEUED, BATCH_IN_FLIGHT, BATCH_DONE };

struct redis_batch {
    struct list_node node;
    enum batch_state state;
    int result;
    bool orphaned;        /* no fiber waits: freed when done */
    struct fiber *waiter; /* parked in redis_await */
    void (*on_done)(struct redis *r,
                    struct redis_batch *b); /* instead of a waiter; for greetings and fences */
    struct redis_fence *fence;
    int64_t submitted_ns;

    struct buf out; /* the commands, in RESP */
    size_t sent;    /* bytes of out that the kernel has */
    size_t commands;
    int args_due; /* of the command being built */

    bool integers_only;
    size_t received; /* replies */
    struct arena arena;
    struct redis_reply *replies;
    size_t replies_cap;
    int64_t *integers;
    size_t integers_cap;
    struct redis_reply passing; /* the reply being read when only integers are kept */
    bool failed;                /* some reply was an error: */
    struct str first_error;
};

/* printf into room, or into the arena when it is too small. */
struct str redis_format(char *room, size_t size, struct arena *a, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
/* Whether its memory is small enough to be kept for the next batch. */
bool redis_batch_is_small(const struct redis_batch *b);
bool redis_batch_complete(const struct redis_batch *b);
/* Makes room for the replies. Returns false on allocation failure. */
bool redis_batch_prepare(struct redis_batch *b);
/* For integers-only batches: takes complete one-line replies from p, until the batch is complete, the rest is the
 * beginning of a line, or something other than a line comes (*other is then set). Returns the bytes taken. */
size_t redis_batch_take_lines(struct redis_batch *b, const char *p, size_t len, bool *other);
/* Takes one reply of the most frequent kinds, a string or an array of strings, when all of it is at p. Returns the
 * bytes taken; 0 when it is of another kind or incomplete, which is left to the reader. */
size_t redis_batch_take_strings(struct redis_batch *b, const char *p, size_t len);
/* Takes the next reply, which the reader has built in the place that redis_reader_new's functions chose. */
void redis_batch_take_reply(struct redis_batch *b);
/* A reader that builds replies in the batch that is its privdata. Returns NULL on allocation failure. */
struct redisReader *redis_reader_new(void);
/* Takes one value of RESP3 into the arena when all of it is at p. Returns the bytes taken; 0 when it is incomplete;
 * negative when it is not RESP3, or too large for the arena. */
ssize_t redis_resp3_take(struct arena *a, const char *p, size_t len, struct redis_reply *out);
/* A copy of the whole reply in another arena; NULL when its limit would be passed. */
struct redis_reply *redis_reply_copy(struct arena *a, const struct redis_reply *from);

/* ---- one connection ---------------------------------------------------------------------------------- */

struct redis_target {
    char address[264]; /* for people */
    char path[108];    /* of a Unix socket; "" for TCP */
    char host[256];    /* name or address */
    char port[6];
    char user[128], password[256]; /* "" for none */
    int db;
};

struct redis_link;
/* How a link notifies its client. */
struct redis_link_events {
    void (*opened)(struct redis *r);
    void (*lost)(struct redis *r, const char *reason);
    void (*closed)(struct redis *r);                                 /* its memory has been freed */
    void (*pushed)(struct redis *r, const struct redis_reply *push); /* complete */
};
/* Starts connecting. Returns NULL with *why when that fails immediately. Later it calls `opened` or `lost`, and after
 * `opened` at the end `lost`, unless redis_link_close is called first. */
struct redis_link *redis_link_open(struct redis *r, const char **why);
/* No more callbacks, except `closed`. */
void redis_link_close(struct redis_link *k);
/* Writes the unsent rest of r->in_flight and then, when the client is ready, r->queued, whose batches move to
 * r->in_flight when their first byte is sent. */
void redis_link_write(struct redis_link *k);

/* ---- the client -------------------------------------------------------------------------------------- */

/* WAITING: for the next attempt. GREETING: connected, our own first commands are in flight. */
enum client_state { CLIENT_WAITING, CLIENT_CONNECTING, CLIENT_GREETING, CLIENT_READY };

struct script_sha {
    const struct redis_script *script;
    char hex[41];
};

struct redis {
    struct loop *loop;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    const char *name;
    struct redis_target target;
    char last_reason[128]; /* of a loss, so that the same one is logged once; "" after success */
    struct redis *shared;  /* beside which it was opened; NULL for that one */
    struct list_node beside, sibling;
    bool blocking;
    int answer_ticks; /* silence that means death, in ticks */

    enum client_state state;
    struct redis_link *link;
    const struct redis_link_events *on_link;
    unsigned attempt;
    int ticks; /* since the last sign of life or change of state */
    uint64_t generation;
    char run_id[41];
    struct redis_batch *greeting;
    unsigned logged;     /* server_check's memory */
    const char *refusal; /* redis_refusal */

    struct list_node queued;    /* not a byte sent: survive the connection */
    struct list_node in_flight; /* sent, the last one maybe in part; in the order of their replies */
    size_t unsent;              /* bytes of all of these that the kernel has not taken */
    struct flusher flusher;
    struct condition ready;

    uv_timer_t tick, retry;
    int handles; /* timers and links not closed yet */
    bool closing;
    struct fiber *closer;

    struct list_node spare; /* batches given back, empty */
    size_t spare_count;

    redis_on_changed *on_changed; /* of a tracking connection, in RESP3; NULL for others */
    void *on_changed_owner;
    struct arena push;         /* the push being read */
    struct redis_fence *fence; /* not sent yet, so more fibers may share it; or NULL */

    struct script_sha *scripts;
    size_t script_count;

    struct counter *reconnects, *commands, *lost_batches;
    struct gauge *unsent_bytes;
    struct histogram *latency;
    struct counter no_counters[3]; /* used when the caller gave no metrics */
    struct gauge no_gauge;
    struct histogram no_histogram;
};

bool redis_target_parse(struct redis_target *t, const char *url);

void redis_lost(struct redis *r, const char *reason);

/* ---- queue.c ---- */
/* Changes its state. */
void redis_batch_enter(struct redis_batch *b, enum batch_state state);
void redis_set_unsent(struct redis *r, size_t bytes);
bool redis_is_idle(const struct redis *r);
/* Takes b off its list and hands it to the fiber or callback that waits for it. */
void redis_finish(struct redis *r, struct redis_batch *b, int result);

#endif
