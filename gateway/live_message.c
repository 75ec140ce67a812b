/* The messages of live feeds. */
#include "core/base/snowflake.h"
#include "gateway/hub.h"
#include "gateway/lists.h"
#include "gateway/live_internal.h"

/* token_id: the entry the message is of, INT64_MAX for none. The token never claims more than the hub has heard: while
 * Redis is away entries are committed that nobody has heard of, and a stream that resumes must be brought them. */
static void stream_response(struct gateway *g, struct arena *a, Rookery__V1__StreamHomeTimelineResponse *m,
                            Rookery__V1__StreamHomeTimelineResponse__EventCase what, int64_t token_id) {
    rookery__v1__stream_home_timeline_response__init(m);
    m->event_case = what;
    int64_t heard = snowflake_floor(hub_heard_until_ms(g->hub));
    struct page_position p = {.list = LIST_LIVE, .a = token_id < heard ? token_id : heard};
    m->resume_token = page_token_encode(a, g->page_key, &p);
}

struct rpc_shared *live_heartbeat(struct gateway *g, struct arena *a) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Heartbeat beat = ROOKERY__V1__HEARTBEAT__INIT;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_HEARTBEAT, INT64_MAX);
    m.heartbeat = &beat;
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_reset_message(struct gateway *g, struct arena *a) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Reset reset = ROOKERY__V1__RESET__INIT;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET, INT64_MAX);
    m.reset = &reset;
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_deleted_message(struct gateway *g, struct arena *a, int64_t id) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_DELETED_ID, INT64_MAX);
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
    m->repost_time = shape_time(a, snowflake_time_ms(entry->lru.id));
    return m;
}

struct rpc_shared *live_item_message(struct fiber *self, struct gateway *g, const struct cached_post *entry,
                                     const struct cached_post *shown, struct engaged by) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_ITEM, entry->lru.id);
    m.item = item(a, entry, shown, by);
    struct ids accounts;
    ids_init(&accounts);
    shape_note_post_accounts(&accounts, entry, shown);
    lists_accounts(self, g, accounts.v, accounts.len, &m.accounts, &m.n_accounts, NULL);
    ids_free(&accounts);
    return rpc_shared_new(&m.base);
}

struct rpc_shared *live_edited_message(struct gateway *g, struct arena *a, const struct cached_post *p) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_EDITED, INT64_MAX);
    m.edited = shape_post(a, p, (struct engaged){0});
    return rpc_shared_new(&m.base);
}
