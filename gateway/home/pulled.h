/* Pulled authors: audiences so big that their posts are not delivered but merged by the readers.
 *
 * The gateway keeps the newest HOME_LENGTH entries of each pulled author it has been asked for, from SQL, and
 * appends what the hub hears. Loading and hearing overlap safely: the ring is registered first (from then on
 * events are appended), SQL is read after that, and the two are merged without duplicates. Deleted posts are
 * filtered when posts are looked up. When the hub has it forget, the rings and the set are dropped; both are loaded again when
 * needed.
 *
 * An author is pulled once account_stats.pulled is set (who sets it, and why nothing is lost at the switch, is in
 * core/domain/timeline/pull.h); the flag travels with each of the author's events, so
 * a gateway learns of it no later than of the first post that was not delivered.
 *
 * Should an event be lost, what is missing here is missing for 30 s at most: who is pulled, and each ring that is read, are
 * loaded again when SQL was asked that long ago. Rings are merged with what they hold, as at first.
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
/* May there be pulled authors at all? */
bool pulled_any(const struct gateway *g);

/* Appends the entries of the viewer's pulled sources with lowest < id < before to out (unsorted). *lowest is
 * raised to where the rings are complete. May suspend to load the set or a ring. */
int pulled_collect(struct fiber *self, struct gateway *g, const struct relations *r, int64_t before,
                   int64_t *lowest, struct ids *out, struct fault *fault);

#endif
