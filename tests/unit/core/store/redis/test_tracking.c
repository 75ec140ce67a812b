/* Connections that are told of changes: word of a change comes before the fence that follows it, whoever made it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/store/redis/redis_internal.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/redis_server.h"

/* A shared connection that changes keys, and a tracking one that reads them. */
struct pair {
    struct redis *shared, *tracked;
    struct metrics *metrics;
    int told, told_all;
    char last[64];
};

static void note_change(void *owner, struct str key) {
    struct pair *p = owner;
    p->told++;
    if (!key.ptr) p->told_all++;
    snprintf(p->last, sizeof p->last, STR_FMT, STR_ARG(key));
}

static void open_pair(struct fiber *self, struct pair *p, const struct redis_server *server) {
    *p = (struct pair){.metrics = metrics_new()};
    p->shared = redis_open(fiber_loop(self), server->url, "test", NULL, p->metrics);
    p->tracked = redis_open_tracking(p->shared, "tracked", note_change, p);
    CHECK_INT(redis_wait_ready(self, p->shared), 0);
    CHECK_INT(redis_wait_ready(self, p->tracked), 0);
}

static void close_pair(struct fiber *self, struct pair *p) {
    redis_close(self, p->tracked);
    redis_close(self, p->shared);
    metrics_free(p->metrics);
}

/* Has exactly this key been told of since the last look, once the next fence is passed? */
static bool told_of(struct fiber *self, struct pair *p, const char *key) {
    bool passed = CHECK_INT(redis_fence(self, p->tracked), 0);
    int told = p->told;
    p->told = 0;
    return passed && CHECK_INT(told, 1) && CHECK_STR(str_from(p->last), key);
}

static bool told_of_none(struct fiber *self, struct pair *p) {
    return CHECK_INT(redis_fence(self, p->tracked), 0) && CHECK_INT(p->told, 0);
}

static void hear(struct fiber *self, void *server) {
    struct pair p;
    const struct redis_reply *reply;
    open_pair(self, &p, server);
    for (int i = 0; i < 300; i++) {
        CHECK_INT(redis_call(self, p.tracked, &reply, "MGET {test}a {test}b"), 0);
        CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}a %d", i), 0);
        if (!told_of(self, &p, "{test}a")) break;
        /* It is told once; b is still watched. */
        CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}a again"), 0);
        if (!told_of_none(self, &p)) break;
        CHECK_INT(redis_call(self, p.shared, NULL, "DEL {test}b"), 0); /* was not there: no change */
        if (!told_of_none(self, &p)) break;
        CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}b 1"), 0);
        if (!told_of(self, &p, "{test}b")) break;
        CHECK_INT(redis_call(self, p.shared, NULL, "DEL {test}b"), 0);
        if (!told_of_none(self, &p)) break;
    }
    close_pair(self, &p);
}

static void a_change_is_told_before_the_next_fence(void **state) {
    run_in_fiber(hear, *state);
}

/* Replies of all shapes come on such a connection too, in RESP3. */
static void read_shapes(struct fiber *self, void *server) {
    struct pair p;
    const struct redis_reply *reply;
    open_pair(self, &p, server);
    CHECK_INT(redis_call(self, p.shared, NULL, "DEL {test}list {test}hash {test}none"), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "RPUSH {test}list 1 -2 f3"), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "HSET {test}hash k v"), 0);
    CHECK_INT(redis_call(self, p.tracked, &reply, "LRANGE {test}list -2 -1"), 0);
    CHECK_INT(reply->elements, 2);
    CHECK_STR(reply->element[1].str, "f3");
    CHECK_INT(redis_call(self, p.tracked, &reply, "LRANGE {test}none 0 -1"), 0);
    CHECK_INT(reply->elements, 0);
    CHECK_INT(redis_call(self, p.tracked, &reply, "GET {test}none"), 0);
    CHECK_INT(reply->type, REDIS_NIL);
    CHECK_INT(redis_call(self, p.tracked, &reply, "HGETALL {test}hash"), 0);
    CHECK_INT(reply->elements, 2);
    CHECK_STR(reply->element[1].str, "v");
    CHECK_INT(redis_call(self, p.tracked, &reply, "INFO server"), 0);
    CHECK(memmem(reply->str.ptr, reply->str.len, "run_id:", 7) != NULL);
    CHECK_INT(redis_call(self, p.tracked, &reply, "LLEN {test}list"), 0);
    CHECK_INT(reply->integer, 3);
    CHECK_INT(redis_call(self, p.tracked, &reply, "LLEN {test}hash"), ERR_REDIS);
    CHECK(str_starts_with(reply->str, STR("WRONGTYPE")));
    close_pair(self, &p);
}

static void replies_of_every_shape_are_read(void **state) {
    run_in_fiber(read_shapes, *state);
}

/* Changes made by the connection itself, expiry, and the end of all keys. */
static void hear_of_ends(struct fiber *self, void *server) {
    struct pair p;
    open_pair(self, &p, server);
    CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}a 1"), 0);
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    CHECK_INT(redis_call(self, p.tracked, NULL, "EXPIRE {test}a 100"), 0);
    told_of(self, &p, "{test}a");
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "PEXPIRE {test}a 1"), 0);
    told_of(self, &p, "{test}a");
    CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}a 1 PX 20"), 0);
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    int64_t give_up = in_ms(20000);
    while (p.told == 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    CHECK_STR(str_from(p.last), "{test}a");
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "FLUSHALL"), 0);
    CHECK_INT(redis_fence(self, p.tracked), 0);
    CHECK_INT(p.told_all, 1);
    close_pair(self, &p);
}

