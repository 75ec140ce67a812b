/* The feeder and the heart of live feeds; the story is in live.h.
 *
 * The feeder takes what was heard in order, a batch at a time. An item is loaded and encoded once. The change of a
 * post that was reposted goes to the subscribers of its reposters, too: an edit once to each, a deletion as the
 * deletion of each repost, since reposts are the entries that they hold. While SQL is unreachable the feeder tries
 * again, and what is heard meanwhile waits in the queue.
 *
 * The heart sends a heartbeat to every stream, and ends streams whose session was revoked or has expired.
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "gateway/live/live_internal.h"

#define REPOSTS_AT_ONCE 1000
#define SESSIONS_AT_ONCE 1000
#define HEARTBEAT_MS 15000
#define RETRY_MS 100
#define RESET_WAIT_MS 2000 /* for every partition to be heard in the newest epoch */

/* Waits before a retry. Returns false when the feeder must stop. */
static bool again(struct fiber *self, const struct live *l) {
    return fiber_sleep_ms(self, RETRY_MS) == 0 && !l->stopping;
}

/* ---- who wants what ------------------------------------------------------------------------------------ */

static bool wants_entry(const struct subscriber *s, const struct tell *t) {
    return relations_shows_at_home(&s->relations, &t->entry);
}

static bool wants_change(const struct subscriber *s, const struct tell *t) {
    return relations_may_see(&s->relations, t->account_id);
}

bool live_may_want(const struct subscriber *s, const struct tell *t) {
    return t->kind == TELL_ITEM ? wants_entry(s, t) : wants_change(s, t);
}

/* ---- relations and sessions ---------------------------------------------------------------------------- */

static void reload_relations(struct fiber *self, struct live *l, int64_t account_id) {
    struct relations fresh;
    if (!audience_of(&l->by_account, account_id)) return;
    while (relations_load(self, &l->gateway->domain, account_id, &fresh, NULL) != 0)
        if (!again(self, l)) return;
    const struct audience *a = audience_of(&l->by_account, account_id);
    for (size_t i = 0; a && i < a->len; i++) {
        struct relations own;
        relations_copy(&own, &fresh);
        audience_index(a->v[i], &own);
    }
    relations_free(&fresh);
}

/* A missed event may have been a change of any subscriber's relations. */
static void reload_all_relations(struct fiber *self, struct live *l) {
    struct arena *a = fiber_arena(self);
    int64_t *accounts = ARENA_ARRAY(a, int64_t, l->by_account.len), id;
    size_t n = 0, pos = 0;
    void *unused;
    while (idmap_next(&l->by_account, &pos, &id, &unused)) accounts[n++] = id;
    for (size_t i = 0; i < n && !l->stopping; i++) reload_relations(self, l, accounts[i]);
}

static void end_session(struct subscriber *s) {
    if (!s->stream) return; /* still catching up: the next look will find it */
    rpc_stream_end(s->stream, ERR_UNAUTHENTICATED, "the session has ended: log in");
    audience_unsubscribe(s);
}

/* Ends those of these streams whose session is no longer valid. After an error the next look ends them. */
static int check_sessions(struct fiber *self, struct live *l, const struct ids *sessions) {
    struct ids valid;
    int e = session_filter_valid(self, &l->gateway->domain, sessions->v, sessions->len, &valid, NULL);
    if (e != 0) return e;
    list_each_safe (&l->all, node) {
        struct subscriber *s = list_entry(node, struct subscriber, node);
        if (ids_contains(sessions->v, sessions->len, s->session_id) &&
            !ids_contains(valid.v, valid.len, s->session_id))
            end_session(s);
    }
    ids_free(&valid);
    return 0;
}

static void check_account(struct fiber *self, struct live *l, int64_t account_id) {
    struct ids sessions;
    ids_init(&sessions);
    const struct audience *a = audience_of(&l->by_account, account_id);
    for (size_t i = 0; a && i < a->len; i++) ids_push(&sessions, a->v[i]->session_id);
    ids_sort_unique(&sessions);
    while (sessions.len > 0 && check_sessions(self, l, &sessions) != 0)
        if (!again(self, l)) break;
    ids_free(&sessions);
}

static void check_all_sessions(struct fiber *self, struct live *l) {
    struct ids all, some;
    ids_init(&all);
    list_each (&l->all, node) ids_push(&all, list_entry(node, struct subscriber, node)->session_id);
    ids_sort_unique(&all);
    for (size_t at = 0; at < all.len; at += SESSIONS_AT_ONCE) {
        some = (struct ids){.v = all.v + at, .len = all.len - at};
        if (some.len > SESSIONS_AT_ONCE) some.len = SESSIONS_AT_ONCE;
        if (check_sessions(self, l, &some) != 0) break;
    }
    ids_free(&all);
}

