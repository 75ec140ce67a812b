/* Snowflake ids: 63 bits = 41 bits of milliseconds since 2024-01-01T00:00:00Z, 10 bits of node, 12 bits of
 * sequence. So id order is time order, to the millisecond and the clock skew of the nodes.
 *
 * Node numbers are leased (core/store/pg/lease.h): a generator whose lease has run out makes no ids. When the clock
 * steps back, ids do not: the generator stays in the last millisecond until time has caught up. When the sequence of
 * a millisecond is used up, it borrows the next one (up to 1 s ahead).
 */
#ifndef ROOKERY_CORE_ID_SNOWFLAKE_H
#define ROOKERY_CORE_ID_SNOWFLAKE_H

#include <stdint.h>

#define SNOWFLAKE_EPOCH_MS INT64_C(1704067200000)
#define SNOWFLAKE_NODES 1024

struct snowflake {
    int node;               /* 0..1023 */
    int64_t last_ms;        /* since the snowflake epoch */
    int sequence;           /* of the next id in last_ms */
    int64_t lease_until_ms; /* no id is made at or after it, or carries such a time */
};

void snowflake_init(struct snowflake *s, int node, int64_t lease_until_ms);
/* Returns the next id (> 0), or 0 when the lease has run out or the clock is more than 1 s behind: the caller answers
 * UNAVAILABLE. */
int64_t snowflake_next(struct snowflake *s, int64_t now_ms);
/* The time of the last id made, Unix ms; that of the snowflake epoch when none was made. */
int64_t snowflake_last_ms(const struct snowflake *s);

int64_t snowflake_time_ms(int64_t id); /* when it was made, Unix ms */
int64_t snowflake_floor(int64_t ms);   /* the smallest id of that millisecond (0 before the epoch) */

#endif
