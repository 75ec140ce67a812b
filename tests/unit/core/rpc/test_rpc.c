/* Our client against our server over loopback: calls of every kind, errors, backpressure, draining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/rpc_world.h"

#define ECHO_METHOD TEST_SERVICE "Echo"

/* A world, and a client connected to it. */
struct pair {
    struct rpc_world w;
    struct rpc_client *client;
};

static void pair_open(struct fiber *self, struct pair *p) {
    p->client = NULL;
    world_start(self, &p->w);
    CHECK_INT(rpc_client_open(self, p->w.address, &p->client), 0);
}

static void pair_begin(struct fiber *self, struct pair *p) {
    world_init(&p->w);
    pair_open(self, p);
}

static void pair_end(struct fiber *self, struct pair *p) {
    if (p->client) rpc_client_close(self, p->client);
    world_stop(self, &p->w, 1000);
}

static int unary(struct fiber *self, struct pair *p, const char *method, struct str request,
                 struct rpc_client_call *call) {
    *call = (struct rpc_client_call){.path = method, .request = request};
    return rpc_client_unary(self, p->client, call);
}

/* Gives other fibers and the network their turn until the condition holds; at most five seconds. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (int wait_i = 0; wait_i < 5000 && !(condition); wait_i++) fiber_sleep_ms(self, 1);               \
        CHECK(condition);                                                                                    \
    } while (0)

/* ---- unary --------------------------------------------------------------------------------------------- */

static void a_unary_call_gets_its_reply(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, ECHO_METHOD, pack_string(self, STR("hello")), &call), 0);
    CHECK_INT(call.grpc_status, 0);
    CHECK_STR(unpack_string(self, call.reply), "hello");
    CHECK_INT(world_counter(&p.w, "rookery_rpc_requests_total",
                            "method=\"rookery.test.v1.TestService/Echo\",code=\"OK\""),
              1);
    pair_end(self, &p);
}

static void a_message_of_no_bytes_is_a_message(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, ECHO_METHOD, STR(""), &call), 0);
    CHECK_INT(call.grpc_status, 0);
    CHECK_INT(call.reply.len, 0);
    pair_end(self, &p);
}

static void large_messages_cross_the_windows_both_ways(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    size_t n = 1000 * 1000;
    char *big = arena_alloc(fiber_arena(self), n);
    for (size_t i = 0; i < n; i++) big[i] = (char)('a' + i % 26);
    for (int i = 0; i < 5; i++) { /* more than the connection's windows */
        CHECK_INT(unary(self, &p, ECHO_METHOD, pack_string(self, (struct str){big, n}), &call), 0);
        CHECK_INT(call.grpc_status, 0);
        CHECK(str_eq(unpack_string(self, call.reply), (struct str){big, n}));
    }
    pair_end(self, &p);
}

static void a_message_beyond_the_limit_is_refused(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    world_init(&p.w);
    p.w.options.max_message_bytes = 1024;
    pair_open(self, &p);
    char big[2048];
    memset(big, 'x', sizeof big);
    CHECK_INT(unary(self, &p, ECHO_METHOD, pack_string(self, (struct str){big, 1021}), &call), 0);
    CHECK_INT(call.grpc_status, 0); /* 1,024 bytes exactly */
    CHECK_INT(unary(self, &p, ECHO_METHOD, pack_string(self, (struct str){big, 1022}), &call), 0);
    CHECK_INT(call.grpc_status, 8);
    CHECK_INT(unary(self, &p, ECHO_METHOD, pack_string(self, STR("still here")), &call), 0);
    CHECK_STR(unpack_string(self, call.reply), "still here");
    pair_end(self, &p);
}

static void bytes_that_are_no_message_are_internal(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, ECHO_METHOD, STR("\xff\xff"), &call), 0);
    CHECK_INT(call.grpc_status, 13);
    pair_end(self, &p);
}

