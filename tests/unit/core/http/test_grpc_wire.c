/* gRPC on the wire: bare HTTP/2 frames against the server, the well-formed ones and the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/http/http2_guard.h"
#include "core/rpc/rpc_internal.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/h2_peer.h"
#include "tests/unit/support/rpc_world.h"

#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (int wait_i = 0; wait_i < 5000 && !(condition); wait_i++) fiber_sleep_ms(self, 1);               \
        CHECK(condition);                                                                                    \
    } while (0)

enum { END = NGHTTP2_FLAG_END_STREAM };
static const struct h2_response nothing = {.http_status = -2, .grpc_status = -2, .reset = -2};

struct pair {
    struct rpc_world w;
    struct h2_peer peer;
};

static void pair_begin(struct fiber *self, struct pair *p) {
    world_init(&p->w);
    world_start(self, &p->w);
    h2_open(self, &p->peer, p->w.address, -1);
}

static void pair_end(struct fiber *self, struct pair *p) {
    h2_close(self, &p->peer);
    world_stop(self, &p->w, 1000);
}

/* The answer of a stream; one that fails every check when none came. */
static const struct h2_response *answer(struct fiber *self, struct pair *p, int32_t stream) {
    const struct h2_response *r = h2_wait(self, &p->peer, stream);
    CHECK(r != NULL);
    return r ? r : &nothing;
}

static bool has_field(const struct h2_response *r, const char *line) {
    return r->fields.ptr && memmem(r->fields.ptr, r->fields.len, line, strlen(line)) != NULL;
}

/* The connection still serves. */
static void check_alive(struct fiber *self, struct pair *p, int32_t stream) {
    h2_send_call(&p->peer, stream, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_message(&p->peer, stream, STR("\n\2ok"), END);
    const struct h2_response *r = answer(self, p, stream);
    CHECK_INT(r->grpc_status, 0);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\4\n\2ok")));
}

/* ---- responses ----------------------------------------------------------------------------------------- */

static void a_reply_is_headers_data_trailers(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "x-echo-bin", "q6ur,AAAA");
    h2_send_message(&p.peer, 1, STR("\n\2hi"), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->http_status, 200);
    CHECK_INT(r->grpc_status, 0);
    CHECK_INT(r->header_blocks, 2);
    CHECK_INT(r->reset, -1);
    CHECK(has_field(r, "content-type: application/grpc\n"));
    CHECK(has_field(r, "x-seen: yes\n"));
    CHECK(has_field(r, "x-done: yes\n"));
    CHECK(has_field(r, "x-echo-bin: q6ur\n"));
    pair_end(self, &p);
}

static void metadata_is_text_unless_its_name_ends_in_bin(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "x-echo-bit", "!, as it is");
    h2_send_message(&p.peer, 1, STR("\n\2hi"), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK(has_field(r, "x-echo-bit: !, as it is\n"));
    pair_end(self, &p);
}

static void an_error_is_one_block_with_details(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Fail", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\n\0013"), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->http_status, 200);
    CHECK_INT(r->grpc_status, 3);
    CHECK_INT(r->header_blocks, 1);
    CHECK(has_field(r, "grpc-message: 100%25 wrong: %E2%98%BA\n"));
    /* Status{3, message, BadRequest{name, message}} */
    CHECK(has_field(r, "grpc-status-details-bin: "
                       "CAMSDzEwMCUgd3Jvbmc6IOKYuhpGCil0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMu"
                       "QmFkUmVxdWVzdBIZChcKBG5hbWUSDzEwMCUgd3Jvbmc6IOKYug\n"));
    pair_end(self, &p);
}

static void headers_of_a_stream_do_not_wait_for_its_first_message(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Live", NULL, NULL);
    h2_send_message(&p.peer, 1, STR(""), END);
    while (p.peer.streams[1].header_blocks == 0 && h2_pump(self, &p.peer)) continue;
    CHECK_INT(p.peer.streams[1].http_status, 200);
    CHECK_INT(p.peer.streams[1].grpc_status, -1);
    pair_end(self, &p);
}

static void an_answer_before_the_request_ended_stops_the_request(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Nope", NULL, NULL); /* no END_STREAM */
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 12);
    while (r->reset < 0 && h2_pump(self, &p.peer)) continue;
    CHECK_INT(r->reset, NGHTTP2_NO_ERROR);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

/* ---- framing ------------------------------------------------------------------------------------------- */

static void a_message_may_be_split_over_frames_of_one_byte(struct fiber *self, void *arg) {
    struct pair p;
    const char bytes[] = "\0\0\0\0\5\n\3abc";
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    for (size_t i = 0; i < 10; i++) h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, bytes + i, 1);
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 1, NULL, 0); /* half-close by an empty frame */
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK(str_eq(buf_str(&r->body), (struct str){bytes, 10}));
    pair_end(self, &p);
}

static void padding_is_no_part_of_a_message(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, END | NGHTTP2_FLAG_PADDED, 1, "\3\0\0\0\0\4\n\2hi\0\0\0", 13);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\4\n\2hi")));
    pair_end(self, &p);
}

