/* Where a gateway's live feeds stand in the event streams, and which events they have met.
 *
 * What the hub hears is numbered 1, 2, ... in the order in which it is heard; in each partition that is the order of the
 * stream. Three positions (a place in every partition) move along that sequence:
 *   heard   up to what the hub has heard
 *   told    up to what has been pushed to everybody whom it concerns: what a token may claim
 *   reset   heard, when everybody was last to be told to read again
 *
 * The newest PLACES_KEPT of what was heard are remembered, each with its place and with the id of its event, so that `told`
 * can follow `heard` exactly, and so that an event that was published twice is recognised: its *first place* counts.
 */
#ifndef ROOKERY_GATEWAY_LIVE_PLACES_H
#define ROOKERY_GATEWAY_LIVE_PLACES_H

#include "core/base/map.h"
#include "gateway/hub/stream.h"

/* 3 MiB: more than the minute for which streams are kept, on most systems. */
#define PLACES_KEPT 65536

struct place_heard {
    int64_t event_id; /* 0 when this is not its first place, or nobody asks for it */
    int partition;
    struct hub_place place;
};

struct live_places {
    size_t partitions;
    struct hub_place *heard, *told, *reset;
    uint64_t n_heard, n_told, n_reset; /* numbers */
    struct place_heard *kept;          /* by number, modulo PLACES_KEPT */
    struct idmap first;                /* event id -> its place_heard */
};

void places_init(struct live_places *p, size_t partitions);
void places_free(struct live_places *p);

/* Something was heard at this place; event_id 0: nothing that anybody would know again. Returns false when the event was met
 * before. */
bool places_hear(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id);
/* The same for what was published before hearing began: `heard` stays where it is. Older ones first. */
void places_remember(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id);
/* Is there no other, earlier place at which this event was met? True when it is not known. */
bool places_is_first(const struct live_places *p, int64_t event_id, const struct hub_place *place);

/* Everything up to this number has been told. Not when that lies PLACES_KEPT behind. */
void places_tell(struct live_places *p, uint64_t number);
void places_note_reset(struct live_places *p); /* reset = heard */
void places_tell_reset(struct live_places *p); /* told = reset */

/* The epoch that all these places are in; 0 when they are not in the same. */
int64_t places_epoch(const struct hub_place *places, size_t partitions);

#endif
