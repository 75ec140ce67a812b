/* Leased node numbers for snowflake ids.
 *
 * Table node_leases(node, holder, expires_at). At start a process takes the lowest node whose lease ran out at least
 * 12 s ago (FOR UPDATE SKIP LOCKED), for 60 s, and renews it every 15 s from a fiber of its own. If renewal fails
 * until the lease has run out, ids stop (lease_next_id returns 0: calls answer UNAVAILABLE) until the process holds a
 * lease again, maybe of another node. The node of a process that was killed can be taken again after at most 72 s;
 * after a graceful stop, after 12 s.
 *
 * The time of ids is the database's. Each renewal tells it, to half of what the round trip took (a second at most),
 * and the monotonic clock counts on from there (struct followed_clock). The wall clock of this machine is not used,
 * so a step of it cannot show in an id, nor in anything else that is compared with one (lease_now_ms).
 *
 * Why two holders of a node never make the same id: the times of a holder's ids are below expires_at, which each
 * renewal sets ahead of the holder's own time and which never goes back; a node is taken only when the database's
 * time is 12 s beyond that, and the new holder's time is the database's, to half a second. If the database's clock is
 * set back, a node is taken later; if it jumps ahead, ids jump ahead with it.
 *
 * Assumed: monotonic clocks run at the same rate as the database's to 1 in 100 (a lease is at most 60 s old).
 */
#ifndef ROOKERY_CORE_STORE_PG_LEASE_H
#define ROOKERY_CORE_STORE_PG_LEASE_H

#include "core/id/snowflake.h"
#include "core/store/pg/pg.h"

struct lease;

/* Takes a lease (waits for the database, and for a free node, within the fiber's deadline) and keeps it. Returns 0
 * and *out, an error of the database's, or RESOURCE_EXHAUSTED when no node is free. */
int lease_start(struct fiber *self, struct pg *pg, struct log *log, struct lease **out);
/* Gives the node back; ids stop. */
void lease_stop(struct fiber *self, struct lease *l);
/* The next id, or 0: see above. */
int64_t lease_next_id(struct lease *l);
int lease_node(const struct lease *l); /* -1 while it has none */
/* The time that ids have, Unix ms: use it for all that is compared with ids, or with other machines' times. */
int64_t lease_now_ms(const struct lease *l);

/* The times above; tests shorten them. */
struct lease_times {
    int64_t ttl_ms, renew_ms, grace_ms;
};
int lease_start_with(struct fiber *self, struct pg *pg, struct log *log, const struct lease_times *times,
                     struct lease **out);

#endif
