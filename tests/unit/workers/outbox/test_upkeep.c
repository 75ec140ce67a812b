/* Upkeep, against a real PostgreSQL and Redis: partitions are there before they are needed, and go when nobody can want
 * what is in them; how far all roles have come is known; sessions that are over are deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/support/worker_world.h"
#include "workers/outbox/outbox.h"

enum { AGO_H = 5, MS_PER_H = 3600 * 1000 };

/* As if the tables had been made long ago: one partition is long over, the next one goes up to now, and all that is
 * in them has been processed by every role. */
static const char AS_BEFORE[] =
    "TRUNCATE sessions;"
    "DO $$ DECLARE p text; u record; over bigint := upkeep_this_hour() - 4;"
    " BEGIN"
    " UPDATE upkeep SET processed_until = now(), counted_below = 0, counted_below_since = now();"
    " FOREACH p IN ARRAY ARRAY['outbox', 'counted_events'] LOOP"
    " FOR u IN SELECT * FROM upkeep_partitions(p) LOOP EXECUTE 'DROP TABLE ' || u.name; END LOOP;"
    " EXECUTE format('TRUNCATE %I', p);"
    " EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (MINVALUE) TO (%s)', p || '_until_' || "
    "over, p,"
    " upkeep_hour_id(over));"
    " EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)', p || '_until_' || over "
    "+ 5, p,"
    " upkeep_hour_id(over), upkeep_hour_id(over + 5));"
    " END LOOP; END $$";

#define TEST(name) WORKER_TEST(name, AS_BEFORE)

/* Of an hour that is long over. */
static int64_t old_id(void) {
    return worker_world_id(AGO_H * MS_PER_H);
}

/* A row of the outbox. published: SQL. */
static void write_row(struct worker_world *w, int64_t id, const char *published) {
    worker_world_do(w, "INSERT INTO outbox (id, partition, payload, published_at) VALUES (%lld, 0, '', %s)",
                    (long long)id, published);
}

static int64_t rows(struct worker_world *w) {
    return worker_world_number(w, "SELECT count(*) FROM outbox");
}

static int64_t partitions_over(struct worker_world *w, const char *table) {
    return worker_world_number(
        w, "SELECT count(*) FROM upkeep_partitions('%s') WHERE until <= upkeep_this_hour() - 3", table);
}

static void write_session(struct worker_world *w, int64_t id, const char *expires) {
    worker_world_do(
        w,
        "INSERT INTO accounts (id, handle, display_name, password_hash) VALUES (1, 'ann', 'A', '-')"
        " ON CONFLICT DO NOTHING;"
        "INSERT INTO sessions (id, account_id, token_hash, expires_at)"
        " VALUES (%lld, 1, int8send(%lld), %s)",
        (long long)id, (long long)id, expires);
}

/* A round ends with the sessions. */
static void await_round(struct fiber *self, struct worker_world *w) {
    worker_world_await(self, w, "NOT EXISTS (SELECT FROM sessions WHERE id = 1000)");
}

/* Upkeep starts, and its first round ends. */
static void do_round(struct fiber *self, struct worker_world *w) {
    write_session(w, 1000, "now() - interval '1 hour'");
    CHECK_INT(upkeep_start(&w->worker), 0);
    await_round(self, w);
}

/* Behind a round that has ended. */
static void await_next_round(struct fiber *self, struct worker_world *w) {
    write_session(w, 1000, "now() - interval '1 hour'");
    await_round(self, w);
}

/* ---- partitions ---------------------------------------------------------------------------------------- */

TEST(the_partitions_of_the_next_day_are_made) {
    static const char *const tables[] = {"outbox", "counted_events"};
    do_round(self, w);
    for (int i = 0; i < 2; i++)
        CHECK(
            worker_world_number(
                w,
                "SELECT count(*) FROM upkeep_partitions('%s') WHERE attached AND until > upkeep_this_hour()",
                tables[i]) >= 24);
    CHECK(worker_world_counter(w, "rookery_partitions_made_total") >= 2 * 23);
}

TEST(a_partition_with_nothing_that_is_wanted_is_dropped) {
    int64_t recent = worker_world_id(0);
    write_row(w, old_id(), "now() - interval '3 hours'");
    write_row(w, recent, "now() - interval '3 hours'");
    do_round(self, w);
    CHECK_INT(partitions_over(w, "outbox"), 0);
    CHECK_INT(rows(w), 1);
    CHECK_INT(worker_world_counter(w, "rookery_partitions_dropped_total"), 1);
}