/* ---- telling ------------------------------------------------------------------------------------------- */

/* Tells the author's audience and, with each repost of the post, the reposter's audience. */
typedef void tell_repost(struct fiber *self, struct live *l, struct tell *t, const struct post_actor *repost,
                         struct rpc_shared *message);

static void each_repost(struct fiber *self, struct live *l, struct tell *t, struct rpc_shared *message,
                        tell_repost *fn) {
    int64_t after = 0;
    for (size_t n = REPOSTS_AT_ONCE; n == REPOSTS_AT_ONCE && !l->stopping;) {
        struct post_actor *reposts;
        while (post_reposts(self, &l->gateway->domain, t->post_id, after, REPOSTS_AT_ONCE, &reposts, &n,
                            NULL) != 0)
            if (!again(self, l)) return;
        for (size_t i = 0; i < n; i++) {
            after = reposts[i].id;
            if (audience_of(&l->by_author, reposts[i].account_id)) fn(self, l, t, &reposts[i], message);
        }
    }
}

static void tell_repost_edited(struct fiber *self, struct live *l, struct tell *t,
                               const struct post_actor *repost, struct rpc_shared *message) {
    (void)self;
    audience_push_to(l, repost->account_id, t, message, wants_change);
}

static void tell_repost_deleted(struct fiber *self, struct live *l, struct tell *t,
                                const struct post_actor *repost, struct rpc_shared *message) {
    (void)message;
    struct rpc_shared *own =
        live_deleted_message(live_tell_token(l, fiber_arena(self), t, false), repost->id);
    t->round = ++l->round;
    audience_push_to(l, repost->account_id, t, own, wants_change);
    rpc_shared_unref(own);
}

/* There may be several messages, so the token of none may cover the event itself. */
static void tell_deleted(struct fiber *self, struct live *l, struct tell *t) {
    struct rpc_shared *message =
        live_deleted_message(live_tell_token(l, fiber_arena(self), t, false), t->post_id);
    audience_push_to(l, t->account_id, t, message, wants_change);
    rpc_shared_unref(message);
    if (!t->is_repost) each_repost(self, l, t, NULL, tell_repost_deleted);
}

static void tell_edited(struct fiber *self, struct live *l, struct tell *t, const struct cached_post *post) {
    if (!post || post->deleted) return;
    struct arena *a = fiber_arena(self);
    struct rpc_shared *message = live_edited_message(live_tell_token(l, a, t, true), a, post);
    audience_push_to(l, t->account_id, t, message, wants_change);
    each_repost(self, l, t, message, tell_repost_edited);
    rpc_shared_unref(message);
}

/* What the resuming viewer has done with the post, which may not be new to them. To others the post is new: they have
 * not liked or reposted it. */
static struct engaged engaged_in(const struct tell *t, int64_t post_id) {
    const struct replay *r = t->replay;
    return r ? shape_engaged_in(r->engaged, post_id) : (struct engaged){0};
}

static void tell_item(struct fiber *self, struct live *l, struct tell *t, const struct cached_post *entry,
                      const struct cached_post *original) {
    const struct cached_post *shown = t->entry.repost_of_id != 0 ? original : entry;
    if (!entry || !shown || entry->deleted || shown->deleted) return;
    char *token = live_tell_token(l, fiber_arena(self), t, true);
    struct rpc_shared *message =
        live_item_message(self, l->gateway, token, entry, shown, engaged_in(t, shown->lru.id));
    audience_push_to(l, t->account_id, t, message, wants_entry);
    rpc_shared_unref(message);
}

void live_tell(struct fiber *self, struct live *l, struct tell *t) {
    struct gateway *g = l->gateway;
    const int64_t ids[] = {t->post_id, t->entry.repost_of_id};
    const struct cached_post *posts[2] = {NULL, NULL};
    t->round = ++l->round;
    switch (t->kind) {
    case TELL_RELATIONS: reload_relations(self, l, t->account_id); return;
    case TELL_SESSIONS: check_account(self, l, t->account_id); return;
    case TELL_DELETED: tell_deleted(self, l, t); return;
    case TELL_ITEM:
    case TELL_EDITED: break;
    }
    /* Mostly found in the cache: the batch was loaded ahead. */
    size_t n = t->entry.repost_of_id != 0 ? 2 : 1;
    while (post_cache_get(self, g, ids, n, posts, NULL) != 0)
        if (!again(self, l)) return;
    if (t->kind == TELL_ITEM)
        tell_item(self, l, t, posts[0], posts[1]);
    else
        tell_edited(self, l, t, posts[0]);
}

