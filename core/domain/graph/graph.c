/* Follows, blocks and mutes.
 *
 * Each write, on the happy path:
 *   1. One transaction: an advisory lock on the pair (so that a follow and a block of the same two never
 *      overlap), then one statement that checks, changes, moves the follower version and writes the outbox row.
 *   2. The tokens of all accounts whose view changed move; timelines whose sources grew are deleted (tokens.h).
 *   3. The event is published: only now, so that an event which its writer published proves that 2 is done.
 *   4. The answer.
 * Failures: a crash between 1 and 3, or an unreachable Redis in 2, leaves the event to the relay. The relay marks its
 * events, and for these a worker does 2 (workers/timeline/fanout.c). A call that changes nothing, because the change
 * has been made, does 2 again as well: so a retry after UNAVAILABLE makes the change visible.
 */
#include "core/domain/graph/graph.h"

#include "core/domain/graph/graph.sql.h"
#include "core/domain/graph/relations.h"
#include "core/event/outbox.h"
#include "core/event/tokens.h"

/* ---- the writes ---------------------------------------------------------------------------------------- */

struct change {
    int64_t actor, target;
    Rookery__Events__V1__Event__WhatCase what;
    Rookery__Events__V1__Related related;
};

static struct event_record encode(struct fiber *self, struct domain *d, struct change *c, int64_t event_id) {
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    e.id = event_id;
    e.actor_id = c->actor;
    e.what_case = c->what;
    e.followed = &c->related; /* every Related shares this place in the oneof */
    return event_encode(fiber_arena(self), &e, d->config->partitions);
}

static int check_target(struct change *c, struct fault *fault) {
    rookery__events__v1__related__init(&c->related);
    c->related.target_id = c->target;
    if (c->target <= 0)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "account_id",
                           "account_id must be the id of an account");
    if (c->actor == c->target)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "account_id",
                           "account_id must be another account: one cannot follow, block or mute oneself");
    return 0;
}

/* Locks, then the statement, in one transaction. */
static int transact(struct fiber *self, struct domain *d, const struct change *c, const struct pg_stmt *stmt,
                    const struct pg_args *args, struct pg_result **out, struct fault *fault) {
    struct pg_args pair;
    pg_args_init(&pair, fiber_arena(self));
    pg_i64(&pair, c->actor);
    pg_i64(&pair, c->target);
    struct pg_args follower;
    pg_args_init(&follower, fiber_arena(self));
    pg_i64(&follower, c->actor);
    struct pg_call calls[3];
    struct pg_result *results[3];
    size_t n = 0;
    calls[n++] = (struct pg_call){&GRAPH_LOCK_PAIR, &pair};
    if (stmt == &GRAPH_FOLLOW) calls[n++] = (struct pg_call){&GRAPH_LOCK_FOLLOWER, &follower};
    calls[n++] = (struct pg_call){stmt, args};
    int e = pg_exec_all(self, d->pg, calls, n, results, fault);
    if (e != 0) return e;
    *out = results[n - 1];
    if (!pg_get_bool(*out, 0, 0))
        return fault_field(fault, ERR_NOT_FOUND, "account_id", "there is no account with this account_id");
    return 0;
}

enum seen_by { ACTOR_ONLY, BOTH };

/* Steps 2 to 4. answer: what transact got; its second column says whether anything changed. */
static int announce(struct fiber *self, struct domain *d, const struct change *c,
                    const struct event_record *record, const struct pg_result *answer, enum seen_by whose,
                    size_t rebuild, struct fault *fault) {
    const int64_t accounts[] = {c->actor, c->target};
    int e = tokens_relations_changed(self, d, accounts, whose == BOTH ? 2 : 1, accounts, rebuild);
    if (e == 0) {
        if (pg_get_bool(answer, 0, 1))
            outbox_publish(self, d, record, 1); /* if it fails, the relay publishes it */
        return 0;
    }
    return fault_set(fault, ERR_UNAVAILABLE,
                     "the change is stored but not yet visible everywhere: try again");
}

static void base_args(struct fiber *self, struct pg_args *args, const struct change *c,
                      const struct event_record *r) {
    pg_args_init(args, fiber_arena(self));
    pg_i64(args, c->actor);
    pg_i64(args, c->target);
    outbox_args(args, r);
}

/* A change of one row that affects only the actor's view. rebuild: 1 when more may be shown after it, else 0. */
static int simple_change(struct fiber *self, struct domain *d, struct change *c, const struct pg_stmt *stmt,
                         enum seen_by whose, size_t rebuild, struct fault *fault) {
    int64_t event_id;
    int e = check_target(c, fault);
    if (e == 0) e = domain_next_id(d, &event_id, fault);
    if (e != 0) return e;
    struct event_record record = encode(self, d, c, event_id);
    struct pg_args args;
    base_args(self, &args, c, &record);
    struct pg_result *r;
    e = transact(self, d, c, stmt, &args, &r, fault);
    return e != 0 ? e : announce(self, d, c, &record, r, whose, rebuild, fault);
}

