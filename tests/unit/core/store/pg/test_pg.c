/* The PostgreSQL client when all is well, or when only a statement is wrong: types, transactions, errors,
 * sharing. What happens when connections and servers die is test_pg_faults.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/metrics.h"
#include "core/store/pg/pg.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"

/* ---- what every test does ---- */

static struct pg *open_pool(struct fiber *self, const struct postgres *p, int connections, int pipeline) {
    struct pg_options o = {.url = p->url,
                           .connections = connections,
                           .pipeline = pipeline,
                           .application_name = "test_pg",
                           .statement_timeout_ms = 2000};
    struct pg *pg = pg_open(fiber_loop(self), &o, NULL, NULL);
    CHECK(pg != NULL);
    CHECK_INT(pg_wait_ready(self, pg), 0);
    return pg;
}

/* ---- types ---- */

static const struct pg_stmt echo_i64 = {"echo_i64", "SELECT $1::bigint", true};
static const struct pg_stmt echo_f64 = {"echo_f64", "SELECT $1::float8", true};
static const struct pg_stmt echo_text = {"echo_text", "SELECT $1::text", true};
static const struct pg_stmt echo_bytes = {"echo_bytes", "SELECT $1::bytea", true};
static const struct pg_stmt echo_plain = {"echo_plain", "SELECT $1::integer, $2::boolean, $3::boolean", true};

static int64_t round_trip_i64(struct fiber *self, struct pg *pg, int64_t v) {
    struct pg_result *r = NULL;
    CHECK_INT(pg_ask(self, pg, &echo_i64, &r, NULL, pg_i64(v)), 0);
    return r ? pg_only_i64(r) : -1;
}

static double round_trip_f64(struct fiber *self, struct pg *pg, double v) {
    struct pg_result *r = NULL;
    CHECK_INT(pg_ask(self, pg, &echo_f64, &r, NULL, pg_f64(v)), 0);
    struct pg_row row = pg_read(r);
    return pg_next(&row) ? pg_take_f64(&row) : -1;
}

static void numbers(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    static const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1LL << 40};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK_INT(round_trip_i64(self, pg, values[i]), values[i]);
    }
    CHECK(round_trip_f64(self, pg, 0.1) == 0.1);
    CHECK(round_trip_f64(self, pg, -INFINITY) == -INFINITY);
    CHECK(isnan(round_trip_f64(self, pg, NAN)));
    CHECK(signbit(round_trip_f64(self, pg, -0.0)));
    struct pg_result *r = NULL;
    CHECK_INT(pg_ask(self, pg, &echo_plain, &r, NULL, pg_i32(INT32_MIN), pg_bool(true), pg_bool(false)), 0);
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64(&row), INT32_MIN);
    CHECK(pg_take_bool(&row) && !pg_take_bool(&row));
    pg_close(self, pg, 1000);
}

static void numbers_come_back_as_they_went(void **state) {
    run_in_fiber(numbers, *state);
}

static void texts(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    static const struct str values[] = {{"", 0}, {NULL, 0}, {"p\xc3\xa4ng 'quoted' \\", 16}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct pg_result *r = NULL;
        CHECK_INT(pg_ask(self, pg, &echo_text, &r, NULL, pg_text(values[i])), 0);
        struct pg_row row = pg_read(r);
        pg_next(&row);
        struct str back = pg_take_str_or_null(&row);
        CHECK(back.ptr != NULL && str_eq(back, values[i]));
    }
    struct pg_result *r = NULL;
    struct str bytes = {"a\0b\xff", 4};
    CHECK_INT(pg_ask(self, pg, &echo_bytes, &r, NULL, pg_bytes(bytes)), 0);
    CHECK(str_eq(pg_only_str(r), bytes));
    pg_close(self, pg, 1000);
}

static void texts_and_bytes_come_back_as_they_went(void **state) {
    run_in_fiber(texts, *state);
}

static const struct pg_stmt nulls_stmt = {
    "nulls", "SELECT $1::bigint, $2::boolean, $3::float8, $4::text, $5::text, $6::timestamptz, $7::bigint[]",
    true};

static void nulls(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_result *r = NULL;
    int64_t *v;
    CHECK_INT(pg_ask(self, pg, &nulls_stmt, &r, NULL, pg_null(), pg_text_or_null((struct str){0}), pg_null(),
                     pg_null(), pg_null(), pg_null(), pg_null()),
              0);
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64(&row), 0);
    CHECK(!pg_take_bool(&row));
    CHECK(pg_take_f64(&row) == 0);
    struct str text = pg_take_str(&row);
    CHECK(text.ptr != NULL && text.len == 0);
    CHECK(pg_take_str_or_null(&row).ptr == NULL);
    CHECK_INT(pg_take_time_ms(&row), 0);
    CHECK_INT(pg_take_i64_array(&row, fiber_arena(self), &v), 0);
    CHECK(!pg_next(&row));
    pg_close(self, pg, 1000);
}

