/* Starts and stops the domain's context. */
#ifndef ROOKERY_CORE_PROCESS_CONNECT_H
#define ROOKERY_CORE_PROCESS_CONNECT_H

#include "core/domain/domain.h"

/* For main, which has set loop, config, log and metrics. Opens PostgreSQL and Redis under this name, waits for
 * PostgreSQL, and starts. Redis may come later; but a server that answers and is refused (core/store/pg/check.h,
 * core/store/redis/check.h) is an error. Returns 0, or ERR_* with a sentence. In either case undo it with
 * domain_disconnect, which gives statements in progress drain_ms. */
int domain_connect(struct fiber *self, struct domain *d, const char *application, struct fault *fault);
void domain_disconnect(struct fiber *self, struct domain *d);

/* Opens nothing: the members above the lease must be set already. Starts the outbox's marker fiber, the post batcher
 * and the epoch watcher. Returns 0, or ERR_* with a sentence. */
int domain_start(struct fiber *self, struct domain *d, struct fault *fault);
void domain_stop(struct fiber *self, struct domain *d);

#endif
