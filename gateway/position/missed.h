/* What was published between two positions, read from the event streams.
 *
 * Lemma (nothing is missing unnoticed). Let (T, U] be what was published behind the position T and up to U, both of
 * one epoch. Between two places of a partition as many entries were added as their counts differ
 * (gateway/hub/stream.h). A read asks for exactly these; an entry that was trimmed or deleted shows in their number.
 * They are those of one Redis: the epoch is the positions' before and after each page.
 */
#ifndef ROOKERY_GATEWAY_POSITION_MISSED_H
#define ROOKERY_GATEWAY_POSITION_MISSED_H

#include "core/domain/domain.h"
#include "gateway/position/places.h"

/* Most entries that are read; for more, it costs less that the client reads again. */
#define MISSED_READ_MAX 20000

/* Takes an event. Returns 0, or an error that ends the reading. The event is valid during the call. May not suspend. */
typedef int missed_fn(void *context, int partition, const struct hub_place *place, const Event *event);

/* Waits until this gateway, too, has heard everything up to this position; usually it has. Returns false when it will
 * not: the position is of another epoch, or events do not arrive. */
bool missed_wait_heard(struct fiber *self, const struct live_places *p, const struct hub_place *position);

/* Calls take for each event in (from, until], of each partition in order. Passes over those that were met before, and
 * over those that are settled (core/event/epoch.h). Returns 0; ERR_ABORTED when they are not all there, are more
 * than MISSED_READ_MAX, or Redis does not answer; take's error; or the fiber's interrupt. */
int missed_read(struct fiber *self, struct domain *d, const struct live_places *p,
                const struct hub_place *from, const struct hub_place *until, missed_fn *take, void *context);

#endif
