/* Pulled authors: their audiences are so large that posts are not delivered but merged when somebody reads.
 *
 * For each pulled author that a reader needed, the gateway keeps a ring of the newest HOME_LENGTH entries, from SQL,
 * and appends those that the hub hears. Loading and hearing may overlap: the ring is registered first (from then on
 * events are appended), SQL is read after that, and the two are merged without duplicates. Deleted posts are filtered
 * out when posts are looked up. When the hub says forget, the rings and the set of pulled authors are dropped; both
 * are loaded again when needed.
 *
 * An author is pulled once account_stats.pulled is set (core/domain/timeline/pull.h says which role sets it, and why
 * nothing is lost at the switch). The flag travels with each of the author's events, so a gateway learns of it no
 * later than of the first post that was not delivered.
 *
 * If an event is lost, an entry is missing here for 30 s at most: the set of pulled authors, and each ring that is
 * read, are loaded again when SQL was asked that long ago. A ring that is loaded again is merged with what it holds,
 * as at first.
 */
#ifndef ROOKERY_GATEWAY_HOME_PULLED_H
#define ROOKERY_GATEWAY_HOME_PULLED_H

#include "core/domain/graph/relations.h"
#include "core/event/outbox.h"
#include "gateway/gateway.h"

struct pulled;

struct pulled *pulled_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void pulled_free(struct pulled *p);
bool pulled_is(const struct pulled *p, int64_t author_id);
/* Returns false when there can be no pulled author. */
bool pulled_any(const struct gateway *g);

/* Appends the entries of the pulled authors that the viewer follows, with *lowest < id < before, to out (unsorted).
 * Raises *lowest to the id above which the rings are complete. May suspend to load the set or a ring. */
int pulled_collect(struct fiber *self, struct gateway *g, const struct relations *r, int64_t before,
                   int64_t *lowest, struct ids *out, struct fault *fault);

#endif
