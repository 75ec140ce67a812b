/* Event streams as gateways read them: places, looks at a stream's end, and entries.
 *
 * Redis 7 keeps with each stream how many entries were ever added to it (entries-added). XADD raises it. Trimming and
 * XDEL change neither it nor last-generated-id. DEL removes both, and a stream that is created again counts from 0.
 * So every reader finds the same count at a place, no matter what has been removed since, and the difference of two
 * places' counts is the number of entries that were added between them.
 */
#ifndef ROOKERY_GATEWAY_HUB_STREAM_H
#define ROOKERY_GATEWAY_HUB_STREAM_H

#include "core/event/outbox.h"
#include "core/store/redis/stream_id.h"

/* Behind the entry with this id, which need not be there any more; 0-0 is before the first. */
struct hub_place {
    int64_t epoch; /* of Redis; 0: no place is known */
    struct stream_id id;
    int64_t count; /* entries ever added with an id up to this */
};

/* Adds the command that asks for the end of a partition's stream. */
void hub_place_add_look(struct redis_batch *b, int partition);
/* Reads its reply into id and count. A stream that does not exist ends at 0-0, with a count of 0. Returns false on
 * any other error, or when this Redis does not count. */
bool hub_place_read_look(const struct redis_reply *reply, struct hub_place *p);

/* An entry of a partition's stream, and the place behind it. */
struct hub_heard {
    int partition;
    const struct hub_place *place;
    uint32_t interests; /* whom the event is for (core/event/events.h) */
    /* NULL, with no interests: not an event, or heard before (a replayed dead letter), or not wanted. */
    const Event *event;
    bool settled; /* republished, in an epoch that began after its first publication (core/event/epoch.h) */
};

/* Reads an entry's fields into interests, event (in the arena) and settled. What is marked as being for none of those
 * wanted is not decoded. Returns false when they are not an event. */
bool hub_entry_read(const struct redis_reply *fields, int64_t epoch, uint32_t wanted, struct arena *a,
                    struct hub_heard *out);

#endif
