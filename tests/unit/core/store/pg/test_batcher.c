/* Group commit: rows of many fibers in one statement, and what becomes of the others when one is bad or goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/store/pg/batcher.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"

enum { CROWD = 200, MOST = 5000 };

/* ---- a batcher for a table of ids and words ------------------------------------------------------------ */

struct row {
    int64_t id;
    struct str word; /* "bad" is refused by a check, "slow" waits for the lock that hold() takes */
};

static const struct pg_stmt INSERT = {
    .name = "test_batch",
    .sql = "WITH input AS (SELECT * FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS t (id, word, "
           "place)),"
           " pause AS (SELECT pg_advisory_xact_lock_shared(77) FROM input WHERE word = 'slow' LIMIT 1),"
           " added AS (INSERT INTO words (id, word) SELECT id, word FROM input WHERE (SELECT count(*) FROM "
           "pause) >= 0"
           "   ON CONFLICT DO NOTHING RETURNING id)"
           " SELECT place, id IN (SELECT id FROM added) FROM input",
};

static void build(const void *const *rows, size_t n, struct pg_args *args) {
    int64_t *ids = ARENA_ARRAY(args->arena, int64_t, n);
    struct str *words = ARENA_ARRAY(args->arena, struct str, n);
    for (size_t i = 0; i < n; i++) {
        const struct row *row = rows[i];
        ids[i] = row->id;
        words[i] = row->word;
    }
    pg_args_add(args, pg_i64_array(ids, n), pg_text_array(words, n));
}

static int take(struct pg_row *row, struct arena *a, void *out) {
    (void)a;
    *(bool *)out = row && pg_take_bool(row);
    return 0;
}

static const struct pg_batch_kind KIND = {.name = "test", .stmt = &INSERT, .build = build, .take = take};

struct world {
    struct postgres *postgres;
    struct pg *pg, *holder;
    struct pg_batcher *batcher;
    struct latch done;
    int ended, inserted, errors[MOST];
    struct fiber *fibers[MOST];
};

static void open_world(struct fiber *self, struct world *w, struct postgres *p) {
    struct pg_options o = {.url = p->url, .connections = 2, .pipeline = 8, .application_name = "test"};
    *w = (struct world){.postgres = p};
    CHECK(postgres_try(p, "DROP TABLE IF EXISTS words; CREATE TABLE words (id bigint PRIMARY KEY,"
                          " word text CHECK (word <> 'bad'))"));
    w->pg = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK_INT(pg_wait_ready(self, w->pg), 0);
    o.connections = 1;
    o.application_name = "holder";
    w->holder = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK_INT(pg_wait_ready(self, w->holder), 0);
    w->batcher = pg_batcher_new(fiber_loop(self), w->pg, &KIND, NULL);
}

static void close_world(struct fiber *self, struct world *w) {
    pg_batcher_close(self, w->batcher);
    pg_close(self, w->pg, 5000);
    pg_close(self, w->holder, 5000);
}

/* From here on a batch with a slow row waits at the database, until release(). */
static const struct pg_stmt HOLD = {"test_hold", "SELECT pg_advisory_lock(77)", false};
static const struct pg_stmt RELEASE = {"test_release", "SELECT pg_advisory_unlock(77)", false};

static void run_alone(struct fiber *self, struct world *w, const struct pg_stmt *stmt) {
    CHECK_INT(pg_ask(self, w->holder, stmt, NULL, NULL), 0);
}

static void hold(struct fiber *self, struct world *w) {
    run_alone(self, w, &HOLD);
}

static void release(struct fiber *self, struct world *w) {
    run_alone(self, w, &RELEASE);
}

/* Until so many batches wait for the lock. */
static void await_waiting(struct fiber *self, struct world *w, int64_t batches) {
    const char *waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while (postgres_number(w->postgres, waiting) < batches && fiber_sleep_ms(self, 10) == 0) {
    }
}

static int64_t rows_in(const struct world *w) {
    return postgres_number(w->postgres, "SELECT count(*) FROM words");
}

