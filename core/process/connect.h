/* The domain's context, from nothing to running and back. */
#ifndef ROOKERY_CORE_PROCESS_CONNECT_H
#define ROOKERY_CORE_PROCESS_CONNECT_H

#include "core/domain/domain.h"

/* For main, which has set loop, config, log and metrics: opens PostgreSQL and Redis under this name, waits for PostgreSQL
 * (Redis may come later; but a server that is there and refused, core/store/pg/check.h, core/store/redis/check.h, is an error), and starts. 0, or
 * ERR_* with a sentence; undo with domain_disconnect in either case, which gives
 * statements under way drain_ms. */
int domain_connect(struct fiber *self, struct domain *d, const char *application, struct fault *fault);
void domain_disconnect(struct fiber *self, struct domain *d);

/* Opens nothing itself: the members above the lease are there already; this starts the outbox's marker fiber,
 * the post batcher and the epoch watcher. 0, or ERR_* with a sentence. */
int domain_start(struct fiber *self, struct domain *d, struct fault *fault);
void domain_stop(struct fiber *self, struct domain *d);

#endif
