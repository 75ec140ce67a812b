/* The Redis client against a real server: what callers see, in good times and when the server dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/redis/redis.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/redis_server.h"

/* ---- helpers --------------------------------------------------------------------------------------------
 */

/* A test's body, with a client that is ready and is closed afterwards. */
struct body {
    struct redis_server *server;
    void (*fn)(struct fiber *self, struct redis *r, struct redis_server *server);
};

static struct redis *open_client(struct fiber *self, const struct redis_server *server) {
    struct redis *r = redis_open(fiber_loop(self), server->url, "test", NULL, NULL);
    CHECK(r != NULL);
    return r;
}

static void with_client(struct fiber *self, void *arg) {
    struct body *b = arg;
    struct redis *r = open_client(self, b->server);
    CHECK_INT(redis_wait_ready(self, r), 0);
    b->fn(self, r, b->server);
    redis_close(self, r);
}

static void run_body(void **state, void (*fn)(struct fiber *, struct redis *, struct redis_server *)) {
    struct body b = {*state, fn};
    run_in_fiber(with_client, &b);
}

/* For tests that harm the server: one of their own, so that each starts from a healthy one. */
static void run_harmful(void (*fn)(struct fiber *, struct redis *, struct redis_server *)) {
    if (getenv("ROOKERY_TEST_REDIS_URL")) skip();
    struct redis_server own;
    redis_server_start(&own, NULL);
    struct body b = {&own, fn};
    run_in_fiber(with_client, &b);
    redis_server_remove(&own);
}

static void add(struct redis_batch *b, const char *words) {
    struct str rest = str_from(words);
    int n = 1;
    for (const char *s = words; (s = strchr(s, ' ')); s++) n++;
    redis_cmd(b, n);
    for (int i = 0; i < n; i++) redis_arg(b, str_cut(&rest, ' '));
}

static int run(struct fiber *self, struct redis *r, struct redis_batch *b) {
    int err = redis_submit(r, b);
    return err ? err : redis_await(self, r, b);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct redis *r, struct redis_server *server);               \
    static void name(void **state) {                                                                         \
        run_body(state, name##_body);                                                                        \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct redis *r, struct redis_server *server)
#define HARMFUL_TEST(name)                                                                                   \
    static void name##_body(struct fiber *self, struct redis *r, struct redis_server *server);               \
    static void name(void **state) {                                                                         \
        (void)state;                                                                                         \
        run_harmful(name##_body);                                                                            \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct redis *r, struct redis_server *server)

/* ---- commands and replies -------------------------------------------------------------------------------
 */

TEST(replies_come_in_the_order_of_the_commands) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    add(b, "DEL {test}n");
    for (int i = 0; i < 100; i++) add(b, "INCR {test}n");
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_commands(b), 101);
    for (int i = 1; i <= 100; i++) CHECK_INT(redis_batch_reply(b, (size_t)i)->integer, i);
    redis_batch_free(b);
}

TEST(commands_may_be_encoded_by_their_sender) {
    (void)server;
    static const char commands[] =
        "*2\r\n$3\r\nDEL\r\n$7\r\n{test}n\r\n*2\r\n$4\r\nINCR\r\n$7\r\n{test}n\r\n";
    struct redis_batch *b = redis_batch_new();
    add(b, "SET {test}n 5");
    memcpy(redis_batch_room(b, 1000), commands, sizeof commands - 1);
    redis_batch_wrote(b, sizeof commands - 1, 2);
    add(b, "INCR {test}n");
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_commands(b), 4);
    CHECK_INT(redis_batch_reply(b, 1)->integer, 1);
    CHECK_INT(redis_batch_reply(b, 2)->integer, 1);
    CHECK_INT(redis_batch_reply(b, 3)->integer, 2);
    redis_batch_free(b);
}

TEST(every_type_of_reply_is_told_apart) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    add(b, "SET {test}s hello");
    add(b, "GET {test}s");
    add(b, "GET {test}absent");
    add(b, "STRLEN {test}s");
    add(b, "INCR {test}s");
    add(b, "MGET {test}s {test}absent {test}s");
    add(b, "LRANGE {test}absent 0 -1");
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_reply(b, 0)->type, REDIS_STATUS);
    CHECK_STR(redis_batch_reply(b, 0)->str, "OK");
    CHECK_INT(redis_batch_reply(b, 1)->type, REDIS_STRING);
    CHECK_STR(redis_batch_reply(b, 1)->str, "hello");
    CHECK_INT(redis_batch_reply(b, 2)->type, REDIS_NIL);
    CHECK_INT(redis_batch_reply(b, 3)->type, REDIS_INTEGER);
    CHECK_INT(redis_batch_reply(b, 3)->integer, 5);
    CHECK_INT(redis_batch_reply(b, 4)->type, REDIS_ERROR);
    const struct redis_reply *array = redis_batch_reply(b, 5);
    CHECK_INT(array->type, REDIS_ARRAY);
    CHECK_INT(array->elements, 3);
    CHECK_STR(array->element[0].str, "hello");
    CHECK_INT(array->element[1].type, REDIS_NIL);
    CHECK_STR(array->element[2].str, "hello");
    CHECK_INT(redis_batch_reply(b, 6)->type, REDIS_ARRAY);
    CHECK_INT(redis_batch_reply(b, 6)->elements, 0);
    redis_batch_free(b);
}

