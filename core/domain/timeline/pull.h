/* Pulled authors: audiences so big that posts are merged by who reads instead of being delivered.
 *
 * An author becomes pulled, for good, when the worker that divides one of their posts' audience counts more than
 * ROOKERY_PULL_AUDIENCE followers (in whole chunks). That is where the size is known anyway, and the only moment at
 * which it matters. The flag is in account_stats.pulled; author_pulled tells the gateways.
 *
 * Why every entry of theirs reaches every reader once, before, during and after the switch: each entry's event
 * says `pulled` or not, as the gateway that wrote it saw the author, and
 *   - not pulled: it is delivered to everybody, whatever the author has become since (workers/timeline/fanout.c, chunks.c:
 *     they look at the event's flag only). Readers find it on their lists, or in SQL below what these cover.
 *   - pulled: it is on nobody's list but the author's. A gateway that reads merges the author's *ring*
 *     (gateway/home/pulled.h), in which is what SQL had when it was loaded and every entry flagged `pulled` heard since
 *     the author was registered, which happens no later than hearing the first of them. An entry committed before
 *     that look at SQL is in it; one committed later is published later, and heard.
 * So an entry can be missed in neither way. It may be found in both (a ring also holds what had been delivered):
 * entries have ids, and a page drops duplicates. A gateway that writes without knowing yet that the author is
 * pulled writes entries of the first kind; one that knows, of the second; both kinds at once are no harm.
 */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_PULL_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_PULL_H

#include "core/domain/domain.h"

/* Idempotent. 0 when the flag is committed; publishing failed is the relay's to mend. */
int pull_author(struct fiber *self, struct domain *d, int64_t author_id, struct fault *fault);

#endif