static void null_reads_as_nothing_of_every_type(void **state) {
    run_in_fiber(nulls, *state);
}

static const struct pg_stmt widths_stmt = {
    "widths", "SELECT (-5)::smallint, (-6)::integer, (-7)::bigint, 4000000000::oid, 1.5::real", true};
static const struct pg_stmt times_stmt = {
    "times",
    "SELECT '2026-03-01T12:00:00.123456Z'::timestamptz, '1969-12-31T23:59:59.9995Z'::timestamptz,"
    " 'infinity'::timestamptz, '-infinity'::timestamptz",
    true};
static const struct pg_stmt kinds_stmt = {"kinds",
                                          "SELECT 'v'::varchar(3), 'n'::name, 'c'::\"char\", '{\"a\": "
                                          "1}'::json, '{}'::bigint[], '{3,-4}'::bigint[]",
                                          true};

static void conversions(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_result *r = NULL;
    CHECK_INT(pg_exec(self, pg, &widths_stmt, NULL, &r, NULL), 0);
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64(&row), -5);
    CHECK_INT(pg_take_i64(&row), -6);
    CHECK_INT(pg_take_i64(&row), -7);
    CHECK_INT(pg_take_i64(&row), 4000000000);
    CHECK(pg_take_f64(&row) == 1.5);
    CHECK_INT(pg_exec(self, pg, &times_stmt, NULL, &r, NULL), 0);
    row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_time_ms(&row), 1772366400123);
    CHECK_INT(pg_take_time_ms(&row), -1);
    CHECK_INT(pg_take_time_ms(&row), INT64_MAX);
    CHECK_INT(pg_take_time_ms(&row), INT64_MIN);
    CHECK_INT(pg_exec(self, pg, &kinds_stmt, NULL, &r, NULL), 0);
    row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_STR(pg_take_str(&row), "v");
    CHECK_STR(pg_take_str(&row), "n");
    CHECK_STR(pg_take_str(&row), "c");
    CHECK_STR(pg_take_str(&row), "{\"a\": 1}");
    int64_t *v;
    CHECK_INT(pg_take_i64_array(&row, fiber_arena(self), &v), 0);
    CHECK_INT(pg_take_i64_array(&row, fiber_arena(self), &v), 2);
    CHECK(v[0] == 3 && v[1] == -4);
    pg_close(self, pg, 1000);
}

static void results_of_every_kind_are_read(void **state) {
    run_in_fiber(conversions, *state);
}

static const struct pg_stmt triple_stmt = {"triple", "SELECT i, i::text, i > 1 FROM generate_series(1, 2) i",
                                           true};

/* Does taking so many columns of the first row, and going on, trip an assertion? In a child, which it ends. */
static bool trips(const struct pg_result *r, int columns, bool to_next) {
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        struct pg_row row = pg_read(r);
        pg_next(&row);
        if (columns > 0) pg_take_i64(&row);
        if (columns > 1) pg_take_str(&row);
        if (columns > 2) pg_take_bool(&row);
        if (columns > 3) pg_take_bool(&row);
        if (to_next)
            pg_next(&row);
        else
            pg_end(&row);
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void whole_rows(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_result *r = NULL;
    CHECK_INT(pg_ask(self, pg, &triple_stmt, &r, NULL), 0);
    for (int to_next = 0; to_next < 2; to_next++)
        for (int columns = 0; columns <= 4; columns++) CHECK_INT(trips(r, columns, to_next), columns != 3);
    struct pg_row row = pg_read(r);
    for (int n = 1; pg_next(&row); n++) {
        CHECK_INT(pg_take_i32(&row), n);
        CHECK_INT(pg_take_str(&row).len, 1);
        CHECK_INT(pg_take_bool(&row), n > 1);
    }
    CHECK_INT(row.row, 2);
    pg_close(self, pg, 1000);
}

static void a_row_is_taken_whole(void **state) {
    run_in_fiber(whole_rows, *state);
}

static const struct pg_stmt empty_stmt = {"empty", "SELECT 1 WHERE false", true};

static void without_a_row(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_result *r = NULL;
    int64_t *v;
    CHECK_INT(pg_ask(self, pg, &empty_stmt, &r, NULL), 0);
    CHECK_INT(pg_only_i64(r), 0);
    CHECK(!pg_only_bool(r));
    CHECK(pg_only_str(r).ptr != NULL && pg_only_str(r).len == 0);
    CHECK_INT(pg_only_i64_array(r, fiber_arena(self), &v), 0);
    CHECK(v == NULL);
    pg_close(self, pg, 1000);
}

static void no_row_reads_as_nothing(void **state) {
    run_in_fiber(without_a_row, *state);
}

static const struct pg_stmt arrays_stmt = {
    "arrays",
    "SELECT $1::bigint[], $2::integer[]::text, $3::boolean[]::text, $4::text[]::text, $5::bytea[]::text",
    true};

static void arrays(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    const int64_t wide[] = {1, INT64_MIN, INT64_MAX};
    const int32_t narrow[] = {7, -8};
    const bool flags[] = {true, false};
    const struct str strings[] = {STR("a,b"), {NULL, 0}, STR("")};
    const struct str blobs[] = {{"\0\1", 2}, {NULL, 0}};
    struct pg_result *r = NULL;
    CHECK_INT(pg_ask(self, pg, &arrays_stmt, &r, NULL, pg_i64_array(wide, 3), pg_i32_array(narrow, 2),
                     pg_bool_array(flags, 2), pg_text_array(strings, 3), pg_bytes_array(blobs, 2)),
              0);
    int64_t *v;
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64_array(&row, fiber_arena(self), &v), 3);
    CHECK(memcmp(v, wide, sizeof wide) == 0);
    CHECK_STR(pg_take_str(&row), "{7,-8}");
    CHECK_STR(pg_take_str(&row), "{t,f}");
    CHECK_STR(pg_take_str(&row), "{\"a,b\",NULL,\"\"}");
    CHECK_STR(pg_take_str(&row), "{\"\\\\x0001\",NULL}");
    CHECK_INT(pg_ask(self, pg, &arrays_stmt, &r, NULL, pg_i64_array(NULL, 0), pg_i32_array(NULL, 0),
                     pg_bool_array(NULL, 0), pg_text_array(NULL, 0), pg_bytes_array(NULL, 0)),
              0);
    row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64_array(&row, fiber_arena(self), &v), 0);
    CHECK_STR(pg_take_str(&row), "{}");
    pg_close(self, pg, 1000);
}