TEST(nested_arrays_keep_their_shape) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    add(b, "DEL {test}stream");
    add(b, "XADD {test}stream 1-1 a b c d");
    add(b, "XADD {test}stream 2-1 e f");
    add(b, "XRANGE {test}stream - +");
    CHECK_INT(run(self, r, b), 0);
    const struct redis_reply *range = redis_batch_reply(b, 3);
    CHECK_INT(range->elements, 2);
    CHECK_STR(range->element[0].element[0].str, "1-1");
    CHECK_INT(range->element[0].element[1].elements, 4);
    CHECK_STR(range->element[0].element[1].element[3].str, "d");
    CHECK_STR(range->element[1].element[1].element[0].str, "e");
    redis_batch_free(b);
}

TEST(one_error_does_not_touch_the_other_commands) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    struct fault fault = {.error = ERR_OK};
    add(b, "SET {test}s text");
    add(b, "INCR {test}s");
    add(b, "GET {test}s");
    CHECK_INT(run(self, r, b), 0);
    CHECK_STR(redis_batch_reply(b, 2)->str, "text");
    CHECK_INT(redis_batch_check(b, &fault), ERR_REDIS);
    CHECK_INT(fault.error, ERR_REDIS);
    CHECK(strstr(fault.text, "not an integer") != NULL);
    redis_batch_free(b);
}

TEST(a_batch_can_be_reset_and_used_again) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    add(b, "INCR {test}s");
    add(b, "NONSENSE");
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_check(b, NULL), ERR_REDIS);
    for (int i = 0; i < 3; i++) {
        redis_batch_reset(b);
        CHECK_INT(redis_batch_bytes(b), 0);
        add(b, "PING");
        CHECK_INT(run(self, r, b), 0);
        CHECK_INT(redis_batch_check(b, NULL), 0);
        CHECK_STR(redis_batch_reply(b, 0)->str, "PONG");
    }
    redis_batch_free(b);
}

TEST(an_empty_batch_is_done_at_once) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_check(b, NULL), 0);
    redis_batch_free(b);
}

TEST(arguments_may_hold_any_bytes) {
    (void)server;
    static const char odd[] = "\r\n$5\r\n\0\xff ";
    struct str value = {odd, sizeof odd - 1};
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 3);
    redis_arg(b, STR("SET"));
    redis_arg_printf(b, "{test}%s:%d", "odd", 7);
    redis_arg(b, value);
    redis_cmd(b, 2);
    redis_arg_cstr(b, "GET");
    redis_arg(b, STR("{test}odd:7"));
    redis_cmd(b, 3);
    redis_arg(b, STR("SET"));
    redis_arg(b, STR("{test}number"));
    redis_arg_i64(b, INT64_MIN);
    redis_cmd(b, 2);
    redis_arg(b, STR("GET"));
    redis_arg(b, STR("{test}number"));
    redis_cmd(b, 3);
    redis_arg(b, STR("SET"));
    redis_arg(b, STR("{test}empty"));
    redis_arg(b, (struct str){NULL, 0});
    redis_cmd(b, 2);
    redis_arg(b, STR("GET"));
    redis_arg(b, STR("{test}empty"));
    CHECK_INT(run(self, r, b), 0);
    CHECK(str_eq(redis_batch_reply(b, 1)->str, value));
    CHECK_STR(redis_batch_reply(b, 3)->str, "-9223372036854775808");
    CHECK_INT(redis_batch_reply(b, 5)->type, REDIS_STRING);
    CHECK_INT(redis_batch_reply(b, 5)->str.len, 0);
    redis_batch_free(b);
}

