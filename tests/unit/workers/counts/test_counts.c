/* Counts, against a real PostgreSQL: what each event adds, and that it is added once, however often and wherever the
 * event comes, and never for a change that a restore has lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/id/snowflake.h"
#include "core/store/migrate/migrate.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"
#include "workers/counts/counts.h"

enum { PARTITIONS = 4, ANN = 1, BOB = 2, POST = 7, OTHER_POST = 8, MOST_EVENTS = 64 };

struct world {
    struct postgres *postgres;
    void (*fn)(struct fiber *self, struct world *w);
    struct worker worker;
    struct item items[MOST_EVENTS]; /* the batch that is made */
    size_t n;
};

/* Everything as after a migration, with two accounts. There is an epoch, from before the server was started. */
static const char CLEAN[] =
    "SET client_min_messages = warning;"
    "TRUNCATE outbox, counted_events, post_counts, redis_epochs, accounts CASCADE;"
    "UPDATE upkeep SET counted_below = 0;"
    "INSERT INTO accounts (id, handle, display_name, password_hash) VALUES (1, 'ann', 'A', '-'), (2, 'bob', "
    "'B', '-');"
    "INSERT INTO account_stats (account_id) VALUES (1), (2);"
    "INSERT INTO redis_epochs (epoch, run_id, opened_at, database, server_started)"
    " SELECT 1, 'r', now() - interval '1 year', oid, now() - interval '2 years'"
    " FROM pg_database WHERE datname = current_database()";

static void in_world(struct fiber *self, void *arg) {
    struct world *w = arg;
    struct pg_options o = {
        .url = w->postgres->url, .connections = 2, .pipeline = 8, .application_name = "test"};
    w->worker.domain = (struct domain){.loop = fiber_loop(self)};
    w->worker.domain.pg = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK_INT(pg_wait_ready(self, w->worker.domain.pg), 0);
    CHECK(postgres_try(w->postgres, CLEAN));
    w->fn(self, w);
    pg_close(self, w->worker.domain.pg, 1000);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct world *w);                                            \
    static void name(void **state) {                                                                         \
        struct world w = {.postgres = *state, .fn = name##_body};                                            \
        run_in_fiber(in_world, &w);                                                                          \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct world *w)

static int database_setup(void **state) {
    char wrong[512] = "";
    postgres_setup(state);
    const struct postgres *p = *state;
    if (migrate_run(p->url, PARTITIONS, NULL, wrong, sizeof wrong) != 0) fail_msg("%s", wrong);
    return 0;
}

/* ---- events -------------------------------------------------------------------------------------------- */

/* An id of a change made so long ago. */
static int64_t id_of(int64_t ms_ago) {
    static int64_t number;
    return snowflake_floor(clock_wall_ms() - ms_ago) + number++ % 4096;
}

/* Adds an event of this kind to the batch, to be filled in. */
static Event *add_as(struct fiber *self, struct world *w, enum event_kind kind, int64_t id) {
    Event *e = ARENA_NEW(fiber_arena(self), Event);
    rookery__events__v1__event__init(e);
    e->id = id;
    e->actor_id = ANN;
    e->what_case = (Rookery__Events__V1__Event__WhatCase)kind;
    CHECK(w->n < MOST_EVENTS);
    w->items[w->n++] = (struct item){.event = e};
    return e;
}

/* Of a change that is in the database: it has its row in the outbox. */
static Event *add(struct fiber *self, struct world *w, enum event_kind kind) {
    char sql[128];
    Event *e = add_as(self, w, kind, id_of(0));
    snprintf(sql, sizeof sql, "INSERT INTO outbox (id, partition, payload) VALUES (%lld, 0, '')",
             (long long)e->id);
    CHECK(postgres_try(w->postgres, sql));
    return e;
}

static Rookery__Events__V1__Liked *liked(struct fiber *self) {
    Rookery__Events__V1__Liked *m = ARENA_NEW(fiber_arena(self), Rookery__Events__V1__Liked);
    rookery__events__v1__liked__init(m);
    m->post_id = POST;
    return m;
}

static Rookery__Events__V1__Related *bob(struct fiber *self) {
    Rookery__Events__V1__Related *m = ARENA_NEW(fiber_arena(self), Rookery__Events__V1__Related);
    rookery__events__v1__related__init(m);
    m->target_id = BOB;
    return m;
}

static Rookery__Events__V1__PostCreated *created(struct fiber *self) {
    Rookery__Events__V1__PostCreated *m = ARENA_NEW(fiber_arena(self), Rookery__Events__V1__PostCreated);
    rookery__events__v1__post_created__init(m);
    m->post_id = OTHER_POST;
    return m;
}

static Rookery__Events__V1__PostDeleted *deleted(struct fiber *self) {
    Rookery__Events__V1__PostDeleted *m = ARENA_NEW(fiber_arena(self), Rookery__Events__V1__PostDeleted);
    rookery__events__v1__post_deleted__init(m);
    m->post_id = OTHER_POST;
    return m;
}

static void add_like(struct fiber *self, struct world *w) {
    add(self, w, EVENT_LIKED)->liked = liked(self);
}

/* Gives the batch to the role, from the event `from` on. */
static void count_from(struct fiber *self, struct world *w, size_t from) {
    struct fault fault = {0};
    const struct batch b = {.items = w->items + from, .n = w->n - from};
    if (!CHECK_INT(COUNTS_ROLE.handle(self, &w->worker, &b, &fault), 0))
        fprintf(stderr, "# %s\n", fault.text);
}

/* Gives it the whole batch, and begins another. */
static void count(struct fiber *self, struct world *w) {
    count_from(self, w, 0);
    w->n = 0;
}

/* ---- what was counted ---------------------------------------------------------------------------------- */

static int64_t of_post(struct world *w, int64_t post, const char *what) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT coalesce(sum(%s), 0) FROM post_counts WHERE post_id = %lld", what,
             (long long)post);
    return postgres_number(w->postgres, sql);
}