int graph_follow(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_FOLLOWED};
    int64_t event_id;
    int e = check_target(&c, fault);
    if (e == 0) e = domain_next_id(d, &event_id, fault);
    if (e != 0) return e;
    struct event_record record = encode(self, d, &c, event_id);
    struct pg_args args;
    base_args(self, &args, &c, &record);
    pg_i64(&args, MAX_FOLLOWING);
    struct pg_result *r;
    e = transact(self, d, &c, &GRAPH_FOLLOW, &args, &r, fault);
    if (e != 0) return e;
    bool blocked = pg_get_bool(r, 0, 2), full = pg_get_bool(r, 0, 3), was_so = pg_get_bool(r, 0, 4);
    if (blocked)
        return fault_set(fault, ERR_PERMISSION_DENIED, "one of the two accounts has blocked the other");
    if (full && !was_so)
        return fault_set(fault, ERR_FAILED_PRECONDITION, "an account can follow at most %d others",
                         MAX_FOLLOWING);
    return announce(self, d, &c, &record, r, ACTOR_ONLY, 1, fault);
}

int graph_unfollow(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_UNFOLLOWED};
    return simple_change(self, d, &c, &GRAPH_UNFOLLOW, ACTOR_ONLY, 0, fault);
}

int graph_block(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_BLOCKED};
    int64_t event_id;
    int e = check_target(&c, fault);
    if (e == 0) e = domain_next_id(d, &event_id, fault);
    if (e != 0) return e;
    struct event_record variants[4];
    for (int i = 0; i < 4; i++) {
        c.related.ended_following = i & 1;
        c.related.ended_being_followed = i & 2;
        variants[i] = encode(self, d, &c, event_id);
    }
    struct pg_args args;
    base_args(self, &args, &c, &variants[0]);
    for (int i = 1; i < 4; i++) pg_bytes(&args, variants[i].payload);
    struct pg_result *r;
    e = transact(self, d, &c, &GRAPH_BLOCK, &args, &r, fault);
    if (e != 0) return e;
    return announce(self, d, &c, &variants[pg_get_i64(r, 0, 2) & 3], r, BOTH, 0, fault);
}

int graph_unblock(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_UNBLOCKED};
    return simple_change(self, d, &c, &GRAPH_UNBLOCK, BOTH, 2, fault);
}

int graph_mute(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_MUTED};
    return simple_change(self, d, &c, &GRAPH_MUTE, ACTOR_ONLY, 0, fault);
}

int graph_unmute(struct fiber *self, struct domain *d, int64_t actor, int64_t target, struct fault *fault) {
    struct change c = {.actor = actor, .target = target, .what = ROOKERY__EVENTS__V1__EVENT__WHAT_UNMUTED};
    return simple_change(self, d, &c, &GRAPH_UNMUTE, ACTOR_ONLY, 1, fault);
}

/* ---- the reads ----------------------------------------------------------------------------------------- */

int graph_list(struct fiber *self, struct domain *d, enum graph_list which, int64_t account_id,
               int64_t viewer_id, int64_t before, int limit, struct graph_edge **out, size_t *n,
               struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_i64(&args, before);
    pg_i64(&args, viewer_id);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, which == GRAPH_FOLLOWERS ? &GRAPH_LIST_FOLLOWERS : &GRAPH_LIST_FOLLOWING,
                    &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct graph_edge, *n);
    for (int i = 0; i < pg_rows(r); i++)
        (*out)[i] = (struct graph_edge){
            .account = {pg_get_i64(r, i, 0), pg_get_str(r, i, 1), pg_get_str(r, i, 2)},
            .id = pg_get_i64(r, i, 3),
        };
    return 0;
}

int graph_standing(struct fiber *self, struct domain *d, int64_t viewer, int64_t other,
                   struct graph_standing *out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, viewer);
    pg_i64(&args, other);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &GRAPH_STANDING, &args, &r, fault);
    if (e != 0) return e;
    *out = (struct graph_standing){
        .followed = pg_get_bool(r, 0, 0),
        .follows = pg_get_bool(r, 0, 1),
        .blocked_by_viewer = pg_get_bool(r, 0, 2),
        .muted_by_viewer = pg_get_bool(r, 0, 3),
        .blocks_viewer = pg_get_bool(r, 0, 4),
    };
    return 0;
}