TEST(formatted_arguments_may_be_long) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 2);
    redis_arg(b, STR("ECHO"));
    redis_arg_printf(b, "%03000d", 7);
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_reply(b, 0)->str.len, 3000);
    redis_batch_free(b);
}

/* Larger than the socket's buffers both ways, among small commands. */
TEST(big_values_go_through_whole) {
    (void)server;
    size_t len = (size_t)20 * 1024 * 1024;
    char *big = malloc(len);
    for (size_t i = 0; i < len; i++) big[i] = (char)(i * 2654435761u >> 13);
    struct redis_batch *b = redis_batch_new();
    add(b, "PING");
    redis_cmd(b, 3);
    redis_arg(b, STR("SET"));
    redis_arg(b, STR("{test}big"));
    redis_arg(b, (struct str){big, len});
    add(b, "GET {test}big");
    add(b, "STRLEN {test}big");
    add(b, "DEL {test}big");
    CHECK_INT(run(self, r, b), 0);
    CHECK(str_eq(redis_batch_reply(b, 2)->str, (struct str){big, len}));
    CHECK_INT(redis_batch_reply(b, 3)->integer, len);
    redis_batch_free(b);
    free(big);
}

/* ---- integers only --------------------------------------------------------------------------------------
 */

TEST(a_hundred_thousand_commands_in_one_batch) {
    (void)server;
    enum { N = 100000 };
    struct redis_batch *b = redis_batch_new();
    for (int round = 0; round < 2; round++) {
        redis_batch_reset(b);
        redis_batch_integers_only(b);
        add(b, "DEL {test}n");
        for (int i = 0; i < N; i++) add(b, "INCR {test}n");
        CHECK_INT(run(self, r, b), 0);
        bool in_order = true;
        for (int i = 1; i <= N; i++) in_order &= redis_batch_integers(b)[i] == i;
        CHECK(in_order);
        CHECK_INT(redis_batch_check(b, NULL), 0);
    }
    redis_batch_free(b);
}

TEST(replies_that_are_no_integers_are_marked_in_an_integers_batch) {
    (void)server;
    struct redis_batch *b = redis_batch_new();
    struct fault fault;
    redis_batch_integers_only(b);
    add(b, "DEL {test}n {test}list");
    add(b, "DECRBY {test}n 12345");
    add(b, "SET {test}s x");
    add(b, "INCR {test}n");
    add(b, "INCR {test}s");
    add(b, "RPUSH {test}list a b c");
    add(b, "LRANGE {test}list 0 -1");
    add(b, "GET {test}s");
    add(b, "GET {test}absent");
    add(b, "LLEN {test}list");
    add(b, "SET {test}max 9223372036854775806");
    add(b, "INCR {test}max");
    CHECK_INT(run(self, r, b), 0);
    const int64_t *v = redis_batch_integers(b);
    CHECK_INT(v[1], -12345);
    CHECK_INT(v[2], INT64_MIN);
    CHECK_INT(v[3], -12344);
    CHECK_INT(v[4], INT64_MIN);
    CHECK_INT(v[5], 3);
    for (int i = 6; i <= 8; i++) CHECK_INT(v[i], INT64_MIN);
    CHECK_INT(v[9], 3);
    CHECK_INT(v[11], INT64_MAX);
    CHECK_INT(redis_batch_check(b, &fault), ERR_REDIS);
    CHECK(strstr(fault.text, "not an integer") != NULL);
    redis_batch_free(b);
}

