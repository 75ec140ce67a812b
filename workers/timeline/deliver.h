/* Delivering entries to home timelines. What a delivery owes to readers is in core/domain/timeline/list.h.
 *
 * A *round* is a number of entries and the recipients of each. It is grouped by recipient, so that a timeline gets
 * one RPUSHX with all its ids, oldest first. It is sent in pieces, between which other fibers get their turn. The
 * more entries a round holds, the fewer commands a delivery costs. The story is in deliver.c.
 *
 *   r = round_open(deliverer);
 *   for each entry: round_entry(r, id); round_deliver(r, followers, n);
 *   e = round_send(self, r, epoch, pace);
 *   round_close(r);
 */
#ifndef ROOKERY_WORKERS_TIMELINE_DELIVER_H
#define ROOKERY_WORKERS_TIMELINE_DELIVER_H

#include "core/domain/domain.h"

struct deliverer;
struct round;

/* Returns NULL on allocation failure. d is borrowed. */
struct deliverer *deliverer_new(struct domain *d);
void deliverer_free(struct deliverer *d); /* no round may be open */

/* Any number of rounds may be open at the same time, one for each lane. */
struct round *round_open(struct deliverer *d);
void round_close(struct round *r);

/* The recipients of the next round_deliver calls get this entry. Entry ids must ascend and be unique. */
void round_entry(struct round *r, int64_t entry_id);
/* Account ids, above 0. A recipient that is named twice for an entry gets it twice. */
void round_deliver(struct round *r, const int64_t *recipients, size_t n);

/* A round with this many deliveries (about 40 MB) should be sent before more are added. */
#define ROUND_FULL ((size_t)2 * 1024 * 1024)
size_t round_deliveries(const struct round *r);

/* The load on Redis: commands in a piece, and how many pieces (1 or 2) may be under way concurrently. */
struct pace {
    size_t commands;
    size_t under_way;
};

/* Delivers everything to the timelines of this epoch and empties the round. Returns 0, or ERR_*: then some of it may
 * have been delivered, and all of it must be delivered again. ERR_ABORTED: in another epoch (epoch_send). */
int round_send(struct fiber *self, struct round *r, int64_t epoch, const struct pace *pace);

#endif
