/* Which calls run, and which wait for their turn. Pure: time is a parameter.
 *
 * A call belongs to a party: its account, or its network while nobody knows the account. As long as fewer calls than
 * the limit run, a call runs immediately. Above it, a party's call does so only while the party has fewer running than
 * its share, which is at least one; else it waits, and parties take turns in the places that become free. So a party
 * that asks for too much waits behind itself, and one with a call at a time does not notice the others.
 *
 * The limit follows the loop: when calls must wait long until it gets to them, fewer may run, but not fewer than
 * ADMISSION_LEAST; when it keeps up and the limit was reached, more may. Calls that wait for PostgreSQL do not delay
 * the loop. A call that has waited for ADMISSION_WAIT_MS gives up: by then the answer may be of no use. All together
 * never run more than twice the maximum.
 */
#ifndef ROOKERY_CORE_RPC_ADMISSION_H
#define ROOKERY_CORE_RPC_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/map.h"

#define ADMISSION_LEAST ((size_t)64)
#define ADMISSION_WAIT_MS 1000
#define ADMISSION_DELAY_MS 25 /* of calls that run, in the mean: above it the loop is behind */
#define ADMISSION_INTERVAL_MS 100

struct admission_party;

struct admission_call {
    struct list_node of_party, in_order; /* while it waits */
    struct admission_party *party;       /* NULL: neither runs nor waits */
    int64_t since_ns;
    bool waits;
};

struct admission {
    size_t max, least, limit;
    size_t running, waiting;
    size_t most_running;    /* of the interval */
    struct idmap parties;   /* -> struct admission_party */
    size_t active;          /* parties with calls that run or wait */
    struct list_node idle;  /* the others, the oldest first: who calls will call again */
    struct list_node turns; /* parties with calls that wait */
    struct list_node order; /* calls that wait, the oldest first */
    int64_t delays_ns, interval_ends_ns;
    int64_t n_delays;
};

void admission_init(struct admission *a, size_t max);
void admission_free(struct admission *a); /* no call is left */

/* Whether as many wait as may: then a call that could not run immediately is to be refused. */
bool admission_is_full(const struct admission *a, uint64_t party);
/* Returns true when the call runs from now on, false when it waits. */
bool admission_enter(struct admission *a, struct admission_call *c, uint64_t party, int64_t now_ns);
/* It has ended, or does not wait any more. Harmless for a call that does neither. */
void admission_leave(struct admission *a, struct admission_call *c);
/* The next one that waited and runs from now on; NULL when there is none. Call it after a call has left, until it is
 * NULL. */
struct admission_call *admission_next(struct admission *a);
/* One that has waited for too long, and has left; NULL when there is none. */
struct admission_call *admission_expired(struct admission *a, int64_t now_ns);
/* For how long a call that runs has waited for the loop to get to it. */
void admission_delayed(struct admission *a, int64_t delay_ns, int64_t now_ns);

#endif
