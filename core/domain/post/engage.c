/* Likes and reposts.
 *
 * A like: one statement inserts it, if the post may be seen, with its outbox row; the event is published (counts);
 * the liker's likes token moves, so that every gateway shows it as liked from the next read on (P6). A repost is an
 * entry of its own and travels like a post: the fan-out delivers it. Each is idempotent: a call that changes nothing
 * writes and publishes nothing, and only moves the token again.
 */
#include <assert.h>
#include <string.h>

#include "core/domain/post/engage.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/event/keys.h"
#include "core/event/tokens.h"

/* ---- the common road ----------------------------------------------------------------------------------- */

static int run_engagement(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t actor,
                          int64_t post_id, const struct event_record *record, bool *changed,
                          struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, stmt, &r, fault, pg_i64(actor), pg_i64(post_id), OUTBOX_ROW(record));
    return e != 0 ? e : post_read_engagement(r, changed, fault);
}

int post_read_engagement(const struct pg_result *r, bool *changed, struct fault *fault) {
    struct pg_row row = pg_read(r);
    bool found = pg_next(&row), blocked = false;
    if (found) {
        blocked = pg_take_bool(&row);
        *changed = pg_take_bool(&row);
        pg_end(&row);
    }
    /* One answer for both: who is blocked is not told that there is such a post. */
    if (!found || blocked)
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    return 0;
}

int post_move_engagement_token(struct fiber *self, struct domain *d, int64_t account_id,
                               struct fault *fault) {
    if (tokens_likes_changed(self, d, account_id) == 0) return 0;
    return fault_set(fault, ERR_UNAVAILABLE,
                     "the change is stored but not yet visible everywhere: try again");
}

static int like_or_unlike(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, Event *event,
                          int64_t post_id, struct fault *fault) {
    Rookery__Events__V1__Liked liked = ROOKERY__EVENTS__V1__LIKED__INIT;
    liked.post_id = post_id;
    event->liked = &liked; /* unliked shares this place in the oneof */
    int e = domain_next_id(d, &event->id, fault);
    if (e != 0) return e;
    struct event_record record = event_encode(fiber_arena(self), event, d->config->partitions);
    bool changed;
    e = run_engagement(self, d, stmt, event->actor_id, post_id, &record, &changed, fault);
    if (e != 0) return e;
    if (changed) outbox_publish(self, d, &record, 1);
    return post_move_engagement_token(self, d, event->actor_id, fault);
}

int post_like(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault) {
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_LIKED;
    return like_or_unlike(self, d, &POST_LIKE, &event, post_id, fault);
}

int post_unlike(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault) {
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_UNLIKED;
    return like_or_unlike(self, d, &POST_UNLIKE, &event, post_id, fault);
}

/* ---- reposts ------------------------------------------------------------------------------------------- */

static int find_repost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id,
                       int64_t *repost_id, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_FIND_REPOST, &r, fault, pg_i64(actor), pg_i64(post_id));
    if (e == 0) *repost_id = pg_only_i64(r);
    return e;
}

int post_repost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, bool author_pulled,
                int64_t *repost_id, struct fault *fault) {
    struct post original;
    int e = post_load_one(self, d, post_id, &original, fault);
    if (e != 0) return e;
    Rookery__Events__V1__PostCreated created = ROOKERY__EVENTS__V1__POST_CREATED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    created.post_id = event.id;
    created.repost_of_id = post_id;
    created.repost_of_author_id = original.entry.author_id;
    created.pulled = author_pulled;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED;
    event.post_created = &created;
    struct event_record record = event_encode(fiber_arena(self), &event, d->config->partitions);
    bool changed;
    e = run_engagement(self, d, &POST_REPOST, actor, post_id, &record, &changed, fault);
    if (e != 0) return e;
    *repost_id = event.id;
    if (!changed) e = find_repost(self, d, actor, post_id, repost_id, fault);
    if (e == 0 && *repost_id == 0)
        e = fault_set(fault, ERR_ABORTED, "the repost was taken back meanwhile: try again");
    if (e == 0) e = post_announce(self, d, changed ? &record : NULL, actor, *repost_id, fault);
    return e != 0 ? e : post_move_engagement_token(self, d, actor, fault);
}

static int find_last_repost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id,
                            int64_t *repost_id, bool *gone, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_FIND_LAST_REPOST, &r, fault, pg_i64(actor), pg_i64(post_id));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    *repost_id = pg_take_i64(&row);
    *gone = pg_take_bool(&row);
    pg_end(&row);
    return 0;
}

static int take_back(struct fiber *self, struct domain *d, const Event *event, int64_t repost_id,
                     bool *changed, struct fault *fault) {
    struct event_record record = event_encode(fiber_arena(self), event, d->config->partitions);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_UNREPOST, &r, fault, pg_i64(repost_id), OUTBOX_ROW(&record));
    *changed = e == 0 && pg_only_bool(r);
    return e;
}

