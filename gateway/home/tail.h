/* The first look of a home read: it fetches the viewer's tokens and the tail of the list, and keeps both while they
 * do not change.
 *
 * Redis watches the keys that were read on the tails' own connection (core/store/redis/redis.h, redis_open_tracking).
 * What was read is kept until Redis says that one of the three keys has changed. A read that finds it kept waits only
 * for a fence, which the reads of one turn share. If it is still kept then, it is what Redis would have answered:
 *   - Every change that was acknowledged before the read began was executed by Redis before the fence's PING. So the
 *     invalidation came before the answer, on the same connection, and removed what was kept.
 *   - A look stores what it read only if no invalidation of that viewer's keys has come since the look was sent.
 *     Redis watches from the moment it executes the look until it sends the invalidation, so a later change is
 *     announced too.
 *   - What was kept belongs to one connection, and to the same server process as the shared connection: after a loss
 *     of either connection it is not used. Redis announces FLUSHALL, expiry and eviction like changes.
 * So promises about "the next read" hold as if every read asked Redis. While that connection is lost, every read does
 * ask Redis, on the shared one.
 *
 * A look that finds many entries behind the tail's last floor starts a fiber that pushes a new floor, so that later
 * looks find it (core/domain/timeline/list.h). If that fails, later looks must read more elements; nothing else
 * happens.
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

struct home_tails *home_tails_new(struct gateway *g); /* NULL on allocation failure */
void home_tails_free(struct fiber *self, struct home_tails *t);

/* Finds the tokens and at least the last `asked` elements of the viewer's list in this epoch, in the fiber's arena.
 * Returns 0, or ERR_* when Redis does not answer. */
int home_tail_look(struct fiber *self, struct gateway *g, int64_t viewer_id, int64_t epoch, size_t asked,
                   struct home_tail *out);

#endif