static void stays(struct fiber *self, struct worker_world *w) {
    do_round(self, w);
    CHECK_INT(partitions_over(w, "outbox"), 1);
    CHECK_INT(rows(w), 2);
}

TEST(one_with_an_unpublished_row_stays) {
    write_row(w, old_id(), "now() - interval '3 hours'");
    write_row(w, old_id(), "NULL");
    stays(self, w);
}

/* A Redis that loses its data is to get it again. */
TEST(so_does_one_with_a_row_of_the_window) {
    write_row(w, old_id(), "now() - interval '3 hours'");
    write_row(w, old_id(), "now() - interval '50 minutes'");
    stays(self, w);
}

TEST(and_one_with_a_row_that_some_role_may_not_have_processed) {
    worker_world_do(w, "UPDATE upkeep SET processed_until = now() - interval '4 hours'");
    write_row(w, old_id(), "now() - interval '3 hours'");
    write_row(w, old_id(), "now() - interval '3 hours'");
    stays(self, w);
}

/* It came while the partition was taken out. */
TEST(a_row_that_came_in_between_is_kept) {
    write_row(w, old_id(), "NULL");
    write_row(w, old_id(), "now() - interval '3 hours'");
    worker_world_do(w, "DO $$ BEGIN EXECUTE 'ALTER TABLE outbox DETACH PARTITION outbox_until_'"
                       " || upkeep_this_hour() - 4; END $$");
    CHECK_INT(rows(w), 0);
    do_round(self, w);
    CHECK_INT(worker_world_number(w, "SELECT count(*) FROM upkeep_partitions('outbox') WHERE NOT attached"),
              0);
    CHECK_INT(rows(w), 1);
    CHECK_INT(worker_world_counter(w, "rookery_outbox_rows_saved_total"), 1);
}

TEST(rows_without_a_partition_go_by_the_same_rule) {
    int64_t until = worker_world_number(w, "SELECT upkeep_hour_id(upkeep_this_hour() + 100)");
    write_row(w, until + 1, "now() - interval '3 hours'");
    write_row(w, until + 2, "now() - interval '50 minutes'");
    write_row(w, until + 3, "NULL");
    do_round(self, w);
    CHECK_INT(rows(w), 2);
    CHECK_INT(worker_world_number(w, "SELECT min(id) FROM outbox_default"), until + 2);
}

TEST(only_the_leader_keeps_up) {
    write_row(w, old_id(), "now() - interval '3 hours'");
    worker_world_do(w, "INSERT INTO role_leases VALUES ('upkeep', 'another', now() + interval '1 hour')");
    CHECK_INT(upkeep_start(&w->worker), 0);
    fiber_sleep_ms(self, 1000);
    CHECK_INT(partitions_over(w, "outbox"), 1);
    worker_world_do(w, "UPDATE role_leases SET expires_at = now() - interval '1 s' WHERE name = 'upkeep'");
    worker_world_await(self, w,
                       "NOT EXISTS (SELECT FROM upkeep_partitions('outbox')"
                       " WHERE until <= upkeep_this_hour() - 3)");
}

/* ---- how far the roles have come ----------------------------------------------------------------------- */

/* Every role has its group, and nothing to do. The Redis has nothing to be told. */
static void make_groups(struct fiber *self, struct worker_world *w) {
    static const char *const groups[][2] = {{"events", "fanout"}, {"events", "counts"}, {"jobs", "jobs"}};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (int p = 0; p < (int)w->worker.domain.config->partitions; p++)
            CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "XGROUP CREATE %s:{%d} %s 0 MKSTREAM",
                                 groups[g][0], p, groups[g][1]),
                      0);
    worker_world_do(w, "UPDATE redis_epochs SET republished = true;"
                       "UPDATE upkeep SET processed_until = now() - interval '1 year'");
}

static bool has_progress(struct worker_world *w) {
    return worker_world_number(w, "SELECT (processed_until > now() - interval '1 hour')::int FROM upkeep") ==
           1;
}

static bool has_mark(struct worker_world *w) {
    return worker_world_number(w, "SELECT (counted_below > 0)::int FROM upkeep") == 1;
}

/* The mark: the hour of the oldest row that is in the outbox. */
TEST(what_all_have_processed_is_known_and_the_mark_moves) {
    make_groups(self, w);
    write_row(w, worker_world_id(3 * MS_PER_H), "now()");
    do_round(self, w);
    CHECK(has_progress(w));
    CHECK_INT(worker_world_number(w, "SELECT counted_below FROM upkeep"),
              worker_world_number(
                  w, "SELECT upkeep_hour_id(((min(id) >> 22) + 1704067200000) / 3600000) FROM outbox"));
}