/* Integer batches and others, large and small, in flight together: each gets its own replies, though they are
 * read in different ways from the same buffer. */
TEST(batches_of_both_kinds_share_the_connection) {
    (void)server;
    enum { BATCHES = 60, MOST = 4000 };
    struct redis_batch *b[BATCHES];
    int size[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        b[i] = redis_batch_new();
        size[i] = 1 + (i * 7919) % (i % 3 == 0 ? MOST : 9);
        if (i % 2) redis_batch_integers_only(b[i]);
        for (int j = 0; j < size[i]; j++) {
            redis_cmd(b[i], i % 2 ? 4 : 2);
            redis_arg(b[i], i % 2 ? STR("BITCOUNT") : STR("ECHO"));
            if (i % 2) redis_arg(b[i], STR("{test}absent"));
            redis_arg_i64(b[i], i * MOST + j);
            if (i % 2) redis_arg(b[i], STR("-1"));
        }
        CHECK_INT(redis_submit(r, b[i]), 0);
    }
    for (int i = 0; i < BATCHES; i++) {
        bool good = redis_await(self, r, b[i]) == 0;
        for (int j = 0; good && j < size[i]; j++) {
            int64_t v = 0;
            if (i % 2)
                good = redis_batch_integers(b[i])[j] == 0;
            else
                good = str_to_i64(redis_batch_reply(b[i], (size_t)j)->str, &v) && v == i * MOST + j;
        }
        CHECK(good);
        redis_batch_free(b[i]);
    }
}

/* ---- sharing, interrupts, limits ------------------------------------------------------------------------
 */

struct caller {
    struct redis *redis;
    int64_t sum;
    int done;
};

static void call_repeatedly(struct fiber *self, void *arg) {
    struct caller *c = arg;
    for (int i = 0; i < 5; i++) {
        const struct redis_reply *reply;
        if (CHECK_INT(redis_call(self, c->redis, &reply, "INCRBY {test}sum %d", 3), 0)) c->sum++;
    }
    c->done++;
}

TEST(many_fibers_share_one_connection) {
    (void)server;
    enum { FIBERS = 500 };
    struct caller c = {.redis = r};
    const struct redis_reply *reply;
    CHECK_INT(redis_call(self, r, NULL, "DEL {test}sum"), 0);
    for (int i = 0; i < FIBERS; i++) start_fiber(self, call_repeatedly, &c);
    while (c.done < FIBERS) CHECK_INT(fiber_sleep_ms(self, 1), 0);
    CHECK_INT(redis_call(self, r, &reply, "GET {test}sum"), 0);
    CHECK_STR(reply->str, "7500");
}

TEST(a_call_that_is_refused_reports_the_refusal) {
    (void)server;
    const struct redis_reply *reply;
    CHECK_INT(redis_call(self, r, &reply, "NONSENSE %d", 1), ERR_REDIS);
    CHECK_INT(reply->type, REDIS_ERROR);
    CHECK(str_starts_with(reply->str, STR("ERR unknown command")));
}

HARMFUL_TEST(a_server_that_has_no_memory_left_is_away_not_at_fault) {
    (void)server;
    const struct redis_reply *reply;
    struct fault fault;
    CHECK_INT(redis_call(self, r, NULL, "CONFIG SET maxmemory 1"), 0);
    CHECK_INT(redis_call(self, r, &reply, "SET {test}a b"), ERR_REDIS_STATE);
    CHECK(str_starts_with(reply->str, STR("OOM ")));
    struct redis_batch *b = redis_batch_new();
    add(b, "SET {test}a b");
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_check(b, &fault), ERR_REDIS_STATE);
    redis_batch_free(b);
    CHECK_INT(redis_call(self, r, NULL, "CONFIG SET maxmemory 0"), 0);
    CHECK_INT(redis_call(self, r, NULL, "SET {test}a b"), 0);
    CHECK_INT(redis_call(self, r, NULL, "XGROUP CREATE {test}s g 0 MKSTREAM"), 0);
    CHECK_INT(redis_call(self, r, NULL, "XGROUP CREATE {test}s g 0"), ERR_REDIS); /* BUSYGROUP is no state */
}