static int64_t of_account(struct world *w, int64_t account, const char *what) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT %s_count FROM account_stats WHERE account_id = %lld", what,
             (long long)account);
    return postgres_number(w->postgres, sql);
}

static int64_t likes(struct world *w) {
    return of_post(w, POST, "likes");
}

/* All that is not 0. */
static int64_t sum_of_accounts(struct world *w) {
    return postgres_number(w->postgres,
                           "SELECT sum(abs(post_count) + abs(following_count) + abs(follower_count))"
                           " FROM account_stats");
}

static int64_t sum_of_posts(struct world *w) {
    return postgres_number(
        w->postgres, "SELECT coalesce(sum(abs(likes) + abs(reposts) + abs(replies)), 0) FROM post_counts");
}

/* ---- what an event adds -------------------------------------------------------------------------------- */

TEST(a_like_is_counted_until_it_is_taken_back) {
    add_like(self, w);
    count(self, w);
    CHECK_INT(likes(w), 1);
    CHECK_INT(sum_of_posts(w), 1);
    CHECK_INT(sum_of_accounts(w), 0);
    add(self, w, EVENT_UNLIKED)->unliked = liked(self);
    count(self, w);
    CHECK_INT(likes(w), 0);
}

TEST(a_post_is_one_of_its_author_s) {
    add(self, w, EVENT_POST_CREATED)->post_created = created(self);
    count(self, w);
    CHECK_INT(of_account(w, ANN, "post"), 1);
    CHECK_INT(sum_of_posts(w), 0);
    add(self, w, EVENT_POST_DELETED)->post_deleted = deleted(self);
    count(self, w);
    CHECK_INT(sum_of_accounts(w), 0);
}

TEST(a_reply_is_also_one_of_what_it_replies_to) {
    Rookery__Events__V1__PostCreated *m = created(self);
    m->reply_to_id = POST;
    add(self, w, EVENT_POST_CREATED)->post_created = m;
    count(self, w);
    CHECK_INT(of_post(w, POST, "replies"), 1);
    CHECK_INT(of_account(w, ANN, "post"), 1);
    CHECK_INT(sum_of_posts(w), 1);
    Rookery__Events__V1__PostDeleted *gone = deleted(self);
    gone->reply_to_id = POST;
    add(self, w, EVENT_POST_DELETED)->post_deleted = gone;
    count(self, w);
    CHECK_INT(sum_of_posts(w), 0);
    CHECK_INT(sum_of_accounts(w), 0);
}

