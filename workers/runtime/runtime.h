/* The consumer runtime: one loop, many roles.
 *
 * A *stream* is a kind of Redis stream, of which there is one per partition. A role is a consumer group on
 * every partition of one stream. For each role and partition a *lane* (one fiber, one blocking connection)
 * reads batches and hands each whole to the role, so that a role can coalesce; it acknowledges after the
 * role's effect is durable. Story and failures: runtime.c.
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
    bool
        skipped; /* not for this role, or a dead letter that was replayed to another: acknowledged, and nothing else */
    bool unknown; /* of a kind that only a newer worker knows */
    /* The relay published it, or an operator: whoever wrote it may have died before the rest of its work. */
    bool relayed;
    int64_t settled_epoch; /* from this epoch on timelines are built with it (epoch.h); 0: not known */
    int64_t deliveries;    /* before this one; known of an entry that was taken over alone (trial.h) */
    union {                /* decoded; NULL when the payload is no valid message: never handed to a role */
        ProtobufCMessage *message; /* by the stream's descriptor */
        Event *event;              /* of STREAM_EVENTS */
    };
};

/* An entry has the field "e", the message; one that is a replayed dead letter also has "to", the only role that
 * is to handle it. A dead letter, in dead:{partition}, has the fields
 *   role        that gave it up                  stream      struct stream's name
 *   entry       its id on that stream            deliveries  tries it had
 *   reason      in words                         e           the message, as it was */
/* So many dead letters a partition keeps. A role that gives up one more waits with it, and so with its
 * partition, until an operator has made room (rookery-worker dlq): nothing is dropped, and a role that refuses
 * everything stops instead of moving its whole stream here. */
#define DEAD_LETTERS_MAX 10000

struct batch {
    struct item *items;
    size_t n;
    bool late; /* some of it may have been delivered before (a retry or another consumer's leftovers) */
};

/* Applies the effect of the whole batch, idempotently. 0 when it is durable. A retryable error
 * (core/base/error.h) has the batch tried again; any other has its items tried one by one, and the guilty
 * ones end as dead letters. */
typedef int role_fn(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault);

/* What roles keep while the process runs: memory, caches, places. Opened once for all roles that name it. */
struct role_state {
    void *(*open)(struct domain *d); /* NULL on allocation failure; d is borrowed */
    void (*close)(void *state);
    /* NULL, or: PostgreSQL may have gone back, so nothing that was loaded from it is known any more. */
    void (*forget)(void *state);
};

struct role {
    const char *name; /* also the consumer group's */
    const struct stream *stream;
    role_fn *handle;
    const struct role_state *state; /* NULL: it keeps nothing */
    uint32_t interests;   /* of an event, in which it is given (core/event/events.h); 0: every entry */
    bool feeds_timelines; /* the audit waits until such roles are done with their streams */
    /* Entries in a lane's first batch and in its largest, which it comes to while there is a backlog; 0: 256,
     * and ROOKERY_BATCH_MAX (which is never passed). */
    int64_t first_count, most_count;
    /* Between a batch that was not full and the next read, for effects that may be some ms late: fewer and larger batches. */
    int64_t linger_ms;
    /* NULL, or told of each entry that is given up, before it goes to the dead letters; maybe more than once. 0 when
     * what that means is durable; until then it is called again. */
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
    struct trial *trial;   /* whose turn it is (trial.h); or NULL */
    bool warned_of_groups; /* trim.h */
    struct latch lanes_left;
    struct list_node lanes; /* what a stop interrupts when its time is over */
    struct open_state *states;
    size_t n_states;
};

/* A fiber that works until w->stopping; on w->lanes while it runs. */
struct lane_fiber {
    struct list_node node;
    struct fiber *fiber;
};

/* Opens the states of these roles and starts their lanes (roles is borrowed until runtime_stop has returned). 0, or ERR_*. */
int runtime_start(struct worker *w, const struct role *const *roles, size_t n);
/* What a running role has opened. */
void *runtime_state(const struct worker *w, const struct role_state *state);
/* Reads no more and lets the lanes finish what is in hand, for ROOKERY_DRAIN_MS; what they have not finished by
 * then is handed back to the groups (consumers.h). */
void runtime_stop(struct fiber *self, struct worker *w);

#endif