static const struct {
    const char *method;
    struct str data;
    int status;
} framings[] = {
    {"Echo", {"", 0}, 12},                                /* no message */
    {"Echo", {"\0\0\0\0\0\0\0\0\0\0", 10}, 12},           /* two */
    {"Echo", {"\0\0\0", 3}, 13},                          /* half a prefix */
    {"Echo", {"\0\0\0\0\5ab", 7}, 13},                    /* half a message */
    {"Echo", {"\1\0\0\0\0", 5}, 13},                      /* compressed, with no encoding named */
    {"Echo", {"\2\0\0\0\0", 5}, 13},                      /* unknown flags */
    {"Echo", {"\xff\0\0\0\0", 5}, 13},                    /* unknown flags */
    {"Echo", {"\0\0\x10\0\1", 5}, 8},                     /* one byte beyond the limit */
    {"Echo", {"\0\xff\xff\xff\xff", 5}, 8},               /* far beyond */
    {"Echo", {"\0\0\0\0\2\xff\xff", 7}, 13},              /* not protobuf */
    {"Count", {"", 0}, 12},                               /* server streaming takes one, too */
    {"Count", {"\0\0\0\0\0\0\0\0\0\0", 10}, 12},          /* not two */
    {"Sum", {"", 0}, 0},                                  /* client streaming takes none */
    {"Sum", {"\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2", 14}, 0}, /* and many */
    {"Sum", {"\0\0\0\0\2\x08\1\0\0\0", 10}, 13},          /* but no half */
    {"Sum", {"\0\0\0\0\2\x08\1\1\0\0\0\0", 12}, 13},      /* and no flags */
    {"Sum", {"\0\0\0\0\2\x08\1\0\x7f\xff\xff\xff", 12}, 8},
    {"Chat", {"", 0}, 0},
};

static void bad_framing_has_its_status(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
        char path[64];
        int32_t id = (int32_t)(2 * i + 1);
        snprintf(path, sizeof path, TEST_SERVICE "%s", framings[i].method);
        h2_send_call(&p.peer, id, path, NULL, NULL);
        h2_send_frame(&p.peer, NGHTTP2_DATA, END, id, framings[i].data.ptr, framings[i].data.len);
        if (!CHECK_INT(answer(self, &p, id)->grpc_status, framings[i].status))
            fprintf(stderr, "# case %zu\n", i);
    }
    check_alive(self, &p, 1001);
    pair_end(self, &p);
}

static void an_oversize_length_is_refused_before_its_bytes_come(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\x7f\xff\xff\xff", 5);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 8);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

/* ---- request headers ----------------------------------------------------------------------------------- */

static void bad_timeouts_are_no_deadline(struct fiber *self, void *arg) {
    const char *bad[] = {"", "1", "abc", "123456789m", "-1S", "1x"};
    struct pair p;
    int32_t id = 1;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, id += 2) {
        h2_send_call(&p.peer, id, TEST_SERVICE "Echo", "grpc-timeout", bad[i]);
        h2_send_message(&p.peer, id, STR(""), END);
        CHECK_INT(answer(self, &p, id)->grpc_status, 13);
    }
    h2_send_call(&p.peer, id, TEST_SERVICE "Echo", "grpc-timeout", "0m");
    h2_send_message(&p.peer, id, STR(""), END);
    CHECK_INT(answer(self, &p, id)->grpc_status, 4);
    id += 2;
    h2_send_call(&p.peer, id, TEST_SERVICE "Echo", "grpc-timeout", "99999999H");
    h2_send_message(&p.peer, id, STR(""), END);
    CHECK_INT(answer(self, &p, id)->grpc_status, 0);
    id += 2;
    h2_send_call(&p.peer, id, TEST_SERVICE "Sleep", "grpc-timeout", "20m");
    h2_send_message(&p.peer, id, STR("\x08\x90\x4e"), END);
    CHECK_INT(answer(self, &p, id)->grpc_status, 4);
    id += 2;
    h2_send_call(&p.peer, id, TEST_SERVICE "Chat", "grpc-timeout", "1m"); /* a stream nobody speaks on */
    CHECK_INT(answer(self, &p, id)->grpc_status, 4);
    CHECK_INT(p.w.past_deadline, 2);
    pair_end(self, &p);
}

static void two_authorization_fields_are_refused(struct fiber *self, void *arg) {
    const char *fields[] = {":method",
                            "POST",
                            ":scheme",
                            "http",
                            ":path",
                            TEST_SERVICE "Private",
                            ":authority",
                            "x",
                            "content-type",
                            "application/grpc",
                            "authorization",
                            "Bearer sesame",
                            "authorization",
                            "Bearer other",
                            NULL};
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_fields(&p.peer, 1, NGHTTP2_FLAG_END_HEADERS, fields);
    h2_send_message(&p.peer, 1, STR(""), END);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 3);
    pair_end(self, &p);
}

static void a_continue_is_sent_when_the_body_is_wanted(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "expect", "100-Continue");
    while (p.peer.streams[1].header_blocks == 0 && h2_pump(self, &p.peer)) continue;
    CHECK_INT(p.peer.streams[1].http_status, 100);
    h2_send_message(&p.peer, 1, STR("\n\2hi"), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->http_status, 200);
    CHECK_INT(r->grpc_status, 0);
    CHECK_INT(r->header_blocks, 3);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\4\n\2hi")));
    h2_send_call(&p.peer, 3, TEST_SERVICE "Nope", "expect", "100-continue"); /* refused at once */
    r = answer(self, &p, 3);
    CHECK_INT(r->grpc_status, 12);
    CHECK_INT(r->header_blocks, 1);
    pair_end(self, &p);
}

static void a_length_beyond_the_limit_is_refused_before_the_body_comes(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "content-length",
                 "1048582"); /* 1 MiB, its prefix and one */
    CHECK_INT(answer(self, &p, 1)->grpc_status, 8);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

static void encodings_we_do_not_have_are_unimplemented(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "grpc-encoding", "gzip");
    h2_send_message(&p.peer, 1, STR(""), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 12);
    CHECK(has_field(r, "grpc-accept-encoding: identity\n"));
    h2_send_call(&p.peer, 3, TEST_SERVICE "Echo", "grpc-encoding", "identity");
    h2_send_message(&p.peer, 3, STR(""), END);
    CHECK_INT(answer(self, &p, 3)->grpc_status, 0);
    pair_end(self, &p);
}

