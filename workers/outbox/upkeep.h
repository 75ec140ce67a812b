/* Upkeep: partitions made ahead of time and dropped when nobody can want them any more; sessions that are over.
 * Story and proofs: upkeep.c. */
#ifndef ROOKERY_WORKERS_OUTBOX_UPKEEP_H
#define ROOKERY_WORKERS_OUTBOX_UPKEEP_H

#include "workers/runtime/runtime.h"

/* How far back a new Redis is told again at least; what some role has not processed by then is told too. */
#define RELAY_WINDOW_S 3600

/* Starts the fiber; it works while it leads. Goes with the relay. */
int upkeep_start(struct worker *w);

#endif