/* ---- fibers that submit a row each --------------------------------------------------------------------- */

struct submission {
    struct world *world;
    struct row row;
    int number;
};

static void submit(struct fiber *self, void *arg) {
    struct submission *s = arg;
    struct world *w = s->world;
    bool inserted = false;
    struct fault fault = {0};
    w->fibers[s->number] = self;
    w->errors[s->number] = pg_batcher_submit(self, w->batcher, &s->row, &inserted, &fault);
    w->fibers[s->number] = NULL;
    w->inserted += inserted;
    w->ended++;
    latch_done(&w->done);
}

/* n of them at once; does not wait. */
static void submit_many(struct fiber *self, struct world *w, struct submission *s, int n) {
    w->ended = w->inserted = 0;
    latch_init(&w->done, (size_t)n);
    for (int i = 0; i < n; i++) {
        s[i].world = w;
        s[i].number = i;
        if (!s[i].row.word.ptr) s[i].row.word = STR("word");
        if (s[i].row.id == 0) s[i].row.id = i + 1;
        start_fiber(self, submit, &s[i]);
    }
}

static void lone_and_many(struct fiber *self, void *arg) {
    static struct world w;
    static struct submission one, many[CROWD];
    open_world(self, &w, arg);
    one = (struct submission){.row.id = 9999};
    submit_many(self, &w, &one, 1);
    latch_wait(self, &w.done);
    CHECK_INT(w.inserted, 1);
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){0};
    submit_many(self, &w, many, CROWD);
    latch_wait(self, &w.done);
    CHECK_INT(w.inserted, CROWD);
    CHECK_INT(rows_in(&w), CROWD + 1);
    int64_t transactions = postgres_number(w.postgres, "SELECT count(DISTINCT xmin::text) FROM words");
    CHECK(transactions >= 2 && transactions <= 4);
    /* Again: none is inserted, and every fiber is told so. */
    submit_many(self, &w, many, CROWD);
    latch_wait(self, &w.done);
    CHECK_INT(w.inserted, 0);
    for (int i = 0; i < CROWD; i++) CHECK_INT(w.errors[i], 0);
    close_world(self, &w);
}

static void rows_that_come_together_are_one_transaction(void **state) {
    run_in_fiber(lone_and_many, *state);
}

static void one_bad(struct fiber *self, void *arg) {
    static struct world w;
    static struct submission many[CROWD];
    open_world(self, &w, arg);
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){0};
    many[17].row.word = STR("bad");
    many[170].row.word = STR("bad");
    submit_many(self, &w, many, CROWD);
    latch_wait(self, &w.done);
    CHECK_INT(w.inserted, CROWD - 2);
    CHECK_INT(rows_in(&w), CROWD - 2);
    for (int i = 0; i < CROWD; i++) CHECK_INT(w.errors[i], i == 17 || i == 170 ? ERR_SQL_CONSTRAINT : ERR_OK);
    close_world(self, &w);
}

static void a_bad_row_fails_alone(void **state) {
    run_in_fiber(one_bad, *state);
}

/* ---- fibers that go away ------------------------------------------------------------------------------- */

static void cancel_pending(struct fiber *self, void *arg) {
    static struct world w, ahead[2];
    static struct submission slow[2], many[CROWD];
    open_world(self, &w, arg);
    hold(self, &w);
    /* Two slow batches take the places; what comes then is pending. */
    for (int i = 0; i < 2; i++) {
        ahead[i] = w;
        slow[i] = (struct submission){.row = {5001 + i, STR("slow")}};
        submit_many(self, &ahead[i], &slow[i], 1);
        await_waiting(self, &w, i + 1);
    }
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){0};
    submit_many(self, &w, many, CROWD);
    fiber_sleep_ms(self, 0);
    for (int i = 0; i < CROWD; i += 2) fiber_cancel(w.fibers[i]);
    release(self, &w);
    latch_wait(self, &w.done);
    for (int i = 0; i < CROWD; i++) CHECK_INT(w.errors[i], i % 2 ? ERR_OK : ERR_CANCELLED);
    CHECK_INT(w.inserted, CROWD / 2);
    latch_wait(self, &ahead[0].done);
    latch_wait(self, &ahead[1].done);
    CHECK_INT(rows_in(&w), CROWD / 2 + 2);
    close_world(self, &w);
}

