/* Upkeep: creates partitions ahead of time, drops those that are no longer needed, and deletes sessions that are
 * over. The story and the proofs are in upkeep.c. */
#ifndef ROOKERY_WORKERS_OUTBOX_UPKEEP_H
#define ROOKERY_WORKERS_OUTBOX_UPKEEP_H

#include "workers/runtime/runtime.h"

/* The window: events of so many seconds are republished to a new Redis; and so are older ones that some role has not
 * processed. */
#define RELAY_WINDOW_S 3600

/* Starts the fiber, which works while this process leads. Workers that run the relay call it. */
int upkeep_start(struct worker *w);

#endif