static void arrays_go_over_with_nulls_and_empty(void **state) {
    run_in_fiber(arrays, *state);
}

static void null_first(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    static const struct pg_stmt insert = {"null_first",
                                          "INSERT INTO nullable VALUES ($1, $2) RETURNING small", false};
    CHECK(postgres_try(arg, "CREATE TABLE nullable (small integer, other text)"));
    for (int i = 0; i < 3; i++) {
        struct pg_result *r = NULL;
        /* First the server takes it for an integer; then it is a bigint, which would not fit that. */
        CHECK_INT(pg_ask(self, pg, &insert, &r, NULL, i == 0 ? pg_null() : pg_i64(i), pg_null()), 0);
        CHECK_INT(pg_only_i64(r), i);
    }
    pg_close(self, pg, 1000);
}

static void a_parameter_may_be_null_before_it_has_a_type(void **state) {
    run_in_fiber(null_first, *state);
}

/* ---- sharing ---- */

#define CROWD 1000

struct crowd {
    struct pg *pg;
    struct latch latch;
    int calls, errors, wrong;
};

static const struct pg_stmt square_stmt = {"square", "SELECT $1::bigint * $1::bigint", true};

static void square_once(struct fiber *self, void *arg) {
    struct crowd *c = arg;
    struct pg_result *r = NULL;
    int64_t n = c->calls++;
    if (pg_ask(self, c->pg, &square_stmt, &r, NULL, pg_i64(n)) != 0) {
        c->errors++;
    } else if (pg_rows(r) != 1 || pg_only_i64(r) != n * n) {
        c->wrong++;
    }
    latch_done(&c->latch);
}

static void crowd(struct fiber *self, void *arg) {
    struct crowd c = {.pg = open_pool(self, arg, 4, 16)};
    latch_init(&c.latch, CROWD);
    for (int i = 0; i < CROWD; i++) start_fiber(self, square_once, &c);
    CHECK_INT(latch_wait(self, &c.latch), 0);
    CHECK_INT(c.calls, CROWD);
    CHECK_INT(c.errors, 0);
    CHECK_INT(c.wrong, 0);
    pg_close(self, c.pg, 1000);
}

static void a_thousand_fibers_each_get_their_own_answer(void **state) {
    run_in_fiber(crowd, *state);
}

/* One fiber in three does something wrong, each in another way. */
static const struct pg_stmt bad_divide = {"bad_divide", "SELECT 1 / $1::bigint", true};
static const struct pg_stmt bad_table = {"bad_table", "SELECT * FROM no_such_table WHERE id = $1", true};
static const struct pg_stmt bad_key = {"bad_key", "INSERT INTO keyed VALUES ($1)", false};
static const struct pg_stmt *const bad_stmts[] = {&bad_divide, &bad_table, &bad_key};
static const char *const bad_states[] = {"22012 ", "42P01 ", "23505 "};

static void one_of_three_is_bad(struct fiber *self, void *arg) {
    struct crowd *c = arg;
    int n = c->calls++;
    if (n % 3 != 0) {
        c->calls--;
        square_once(self, c);
        return;
    }
    size_t kind = (size_t)n / 3 % 3;
    struct fault f = {.error = ERR_OK};
    int e = pg_ask(self, c->pg, bad_stmts[kind], NULL, &f, pg_i64(0));
    CHECK_INT(e, kind == 2 ? ERR_SQL_DUPLICATE : ERR_SQL);
    CHECK_STR(str_from(f.field), "");
    CHECK(str_starts_with(str_from(f.text), str_from(bad_states[kind])));
    latch_done(&c->latch);
}