int post_unrepost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, int64_t *repost_id,
                  struct fault *fault) {
    bool gone = false, changed = false;
    *repost_id = 0;
    int e = find_last_repost(self, d, actor, post_id, repost_id, &gone, fault);
    if (e != 0) return e;
    if (*repost_id == 0) return post_move_engagement_token(self, d, actor, fault);
    Rookery__Events__V1__PostDeleted deleted = ROOKERY__EVENTS__V1__POST_DELETED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    deleted.post_id = *repost_id;
    deleted.repost_of_id = post_id;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_DELETED;
    event.post_deleted = &deleted;
    if (!gone) e = take_back(self, d, &event, *repost_id, &changed, fault);
    if (e == 0) e = post_publish_or_fail(self, d, &event, changed, fault);
    return e != 0 ? e : post_move_engagement_token(self, d, actor, fault);
}

/* ---- accounts that liked or reposted ------------------------------------------------------------------- */

/* Rows of an account and an id. */
static void read_actors(const struct pg_result *r, int limit, struct arena *a, struct post_actor **out,
                        size_t *n) {
    assert(limit > 0);
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(a, struct post_actor, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) {
        (*out)[*n].account_id = pg_take_i64(&row);
        (*out)[*n].id = pg_take_i64(&row);
    }
    assert(*n <= (size_t)limit);
}

int post_reposts(struct fiber *self, struct domain *d, int64_t post_id, int64_t after, int limit,
                 struct post_actor **out, size_t *n, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_REPOSTS, &r, fault, pg_i64(post_id), pg_i64(after), pg_i64(limit));
    if (e == 0) read_actors(r, limit, fiber_arena(self), out, n);
    return e;
}

int post_actors(struct fiber *self, struct domain *d, enum post_list which, int64_t post_id,
                int64_t viewer_id, int64_t before, int limit, struct post_actor **out, size_t *n,
                struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, which == POST_LIST_LIKES ? &POST_LIKERS : &POST_REPOSTERS, &r, fault,
                   pg_i64(post_id), pg_i64(viewer_id), pg_i64(before), pg_i64(limit));
    if (e == 0) read_actors(r, limit, fiber_arena(self), out, n);
    return e;
}

/* ---- the viewer's own ---------------------------------------------------------------------------------- */

/* Enough for all that a home timeline can show to a viewer who likes most of it. */
#define ENGAGEMENTS_KEPT 2000

/* A full list is incomplete below its lowest id. */
static int64_t take_ids(struct ids *out, struct pg_row *row, struct arena *a) {
    int64_t *v;
    size_t n = pg_take_i64_array(row, a, &v);
    ids_init(out);
    for (size_t i = 0; i < n; i++) ids_push(out, v[i]);
    ids_sort_unique(out);
    return n == ENGAGEMENTS_KEPT ? out->v[0] : 0;
}

void engaged_init(struct ids of[static ENGAGEMENT_KINDS]) {
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) ids_init(&of[kind]);
}

void engaged_free(struct ids of[static ENGAGEMENT_KINDS]) {
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) ids_free(&of[kind]);
}

void engagements_index(struct engagements *e) {
    memset(e->any, 0, sizeof e->any);
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) {
        assert(ids_are_sorted_unique(e->of[kind].v, e->of[kind].len));
        for (size_t i = 0; i < e->of[kind].len; i++) {
            uint64_t bit = engagements_bit(e->of[kind].v[i]);
            e->any[bit / 64] |= UINT64_C(1) << bit % 64;
        }
    }
}

int post_engagements(struct fiber *self, struct domain *d, int64_t viewer_id, struct engagements *out,
                     struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_ENGAGEMENTS, &r, fault, pg_i64(viewer_id), pg_i64(ENGAGEMENTS_KEPT));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    pg_next(&row);
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) {
        out->floor[kind] = take_ids(&out->of[kind], &row, fiber_arena(self));
        assert(out->of[kind].len <= ENGAGEMENTS_KEPT);
    }
    pg_end(&row);
    engagements_index(out);
    return 0;
}

void engagements_free(struct engagements *e) {
    engaged_free(e->of);
}

int post_engaged_in(struct fiber *self, struct domain *d, int64_t viewer_id, const int64_t *ids, size_t n,
                    struct ids out[static ENGAGEMENT_KINDS], struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_ENGAGED_IN, &r, fault, pg_i64(viewer_id), pg_i64_array(ids, n));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    pg_next(&row);
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++) {
        take_ids(&out[kind], &row, fiber_arena(self));
        assert(out[kind].len <= n);
    }
    pg_end(&row);
    return 0;
}
