/* What the daemons ask of their servers at each connection: what is refused, what is told of once, what is set right.
 * Against servers with such settings, and, for what cannot be had here (old versions, clocks), by the tables
 * themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/pg/check.h"
#include "core/store/pg/pg.h"
#include "core/store/redis/check.h"
#include "core/store/redis/redis.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/redis_server.h"

/* ---- a log that can be read ---------------------------------------------------------------------------- */

struct journal {
    struct log *log;
    int pipe[2];
    char text[65536];
    size_t len;
};

static void journal_open(struct journal *j) {
    *j = (struct journal){0};
    assert_int_equal(pipe(j->pipe), 0);
    j->log = log_new("test", LOG_INFO, j->pipe[1]);
}

static void journal_close(struct journal *j) {
    log_free(j->log);
    close(j->pipe[0]);
    close(j->pipe[1]);
}

/* How many lines have these words. */
static int lines_with(struct journal *j, const char *words) {
    log_info(j->log, "end"); /* so that there is something to read */
    ssize_t n = read(j->pipe[0], j->text + j->len, sizeof j->text - j->len - 1);
    j->len += n > 0 ? (size_t)n : 0;
    int found = 0;
    for (const char *at = j->text; (at = strstr(at, words)); at++) found++;
    return found;
}

/* ---- PostgreSQL ---------------------------------------------------------------------------------------- */

static struct pg *open_pool(struct fiber *self, const struct postgres *server, struct journal *j) {
    struct pg_options o = {.url = server->url, .connections = 3, .pipeline = 2};
    return pg_open(fiber_loop(self), &o, j->log, NULL);
}

static struct str setting(struct fiber *self, struct pg *pg, const char *name) {
    static const struct pg_stmt stmt = {
        .name = "setting", .sql = "SELECT current_setting($1)", .read_only = true};
    struct pg_result *r;
    return CHECK_INT(pg_ask(self, pg, &stmt, &r, NULL, pg_text(str_from(name))), 0) ? pg_only_str(r)
                                                                                    : (struct str){0};
}

struct pg_case {
    struct postgres *server;
    struct journal journal;
};

static void use_lax_server(struct fiber *self, void *arg) {
    struct pg_case *c = arg;
    struct pg *pg = open_pool(self, c->server, &c->journal);
    CHECK_INT(pg_wait_ready(self, pg), 0);
    for (int i = 0; i < 6; i++) CHECK_STR(setting(self, pg, "synchronous_commit"), "on");
    CHECK(pg_refusal(pg) == NULL);
    pg_close(self, pg, 1000);
}

static void a_session_waits_for_its_commits_whatever_the_default_is(void **state) {
    struct pg_case c = {.server = *state};
    journal_open(&c.journal);
    postgres_run(c.server, "ALTER ROLE CURRENT_USER SET synchronous_commit = off");
    run_in_fiber(use_lax_server, &c);
    postgres_run(c.server, "ALTER ROLE CURRENT_USER RESET synchronous_commit");
    assert_int_equal(lines_with(&c.journal, "synchronous_commit is off"), 1);
    if (c.server->own) assert_int_equal(lines_with(&c.journal, "fsync is off"), 1);
    assert_int_equal(lines_with(&c.journal, "the clock of this machine"), 0);
    journal_close(&c.journal);
}

static void wait_until_full_pages_are(const struct postgres *server, const char *value) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT (current_setting('full_page_writes') = '%s')::int", value);
    for (int i = 0; i < 3000 && postgres_number(server, sql) != 1; i++) usleep(10000);
    assert_int_equal(postgres_number(server, sql), 1);
}

static void a_server_that_may_tear_pages_is_told_of(void **state) {
    struct pg_case c = {.server = *state};
    if (!c.server->own) skip();
    journal_open(&c.journal);
    postgres_run(c.server, "ALTER SYSTEM SET full_page_writes = off");
    postgres_run(c.server, "SELECT pg_reload_conf()");
    wait_until_full_pages_are(c.server, "off");
    run_in_fiber(use_lax_server, &c);
    assert_int_equal(lines_with(&c.journal, "full_page_writes is off"), 1);
    postgres_run(c.server, "ALTER SYSTEM RESET full_page_writes");
    postgres_run(c.server, "SELECT pg_reload_conf()");
    wait_until_full_pages_are(c.server, "on");
    run_in_fiber(use_lax_server, &c);
    assert_int_equal(lines_with(&c.journal, "full_page_writes is off"), 1);
    journal_close(&c.journal);
}

static void use_stronger_default(struct fiber *self, void *arg) {
    struct pg_case *c = arg;
    struct pg *pg = open_pool(self, c->server, &c->journal);
    CHECK_INT(pg_wait_ready(self, pg), 0);
    CHECK_STR(setting(self, pg, "synchronous_commit"), "remote_apply");
    pg_close(self, pg, 1000);
}

