/* Consumers: the names under which processes read as members of a group.
 *
 * Entries that a consumer has read and not acknowledged are *pending*, and belong to its name. A name with pending
 * entries must never be deleted, or they are lost. So one atomic step looks and deletes (consumers.c).
 */
#ifndef ROOKERY_WORKERS_RUNTIME_CONSUMERS_H
#define ROOKERY_WORKERS_RUNTIME_CONSUMERS_H

#include "workers/runtime/runtime.h"

/* To be called when this process reads no more for the role. Hands back its pending entries on every partition: they
 * are marked as long idle, so that other lanes reclaim them at their next look. Where nothing is pending the name is
 * deleted. Returns the number of entries handed back. If this fails (Redis is unreachable), others reclaim the
 * entries after ROOKERY_RECLAIM_MS. */
int64_t consumers_leave(struct fiber *self, struct worker *w, const struct role *role);

/* Deletes the names that crashed processes left behind: those with nothing pending that have been silent for 20 times
 * ROOKERY_RECLAIM_MS. A live consumer may be among them, since for Redis 7.0 a lane that finds nothing is silent.
 * Such a lane gets its name back with the next entry. The relay's leader calls this. */
void consumers_sweep(struct fiber *self, struct worker *w);

#endif