static void bad_neighbours(struct fiber *self, void *arg) {
    CHECK(postgres_try(arg, "CREATE TABLE keyed (id bigint PRIMARY KEY); INSERT INTO keyed VALUES (0)"));
    struct crowd c = {.pg = open_pool(self, arg, 2, 32)};
    latch_init(&c.latch, CROWD);
    for (int i = 0; i < CROWD; i++) start_fiber(self, one_of_three_is_bad, &c);
    CHECK_INT(latch_wait(self, &c.latch), 0);
    CHECK_INT(c.calls, CROWD);
    CHECK_INT(c.errors, 0);
    CHECK_INT(c.wrong, 0);
    pg_close(self, c.pg, 1000);
}

static void a_bad_statement_does_not_fail_its_neighbours(void **state) {
    run_in_fiber(bad_neighbours, *state);
}

static const struct pg_stmt late_stmt = {"late", "SELECT count(*) FROM late", true};

static void late_table(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    CHECK_INT(pg_exec(self, pg, &late_stmt, NULL, NULL, NULL), ERR_SQL);
    CHECK(postgres_try(arg, "CREATE TABLE late (id bigint)"));
    CHECK_INT(pg_exec(self, pg, &late_stmt, NULL, NULL, NULL), 0);
    pg_close(self, pg, 1000);
}

static void a_statement_that_could_not_be_prepared_is_prepared_later(void **state) {
    run_in_fiber(late_table, *state);
}

struct slow {
    struct pg *pg;
    bool over;
};

static const struct pg_stmt sleep_stmt = {"sleep", "SELECT pg_sleep($1::float8)", true};

static int sleep_s(struct fiber *self, struct pg *pg, double s) {
    return pg_ask(self, pg, &sleep_stmt, NULL, NULL, pg_f64(s));
}

static void sleep_one_second(struct fiber *self, void *arg) {
    struct slow *s = arg;
    CHECK_INT(sleep_s(self, s->pg, 1), 0);
    s->over = true;
}

static void slow_neighbour(struct fiber *self, void *arg) {
    struct slow s = {.pg = open_pool(self, arg, 2, 8)};
    for (int i = 0; i < 10; i++) round_trip_i64(self, s.pg, i); /* both connections stand */
    start_fiber(self, sleep_one_second, &s);
    fiber_sleep_ms(self, 50);
    for (int i = 0; i < 20; i++) CHECK_INT(round_trip_i64(self, s.pg, i), i);
    CHECK(!s.over);
    pg_close(self, s.pg, 5000);
    CHECK(s.over);
}

static void calls_go_around_a_slow_statement(void **state) {
    run_in_fiber(slow_neighbour, *state);
}

/* As many as one connection takes, all at once. */
static void crowd_beside_a_slow_neighbour(struct fiber *self, void *arg) {
    enum { PIPELINE = 8 };
    struct slow s = {.pg = open_pool(self, arg, 2, PIPELINE)};
    struct crowd c = {.pg = s.pg};
    for (int i = 0; i < 10; i++) round_trip_i64(self, s.pg, i);
    start_fiber(self, sleep_one_second, &s);
    fiber_sleep_ms(self, 50);
    latch_init(&c.latch, PIPELINE);
    for (int i = 0; i < PIPELINE; i++) start_fiber(self, square_once, &c);
    CHECK_INT(latch_wait(self, &c.latch), 0);
    CHECK(!s.over);
    CHECK_INT(c.errors + c.wrong, 0);
    pg_close(self, s.pg, 5000);
}

static void many_calls_at_once_go_around_a_slow_statement(void **state) {
    run_in_fiber(crowd_beside_a_slow_neighbour, *state);
}

static void long_idle(struct fiber *self, void *arg) {
    struct slow s = {.pg = open_pool(self, arg, 2, 8)};
    for (int i = 0; i < 10; i++) round_trip_i64(self, s.pg, i);
    fiber_sleep_ms(self, 50);
    start_fiber(self, sleep_one_second, &s);
    fiber_sleep_ms(self, 0);
    CHECK_INT(round_trip_i64(self, s.pg, 7), 7);
    CHECK(!s.over);
    pg_close(self, s.pg, 5000);
}

static void a_connection_that_was_idle_for_long_is_not_slow(void **state) {
    run_in_fiber(long_idle, *state);
}

static void sleep_for_a_moment(struct fiber *self, void *arg) {
    struct slow *s = arg;
    CHECK_INT(sleep_s(self, s->pg, 0.2), 0);
    s->over = true;
}

/* Calls are spread over both connections then, and some of them wait; a try in which this process was held up for as
 * long as makes a connection slow does not count. */
