/* Ids of entries in Redis Streams, and values in flat replies. */
#include "core/store/redis/stream_id.h"

bool stream_id_parse(struct str s, struct stream_id *out) {
    struct str ms = str_cut(&s, '-');
    return str_to_i64(ms, &out->ms) && str_to_i64(s, &out->sequence);
}

bool stream_id_before(struct stream_id a, struct stream_id b) {
    return a.ms != b.ms ? a.ms < b.ms : a.sequence < b.sequence;
}

bool stream_id_same(struct stream_id a, struct stream_id b) {
    return a.ms == b.ms && a.sequence == b.sequence;
}

const struct redis_reply *flat_value(const struct redis_reply *flat, struct str name) {
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (str_eq(flat->element[i].str, name)) return &flat->element[i + 1];
    return NULL;
}