struct interrupted {
    struct redis *redis;
    bool cancel, not_sent;
    int result;
    bool over;
};

/* BLPOP holds the whole connection, so the replies come long after the fiber and its memory have gone. */
static void await_and_be_interrupted(struct fiber *self, void *arg) {
    struct interrupted *c = arg;
    struct redis_batch *b = redis_batch_new();
    add(b, "BLPOP {test}nothing 0.2");
    add(b, "ECHO late");
    CHECK_INT(redis_submit(c->redis, b), 0);
    if (!c->not_sent) fiber_sleep_ms(self, 20);
    if (c->cancel)
        fiber_cancel(self);
    else
        fiber_set_deadline_ns(self, in_ms(20));
    c->result = redis_await(self, c->redis, b);
    c->over = true;
}

TEST(an_interrupted_fiber_leaves_its_batch_to_the_client) {
    (void)server;
    for (int i = 0; i < 4; i++) {
        struct interrupted c = {.redis = r, .cancel = i & 1, .not_sent = i & 2, .result = -1};
        start_fiber(self, await_and_be_interrupted, &c);
        while (!c.over) fiber_sleep_ms(self, 1);
        CHECK_INT(c.result, c.cancel ? ERR_CANCELLED : ERR_DEADLINE_EXCEEDED);
    }
    const struct redis_reply *reply;
    CHECK_INT(redis_call(self, r, &reply, "ECHO next"), 0);
    CHECK_STR(reply->str, "next");
    CHECK_INT(redis_generation(r), 1);
}

TEST(closing_waits_for_what_is_in_flight) {
    (void)server;
    struct redis *other = open_client(self, server);
    CHECK_INT(redis_wait_ready(self, other), 0);
    struct redis_batch *b = redis_batch_new();
    add(b, "BLPOP {test}nothing 0.05");
    CHECK_INT(redis_submit(other, b), 0);
    redis_close(self, other);
    CHECK_INT(redis_await(self, r, b), 0);
    CHECK_INT(redis_batch_reply(b, 0)->type, REDIS_NIL);
    redis_batch_free(b);
}

TEST(a_client_may_be_closed_before_it_has_connected) {
    (void)r;
    redis_close(self, open_client(self, server));
}

TEST(a_blocking_connection_waits_beyond_the_usual_time) {
    (void)server;
    struct redis *blocking = redis_open_blocking(r, "blocking", 5000);
    struct redis_batch *b = redis_batch_new(), *second = redis_batch_new();
    CHECK_INT(redis_wait_ready(self, blocking), 0);
    add(b, "BLPOP {test}queue 3.5");
    add(second, "PING");
    CHECK_INT(redis_submit(blocking, b), 0);
    CHECK_INT(redis_submit(blocking, second), ERR_OVERLOADED);
    CHECK_INT(redis_await(self, blocking, b), 0);
    CHECK_INT(redis_batch_reply(b, 0)->type, REDIS_NIL);
    CHECK_INT(redis_generation(blocking), 1);
    CHECK_INT(run(self, blocking, second), 0);
    redis_batch_free(b);
    redis_batch_free(second);
    redis_close(self, blocking);
}

struct blocked {
    struct redis *blocking;
    struct fiber *fiber;
    int result;
    bool over;
};

static void pop_for_ever(struct fiber *self, void *arg) {
    struct blocked *c = arg;
    struct redis_batch *b = redis_batch_new();
    c->fiber = self;
    add(b, "BLPOP {test}queue 0");
    CHECK_INT(redis_submit(c->blocking, b), 0);
    c->result = redis_await(self, c->blocking, b);
    if (c->result == ERR_CONNECTION_LOST) redis_batch_free(b);
    c->over = true;
}

