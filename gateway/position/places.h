/* Where a gateway's live feeds stand in the event streams, and which events they have met.
 *
 * Events are numbered 1, 2, ... in the order in which the hub hears them; in each partition that is the order of the
 * stream. Two positions (a place in every partition) move along that sequence:
 *   heard   up to what the hub has heard
 *   told    up to what has been pushed to all whom it concerns: what a token may cover
 *
 * The newest PLACES_KEPT events are remembered, each with its place and its id, so that `told` can follow `heard`
 * exactly, and so that an event that was published twice is recognised: its *first place* counts.
 */
#ifndef ROOKERY_GATEWAY_POSITION_PLACES_H
#define ROOKERY_GATEWAY_POSITION_PLACES_H

#include "core/base/map.h"
#include "gateway/hub/stream.h"

/* 3 MiB: on most systems more events than the minute for which streams are kept. */
#define PLACES_KEPT 65536

struct place_heard {
    int64_t event_id; /* 0 when this is not its first place, or the event need not be recognised */
    int partition;
    struct hub_place place;
};

struct live_places {
    size_t partitions;
    struct hub_place *heard, *told;
    uint64_t n_heard, n_told; /* numbers */
    struct place_heard *kept; /* by number, modulo PLACES_KEPT */
    struct idmap first;       /* event id -> its place_heard */
};

void places_init(struct live_places *p, size_t partitions);
void places_free(struct live_places *p);

/* Notes that an event was heard at this place; event_id 0: an entry that need not be recognised. Returns false when
 * the event was met before. */
bool places_hear(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id);
/* The same for an event that was published before hearing began: `heard` stays where it is. Older ones first. */
void places_remember(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id);
/* Returns true unless the event is known to have been met at an earlier place. */
bool places_is_first(const struct live_places *p, int64_t event_id, const struct hub_place *place);

/* Notes that everything up to this number has been told. Does nothing when that is PLACES_KEPT behind. */
void places_tell(struct live_places *p, uint64_t number);
/* told = heard: nothing that was heard so far is going to be told. */
void places_skip(struct live_places *p);

/* Returns the epoch that all these places are in; 0 when they are not in the same. */
int64_t places_epoch(const struct hub_place *places, size_t partitions);

#endif
