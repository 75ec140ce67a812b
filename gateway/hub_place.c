/* Places in an event stream; what they are is in hub_place.h. */
#include "gateway/hub_place.h"

#include "core/domain/keys.h"

bool hub_place_parse_id(struct str id, struct hub_place *p) {
    struct str ms = str_cut(&id, '-');
    return str_to_i64(ms, &p->ms) && str_to_i64(id, &p->sequence);
}

bool hub_place_before(const struct hub_place *a, const struct hub_place *b) {
    return a->ms != b->ms ? a->ms < b->ms : a->sequence < b->sequence;
}

bool hub_place_same_id(const struct hub_place *a, const struct hub_place *b) {
    return a->ms == b->ms && a->sequence == b->sequence;
}

void hub_place_add_look(struct redis_batch *b, int partition) {
    char key[KEY_MAX];
    redis_cmd(b, 3);
    redis_arg(b, STR("XINFO"));
    redis_arg(b, STR("STREAM"));
    redis_arg(b, key_events(key, partition));
}

static const struct redis_reply *value_of(const struct redis_reply *flat, struct str name) {
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (str_eq(flat->element[i].str, name)) return &flat->element[i + 1];
    return NULL;
}

bool hub_place_read_look(const struct redis_reply *reply, struct hub_place *p) {
    p->ms = p->sequence = p->count = 0;
    if (reply->type == REDIS_ERROR) return str_starts_with(reply->str, STR("ERR no such key"));
    if (reply->type != REDIS_ARRAY) return false;
    const struct redis_reply *last = value_of(reply, STR("last-generated-id"));
    const struct redis_reply *added = value_of(reply, STR("entries-added"));
    if (!last || !added || added->type != REDIS_INTEGER) return false;
    p->count = added->integer;
    return hub_place_parse_id(last->str, p);
}