static void just_asked(struct fiber *self, void *arg) {
    struct slow s = {.pg = open_pool(self, arg, 2, 8)};
    struct crowd c = {.pg = s.pg};
    bool spread = false;
    for (int i = 0; i < 10; i++) round_trip_i64(self, s.pg, i);
    for (int i = 0; i < 20 && !spread; i++) {
        s.over = false;
        start_fiber(self, sleep_for_a_moment, &s);
        fiber_sleep_ms(self, 1);
        latch_init(&c.latch, 4);
        for (int j = 0; j < 4; j++) start_fiber(self, square_once, &c);
        CHECK_INT(latch_wait(self, &c.latch), 0);
        spread = s.over;
        while (!s.over) fiber_sleep_ms(self, 1);
    }
    CHECK(spread);
    CHECK_INT(c.errors + c.wrong, 0);
    pg_close(self, s.pg, 5000);
}

static void a_connection_that_was_just_asked_something_is_not_slow(void **state) {
    run_in_fiber(just_asked, *state);
}

struct blobs {
    struct pg *pg;
    struct str blob;
    struct latch latch;
    int good;
};

static void echo_blob(struct fiber *self, void *arg) {
    struct blobs *b = arg;
    struct pg_result *r = NULL;
    if (pg_ask(self, b->pg, &echo_bytes, &r, NULL, pg_bytes(b->blob)) == 0)
        b->good += str_eq(pg_only_str(r), b->blob);
    latch_done(&b->latch);
}

static void big_values(struct fiber *self, void *arg) {
    size_t len = 1 << 20;
    struct blobs b = {.pg = open_pool(self, arg, 1, 64), .blob = {calloc(1, len), len}};
    latch_init(&b.latch, 32);
    for (int i = 0; i < 32; i++) start_fiber(self, echo_blob, &b);
    CHECK_INT(latch_wait(self, &b.latch), 0);
    CHECK_INT(b.good, 32);
    pg_close(self, b.pg, 1000);
    free((void *)(uintptr_t)b.blob.ptr);
}

static void big_values_flow_both_ways_at_once(void **state) {
    run_in_fiber(big_values, *state);
}

/* ---- transactions ---- */

static const struct pg_stmt add_stmt = {"add", "INSERT INTO ledger VALUES ($1)", false};
static const struct pg_stmt count_stmt = {"count", "SELECT count(*) FROM ledger", true};
static const struct pg_stmt lazy_stmt = {"lazy", "INSERT INTO lazy VALUES ($1)", false};

static struct pg_args one_i64(struct fiber *self, int64_t v) {
    struct pg_args a;
    pg_args_init(&a, fiber_arena(self));
    pg_args_add(&a, pg_i64(v));
    return a;
}

static int64_t count_ledger(struct fiber *self, struct pg *pg) {
    struct pg_result *r = NULL;
    return pg_exec(self, pg, &count_stmt, NULL, &r, NULL) == 0 ? pg_only_i64(r) : -1;
}

static void all_or_nothing(struct fiber *self, void *arg) {
    CHECK(postgres_try(arg, "CREATE TABLE ledger (id bigint PRIMARY KEY)"));
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_args one = one_i64(self, 1), two = one_i64(self, 2);
    struct pg_result *r[3];
    const struct pg_call good[] = {{&add_stmt, &one}, {&count_stmt, NULL}, {&add_stmt, &two}};
    CHECK_INT(pg_exec_all(self, pg, good, 3, r, NULL), 0);
    CHECK_INT(pg_affected(r[0]), 1);
    CHECK_INT(pg_only_i64(r[1]), 1); /* a statement sees what those before it did */
    CHECK_INT(pg_affected(r[2]), 1);
    struct pg_args three = one_i64(self, 3);
    struct fault f;
    const struct pg_call bad[] = {{&add_stmt, &three}, {&add_stmt, &one}, {&count_stmt, NULL}};
    CHECK_INT(pg_exec_all(self, pg, bad, 3, r, &f), ERR_SQL_DUPLICATE);
    CHECK(strstr(f.text, "ledger_pkey") != NULL);
    CHECK_INT(count_ledger(self, pg), 2);
    pg_close(self, pg, 1000);
}

static void statements_together_are_all_or_nothing(void **state) {
    run_in_fiber(all_or_nothing, *state);
}

/* The second statement's Parse must not fall to the first one's error: a neighbour counts on it. */
struct skipped {
    struct pg *pg;
    int error;
};

static const struct pg_stmt shared_stmt = {"shared", "SELECT $1::bigint + 1", true};

static void use_shared(struct fiber *self, void *arg) {
    struct skipped *s = arg;
    s->error = pg_ask(self, s->pg, &shared_stmt, NULL, NULL, pg_i64(41));
}

