/* Trimming of event streams by the slowest consumer group, never blindly. */
#ifndef ROOKERY_WORKERS_RUNTIME_TRIM_H
#define ROOKERY_WORKERS_RUNTIME_TRIM_H

#include "workers/runtime/runtime.h"

/* Trims every stream's partitions to what some group on it still needs, and keeps at least the last minute (gateways'
 * hubs read without a group). Does nothing to a stream on which the group of one of its roles does not exist yet. A
 * group that is not a role of this program counts too (a newer worker's); the first one is logged as a warning. The
 * relay's leader calls this. */
void trim_streams(struct fiber *self, struct worker *w);

#endif
