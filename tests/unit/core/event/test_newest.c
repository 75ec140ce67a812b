/* Asking SQL for the newest epoch: an answer speaks for what was done before it was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/event/newest.h"
#include "tests/unit/support/gateway_world.h"

enum { KNOWN_WITHIN_MS = 60000, ASKERS = 5 };

static const struct pg_stmt BEGIN = {
    .name = "test_begin",
    .sql = "BEGIN",
};
static const struct pg_stmt COMMIT = {
    .name = "test_commit",
    .sql = "COMMIT",
};
static const struct pg_stmt LOCK = {
    .name = "test_lock",
    .sql = "LOCK TABLE redis_epochs",
};
static const struct pg_stmt SLEEP = {
    .name = "test_sleep",
    .sql = "SELECT pg_sleep(0.3)",
};
/* Who has the table's lock, or waits for it. */
static const struct pg_stmt LOCKS = {
    .name = "test_locks",
    .sql = "SELECT count(*) FROM pg_locks WHERE relation = 'redis_epochs'::regclass"
           " AND (mode = 'AccessExclusiveLock' AND granted OR NOT granted)",
};
static const struct pg_stmt FORGET = {
    .name = "test_forget",
    .sql = "DELETE FROM redis_epochs",
};
static const struct pg_stmt OPEN = {
    .name = "test_open",
    .sql = "INSERT INTO redis_epochs (epoch, run_id, opened_at) VALUES ($1, 'test', now() - $2 * interval '1 "
           "ms')",
};
static const struct pg_stmt ABANDON = {
    .name = "test_abandon",
    .sql = "UPDATE redis_epochs SET superseded = true WHERE epoch = (SELECT max(epoch) FROM redis_epochs)",
};

/* What the question needs of a process; the epochs are the test's. */
static void begin(struct fiber *self, struct gateway_world *w, struct domain *d) {
    struct pg_options options = {
        .url = w->postgres.url, .connections = 3, .pipeline = 1, .application_name = "test"};
    *d = (struct domain){.loop = fiber_loop(self), .log = log_new("test", LOG_ERROR, 2)};
    d->pg = pg_open(d->loop, &options, d->log, NULL);
    CHECK_INT(pg_wait_ready(self, d->pg), 0);
    CHECK_INT(pg_exec(self, d->pg, &FORGET, NULL, NULL, NULL), 0);
}

static void end(struct fiber *self, struct newest *n, struct domain *d) {
    newest_stop(self, n);
    pg_close(self, d->pg, 1000);
    log_free(d->log);
}

static struct newest_epoch ask(struct fiber *self, struct newest *n) {
    struct newest_epoch newest = {0};
    CHECK_INT(newest_wait(self, n, newest_ask(n), &newest), 0);
    return newest;
}

static void open_epoch(struct fiber *self, struct domain *d, int64_t epoch, double age_ms) {
    CHECK_INT(pg_ask(self, d->pg, &OPEN, NULL, NULL, pg_i64(epoch), pg_f64(age_ms)), 0);
}

struct holder {
    struct domain *d;
    bool done;
};

/* Nobody can look at the epochs until the second has been opened. */
static void hold_and_open(struct fiber *self, void *arg) {
    struct holder *h = arg;
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_args_add(&args, pg_i64(2), pg_f64(1e9));
    const struct pg_call calls[] = {
        {&BEGIN, NULL}, {&LOCK, NULL}, {&SLEEP, NULL}, {&OPEN, &args}, {&COMMIT, NULL}};
    CHECK_INT(pg_exec_all(self, h->d->pg, calls, 5, NULL, NULL), 0);
    h->done = true;
}

static void wait_for_locks(struct fiber *self, struct holder *h, int64_t n) {
    struct pg_result *r;
    while (!h->done && CHECK_INT(pg_exec(self, h->d->pg, &LOCKS, NULL, &r, NULL), 0) && pg_only_i64(r) < n)
        fiber_sleep_ms(self, 5);
}

static void ask_while_one_is_asked(struct fiber *self, void *arg) {
    struct domain d;
    struct newest_epoch newest;
    begin(self, arg, &d);
    struct holder holder = {.d = &d};
    struct newest *n = newest_start(&d, KNOWN_WITHIN_MS);
    CHECK_INT(ask(self, n).epoch, 0);
    open_epoch(self, &d, 1, 0);
    newest = ask(self, n);
    CHECK_INT(newest.epoch, 1);
    CHECK(!newest.superseded);
    CHECK_INT(newest.young_ms, 0); /* it is the first: nobody can be in another */

    start_fiber(self, hold_and_open, &holder);
    wait_for_locks(self, &holder, 1);
    uint64_t first = newest_ask(n);
    wait_for_locks(self, &holder, 2); /* it is under way: what is done from now on it may not see */
    uint64_t second = newest_ask(n);
    CHECK_INT(second, first + 1);
    for (int i = 0; i < ASKERS; i++) CHECK_INT(newest_ask(n), second); /* all of them by one question */
    CHECK_INT(newest_wait(self, n, second, &newest), 0);
    CHECK_INT(newest.epoch, 2);
    while (!holder.done && fiber_sleep_ms(self, 5) == 0) {
    }
    end(self, n, &d);
}

static void an_answer_is_for_what_was_done_before_the_question(void **state) {
    run_in_fiber(ask_while_one_is_asked, *state);
}

static void judge_ages(struct fiber *self, void *arg) {
    struct domain d;
    begin(self, arg, &d);
    struct newest *n = newest_start(&d, KNOWN_WITHIN_MS);
    open_epoch(self, &d, 1, 1e9);
    open_epoch(self, &d, 2, 0);
    int64_t young_ms = ask(self, n).young_ms;
    CHECK(young_ms > 0 && young_ms <= KNOWN_WITHIN_MS);
    open_epoch(self, &d, 3, KNOWN_WITHIN_MS + 1);
    CHECK_INT(ask(self, n).young_ms, 0);
    open_epoch(self, &d, 4,
               -1e9); /* the clock was set back since: no longer than for one that was just opened */
    CHECK_INT(ask(self, n).young_ms, KNOWN_WITHIN_MS);
    CHECK_INT(pg_exec(self, d.pg, &ABANDON, NULL, NULL, NULL), 0);
    CHECK(ask(self, n).superseded);
    end(self, n, &d);
}

static void an_epoch_is_young_until_everybody_knows_it(void **state) {
    run_in_fiber(judge_ages, *state);
}

static void lose_the_server(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct domain d;
    struct newest_epoch newest;
    begin(self, w, &d);
    struct newest *n = newest_start(&d, KNOWN_WITHIN_MS);
    postgres_kill(&w->postgres);
    CHECK(newest_wait(self, n, newest_ask(n), &newest) != 0);
    postgres_restart(&w->postgres);
    while (newest_wait(self, n, newest_ask(n), &newest) != 0 && fiber_sleep_ms(self, 50) == 0) {
    }
    CHECK_INT(newest.epoch, 0);
    end(self, n, &d);
}

static void who_asks_is_told_that_sql_does_not_answer(void **state) {
    struct gateway_world *w = *state;
    if (!w->postgres.own) skip(); /* not ours to kill */
    run_in_fiber(lose_the_server, w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_for_what_was_done_before_the_question),
        cmocka_unit_test(an_epoch_is_young_until_everybody_knows_it),
        cmocka_unit_test(who_asks_is_told_that_sql_does_not_answer),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
