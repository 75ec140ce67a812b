/* Live feeds: queues for the feeder what the hub hears; the story is in live.h. */
#include <assert.h>

#include "gateway/live/live_internal.h"

#define MEMORY_MAX 1000 /* of a partition, when hearing begins */

static void enqueue(struct live *l, const struct tell *t) {
    if (l->queue_len == LIVE_QUEUE_CAP) {
        live_forget(l);
        return;
    }
    assert(l->queue_len == 0 || l->queue[l->queue_len - 1].number < t->number);
    l->queue[l->queue_len++] = *t;
    condition_signal(&l->wake);
}

static void tell_of_post(const Event *e, struct tell *t) {
    const Rookery__Events__V1__PostCreated *p = e->post_created;
    t->kind = TELL_ITEM;
    t->post_id = p->post_id;
    t->entry = (struct entry){p->post_id, e->actor_id, p->reply_to_account_id, p->repost_of_id,
                              p->repost_of_author_id};
}

bool live_tell_of(const Event *e, struct tell *t) {
    *t = (struct tell){.account_id = e->actor_id};
    /* The change's own event is told, at the latest when the relay publishes it. */
    if (e->repeat) return false;
    switch (event_kind(e)) {
    case EVENT_POST_CREATED: tell_of_post(e, t); return true;
    case EVENT_POST_EDITED:
        t->kind = TELL_EDITED;
        t->post_id = e->post_edited->post_id;
        return true;
    case EVENT_POST_DELETED:
        t->kind = TELL_DELETED;
        t->is_repost = e->post_deleted->repost_of_id != 0;
        t->post_id = e->post_deleted->post_id;
        return true;
    case EVENT_SESSIONS_REVOKED: t->kind = TELL_SESSIONS; return true;
    case EVENT_FOLLOWED:
    case EVENT_UNFOLLOWED:
    case EVENT_MUTED:
    case EVENT_UNMUTED: t->kind = TELL_RELATIONS; return true;
    case EVENT_BLOCKED:
    case EVENT_UNBLOCKED:
        t->kind = TELL_RELATIONS;
        t->other_id = e->blocked->target_id; /* every Related shares this place */
        return true;
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##live(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return false;
    }
    return false;
}

/* Queues what may concern a subscriber here. Those whose relations have changed must read again. */
static void queue_tell(struct live *l, struct tell *t) {
    if (list_empty(&l->all)) return;
    switch (t->kind) {
    case TELL_ITEM:
        if (audience_of(&l->by_author, t->account_id)) enqueue(l, t);
        break;
    /* These also concern the followers of the post's reposters, which only the feeder can look up. */
    case TELL_EDITED:
    case TELL_DELETED: enqueue(l, t); break;
    case TELL_SESSIONS:
        if (audience_of(&l->by_account, t->account_id)) enqueue(l, t);
        break;
    case TELL_RELATIONS:
        live_reset_account(l, t->account_id);
        if (t->other_id != 0) live_reset_account(l, t->other_id);
        break;
    }
}

static bool is_idle(const struct live *l) {
    return l->queue_len == 0 && !l->feeding;
}

static void heard(void *context, const struct hub_heard *h) {
    struct live *l = context;
    const Event *e = h->settled ? NULL : h->event;
    struct live_places *p = &l->places;
    struct tell t;
    bool tells = e && live_tell_of(e, &t);
    /* The feeder is so far behind that the places between would drop out of what is kept. */
    if (p->n_heard - p->n_told >= PLACES_KEPT) live_forget(l);
    if (places_hear(p, h->partition, h->place, tells ? e->id : 0) && tells) {
        t.partition = h->partition;
        t.place = *h->place;
        t.number = p->n_heard;
        queue_tell(l, &t);
    }
    if (is_idle(l)) places_tell(p, p->n_heard);
}

static void begin(void *context, int partition, const struct hub_place *place) {
    struct live *l = context;
    places_hear(&l->places, partition, place, 0);
    live_forget(l);
}

static void forget(void *context) {
    live_forget(context);
}

static void remember(void *context, const struct hub_heard *h) {
    struct live *l = context;
    struct tell unused;
    if (h->event && live_tell_of(h->event, &unused))
        places_remember(&l->places, h->partition, h->place, h->event->id);
}

/* Half of the places kept are left for what will be heard. */
static int64_t memory(const struct live *l) {
    int64_t share = PLACES_KEPT / 2 / (int64_t)l->places.partitions;
    return share < MEMORY_MAX ? share : MEMORY_MAX;
}

void live_listen(struct live *l) {
    l->listener = (struct hub_listener){
        .context = l,
        .heard = heard,
        .forget = forget,
        .begin = begin,
        .remember = remember,
        .memory = memory(l),
    };
    hub_listen(l->gateway->hub, &l->listener);
}
