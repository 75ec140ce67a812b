/* Event streams as gateways read them; what places are is in hub_stream.h. */
#include "gateway/hub_stream.h"

#include "core/domain/keys.h"
#include "core/net/codec.h"

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

/* Replies and entries are flat lists of names and values. */
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

bool hub_entry_read(const struct redis_reply *fields, int64_t epoch, struct arena *a, struct hub_entry *out) {
    *out = (struct hub_entry){0};
    if (fields->type != REDIS_ARRAY || fields->elements < 2) return false;
    if (value_of(fields, STR(OUTBOX_ADDRESSED))) return true;
    const struct redis_reply *settled = value_of(fields, STR(OUTBOX_SETTLED));
    int64_t since;
    out->settled = settled && str_to_i64(settled->str, &since) && since <= epoch;
    out->event =
        (Event *)(void *)pb_decode(&rookery__events__v1__event__descriptor, fields->element[1].str, a, NULL);
    return out->event != NULL;
}
