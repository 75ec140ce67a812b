/* Snowflake ids: 63 bits = 41 bits of milliseconds since 2024-01-01T00:00:00Z, 10 bits of node, 12 bits of
 * sequence. So id order is time order, to the millisecond and the clock skew of the nodes.
 *
 * Node numbers are leased (store/lease.h): a generator whose lease has run out hands out nothing. A clock
 * that steps back does not make ids step back: the last millisecond is used on until time has caught up; when
 * the sequence of a millisecond is spent, the next one is borrowed (up to 1 s ahead).
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
    int64_t lease_until_ms; /* no id is made at or after it, nor carries such a time */
};

void snowflake_init(struct snowflake *s, int node, int64_t lease_until_ms);
/* The next id (> 0), or 0 when the lease has run out or the clock is more than 1 s behind: answer
 * UNAVAILABLE. */
int64_t snowflake_next(struct snowflake *s, int64_t now_ms);
/* The time of the last id made, Unix ms; the epoch's when there was none. */
int64_t snowflake_last_ms(const struct snowflake *s);

int64_t snowflake_time_ms(int64_t id); /* of its making, Unix ms */
int64_t snowflake_floor(int64_t ms);   /* the smallest id of that millisecond (0 before the epoch) */

#endif