static void an_unknown_method_is_unimplemented(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, TEST_SERVICE "Nope", STR(""), &call), 0);
    CHECK_INT(call.grpc_status, 12);
    CHECK_INT(unary(self, &p, "/no.such.Service/Echo", STR(""), &call), 0);
    CHECK_INT(call.grpc_status, 12);
    CHECK_INT(world_counter(&p.w, "rookery_rpc_requests_total", "method=\"unknown\",code=\"UNIMPLEMENTED\""),
              2);
    pair_end(self, &p);
}

static void a_status_and_its_sentence_survive(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    char digits[24];
    (void)arg;
    pair_begin(self, &p);
    for (int code = 1; code <= 16; code++) {
        size_t n = format_i64(digits, code);
        CHECK_INT(unary(self, &p, TEST_SERVICE "Fail", pack_string(self, (struct str){digits, n}), &call), 0);
        CHECK_INT(call.grpc_status, code);
        if (rpc_is_internal(code))
            CHECK(str_starts_with(call.grpc_message, STR("told to (reference ")));
        else
            CHECK_STR(call.grpc_message, code == 3 ? "100% wrong: \xe2\x98\xba" : "told to");
    }
    pair_end(self, &p);
}

static void an_internal_error_keeps_its_sentence_to_itself(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, TEST_SERVICE "Fail", pack_string(self, STR("33")), &call), 0); /* ERR_SQL */
    CHECK_INT(call.grpc_status, 13);
    CHECK(str_starts_with(call.grpc_message, STR("internal error (reference ")));
    pair_end(self, &p);
}

