/* Live feeds: queues for the feeder what the hub hears; the story is in live.h. */
#include <assert.h>

#include "gateway/live/live_internal.h"

#define MEMORY_MAX 10000 /* of a partition, when hearing begins: some ten milliseconds of Redis */

static void enqueue(struct live *l, const struct tell *t) {
    if (l->queue_len == LIVE_QUEUE_CAP) {
        live_forget(l);
        return;
    }
    assert(l->queue_len == 0 || l->queue[l->queue_len - 1].number < t->number);
    l->queue[l->queue_len++] = *t;
    condition_signal(&l->wake);
}

static void tell_of_post(const struct change *c, struct tell *t) {
    t->kind = TELL_ITEM;
    t->entry = (struct entry){c->post_id, c->actor_id, c->reply_to_account_id, c->repost_of_id,
                              c->repost_of_author_id};
}

bool live_tell_of(const struct place_heard *heard, struct tell *t) {
    const struct change *c = &heard->change;
    *t = (struct tell){.account_id = c->actor_id, .post_id = c->post_id};
    t->partition = heard->partition;
    t->place = heard->place;
    t->number = heard->number;
    switch (c->kind) {
    case EVENT_POST_CREATED: tell_of_post(c, t); return true;
    case EVENT_POST_EDITED: t->kind = TELL_EDITED; return true;
    case EVENT_POST_DELETED:
        t->kind = TELL_DELETED;
        t->is_repost = c->repost_of_id != 0;
        return true;
    case EVENT_SESSIONS_REVOKED: t->kind = TELL_SESSIONS; return true;
    case EVENT_FOLLOWED:
    case EVENT_UNFOLLOWED:
    case EVENT_MUTED:
    case EVENT_UNMUTED: t->kind = TELL_RELATIONS; return true;
    case EVENT_BLOCKED:
    case EVENT_UNBLOCKED:
        t->kind = TELL_RELATIONS;
        t->other_id = c->target_id;
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

/* What streams are told of it: nothing of what is settled. */
static struct change change_in(const struct hub_heard *h) {
    return change_of(h->settled ? NULL : h->event);
}

static void heard(void *context, const struct hub_heard *h) {
    struct live *l = context;
    struct live_places *p = &l->places;
    struct change change = change_in(h);
    struct tell t;
    if (!places_have_room(p)) live_forget(l); /* the feeder is that far behind */
    if (places_hear(p, h->partition, h->place, &change) && live_tell_of(places_at(p, p->n_heard), &t))
        queue_tell(l, &t);
    if (is_idle(l)) places_tell(p, p->n_heard);
}

static void begin(void *context, int partition, const struct hub_place *place) {
    struct live *l = context;
    places_begin(&l->places, partition, place);
    live_forget(l);
}

static void forget(void *context) {
    live_forget(context);
}

static void remember(void *context, const struct hub_heard *h) {
    struct live *l = context;
    struct change change = change_in(h);
    places_remember(&l->places, h->partition, h->place, &change);
}

/* Half of what is kept is left for what will be heard. */
static int64_t memory(const struct live *l) {
    int64_t share = (int64_t)(l->places.capacity / 2 / l->places.partitions);
    return share < MEMORY_MAX ? share : MEMORY_MAX;
}

void live_listen(struct live *l) {
    l->listener = (struct hub_listener){
        .context = l,
        .interests = INTEREST_LIVE,
        .every_entry = true,
        .heard = heard,
        .forget = forget,
        .begin = begin,
        .remember = remember,
        .memory = memory(l),
    };
    hub_listen(l->gateway->hub, &l->listener);
}