/* ---- the fibers ---------------------------------------------------------------------------------------- */

void live_load_ahead(struct fiber *self, struct live *l, const struct tell *batch, size_t n) {
    int64_t ids[2 * LIVE_BATCH];
    const struct cached_post *posts[2 * LIVE_BATCH];
    size_t n_ids = 0;
    assert(n <= LIVE_BATCH);
    for (size_t i = 0; i < n; i++) {
        if (batch[i].kind != TELL_ITEM && batch[i].kind != TELL_EDITED) continue;
        ids[n_ids++] = batch[i].post_id;
        if (batch[i].entry.repost_of_id != 0) ids[n_ids++] = batch[i].entry.repost_of_id;
    }
    if (n_ids > 0) post_cache_get(self, l->gateway, ids, n_ids, posts, NULL);
}

static void feed_batch(struct fiber *self, struct live *l) {
    size_t n = l->queue_len < LIVE_BATCH ? l->queue_len : LIVE_BATCH;
    assert(l->queue_len <= LIVE_QUEUE_CAP && !l->reset_due);
    struct tell *batch = arena_memdup(fiber_arena(self), l->queue, n * sizeof *batch);
    l->queue_len -= n;
    for (size_t i = 0; i < l->queue_len; i++) l->queue[i] = l->queue[i + n];
    live_load_ahead(self, l, batch, n);
    for (size_t i = 0; i < n && !l->reset_due; i++) {
        /* The events between concern no subscriber here. */
        assert(batch[i].number >= l->places.n_told);
        places_tell(&l->places, batch[i].number - 1);
        live_tell(self, l, &batch[i]);
        if (!l->reset_due) places_tell(&l->places, batch[i].number);
    }
    if (l->queue_len == 0 && !l->reset_due) places_tell(&l->places, l->places.n_heard);
}

/* Relations first: a client that reads again because of the reset then misses nothing that the new relations bring. */
static void reset_all(struct fiber *self, struct live *l) {
    assert(l->reset_due && l->feeding);
    l->reset_due = false;
    l->resets->value++;
    reload_all_relations(self, l);
    places_tell_reset(&l->places);
    struct rpc_shared *message =
        live_reset_message(live_position_token(l, fiber_arena(self), l->places.told));
    audience_push_all(l, message);
    rpc_shared_unref(message);
    check_all_sessions(self, l);
}

/* A new epoch is known before any partition is heard in it, and partitions begin one after the other; together they
 * cause one reset. */
static bool may_reset(const struct live *l) {
    const struct live_places *p = &l->places;
    int64_t heard = places_epoch(p->heard, p->partitions);
    return (heard != 0 && heard == l->gateway->domain.epoch) ||
           clock_mono_ns() - l->reset_since_ns > RESET_WAIT_MS * NS_PER_MS;
}

void live_feeder(struct fiber *self, void *arg) {
    struct live *l = arg;
    while (!l->stopping) {
        bool resets = l->reset_due && may_reset(l), feeds = !l->reset_due && l->queue_len > 0;
        l->feeding = resets || feeds;
        if (resets)
            reset_all(self, l);
        else if (feeds)
            feed_batch(self, l);
        else if (condition_wait(self, &l->wake) != 0)
            break;
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}

static void beat(struct fiber *self, struct live *l) {
    struct rpc_shared *message = live_heartbeat(live_position_token(l, fiber_arena(self), l->places.told));
    audience_push_all(l, message);
    rpc_shared_unref(message);
    check_all_sessions(self, l);
}

void live_heart(struct fiber *self, void *arg) {
    struct live *l = arg;
    int64_t next_ns = clock_mono_ns() + HEARTBEAT_MS * NS_PER_MS;
    while (!l->stopping && fiber_sleep_ms(self, 100) == 0) {
        l->subscribers->value = (double)l->n_all;
        if (l->reset_due) condition_signal(&l->wake);
        if (clock_mono_ns() < next_ns) continue;
        next_ns = clock_mono_ns() + HEARTBEAT_MS * NS_PER_MS;
        if (l->n_all > 0) beat(self, l);
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}