static void content_types_and_methods_have_their_http_status(struct fiber *self, void *arg) {
    static const struct {
        const char *method, *path, *type;
        int http, grpc;
    } cases[] = {
        {"POST", TEST_SERVICE "Echo", "application/grpc", 200, 0},
        {"POST", TEST_SERVICE "Echo", "application/grpc+proto", 200, 0},
        {"POST", TEST_SERVICE "Echo", "Application/GRPC", 200, 0},
        {"POST", TEST_SERVICE "Echo", "application/grpc; charset=utf-8", 200, 0},
        {"POST", TEST_SERVICE "Echo", "application/grpc+json", 415, -1},
        {"POST", TEST_SERVICE "Echo", "application/grpc-web", 415, -1},
        {"POST", TEST_SERVICE "Echo", "application/grpc-web+proto", 415, -1},
        {"POST", TEST_SERVICE "Echo", "application/grpcx", 415, -1},
        {"POST", TEST_SERVICE "Echo", "text/html", 415, -1},
        {"POST", TEST_SERVICE "echo", "application/grpc", 200, 12}, /* paths have case */
        {"POST", "/", "application/json", 404, -1},
        {"PUT", TEST_SERVICE "Echo", "application/grpc", 405, -1},
        {"GET", TEST_SERVICE "Fail", "application/grpc", 405, -1},
        {"GET", "/healthz", "x", 200, -1},
        {"HEAD", "/healthz", "x", 200, -1},
        {"POST", "/healthz", "x", 405, -1},
        {"DELETE", "/nowhere", "x", 404, -1},
    };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t id = (int32_t)(2 * i + 1);
        const char *fields[] = {":method",      cases[i].method, ":scheme",    "http",
                                ":path",        cases[i].path,   ":authority", "x",
                                "content-type", cases[i].type,   NULL};
        h2_send_fields(&p.peer, id, NGHTTP2_FLAG_END_HEADERS, fields);
        h2_send_message(&p.peer, id, STR(""), END);
        const struct h2_response *r = answer(self, &p, id);
        if (!CHECK_INT(r->http_status, cases[i].http) || !CHECK_INT(r->grpc_status, cases[i].grpc))
            fprintf(stderr, "# case %zu\n", i);
    }
    pair_end(self, &p);
}

static void connect_runs_over_http_2_too(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    const char *fields[] = {":method",
                            "POST",
                            ":scheme",
                            "http",
                            ":path",
                            TEST_SERVICE "Count",
                            ":authority",
                            "x",
                            "content-type",
                            "application/connect+json",
                            NULL};
    h2_send_fields(&p.peer, 1, NGHTTP2_FLAG_END_HEADERS, fields);
    h2_send_message(&p.peer, 1, STR("\"2s\""), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->http_status, 200);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\4\"1s\"\0\0\0\0\4\"2s\"\2\0\0\0\2{}")));
    pair_end(self, &p);
}

static void a_page_may_read_a_grpc_answer(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    world_init(&p.w);
    p.w.options.cors_origins = "https://app.example";
    world_start(self, &p.w);
    h2_open(self, &p.peer, p.w.address, -1);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Nope", "origin", "https://app.example");
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 12);
    CHECK(has_field(r, "access-control-allow-origin: https://app.example\n"));
    CHECK(has_field(r, "vary: origin\n"));
    const char *fields[] = {":method",
                            "OPTIONS",
                            ":scheme",
                            "http",
                            ":path",
                            TEST_SERVICE "Echo",
                            ":authority",
                            "x",
                            "origin",
                            "https://app.example",
                            "access-control-request-method",
                            "POST",
                            NULL};
    h2_send_fields(&p.peer, 3, NGHTTP2_FLAG_END_HEADERS | END, fields);
    r = answer(self, &p, 3);
    CHECK_INT(r->http_status, 204);
    CHECK(has_field(r, "access-control-allow-origin: https://app.example\n"));
    pair_end(self, &p);
}

static void a_header_list_beyond_the_limit_is_refused(struct fiber *self, void *arg) {
    struct pair p;
    static char big[16200];
    (void)arg;
    pair_begin(self, &p);
    memset(big, 'x', sizeof big - 1);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", "x-big", big);
    h2_send_message(&p.peer, 1, STR(""), END);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 8); /* with the other fields it is too much */
    big[15000] = '\0';
    h2_send_call(&p.peer, 3, TEST_SERVICE "Echo", "x-big", big);
    h2_send_message(&p.peer, 3, STR(""), END);
    CHECK_INT(answer(self, &p, 3)->grpc_status, 0);
    pair_end(self, &p);
}

static void a_header_bomb_is_defused(struct fiber *self, void *arg) {
    struct pair p;
    char block[16000];
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_message(&p.peer, 1, STR(""), END);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 0);
    /* One field of 4,000 bytes in the dynamic table, and 10,000 references to it: 40 MB for 14 KB. */
    size_t n = 0;
    block[n++] = 0x40;
    block[n++] = 1;
    block[n++] = 'a';
    block[n++] = 127;
    block[n++] = (char)(0x80 | ((3900 - 127) & 127));
    block[n++] = (3900 - 127) >> 7;
    memset(block + n, 'x', 3900);
    n += 3900;
    memset(block + n, (char)0xbe, 10000);
    n += 10000;
    h2_send_frame(&p.peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | END, 3, block, n);
    const struct h2_response *r = answer(self, &p, 3);
    CHECK(r->reset > 0);
    pair_end(self, &p);
}

/* ---- cancellation -------------------------------------------------------------------------------------- */

