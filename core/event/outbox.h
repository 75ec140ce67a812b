/* The outbox: an event is published if, and only if, its transaction has committed.
 *
 * Happy path:
 *   1. A domain operation encodes its event (event_encode) and inserts the outbox row in its own transaction.
 *   2. After the commit it calls outbox_publish: XADD events:{partition}; then the id goes to the marker.
 *   3. The marker fiber sets published_at for the published rows, in one UPDATE every 100 ms.
 * Failures:
 *   - a crash or a Redis failure between 1 and 2, or between 2 and 3: the row stays unpublished; the relay role
 *     publishes rows that are older than 2 s (so an event may come twice: every effect is idempotent by event id).
 *   - the outcome of 1 is unknown (ERR_CONNECTION_LOST): the caller reports failure and publishes nothing; if the row
 *     did commit, the relay finds it.
 *   - the marker cannot reach PostgreSQL: ids wait (bounded: 100,000; beyond it they are dropped and the relay
 *     republishes their rows).
 *   - a new Redis comes between 2 and 3, and its epoch is opened (epoch.h): nothing is marked, and the relay
 *     republishes. If it were marked then, the row would seem to have been published to the new Redis.
 *   - 2 goes to a Redis that is not the newest, or whose epoch has changed: its fence fails, or nothing is marked;
 *     the relay republishes.
 * Assumed: now() of a marking statement is later than the commit of what it marks (it begins after it, by
 * PostgreSQL's clock); epoch.h says where that matters. tests/models/outbox.pml stands for this file.
 */
#ifndef ROOKERY_CORE_EVENT_OUTBOX_H
#define ROOKERY_CORE_EVENT_OUTBOX_H

#include "core/domain/domain.h"
#include "core/event/events.h"
#include "core/event/stream.h"
#include "rookery/events/v1/job.pb-c.h"

typedef Rookery__Events__V1__JobMessage JobMessage;

struct event_record {
    int64_t id;
    int partition;
    int kind;                  /* of an event: event_payload_kind; 0: not known */
    struct str payload;        /* encoded Event, or JobMessage */
    enum stream_number stream; /* of those in_outbox */
    int64_t settled_epoch;     /* from this epoch on, lists are built with it (epoch.h); 0: not known */
};

/* The partition of an actor: a hash, so that neighbouring ids spread. */
int event_partition(int64_t actor_id, int64_t partitions);
/* Encodes into the arena. e->id and e->actor_id must be set. */
struct event_record event_encode(struct arena *a, const Event *e, int64_t partitions);
/* The same for the job streams. m->id must be set; the partition is a hash of it. */
struct event_record job_message_encode(struct arena *a, const JobMessage *m, int64_t partitions);

int outbox_open(struct domain *d, struct outbox **out);
void outbox_close(struct fiber *self, struct outbox *o);

/* Publishes committed events. Returns 0, or ERR_* when Redis did not take them; then the relay publishes them. */
int outbox_publish(struct fiber *self, struct domain *d, const struct event_record *events, size_t n);
/* The same in one round trip with the commands that b already holds, built for this epoch. Takes b. */
int outbox_publish_in(struct fiber *self, struct domain *d, struct redis_batch *b, int64_t epoch,
                      const struct event_record *events, size_t n);
/* The same for a change that gateways must hear of before it is acknowledged (deletes, edits, ended sessions: P3).
 * Returns 0 when the event is on a stream of the newest epoch's Redis (epoch_confirm); else answer UNAVAILABLE. */
int outbox_publish_heard(struct fiber *self, struct domain *d, const struct event_record *event);

/* A new entry on its author's own timeline: the part of a delivery that does not wait for the fan-out (P6). */
void outbox_add_own_delivery(struct redis_batch *b, struct str timeline_key, int64_t entry_id);

/* The field by which the relay marks what it publishes: the process that wrote the event may have died before the
 * rest of its work. */
#define OUTBOX_RELAYED "r"
/* The field of a replayed dead letter that names the only role it is for: all others have had it before. */
#define OUTBOX_ADDRESSED "to"

/* The field with an event's settled_epoch, behind the one that says it was relayed. */
#define OUTBOX_SETTLED "s"

/* The field that says an event's kind and interests, two numbers: 0 for those of a kind that the writer does not
 * know. */
#define OUTBOX_KIND "k"

/* Adds the XADD of one event to a batch. An event that is not relayed is new, so not settled. */
void outbox_add_command(struct redis_batch *b, const struct event_record *e, bool relayed);

/* The outbox row's values (id, partition, payload) in that order, for pg_ask and pg_args_add. The stream is in the
 * statement; by default it is STREAM_EVENTS. */
#define OUTBOX_ROW(event) pg_i64((event)->id), pg_i32((event)->partition), pg_bytes((event)->payload)

#endif
