/* The first look of a home read: the viewer's tokens and the tail of the list, and keeping both while they stay as
 * they are.
 *
 * Keys that were read on the tails' own connection are watched by Redis (core/store/redis/redis.h, redis_open_tracking).
 * What was read is kept until Redis says that one of the three keys has changed. A read that finds it kept only waits
 * for a fence, which the reads of one turn share; if it is kept even then, it is what Redis would have answered:
 *   - Whatever was acknowledged to anybody before the read began was executed by Redis before the fence's PING, so
 *     word of it came before the answer, on the same connection, and removed what was kept.
 *   - A look stores what it read only if word of no change of that viewer's keys has come since it was sent; Redis
 *     watches from the moment it executed the look until it sends that word, so a later change is told too.
 *   - What was kept is of one connection, and of the same server process as the shared connection: after any loss of
 *     either it is not used. FLUSHALL, expiry and eviction are told like changes.
 * So promises about "the next read" hold as if every read asked Redis. Without that connection every read does, on
 * the shared one.
 *
 * A look that finds many entries behind the tail's last floor has one pushed, by a fiber of its own, so that the
 * looks to come find it (core/domain/timeline/list.h). When that fails, longer looks are needed, and nothing else.
 */
#ifndef ROOKERY_GATEWAY_HOME_TAIL_H
#define ROOKERY_GATEWAY_HOME_TAIL_H

#include "core/domain/timeline/list.h"
#include "gateway/cache/viewer.h"

struct home_tail {
    struct viewer_tokens tokens;
    struct timeline_part part;
    size_t asked; /* elements, for the part */
    bool list_missing;
};

struct home_tails *home_tails_new(struct gateway *g); /* NULL without memory */
void home_tails_free(struct fiber *self, struct home_tails *t);

/* The tokens and at least the last `asked` elements of the viewer's list in this epoch, in the fiber's arena. 0;
 * ERR_* when
 * Redis does not answer. */
int home_tail_look(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked,
                   struct home_tail *out);

#endif
