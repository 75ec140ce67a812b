/* Leased node numbers for snowflake ids.
 *
 * Table node_leases(node, holder, expires_at). At start a process takes the lowest node whose lease has run
 * out (FOR UPDATE SKIP LOCKED) for 60 s and renews it every 15 s from a fiber of its own. If renewal fails
 * until the lease has run out, ids stop (snowflake_next gives 0: calls answer UNAVAILABLE) until a lease is
 * held again, which may be another node. A process that is killed leaves its node to the next after at most
 * 60 s; a graceful stop returns it. Lease time is the database's clock; the holder counts from before it
 * asked, so it always stops earlier.
 */
#ifndef ROOKERY_CORE_STORE_LEASE_H
#define ROOKERY_CORE_STORE_LEASE_H

#include "core/base/snowflake.h"
#include "core/store/pg.h"

struct lease;

/* Takes a lease (waits for the database within the fiber's deadline) and keeps it. 0 and *out, or ERR_*. */
int lease_start(struct fiber *self, struct pg *pg, struct log *log, struct lease **out);
/* Returns the node; ids stop. */
void lease_stop(struct fiber *self, struct lease *l);
/* The next id, or 0: see above. */
int64_t lease_next_id(struct lease *l);
int lease_node(const struct lease *l);

#endif
