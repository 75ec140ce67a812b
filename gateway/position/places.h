/* Where a gateway stands in the event streams, and the changes that it has heard.
 *
 * What the hub hears is numbered 1, 2, ... in the order in which it is heard; in each partition that is the order of
 * the stream. Two positions (a place in every partition) move along that sequence:
 *   heard   up to what the hub has heard
 *   told    up to what has been pushed to all subscribers that it concerns: what a token may cover
 *
 * The newest `capacity` are kept, each with its place and what it changes. So `told` can follow `heard` exactly; an
 * event that was published twice is recognised: its *first place* counts; and what was published behind a position is
 * found by walking chains from the newest change of an actor, or of one of the other kinds in change.h, to the
 * position.
 *
 * Lemma (nothing is missing unnoticed). `since` is the position behind which everything that was heard is kept. Let T
 * be a position in the same epoch with no count below that of `since`, and U = `heard` with no place before T's.
 * Everything in (T, U] is kept: the hub misses nothing without beginning again (gateway/hub/hub.h), and then `since` is
 * where it begins. What was on the streams before the hub first began is remembered from the newest entries, which are
 * without a gap, since only the oldest are trimmed (docs/promises.md). A change is on its chains as long as it is kept,
 * unless its event was met before, or is settled (core/event/epoch.h); in a chain of one partition places ascend, so a
 * walk from the newest may stop at the first that is at T or before it.
 */
#ifndef ROOKERY_GATEWAY_POSITION_PLACES_H
#define ROOKERY_GATEWAY_POSITION_PLACES_H

#include "core/async/loop.h"
#include "core/base/map.h"
#include "gateway/hub/stream.h"
#include "gateway/position/change.h"

struct place_heard {
    uint64_t number;      /* 0: not used yet */
    struct change change; /* of kind EVENT_UNKNOWN when no stream is told of it, or not again */
    int partition;
    struct hub_place place;
    struct {
        int64_t key;    /* 0: none */
        uint64_t older; /* the number of the next older change on the chain */
    } chain[CHANGE_CHAINS];
    struct ids concerns; /* what a kind of stream has found out about it: places_note */
};

struct live_places {
    size_t partitions, capacity;
    struct hub_place *heard, *told, *since;
    uint64_t n_heard, n_told; /* numbers */
    struct place_heard *kept; /* by number, modulo capacity */
    struct idmap first;       /* event id -> its place_heard */
    struct idmap newest;      /* chain -> the newest place_heard on it */
    size_t noted;             /* ids in all `concerns` */
};

/* bytes: about as many are used in the end. */
void places_init(struct live_places *p, size_t partitions, size_t bytes);
void places_free(struct live_places *p);

/* The hub has heard an entry, which makes this change. Returns false when streams need not be told of it: the kind is
 * EVENT_UNKNOWN, or the event was met before. */
bool places_hear(struct live_places *p, int partition, const struct hub_place *place,
                 const struct change *change);
/* The same for what was published before hearing began: `heard` stays where it is. Older ones first; then comes
 * places_begin. */
void places_remember(struct live_places *p, int partition, const struct hub_place *place,
                     const struct change *change);
/* The hub begins, or begins again, at this place. */
void places_begin(struct live_places *p, int partition, const struct hub_place *place);

/* Notes that everything up to this number has been told. Does nothing when that has been noted. */
void places_tell(struct live_places *p, uint64_t number);
/* told = heard: nothing that was heard so far is going to be told. */
void places_skip(struct live_places *p);
/* Returns true while one more can be heard without dropping what has not been told. */
bool places_have_room(const struct live_places *p);

/* Returns the epoch that all these places are in; 0 when they are not in the same. */
int64_t places_epoch(const struct hub_place *places, size_t partitions);

/* ---- what was missed ----------------------------------------------------------------------------------- */

/* Waits until everything up to this position has been heard here, too; usually it has. Returns false when it will
 * not: the position is of another epoch, or events do not arrive. May suspend. */
bool places_wait_heard(struct fiber *self, const struct live_places *p, const struct hub_place *position);
/* Returns true when everything behind this position, which has been heard, is kept. */
bool places_reach(const struct live_places *p, const struct hub_place *position);
/* Calls take for each change on the chain that is behind the position, newest first. Returns 0, or what take does
 * when that is not 0. */
typedef int places_fn(void *context, const struct place_heard *heard);
int places_walk(const struct live_places *p, int64_t chain, const struct hub_place *position, places_fn *take,
                void *context);

/* The change with this number; NULL when it is not kept any more. */
const struct place_heard *places_at(const struct live_places *p, uint64_t number);
/* Keeps ids with the change of this number, if there is room. */
void places_note(struct live_places *p, uint64_t number, const struct ids *concerns);

#endif