static void own_changes_expiry_and_the_end_of_all_keys_are_told(void **state) {
    if (getenv("ROOKERY_TEST_REDIS_URL")) skip();
    run_in_fiber(hear_of_ends, *state);
}

enum { WAITERS = 100 };

struct wait {
    struct pair *pair;
    struct latch *done;
    int64_t deadline_ns;
    int result;
};

static void wait_for_fence(struct fiber *self, void *arg) {
    struct wait *w = arg;
    fiber_set_deadline_ns(self, w->deadline_ns);
    w->result = redis_fence(self, w->pair->tracked);
    fiber_set_deadline_ns(self, 0);
    latch_done(w->done);
}

static void share(struct fiber *self, void *server) {
    struct pair p;
    struct latch done;
    struct wait waits[WAITERS];
    open_pair(self, &p, server);
    struct counter *commands = metrics_counter(p.metrics, "rookery_redis_commands_total",
                                               "Commands answered.", "connection=\"tracked\"");
    uint64_t before = commands->value;
    latch_init(&done, WAITERS);
    for (int i = 0; i < WAITERS; i++) {
        waits[i] = (struct wait){.pair = &p, .done = &done, .deadline_ns = i % 2 ? 0 : 1};
        start_fiber(self, wait_for_fence, &waits[i]);
    }
    CHECK_INT(latch_wait(self, &done), 0);
    for (int i = 0; i < WAITERS; i++) CHECK_INT(waits[i].result, i % 2 ? 0 : ERR_DEADLINE_EXCEEDED);
    CHECK_INT(commands->value, before + 1);
    /* All of those who wait are interrupted: the answer finds nobody. */
    latch_init(&done, 1);
    waits[0].deadline_ns = 1;
    start_fiber(self, wait_for_fence, &waits[0]);
    CHECK_INT(latch_wait(self, &done), 0);
    CHECK_INT(redis_fence(self, p.tracked), 0);
    close_pair(self, &p);
}

static void who_waits_in_one_turn_shares_a_fence(void **state) {
    run_in_fiber(share, *state);
}

static void lose_server(struct fiber *self, void *arg) {
    struct redis_server *server = arg;
    struct pair p;
    open_pair(self, &p, server);
    uint64_t generation = redis_generation(p.tracked);
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    redis_server_kill(server);
    CHECK(redis_fence(self, p.tracked) != 0);
    redis_server_restart(server);
    CHECK_INT(redis_wait_ready(self, p.tracked), 0);
    CHECK(redis_generation(p.tracked) > generation);
    CHECK_INT(redis_wait_ready(self, p.shared), 0);
    CHECK_INT(redis_call(self, p.tracked, NULL, "GET {test}a"), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "SET {test}a 1"), 0);
    told_of(self, &p, "{test}a");
    close_pair(self, &p);
}

static void a_new_connection_is_told_again(void **state) {
    (void)state;
    if (getenv("ROOKERY_TEST_REDIS_URL")) skip();
    struct redis_server own;
    redis_server_start(&own, NULL);
    run_in_fiber(lose_server, &own);
    redis_server_remove(&own);
}

static void read_too_much(struct fiber *self, void *server) {
    struct pair p;
    const struct redis_reply *reply;
    open_pair(self, &p, server);
    CHECK_INT(redis_call(self, p.shared, NULL, "SETRANGE {test}big 70000 x"), 0);
    CHECK_INT(redis_call(self, p.tracked, &reply, "GET {test}big"), ERR_CONNECTION_LOST);
    CHECK_INT(redis_wait_ready(self, p.tracked), 0);
    CHECK_INT(redis_fence(self, p.tracked), 0);
    CHECK_INT(redis_call(self, p.shared, NULL, "DEL {test}big"), 0);
    close_pair(self, &p);
}

static void a_reply_larger_than_the_buffer_ends_the_connection(void **state) {
    run_in_fiber(read_too_much, *state);
}

static void a_value_is_taken_when_it_is_all_there(void **state) {
    static const char *const whole[] = {
        "+OK\r\n",
        "-ERR no\r\n",
        ":-7\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12345\r\n",
        "$3\r\na\r\n\r\n",
        "=7\r\ntxt:abc\r\n",
        "!2\r\nno\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*2\r\n_\r\n:1\r\n",
        "~1\r\n:1\r\n",
        "%1\r\n+k\r\n:1\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$7\r\n{test}a\r\n",
    };
    static const char *const broken[] = {"?\r\n",
                                         ":x\r\n",
                                         "$x\r\n",
                                         "$-2\r\n",
                                         "*-2\r\n",
                                         "$1\r\nabcd",
                                         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
                                         "$99999999999\r\n"};
    struct arena a;
    struct redis_reply reply;
    (void)state;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        size_t len = strlen(whole[i]);
        for (size_t part = 0; part < len; part++)
            assert_int_equal(redis_resp3_take(&a, whole[i], part, &reply), 0);
        assert_int_equal(redis_resp3_take(&a, whole[i], len, &reply), len);
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_true(redis_resp3_take(&a, broken[i], strlen(broken[i]), &reply) < 0);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_told_before_the_next_fence),
        cmocka_unit_test(replies_of_every_shape_are_read),
        cmocka_unit_test(own_changes_expiry_and_the_end_of_all_keys_are_told),
        cmocka_unit_test(who_waits_in_one_turn_shares_a_fence),
        cmocka_unit_test(a_new_connection_is_told_again),
        cmocka_unit_test(a_reply_larger_than_the_buffer_ends_the_connection),
        cmocka_unit_test(a_value_is_taken_when_it_is_all_there),
    };
    return cmocka_run_group_tests(tests, redis_server_setup, redis_server_teardown);
}
