/* Trimming of event streams by the slowest consumer group, never blindly. */
#ifndef ROOKERY_WORKERS_TRIM_H
#define ROOKERY_WORKERS_TRIM_H

#include "workers/runtime.h"

/* Trims every stream's partitions to what some role of it still needs, and to the last minute at least
 * (gateways' hubs read without a group). Does nothing to a stream on which one of the roles' groups does not
 * exist yet. The relay's leader calls it. */
void trim_streams(struct fiber *self, struct worker *w);

#endif
