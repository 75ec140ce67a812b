/* Places for expensive work, given to callers in turns: who asks for much waits behind themselves, not in front of
 * others.
 *
 * Waiting fibers stand in queues by key (a network). A place that becomes free goes to the next key in turn, and of
 * its fibers to the newest: when a flood cannot be served in time, a newest-first queue serves some of it in time, and
 * a first-come one serves all of it too late. When a queue, or all of them together, are full, the oldest fiber of the
 * longest gives up its wait.
 */
#ifndef ROOKERY_CORE_LIMIT_FAIR_H
#define ROOKERY_CORE_LIMIT_FAIR_H

#include "core/async/loop.h"
#include "core/base/list.h"
#include "core/base/map.h"

struct fair {
    struct idmap queues;    /* by key; none is empty */
    struct list_node turns; /* of the queues; the next first */
    size_t free, waiting;
    size_t max_waiting, max_of_key;
};

/* places: how many work at a time. */
void fair_init(struct fair *f, size_t places, size_t max_waiting, size_t max_of_key);
void fair_free(struct fair *f); /* nobody waits */

/* Waits for a place. Returns 0: fair_leave must follow. Else the fiber's interrupt, or ERR_OVERLOADED when others
 * waited that had to be preferred. */
int fair_enter(struct fiber *self, struct fair *f, uint64_t key);
void fair_leave(struct fair *f);

#endif