static void a_stronger_default_is_left_alone(void **state) {
    struct pg_case c = {.server = *state};
    journal_open(&c.journal);
    postgres_run(c.server, "ALTER ROLE CURRENT_USER SET synchronous_commit = remote_apply");
    run_in_fiber(use_stronger_default, &c);
    postgres_run(c.server, "ALTER ROLE CURRENT_USER RESET synchronous_commit");
    journal_close(&c.journal);
}

static void be_refused_until_writable(struct fiber *self, void *arg) {
    struct pg_case *c = arg;
    struct pg *pg = open_pool(self, c->server, &c->journal);
    CHECK_INT(pg_wait_ready(self, pg), ERR_FAILED_PRECONDITION);
    CHECK(!pg_ready(pg));
    CHECK(pg_refusal(pg) && strstr(pg_refusal(pg), "default_transaction_read_only is on"));
    CHECK(postgres_try(
        c->server,
        "SET TRANSACTION READ WRITE; ALTER ROLE CURRENT_USER RESET default_transaction_read_only"));
    CHECK_STR(setting(self, pg, "default_transaction_read_only"), "off");
    CHECK(pg_refusal(pg) == NULL);
    pg_close(self, pg, 1000);
}

static void where_nothing_can_be_written_is_not_ready_until_it_can(void **state) {
    struct pg_case c = {.server = *state};
    journal_open(&c.journal);
    postgres_run(c.server, "ALTER ROLE CURRENT_USER SET default_transaction_read_only = on");
    run_in_fiber(be_refused_until_writable, &c);
    assert_int_equal(lines_with(&c.journal, "\"level\":\"error\""), 1);
    journal_close(&c.journal);
}

static void be_refused_by_a_standby(struct fiber *self, void *arg) {
    struct pg_case *c = arg;
    struct pg *pg = open_pool(self, c->server, &c->journal);
    CHECK_INT(pg_wait_ready(self, pg), ERR_FAILED_PRECONDITION);
    CHECK(pg_refusal(pg) && strstr(pg_refusal(pg), "must lead to the primary"));
    pg_close(self, pg, 1000);
}

static void a_standby_is_refused(void **state) {
    (void)state;
    if (getenv("ROOKERY_TEST_DATABASE_URL")) skip();
    struct postgres standby;
    struct pg_case c = {.server = &standby};
    char path[128];
    postgres_start(&standby);
    postgres_run(&standby, "CHECKPOINT");
    postgres_kill(&standby);
    snprintf(path, sizeof path, "%s/data/standby.signal", standby.folder);
    FILE *signal = fopen(path, "w");
    assert_non_null(signal);
    fclose(signal);
    postgres_restart(&standby);
    journal_open(&c.journal);
    run_in_fiber(be_refused_by_a_standby, &c);
    journal_close(&c.journal);
    postgres_remove(&standby);
}

static const struct pg_facts GOOD_FACTS = {.version = 140000, .apart_ms = 5000};

static void an_old_postgresql_is_refused(void **state) {
    (void)state;
    struct pg_facts facts = GOOD_FACTS;
    unsigned said = 0;
    assert_null(pg_check(&facts, &said, NULL));
    facts.version = 139999;
    assert_non_null(strstr(pg_check(&facts, &said, NULL), "version 14"));
}

static void clocks_that_differ_are_told_of_again_only_after_they_agreed(void **state) {
    (void)state;
    struct journal j;
    struct pg_facts facts = GOOD_FACTS;
    unsigned said = 0;
    const char *words = "the clock of this machine";
    journal_open(&j);
    facts.apart_ms = 5001;
    for (int i = 0; i < 3; i++) assert_null(pg_check(&facts, &said, j.log));
    assert_int_equal(lines_with(&j, words), 1);
    facts.apart_ms = 0;
    assert_null(pg_check(&facts, &said, j.log));
    facts.apart_ms = 60000;
    assert_null(pg_check(&facts, &said, j.log));
    assert_int_equal(lines_with(&j, words), 2);
    journal_close(&j);
}

static void the_time_that_an_answer_takes_is_no_difference_of_clocks(void **state) {
    const struct postgres *server = *state;
    struct pg_facts facts;
    PGconn *c = PQconnectdb(server->url);
    PGresult *r = PQexec(c, PG_CHECK.sql);
    assert_true(pg_facts_read(&facts, c, r, clock_wall_ms() - 100000));
    assert_true(facts.apart_ms == 0);
    assert_true(pg_facts_read(&facts, c, r, clock_wall_ms() + 100000));
    assert_true(facts.apart_ms > 90000);
    PQclear(r);
    PQfinish(c);
}

/* ---- Redis --------------------------------------------------------------------------------------------- */

struct redis_case {
    struct redis_server server;
    struct journal journal;
    const char *refusal; /* a part of it; NULL: it is none */
};

