/* Leased node numbers, against a real PostgreSQL: who holds one, for how long, and which times ids carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/store/migrate/migrate.h"
#include "core/store/pg/lease.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"

/* Short, so that a lease may run out while one looks. */
static const struct lease_times TIMES = {.ttl_ms = 3000, .renew_ms = 300, .grace_ms = 1500};

struct world {
    struct postgres *postgres;
    void (*fn)(struct fiber *self, struct world *w);
    struct pg *pg;
};

static void in_world(struct fiber *self, void *arg) {
    struct world *w = arg;
    struct pg_options o = {
        .url = w->postgres->url, .connections = 2, .pipeline = 8, .application_name = "test"};
    w->pg = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK_INT(pg_wait_ready(self, w->pg), 0);
    CHECK(postgres_try(w->postgres, "UPDATE node_leases SET holder = '', expires_at = '-infinity'"));
    w->fn(self, w);
    pg_close(self, w->pg, 1000);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct world *w);                                            \
    static void name(void **state) {                                                                         \
        struct world w = {.postgres = *state, .fn = name##_body};                                            \
        run_in_fiber(in_world, &w);                                                                          \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct world *w)

static struct lease *take(struct fiber *self, struct world *w) {
    struct lease *l = NULL;
    CHECK_INT(lease_start_with(self, w->pg, NULL, &TIMES, &l), 0);
    return l;
}

static int64_t database_ms(struct world *w) {
    return postgres_number(w->postgres, "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
}

static int64_t expires_ms(struct world *w, int node) {
    char sql[128];
    snprintf(sql, sizeof sql,
             "SELECT floor(extract(epoch FROM expires_at) * 1000)::bigint FROM node_leases WHERE node = %d",
             node);
    return postgres_number(w->postgres, sql);
}

TEST(each_holder_has_a_node_of_its_own_and_gives_it_back) {
    struct lease *a = take(self, w), *b = take(self, w);
    CHECK_INT(lease_node(a), 0);
    CHECK_INT(lease_node(b), 1);
    CHECK(lease_next_id(a) > 0 && lease_next_id(b) > 0);
    lease_stop(self, a);
    struct lease *c = take(self, w); /* too soon for node 0 */
    CHECK_INT(lease_node(c), 2);
    int64_t give_up = in_ms(30000);
    while (database_ms(w) <= expires_ms(w, 0) + TIMES.grace_ms && clock_mono_ns() < give_up)
        fiber_sleep_ms(self, 50);
    struct lease *d = take(self, w);
    CHECK_INT(lease_node(d), 0);
    lease_stop(self, b);
    lease_stop(self, c);
    lease_stop(self, d);
}

TEST(ids_carry_the_time_of_the_database) {
    struct lease *l = take(self, w);
    int64_t before = database_ms(w), id = lease_next_id(l), after = database_ms(w);
    CHECK(snowflake_time_ms(id) >= before - 1000 && snowflake_time_ms(id) <= after + 1000);
    CHECK(lease_now_ms(l) >= snowflake_time_ms(id));
    lease_stop(self, l);
}

/* The database's clock, as the statements see it, through functions that come before its own. */
static void set_clock(struct world *w, int64_t seconds) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "CREATE SCHEMA IF NOT EXISTS stepped;"
             "CREATE OR REPLACE FUNCTION stepped.now() RETURNS timestamptz LANGUAGE sql AS"
             " 'SELECT pg_catalog.now() + interval ''%lld s''';"
             "CREATE OR REPLACE FUNCTION stepped.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
             " 'SELECT pg_catalog.clock_timestamp() + interval ''%lld s''';"
             "ALTER ROLE CURRENT_USER SET search_path = stepped, pg_catalog, public",
             (long long)seconds, (long long)seconds);
    CHECK(postgres_try(w->postgres, sql));
}

static void wait_for_renewal(struct fiber *self, struct world *w, int node, int64_t beyond_ms) {
    int64_t give_up = in_ms(30000);
    while (expires_ms(w, node) <= beyond_ms && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);
    CHECK(expires_ms(w, node) > beyond_ms);
}

