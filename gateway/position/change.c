/* Changes, and the chains they are on. */
#include "gateway/position/change.h"

#include <assert.h>

/* Below it are the chains of targets: ids are far greater than the number of partitions. */
#define PARTITIONS_MAX 1024

static void read_post(const Rookery__Events__V1__PostCreated *p, struct change *c) {
    c->post_id = p->post_id;
    c->reply_to_account_id = p->reply_to_account_id;
    c->repost_of_id = p->repost_of_id;
    c->repost_of_author_id = p->repost_of_author_id;
}

struct change change_of(const Event *e) {
    struct change c = {.kind = EVENT_UNKNOWN};
    /* A repeated event's first is told, at the latest when the relay publishes it. */
    if (!e || e->repeat) return c;
    c = (struct change){.kind = event_kind(e), .event_id = e->id, .actor_id = e->actor_id};
    switch (c.kind) {
    case EVENT_POST_CREATED: read_post(e->post_created, &c); return c;
    case EVENT_POST_EDITED: c.post_id = e->post_edited->post_id; return c;
    case EVENT_POST_DELETED:
        c.post_id = e->post_deleted->post_id;
        c.repost_of_id = e->post_deleted->repost_of_id;
        return c;
    case EVENT_FOLLOWED:
    case EVENT_UNFOLLOWED:
    case EVENT_BLOCKED:
    case EVENT_UNBLOCKED:
    case EVENT_MUTED:
    case EVENT_UNMUTED: c.target_id = e->followed->target_id; return c; /* every Related shares this place */
    case EVENT_SESSIONS_REVOKED: return c;
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##live(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: break;
    }
    return (struct change){.kind = EVENT_UNKNOWN};
}

int64_t chain_of_actor(int64_t account_id) {
    assert(account_id > 0);
    return account_id;
}

int64_t chain_of_posts(int partition) {
    assert(partition >= 0 && partition < PARTITIONS_MAX);
    return -1 - partition;
}

int64_t chain_of_target(int64_t account_id) {
    assert(account_id > 0);
    return -PARTITIONS_MAX - account_id;
}

bool chain_is_of_target(int64_t chain) {
    return chain < -PARTITIONS_MAX;
}

void change_chains(const struct change *c, int partition, int64_t keys[static CHANGE_CHAINS]) {
    keys[0] = keys[1] = 0;
    if (c->kind == EVENT_UNKNOWN || c->kind == EVENT_SESSIONS_REVOKED) return;
    if (c->kind == EVENT_POST_EDITED || c->kind == EVENT_POST_DELETED) {
        keys[0] = chain_of_posts(partition);
        return;
    }
    keys[0] = chain_of_actor(c->actor_id);
    if (c->target_id != 0) keys[1] = chain_of_target(c->target_id);
}