static void a_reset_cancels_the_handler(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Sleep", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\x08\xe0\xd4\3"), END);
    WAIT_UNTIL(p.w.handlers_running == 1);
    h2_send_reset(&p.peer, 1, NGHTTP2_CANCEL);
    WAIT_UNTIL(p.w.cancelled == 1);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

static void a_reset_before_the_message_leaves_nothing(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\0\0\5abc", 8);
    h2_send_reset(&p.peer, 1, NGHTTP2_CANCEL);
    check_alive(self, &p, 3);
    metrics_write(p.w.metrics, &p.peer.streams[0].body); /* refreshes the gauges */
    CHECK(metrics_gauge(p.w.metrics, "rookery_rpc_request_bytes", "", "")->value == 0);
    CHECK_INT(world_counter(&p.w, "rookery_rpc_requests_total",
                            "method=\"rookery.test.v1.TestService/Echo\",code=\"CANCELLED\""),
              1);
    pair_end(self, &p);
}

static void a_dropped_connection_cancels_its_handlers(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Sleep", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\x08\xe0\xd4\3"), END);
    h2_send_call(&p.peer, 3, TEST_SERVICE "Chat", NULL, NULL);
    h2_send_call(&p.peer, 5, TEST_SERVICE "Live", NULL, NULL);
    h2_send_message(&p.peer, 5, STR(""), END);
    WAIT_UNTIL(p.w.handlers_running == 2 && p.w.live);
    h2_close(self, &p.peer);
    WAIT_UNTIL(p.w.cancelled == 2 && p.w.live_ended == 1);
    world_stop(self, &p.w, 1000);
}

/* ---- bidi ---------------------------------------------------------------------------------------------- */

static void a_chat_answers_before_the_half_close(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    for (size_t i = 1; i <= 3; i++) {
        h2_send_message(&p.peer, 1, STR("\n\2hi"), 0);
        while (p.peer.streams[1].body.len < 9 * i && h2_pump(self, &p.peer)) continue;
        CHECK_INT(p.peer.streams[1].body.len, 9 * i);
    }
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 1, NULL, 0);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 0);
    pair_end(self, &p);
}

/* Whose message is taken from what came before the reset. */
static void a_message_right_before_a_reset_is_taken_and_the_call_cancelled(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    WAIT_UNTIL(p.w.handlers_running == 1);
    h2_send_message(&p.peer, 1, STR("\n\2hi"), 0);
    h2_send_reset(&p.peer, 1, NGHTTP2_CANCEL);
    WAIT_UNTIL(p.w.cancelled == 1);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

/* ---- flow control -------------------------------------------------------------------------------------- */

static void a_tiny_window_starves_but_does_not_break_a_reply(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    world_init(&p.w);
    world_start(self, &p.w);
    h2_open(self, &p.peer, p.w.address, 0);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\n\3abc"), END);
    while (p.peer.streams[1].header_blocks == 0 && h2_pump(self, &p.peer)) continue;
    for (size_t i = 1; i <= 10; i++) {
        CHECK_INT(p.peer.streams[1].body.len, i - 1);
        h2_send_window(&p.peer, 1, 1);
        while (p.peer.streams[1].body.len < i && h2_pump(self, &p.peer)) continue;
    }
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\5\n\3abc")));
    pair_end(self, &p);
}

static void a_starved_stream_does_not_hold_others(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Flood", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\x08\x64"), END); /* 1 MB; the stream's window is 64 KB */
    h2_send_window(&p.peer, 0, 1 << 20);
    WAIT_UNTIL(p.w.handlers_running == 1);
    check_alive(self, &p, 3);
    p.peer.auto_window = true;
    h2_send_window(&p.peer, 1, 65535);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK_INT(r->body.len, 100 * 10008);
    pair_end(self, &p);
}

static void a_sender_beyond_its_window_is_reset(struct fiber *self, void *arg) {
    struct pair p;
    static char block[16384];
    (void)arg;
    pair_begin(self, &p);
    while (p.peer.settings_acked == 0 && h2_pump(self, &p.peer)) continue;
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\x0f\xff\xff", 5);
    h2_send_reset(&p.peer, 1, NGHTTP2_CANCEL);
    /* A message of the limit's size: the handler's waiting gives the window back as it comes. */
    h2_send_call(&p.peer, 3, TEST_SERVICE "Sum", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 3, "\0\0\x0f\xff\xff", 5);
    for (size_t sent = 0; sent < (1 << 20) - 1; sent += sizeof block) {
        size_t n = (1 << 20) - 1 - sent;
        h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 3, block, n < sizeof block ? n : sizeof block);
        if (sent % (32 << 10) == 0) fiber_sleep_ms(self, 10); /* stay within 64 KiB */
    }
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 3, NULL, 0);
    CHECK_INT(answer(self, &p, 3)->grpc_status, 13); /* zeroes are no message */
    pair_end(self, &p);
}

static bool window_given(const struct pair *p) {
    const struct str update = STR("\0\0\4\x08\0\0\0\0\1"); /* of stream 1 */
    const struct buf *in = &p->peer.raw.in;
    return memmem(in->ptr, in->len, update.ptr, update.len) != NULL;
}

/* 48 KiB of a message, whose length says more or that it is all. */
static void send_to_slow_reader(struct fiber *self, struct pair *p, const char *prefix, uint8_t last_flags) {
    static char block[16384];
    p->w.sum_waits_ms = 200;
    while (p->peer.settings_acked == 0 && h2_pump(self, &p->peer)) continue;
    h2_send_call(&p->peer, 1, TEST_SERVICE "Sum", NULL, NULL);
    h2_send_frame(&p->peer, NGHTTP2_DATA, 0, 1, prefix, 5);
    for (int i = 1; i <= 3; i++)
        h2_send_frame(&p->peer, NGHTTP2_DATA, i == 3 ? last_flags : 0, 1, block, sizeof block);
}

