/* XINFO and XPENDING, read. Replies are flat lists of names and values whose names later versions of Redis add
 * to, so values are looked up by name. */
#include "workers/runtime/stream_info.h"

#include <assert.h>

/* ---- replies ------------------------------------------------------------------------------------------- */

/* -1 when it is nil or missing. */
static int64_t number_of(const struct redis_reply *flat, struct str name) {
    const struct redis_reply *r = flat_value(flat, name);
    return r && r->type == REDIS_INTEGER ? r->integer : -1;
}

static bool id_of(const struct redis_reply *flat, struct str name, struct stream_id *out) {
    const struct redis_reply *r = flat_value(flat, name);
    return r && stream_id_parse(r->str, out);
}

/* Returns true when the error reply says that the stream or the group does not exist. */
static bool is_missing(int e, const struct redis_reply *r) {
    return e == ERR_REDIS && r &&
           (str_starts_with(r->str, STR("ERR no such key")) || str_starts_with(r->str, STR("NOGROUP")));
}

/* ---- questions ----------------------------------------------------------------------------------------- */

int stream_info_read(struct fiber *self, struct redis *r, struct str key, struct stream_info *out) {
    const struct redis_reply *reply = NULL;
    *out = (struct stream_info){0};
    int e = redis_call(self, r, &reply, "XINFO STREAM " STR_FMT, STR_ARG(key));
    if (is_missing(e, reply)) return 0;
    if (e != 0) return e;
    out->length = number_of(reply, STR("length"));
    out->added = number_of(reply, STR("entries-added"));
    out->exists = id_of(reply, STR("last-generated-id"), &out->last);
    const struct redis_reply *first = flat_value(reply, STR("first-entry")); /* [id, fields] or nil */
    if (first && first->elements > 0 && !stream_id_parse(first->element[0].str, &out->first))
        return ERR_REDIS;
    return out->exists ? 0 : ERR_REDIS;
}

static const struct redis_reply *find_group(const struct redis_reply *groups, struct str name) {
    for (size_t i = 0; i < groups->elements; i++) {
        const struct redis_reply *found = flat_value(&groups->element[i], STR("name"));
        if (found && str_eq(found->str, name)) return &groups->element[i];
    }
    return NULL;
}

/* XPENDING's summary: [count, lowest id, highest id, consumers]. */
static int read_pending(struct fiber *self, struct redis *r, struct str key, struct str group,
                        struct group_info *out) {
    const struct redis_reply *reply = NULL;
    int e = redis_call(self, r, &reply, "XPENDING " STR_FMT " " STR_FMT, STR_ARG(key), STR_ARG(group));
    if (e != 0) return e;
    if (reply->type != REDIS_ARRAY || reply->elements < 2) return ERR_REDIS;
    out->pending = reply->element[0].integer;
    if (out->pending == 0 || stream_id_parse(reply->element[1].str, &out->oldest_pending)) return 0;
    return ERR_REDIS;
}

int group_info_read(struct fiber *self, struct redis *r, struct str key, struct str group,
                    struct group_info *out) {
    const struct redis_reply *groups = NULL;
    *out = (struct group_info){.entries_read = -1, .lag = -1};
    int e = redis_call(self, r, &groups, "XINFO GROUPS " STR_FMT, STR_ARG(key));
    if (is_missing(e, groups)) return 0;
    if (e != 0) return e;
    const struct redis_reply *found = find_group(groups, group);
    if (!found) return 0;
    out->entries_read = number_of(found, STR("entries-read"));
    out->lag = number_of(found, STR("lag"));
    out->pending = number_of(found, STR("pending"));
    if (!id_of(found, STR("last-delivered-id"), &out->last_delivered)) return ERR_REDIS;
    out->exists = true;
    return out->pending > 0 ? read_pending(self, r, key, group, out) : 0;
}

int groups_read(struct fiber *self, struct redis *r, struct str key, struct str **out, size_t *n) {
    const struct redis_reply *groups = NULL;
    *n = 0;
    int e = redis_call(self, r, &groups, "XINFO GROUPS " STR_FMT, STR_ARG(key));
    if (is_missing(e, groups)) return 0;
    if (e != 0) return e;
    *out = ARENA_ARRAY(fiber_arena(self), struct str, groups->elements);
    for (size_t i = 0; i < groups->elements; i++) {
        const struct redis_reply *name = flat_value(&groups->element[i], STR("name"));
        if (name) (*out)[(*n)++] = name->str;
    }
    return 0;
}

int consumers_info_read(struct fiber *self, struct redis *r, struct str key, struct str group,
                        struct consumer_info **out, size_t *n) {
    const struct redis_reply *reply = NULL;
    *n = 0;
    int e = redis_call(self, r, &reply, "XINFO CONSUMERS " STR_FMT " " STR_FMT, STR_ARG(key), STR_ARG(group));
    if (is_missing(e, reply)) return 0;
    if (e != 0) return e;
    *out = ARENA_ARRAY(fiber_arena(self), struct consumer_info, reply->elements);
    for (size_t i = 0; i < reply->elements; i++) {
        const struct redis_reply *one = &reply->element[i], *name = flat_value(one, STR("name"));
        if (name)
            (*out)[(*n)++] = (struct consumer_info){name->str, number_of(one, STR("pending")),
                                                    number_of(one, STR("idle"))};
    }
    return 0;
}

struct stream_id group_info_needs(const struct group_info *g) {
    assert(g->exists); /* a group that does not needs everything */
    if (g->pending == 0) return (struct stream_id){g->last_delivered.ms, g->last_delivered.sequence + 1};
    return g->oldest_pending;
}