static void skipped_parse(struct fiber *self, void *arg) {
    struct skipped s = {.pg = open_pool(self, arg, 1, 8), .error = -1};
    struct pg_args zero = one_i64(self, 0);
    const struct pg_call bad[] = {{&bad_divide, &zero}, {&shared_stmt, &zero}};
    start_fiber(self, use_shared, &s); /* runs, and submits, right after the next line has parked */
    CHECK_INT(pg_exec_all(self, s.pg, bad, 2, NULL, NULL), ERR_SQL);
    pg_close(self, s.pg, 1000);
    CHECK_INT(s.error, 0);
}

static void an_error_does_not_skip_what_neighbours_prepared(void **state) {
    run_in_fiber(skipped_parse, *state);
}

static void failing_commit(struct fiber *self, void *arg) {
    CHECK(postgres_try(arg, "CREATE TABLE parents (id bigint PRIMARY KEY);"
                            "CREATE TABLE lazy (parent bigint CONSTRAINT lazy_parent REFERENCES parents"
                            " DEFERRABLE INITIALLY DEFERRED)"));
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct fault f;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(pg_ask(self, pg, &lazy_stmt, NULL, &f, pg_i64(7)), ERR_SQL_CONSTRAINT);
        CHECK(strstr(f.text, "lazy_parent") != NULL);
        CHECK_INT(round_trip_i64(self, pg, i), i); /* the pipeline is still in step */
    }
    CHECK_INT(postgres_number(arg, "SELECT count(*) FROM lazy"), 0);
    pg_close(self, pg, 1000);
}

static void a_commit_that_fails_is_an_error_of_its_call(void **state) {
    run_in_fiber(failing_commit, *state);
}

/* ---- errors ---- */

static const struct pg_stmt raise_stmt = {"raise", "SELECT raise_state($1::text)", false};

struct state_case {
    const char *state;
    int error;
};

static void error_table(struct fiber *self, void *arg) {
    static const struct state_case cases[] = {
        {"23505", ERR_SQL_DUPLICATE}, {"23503", ERR_SQL_CONSTRAINT},    {"23514", ERR_SQL_CONSTRAINT},
        {"40001", ERR_SQL_CONFLICT},  {"40P01", ERR_SQL_CONFLICT},      {"25006", ERR_SQL_READ_ONLY},
        {"53100", ERR_SQL_RESOURCES}, {"53200", ERR_SQL_RESOURCES},     {"53300", ERR_SQL_RESOURCES},
        {"58030", ERR_SQL_RESOURCES}, {"57014", ERR_DEADLINE_EXCEEDED}, {"42501", ERR_SQL},
        {"P0001", ERR_SQL},
    };
    CHECK(postgres_try(arg, "CREATE FUNCTION raise_state(state text) RETURNS void LANGUAGE plpgsql AS"
                            " $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = state; END $$"));
    struct pg *pg = open_pool(self, arg, 1, 8);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fault f;
        CHECK_INT(pg_ask(self, pg, &raise_stmt, NULL, &f, pg_text(str_from(cases[i].state))), cases[i].error);
        CHECK_INT(f.error, cases[i].error);
        CHECK_STR(str_from(f.field), "");
        /* The server's words are for logs, so they come with errors of the inside only. */
        CHECK_INT(strstr(f.text, "as asked") != NULL, cases[i].error >= 32);
        CHECK_INT(str_starts_with(str_from(f.text), str_from(cases[i].state)), cases[i].error >= 32);
    }
    pg_close(self, pg, 1000);
}

static void errors_are_those_of_the_contract(void **state) {
    run_in_fiber(error_table, *state);
}

static void timeout(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    CHECK_INT(sleep_s(self, pg, 60), ERR_DEADLINE_EXCEEDED);
    CHECK_INT(round_trip_i64(self, pg, 5), 5);
    pg_close(self, pg, 1000);
}

static void the_server_ends_a_statement_that_takes_too_long(void **state) {
    run_in_fiber(timeout, *state);
}

static const struct pg_stmt star_stmt = {"star", "SELECT * FROM shifting", true};

static void changed_table(struct fiber *self, void *arg) {
    CHECK(postgres_try(arg, "CREATE TABLE shifting (a bigint); INSERT INTO shifting VALUES (1)"));
    struct pg *pg = open_pool(self, arg, 1, 8);
    struct pg_result *r = NULL;
    CHECK_INT(pg_exec(self, pg, &star_stmt, NULL, NULL, NULL), 0);
    CHECK(postgres_try(arg, "ALTER TABLE shifting ADD b bigint DEFAULT 2"));
    CHECK_INT(pg_exec(self, pg, &star_stmt, NULL, NULL, NULL), ERR_SQL_CONFLICT);
    CHECK_INT(pg_exec(self, pg, &star_stmt, NULL, &r, NULL), 0);
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_INT(pg_take_i64(&row), 1);
    CHECK_INT(pg_take_i64(&row), 2);
    pg_end(&row);
    pg_close(self, pg, 1000);
}

static void a_table_that_changes_costs_one_retry(void **state) {
    run_in_fiber(changed_table, *state);
}