static void meet_redis(struct fiber *self, void *arg) {
    struct redis_case *c = arg;
    struct redis *r = redis_open(fiber_loop(self), c->server.url, "test", c->journal.log, NULL);
    CHECK_INT(redis_wait_attempt(self, r), 0);
    CHECK_INT(redis_ready(r), c->refusal == NULL);
    if (c->refusal)
        CHECK(redis_refusal(r) && strstr(redis_refusal(r), c->refusal));
    else
        CHECK(redis_refusal(r) == NULL);
    CHECK_INT(redis_call(self, r, NULL, "PING"), c->refusal ? ERR_UNAVAILABLE : 0);
    redis_close(self, r);
}

static void expect_of_redis(const char *refusal, char *const *settings) {
    struct redis_case c = {.refusal = refusal};
    redis_server_start(&c.server, settings);
    journal_open(&c.journal);
    run_in_fiber(meet_redis, &c);
    assert_int_equal(lines_with(&c.journal, "\"level\":\"error\""), refusal ? 1 : 0);
    assert_int_equal(lines_with(&c.journal, "set appendonly to yes"), 1);
    journal_close(&c.journal);
    redis_server_remove(&c.server);
}

static void a_redis_that_evicts_streams_is_refused(void **state) {
    (void)state;
    expect_of_redis("maxmemory-policy",
                    (char *[]){"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", NULL});
    expect_of_redis("maxmemory-policy",
                    (char *[]){"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-random", NULL});
}

static void one_that_evicts_what_can_be_rebuilt_or_nothing_is_not(void **state) {
    (void)state;
    expect_of_redis(NULL, (char *[]){"--maxmemory", "50mb", "--maxmemory-policy", "volatile-lru", NULL});
    expect_of_redis(NULL, (char *[]){"--maxmemory", "50mb", "--maxmemory-policy", "noeviction", NULL});
    expect_of_redis(NULL, (char *[]){"--maxmemory", "0", "--maxmemory-policy", "allkeys-lru", NULL});
}

static void a_replica_is_refused(void **state) {
    (void)state;
    expect_of_redis("must lead to the primary", (char *[]){"--replicaof", "127.0.0.1", "1", NULL});
}

static void be_refused_until_set_right(struct fiber *self, void *arg) {
    struct redis_case *c = arg;
    struct redis *r = redis_open(fiber_loop(self), c->server.url, "test", c->journal.log, NULL);
    struct redis *other = redis_open_blocking(r, "operator", 0);
    CHECK_INT(redis_wait_attempt(self, r), 0);
    CHECK(redis_refusal(r) != NULL);
    CHECK_INT(redis_wait_ready(self, other), 0);
    CHECK_INT(redis_call(self, other, NULL, "CONFIG SET maxmemory-policy volatile-lru"), 0);
    CHECK_INT(redis_wait_ready(self, r), 0);
    CHECK(redis_refusal(r) == NULL);
    redis_close(self, other);
    redis_close(self, r);
}

static void a_refused_redis_is_ready_when_it_is_set_right(void **state) {
    (void)state;
    struct redis_case c = {0};
    redis_server_start(&c.server,
                       (char *[]){"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lfu", NULL});
    journal_open(&c.journal);
    run_in_fiber(be_refused_until_set_right, &c);
    journal_close(&c.journal);
    redis_server_remove(&c.server);
}

static void what_info_says_decides(void **state) {
    static const struct {
        const char *info, *refusal;
    } cases[] = {
        {"# Server\r\nredis_version:6.2.14\r\nrole:master\r\n", "version 7.0"},
        {"redis_version:7.0.0\r\n", NULL},
        {"redis_version:10.1.0\r\n", NULL},
        {"redis_version:7.4.1\r\ncluster_enabled:1\r\n", "cluster-enabled no"},
        {"redis_version:7.4.1\r\ncluster_enabled:0\r\n", NULL},
        {"maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", NULL},
        {"maxmemory:1\r\nmaxmemory_policy:allkeys-lru\r\n", "maxmemory-policy"},
        {"role:slave\r\n", "primary"},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned said = 0;
        const char *refusal = redis_check(str_from(cases[i].info), &said, NULL);
        if (cases[i].refusal)
            assert_non_null(refusal && strstr(refusal, cases[i].refusal) ? refusal : NULL);
        else
            assert_null(refusal);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_waits_for_its_commits_whatever_the_default_is),
        cmocka_unit_test(a_server_that_may_tear_pages_is_told_of),
        cmocka_unit_test(a_stronger_default_is_left_alone),
        cmocka_unit_test(where_nothing_can_be_written_is_not_ready_until_it_can),
        cmocka_unit_test(a_standby_is_refused),
        cmocka_unit_test(an_old_postgresql_is_refused),
        cmocka_unit_test(clocks_that_differ_are_told_of_again_only_after_they_agreed),
        cmocka_unit_test(the_time_that_an_answer_takes_is_no_difference_of_clocks),
        cmocka_unit_test(a_redis_that_evicts_streams_is_refused),
        cmocka_unit_test(one_that_evicts_what_can_be_rebuilt_or_nothing_is_not),
        cmocka_unit_test(a_replica_is_refused),
        cmocka_unit_test(a_refused_redis_is_ready_when_it_is_set_right),
        cmocka_unit_test(what_info_says_decides),
    };
    return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
