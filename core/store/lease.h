/* Leased node numbers for snowflake ids.
 *
 * Table node_leases(node, holder, expires_at). At start a process takes the lowest node whose lease ran out
 * at least 12 s ago (FOR UPDATE SKIP LOCKED), for 60 s, and renews it every 15 s from a fiber of its own. If
 * renewal fails until the lease has run out, ids stop (lease_next_id gives 0: calls answer UNAVAILABLE) until
 * a lease is held again, which may be on another node. A process that is killed leaves its node to the next
 * after at most 72 s; a graceful stop after 12 s.
 *
 * Why two holders of a node never make the same id: lease time is the database's clock, and the holder counts
 * its 60 s from before it asked, on its monotonic clock and on its wall clock, whichever ends first. A holder
 * whose wall clock is more than 5 s from the database's is not given a lease, and does not renew it; so two
 * wall clocks differ by at most 10 s (2 s more for drift and the way there and back), and no id of the first
 * holder carries a time that the second, 12 s later, could still meet.
 */
#ifndef ROOKERY_CORE_STORE_LEASE_H
#define ROOKERY_CORE_STORE_LEASE_H

#include "core/base/snowflake.h"
#include "core/store/pg.h"

struct lease;

/* Takes a lease (waits for the database, and for a free node, within the fiber's deadline) and keeps it. 0
 * and *out, or ERR_*: the database's, RESOURCE_EXHAUSTED when no node is free, FAILED_PRECONDITION when the
 * clock is wrong. */
int lease_start(struct fiber *self, struct pg *pg, struct log *log, struct lease **out);
/* Returns the node; ids stop. */
void lease_stop(struct fiber *self, struct lease *l);
/* The next id, or 0: see above. */
int64_t lease_next_id(struct lease *l);
int lease_node(const struct lease *l); /* -1 while it has none */

/* The times above; tests shorten them. */
struct lease_times {
    int64_t ttl_ms, renew_ms, grace_ms, max_skew_ms;
};
int lease_start_with(struct fiber *self, struct pg *pg, struct log *log, const struct lease_times *times,
                     struct lease **out);

#endif