/* Else the server would hand the entry to a reader who has gone. */
TEST(an_interrupted_blocking_read_takes_nothing) {
    (void)server;
    const struct redis_reply *reply;
    struct blocked c = {.blocking = redis_open_blocking(r, "blocking", 5000)};
    CHECK_INT(redis_call(self, r, NULL, "DEL {test}queue"), 0);
    CHECK_INT(redis_wait_ready(self, c.blocking), 0);
    start_fiber(self, pop_for_ever, &c);
    fiber_sleep_ms(self, 20);
    fiber_cancel(c.fiber);
    while (!c.over) fiber_sleep_ms(self, 1);
    CHECK_INT(c.result, ERR_CANCELLED);
    CHECK_INT(redis_wait_ready(self, c.blocking), 0);
    CHECK_INT(redis_generation(c.blocking), 2);
    CHECK_INT(redis_call(self, r, NULL, "RPUSH {test}queue entry"), 0);
    CHECK_INT(redis_call(self, r, &reply, "LLEN {test}queue"), 0);
    CHECK_INT(reply->integer, 1);
    redis_close(self, c.blocking);
}

TEST(closing_a_blocking_connection_does_not_wait_for_its_read) {
    (void)server;
    struct blocked c = {.blocking = redis_open_blocking(r, "blocking", 3600 * 1000)};
    CHECK_INT(redis_call(self, r, NULL, "DEL {test}queue"), 0);
    CHECK_INT(redis_wait_ready(self, c.blocking), 0);
    start_fiber(self, pop_for_ever, &c);
    fiber_sleep_ms(self, 20);
    redis_close(self, c.blocking);
    while (!c.over) fiber_sleep_ms(self, 1);
    CHECK_INT(c.result, ERR_CONNECTION_LOST);
}

TEST(scripts_are_loaded_when_the_server_does_not_know_them) {
    (void)server;
    static const struct redis_script script = {
        "add", "return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}"};
    const struct str args[] = {STR("5"), STR("a b\r\nc")};
    const struct redis_reply *reply;
    CHECK_INT(redis_call(self, r, NULL, "DEL {test}n"), 0);
    for (int i = 1; i <= 4; i++) {
        if (i == 3) CHECK_INT(redis_call(self, r, NULL, "SCRIPT FLUSH"), 0);
        CHECK_INT(redis_eval(self, r, &script, STR("{test}n"), args, 2, &reply), 0);
        CHECK_STR(reply->element[0].str, "{test}n");
        CHECK_INT(reply->element[1].integer, 5 * i);
        CHECK(str_eq(reply->element[2].str, args[1]));
    }
}

TEST(a_script_that_fails_reports_its_error) {
    (void)server;
    static const struct redis_script broken = {"broken", "this is not Lua"};
    static const struct redis_script failing = {"failing", "return redis.error_reply('WRONG on purpose')"};
    const struct redis_reply *reply;
    CHECK_INT(redis_eval(self, r, &broken, STR("{test}n"), NULL, 0, NULL), ERR_REDIS);
    CHECK_INT(redis_eval(self, r, &failing, STR("{test}n"), NULL, 0, &reply), ERR_REDIS);
    CHECK_STR(reply->str, "WRONG on purpose");
}

static void call_with_a_small_arena(struct fiber *self, void *arg) {
    struct caller *c = arg;
    const struct redis_reply *reply;
    CHECK_INT(redis_call(self, c->redis, &reply, "GETRANGE {test}long 0 100000"), ERR_RESOURCE_EXHAUSTED);
    c->done = 1;
}

TEST(a_reply_larger_than_the_fibers_arena_is_an_error) {
    (void)server;
    struct caller c = {.redis = r};
    struct fiber_options small = {.arena_limit = 10000};
    CHECK_INT(redis_call(self, r, NULL, "SETRANGE {test}long 50000 x"), 0);
    CHECK_INT(fiber_spawn(fiber_loop(self), &small, call_with_a_small_arena, &c, NULL), 0);
    while (!c.done) fiber_sleep_ms(self, 1);
}

/* ---- the server dies ------------------------------------------------------------------------------------
 */

struct victim {
    struct redis *redis;
    int commands;
    int result;
    int ends; /* how often the await returned: exactly once */
};

