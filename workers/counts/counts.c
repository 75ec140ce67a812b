/* Counts.
 *
 * Each event adds fixed amounts to at most one post's and two accounts' counts. A batch is one statement: it inserts
 * the ids of its events into counted_events, and adds, in the same transaction, only the amounts of events that were
 * not there yet. An event that is in the batch twice has the same rows twice, of which one is used. So an event may
 * come any number of times, in any order, to any number of workers concurrently. counted_events is dropped hour by
 * hour: below upkeep.counted_below every event has been counted, and none is counted any more (the proof is in
 * upkeep.c). Rows are written in order of their ids, so that two batches cannot wait for each other; if they do after
 * all, the runtime tries again.
 *
 * A database that went back (a restore) has lost changes whose events may still be on a stream. Such events are not
 * counted. A change that is there was committed with its row in the outbox, and the row stays for ten minutes at
 * least (upkeep detaches an hour's partition ten minutes after its end at the earliest, and deletes single rows no
 * sooner). So an event younger than that and without a row belongs to a lost change. An older event is counted
 * without looking for its row, because the row may be gone. So is an event of the newest epoch, if that epoch was
 * opened in this database and since this server was started: a database that went back did so before that (epoch.h).
 */
#include "workers/counts/counts.h"

#include <assert.h>

#include "core/base/map.h"
#include "core/event/epoch.h"
#include "workers/counts/counts.sql.h"

/* The rows of a statement: an event may need two (its two accounts). */
struct rows {
    int64_t *event, *post, *account;
    int32_t *likes, *reposts, *replies, *posts, *following, *followers;
    size_t n, cap;
};

static size_t next_row(struct rows *r, int64_t event_id) {
    assert(r->n < r->cap);
    r->event[r->n] = event_id;
    return r->n++;
}

static void count_post(struct rows *r, const Event *e, int32_t sign, int64_t reply_to, int64_t repost_of) {
    size_t i = next_row(r, e->id);
    r->account[i] = e->actor_id;
    r->posts[i] = repost_of != 0 ? 0 : sign;
    r->post[i] = repost_of != 0 ? repost_of : reply_to;
    if (repost_of != 0)
        r->reposts[i] = sign;
    else if (reply_to != 0)
        r->replies[i] = sign;
}

static void count_like(struct rows *r, const Event *e, int32_t sign) {
    assert(event_kind(e) == EVENT_LIKED || event_kind(e) == EVENT_UNLIKED);
    size_t i = next_row(r, e->id);
    r->post[i] = e->liked->post_id; /* unliked shares this place */
    r->likes[i] = sign;
}

static void count_follow(struct rows *r, const Event *e, int64_t follower, int64_t followee, int32_t sign) {
    size_t i = next_row(r, e->id);
    r->account[i] = follower;
    r->following[i] = sign;
    i = next_row(r, e->id);
    r->account[i] = followee;
    r->followers[i] = sign;
}

static void count_event(struct rows *r, const Event *e) {
    switch (event_kind(e)) {
    case EVENT_POST_CREATED:
        count_post(r, e, 1, e->post_created->reply_to_id, e->post_created->repost_of_id);
        break;
    case EVENT_POST_DELETED:
        count_post(r, e, -1, e->post_deleted->reply_to_id, e->post_deleted->repost_of_id);
        break;
    case EVENT_LIKED: count_like(r, e, 1); break;
    case EVENT_UNLIKED: count_like(r, e, -1); break;
    case EVENT_FOLLOWED: count_follow(r, e, e->actor_id, e->followed->target_id, 1); break;
    case EVENT_UNFOLLOWED: count_follow(r, e, e->actor_id, e->unfollowed->target_id, -1); break;
    case EVENT_BLOCKED:
        if (e->blocked->ended_following) count_follow(r, e, e->actor_id, e->blocked->target_id, -1);
        if (e->blocked->ended_being_followed) count_follow(r, e, e->blocked->target_id, e->actor_id, -1);
        break;
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##counts(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: break;
    }
}

static void rows_init(struct rows *r, struct arena *a, size_t n) {
    *r = (struct rows){
        .event = ARENA_ARRAY(a, int64_t, n),
        .post = ARENA_ARRAY(a, int64_t, n),
        .account = ARENA_ARRAY(a, int64_t, n),
        .likes = ARENA_ARRAY(a, int32_t, n),
        .reposts = ARENA_ARRAY(a, int32_t, n),
        .replies = ARENA_ARRAY(a, int32_t, n),
        .posts = ARENA_ARRAY(a, int32_t, n),
        .following = ARENA_ARRAY(a, int32_t, n),
        .followers = ARENA_ARRAY(a, int32_t, n),
        .cap = n,
    };
}

static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    struct rows r;
    rows_init(&r, fiber_arena(self), 4 * b->n); /* a block may need four */
    for (size_t i = 0; i < b->n; i++)
        if (!b->items[i].event->repeat) count_event(&r, b->items[i].event);
    if (r.n == 0) return 0;
    int64_t lowest, highest; /* so that PostgreSQL looks into few of the outbox's partitions */
    ids_bounds(r.event, r.n, &lowest, &highest);
    return pg_ask(self, w->domain.pg, &COUNTS_APPLY, NULL, fault, pg_i64_array(r.event, r.n),
                  pg_i64_array(r.post, r.n), pg_i32_array(r.likes, r.n), pg_i32_array(r.reposts, r.n),
                  pg_i32_array(r.replies, r.n), pg_i64_array(r.account, r.n), pg_i32_array(r.posts, r.n),
                  pg_i32_array(r.following, r.n), pg_i32_array(r.followers, r.n), pg_i64(lowest),
                  pg_i64(highest), pg_i64(EPOCH_SLACK_S));
}

/* Counts are shown from caches that keep them for two seconds. */
const struct role COUNTS_ROLE = {.name = "counts",
                                 .stream = &STREAMS[STREAM_EVENTS],
                                 .handle = handle,
                                 .interests = INTEREST_COUNTS,
                                 .linger_ms = 20};
