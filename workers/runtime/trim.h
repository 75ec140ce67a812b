/* Trimming of event streams by the slowest consumer group, never blindly. */
#ifndef ROOKERY_WORKERS_RUNTIME_TRIM_H
#define ROOKERY_WORKERS_RUNTIME_TRIM_H

#include "workers/runtime/runtime.h"

/* Trims every stream's partitions to what some group on it still needs, and to the last minute at least
 * (gateways' hubs read without a group). Does nothing to a stream on which one of the roles' groups does not
 * exist yet. A group that is no role of this program counts as well (a newer worker's); the log has a warning of the first
 * one. The relay's leader calls it. */
void trim_streams(struct fiber *self, struct worker *w);

#endif