static void a_slow_reader_gives_the_window_back_although_nothing_else_is_sent(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    send_to_slow_reader(self, &p, "\0\0\x0f\xff\xff", 0);
    while (!window_given(&p) && raw_wait_more(self, &p.peer.raw)) continue;
    CHECK(window_given(&p));
    pair_end(self, &p);
}

static void a_request_that_has_ended_is_given_no_window(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    send_to_slow_reader(self, &p, "\0\0\0\xc0\0", END);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 13); /* zeroes are no message */
    CHECK(!window_given(&p));
    pair_end(self, &p);
}

/* A byte every 20 ms: it never stands still. */
static void a_body_that_trickles_meets_the_deadline(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    world_init(&p.w);
    p.w.options.request_timeout_ms = 100;
    world_start(self, &p.w);
    h2_open(self, &p.peer, p.w.address, -1);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\x01\0\0", 5);
    const struct h2_response *r = &p.peer.streams[1];
    for (int sent = 0; sent < 500 && !r->ended && !p.peer.raw.ended; sent++) {
        h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "x", 1);
        fiber_sleep_ms(self, 20);
        if (p.peer.raw.in.len > p.peer.parsed) h2_pump(self, &p.peer);
    }
    CHECK_INT(r->grpc_status, 4);
    CHECK_INT(p.peer.goaway, -1);
    pair_end(self, &p);
}

/* ---- the peer's time in streams ------------------------------------------------------------------------ */

static void begin_message(struct pair *p, const char *method) {
    h2_send_call(&p->peer, 1, method, "authorization", "Bearer sesame");
    h2_send_frame(&p->peer, NGHTTP2_DATA, 0, 1, "\0\0\0\x20\3\n\x80\x40", 8); /* 8192 characters */
}

/* A byte every 20 ms, until the server has had enough. */
static const struct h2_response *trickle(struct fiber *self, struct pair *p, int32_t stream) {
    const struct h2_response *r = &p->peer.streams[stream];
    for (int sent = 0; sent < 500 && !r->ended && !p->peer.raw.ended; sent++) {
        h2_send_frame(&p->peer, NGHTTP2_DATA, 0, stream, "x", 1);
        fiber_sleep_ms(self, 20);
        if (p->peer.raw.in.len > p->peer.parsed) h2_pump(self, &p->peer);
    }
    return r;
}

static void a_message_of_a_stream_that_trickles_ends_it(struct fiber *self, void *arg) {
    static const char *const methods[] = {TEST_SERVICE "Sum", TEST_SERVICE "Chat",
                                          TEST_SERVICE "PrivateChat"};
    (void)arg;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct pair p;
        pair_begin(self, &p);
        begin_message(&p, methods[i]);
        WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_REST);
        world_age(&p.w, 31);
        const struct h2_response *r = trickle(self, &p, 1);
        CHECK_INT(r->grpc_status, 4);
        CHECK(has_field(r, "grpc-message: the rest of a message did not come in time\n"));
        CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"slow_body\""), 1);
        CHECK_INT(p.w.handlers_running, 0);
        check_alive(self, &p, 3); /* and the connection's other streams go on */
        CHECK_INT(p.peer.goaway, -1);
        pair_end(self, &p);
    }
}

static void a_message_of_a_stream_at_a_fair_rate_is_taken(struct fiber *self, void *arg) {
    static char block[4096];
    struct pair p;
    (void)arg;
    memset(block, 'x', sizeof block);
    pair_begin(self, &p);
    begin_message(&p, TEST_SERVICE "Chat");
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_REST);
    for (int i = 0; i < 2; i++) {
        world_age(&p.w, 20);
        world_await_sweep(self, &p.w);
        h2_send_frame(&p.peer, NGHTTP2_DATA, i == 1 ? END : 0, 1, block, sizeof block);
    }
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK_INT(r->body.len, 5 + 8195);
    pair_end(self, &p);
}

/* The peer has filled the window, and can do nothing while the handler is at something else. */
static void what_the_handler_does_is_not_the_peers_time(struct fiber *self, void *arg) {
    static char block[16384];
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    while (p.peer.settings_acked == 0 && h2_pump(self, &p.peer)) continue;
    h2_send_call(&p.peer, 1, TEST_SERVICE "Sum", NULL, NULL);
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_MESSAGE);
    p.w.sum_waits_ms = 2500;
    h2_send_message(&p.peer, 1, STR("\x08\2"), 0);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\1\0\6\x08\5\x7a\x80\x80\4", 11); /* a field of 64 KiB */
    for (int i = 0; i < 3; i++) h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, block, sizeof block);
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_NOTHING);
    world_age(&p.w, 3600);
    world_await_sweep(self, &p.w);
    CHECK_INT(p.w.server->n_running, 1);
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_REST);
    world_await_sweep(self, &p.w);
    p.w.sum_waits_ms = 0;
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 1, block, sizeof block);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK(str_eq(buf_str(&r->body), STR("\0\0\0\0\2\x08\7")));
    CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"slow_body\""), 0);
    pair_end(self, &p);
}

static void looking_up_the_sender_is_not_the_peers_time(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    p.w.authenticator_waits_ms = 2500;
    h2_send_call(&p.peer, 1, TEST_SERVICE "Private", "authorization", "Bearer sesame");
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\0\0\4", 5);
    WAIT_UNTIL(p.w.server->n_running == 1);
    world_age(&p.w, 3600);
    world_await_sweep(self, &p.w);
    WAIT_UNTIL(p.w.server->n_running == 0);
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 1, "\n\2ok", 4);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 0);
    pair_end(self, &p);
}

