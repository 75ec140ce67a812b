/* Snowflake ids. */
#include "core/id/snowflake.h"

#include <assert.h>

enum {
    NODE_BITS = 10,
    SEQUENCE_BITS = 12,
    SEQUENCES = 1 << SEQUENCE_BITS,
    AHEAD_MAX_MS = 1000, /* how far ids may run ahead of the clock */
};
#define MS_MAX ((INT64_C(1) << 41) - 1)

void snowflake_init(struct snowflake *s, int node, int64_t lease_until_ms) {
    assert(node >= 0 && node < SNOWFLAKE_NODES);
    *s = (struct snowflake){.node = node, .lease_until_ms = lease_until_ms};
}

int64_t snowflake_next(struct snowflake *s, int64_t now_ms) {
    int64_t now = now_ms - SNOWFLAKE_EPOCH_MS;
    int64_t ms = s->last_ms;
    int sequence = s->sequence;
    if (now > ms) {
        ms = now;
        sequence = 0;
    } else if (sequence == SEQUENCES) {
        ms++;
        sequence = 0;
    }
    if (ms <= 0 || ms > MS_MAX || ms - now > AHEAD_MAX_MS) return 0;
    /* The time in the id counts too: a borrowed millisecond may belong to the node's next holder. */
    int64_t lease_end = s->lease_until_ms - SNOWFLAKE_EPOCH_MS;
    if (now >= lease_end || ms >= lease_end) return 0;
    s->last_ms = ms;
    s->sequence = sequence + 1;
    return ms << (NODE_BITS + SEQUENCE_BITS) | (int64_t)s->node << SEQUENCE_BITS | sequence;
}

int64_t snowflake_last_ms(const struct snowflake *s) {
    return s->last_ms + SNOWFLAKE_EPOCH_MS;
}

int64_t snowflake_time_ms(int64_t id) {
    return (id >> (NODE_BITS + SEQUENCE_BITS)) + SNOWFLAKE_EPOCH_MS;
}

int64_t snowflake_floor(int64_t ms) {
    ms -= SNOWFLAKE_EPOCH_MS;
    if (ms <= 0) return 0;
    if (ms > MS_MAX) ms = MS_MAX;
    return ms << (NODE_BITS + SEQUENCE_BITS);
}
