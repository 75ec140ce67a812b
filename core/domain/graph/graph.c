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

#include <assert.h>

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
    assert(c->actor != 0);
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

/* What a statement has found and done. */
struct outcome {
    bool there; /* the target */
    bool changed;
    /* follow alone */
    bool blocked, full, was_so;
    /* block alone: bits of which follows ended, 1 the actor's, 2 the target's */
    int64_t ended;
};

static void read_outcome(const struct pg_stmt *stmt, const struct pg_result *r, struct outcome *out) {
    struct pg_row row = pg_read(r);
    *out = (struct outcome){0};
    pg_next(&row);
    out->there = pg_take_bool(&row);
    out->changed = pg_take_bool(&row);
    if (stmt == &GRAPH_FOLLOW) {
        out->blocked = pg_take_bool(&row);
        out->full = pg_take_bool(&row);
        out->was_so = pg_take_bool(&row);
    }
    if (stmt == &GRAPH_BLOCK) out->ended = pg_take_i64(&row);
    pg_end(&row);
    assert(!(out->changed && (out->blocked || out->full)) && out->ended >= 0 && out->ended <= 3);
}

/* Locks, then the statement, in one transaction. */
static int transact(struct fiber *self, struct domain *d, const struct change *c, const struct pg_stmt *stmt,
                    const struct pg_args *args, struct outcome *out, struct fault *fault) {
    struct pg_args pair, follower;
    pg_args_init(&pair, fiber_arena(self));
    pg_args_add(&pair, pg_i64(c->actor), pg_i64(c->target));
    pg_args_init(&follower, fiber_arena(self));
    pg_args_add(&follower, pg_i64(c->actor));
    struct pg_call calls[3];
    struct pg_result *results[3];
    size_t n = 0;
    calls[n++] = (struct pg_call){&GRAPH_LOCK_PAIR, &pair};
    if (stmt == &GRAPH_FOLLOW) calls[n++] = (struct pg_call){&GRAPH_LOCK_FOLLOWER, &follower};
    calls[n++] = (struct pg_call){stmt, args};
    int e = pg_exec_all(self, d->pg, calls, n, results, fault);
    if (e != 0) return e;
    read_outcome(stmt, results[n - 1], out);
    if (!out->there)
        return fault_field(fault, ERR_NOT_FOUND, "account_id", "there is no account with this account_id");
    return 0;
}

enum seen_by { ACTOR_ONLY, BOTH };

/* Steps 2 to 4. */
static int announce(struct fiber *self, struct domain *d, const struct change *c,
                    const struct event_record *record, bool changed, enum seen_by whose, size_t rebuild,
                    struct fault *fault) {
    const int64_t accounts[] = {c->actor, c->target};
    size_t n = whose == BOTH ? 2 : 1;
    assert(rebuild <= n); /* a list that is rebuilt is seen by its owner */
    int e = tokens_relations_changed(self, d, accounts, n, accounts, rebuild);
    if (e == 0) {
        if (changed) outbox_publish(self, d, record, 1); /* if it fails, the relay publishes it */
        return 0;
    }
    return fault_set(fault, ERR_UNAVAILABLE,
                     "the change is stored but not yet visible everywhere: try again");
}

static void base_args(struct fiber *self, struct pg_args *args, const struct change *c,
                      const struct event_record *r) {
    pg_args_init(args, fiber_arena(self));
    pg_args_add(args, pg_i64(c->actor), pg_i64(c->target), OUTBOX_ROW(r));
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
    struct outcome done;
    e = transact(self, d, c, stmt, &args, &done, fault);
    return e != 0 ? e : announce(self, d, c, &record, done.changed, whose, rebuild, fault);
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
    pg_args_add(&args, pg_i64(MAX_FOLLOWING));
    struct outcome done;
    e = transact(self, d, &c, &GRAPH_FOLLOW, &args, &done, fault);
    if (e != 0) return e;
    if (done.blocked)
        return fault_set(fault, ERR_PERMISSION_DENIED, "one of the two accounts has blocked the other");
    if (done.full && !done.was_so)
        return fault_set(fault, ERR_FAILED_PRECONDITION, "an account can follow at most %d others",
                         MAX_FOLLOWING);
    return announce(self, d, &c, &record, done.changed, ACTOR_ONLY, 1, fault);
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
    for (int i = 1; i < 4; i++) pg_args_add(&args, pg_bytes(variants[i].payload));
    struct outcome done;
    e = transact(self, d, &c, &GRAPH_BLOCK, &args, &done, fault);
    if (e != 0) return e;
    return announce(self, d, &c, &variants[done.ended], done.changed, BOTH, 0, fault);
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
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, which == GRAPH_FOLLOWERS ? &GRAPH_LIST_FOLLOWERS : &GRAPH_LIST_FOLLOWING, &r,
                   fault, pg_i64(account_id), pg_i64(before), pg_i64(viewer_id), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct graph_edge, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) {
        struct graph_edge *edge = &(*out)[*n];
        edge->account.id = pg_take_i64(&row);
        edge->account.handle = pg_take_str(&row);
        edge->account.display_name = pg_take_str(&row);
        edge->id = pg_take_i64(&row);
    }
    assert(*n <= (size_t)limit);
    return 0;
}

int graph_standing(struct fiber *self, struct domain *d, int64_t viewer, int64_t other,
                   struct graph_standing *out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &GRAPH_STANDING, &r, fault, pg_i64(viewer), pg_i64(other));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    pg_next(&row);
    out->followed = pg_take_bool(&row);
    out->follows = pg_take_bool(&row);
    out->blocked_by_viewer = pg_take_bool(&row);
    out->muted_by_viewer = pg_take_bool(&row);
    out->blocks_viewer = pg_take_bool(&row);
    pg_end(&row);
    return 0;
}
