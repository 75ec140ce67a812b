/* Epochs: what a look may believe while others write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "tests/unit/support/gateway_world.h"

enum { TRIES = 100 };

static void do_sql(PGconn *c, const char *sql) {
    PGresult *r = PQexec(c, sql);
    if (!CHECK(PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK))
        fprintf(stderr, "# %s: %s\n", sql, PQerrorMessage(c));
    PQclear(r);
}

static bool somebody_waits(PGconn *c) {
    PGresult *r = PQexec(c, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    bool waits = atoi(PQgetvalue(r, 0, 0)) > 0;
    PQclear(r);
    return waits;
}

/* Until a look that is not from before waits for the pulse, which `c` has locked. Returns false when the look needed no
 * beat. */
static bool hold_a_look(struct fiber *self, struct domain *d, PGconn *c, PGconn *other) {
    do_sql(c, "UPDATE pulse SET beaten_at = '-infinity'");
    do_sql(c, "BEGIN");
    do_sql(c, "SELECT FROM pulse FOR UPDATE");
    redis_reconnect(d->redis, "the epoch is unknown until the next look");
    while (epoch_now(d) == 0) {
        if (redis_ready(d->redis) && somebody_waits(other)) return true;
        fiber_sleep_ms(self, 1);
    }
    do_sql(c, "ROLLBACK");
    return false;
}

/* Nothing is asked between these commands: they block. */
static void abandon_beside_a_look(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    gateway_world_open(self, w);
    struct domain *d = &w->gateway.domain;
    PGconn *c = PQconnectdb(w->postgres.url), *other = PQconnectdb(w->postgres.url);
    int64_t before = epoch_now(d), now = 0;
    int tries = 0;
    CHECK(before != 0);
    while (tries++ < TRIES && !hold_a_look(self, d, c, other)) fiber_sleep_ms(self, 1);
    CHECK(tries <= TRIES);
    do_sql(c,
           "UPDATE redis_epochs SET superseded = true WHERE epoch = (SELECT max(epoch) FROM redis_epochs)");
    do_sql(c, "COMMIT");
    while ((now = epoch_now(d)) == 0) fiber_sleep_ms(self, 1);
    CHECK(now > before);
    PQfinish(c);
    PQfinish(other);
    gateway_world_close(self, w);
}

static void a_look_that_waited_for_an_abandonment_sees_it(void **state) {
    run_in_fiber(abandon_beside_a_look, *state);
}

enum { PATIENCE_MS = 60000 };

static int64_t await_another(struct fiber *self, struct domain *d, int64_t before) {
    int64_t now = 0, give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (((now = epoch_now(d)) == 0 || now == before) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 1);
    return now;
}

/* As when a dump has taken the database's place, or another server that server's; or when an older release had opened
 * the epoch. The beats go on, and nothing else tells. */
static void replace_the_database(struct fiber *self, void *arg) {
    static const char *const others[] = {"database = 1", "database = NULL",
                                         "server_started = server_started - interval '1 day'"};
    struct gateway_world *w = arg;
    gateway_world_open(self, w);
    struct domain *d = &w->gateway.domain;
    PGconn *c = PQconnectdb(w->postgres.url);
    int64_t before = epoch_now(d);
    CHECK(before != 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "UPDATE redis_epochs SET %s WHERE epoch = (SELECT max(epoch) FROM redis_epochs)", others[i]);
        do_sql(c, sql);
        int64_t now = await_another(self, d, before);
        CHECK(now > before);
        before = now;
    }
    PQfinish(c);
    gateway_world_close(self, w);
}

static void an_epoch_that_was_opened_in_another_database_ends(void **state) {
    run_in_fiber(replace_the_database, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_that_waited_for_an_abandonment_sees_it),
        cmocka_unit_test(an_epoch_that_was_opened_in_another_database_ends),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
