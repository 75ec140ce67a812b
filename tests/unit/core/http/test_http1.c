/* HTTP/1.1 on the wire: raw bytes against the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/support/fibers.h"
#include "tests/unit/support/raw_peer.h"
#include "tests/unit/support/rpc_world.h"

#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        for (int wait_i = 0; wait_i < 5000 && !(condition); wait_i++) fiber_sleep_ms(self, 1);               \
        CHECK(condition);                                                                                    \
    } while (0)

struct pair {
    struct rpc_world w;
    struct raw_peer peer;
};

static void pair_begin(struct fiber *self, struct pair *p) {
    world_init(&p->w);
    world_start(self, &p->w);
    raw_open(self, &p->peer, p->w.address);
}

static void pair_end(struct fiber *self, struct pair *p) {
    raw_close(self, &p->peer);
    world_stop(self, &p->w, 1000);
}

/* A POST to a method of the test service. */
static void post(struct raw_peer *p, const char *method, const char *type, const char *more, const void *body,
                 size_t n) {
    char head[1024];
    int len = snprintf(head, sizeof head,
                       "POST " TEST_SERVICE
                       "%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
                       method, type, more, n);
    raw_send(p, head, (size_t)len);
    raw_send(p, body, n);
}

static void post_json(struct raw_peer *p, const char *method, const char *body) {
    post(p, method, "application/json", "", body, strlen(body));
}

/* ---- routes and connections ---------------------------------------------------------------------------- */

static void a_route_answers_get_and_head(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    raw_send_text(&p.peer, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &p.peer, "\r\n\r\nok\n"));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 200 OK\r\n"), 1);
    CHECK_INT(raw_count(&p.peer, "content-length: 3\r\n"), 1);
    raw_send_text(&p.peer,
                  "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /echo?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &p.peer, "\r\n\r\na=b"));
    CHECK_INT(raw_count(&p.peer, "content-length: 3\r\n"), 3);
    CHECK_INT(raw_count(&p.peer, "ok\n"), 1); /* HEAD had no body */
    pair_end(self, &p);
}

static void requests_that_come_together_are_answered_in_order(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post_json(&p.peer, "Sleep", "\"0.05s\""); /* seconds of a Duration: 0 */
    for (int i = 0; i < 100; i++) {
        char text[64];
        snprintf(text, sizeof text, "GET /echo?n%03d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        raw_send_text(&p.peer, text);
    }
    CHECK(raw_wait_text(self, &p.peer, "n099"));
    const char *at = p.peer.in.ptr, *end = at + p.peer.in.len;
    for (int i = 0; i < 100; i++) {
        char text[64];
        snprintf(text, sizeof text, "\r\n\r\nn%03d", i);
        at = memmem(at, (size_t)(end - at), text, strlen(text));
        if (!CHECK(at != NULL)) break;
    }
    pair_end(self, &p);
}

static void a_request_may_come_byte_by_byte(struct fiber *self, void *arg) {
    struct pair p;
    const char *text =
        "POST " TEST_SERVICE "Echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\n\r\n7;x=y\r\n{\"servi\r\nA\r\nce\":\"abc\"}\r\n0\r\nx: y\r\n\r\n";
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; text[i]; i++) {
        raw_send(&p.peer, text + i, 1);
        fiber_sleep_ms(self, 0);
    }
    CHECK(raw_wait_text(self, &p.peer, "{\"service\":\"abc\"}"));
    pair_end(self, &p);
}

