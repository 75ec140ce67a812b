/* One worker at a time does what only one need do: by a lease row, which runs out by itself. */
#ifndef ROOKERY_WORKERS_RUNTIME_LEADER_H
#define ROOKERY_WORKERS_RUNTIME_LEADER_H

#include "workers/runtime/runtime.h"

/* Is this process the leader of `name`, for lease_s from now on? Takes or renews the lease. A process that was
 * stopped in between may believe it for longer: what leaders do must bear two of them. */
bool leader_lead(struct fiber *self, struct worker *w, const char *name, int lease_s);

#endif