/* Set back by 100 s: ids go on, in order, and nobody else may make the same ones. */
TEST(a_database_whose_clock_is_set_back_stops_no_ids_and_gives_no_node_twice) {
    set_clock(w, 0);
    pg_close(self, w->pg, 1000); /* the search path is of new connections */
    struct pg_options o = {
        .url = w->postgres->url, .connections = 2, .pipeline = 8, .application_name = "test"};
    w->pg = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK_INT(pg_wait_ready(self, w->pg), 0);
    struct lease *l = take(self, w);
    int64_t id = lease_next_id(l), at = expires_ms(w, 0);
    set_clock(w, -100);
    wait_for_renewal(self, w, 0, at); /* it goes by the holder's own time */
    int64_t next = lease_next_id(l);
    CHECK(next > id);
    lease_stop(self, l);
    CHECK(expires_ms(w, 0) >= snowflake_time_ms(next));
    struct lease *other = take(self, w);
    CHECK_INT(lease_node(other), 1);
    lease_stop(self, other);
    CHECK(
        postgres_try(w->postgres, "ALTER ROLE CURRENT_USER RESET search_path; DROP SCHEMA stepped CASCADE"));
}

TEST(a_node_that_somebody_else_took_is_let_go) {
    struct lease *l = take(self, w);
    CHECK(postgres_try(w->postgres,
                       "UPDATE node_leases SET holder = 'other', expires_at = now() + interval '1 hour'"
                       " WHERE node = 0"));
    int64_t give_up = in_ms(30000);
    while (lease_node(l) <= 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);
    CHECK_INT(lease_node(l), 1);
    CHECK(lease_next_id(l) > 0);
    lease_stop(self, l);
}

TEST(ids_end_when_the_lease_cannot_be_renewed) {
    struct lease *l = take(self, w);
    CHECK(postgres_try(w->postgres, "ALTER TABLE node_leases RENAME TO gone"));
    int64_t give_up = in_ms(30000);
    while (lease_next_id(l) != 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);
    CHECK_INT(lease_next_id(l), 0);
    CHECK(postgres_try(w->postgres, "ALTER TABLE gone RENAME TO node_leases"));
    while (lease_next_id(l) == 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);
    CHECK(lease_next_id(l) != 0);
    lease_stop(self, l);
}

/* It may be another database that answers, or this one as it was before the lease. */
TEST(a_lease_is_renewed_soon_when_the_connections_are_new) {
    static const struct lease_times SELDOM = {.ttl_ms = 3600000, .renew_ms = 1800000, .grace_ms = 1500};
    struct lease *l = NULL;
    CHECK_INT(lease_start_with(self, w->pg, NULL, &SELDOM, &l), 0);
    CHECK(postgres_try(w->postgres, "UPDATE node_leases SET holder = '', expires_at = '-infinity'"));
    CHECK(postgres_try(
        w->postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"));
    int64_t give_up = in_ms(30000), held = 0;
    while (held == 0 && clock_mono_ns() < give_up && fiber_sleep_ms(self, 20) == 0)
        held = postgres_number(w->postgres,
                               "SELECT count(*) FROM node_leases WHERE holder <> '' AND expires_at > now()");
    CHECK_INT(held, 1);
    /* The row is there before the answer is. */
    while (lease_next_id(l) == 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);
    CHECK(lease_next_id(l) != 0);
    lease_stop(self, l);
}

static int setup(void **state) {
    char wrong[512] = "";
    int e = postgres_setup(state);
    struct postgres *p = *state;
    if (e == 0 && migrate_run(p->url, 4, NULL, wrong, sizeof wrong) != 0) fail_msg("%s", wrong);
    return e;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_holder_has_a_node_of_its_own_and_gives_it_back),
        cmocka_unit_test(ids_carry_the_time_of_the_database),
        cmocka_unit_test(a_database_whose_clock_is_set_back_stops_no_ids_and_gives_no_node_twice),
        cmocka_unit_test(a_node_that_somebody_else_took_is_let_go),
        cmocka_unit_test(ids_end_when_the_lease_cannot_be_renewed),
        cmocka_unit_test(a_lease_is_renewed_soon_when_the_connections_are_new),
    };
    return cmocka_run_group_tests(tests, setup, postgres_teardown);
}