/* More of them than may wait unconsumed. */
static void a_body_may_come_in_chunks_of_one_byte(struct fiber *self, void *arg) {
    enum { SPACES = 300 * 1024 };
    struct pair p;
    struct buf chunks;
    (void)arg;
    pair_begin(self, &p);
    buf_init(&chunks);
    for (int i = 0; i < SPACES; i++) buf_append_cstr(&chunks, "1\r\n \r\n");
    raw_send_text(&p.peer,
                  "POST " TEST_SERVICE "Echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                  "transfer-encoding: chunked\r\n\r\n");
    raw_send(&p.peer, chunks.ptr, chunks.len);
    raw_send_text(&p.peer, "11\r\n{\"service\":\"abc\"}\r\n0\r\n\r\n");
    CHECK(raw_wait_text(self, &p.peer, "{\"service\":\"abc\"}"));
    buf_free(&chunks);
    pair_end(self, &p);
}

static void close_and_http_1_0_end_the_connection(struct fiber *self, void *arg) {
    const char *requests[] = {"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                              "GET /healthz HTTP/1.0\r\n\r\n"};
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        struct pair p;
        pair_begin(self, &p);
        raw_send_text(&p.peer, requests[i]);
        CHECK(raw_wait_end(self, &p.peer));
        CHECK_INT(raw_count(&p.peer, "connection: close\r\n"), 1);
        CHECK_INT(raw_count(&p.peer, "\r\n\r\nok\n"), 1);
        pair_end(self, &p);
    }
}

static void a_continue_is_sent_only_when_the_body_is_wanted(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post(&p.peer, "Echo", "application/json", "Expect: 100-continue\r\n", "", 0); /* no body */
    raw_send_text(&p.peer,
                  "POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK(raw_wait_text(self, &p.peer, "HTTP/1.1 100 Continue\r\n\r\n"));
    raw_send_text(&p.peer, "{}");
    WAIT_UNTIL(raw_count(&p.peer, "HTTP/1.1 200 OK") == 2);
    raw_send_text(&p.peer,
                  "POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK(raw_wait_end(self, &p.peer));
    CHECK_INT(raw_count(&p.peer, "100 Continue"), 1);
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 404"), 1);
    pair_end(self, &p);
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *status;
} refused[] = {
    /* two ways to read where the body ends */
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
    /* fields */
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", "417"},
    /* request lines */
    {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "400"},
    {"GET /\r\nHost: x\r\n\r\n", "400"},
    {"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
    {"GET / http/1.1\r\nHost: x\r\n\r\n", "400"},
    /* chunks */
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
     "400"},
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
     "400"},
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
     "400"},
};

static void what_two_parsers_could_read_in_two_ways_is_refused(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char expected[32];
        struct raw_peer peer;
        raw_open(self, &peer, p.w.address);
        snprintf(expected, sizeof expected, "HTTP/1.1 %s ", refused[i].status);
        raw_send_text(&peer, refused[i].text);
        raw_send_text(&peer, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        bool ended = raw_wait_end(self, &peer);
        if (!CHECK(ended && raw_count(&peer, expected) == 1 && raw_count(&peer, "HTTP/1.1 ") == 1))
            fprintf(stderr, "# for %s\n# got %.*s\n", refused[i].text, (int)peer.in.len, peer.in.ptr);
        raw_close(self, &peer);
    }
    pair_end(self, &p);
}

static void a_head_of_more_than_16_kib_is_refused(struct fiber *self, void *arg) {
    struct pair p;
    char line[1024];
    (void)arg;
    pair_begin(self, &p);
    memset(line, 'x', sizeof line);
    memcpy(line, "a: ", 3);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    raw_send_text(&p.peer, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 20; i++) raw_send(&p.peer, line, sizeof line);
    CHECK(raw_wait_end(self, &p.peer));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 431 "), 1);
    pair_end(self, &p);
}

static void a_body_beyond_the_limit_is_refused_unread(struct fiber *self, void *arg) {
    struct pair p;
    char block[65536];
    (void)arg;
    pair_begin(self, &p);
    memset(block, ' ', sizeof block);
    raw_send_text(&p.peer,
                  "POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  "Content-Length: 1000000000\r\n\r\n");
    for (int i = 0; i < 40; i++) raw_send(&p.peer, block, sizeof block);
    CHECK(raw_wait_text(self, &p.peer, "resource_exhausted"));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 429 "), 1);
    CHECK_INT(raw_count(&p.peer, "connection: close"), 1);
    pair_end(self, &p);
}

static void a_peer_that_is_neither_protocol_is_refused(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    raw_send_text(&p.peer, "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"); /* nearly the magic */
    CHECK(raw_wait_end(self, &p.peer));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 505 "), 1);
    pair_end(self, &p);
}

/* ---- Connect ------------------------------------------------------------------------------------------- */

static void connect_unary_speaks_json_and_proto(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post_json(&p.peer, "Echo", "{\"service\":\"abc\"}");
    CHECK(raw_wait_text(self, &p.peer, "\r\n\r\n{\"service\":\"abc\"}"));
    CHECK_INT(raw_count(&p.peer, "content-type: application/json\r\n"), 1);
    CHECK_INT(raw_count(&p.peer, "x-seen: yes\r\n"), 1);
    CHECK_INT(raw_count(&p.peer, "trailer-x-done: yes\r\n"), 1);
    post(&p.peer, "Echo", "application/proto", "X-Echo-Bin: q6ur\r\n", "\n\3def", 5);
    CHECK(raw_wait_text(self, &p.peer, "\r\n\r\n\n\3def"));
    CHECK_INT(raw_count(&p.peer, "content-type: application/proto\r\n"), 1);
    CHECK_INT(raw_count(&p.peer, "trailer-x-echo-bin: q6ur\r\n"), 1);
    post_json(&p.peer, "Echo", ""); /* nothing is {} */
    CHECK(raw_wait_text(self, &p.peer, "\r\n\r\n{}"));
    pair_end(self, &p);
}

static void connect_errors_have_a_status_and_details(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post_json(&p.peer, "Fail", "{\"service\":\"5\"}");
    CHECK(raw_wait_text(self, &p.peer, "{\"code\":\"not_found\",\"message\":\"told to\"}"));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 404 Not Found"), 1);
    post_json(&p.peer, "Fail", "{\"service\":\"8\"}");
    CHECK(raw_wait_text(self, &p.peer, "google.rpc.RetryInfo"));
    CHECK_INT(raw_count(&p.peer, "retry-after: 2\r\n"), 1);
    post_json(&p.peer, "Fail", "{\"service\":\"3\"}");
    CHECK(raw_wait_text(self, &p.peer, "google.rpc.BadRequest"));
    post_json(&p.peer, "Echo", "{\"service\":12}");
    CHECK(raw_wait_text(self, &p.peer, "\"field\"") || raw_count(&p.peer, "invalid_argument") == 2);
    pair_end(self, &p);
}

static void connect_refuses_what_it_does_not_speak(struct fiber *self, void *arg) {
    static const struct {
        const char *method, *type, *more, *status;
    } cases[] = {
        {"Nope", "application/json", "", "404"},
        {"Echo", "text/plain", "", "415"},
        {"Echo", "application/connect+json", "", "415"}, /* a unary method */
        {"Count", "application/json", "", "415"},        /* a stream */
        {"Echo", "application/grpc", "", "505"},         /* no trailers here */
        {"Echo", "application/grpc-web", "", "415"},
        {"Echo", "application/json", "Content-Encoding: gzip\r\n", "501"},
        {"Echo", "application/json", "Connect-Protocol-Version: 2\r\n", "400"},
        {"Echo", "application/json", "Connect-Timeout-Ms: soon\r\n", "400"},
        {"Echo", "application/json", "Connect-Timeout-Ms: 12345678901\r\n", "400"},
        {"Echo", "application/json", "Connect-Timeout-Ms: 0\r\n", "504"},
        {"Echo", "application/json; charset=utf-8", "", "200"},
        {"Private", "application/json", "", "401"},
        {"Private", "application/json", "Authorization: Bearer sesame\r\n", "200"},
    };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "HTTP/1.1 %s ", cases[i].status);
        p.peer.in.len = 0;
        post(&p.peer, cases[i].method, cases[i].type, cases[i].more, "{}", 2);
        if (!CHECK(raw_wait_text(self, &p.peer, expected)))
            fprintf(stderr, "# case %zu got %.*s\n", i, (int)p.peer.in.len, p.peer.in.ptr);
        fiber_sleep_ms(self, 1);
    }
    pair_end(self, &p);
}