static void a_row_whose_fiber_goes_before_it_is_sent_is_not_written(void **state) {
    run_in_fiber(cancel_pending, *state);
}

static void cancel_sent(struct fiber *self, void *arg, int step) {
    static struct world w;
    static struct submission many[CROWD];
    open_world(self, &w, arg);
    hold(self, &w);
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){.row.word = STR("slow")};
    submit_many(self, &w, many, CROWD);
    await_waiting(self, &w, 1);
    for (int i = 0; i < CROWD; i += step) fiber_cancel(w.fibers[i]);
    fiber_sleep_ms(self, 0);
    release(self, &w);
    latch_wait(self, &w.done);
    for (int i = 0; i < CROWD; i++) CHECK_INT(w.errors[i], i % step ? ERR_OK : ERR_CANCELLED);
    close_world(self, &w); /* waits for the batch, though nobody may be left in it */
    CHECK_INT(rows_in(&w), CROWD);
}

static void cancel_some(struct fiber *self, void *arg) {
    cancel_sent(self, arg, 3);
}
static void cancel_every(struct fiber *self, void *arg) {
    cancel_sent(self, arg, 1);
}

static void rows_that_were_sent_are_written_without_their_fibers(void **state) {
    run_in_fiber(cancel_some, *state);
    run_in_fiber(cancel_every, *state);
}

/* ---- trouble with the database ------------------------------------------------------------------------- */

static void lose_connection(struct fiber *self, void *arg) {
    static struct world w;
    static struct submission many[CROWD];
    open_world(self, &w, arg);
    hold(self, &w);
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){.row.word = STR("slow")};
    submit_many(self, &w, many, CROWD);
    await_waiting(self, &w, 1);
    CHECK(postgres_try(w.postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                   " WHERE application_name = 'test'"));
    latch_wait(self, &w.done);
    for (int i = 0; i < CROWD; i++) CHECK_INT(w.errors[i], ERR_CONNECTION_LOST);
    CHECK_INT(rows_in(&w), 0);
    const char *connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'";
    while (postgres_number(w.postgres, connected) < 2 && fiber_sleep_ms(self, 10) == 0) {
    }
    for (int i = 0; i < CROWD; i++) many[i] = (struct submission){0};
    submit_many(self, &w, many, CROWD);
    latch_wait(self, &w.done);
    CHECK_INT(w.inserted, CROWD);
    close_world(self, &w);
}

static void a_lost_connection_is_told_to_every_row(void **state) {
    run_in_fiber(lose_connection, *state);
}

static void overload(struct fiber *self, void *arg) {
    static struct world place, *w = &place;
    static struct submission many[MOST];
    open_world(self, w, arg);
    for (int i = 0; i < MOST; i++) many[i] = (struct submission){0};
    submit_many(self, w, many, MOST);
    latch_wait(self, &w->done);
    int refused = 0;
    for (int i = 0; i < MOST; i++) {
        CHECK(w->errors[i] == ERR_OK || w->errors[i] == ERR_OVERLOADED);
        refused += w->errors[i] == ERR_OVERLOADED;
    }
    CHECK(refused > 0 && refused <= MOST - 4096);
    CHECK_INT(rows_in(w), MOST - refused);
    close_world(self, w);
}

static void more_rows_than_can_wait_are_refused(void **state) {
    run_in_fiber(overload, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_come_together_are_one_transaction),
        cmocka_unit_test(a_bad_row_fails_alone),
        cmocka_unit_test(a_row_whose_fiber_goes_before_it_is_sent_is_not_written),
        cmocka_unit_test(rows_that_were_sent_are_written_without_their_fibers),
        cmocka_unit_test(a_lost_connection_is_told_to_every_row),
        cmocka_unit_test(more_rows_than_can_wait_are_refused),
    };
    return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
