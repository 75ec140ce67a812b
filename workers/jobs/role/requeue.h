/* Requeues lost steps of jobs. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_REQUEUE_H
#define ROOKERY_WORKERS_JOBS_ROLE_REQUEUE_H

#include "workers/runtime/runtime.h"

/* Finds jobs and datasets that have made no progress for ROOKERY_JOB_STALL_S, and puts their next steps on the
 * streams again. The outbox covers crashes, and a Redis that is replaced. This covers the rest: a Redis that was
 * emptied under the same process, and messages that an operator dropped. A step that merely takes long may be begun
 * twice because of this, which changes nothing. The relay's leader calls this. */
void jobs_requeue_stalled(struct fiber *self, struct worker *w);

#endif
