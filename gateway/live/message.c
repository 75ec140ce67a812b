/* The messages of live feeds. */
#include <assert.h>
#include <string.h>

#include "core/id/snowflake.h"
#include "gateway/answer/lists.h"
#include "gateway/live/live_internal.h"

/* ---- tokens -------------------------------------------------------------------------------------------- */

char *live_position_token(struct live *l, struct arena *a, const struct hub_place *places) {
    return live_token_encode(a, l->gateway->page_key, places, l->places.partitions);
}

char *live_tell_token(struct live *l, struct arena *a, const struct tell *t) {
    const struct hub_place *told = t->replay ? t->replay->told : l->places.told;
    assert(t->partition >= 0 && (size_t)t->partition < l->places.partitions);
    struct hub_place *places = arena_memdup(a, told, l->places.partitions * sizeof *places);
    places[t->partition] = t->place;
    return live_position_token(l, a, places);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static void stream_response(Rookery__V1__StreamHomeTimelineResponse *m, char *token,
                            Rookery__V1__StreamHomeTimelineResponse__EventCase what) {
    rookery__v1__stream_home_timeline_response__init(m);
    m->event_case = what;
    m->resume_token = token;
}

struct rpc_shared *live_heartbeat(char *token) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Heartbeat beat = ROOKERY__V1__HEARTBEAT__INIT;
    stream_response(&m, token, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_HEARTBEAT);
    m.heartbeat = &beat;
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_reset_message(char *token) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Reset reset = ROOKERY__V1__RESET__INIT;
    stream_response(&m, token, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET);
    m.reset = &reset;
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_deleted_message(char *token, int64_t id) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(&m, token, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_DELETED_ID);
    m.deleted_id = id;
    return rpc_shared_new(&m.base);
}

static Rookery__V1__TimelineItem *item(struct arena *a, const struct cached_post *entry,
                                       const struct cached_post *shown, struct engaged by) {
    Rookery__V1__TimelineItem *m = ARENA_NEW(a, Rookery__V1__TimelineItem);
    rookery__v1__timeline_item__init(m);
    m->id = entry->lru.id;
    m->post = shape_post(a, shown, by);
    if (entry == shown) return m;
    m->reposted_by_id = entry->entry.author_id;
    m->repost_time = message_time(a, snowflake_time_ms(entry->lru.id));
    return m;
}

struct rpc_shared *live_item_message(struct fiber *self, struct gateway *g, char *token,
                                     const struct cached_post *entry, const struct cached_post *shown,
                                     struct engaged by) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(&m, token, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_ITEM);
    m.item = item(a, entry, shown, by);
    struct ids accounts;
    ids_init(&accounts);
    shape_note_post_accounts(&accounts, entry, shown);
    lists_accounts(self, g, accounts.v, accounts.len, &m.accounts, &m.n_accounts, NULL);
    ids_free(&accounts);
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_edited_message(char *token, struct arena *a, const struct cached_post *p) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(&m, token, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_EDITED);
    m.edited = shape_post(a, p, (struct engaged){0});
    return rpc_shared_new(&m.base);
}
