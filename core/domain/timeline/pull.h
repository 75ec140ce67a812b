/* Pulled authors: their audiences are so big that readers merge their posts, instead of workers delivering them.
 *
 * An author becomes pulled, permanently, when the worker that divides the audience of one of their posts counts more
 * than ROOKERY_PULL_AUDIENCE followers (in whole chunks). There the size is known anyway, and only then does it
 * matter. The flag is in account_stats.pulled; author_pulled tells the gateways.
 *
 * Why every entry of theirs reaches every reader once, before, during and after the switch: each entry's event
 * says `pulled` or not, as the gateway that wrote it saw the author, and
 *   - not pulled: it is delivered to all followers, even if the author has become pulled since
 *     (workers/timeline/fanout.c, chunks.c: they look only at the event's flag). Readers find it on their lists, or
 *     in SQL below what these cover.
 *   - pulled: it is on no list but the author's. A gateway that reads merges the author's *ring*
 *     (gateway/home/pulled.h). The ring has what SQL had when it was loaded, and every entry flagged `pulled` that
 *     the gateway has heard of since the author was registered there, which happens no later than it hears of the
 *     first of them. An entry committed before that look at SQL is in it; one committed later is published later, and
 *     heard.
 * So no entry is missed in either way. It may be found in both (a ring also holds what had been delivered): entries
 * have ids, and a page drops duplicates. A gateway that does not know yet that the author is pulled writes entries of
 * the first kind; one that knows writes entries of the second. Both kinds concurrently do no harm.
 */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_PULL_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_PULL_H

#include "core/domain/domain.h"

/* Idempotent. Returns 0 when the flag is committed; if publishing the event fails, the relay publishes it. */
int pull_author(struct fiber *self, struct domain *d, int64_t author_id, struct fault *fault);

#endif
