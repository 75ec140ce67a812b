/* Ids of entries in Redis Streams, and values in flat replies, as XINFO and entries have them. */
#ifndef ROOKERY_CORE_STORE_REDIS_STREAM_ID_H
#define ROOKERY_CORE_STORE_REDIS_STREAM_ID_H

#include "core/store/redis/redis.h"

/* Milliseconds and sequence; 0-0 is before every entry. */
struct stream_id {
    int64_t ms, sequence;
};

/* Reads "ms-sequence". Returns false for any other text. */
bool stream_id_parse(struct str s, struct stream_id *out);
bool stream_id_before(struct stream_id a, struct stream_id b);
bool stream_id_same(struct stream_id a, struct stream_id b);

/* The value behind this name in a flat list of names and values, to which later versions of Redis add; NULL when the
 * name is absent. */
const struct redis_reply *flat_value(const struct redis_reply *flat, struct str name);

#endif