static const struct pg_stmt deallocate_stmt = {"deallocate", "DEALLOCATE ALL", false};

static void deallocated(struct fiber *self, void *arg) {
    struct pg *pg = open_pool(self, arg, 1, 8);
    CHECK_INT(round_trip_i64(self, pg, 1), 1);
    CHECK_INT(pg_exec(self, pg, &deallocate_stmt, NULL, NULL, NULL), 0);
    CHECK_INT(pg_ask(self, pg, &echo_i64, NULL, NULL, pg_i64(2)), ERR_SQL_CONFLICT);
    CHECK_INT(round_trip_i64(self, pg, 3), 3);
    pg_close(self, pg, 1000);
}

static void lost_prepared_statements_cost_one_retry(void **state) {
    run_in_fiber(deallocated, *state);
}

/* ---- settings and counts ---- */

static const struct pg_stmt settings_stmt = {
    "settings",
    "SELECT current_setting('statement_timeout'), current_setting('jit'),"
    " current_setting('synchronous_commit'), current_setting('application_name'),"
    " current_setting('work_mem'), current_setting('client_encoding')",
    true};

static void settings(struct fiber *self, void *arg) {
    const struct postgres *p = arg;
    struct postgres with = *p;
    if (p->own) strcat(with.url, "&options=-c%20work_mem%3D1234kB");
    struct pg *pg = open_pool(self, &with, 1, 8);
    struct pg_result *r = NULL;
    CHECK_INT(pg_exec(self, pg, &settings_stmt, NULL, &r, NULL), 0);
    struct pg_row row = pg_read(r);
    CHECK(pg_next(&row));
    CHECK_STR(pg_take_str(&row), "2s");
    CHECK_STR(pg_take_str(&row), "off");
    CHECK_STR(pg_take_str(&row), "on");
    CHECK_STR(pg_take_str(&row), "test_pg");
    if (p->own) CHECK_STR(pg_take_str(&row), "1234kB");
    CHECK_STR(pg_take_str(&row), "UTF8");
    pg_close(self, pg, 1000);
}

static void sessions_have_our_settings_and_those_of_the_url(void **state) {
    run_in_fiber(settings, *state);
}

static void bad_url(struct fiber *self, void *arg) {
    (void)arg;
    struct pg_options o = {.url = "postgresql://[oops", .connections = 1, .pipeline = 1};
    CHECK(pg_open(fiber_loop(self), &o, NULL, NULL) == NULL);
    o.url = "colour=blue";
    CHECK(pg_open(fiber_loop(self), &o, NULL, NULL) == NULL);
}

static void a_bad_url_is_refused(void **state) {
    run_in_fiber(bad_url, *state);
}

static void by_name(struct fiber *self, void *arg) {
    const struct postgres *p = arg;
    struct postgres named = *p;
    snprintf(named.url, sizeof named.url, "postgresql://rookery@localhost:%d/postgres", p->port);
    struct pg *pg = open_pool(self, &named, 2, 8);
    CHECK_INT(round_trip_i64(self, pg, 9), 9);
    pg_close(self, pg, 1000);
}

static void a_host_name_is_looked_up(void **state) {
    const struct postgres *p = *state;
    if (!p->own) skip();
    run_in_fiber(by_name, *state);
}

static uint64_t counter_value(struct metrics *m, const char *name) {
    return metrics_counter(m, name, "", "")->value;
}

/* What concerns every write is remembered; what concerns one statement is only counted. */
static void shortages(struct fiber *self, void *arg) {
    static const struct {
        const char *state, *sentence;
    } cases[] = {{"53200", NULL},
                 {"42P01", NULL},
                 {"53100", "PostgreSQL is out of disk space"},
                 {"25006", "PostgreSQL is read-only"},
                 {"53300", "PostgreSQL has no connection to spare"},
                 {"58030", "PostgreSQL cannot read or write its files"}};
    struct metrics *m = metrics_new();
    struct pg_options o = {.url = ((struct postgres *)arg)->url, .connections = 1, .pipeline = 4};
    struct pg *pg = pg_open(fiber_loop(self), &o, NULL, m);
    CHECK_INT(pg_wait_ready(self, pg), 0);
    CHECK(pg_writes_refused(pg) == NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pg_ask(self, pg, &raise_stmt, NULL, NULL, pg_text(str_from(cases[i].state)));
        const char *said = pg_writes_refused(pg);
        CHECK_STR(str_from(said ? said : "none"), cases[i].sentence ? cases[i].sentence : "none");
    }
    round_trip_i64(self, pg, 1); /* reads say nothing about writes */
    CHECK(pg_writes_refused(pg) != NULL);
    CHECK(pg_hindrance(pg) == pg_writes_refused(pg));
    struct buf page;
    buf_init(&page);
    metrics_write(m, &page);
    buf_append_char(&page, '\0');
    CHECK(strstr(page.ptr, "rookery_pg_shortages_total{cause=\"disk\"} 1\n") != NULL);
    CHECK(strstr(page.ptr, "rookery_pg_shortages_total{cause=\"memory\"} 1\n") != NULL);
    buf_free(&page);
    pg_close(self, pg, 1000);
    metrics_free(m);
}