TEST(not_while_a_group_has_more_to_do) {
    make_groups(self, w);
    CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "XADD events:{1} * e x"), 0);
    do_round(self, w);
    CHECK(!has_progress(w));
    CHECK(!has_mark(w));
    CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "XGROUP SETID events:{1} fanout $"), 0);
    CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "XGROUP SETID events:{1} counts $"), 0);
    worker_world_await(self, w, "(SELECT processed_until > now() - interval '1 hour' FROM upkeep)");
}

TEST(nor_while_this_redis_has_yet_to_be_told) {
    make_groups(self, w);
    worker_world_do(w, "UPDATE redis_epochs SET republished = false");
    do_round(self, w);
    CHECK(!has_progress(w));
    CHECK(!has_mark(w));
}

/* It has been given up, not counted. */
TEST(a_dead_letter_holds_the_mark) {
    make_groups(self, w);
    CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "XADD dead:{3} * role counts"), 0);
    do_round(self, w);
    CHECK(has_progress(w));
    CHECK(!has_mark(w));
    CHECK_INT(redis_call(self, w->worker.domain.redis, NULL, "DEL dead:{3}"), 0);
    worker_world_await(self, w, "(SELECT counted_below > 0 FROM upkeep)");
}

/* A statement that began before the mark moved may still run for as long. */
TEST(what_was_counted_below_the_mark_goes_a_minute_later) {
    int64_t mark = worker_world_number(w, "SELECT upkeep_hour_id(upkeep_this_hour() - 4)");
    worker_world_do(w, "INSERT INTO counted_events VALUES (%lld), (%lld)", (long long)mark - 1,
                    (long long)mark);
    worker_world_do(w,
                    "UPDATE upkeep SET counted_below = %lld, counted_below_since = now() + interval '1 hour'",
                    (long long)mark);
    do_round(self, w);
    CHECK_INT(worker_world_number(w, "SELECT count(*) FROM counted_events"), 2);
    worker_world_do(w, "UPDATE upkeep SET counted_below_since = now() - interval '61 s'");
    await_next_round(self, w);
    CHECK_INT(worker_world_number(w, "SELECT count(*) FROM counted_events"), 1);
    CHECK_INT(partitions_over(w, "counted_events"), 0);
    CHECK_INT(worker_world_number(w, "SELECT min(event_id) FROM counted_events"), mark);
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

TEST(sessions_that_are_over_are_deleted) {
    write_session(w, 1, "now() - interval '2 minutes'");
    write_session(w, 2, "now() + interval '1 minute'");
    write_session(w, 3, "now() + interval '1 day'");
    do_round(self, w);
    CHECK_INT(worker_world_number(w, "SELECT sum(id) FROM sessions"), 2 + 3);
    for (int tries = 0; tries < 12000 && worker_world_counter(w, "rookery_sessions_expired_total") < 2;
         tries++)
        fiber_sleep_ms(self, 5);
    CHECK_INT(worker_world_counter(w, "rookery_sessions_expired_total"), 2); /* and that of the round */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_partitions_of_the_next_day_are_made),
        cmocka_unit_test(a_partition_with_nothing_that_is_wanted_is_dropped),
        cmocka_unit_test(one_with_an_unpublished_row_stays),
        cmocka_unit_test(so_does_one_with_a_row_of_the_window),
        cmocka_unit_test(and_one_with_a_row_that_some_role_may_not_have_processed),
        cmocka_unit_test(a_row_that_came_in_between_is_kept),
        cmocka_unit_test(rows_without_a_partition_go_by_the_same_rule),
        cmocka_unit_test(only_the_leader_keeps_up),
        cmocka_unit_test(what_all_have_processed_is_known_and_the_mark_moves),
        cmocka_unit_test(not_while_a_group_has_more_to_do),
        cmocka_unit_test(nor_while_this_redis_has_yet_to_be_told),
        cmocka_unit_test(a_dead_letter_holds_the_mark),
        cmocka_unit_test(what_was_counted_below_the_mark_goes_a_minute_later),
        cmocka_unit_test(sessions_that_are_over_are_deleted),
    };
    return cmocka_run_group_tests_name("upkeep", tests, gateway_world_setup, gateway_world_teardown);
}
