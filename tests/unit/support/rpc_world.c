/* A server with methods of every kind: see rpc_world.h. */
#include "tests/unit/support/rpc_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/rpc/rpc_internal.h"
#include "google/protobuf/duration.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/unit/support/fibers.h"

typedef Grpc__Health__V1__HealthCheckRequest text_message;
typedef Google__Protobuf__Duration number_message;

static struct rpc_world *world_of(struct rpc_call *call) {
    return rpc_context(call);
}

static const char *text_of(const ProtobufCMessage *m) {
    return ((const text_message *)m)->service;
}

static int64_t number_of(const ProtobufCMessage *m) {
    return ((const number_message *)m)->seconds;
}

static void reply_number(struct rpc_call *call, int64_t n) {
    number_message m = GOOGLE__PROTOBUF__DURATION__INIT;
    m.seconds = n;
    rpc_reply(call, &m.base);
}

/* Every third one as a shared message. */
static int send_number(struct fiber *self, struct rpc_call *call, int64_t n) {
    number_message m = GOOGLE__PROTOBUF__DURATION__INIT;
    m.seconds = n;
    if (n % 3) return rpc_send(self, call, &m.base);
    struct rpc_shared *s = rpc_shared_new(&m.base);
    int rc = rpc_send_shared(self, call, s);
    rpc_shared_unref(s);
    return rc;
}

/* ---- handlers ------------------------------------------------------------------------------------------ */

static int echo(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct str value;
    (void)self;
    rpc_set_header(call, "x-seen", STR("yes"));
    rpc_set_trailer(call, "x-done", STR("yes"));
    if (rpc_metadata(call, "x-echo-bin", &value)) rpc_set_trailer(call, "x-echo-bin", value);
    if (rpc_metadata(call, "x-echo-bit", &value)) rpc_set_trailer(call, "x-echo-bit", value);
    world_of(call)->last_time_left_ms = (fiber_deadline_ns(self) - loop_now_ns(fiber_loop(self))) / NS_PER_MS;
    rpc_reply(call, request);
    return ERR_OK;
}

static int fail_as_told(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = atoi(text_of(request));
    (void)self;
    if (e == ERR_INVALID_ARGUMENT)
        return fault_field(rpc_fault(call), e, "name", "100%% wrong: \xe2\x98\xba");
    fault_set(rpc_fault(call), e, "told to");
    if (e == ERR_RESOURCE_EXHAUSTED) rpc_fault(call)->retry_after_ms = 1500;
    return e;
}

static int sleep_ms(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct rpc_world *w = world_of(call);
    w->handlers_running++;
    int rc = fiber_sleep_ms(self, number_of(request));
    w->handlers_running--;
    w->cancelled += rc == ERR_CANCELLED;
    w->past_deadline += rc == ERR_DEADLINE_EXCEEDED;
    if (rc != 0) return rc;
    rpc_reply(call, request);
    return ERR_OK;
}

static int count(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    for (int64_t i = 1; i <= number_of(request); i++) {
        int rc = send_number(self, call, i);
        if (rc != 0) return rc;
    }
    return ERR_OK;
}

static int flood(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct rpc_world *w = world_of(call);
    char *big = arena_alloc(rpc_arena(call), 10001);
    memset(big, 'x', 10000);
    big[10000] = '\0';
    text_message m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    m.service = big;
    w->handlers_running++;
    int rc = 0;
    for (int64_t i = 0; i < number_of(request) && rc == 0; i++) {
        rc = rpc_send(self, call, &m.base);
        w->flooded += rc == 0;
    }
    w->handlers_running--;
    w->cancelled += rc == ERR_CANCELLED;
    return rc;
}

static void live_ended(void *arg) {
    struct rpc_world *w = arg;
    w->live = NULL;
    w->live_ended++;
}

static int live(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct rpc_world *w = world_of(call);
    (void)self;
    (void)request;
    w->live = rpc_detach(call, live_ended, w);
    return ERR_OK;
}

static int sum(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int64_t total = 0;
    const ProtobufCMessage *m;
    (void)request;
    for (;;) {
        int rc = fiber_sleep_ms(self, world_of(call)->sum_waits_ms);
        if (rc == 0) rc = rpc_receive(self, call, &m);
        if (rc != 0) return rc;
        if (!m) break;
        total += number_of(m);
    }
    reply_number(call, total);
    return ERR_OK;
}

static int chat(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct rpc_world *w = world_of(call);
    const ProtobufCMessage *m;
    (void)request;
    w->handlers_running++;
    int rc = rpc_send_headers(self, call);
    while (rc == 0 && (rc = rpc_receive(self, call, &m)) == 0 && m) rc = rpc_send(self, call, m);
    w->handlers_running--;
    w->cancelled += rc == ERR_CANCELLED;
    w->past_deadline += rc == ERR_DEADLINE_EXCEEDED;
    return rc;
}

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self;
    (void)context;
    (void)path;
    (void)query;
    buf_append_cstr(&out->body, "ok\n");
}

static void echo_query(struct fiber *self, void *context, struct str path, struct str query,
                       struct http_reply *out) {
    (void)self;
    (void)context;
    (void)path;
    buf_append_str(&out->body, query);
}

