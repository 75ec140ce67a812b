/* Leadership: work that only one worker needs to do is done by the one that holds a lease row, which expires by
 * itself. */
#ifndef ROOKERY_WORKERS_RUNTIME_LEADER_H
#define ROOKERY_WORKERS_RUNTIME_LEADER_H

#include "workers/runtime/runtime.h"

/* Takes or renews the lease of `name`. Returns true when this process is the leader for lease_s from now on. A
 * process that was stopped meanwhile may take itself for the leader for longer, so the work of leaders must tolerate
 * two of them. May suspend. */
bool leader_lead(struct fiber *self, struct worker *w, const char *name, int lease_s);

#endif