/* The table of errors, as a client sees each: what is inside stays inside, whatever its status. */
static void what_is_inside_has_no_details(void **state) {
    (void)state;
    struct fault fault;
    struct buf json, details;
    buf_init(&json);
    buf_init(&details);
#define X(name, number, grpc, retryable, text)                                                               \
    fault_field(&fault, ERR_##name, "42P01", "relation \"sessions\" does not exist");                        \
    bool shown_##name = number > 0 && number < 32 && !rpc_is_internal(ERR_##name);                           \
    buf_clear(&json);                                                                                        \
    rpc_error_json(&json, ERR_##name, &fault);                                                               \
    buf_append_char(&json, '\0');                                                                            \
    if (number > 0) assert_int_equal(strstr(json.ptr, "details") != NULL, shown_##name);                     \
    if (number >= 32) assert_null(strstr(json.ptr, "sessions"));                                             \
    if (number > 0) assert_int_equal(rpc_details_proto(&details, ERR_##name, &fault), shown_##name);
    ERROR_TABLE(X)
#undef X
    buf_free(&json);
    buf_free(&details);
}

static void the_authenticator_guards_what_is_not_public(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, TEST_SERVICE "Private", pack_string(self, STR("x")), &call), 0);
    CHECK_INT(call.grpc_status, 16);
    call = (struct rpc_client_call){
        .path = TEST_SERVICE "Private", .request = pack_string(self, STR("x")), .bearer = STR("sesame")};
    CHECK_INT(rpc_client_unary(self, p.client, &call), 0);
    CHECK_INT(call.grpc_status, 0);
    pair_end(self, &p);
}

static void the_deadline_reaches_the_handler(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {.path = ECHO_METHOD, .request = STR(""), .timeout_ms = 60000};
    CHECK_INT(rpc_client_unary(self, p.client, &call), 0);
    CHECK(p.w.last_time_left_ms > 30000 && p.w.last_time_left_ms <= 60000);
    CHECK_INT(unary(self, &p, ECHO_METHOD, STR(""), &call), 0);
    CHECK(p.w.last_time_left_ms <= 10000); /* the server's own limit */
    pair_end(self, &p);
}

/* The most that the handler of one of ten calls had left; a call that waited long for a processor does not count. */
static int64_t most_time_left_ms(struct fiber *self, struct pair *p, int64_t timeout_ms) {
    int64_t most = 0;
    for (int i = 0; i < 10; i++) {
        struct rpc_client_call call = {.path = ECHO_METHOD, .request = STR(""), .timeout_ms = timeout_ms};
        CHECK_INT(rpc_client_unary(self, p->client, &call), 0);
        CHECK_INT(call.grpc_status, 0);
        if (p->w.last_time_left_ms > most) most = p->w.last_time_left_ms;
    }
    return most;
}

static void a_deadline_keeps_its_milliseconds_while_eight_digits_hold_them(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    int64_t left = most_time_left_ms(self, &p, 99999999);
    CHECK(left > 99999000 && left <= 99999999);
    left = most_time_left_ms(self, &p, 100000999); /* in seconds */
    CHECK(left > 99999000 && left <= 100000000);
    left = most_time_left_ms(self, &p, INT64_C(200000000000)); /* the most that can be said */
    CHECK(left > INT64_C(99999990000) && left <= INT64_C(99999999000));
    pair_end(self, &p);
}

static void a_call_past_its_deadline_ends(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {
        .path = TEST_SERVICE "Sleep", .request = pack_number(self, 60000), .timeout_ms = 20};
    int rc = rpc_client_unary(self, p.client, &call);
    CHECK(rc == ERR_DEADLINE_EXCEEDED || (rc == 0 && call.grpc_status == 4));
    WAIT_UNTIL(p.w.handlers_running == 0);
    CHECK_INT(p.w.past_deadline + p.w.cancelled, 1);
    pair_end(self, &p);
}

static void the_servers_time_limit_ends_a_unary_call(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    world_init(&p.w);
    p.w.options.request_timeout_ms = 20;
    pair_open(self, &p);
    CHECK_INT(unary(self, &p, TEST_SERVICE "Sleep", pack_number(self, 60000), &call), 0);
    CHECK_INT(call.grpc_status, 4);
    CHECK_INT(p.w.past_deadline, 1);
    pair_end(self, &p);
}

/* ---- many at once -------------------------------------------------------------------------------------- */

struct sleeper {
    struct pair *p;
    struct latch *done;
    int64_t ms;
    int *statuses; /* count by gRPC status; [17] for calls without one */
};

static void sleeper(struct fiber *self, void *arg) {
    struct sleeper *s = arg;
    struct rpc_client_call call;
    int rc = unary(self, s->p, TEST_SERVICE "Sleep", pack_number(self, s->ms), &call);
    s->statuses[rc == 0 ? call.grpc_status : 17]++;
    latch_done(s->done);
}

static void calls_beyond_the_limit_hear_to_come_back(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.max_calls = 3;
    pair_open(self, &p);
    latch_init(&done, 10);
    struct sleeper s = {&p, &done, 50, statuses};
    for (int i = 0; i < 10; i++) start_fiber(self, sleeper, &s);
    latch_wait(self, &done);
    CHECK_INT(statuses[0], 6); /* three at once, and three that waited for them */
    CHECK_INT(statuses[8], 4);
    pair_end(self, &p);
}

/* ---- turns and refusals -------------------------------------------------------------------------------- */

static int refuse_all(struct rpc_call *call, struct fault *fault) {
    (void)call;
    return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "not you");
}

static void many_refusals_are_held_back_but_not_forgotten(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.admit = refuse_all;
    pair_open(self, &p);
    latch_init(&done, 50);
    struct sleeper s = {&p, &done, 0, statuses};
    for (int i = 0; i < 50; i++) start_fiber(self, sleeper, &s);
    WAIT_UNTIL(world_counter(&p.w, "rookery_rpc_slowed_refusals_total", "") > 0);
    WAIT_UNTIL(statuses[8] >= 30);
    latch_wait(self, &done); /* the rest comes later */
    CHECK_INT(statuses[8], 50);
    pair_end(self, &p);
}

static void refusals_for_bytes_are_held_back_too(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.budget.network = 1;
    pair_open(self, &p);
    latch_init(&done, 40);
    struct sleeper s = {&p, &done, 0, statuses};
    for (int i = 0; i < 40; i++) start_fiber(self, sleeper, &s);
    WAIT_UNTIL(world_counter(&p.w, "rookery_rpc_slowed_refusals_total", "") > 5);
    latch_wait(self, &done);
    CHECK_INT(statuses[8], 40);
    CHECK_INT(world_counter(&p.w, "rookery_rpc_requests_gave_way_total", ""), 0);
    pair_end(self, &p);
}

static void failing(struct fiber *self, void *arg) {
    struct sleeper *s = arg;
    struct rpc_client_call call;
    int rc = unary(self, s->p, TEST_SERVICE "Fail", pack_string(self, STR("8")), &call);
    s->statuses[rc == 0 ? call.grpc_status : 17]++;
    latch_done(s->done);
}

static void a_held_refusal_takes_no_bytes_of_its_network(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    pair_begin(self, &p);
    latch_init(&done, 40);
    struct sleeper s = {&p, &done, 0, statuses};
    for (int i = 0; i < 40; i++) start_fiber(self, failing, &s);
    WAIT_UNTIL(p.w.server->n_slowed > 5 && statuses[8] >= 30);
    CHECK_INT(budget_bytes(&p.w.server->budget), 0);
    latch_wait(self, &done);
    CHECK_INT(statuses[8], 40);
    pair_end(self, &p);
}

static void held_refusals_are_sent_when_the_server_stops(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.admit = refuse_all;
    pair_open(self, &p);
    latch_init(&done, 40);
    struct sleeper s = {&p, &done, 0, statuses};
    for (int i = 0; i < 40; i++) start_fiber(self, sleeper, &s);
    WAIT_UNTIL(world_counter(&p.w, "rookery_rpc_slowed_refusals_total", "") > 5);
    world_stop(self, &p.w, 1000);
    latch_wait(self, &done);
    CHECK_INT(statuses[8], 40);
    rpc_client_close(self, p.client);
}

static void a_client_that_leaves_takes_its_held_refusals_along(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.admit = refuse_all;
    pair_open(self, &p);
    latch_init(&done, 40);
    struct sleeper s = {&p, &done, 0, statuses};
    for (int i = 0; i < 40; i++) start_fiber(self, sleeper, &s);
    WAIT_UNTIL(world_counter(&p.w, "rookery_rpc_slowed_refusals_total", "") > 5);
    rpc_client_close(self, p.client);
    p.client = NULL;
    latch_wait(self, &done);
    WAIT_UNTIL(p.w.server->n_slowed == 0);
    pair_end(self, &p);
}

static void a_call_that_waits_in_vain_hears_so(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.max_calls = 1;
    pair_open(self, &p);
    latch_init(&done, 2);
    struct sleeper s = {&p, &done, 60000, statuses};
    start_fiber(self, sleeper, &s);
    start_fiber(self, sleeper, &s);
    WAIT_UNTIL(statuses[8] == 1);
    CHECK_INT(p.w.handlers_running, 1);
    rpc_client_close(self, p.client);
    p.client = NULL;
    latch_wait(self, &done);
    pair_end(self, &p);
}

static void a_waiting_call_whose_client_leaves_never_runs(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    world_init(&p.w);
    p.w.options.max_calls = 1;
    pair_open(self, &p);
    latch_init(&done, 2);
    struct sleeper s = {&p, &done, 60000, statuses};
    start_fiber(self, sleeper, &s);
    start_fiber(self, sleeper, &s);
    WAIT_UNTIL(p.w.server->admission.waiting == 1);
    rpc_client_close(self, p.client);
    p.client = NULL;
    latch_wait(self, &done);
    WAIT_UNTIL(p.w.server->admission.waiting == 0 && p.w.handlers_running == 0);
    CHECK_INT(p.w.cancelled, 1);
    pair_end(self, &p);
}

static void more_calls_than_streams_wait_for_their_turn(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    pair_begin(self, &p);
    latch_init(&done, 600);
    struct sleeper s = {&p, &done, 1, statuses};
    for (int i = 0; i < 600; i++) start_fiber(self, sleeper, &s);
    latch_wait(self, &done);
    CHECK_INT(statuses[0], 600);
    pair_end(self, &p);
}

static void a_lost_connection_cancels_its_calls(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    pair_begin(self, &p);
    latch_init(&done, 2);
    struct sleeper s = {&p, &done, 60000, statuses};
    start_fiber(self, sleeper, &s);
    start_fiber(self, sleeper, &s);
    WAIT_UNTIL(p.w.handlers_running == 2);
    rpc_client_close(self, p.client);
    p.client = NULL;
    latch_wait(self, &done);
    CHECK_INT(statuses[17], 2);
    WAIT_UNTIL(p.w.cancelled == 2);
    pair_end(self, &p);
}

static void a_client_that_gives_up_cancels_the_call(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    int64_t own = fiber_deadline_ns(self);
    fiber_set_deadline_ns(self, in_ms(20)); /* the fiber's, which the server is not told */
    struct rpc_client_call call = {.path = TEST_SERVICE "Sleep", .request = pack_number(self, 60000)};
    CHECK_INT(rpc_client_unary(self, p.client, &call), ERR_DEADLINE_EXCEEDED);
    fiber_set_deadline_ns(self, own);
    WAIT_UNTIL(p.w.cancelled == 1);
    pair_end(self, &p);
}

/* ---- server streaming ---------------------------------------------------------------------------------- */

static void a_stream_gives_its_messages_in_order(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_stream *s;
    struct str m;
    bool end = false;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {.path = TEST_SERVICE "Count", .request = pack_number(self, 100)};
    CHECK_INT(rpc_client_stream_open(self, p.client, &call, &s), 0);
    for (int64_t i = 1; i <= 100; i++) {
        CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
        CHECK(!end);
        CHECK_INT(unpack_number(self, m), i);
    }
    CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
    CHECK(end);
    CHECK_INT(call.grpc_status, 0);
    rpc_client_stream_close(s);
    pair_end(self, &p);
}

static void a_slow_reader_holds_its_writer(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_stream *s;
    struct str m;
    bool end = false;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {.path = TEST_SERVICE "Flood", .request = pack_number(self, 5000)};
    CHECK_INT(rpc_client_stream_open(self, p.client, &call, &s), 0);
    WAIT_UNTIL(p.w.flooded > 0);
    fiber_sleep_ms(self, 50);
    size_t held = p.w.flooded;
    CHECK(held < 500); /* one window and what is queued, far from 5,000 */
    fiber_sleep_ms(self, 50);
    CHECK_INT(p.w.flooded, held);
    size_t got = 0;
    while (rpc_client_stream_read(self, s, &m, &end) == 0 && !end) {
        got += m.len == 10003;
        arena_reset(fiber_arena(self));
    }
    CHECK_INT(got, 5000);
    CHECK_INT(call.grpc_status, 0);
    rpc_client_stream_close(s);
    pair_end(self, &p);
}

static void a_closed_stream_cancels_its_writer(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_stream *s;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {.path = TEST_SERVICE "Flood", .request = pack_number(self, 5000)};
    CHECK_INT(rpc_client_stream_open(self, p.client, &call, &s), 0);
    WAIT_UNTIL(p.w.handlers_running == 1);
    rpc_client_stream_close(s);
    WAIT_UNTIL(p.w.handlers_running == 0);
    CHECK_INT(p.w.cancelled, 1);
    pair_end(self, &p);
}

/* ---- detached streams ---------------------------------------------------------------------------------- */

static struct rpc_client_stream *open_live(struct fiber *self, struct pair *p, struct rpc_client_call *call) {
    struct rpc_client_stream *s = NULL;
    *call = (struct rpc_client_call){.path = TEST_SERVICE "Live", .request = STR("")};
    CHECK_INT(rpc_client_stream_open(self, p->client, call, &s), 0);
    WAIT_UNTIL(p->w.live != NULL);
    return s;
}

static struct rpc_shared *shared_text(const char *text) {
    Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    m.service = (char *)(uintptr_t)text;
    return rpc_shared_new(&m.base);
}

static void a_detached_stream_is_fed_by_callbacks(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    struct str m;
    bool end = false;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_stream *s = open_live(self, &p, &call);
    struct rpc_shared *hello = shared_text("hello");
    for (int i = 0; i < 3; i++) CHECK(rpc_stream_send(p.w.live, hello, 65536));
    rpc_shared_unref(hello);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
        CHECK_STR(unpack_string(self, m), "hello");
    }
    rpc_stream_end(p.w.live, ERR_ABORTED, "enough");
    CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
    CHECK(end);
    CHECK_INT(call.grpc_status, 10);
    CHECK_STR(call.grpc_message, "enough");
    CHECK_INT(p.w.live_ended, 0); /* we ended it */
    rpc_client_stream_close(s);
    pair_end(self, &p);
}

static void a_detached_stream_hears_once_that_its_client_left(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    rpc_client_stream_close(open_live(self, &p, &call));
    WAIT_UNTIL(p.w.live_ended == 1);
    pair_end(self, &p);
    CHECK_INT(p.w.live_ended, 1);
}

static void a_detached_stream_is_bounded_and_says_so(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    char big[10001];
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_stream *s = open_live(self, &p, &call);
    memset(big, 'x', 10000);
    big[10000] = '\0';
    struct rpc_shared *m = shared_text(big);
    int sent = 0;
    while (sent < 1000 && rpc_stream_send(p.w.live, m, 50000)) sent++;
    rpc_shared_unref(m);
    CHECK_INT(sent, 5); /* nothing was written yet: the fifth was let in at 40,000 and some */
    CHECK(rpc_stream_queued(p.w.live) > 50000);
    WAIT_UNTIL(rpc_stream_queued(p.w.live) == 0);
    rpc_client_stream_close(s);
    pair_end(self, &p);
}

/* ---- health -------------------------------------------------------------------------------------------- */

static int health_of(struct fiber *self, struct str bytes) {
    ProtobufCMessage *m =
        pb_decode(&grpc__health__v1__health_check_response__descriptor, bytes, fiber_arena(self), NULL);
    return m ? (int)((Grpc__Health__V1__HealthCheckResponse *)m)->status : -1;
}

static void health_check_knows_the_services(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    (void)arg;
    pair_begin(self, &p);
    CHECK_INT(unary(self, &p, "/grpc.health.v1.Health/Check", STR(""), &call), 0);
    CHECK_INT(health_of(self, call.reply), 1);
    CHECK_INT(unary(self, &p, "/grpc.health.v1.Health/Check",
                    pack_string(self, STR("rookery.test.v1.TestService")), &call),
              0);
    CHECK_INT(health_of(self, call.reply), 1);
    CHECK_INT(unary(self, &p, "/grpc.health.v1.Health/Check", pack_string(self, STR("nobody")), &call), 0);
    CHECK_INT(call.grpc_status, 5);
    p.w.is_ready = false;
    CHECK_INT(unary(self, &p, "/grpc.health.v1.Health/Check", STR(""), &call), 0);
    CHECK_INT(health_of(self, call.reply), 2);
    pair_end(self, &p);
}

static void health_watch_tells_of_changes(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_stream *s;
    struct str m;
    bool end = false;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_call call = {.path = "/grpc.health.v1.Health/Watch", .request = STR("")};
    CHECK_INT(rpc_client_stream_open(self, p.client, &call, &s), 0);
    CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
    CHECK_INT(health_of(self, m), 1);
    p.w.is_ready = false;
    CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
    CHECK_INT(health_of(self, m), 2);
    rpc_client_stream_close(s);
    pair_end(self, &p);
}

/* ---- draining ------------------------------------------------------------------------------------------ */

static void a_drain_lets_calls_finish(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    pair_begin(self, &p);
    latch_init(&done, 1);
    struct sleeper s = {&p, &done, 300, statuses};
    start_fiber(self, sleeper, &s);
    WAIT_UNTIL(p.w.handlers_running == 1);
    world_stop(self, &p.w, 5000);
    latch_wait(self, &done);
    CHECK_INT(statuses[0], 1);
    CHECK(!rpc_client_alive(p.client));
    rpc_client_close(self, p.client);
}

static void a_drain_that_takes_too_long_cancels_calls(struct fiber *self, void *arg) {
    struct pair p;
    struct latch done;
    int statuses[18] = {0};
    (void)arg;
    pair_begin(self, &p);
    latch_init(&done, 1);
    struct sleeper s = {&p, &done, 60000, statuses};
    start_fiber(self, sleeper, &s);
    WAIT_UNTIL(p.w.handlers_running == 1);
    world_stop(self, &p.w, 50);
    latch_wait(self, &done);
    CHECK_INT(statuses[14], 1); /* UNAVAILABLE: go elsewhere */
    CHECK_INT(p.w.cancelled, 1);
    rpc_client_close(self, p.client);
}

static void a_drain_ends_detached_streams(struct fiber *self, void *arg) {
    struct pair p;
    struct rpc_client_call call;
    struct str m;
    bool end = false;
    (void)arg;
    pair_begin(self, &p);
    struct rpc_client_stream *s = open_live(self, &p, &call);
    world_stop(self, &p.w, 1000);
    CHECK_INT(p.w.live_ended, 1);
    CHECK_INT(rpc_client_stream_read(self, s, &m, &end), 0);
    CHECK(end);
    CHECK_INT(call.grpc_status, 14);
    rpc_client_stream_close(s);
    rpc_client_close(self, p.client);
}

static void nobody_listening_is_unavailable(struct fiber *self, void *arg) {
    struct rpc_client *c;
    (void)arg;
    CHECK_INT(rpc_client_open(self, "127.0.0.1:1", &c), ERR_UNAVAILABLE);
    CHECK_INT(rpc_client_open(self, "nonsense", &c), ERR_INVALID_ARGUMENT);
}

static void a_bad_address_to_listen_on_is_a_sentence(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct fault fault = {0};
    (void)arg;
    world_init(&w);
    w.options.listen = "somewhere";
    struct metrics *m = metrics_new();
    CHECK(rpc_server_start(fiber_loop(self), &w.options, NULL, m, &fault) == NULL);
    CHECK(strstr(fault.text, "ADDR:PORT") != NULL);
    metrics_free(m);
}

/* ---- pure parts ---------------------------------------------------------------------------------------- */

static void timeouts_saturate_and_bad_ones_are_refused(void **state) {
    int64_t ns = 0;
    (void)state;
    assert_true(rpc_parse_timeout(STR("100m"), &ns));
    assert_int_equal(ns, 100000000);
    assert_true(rpc_parse_timeout(STR("0n"), &ns));
    assert_int_equal(ns, 0);
    assert_true(rpc_parse_timeout(STR("99999999H"), &ns));
    assert_true(ns == INT64_MAX);
    const char *bad[] = {"", "1", "m", "100", "1s", "-1S", "1.5S", "123456789m", " 1m", "1m "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(rpc_parse_timeout(str_from(bad[i]), &ns));
}

static void messages_are_percent_encoded_no_more_than_needed(void **state) {
    struct buf b;
    (void)state;
    buf_init(&b);
    rpc_percent_encode(&b, STR("\t\nplain /:?#&=+$,@ 100% \xe2\x98\xba\r\n"));
    buf_append_char(&b, '\0');
    assert_string_equal(b.ptr, "%09%0Aplain /:?#&=+$,@ 100%25 %E2%98%BA%0D%0A");
    buf_free(&b);
}

static void error_json_carries_details(void **state) {
    struct fault f = {0};
    struct buf b;
    (void)state;
    buf_init(&b);
    fault_field(&f, ERR_INVALID_ARGUMENT, "name", "bad \"name\"");
    rpc_error_json(&b, ERR_INVALID_ARGUMENT, &f);
    buf_append_char(&b, '\0');
    /* field_violations { field: "name" description: "bad \"name\"" } */
    assert_string_equal(b.ptr,
                        "{\"code\":\"invalid_argument\",\"message\":\"bad \\\"name\\\"\",\"details\":["
                        "{\"type\":\"google.rpc.BadRequest\",\"value\":\"ChIKBG5hbWUSCmJhZCAibmFtZSI\"}]}");
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_unary_call_gets_its_reply),
        IN_FIBER(a_message_of_no_bytes_is_a_message),
        IN_FIBER(large_messages_cross_the_windows_both_ways),
        IN_FIBER(a_message_beyond_the_limit_is_refused),
        IN_FIBER(bytes_that_are_no_message_are_internal),
        IN_FIBER(an_unknown_method_is_unimplemented),
        IN_FIBER(a_status_and_its_sentence_survive),
        IN_FIBER(an_internal_error_keeps_its_sentence_to_itself),
        cmocka_unit_test(what_is_inside_has_no_details),
        IN_FIBER(the_authenticator_guards_what_is_not_public),
        IN_FIBER(the_deadline_reaches_the_handler),
        IN_FIBER(a_deadline_keeps_its_milliseconds_while_eight_digits_hold_them),
        IN_FIBER(a_call_past_its_deadline_ends),
        IN_FIBER(the_servers_time_limit_ends_a_unary_call),
        IN_FIBER(calls_beyond_the_limit_hear_to_come_back),
        IN_FIBER(many_refusals_are_held_back_but_not_forgotten),
        IN_FIBER(refusals_for_bytes_are_held_back_too),
        IN_FIBER(a_held_refusal_takes_no_bytes_of_its_network),
        IN_FIBER(held_refusals_are_sent_when_the_server_stops),
        IN_FIBER(a_client_that_leaves_takes_its_held_refusals_along),
        IN_FIBER(a_call_that_waits_in_vain_hears_so),
        IN_FIBER(a_waiting_call_whose_client_leaves_never_runs),
        IN_FIBER(more_calls_than_streams_wait_for_their_turn),
        IN_FIBER(a_lost_connection_cancels_its_calls),
        IN_FIBER(a_client_that_gives_up_cancels_the_call),
        IN_FIBER(a_stream_gives_its_messages_in_order),
        IN_FIBER(a_slow_reader_holds_its_writer),
        IN_FIBER(a_closed_stream_cancels_its_writer),
        IN_FIBER(a_detached_stream_is_fed_by_callbacks),
        IN_FIBER(a_detached_stream_hears_once_that_its_client_left),
        IN_FIBER(a_detached_stream_is_bounded_and_says_so),
        IN_FIBER(health_check_knows_the_services),
        IN_FIBER(health_watch_tells_of_changes),
        IN_FIBER(a_drain_lets_calls_finish),
        IN_FIBER(a_drain_that_takes_too_long_cancels_calls),
        IN_FIBER(a_drain_ends_detached_streams),
        IN_FIBER(nobody_listening_is_unavailable),
        IN_FIBER(a_bad_address_to_listen_on_is_a_sentence),
        cmocka_unit_test(timeouts_saturate_and_bad_ones_are_refused),
        cmocka_unit_test(messages_are_percent_encoded_no_more_than_needed),
        cmocka_unit_test(error_json_carries_details),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
