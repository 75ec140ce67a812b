/* The consumer runtime: one loop, many roles.
 *
 * A *stream* is a kind of Redis stream, of which there is one per partition. A role is a consumer group on every
 * partition of one stream. For each role and partition a *lane* (one fiber, one blocking connection) reads batches
 * and hands each batch as a whole to the role, so that the role can coalesce. The lane acknowledges the batch when
 * the role's effect is durable. The story and the failures are in runtime.c.
 */
#ifndef ROOKERY_WORKERS_RUNTIME_RUNTIME_H
#define ROOKERY_WORKERS_RUNTIME_RUNTIME_H

#include "core/event/keys.h"
#include "core/event/outbox.h"

struct worker;

/* One entry in hand. */
struct item {
    struct str stream_id;
    struct str payload;
    /* Not for this role, or a dead letter that was replayed to another: it is only acknowledged. */
    bool skipped;
    bool unknown; /* an event of a kind that only a newer worker knows */
    /* The relay published it, or an operator replayed it: the gateway that committed it may have died before it did
     * the rest of its work. */
    bool relayed;
    int64_t settled_epoch; /* lists of this epoch and later ones are built with it (epoch.h); 0: not known */
    int64_t deliveries;    /* before this one; known when the entry was reclaimed alone (trial.h) */
    union {                /* decoded; NULL when the payload is not a valid message: never handed to a role */
        ProtobufCMessage *message; /* by the stream's descriptor */
        Event *event;              /* of STREAM_EVENTS */
    };
};

/* An entry has the field "e", the message. A replayed dead letter also has "to", the only role that is to handle it.
 * A dead letter, in dead:{partition}, has the fields
 *   role        that gave it up                  stream      struct stream's name
 *   entry       its id on that stream            deliveries  tries it had
 *   reason      in words                         e           the message, as it was */
/* The maximum number of dead letters of a partition. A role that must give up one more entry waits, and its partition
 * with it, until an operator has made room (rookery-worker dlq). So nothing is dropped, and a role that refuses
 * everything stops instead of moving its whole stream to the dead letters. */
#define DEAD_LETTERS_MAX 10000

struct batch {
    struct item *items;
    size_t n;
    bool
        late; /* some of it may have been delivered before (a retry, or entries reclaimed from another consumer) */
};

/* Applies the effect of the whole batch, idempotently. Returns 0 when it is durable. After a retryable error
 * (core/base/error.h) the batch is tried again. After any other its items are tried one by one, and those that fail
 * become dead letters. */
typedef int role_fn(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault);

/* What roles keep while the process runs: memory, caches, places. It is opened once for all roles that name it. */
struct role_state {
    void *(*open)(struct domain *d); /* NULL on allocation failure; d is borrowed */
    void (*close)(void *state);
    /* May be NULL. Called when PostgreSQL may have gone back: forgets everything that was loaded from it. */
    void (*forget)(void *state);
};

struct role {
    const char *name; /* also the consumer group's */
    const struct stream *stream;
    role_fn *handle;
    const struct role_state *state; /* NULL: it keeps nothing */
    uint32_t interests;             /* the events that it is given (core/event/events.h); 0: every entry */
    bool feeds_timelines;           /* the audit waits until such roles are done with their streams */
    /* The number of entries in a lane's first batch and in its largest, which it reaches while there is a backlog. 0:
     * 256, and ROOKERY_BATCH_MAX (which is never exceeded). */
    int64_t first_count, max_count;
    /* The pause between a batch that was not full and the next read. It makes fewer and larger batches, for effects
     * that may be some ms late. */
    int64_t linger_ms;
    /* May be NULL. Called with each entry that is given up, before it goes to the dead letters, maybe more than once.
     * Returns 0 when the consequences are durable; until then it is called again. */
    int (*give_up)(struct fiber *self, struct worker *w, const struct item *item, const char *reason);
};

struct trial;
struct open_state;

struct worker {
    struct domain domain;
    const char *consumer; /* this process's name in every group */
    const struct role *const *roles;
    size_t n_roles;
    bool stopping;
    int64_t started_ns;    /* monotonic */
    int64_t retry_said_ns; /* when a retry was logged last; monotonic */
    struct trial *trial;   /* the one that has the turn (trial.h); or NULL */
    bool warned_of_groups; /* trim.h */
    struct latch lanes_left;
    struct list_node lanes; /* the fibers that a stop interrupts when its time is over */
    struct open_state *states;
    size_t n_states;
};

/* A fiber that works until w->stopping; it is on w->lanes while it runs. */
struct lane_fiber {
    struct list_node node;
    struct fiber *fiber;
};

/* Opens the states of these roles and starts their lanes (roles is borrowed until runtime_stop has returned). Returns
 * 0, or ERR_*. */
int runtime_start(struct worker *w, const struct role *const *roles, size_t n);
/* Returns the state that a running role has opened. */
void *runtime_state(const struct worker *w, const struct role_state *state);
/* Stops reading and lets the lanes finish the batches that they hold, for ROOKERY_DRAIN_MS. Entries that are not
 * finished by then are handed back to the groups (consumers.h). */
void runtime_stop(struct fiber *self, struct worker *w);

#endif