TEST(a_repost_is_one_of_the_post_and_no_post) {
    Rookery__Events__V1__PostCreated *m = created(self);
    m->repost_of_id = POST;
    add(self, w, EVENT_POST_CREATED)->post_created = m;
    count(self, w);
    CHECK_INT(of_post(w, POST, "reposts"), 1);
    CHECK_INT(sum_of_posts(w), 1);
    CHECK_INT(sum_of_accounts(w), 0);
    Rookery__Events__V1__PostDeleted *gone = deleted(self);
    gone->repost_of_id = POST;
    add(self, w, EVENT_POST_DELETED)->post_deleted = gone;
    count(self, w);
    CHECK_INT(sum_of_posts(w), 0);
}

TEST(a_follow_counts_for_both) {
    add(self, w, EVENT_FOLLOWED)->followed = bob(self);
    count(self, w);
    CHECK_INT(of_account(w, ANN, "following"), 1);
    CHECK_INT(of_account(w, BOB, "follower"), 1);
    CHECK_INT(sum_of_accounts(w), 2);
    add(self, w, EVENT_UNFOLLOWED)->unfollowed = bob(self);
    count(self, w);
    CHECK_INT(sum_of_accounts(w), 0);
}

TEST(a_block_takes_back_the_follows_that_it_ended) {
    CHECK(postgres_try(w->postgres, "UPDATE account_stats SET following_count = 5, follower_count = 5"));
    for (int ended = 0; ended < 4; ended++) {
        Rookery__Events__V1__Related *m = bob(self);
        m->ended_following = ended & 1;
        m->ended_being_followed = ended >> 1;
        add(self, w, EVENT_BLOCKED)->blocked = m;
    }
    Rookery__Events__V1__Related *m = bob(self); /* so that the two directions differ */
    m->ended_following = true;
    add(self, w, EVENT_BLOCKED)->blocked = m;
    count(self, w);
    CHECK_INT(of_account(w, ANN, "following"), 2);
    CHECK_INT(of_account(w, BOB, "follower"), 2);
    CHECK_INT(of_account(w, ANN, "follower"), 3);
    CHECK_INT(of_account(w, BOB, "following"), 3);
}

TEST(other_events_change_nothing) {
    add(self, w, EVENT_MUTED)->muted = bob(self);
    add(self, w, EVENT_UNBLOCKED)->unblocked = bob(self);
    add(self, w, EVENT_UNKNOWN);
    count(self, w);
    CHECK_INT(sum_of_posts(w) + sum_of_accounts(w), 0);
}

/* ---- once ---------------------------------------------------------------------------------------------- */

TEST(what_comes_again_changes_nothing) {
    add_like(self, w);
    add(self, w, EVENT_FOLLOWED)->followed = bob(self);
    w->items[w->n++] = w->items[0]; /* in one batch */
    w->items[w->n++] = w->items[1];
    count_from(self, w, 0);
    add_like(self, w);
    count_from(self, w, 0); /* with a new one */
    count_from(self, w, 3);
    CHECK_INT(likes(w), 2);
    CHECK_INT(of_account(w, ANN, "following"), 1);
    CHECK_INT(of_account(w, BOB, "follower"), 1);
}

struct other {
    struct world *world;
    struct latch counted;
};

static void count_too(struct fiber *self, void *arg) {
    struct other *o = arg;
    for (size_t from = 0; from < MOST_EVENTS; from += 16) count_from(self, o->world, from);
    latch_done(&o->counted);
}

/* On two connections: each has rows that the other wants. */
TEST(two_workers_at_once_count_once) {
    struct other o = {.world = w};
    latch_init(&o.counted, 1);
    while (w->n < MOST_EVENTS / 2) add_like(self, w);
    while (w->n < MOST_EVENTS) add(self, w, EVENT_FOLLOWED)->followed = bob(self);
    start_fiber(self, count_too, &o);
    for (size_t from = 0; from < MOST_EVENTS; from += 16) count_from(self, w, from);
    CHECK_INT(latch_wait(self, &o.counted), 0);
    CHECK_INT(likes(w), MOST_EVENTS / 2);
    CHECK_INT(of_account(w, BOB, "follower"), MOST_EVENTS / 2);
}

TEST(what_only_repeats_a_change_is_not_counted) {
    add_like(self, w);
    w->items[0].event->repeat = true;
    count(self, w);
    CHECK_INT(likes(w), 0);
}