static void send_much(struct fiber *self, void *arg) {
    struct victim *v = arg;
    struct redis_batch *b = redis_batch_new();
    for (int i = 0; i < v->commands; i++) add(b, "INCR {test}n");
    CHECK_INT(redis_submit(v->redis, b), 0);
    v->result = redis_await(self, v->redis, b);
    v->ends++;
    redis_batch_free(b);
}

static void await_ends(struct fiber *self, const struct victim *v, int n) {
    for (int i = 0; i < n; i++)
        while (v[i].ends == 0) fiber_sleep_ms(self, 1);
}

/* Paused first, so that the batches are surely in flight when it dies. Those that found no room in the socket
 * were not begun; they wait for a connection and then report that none came. */
HARMFUL_TEST(killing_the_server_fails_each_batch_in_flight_once) {
    enum { N = 20 };
    struct victim v[N];
    char before[41];
    snprintf(before, sizeof before, "%s", redis_run_id(r));
    CHECK_INT(strlen(before), 40);
    redis_server_pause(server);
    for (int i = 0; i < N; i++) {
        v[i] = (struct victim){.redis = r, .commands = 1 + i * i * 10, .result = -1};
        start_fiber(self, send_much, &v[i]);
    }
    fiber_sleep_ms(self, 10);
    redis_server_kill(server);
    await_ends(self, v, N);
    CHECK(!redis_ready(r));
    redis_server_restart(server);
    CHECK_INT(redis_wait_ready(self, r), 0);
    fiber_sleep_ms(self, 10);
    int lost = 0;
    for (int i = 0; i < N; i++) {
        CHECK_INT(v[i].ends, 1);
        CHECK(v[i].result == ERR_CONNECTION_LOST || v[i].result == ERR_UNAVAILABLE);
        lost += v[i].result == ERR_CONNECTION_LOST;
    }
    CHECK(lost > 0);
    CHECK_INT(redis_generation(r), 2);
    CHECK_INT(strlen(redis_run_id(r)), 40);
    CHECK(strcmp(before, redis_run_id(r)) != 0);
    CHECK_INT(redis_call(self, r, NULL, "PING"), 0);
}

HARMFUL_TEST(a_batch_half_answered_fails_as_a_whole) {
    struct victim v = {.redis = r, .commands = 200000, .result = -1};
    start_fiber(self, send_much, &v);
    fiber_sleep_ms(self, 5);
    redis_server_kill(server);
    await_ends(self, &v, 1);
    CHECK_INT(v.result, ERR_CONNECTION_LOST);
}

HARMFUL_TEST(a_batch_submitted_while_the_server_is_away_waits_for_it) {
    struct victim v = {.redis = r, .commands = 10, .result = -1};
    redis_server_kill(server);
    while (redis_ready(r)) fiber_sleep_ms(self, 1);
    start_fiber(self, send_much, &v);
    fiber_sleep_ms(self, 30);
    redis_server_restart(server);
    await_ends(self, &v, 1);
    CHECK_INT(v.result, 0);
}

HARMFUL_TEST(a_batch_does_not_wait_long_for_a_server_that_stays_away) {
    redis_server_kill(server);
    while (redis_ready(r)) fiber_sleep_ms(self, 1);
    CHECK_INT(redis_call(self, r, NULL, "PING"), ERR_UNAVAILABLE);
}

HARMFUL_TEST(a_server_that_accepts_but_never_answers_is_given_up) {
    struct victim v = {.redis = r, .commands = 3, .result = -1};
    redis_server_pause(server);
    start_fiber(self, send_much, &v);
    await_ends(self, &v, 1);
    CHECK_INT(v.result, ERR_CONNECTION_LOST);
    CHECK(!redis_ready(r));
    redis_server_resume(server);
    CHECK_INT(redis_wait_ready(self, r), 0);
    CHECK_INT(redis_generation(r), 2);
}

/* The greeting of a new connection gets no answer either: connecting has its own limit. */
HARMFUL_TEST(connecting_to_a_server_that_never_answers_is_tried_again) {
    redis_server_pause(server);
    struct redis *other = open_client(self, server);
    CHECK_INT(redis_call(self, other, NULL, "PING"), ERR_UNAVAILABLE);
    fiber_sleep_ms(self, 1500);
    redis_server_resume(server);
    CHECK_INT(redis_wait_ready(self, other), 0);
    CHECK_INT(redis_generation(other), 1);
    redis_close(self, other);
    (void)r;
}