/* ... but a trickle behind it is. */
static void a_request_whose_sender_was_looked_up_meets_the_deadline(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    world_init(&p.w);
    p.w.options.request_timeout_ms = 100;
    world_start(self, &p.w);
    h2_open(self, &p.peer, p.w.address, -1);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Private", "authorization", "Bearer sesame");
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\x0f\0\0", 5);
    CHECK_INT(trickle(self, &p, 1)->grpc_status, 4);
    pair_end(self, &p);
}

static void a_stream_that_stays_silent_ends(struct fiber *self, void *arg) {
    static const struct {
        const char *method;
        int64_t seconds;
    } cases[] = {{TEST_SERVICE "Sum", 31}, {TEST_SERVICE "Chat", 41}};
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        struct pair p;
        world_init(&p.w);
        p.w.options.peers.anonymous_idle_ms = 40000;
        world_start(self, &p.w);
        h2_open(self, &p.peer, p.w.address, -1);
        h2_send_call(&p.peer, 1, cases[i / 2].method, NULL, NULL);
        if (i % 2) h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\0\0\0", 5); /* behind a message, too */
        WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_MESSAGE);
        world_age(&p.w, cases[i / 2].seconds - 10);
        world_await_sweep(self, &p.w);
        CHECK_INT(p.w.server->n_running, 1);
        world_age(&p.w, 10);
        const struct h2_response *r = answer(self, &p, 1);
        CHECK_INT(r->grpc_status, 4);
        CHECK(has_field(r, "grpc-message: no message came for too long\n"));
        CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"silent_stream\""), 1);
        pair_end(self, &p);
    }
}

/* What it sends is no excuse. */
static void a_peer_that_sends_but_does_not_read_is_reset(struct fiber *self, void *arg) {
    static char block[8192];
    struct pair p;
    (void)arg;
    world_init(&p.w);
    world_start(self, &p.w);
    h2_open(self, &p.peer, p.w.address, 0);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\n\2hi"), 0);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, "\0\0\0\x7f\0", 5);
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_REST);
    world_age(&p.w, 62);
    h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, block, sizeof block);
    CHECK_INT(answer(self, &p, 1)->reset, NGHTTP2_CANCEL);
    CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"slow_reader\""), 1);
    pair_end(self, &p);
}

static void a_stream_of_somebody_known_may_be_silent(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "PrivateChat", "authorization", "Bearer sesame");
    h2_send_message(&p.peer, 1, STR("\n\2hi"), 0);
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_MESSAGE);
    world_age(&p.w, 86400);
    world_await_sweep(self, &p.w);
    world_await_sweep(self, &p.w);
    h2_send_message(&p.peer, 1, STR("\n\2ho"), END);
    const struct h2_response *r = answer(self, &p, 1);
    CHECK_INT(r->grpc_status, 0);
    CHECK_INT(r->body.len, 2 * 9);
    pair_end(self, &p);
}

/* ---- guards -------------------------------------------------------------------------------------------- */

static bool ends_calmly(struct fiber *self, struct pair *p) {
    while (h2_pump(self, &p->peer)) continue;
    return p->peer.raw.ended && p->peer.goaway == NGHTTP2_ENHANCE_YOUR_CALM;
}

static void a_flood_of_pings_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int i = 0; i < 1000; i++) h2_send_frame(&p.peer, NGHTTP2_PING, 0, 0, "12345678", 8);
    CHECK(ends_calmly(self, &p));
    CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"ping_flood\""), 1);
    pair_end(self, &p);
}

static void pings_of_an_honest_client_are_answered(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int i = 0; i < 200; i++) { /* as bandwidth probes: one for each reply */
        h2_send_frame(&p.peer, NGHTTP2_PING, 0, 0, "12345678", 8);
        check_alive(self, &p, 2 * i + 1);
    }
    CHECK_INT(p.peer.pings_answered, 200);
    pair_end(self, &p);
}

static void a_flood_of_settings_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int i = 0; i < 100; i++) h2_send_frame(&p.peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    CHECK(ends_calmly(self, &p));
    pair_end(self, &p);
}

static void a_flood_of_priority_frames_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int i = 0; i < 30000; i++) h2_send_frame(&p.peer, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\1", 5);
    CHECK(ends_calmly(self, &p));
    pair_end(self, &p);
}

static void a_flood_of_unknown_frames_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int i = 0; i < 30000; i++) h2_send_frame(&p.peer, 0xbb, 0, 0, "", 0);
    CHECK(ends_calmly(self, &p));
    pair_end(self, &p);
}

static void empty_data_frames_end_the_stream(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    for (unsigned i = 0; i <= HTTP2_MAX_EMPTY_FRAMES; i++)
        h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, NULL, 0);
    CHECK_INT(answer(self, &p, 1)->reset, NGHTTP2_ENHANCE_YOUR_CALM);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