/* Such an event is counted, and its entry in counted_events may be gone. */
TEST(below_the_mark_nothing_is_counted) {
    char sql[96];
    add_like(self, w);
    add_like(self, w);
    snprintf(sql, sizeof sql, "UPDATE upkeep SET counted_below = %lld", (long long)w->items[1].event->id);
    CHECK(postgres_try(w->postgres, sql));
    count(self, w);
    CHECK_INT(likes(w), 1);
}

/* ---- of a database that went back ---------------------------------------------------------------------- */

static void add_lost(struct fiber *self, struct world *w, int64_t id) {
    add_as(self, w, EVENT_LIKED, id)->liked = liked(self);
}

TEST(a_lost_change_is_not_counted) {
    add_lost(self, w, id_of(0));
    add_like(self, w);
    count(self, w);
    CHECK_INT(likes(w), 1);
}

TEST(the_row_of_an_old_change_may_be_gone) {
    add_lost(self, w, id_of(11 * 60 * 1000));
    add_lost(self, w, id_of(5 * 60 * 1000)); /* this one may not */
    count(self, w);
    CHECK_INT(likes(w), 1);
}

/* The newest epoch was opened in an hour. */
static int64_t open_epoch(struct world *w) {
    int64_t opened_ms = clock_wall_ms() + 3600 * 1000;
    char sql[160];
    snprintf(sql, sizeof sql,
             "UPDATE redis_epochs SET opened_at = to_timestamp(%lld / 1000.0),"
             " server_started = pg_postmaster_start_time()",
             (long long)opened_ms);
    CHECK(postgres_try(w->postgres, sql));
    return opened_ms;
}

/* A dump has taken the database's place, a standby the server's; or an older release opened the epoch, and nobody knows
 * where. */
TEST(an_epoch_of_another_database_vouches_for_nothing) {
    static const char *const others[] = {"database = 1", "database = NULL",
                                         "server_started = server_started - interval '1 day'",
                                         "server_started = NULL"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int64_t opened_ms = open_epoch(w);
        char sql[96];
        snprintf(sql, sizeof sql, "UPDATE redis_epochs SET %s", others[i]);
        CHECK(postgres_try(w->postgres, sql));
        add_lost(self, w, snowflake_floor(opened_ms + EPOCH_SLACK_S * 1000 + 1) + 1 + (int64_t)i);
        count(self, w);
        CHECK_INT(likes(w), 0);
        CHECK(postgres_try(w->postgres, "UPDATE redis_epochs SET database = oid FROM pg_database"
                                        " WHERE datname = current_database()"));
    }
}

/* The newest epoch was opened since the server was started: what is younger than that, and the slack, is not lost. */
TEST(an_event_of_an_epoch_since_the_start_needs_no_row) {
    int64_t opened_ms = open_epoch(w);
    add_lost(self, w, snowflake_floor(opened_ms + EPOCH_SLACK_S * 1000 + 1) + 1);
    add_lost(self, w, snowflake_floor(opened_ms + EPOCH_SLACK_S * 1000 - 1));
    count(self, w);
    CHECK_INT(likes(w), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_like_is_counted_until_it_is_taken_back),
        cmocka_unit_test(a_post_is_one_of_its_author_s),
        cmocka_unit_test(a_reply_is_also_one_of_what_it_replies_to),
        cmocka_unit_test(a_repost_is_one_of_the_post_and_no_post),
        cmocka_unit_test(a_follow_counts_for_both),
        cmocka_unit_test(a_block_takes_back_the_follows_that_it_ended),
        cmocka_unit_test(other_events_change_nothing),
        cmocka_unit_test(what_comes_again_changes_nothing),
        cmocka_unit_test(two_workers_at_once_count_once),
        cmocka_unit_test(what_only_repeats_a_change_is_not_counted),
        cmocka_unit_test(below_the_mark_nothing_is_counted),
        cmocka_unit_test(a_lost_change_is_not_counted),
        cmocka_unit_test(the_row_of_an_old_change_may_be_gone),
        cmocka_unit_test(an_event_of_an_epoch_since_the_start_needs_no_row),
        cmocka_unit_test(an_epoch_of_another_database_vouches_for_nothing),
    };
    return cmocka_run_group_tests_name("counts", tests, database_setup, postgres_teardown);
}
