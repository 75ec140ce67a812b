/* Consumers: the names under which processes read as members of a group.
 *
 * What a consumer has read and not acknowledged is *pending*, and belongs to its name; a name with something
 * pending must never be deleted, or that is lost. So deleting is one atomic step with looking (consumers.c).
 */
#ifndef ROOKERY_WORKERS_RUNTIME_CONSUMERS_H
#define ROOKERY_WORKERS_RUNTIME_CONSUMERS_H

#include "workers/runtime/runtime.h"

/* This process reads no more for the role: what it has pending on any partition is made to look long forgotten,
 * so that others take it over at their next look; where nothing is pending its name is deleted. Returns how many
 * entries were handed back. Failing (Redis is away), others take them over after ROOKERY_RECLAIM_MS. */
int64_t consumers_leave(struct fiber *self, struct worker *w, const struct role *role);

/* Deletes the names that processes which crashed left behind: nothing pending, and silent for 20 times
 * ROOKERY_RECLAIM_MS. A live one may be among them, since to Redis 7.0 a lane that finds nothing is silent: it gets
 * its name again with the next entry. The relay's leader calls it. */
void consumers_sweep(struct fiber *self, struct worker *w);

#endif