static void padding_does_not_fill_an_empty_data_frame(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Chat", NULL, NULL);
    for (unsigned i = 0; i <= HTTP2_MAX_EMPTY_FRAMES; i++)
        h2_send_frame(&p.peer, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\3\0\0\0", 4);
    CHECK_INT(answer(self, &p, 1)->reset, NGHTTP2_ENHANCE_YOUR_CALM);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

/* ---- what comes for streams that have ended ------------------------------------------------------------ */

enum { WINDOW = 256 * 1024, BLOCK = 16 * 1024 };

static void send_data(struct pair *p, int32_t stream, size_t bytes) {
    static const char block[BLOCK];
    for (size_t sent = 0; sent < bytes; sent += BLOCK)
        h2_send_frame(&p->peer, NGHTTP2_DATA, 0, stream, block, sizeof block);
}

/* Begins a call that is answered and reset before its body has come. */
static void be_answered_early(struct fiber *self, struct pair *p, int32_t stream) {
    while (p->peer.settings_acked == 0 && h2_pump(self, &p->peer)) continue; /* the window is what it says */
    h2_send_call(&p->peer, stream, TEST_SERVICE "Nope", NULL, NULL);
    const struct h2_response *r = answer(self, p, stream);
    CHECK_INT(r->grpc_status, 12);
    while (r->reset < 0 && h2_pump(self, &p->peer)) continue;
    CHECK_INT(r->reset, NGHTTP2_NO_ERROR);
}

/* More than the connection's window in all: it is given back. */
static void a_body_on_its_way_to_an_early_answer_is_dropped(struct fiber *self, void *arg) {
    struct pair p;
    int32_t id = 3;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Live", NULL, NULL);
    h2_send_message(&p.peer, 1, STR(""), END);
    for (int i = 0; i < 40; i++, id += 2) {
        be_answered_early(self, &p, id);
        send_data(&p, id, WINDOW);
        h2_send_frame(&p.peer, NGHTTP2_DATA, END, id, NULL, 0);
    }
    check_alive(self, &p, id);
    CHECK(p.w.live && !p.peer.streams[1].ended);
    CHECK_INT(p.peer.goaway, -1);
    pair_end(self, &p);
}

static void trailers_of_a_stream_that_was_answered_early_are_dropped(struct fiber *self, void *arg) {
    const char *trailers[] = {"x-done", "yes", NULL};
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    be_answered_early(self, &p, 1);
    send_data(&p, 1, BLOCK);
    h2_send_fields(&p.peer, 1, NGHTTP2_FLAG_END_HEADERS | END, trailers);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

static void data_behind_the_reset_of_an_unfinished_request_is_dropped(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
    h2_send_reset(&p.peer, 1, NGHTTP2_CANCEL);
    send_data(&p, 1, BLOCK);
    check_alive(self, &p, 3);
    pair_end(self, &p);
}

/* Of 251 calls the server takes 250. The other's body is on its way before its refusal is. */
static void the_body_of_a_refused_stream_is_dropped(struct fiber *self, void *arg) {
    enum { TOO_MANY = 251 };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int32_t i = 0; i < TOO_MANY; i++) h2_send_call(&p.peer, 2 * i + 1, TEST_SERVICE "Chat", NULL, NULL);
    h2_send_message(&p.peer, 2 * TOO_MANY - 1, STR("\n\2hi"), 0);
    CHECK_INT(answer(self, &p, 2 * TOO_MANY - 1)->reset, NGHTTP2_REFUSED_STREAM);
    h2_send_message(&p.peer, 2 * TOO_MANY - 1, STR("\n\2hi"), END);
    h2_send_frame(&p.peer, NGHTTP2_DATA, END, 1, NULL, 0);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 0);
    check_alive(self, &p, 2 * TOO_MANY + 1);
    pair_end(self, &p);
}

static bool ends_with(struct fiber *self, struct pair *p, uint32_t code) {
    while (h2_pump(self, &p->peer)) continue;
    return p->peer.raw.ended && p->peer.goaway == code;
}

static void a_priority_of_no_stream_or_another_length_ends_the_connection(struct fiber *self, void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_begin(self, &p);
        if (i == 0) h2_send_frame(&p.peer, NGHTTP2_PRIORITY, 0, 0, "\0\0\0\0\1", 5);
        if (i == 1) h2_send_frame(&p.peer, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0", 4);
        CHECK(ends_with(self, &p, i == 0 ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_FRAME_SIZE_ERROR));
        pair_end(self, &p);
    }
}

static void a_flood_of_empty_frames_for_an_ended_stream_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    be_answered_early(self, &p, 1);
    for (int i = 0; i < 30000; i++) h2_send_frame(&p.peer, NGHTTP2_DATA, 0, 1, NULL, 0);
    CHECK(ends_calmly(self, &p));
    CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"frame_flood\""), 1);
    pair_end(self, &p);
}

static void more_data_than_was_on_its_way_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    be_answered_early(self, &p, 1);
    send_data(&p, 1, WINDOW + BLOCK);
    CHECK(ends_with(self, &p, NGHTTP2_STREAM_CLOSED));
    pair_end(self, &p);
}

/* The peer itself has ended the stream: nothing of it can be on its way. */
static void frames_of_a_stream_that_the_peer_ended_end_the_connection(struct fiber *self, void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_begin(self, &p);
        check_alive(self, &p, 1);
        if (i == 0) send_data(&p, 1, BLOCK);
        if (i == 1) h2_send_call(&p.peer, 1, TEST_SERVICE "Echo", NULL, NULL);
        CHECK(ends_with(self, &p, NGHTTP2_STREAM_CLOSED));
        pair_end(self, &p);
    }
}

/* ---- more guards --------------------------------------------------------------------------------------- */

static void making_the_server_reset_ends_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int32_t id = 1; id < 1000; id += 2) { /* each window overflows: the server must reset the stream */
        h2_send_call(&p.peer, id, TEST_SERVICE "Chat", NULL, NULL);
        h2_send_window(&p.peer, id, 0x7fffffff);
    }
    CHECK(ends_calmly(self, &p));
    WAIT_UNTIL(p.w.handlers_running == 0);
    pair_end(self, &p);
}

