/* Calls wait until the replies before them are sent; other connections are served meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/support/fibers.h"
#include "tests/unit/support/h2_peer.h"
#include "tests/unit/support/rpc_world.h"

enum { END = NGHTTP2_FLAG_END_STREAM, CALLS = 20, TEXT = 16 * 1000 };

#define ECHO_OK "method=\"rookery.test.v1.TestService/Echo\",code=\"OK\""

#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (int wait_i = 0; wait_i < 10000 && !(condition); wait_i++) fiber_sleep_ms(self, 1);              \
        CHECK(condition);                                                                                    \
    } while (0)

static void begin(struct fiber *self, struct rpc_world *w, size_t reply_bytes) {
    world_init(w);
    w->options.reply_bytes = reply_bytes;
    world_start(self, w);
}

static void send_echo(struct fiber *self, struct h2_peer *p, int32_t stream, size_t size,
                      const char *timeout) {
    static char text[TEXT];
    memset(text, 'x', sizeof text);
    h2_send_call(p, stream, TEST_SERVICE "Echo", timeout ? "grpc-timeout" : NULL, timeout);
    h2_send_message(p, stream, pack_string(self, (struct str){text, size}), END);
}

static uint64_t served(struct rpc_world *w) {
    return world_counter(w, "rookery_rpc_requests_total", ECHO_OK);
}

static void replies_are_made_when_they_can_be_sent(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer p;
    (void)arg;
    begin(self, &w, 32 * 64 * 1024); /* 64 KiB of one connection */
    h2_open(self, &p, w.address, 0);
    for (int32_t i = 0; i < CALLS; i++) send_echo(self, &p, 1 + 2 * i, TEXT, NULL);
    WAIT_UNTIL(served(&w) > 0);
    fiber_sleep_ms(self, 100);
    CHECK(served(&w) <= 4);
    h2_send_window(&p, 0, 1 << 24);
    for (int32_t i = 0; i < CALLS; i++) h2_send_window(&p, 1 + 2 * i, 1 << 20);
    for (int32_t i = 0; i < CALLS; i++) {
        const struct h2_response *r = h2_wait(self, &p, 1 + 2 * i);
        if (!CHECK(r && r->grpc_status == 0 && r->body.len > TEXT)) break;
    }
    CHECK_INT(served(&w), CALLS);
    h2_close(self, &p);
    world_stop(self, &w, 1000);
}

static void others_are_served_meanwhile(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer stuck, other;
    (void)arg;
    begin(self, &w, 128 * 1024);
    h2_open(self, &stuck, w.address, 0);
    for (int32_t i = 0; i < CALLS; i++) send_echo(self, &stuck, 1 + 2 * i, TEXT, NULL);
    WAIT_UNTIL(served(&w) > 0);
    h2_open(self, &other, w.address, -1);
    for (int32_t i = 0; i < CALLS; i++) {
        send_echo(self, &other, 1 + 2 * i, 100, NULL);
        const struct h2_response *r = h2_wait(self, &other, 1 + 2 * i);
        if (!CHECK(r && r->grpc_status == 0)) break;
    }
    h2_close(self, &other);
    h2_close(self, &stuck);
    world_stop(self, &w, 1000);
}

static void a_call_may_wait_until_its_deadline(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer p;
    (void)arg;
    begin(self, &w, 128 * 1024);
    h2_open(self, &p, w.address, 0);
    send_echo(self, &p, 1, TEXT, NULL);
    WAIT_UNTIL(served(&w) == 1);
    send_echo(self, &p, 3, 100, "50m");
    const struct h2_response *r = h2_wait(self, &p, 3);
    CHECK(r && r->grpc_status == 4);
    h2_close(self, &p);
    world_stop(self, &w, 1000);
}

/* All of them come at once, so that they give way before their fibers have run; what the others hold is free then. */
static void streams_that_give_way_before_they_run_are_refused(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer p;
    (void)arg;
    world_init(&w);
    w.options.budget.connection = 5 * 2048;
    world_start(self, &w);
    h2_open(self, &p, w.address, -1);
    for (int32_t i = 0; i < CALLS; i++) {
        h2_send_call(&p, 1 + 2 * i, TEST_SERVICE "Count", NULL, NULL);
        h2_send_message(&p, 1 + 2 * i, STR(""), END);
    }
    int served = 0, refused = 0;
    for (int32_t i = 0; i < CALLS; i++) {
        const struct h2_response *r = h2_wait(self, &p, 1 + 2 * i);
        if (!CHECK(r)) break;
        served += r->grpc_status == 0;
        refused += r->grpc_status == 8;
    }
    CHECK(served > 0 && refused > 0 && served + refused == CALLS);
    h2_close(self, &p);
    world_stop(self, &w, 1000);
}

/* Its calls that wait are dropped with it; the server does not wait for them. */
static void who_leaves_takes_his_calls_along(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer p;
    (void)arg;
    begin(self, &w, 128 * 1024);
    h2_open(self, &p, w.address, 0);
    for (int32_t i = 0; i < CALLS; i++) send_echo(self, &p, 1 + 2 * i, TEXT, NULL);
    WAIT_UNTIL(served(&w) > 0);
    h2_send_reset(&p, 3, NGHTTP2_CANCEL);
    h2_close(self, &p);
    world_stop(self, &w, 1000);
}

static void a_stop_ends_what_waits(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct h2_peer p;
    (void)arg;
    begin(self, &w, 128 * 1024);
    h2_open(self, &p, w.address, 0);
    for (int32_t i = 0; i < CALLS; i++) send_echo(self, &p, 1 + 2 * i, TEXT, NULL);
    WAIT_UNTIL(served(&w) > 0);
    world_stop(self, &w, 300); /* they wait for ever: the server ends them */
    h2_close(self, &p);
}

static void readers_that_keep_others_waiting_are_cut(struct fiber *self, void *arg) {
    enum { STUCK = 6 };
    struct rpc_world w;
    struct h2_peer stuck[STUCK];
    (void)arg;
    begin(self, &w, 64 * 1024);
    for (int i = 0; i < STUCK; i++) {
        h2_open(self, &stuck[i], w.address, 0);
        send_echo(self, &stuck[i], 1, TEXT, NULL);
        fiber_sleep_ms(self, 10);
    }
    for (int wait = 0; wait < 10000; wait++) {
        if (world_counter(&w, "rookery_http_drops_total", "reason=\"unread_replies\"") > 0) break;
        fiber_sleep_ms(self, 1);
    }
    CHECK(world_counter(&w, "rookery_http_drops_total", "reason=\"unread_replies\"") > 0);
    for (int i = 0; i < STUCK; i++) h2_close(self, &stuck[i]);
    world_stop(self, &w, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(replies_are_made_when_they_can_be_sent),
        IN_FIBER(others_are_served_meanwhile),
        IN_FIBER(a_call_may_wait_until_its_deadline),
        IN_FIBER(streams_that_give_way_before_they_run_are_refused),
        IN_FIBER(who_leaves_takes_his_calls_along),
        IN_FIBER(a_stop_ends_what_waits),
        IN_FIBER(readers_that_keep_others_waiting_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