HARMFUL_TEST(more_than_the_cap_of_unsent_bytes_is_refused) {
    enum { N = 9 };
    struct redis_batch *b[N];
    size_t len = (size_t)10 * 1024 * 1024;
    char *big = calloc(1, len);
    int refused = 0;
    redis_server_pause(server);
    for (int i = 0; i < N; i++) {
        b[i] = redis_batch_new();
        redis_cmd(b[i], 3);
        redis_arg(b[i], STR("SET"));
        redis_arg(b[i], STR("{test}big"));
        redis_arg(b[i], (struct str){big, len});
        int err = redis_submit(r, b[i]);
        if (err == 0) continue;
        CHECK_INT(err, ERR_OVERLOADED);
        CHECK_INT(i, 6 + refused++);
        redis_batch_free(b[i]);
        b[i] = NULL;
    }
    CHECK_INT(refused, 3);
    redis_server_resume(server);
    for (int i = 0; i < N; i++) {
        if (!b[i]) continue;
        CHECK_INT(redis_await(self, r, b[i]), 0);
        redis_batch_free(b[i]);
    }
    CHECK_INT(redis_call(self, r, NULL, "PING"), 0);
    free(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_come_in_the_order_of_the_commands),
        cmocka_unit_test(commands_may_be_encoded_by_their_sender),
        cmocka_unit_test(every_type_of_reply_is_told_apart),
        cmocka_unit_test(nested_arrays_keep_their_shape),
        cmocka_unit_test(one_error_does_not_touch_the_other_commands),
        cmocka_unit_test(a_batch_can_be_reset_and_used_again),
        cmocka_unit_test(an_empty_batch_is_done_at_once),
        cmocka_unit_test(arguments_may_hold_any_bytes),
        cmocka_unit_test(formatted_arguments_may_be_long),
        cmocka_unit_test(big_values_go_through_whole),
        cmocka_unit_test(a_hundred_thousand_commands_in_one_batch),
        cmocka_unit_test(replies_that_are_no_integers_are_marked_in_an_integers_batch),
        cmocka_unit_test(batches_of_both_kinds_share_the_connection),
        cmocka_unit_test(many_fibers_share_one_connection),
        cmocka_unit_test(a_call_that_is_refused_reports_the_refusal),
        cmocka_unit_test(a_server_that_has_no_memory_left_is_away_not_at_fault),
        cmocka_unit_test(an_interrupted_fiber_leaves_its_batch_to_the_client),
        cmocka_unit_test(closing_waits_for_what_is_in_flight),
        cmocka_unit_test(a_client_may_be_closed_before_it_has_connected),
        cmocka_unit_test(a_blocking_connection_waits_beyond_the_usual_time),
        cmocka_unit_test(an_interrupted_blocking_read_takes_nothing),
        cmocka_unit_test(closing_a_blocking_connection_does_not_wait_for_its_read),
        cmocka_unit_test(scripts_are_loaded_when_the_server_does_not_know_them),
        cmocka_unit_test(a_script_that_fails_reports_its_error),
        cmocka_unit_test(a_reply_larger_than_the_fibers_arena_is_an_error),
        cmocka_unit_test(killing_the_server_fails_each_batch_in_flight_once),
        cmocka_unit_test(a_batch_half_answered_fails_as_a_whole),
        cmocka_unit_test(a_batch_submitted_while_the_server_is_away_waits_for_it),
        cmocka_unit_test(a_batch_does_not_wait_long_for_a_server_that_stays_away),
        cmocka_unit_test(a_server_that_accepts_but_never_answers_is_given_up),
        cmocka_unit_test(connecting_to_a_server_that_never_answers_is_tried_again),
        cmocka_unit_test(more_than_the_cap_of_unsent_bytes_is_refused),
    };
    return cmocka_run_group_tests(tests, redis_server_setup, redis_server_teardown);
}