static void rapid_resets_end_the_connection(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (int32_t id = 1; id < 4000; id += 2) {
        h2_send_call(&p.peer, id, TEST_SERVICE "Chat", NULL, NULL);
        h2_send_reset(&p.peer, id, NGHTTP2_CANCEL);
    }
    while (h2_pump(self, &p.peer)) continue;
    CHECK(p.peer.raw.ended);
    WAIT_UNTIL(p.w.handlers_running == 0);
    pair_end(self, &p);
}

static void headers_without_end_are_cut_by_their_number(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_frame(&p.peer, NGHTTP2_HEADERS, 0, 1, "\x83", 1);
    for (int i = 0; i < 100; i++) h2_send_frame(&p.peer, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    while (h2_pump(self, &p.peer)) continue;
    CHECK(p.peer.raw.ended);
    pair_end(self, &p);
}

/* ---- draining ------------------------------------------------------------------------------------------ */

static void a_drain_says_goaway_and_finishes_streams(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    h2_send_call(&p.peer, 1, TEST_SERVICE "Sleep", NULL, NULL);
    h2_send_message(&p.peer, 1, STR("\x08\xc8\1"), END); /* 200 ms */
    WAIT_UNTIL(p.w.handlers_running == 1);
    world_stop(self, &p.w, 5000);
    CHECK_INT(answer(self, &p, 1)->grpc_status, 0);
    CHECK_INT(p.peer.goaway, NGHTTP2_NO_ERROR);
    while (h2_pump(self, &p.peer)) continue;
    CHECK(p.peer.raw.ended);
    h2_close(self, &p.peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_reply_is_headers_data_trailers),
        IN_FIBER(metadata_is_text_unless_its_name_ends_in_bin),
        IN_FIBER(an_error_is_one_block_with_details),
        IN_FIBER(headers_of_a_stream_do_not_wait_for_its_first_message),
        IN_FIBER(an_answer_before_the_request_ended_stops_the_request),
        IN_FIBER(a_message_may_be_split_over_frames_of_one_byte),
        IN_FIBER(padding_is_no_part_of_a_message),
        IN_FIBER(bad_framing_has_its_status),
        IN_FIBER(an_oversize_length_is_refused_before_its_bytes_come),
        IN_FIBER(bad_timeouts_are_no_deadline),
        IN_FIBER(two_authorization_fields_are_refused),
        IN_FIBER(a_continue_is_sent_when_the_body_is_wanted),
        IN_FIBER(a_length_beyond_the_limit_is_refused_before_the_body_comes),
        IN_FIBER(encodings_we_do_not_have_are_unimplemented),
        IN_FIBER(content_types_and_methods_have_their_http_status),
        IN_FIBER(connect_runs_over_http_2_too),
        IN_FIBER(a_page_may_read_a_grpc_answer),
        IN_FIBER(a_header_list_beyond_the_limit_is_refused),
        IN_FIBER(a_header_bomb_is_defused),
        IN_FIBER(a_reset_cancels_the_handler),
        IN_FIBER(a_reset_before_the_message_leaves_nothing),
        IN_FIBER(a_dropped_connection_cancels_its_handlers),
        IN_FIBER(a_chat_answers_before_the_half_close),
        IN_FIBER(a_message_right_before_a_reset_is_taken_and_the_call_cancelled),
        IN_FIBER(a_tiny_window_starves_but_does_not_break_a_reply),
        IN_FIBER(a_starved_stream_does_not_hold_others),
        IN_FIBER(a_sender_beyond_its_window_is_reset),
        IN_FIBER(a_slow_reader_gives_the_window_back_although_nothing_else_is_sent),
        IN_FIBER(a_request_that_has_ended_is_given_no_window),
        IN_FIBER(a_body_that_trickles_meets_the_deadline),
        IN_FIBER(a_message_of_a_stream_that_trickles_ends_it),
        IN_FIBER(a_message_of_a_stream_at_a_fair_rate_is_taken),
        IN_FIBER(what_the_handler_does_is_not_the_peers_time),
        IN_FIBER(looking_up_the_sender_is_not_the_peers_time),
        IN_FIBER(a_request_whose_sender_was_looked_up_meets_the_deadline),
        IN_FIBER(a_stream_that_stays_silent_ends),
        IN_FIBER(a_peer_that_sends_but_does_not_read_is_reset),
        IN_FIBER(a_stream_of_somebody_known_may_be_silent),
        IN_FIBER(a_flood_of_pings_ends_the_connection),
        IN_FIBER(pings_of_an_honest_client_are_answered),
        IN_FIBER(a_flood_of_settings_ends_the_connection),
        IN_FIBER(a_flood_of_priority_frames_ends_the_connection),
        IN_FIBER(a_flood_of_unknown_frames_ends_the_connection),
        IN_FIBER(empty_data_frames_end_the_stream),
        IN_FIBER(padding_does_not_fill_an_empty_data_frame),
        IN_FIBER(a_body_on_its_way_to_an_early_answer_is_dropped),
        IN_FIBER(trailers_of_a_stream_that_was_answered_early_are_dropped),
        IN_FIBER(data_behind_the_reset_of_an_unfinished_request_is_dropped),
        IN_FIBER(the_body_of_a_refused_stream_is_dropped),
        IN_FIBER(a_priority_of_no_stream_or_another_length_ends_the_connection),
        IN_FIBER(a_flood_of_empty_frames_for_an_ended_stream_ends_the_connection),
        IN_FIBER(more_data_than_was_on_its_way_ends_the_connection),
        IN_FIBER(frames_of_a_stream_that_the_peer_ended_end_the_connection),
        IN_FIBER(making_the_server_reset_ends_the_connection),
        IN_FIBER(rapid_resets_end_the_connection),
        IN_FIBER(headers_without_end_are_cut_by_their_number),
        IN_FIBER(a_drain_says_goaway_and_finishes_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
