/* Epochs: a Redis that lost data must not be believed (design 6.4).
 *
 * Home timelines belong to an epoch, which is part of their key. Each server process that Redis has been has
 * its row in redis_epochs, by run_id; the first process to meet a new run_id opens the next epoch. So after
 * any restart of Redis, whether it came back empty, older or complete, timelines start from nothing and are
 * rebuilt from SQL at their next read; the relay's leader publishes the outbox window again for the other
 * consumers.
 *
 * A process learns its epoch at start and at every reconnection; between losing the connection and knowing
 * the epoch, epoch_now() is 0 and timelines are read from SQL and not delivered (workers wait).
 *
 * A batch that was built for epoch E may wait for a new connection and run on another server, where its keys
 * mean nothing. So whoever writes timelines checks, when the replies are there, that epoch_now() still is the
 * epoch the batch was built for, and does it again if not.
 *
 * Of the events that are told again, most need no delivery. An outbox row whose published_at is before the epoch's
 * opened_at is *settled* in that epoch and all later ones:
 *   - it was published after its commit, and marked by a statement that began after that: commit < published_at;
 *   - nobody knows an epoch, so nobody builds a list of it, before the statement that opened it has committed; a list
 *     is built from a snapshot taken later still: opened_at < snapshot.
 * Both times are when a statement began, by PostgreSQL's own clock; neither ids nor other clocks take part, nor does
 * it matter how long a transaction may take. So the snapshot of every list has the entry: it is on the list, or below
 * its floor, and a delivery would add nothing. (A reader's bound holds too: a settled entry is older than the opening,
 * so no prompt delivery of the epoch puts the bound below it; see timeline_list.h.) Should PostgreSQL's clock step
 * back, or its successor's be behind, that is made good for up to EPOCH_SLACK_S: what was published in the last
 * seconds before the opening counts as not settled, and is delivered.
 */
#ifndef ROOKERY_CORE_DOMAIN_EPOCH_H
#define ROOKERY_CORE_DOMAIN_EPOCH_H

#include "core/domain/domain.h"

/* How far PostgreSQL's clock may step back just when an epoch opens. */
#define EPOCH_SLACK_S 10

/* Starts the watcher fiber, which keeps what epoch_now returns true. */
int epoch_watch_start(struct domain *d);
void epoch_watch_stop(struct fiber *self, struct domain *d);
/* The epoch the current Redis connection belongs to, or 0 when it is not known (yet). The check is local and
 * cheap: call it before every use of timelines. */
int64_t epoch_now(const struct domain *d);
/* Waits until it is known, a second at most. 0, or ERR_UNAVAILABLE, ERR_DEADLINE_EXCEEDED, ERR_CANCELLED. */
int epoch_wait(struct fiber *self, struct domain *d, int64_t *epoch);

#endif