static void connect_get_is_for_what_has_no_side_effects(struct fiber *self, void *arg) {
    static const struct {
        const char *query, *expected;
    } cases[] = {
        {"Echo?connect=v1&encoding=json&message=%7B%22service%22%3A%22a+b%22%7D", "{\"service\":\"a b\"}"},
        {"Echo?base64=1&message=eyJzZXJ2aWNlIjoiYTYifQ&encoding=json&unknown=1", "{\"service\":\"a6\"}"},
        {"Echo?encoding=json&message=", "\r\n\r\n{}"},
        {"Echo?encoding=json&message=%7", "invalid_argument"},
        {"Echo?encoding=json&message=%7g", "invalid_argument"},
        {"Echo?encoding=json&base64=1&message=!!!!", "invalid_argument"},
        {"Echo?encoding=yaml&message=", "invalid_argument"},
        {"Echo?encoding=json&compression=gzip&message=", "unimplemented"},
        {"Fail?encoding=json&message=", "HTTP/1.1 405 "},
        {"Count?encoding=json&message=", "HTTP/1.1 405 "},
    };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "GET " TEST_SERVICE "%s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].query);
        p.peer.in.len = 0;
        raw_send_text(&p.peer, text);
        if (!CHECK(raw_wait_text(self, &p.peer, cases[i].expected)))
            fprintf(stderr, "# case %zu got %.*s\n", i, (int)p.peer.in.len, p.peer.in.ptr);
    }
    pair_end(self, &p);
}

