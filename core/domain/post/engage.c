/* Likes and reposts.
 *
 * A like: one statement inserts it, if the post may be seen, with its outbox row; the event is published (counts);
 * the liker's likes token moves, so that every gateway shows it as liked from the next read on (P6). A repost is an
 * entry of its own and travels like a post: the fan-out delivers it. Each is idempotent: a call that changes nothing
 * writes and publishes nothing, and only moves the token again.
 */
#include <string.h>

#include "core/domain/post/engage.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/event/keys.h"
#include "core/event/tokens.h"

/* ---- the common road ----------------------------------------------------------------------------------- */

static int run_engagement(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t actor,
                          int64_t post_id, const struct event_record *record, bool *changed,
                          struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, actor);
    pg_i64(&args, post_id);
    outbox_args(&args, record);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, stmt, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0)
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    if (pg_get_bool(r, 0, 0))
        return fault_set(fault, ERR_PERMISSION_DENIED, "one of the two accounts has blocked the other");
    *changed = pg_get_bool(r, 0, 1);
    return 0;
}

static int move_likes_token(struct fiber *self, struct domain *d, int64_t actor, struct fault *fault) {
    if (tokens_likes_changed(self, d, actor) == 0) return 0;
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
    return move_likes_token(self, d, event->actor_id, fault);
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
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, actor);
    pg_i64(&args, post_id);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_FIND_REPOST, &args, &r, fault);
    if (e == 0) *repost_id = pg_rows(r) > 0 ? pg_get_i64(r, 0, 0) : 0;
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
    return e != 0 ? e : move_likes_token(self, d, actor, fault);
}

static int find_last_repost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id,
                            int64_t *repost_id, bool *gone, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, actor);
    pg_i64(&args, post_id);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_FIND_LAST_REPOST, &args, &r, fault);
    if (e != 0 || pg_rows(r) == 0) return e;
    *repost_id = pg_get_i64(r, 0, 0);
    *gone = pg_get_bool(r, 0, 1);
    return 0;
}

static int take_back(struct fiber *self, struct domain *d, const Event *event, int64_t repost_id,
                     bool *changed, struct fault *fault) {
    struct event_record record = event_encode(fiber_arena(self), event, d->config->partitions);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, repost_id);
    outbox_args(&args, &record);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_UNREPOST, &args, &r, fault);
    *changed = e == 0 && pg_get_bool(r, 0, 0);
    return e;
}

int post_unrepost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, int64_t *repost_id,
                  struct fault *fault) {
    bool gone = false, changed = false;
    *repost_id = 0;
    int e = find_last_repost(self, d, actor, post_id, repost_id, &gone, fault);
    if (e != 0) return e;
    if (*repost_id == 0) return move_likes_token(self, d, actor, fault);
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
    return e != 0 ? e : move_likes_token(self, d, actor, fault);
}

/* ---- accounts that liked or reposted ------------------------------------------------------------------- */

/* Runs a statement whose columns are an account and an id. */
static int actor_list(struct fiber *self, struct domain *d, const struct pg_stmt *stmt,
                      const struct pg_args *args, struct post_actor **out, size_t *n, struct fault *fault) {
    struct pg_result *r;
    int e = pg_exec(self, d->pg, stmt, args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct post_actor, *n);
    for (int i = 0; i < pg_rows(r); i++)
        (*out)[i] = (struct post_actor){pg_get_i64(r, i, 0), pg_get_i64(r, i, 1)};
    return 0;
}

int post_reposts(struct fiber *self, struct domain *d, int64_t post_id, int64_t after, int limit,
                 struct post_actor **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, post_id);
    pg_i64(&args, after);
    pg_i64(&args, limit);
    return actor_list(self, d, &POST_REPOSTS, &args, out, n, fault);
}

int post_actors(struct fiber *self, struct domain *d, enum post_list which, int64_t post_id,
                int64_t viewer_id, int64_t before, int limit, struct post_actor **out, size_t *n,
                struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, post_id);
    pg_i64(&args, viewer_id);
    pg_i64(&args, before);
    pg_i64(&args, limit);
    return actor_list(self, d, which == POST_LIST_LIKES ? &POST_LIKERS : &POST_REPOSTERS, &args, out, n,
                      fault);
}

/* ---- the viewer's own ---------------------------------------------------------------------------------- */

/* Enough for all that a home timeline can show to a viewer who likes most of it. */
#define ENGAGEMENTS_KEPT 2000

/* A full list is incomplete below its lowest id. */
static int64_t take_ids(struct ids *out, const struct pg_result *r, int column, struct arena *a) {
    int64_t *v;
    size_t n = pg_get_i64_array(r, 0, column, a, &v);
    ids_init(out);
    for (size_t i = 0; i < n; i++) ids_push(out, v[i]);
    ids_sort_unique(out);
    return n == ENGAGEMENTS_KEPT ? out->v[0] : 0;
}

void engagements_index(struct engagements *e) {
    const struct ids *const lists[] = {&e->liked, &e->reposted};
    memset(e->either, 0, sizeof e->either);
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->len; i++) {
            uint64_t bit = engagements_bit(lists[l]->v[i]);
            e->either[bit / 64] |= UINT64_C(1) << bit % 64;
        }
}

int post_engagements(struct fiber *self, struct domain *d, int64_t viewer_id, struct engagements *out,
                     struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, viewer_id);
    pg_i64(&args, ENGAGEMENTS_KEPT);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_ENGAGEMENTS, &args, &r, fault);
    if (e != 0) return e;
    out->liked_floor = take_ids(&out->liked, r, 0, fiber_arena(self));
    out->reposted_floor = take_ids(&out->reposted, r, 1, fiber_arena(self));
    engagements_index(out);
    return 0;
}

void engagements_free(struct engagements *e) {
    ids_free(&e->liked);
    ids_free(&e->reposted);
}

int post_engaged_in(struct fiber *self, struct domain *d, int64_t viewer_id, const int64_t *ids, size_t n,
                    struct ids *liked, struct ids *reposted, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, viewer_id);
    pg_i64_array(&args, ids, n);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_ENGAGED_IN, &args, &r, fault);
    if (e != 0) return e;
    take_ids(liked, r, 0, fiber_arena(self));
    take_ids(reposted, r, 1, fiber_arena(self));
    return 0;
}
