/* Event streams as gateways read them; stream.h explains places. */
#include "gateway/hub/stream.h"

#include "core/codec/codec.h"

void hub_place_add_look(struct redis_batch *b, int partition) {
    char key[KEY_MAX];
    redis_cmd(b, 3);
    redis_arg(b, STR("XINFO"));
    redis_arg(b, STR("STREAM"));
    redis_arg(b, stream_key(key, &STREAMS[STREAM_EVENTS], partition));
}

bool hub_place_read_look(const struct redis_reply *reply, struct hub_place *p) {
    p->id = (struct stream_id){0};
    p->count = 0;
    if (reply->type == REDIS_ERROR) return str_starts_with(reply->str, STR("ERR no such key"));
    if (reply->type != REDIS_ARRAY) return false;
    const struct redis_reply *last = flat_value(reply, STR("last-generated-id"));
    const struct redis_reply *added = flat_value(reply, STR("entries-added"));
    if (!last || !added || added->type != REDIS_INTEGER) return false;
    p->count = added->integer;
    return stream_id_parse(last->str, &p->id);
}

/* Whom an entry with this mark is for: those whom its writer names, and those whom we do. A release may give a kind to
 * more consumers than the one before, and the writer may be of either. Returns 0 for what is not a mark. */
static uint32_t interests_of_mark(struct str mark) {
    int64_t kind, interests;
    if (!str_to_i64(str_cut(&mark, ' '), &kind) || kind <= 0 || kind > INT32_MAX) return 0;
    if (!str_to_i64(mark, &interests) || interests <= 0 || interests > UINT32_MAX) return 0;
    return (uint32_t)interests | event_interests((enum event_kind)kind);
}

/* The same without a mark: the writer did not know the kind, or its own table names nobody. */
static uint32_t interests_of(const Event *e) {
    enum event_kind kind = event_kind(e);
    return kind == EVENT_UNKNOWN ? INTEREST_ALL : event_interests(kind);
}

bool hub_entry_read(const struct redis_reply *fields, int64_t epoch, uint32_t wanted, struct arena *a,
                    struct hub_heard *out) {
    if (fields->type != REDIS_ARRAY || fields->elements < 2) return false;
    if (flat_value(fields, STR(OUTBOX_ADDRESSED))) return true;
    const struct redis_reply *settled = flat_value(fields, STR(OUTBOX_SETTLED));
    int64_t since;
    out->settled = settled && str_to_i64(settled->str, &since) && since <= epoch;
    const struct redis_reply *mark = flat_value(fields, STR(OUTBOX_KIND));
    uint32_t marked = mark ? interests_of_mark(mark->str) : 0;
    if (marked != 0 && !(marked & wanted)) return true;
    const Event *event = (const Event *)(const void *)pb_decode(&rookery__events__v1__event__descriptor,
                                                                fields->element[1].str, a, NULL);
    if (!event) return false;
    out->event = event;
    out->interests = marked != 0 ? marked : interests_of(event);
    return true;
}