static void connect_streams_in_chunks_and_ends_with_an_envelope(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post(&p.peer, "Count", "application/connect+json", "", "\0\0\0\0\4\"3s\"", 9);
    CHECK(raw_wait_bytes(self, &p.peer, 1));
    WAIT_UNTIL(memmem(p.peer.in.ptr, p.peer.in.len, "\2\0\0\0\2{}\r\n0\r\n\r\n", 14) != NULL);
    CHECK_INT(raw_count(&p.peer, "transfer-encoding: chunked"), 1);
    for (int i = 1; i <= 3; i++) {
        char expected[16] = {0, 0, 0, 0, 4, '"', (char)('0' + i), 's', '"'};
        CHECK(memmem(p.peer.in.ptr, p.peer.in.len, expected, 9) != NULL);
    }
    /* The connection goes on. */
    post(&p.peer, "Count", "application/connect+json", "", "\0\0\0\0\3bad", 8);
    CHECK(raw_wait_text(self, &p.peer, "{\"error\":{\"code\":\"invalid_argument\""));
    pair_end(self, &p);
}

static void connect_client_streams_work_half_duplex(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post(&p.peer, "Sum", "application/connect+json", "", "\0\0\0\0\4\"3s\"\0\0\0\0\4\"4s\"", 18);
    CHECK(raw_wait_text(self, &p.peer, "\"7s\""));
    pair_end(self, &p);
}

static void a_client_that_leaves_cancels_its_call(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post_json(&p.peer, "Sleep", "\"60000s\"");
    WAIT_UNTIL(p.w.handlers_running == 1);
    raw_close(self, &p.peer);
    WAIT_UNTIL(p.w.cancelled == 1);
    world_stop(self, &p.w, 1000);
}

static void a_reader_that_stalls_stops_the_writer(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    raw_stop_reading(&p.peer);
    post(&p.peer, "Flood", "application/connect+proto", "", "\0\0\0\0\3\x08\x90\x4e",
         8); /* 10,000 messages */
    WAIT_UNTIL(p.w.flooded > 0);
    size_t before;
    do {
        before = p.w.flooded;
        fiber_sleep_ms(self, 100);
    } while (p.w.flooded != before);
    CHECK(p.w.flooded < 10000); /* what the kernel takes and no more */
    raw_go_on_reading(&p.peer);
    WAIT_UNTIL(p.w.flooded == 10000 && p.w.handlers_running == 0);
    CHECK(raw_wait_bytes(self, &p.peer, (size_t)100 * 1000 * 1000));
    pair_end(self, &p);
}

static void a_drain_closes_idle_connections(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    raw_send_text(&p.peer, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &p.peer, "ok\n"));
    world_stop(self, &p.w, 1000);
    CHECK(raw_wait_end(self, &p.peer));
    raw_close(self, &p.peer);
}

static void the_idlest_connection_gives_way_beyond_the_limit(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct raw_peer peers[4];
    (void)arg;
    world_init(&w);
    w.options.max_connections = 3;
    world_start(self, &w);
    for (int i = 0; i < 4; i++) raw_open(self, &peers[i], w.address);
    CHECK(raw_wait_end(self, &peers[0]));
    raw_send_text(&peers[3], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &peers[3], "ok\n"));
    for (int i = 0; i < 4; i++) raw_close(self, &peers[i]);
    world_stop(self, &w, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_route_answers_get_and_head),
        IN_FIBER(requests_that_come_together_are_answered_in_order),
        IN_FIBER(a_request_may_come_byte_by_byte),
        IN_FIBER(a_body_may_come_in_chunks_of_one_byte),
        IN_FIBER(close_and_http_1_0_end_the_connection),
        IN_FIBER(a_continue_is_sent_only_when_the_body_is_wanted),
        IN_FIBER(what_two_parsers_could_read_in_two_ways_is_refused),
        IN_FIBER(a_head_of_more_than_16_kib_is_refused),
        IN_FIBER(a_body_beyond_the_limit_is_refused_unread),
        IN_FIBER(a_peer_that_is_neither_protocol_is_refused),
        IN_FIBER(connect_unary_speaks_json_and_proto),
        IN_FIBER(connect_errors_have_a_status_and_details),
        IN_FIBER(connect_refuses_what_it_does_not_speak),
        IN_FIBER(connect_get_is_for_what_has_no_side_effects),
        IN_FIBER(connect_streams_in_chunks_and_ends_with_an_envelope),
        IN_FIBER(connect_client_streams_work_half_duplex),
        IN_FIBER(a_client_that_leaves_cancels_its_call),
        IN_FIBER(a_reader_that_stalls_stops_the_writer),
        IN_FIBER(a_drain_closes_idle_connections),
        IN_FIBER(the_idlest_connection_gives_way_beyond_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