static void a_server_without_room_is_remembered(void **state) {
    run_in_fiber(shortages, *state);
}

/* The number of a port, or of a socket, in an error is no SQLSTATE. */
static void no_server(struct fiber *self, void *arg) {
    (void)arg;
    struct metrics *m = metrics_new();
    struct pg_options o = {
        .url = "postgresql:///rookery?host=/nonexistent&port=53300", .connections = 1, .pipeline = 4};
    struct pg *pg = pg_open(fiber_loop(self), &o, NULL, m);
    fiber_sleep_ms(self, 50);
    CHECK_STR(str_from(pg_hindrance(pg)), "waiting for PostgreSQL");
    struct buf page;
    buf_init(&page);
    metrics_write(m, &page);
    buf_append_char(&page, '\0');
    CHECK(strstr(page.ptr, "rookery_pg_shortages_total{cause=\"connections\"} 0\n") != NULL);
    buf_free(&page);
    pg_close(self, pg, 1000);
    metrics_free(m);
}

static void a_port_is_no_shortage(void **state) {
    run_in_fiber(no_server, *state);
}

static void counts(struct fiber *self, void *arg) {
    const struct postgres *p = arg;
    CHECK(postgres_try(p, "CREATE TABLE IF NOT EXISTS counted (id bigint PRIMARY KEY)"));
    static const struct pg_stmt insert = {"counted", "INSERT INTO counted VALUES ($1)", false};
    struct metrics *m = metrics_new();
    struct pg_options o = {.url = p->url, .connections = 2, .pipeline = 4};
    struct pg *pg = pg_open(fiber_loop(self), &o, NULL, m);
    CHECK_INT(pg_ask(self, pg, &insert, NULL, NULL, pg_i64(1)), 0);
    CHECK_INT(pg_ask(self, pg, &insert, NULL, NULL, pg_i64(1)), ERR_SQL_DUPLICATE);
    round_trip_i64(self, pg, 1);
    CHECK_INT(counter_value(m, "rookery_pg_calls_total"), 3);
    CHECK_INT(counter_value(m, "rookery_pg_errors_total"), 1);
    CHECK_INT(counter_value(m, "rookery_pg_commits_total"), 1);
    CHECK(metrics_gauge(m, "rookery_pg_connections_ready", "", "")->value >= 1);
    pg_close(self, pg, 1000);
    CHECK(metrics_gauge(m, "rookery_pg_connections_ready", "", "")->value == 0);
    metrics_free(m);
}

static void calls_errors_and_commits_are_counted(void **state) {
    run_in_fiber(counts, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back_as_they_went),
        cmocka_unit_test(texts_and_bytes_come_back_as_they_went),
        cmocka_unit_test(null_reads_as_nothing_of_every_type),
        cmocka_unit_test(results_of_every_kind_are_read),
        cmocka_unit_test(a_row_is_taken_whole),
        cmocka_unit_test(no_row_reads_as_nothing),
        cmocka_unit_test(arrays_go_over_with_nulls_and_empty),
        cmocka_unit_test(a_parameter_may_be_null_before_it_has_a_type),
        cmocka_unit_test(a_thousand_fibers_each_get_their_own_answer),
        cmocka_unit_test(a_bad_statement_does_not_fail_its_neighbours),
        cmocka_unit_test(a_statement_that_could_not_be_prepared_is_prepared_later),
        cmocka_unit_test(calls_go_around_a_slow_statement),
        cmocka_unit_test(many_calls_at_once_go_around_a_slow_statement),
        cmocka_unit_test(a_connection_that_was_idle_for_long_is_not_slow),
        cmocka_unit_test(a_connection_that_was_just_asked_something_is_not_slow),
        cmocka_unit_test(big_values_flow_both_ways_at_once),
        cmocka_unit_test(statements_together_are_all_or_nothing),
        cmocka_unit_test(an_error_does_not_skip_what_neighbours_prepared),
        cmocka_unit_test(a_commit_that_fails_is_an_error_of_its_call),
        cmocka_unit_test(errors_are_those_of_the_contract),
        cmocka_unit_test(a_server_without_room_is_remembered),
        cmocka_unit_test(a_port_is_no_shortage),
        cmocka_unit_test(the_server_ends_a_statement_that_takes_too_long),
        cmocka_unit_test(a_table_that_changes_costs_one_retry),
        cmocka_unit_test(lost_prepared_statements_cost_one_retry),
        cmocka_unit_test(sessions_have_our_settings_and_those_of_the_url),
        cmocka_unit_test(a_bad_url_is_refused),
        cmocka_unit_test(a_host_name_is_looked_up),
        cmocka_unit_test(calls_errors_and_commits_are_counted),
    };
    return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
