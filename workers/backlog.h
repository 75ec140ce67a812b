/* The backlog: what has been committed and has not had its effect yet. */
#ifndef ROOKERY_WORKERS_BACKLOG_H
#define ROOKERY_WORKERS_BACKLOG_H

#include "workers/runtime.h"

/* Waits until the events of everything that was committed before the call have had their effect on home timelines
 * (in the roles that feed them). 0; ERR_DEADLINE_EXCEEDED, with a sentence, when that takes longer than
 * limit_ms. */
int backlog_settle(struct fiber *self, struct domain *d, int64_t limit_ms, struct fault *fault);

#endif
