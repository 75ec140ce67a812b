/* Steps that are lost are told again. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_REQUEUE_H
#define ROOKERY_WORKERS_JOBS_ROLE_REQUEUE_H

#include "workers/runtime/runtime.h"

/* For every job and dataset for which nothing has been done for ROOKERY_JOB_STALL_S: what is to be done next goes on the
 * streams once more. The outbox covers crashes and a Redis that is replaced; this covers the rest: a Redis that was
 * emptied under the same process, messages an operator dropped. A step that only takes long may so be begun twice,
 * which changes nothing. The relay's leader calls it. */
void jobs_requeue_stalled(struct fiber *self, struct worker *w);

#endif