static int authenticate(struct fiber *self, struct rpc_call *call) {
    struct str value;
    int rc = fiber_sleep_ms(self, world_of(call)->authenticator_waits_ms);
    if (rc != 0) return rc;
    if (!rpc_metadata(call, "authorization", &value) || !str_eq(value, STR("Bearer sesame")))
        return fault_set(rpc_fault(call), ERR_UNAUTHENTICATED, "say the word");
    rpc_identity(call)->account_id = 1;
    return ERR_OK;
}

static bool ready(void *context) {
    return ((struct rpc_world *)context)->is_ready;
}

/* ---- the server ---------------------------------------------------------------------------------------- */

#define TEXT &grpc__health__v1__health_check_request__descriptor
#define NUMBER &google__protobuf__duration__descriptor

static const struct rpc_method methods[] = {
    {TEST_SERVICE "Echo", RPC_UNARY, TEXT, TEXT, echo, true, true, 0, 0, 0},
    {TEST_SERVICE "Fail", RPC_UNARY, TEXT, TEXT, fail_as_told, true, false, 0, 0, 0},
    {TEST_SERVICE "Sleep", RPC_UNARY, NUMBER, NUMBER, sleep_ms, true, false, 0, 0, 0},
    {TEST_SERVICE "Private", RPC_UNARY, TEXT, TEXT, echo, false, false, 0, 0, 0},
    {TEST_SERVICE "Count", RPC_SERVER_STREAM, NUMBER, NUMBER, count, true, false, 0, 0, 0},
    {TEST_SERVICE "Flood", RPC_SERVER_STREAM, NUMBER, TEXT, flood, true, false, 0, 0, 0},
    {TEST_SERVICE "Live", RPC_SERVER_STREAM, TEXT, TEXT, live, true, false, 0, 0, 0},
    {TEST_SERVICE "Sum", RPC_CLIENT_STREAM, NUMBER, NUMBER, sum, true, false, 0, 0, 0},
    {TEST_SERVICE "Chat", RPC_BIDI, TEXT, TEXT, chat, true, false, 0, 0, 0},
    {TEST_SERVICE "PrivateChat", RPC_BIDI, TEXT, TEXT, chat, false, false, 0, 0, 0},
};
static const struct http_route routes[] = {{"/healthz", healthz}, {"/echo", echo_query}};

void world_init(struct rpc_world *w) {
    *w = (struct rpc_world){.is_ready = true};
    w->options = (struct rpc_server_options){.listen = "127.0.0.1:0",
                                             .methods = methods,
                                             .n_methods = sizeof methods / sizeof *methods,
                                             .routes = routes,
                                             .n_routes = sizeof routes / sizeof *routes,
                                             .authenticate = authenticate,
                                             .context = w,
                                             .ready = ready,
                                             .request_timeout_ms = 10000,
                                             .max_calls = 1000,
                                             .max_connections = 100,
                                             .max_message_bytes = 1 << 20};
}

void world_start(struct fiber *self, struct rpc_world *w) {
    struct fault fault = {0};
    w->metrics = metrics_new();
    w->server = rpc_server_start(fiber_loop(self), &w->options, NULL, w->metrics, &fault);
    CHECK(w->server != NULL);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%d", rpc_server_port(w->server));
}

void world_stop(struct fiber *self, struct rpc_world *w, int64_t time_ms) {
    rpc_server_stop(self, w->server, time_ms);
    metrics_free(w->metrics);
    w->server = NULL;
}

void world_age(struct rpc_world *w, int64_t seconds) {
    list_each (&w->server->running, n) {
        struct http_stream *s = &list_entry(n, struct rpc_call, node)->http;
        s->came_ns -= seconds * NS_PER_S;
        s->progress_ns -= seconds * NS_PER_S;
    }
}

void world_await_sweep(struct fiber *self, struct rpc_world *w) {
    int64_t before = w->server->http.swept_ns;
    for (int i = 0; i < 5000 && w->server->http.swept_ns == before; i++) fiber_sleep_ms(self, 10);
    CHECK(w->server->http.swept_ns != before);
}

enum http_wants world_wants(const struct rpc_world *w) {
    const struct list_node *running = &w->server->running;
    if (list_empty(running)) return HTTP_WANTS_NOTHING;
    return list_entry(running->next, struct rpc_call, node)->http.wants;
}

uint64_t world_counter(struct rpc_world *w, const char *name, const char *labels) {
    return metrics_counter(w->metrics, name, "", labels)->value;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

struct str pack_string(struct fiber *self, struct str s) {
    text_message m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    m.service = arena_strndup(fiber_arena(self), s.ptr ? s.ptr : "", s.len);
    return pb_encode_arena(&m.base, fiber_arena(self));
}

struct str pack_number(struct fiber *self, int64_t n) {
    number_message m = GOOGLE__PROTOBUF__DURATION__INIT;
    m.seconds = n;
    return pb_encode_arena(&m.base, fiber_arena(self));
}

struct str unpack_string(struct fiber *self, struct str bytes) {
    const ProtobufCMessage *m = pb_decode(TEXT, bytes, fiber_arena(self), NULL);
    return m ? str_from(text_of(m)) : STR("<not a string message>");
}

int64_t unpack_number(struct fiber *self, struct str bytes) {
    const ProtobufCMessage *m = pb_decode(NUMBER, bytes, fiber_arena(self), NULL);
    return m ? number_of(m) : INT64_MIN;
}
