/* The feeder and the heart of live feeds; the story is in live.h.
 *
 * The feeder takes what was heard in order, a batch at a time. It makes one message of each thing, and pushes that to
 * all subscribers that it concerns without suspending in between. The change of a post also concerns the subscribers
 * of its reposters, which are looked up first. While SQL is unreachable the feeder tries again, and what is heard
 * meanwhile waits in the queue.
 *
 * The heart sends a heartbeat to every stream, and ends streams whose session was revoked or has expired.
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "gateway/live/live_internal.h"

#define REPOSTS_AT_ONCE 1000
#define SESSIONS_AT_ONCE 1000
#define TICK_MS 100
#define EXPIRY_EVERY_NS NS_PER_S
#define SESSIONS_EVERY_NS (15 * NS_PER_S)

/* Waits before a retry. Returns false when the feeder must stop. */
static bool again(struct fiber *self, const struct live *l) {
    return fiber_sleep_ms(self, LIVE_RETRY_MS) == 0 && !l->stopping;
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

/* ---- sessions ------------------------------------------------------------------------------------------ */

/* Ends those of these streams whose session is no longer valid. The next look ends those that are still beginning. */
static int check_sessions(struct fiber *self, struct live *l, const struct ids *sessions) {
    struct ids valid;
    int e = session_filter_valid(self, &l->gateway->domain, sessions->v, sessions->len, &valid, NULL);
    if (e != 0) return e;
    list_each_safe (&l->all, node) {
        struct subscriber *s = list_entry(node, struct subscriber, node);
        if (ids_contains(sessions->v, sessions->len, s->session_id) &&
            !ids_contains(valid.v, valid.len, s->session_id) && s->stream)
            subscriber_end(s, ERR_UNAUTHENTICATED, "the session has ended: log in");
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

/* Of the streams whose session expires by then. */
static void check_expiring(struct fiber *self, struct live *l, int64_t by_ns) {
    struct ids all, some;
    ids_init(&all);
    list_each (&l->all, node) {
        const struct subscriber *s = list_entry(node, struct subscriber, node);
        if (s->expires_ns <= by_ns) ids_push(&all, s->session_id);
    }
    ids_sort_unique(&all);
    for (size_t at = 0; at < all.len; at += SESSIONS_AT_ONCE) {
        some = (struct ids){.v = all.v + at, .len = all.len - at};
        if (some.len > SESSIONS_AT_ONCE) some.len = SESSIONS_AT_ONCE;
        if (check_sessions(self, l, &some) != 0) break;
    }
    ids_free(&all);
}

/* ---- telling ------------------------------------------------------------------------------------------- */

/* Appends the accounts that have reposted the post. Returns false when the feeder must stop. */
static bool find_reposters(struct fiber *self, struct live *l, int64_t post_id, struct ids *out) {
    int64_t after = 0;
    for (size_t n = REPOSTS_AT_ONCE; n == REPOSTS_AT_ONCE && !l->stopping;) {
        struct post_actor *reposts;
        while (post_reposts(self, &l->gateway->domain, post_id, after, REPOSTS_AT_ONCE, &reposts, &n, NULL) !=
               0)
            if (!again(self, l)) return false;
        for (size_t i = 0; i < n; i++) {
            after = reposts[i].id;
            ids_push(out, reposts[i].account_id);
        }
    }
    return true;
}

/* The accounts whose entries show the post: its author and its reposters. They are looked up once for each change:
 * what is reposted later shows the change already. */
static void find_authors(struct fiber *self, struct live *l, const struct tell *t, struct ids *authors) {
    const struct place_heard *heard = places_at(&l->places, t->number);
    if (heard && heard->concerns.len > 0) {
        ids_append(authors, heard->concerns.v, heard->concerns.len);
        return;
    }
    ids_push(authors, t->account_id);
    if (find_reposters(self, l, t->post_id, authors)) places_note(&l->places, t->number, authors);
}

static void tell_deleted(struct fiber *self, struct live *l, struct tell *t) {
    struct ids authors;
    ids_init(&authors);
    if (t->is_repost)
        ids_push(&authors, t->account_id);
    else
        find_authors(self, l, t, &authors);
    struct rpc_shared *message = live_deleted_message(live_tell_token(l, fiber_arena(self), t), t->post_id);
    push_to(l, authors.v, authors.len, t, message, wants_change);
    rpc_shared_unref(message);
    ids_free(&authors);
}

/* Gets the posts of t. Mostly they are in the cache: the batch was loaded ahead. Returns false when the feeder must
 * stop. */
static bool get_posts(struct fiber *self, struct live *l, const struct tell *t,
                      const struct cached_post *posts[2]) {
    const int64_t ids[] = {t->post_id, t->entry.repost_of_id};
    size_t n = t->entry.repost_of_id != 0 ? 2 : 1;
    posts[0] = posts[1] = NULL;
    while (post_cache_get(self, l->gateway, ids, n, posts, NULL) != 0)
        if (!again(self, l)) return false;
    return true;
}

static void tell_edited(struct fiber *self, struct live *l, struct tell *t) {
    struct ids authors;
    const struct cached_post *posts[2];
    struct arena *a = fiber_arena(self);
    ids_init(&authors);
    find_authors(self, l, t, &authors);
    if (get_posts(self, l, t, posts) && posts[0] && !posts[0]->deleted) {
        struct rpc_shared *message = live_edited_message(live_tell_token(l, a, t), a, posts[0]);
        push_to(l, authors.v, authors.len, t, message, wants_change);
        rpc_shared_unref(message);
    }
    ids_free(&authors);
}

/* What the resuming viewer has done with the post, which may not be new to them. To others the post is new: they have
 * not liked or reposted it. */
static struct engaged engaged_in(const struct tell *t, int64_t post_id) {
    const struct replay *r = t->replay;
    return r ? shape_engaged_in(r->engaged, post_id) : (struct engaged){0};
}

static void tell_item(struct fiber *self, struct live *l, struct tell *t) {
    const struct cached_post *posts[2];
    if (!get_posts(self, l, t, posts)) return;
    const struct cached_post *entry = posts[0], *shown = t->entry.repost_of_id != 0 ? posts[1] : posts[0];
    if (!entry || !shown || entry->deleted || shown->deleted) return;
    char *token = live_tell_token(l, fiber_arena(self), t);
    struct rpc_shared *message =
        live_item_message(self, l->gateway, token, entry, shown, engaged_in(t, shown->lru.id));
    push_to(l, &t->account_id, 1, t, message, wants_entry);
    rpc_shared_unref(message);
}

void live_tell(struct fiber *self, struct live *l, struct tell *t) {
    switch (t->kind) {
    case TELL_ITEM: tell_item(self, l, t); return;
    case TELL_EDITED: tell_edited(self, l, t); return;
    case TELL_DELETED: tell_deleted(self, l, t); return;
    case TELL_SESSIONS: check_account(self, l, t->account_id); return;
    case TELL_RELATIONS: return; /* its streams were reset when it was heard */
    }
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
    uint64_t n_forgot = l->n_forgot;
    struct tell *batch = arena_memdup(fiber_arena(self), l->queue, n * sizeof *batch);
    l->queue_len -= n;
    assert(l->queue_len <= LIVE_QUEUE_CAP - n);
    for (size_t i = 0; i < l->queue_len; i++) l->queue[i] = l->queue[i + n];
    live_load_ahead(self, l, batch, n);
    for (size_t i = 0; i < n && l->n_forgot == n_forgot; i++) {
        /* The events between concern no subscriber here. */
        assert(batch[i].number > l->places.n_told);
        places_tell(&l->places, batch[i].number - 1);
        live_tell(self, l, &batch[i]);
        if (l->n_forgot == n_forgot) places_tell(&l->places, batch[i].number);
    }
    if (l->queue_len == 0) places_tell(&l->places, l->places.n_heard);
}

void live_feeder(struct fiber *self, void *arg) {
    struct live *l = arg;
    while (!l->stopping) {
        l->feeding = l->queue_len > 0;
        if (l->feeding)
            feed_batch(self, l);
        else if (condition_wait(self, &l->wake) != 0)
            break;
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}

static void beat(struct fiber *self, struct live *l) {
    struct rpc_shared *message = live_heartbeat(live_position_token(l, fiber_arena(self), l->places.told));
    push_to_all(l, message);
    rpc_shared_unref(message);
}

/* Those that expire; now and then all, since the event of a session's end may be missed. */
static void check_sessions_in_time(struct fiber *self, struct live *l, int64_t now_ns, bool all) {
    all = all || l->sessions_due;
    l->sessions_due = false;
    check_expiring(self, l, all ? INT64_MAX : now_ns);
}

void live_heart(struct fiber *self, void *arg) {
    struct live *l = arg;
    int64_t every_ns = l->gateway->domain.config->heartbeat_ms * NS_PER_MS;
    int64_t beat_ns = clock_mono_ns() + every_ns, expiry_ns = 0, sessions_ns = 0;
    while (!l->stopping && fiber_sleep_ms(self, TICK_MS) == 0) {
        int64_t now_ns = clock_mono_ns();
        l->subscribers->value = (double)l->n_all;
        if (!list_empty(&l->due)) condition_signal(&l->wake_resetter);
        if (now_ns >= beat_ns) {
            beat_ns = now_ns + every_ns;
            beat(self, l);
        }
        if (now_ns >= expiry_ns) {
            bool all = now_ns >= sessions_ns;
            expiry_ns = now_ns + EXPIRY_EVERY_NS;
            if (all) sessions_ns = now_ns + SESSIONS_EVERY_NS;
            check_sessions_in_time(self, l, now_ns, all);
        }
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}
