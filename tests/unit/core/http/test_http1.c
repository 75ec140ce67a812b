/* HTTP/1.1 on the wire: raw bytes against the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
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
    raw_send_text(&p.peer, "POST " TEST_SERVICE "Echo HTTP/1.0\r\nContent-Type: application/json\r\n"
                           "Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    fiber_sleep_ms(self, 20);
    raw_send_text(&p.peer, "{}"); /* HTTP/1.0 knows no such answer */
    WAIT_UNTIL(raw_count(&p.peer, "HTTP/1.1 200 OK") == 3);
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
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0b"
     "chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\x0b"
     "3\r\n\r\nabc",
     "400"},
    /* hosts */
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\nHost: a,b:x\r\n\r\n", "400"},
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
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\na: b\nc: d\r\n\r\n",
     "400"},
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\n\r\n\r\n",
     "400"},
    {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nno colon\r\n\r\n",
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
        if (!CHECK(ended && raw_count(&peer, expected) == 1 && raw_count(&peer, "HTTP/1.1 ") == 1 &&
                   raw_count(&peer, "\"message\":\"") == 1 && raw_count(&peer, "connection: close\r\n") == 1))
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
                  "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        raw_send_text(&p.peer, "10000\r\n");
        raw_send(&p.peer, block, sizeof block);
        raw_send_text(&p.peer, "\r\n");
    }
    CHECK(raw_wait_text(self, &p.peer, "resource_exhausted"));
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 413 "), 1);
    CHECK_INT(raw_count(&p.peer, "connection: close"), 1);
    pair_end(self, &p);
}

/* Before its first byte has come, and also when the client waits to be told to send it. */
static void a_length_beyond_the_limit_is_refused_at_once(struct fiber *self, void *arg) {
    static const char *const heads[] = {
        "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
        "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"};
    struct rpc_world w;
    (void)arg;
    world_init(&w);
    w.options.max_message_bytes = 1024;
    world_start(self, &w);
    for (size_t i = 0; i < 2; i++) {
        struct raw_peer peer;
        raw_open(self, &peer, w.address);
        raw_send_text(&peer, "POST " TEST_SERVICE);
        raw_send_text(&peer, heads[i]);
        raw_send_text(&peer, "Content-Length: 1025\r\n\r\n");
        CHECK(raw_wait_end(self, &peer));
        CHECK_INT(raw_count(&peer, "HTTP/1.1 413 Content Too Large\r\n"), 1);
        CHECK_INT(raw_count(&peer, "the message is larger than 1024 bytes"), 1);
        CHECK_INT(raw_count(&peer, "100 Continue"), 0);
        raw_close(self, &peer);
    }
    world_stop(self, &w, 1000);
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

/* The first bytes of what TLS begins with, of other protocols, and of noise. */
static void what_is_not_http_is_refused_at_its_first_byte(struct fiber *self, void *arg) {
    static const struct {
        struct str bytes;
        const char *sentence;
    } cases[] = {
        {{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
         "this port speaks HTTP without TLS: use http://"},
        {{"\x16", 1}, "this port speaks HTTP without TLS: use http://"},
        {{"\0\0\0\x08\x04\xd2\x16\x2f", 8}, "does not begin with a method"},
        {{"\n", 1}, "does not begin with a method"},
        {{"{\"jsonrpc\"", 10}, "does not begin with a method"},
    };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raw_peer peer;
        raw_open(self, &peer, p.w.address);
        raw_send(&peer, cases[i].bytes.ptr, cases[i].bytes.len);
        CHECK(raw_wait_end(self, &peer));
        CHECK_INT(raw_count(&peer, "HTTP/1.1 400 "), 1);
        CHECK_INT(raw_count(&peer, cases[i].sentence), 1);
        raw_close(self, &peer);
    }
    pair_end(self, &p);
}

/* A byte every 20 ms: it never stands still. */
static void a_body_that_trickles_meets_the_deadline(struct fiber *self, void *arg) {
    static const struct {
        const char *method, *type, *begin, *expected;
    } cases[] = {
        {"Echo", "application/json", "     ", "HTTP/1.1 504 Gateway Timeout\r\n"},
        {"Count", "application/connect+json", "\0\0\0  ", "{\"error\":{\"code\":\"deadline_exceeded\""}};
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        struct pair p;
        char head[256];
        world_init(&p.w);
        p.w.options.request_timeout_ms = 100;
        world_start(self, &p.w);
        raw_open(self, &p.peer, p.w.address);
        snprintf(head, sizeof head,
                 "POST " TEST_SERVICE
                 "%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 9999\r\n\r\n",
                 cases[i].method, cases[i].type);
        raw_send_text(&p.peer, head);
        raw_send(&p.peer, cases[i].begin, 5);
        for (int sent = 0; sent < 500 && !p.peer.ended; sent++) {
            raw_send(&p.peer, " ", 1);
            fiber_sleep_ms(self, 20);
        }
        CHECK(p.peer.ended);
        CHECK_INT(raw_count(&p.peer, cases[i].expected), 1);
        CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"slow_body\""), 1);
        pair_end(self, &p);
    }
}

static void a_message_of_a_stream_that_trickles_ends_it(struct fiber *self, void *arg) {
    static const char *const methods[] = {"Sum", "Chat"};
    (void)arg;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct pair p;
        char head[256];
        pair_begin(self, &p);
        snprintf(head, sizeof head,
                 "POST " TEST_SERVICE "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\n",
                 methods[i]);
        raw_send_text(&p.peer, head);
        raw_send(&p.peer, "\0\0\0\x20\0\r\n", 7);
        WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_REST);
        world_age(&p.w, 31);
        for (int sent = 0; sent < 500 && !p.peer.ended; sent++) {
            raw_send_text(&p.peer, "1\r\n \r\n");
            fiber_sleep_ms(self, 20);
        }
        CHECK(p.peer.ended);
        CHECK_INT(raw_count(&p.peer, "{\"error\":{\"code\":\"deadline_exceeded\""), 1);
        CHECK_INT(world_counter(&p.w, "rookery_http_drops_total", "reason=\"slow_body\""), 1);
        pair_end(self, &p);
    }
}

static void a_client_stream_that_stays_silent_ends(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    raw_send_text(&p.peer,
                  "POST " TEST_SERVICE "Sum HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
                  "Content-Length: 999\r\n\r\n");
    WAIT_UNTIL(world_wants(&p.w) == HTTP_WANTS_MESSAGE);
    world_age(&p.w, 31);
    CHECK(raw_wait_end(self, &p.peer));
    CHECK_INT(raw_count(&p.peer, "\"message\":\"no message came for too long\""), 1);
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
        {"Private", "application/json", "Authorization: Bearer sesame\r\nAuthorization: Bearer x\r\n", "400"},
        {"Private", "application/json", "Authorization: Bearer x\r\nauthorization: Bearer sesame\r\n", "400"},
        {"Echo", "application/json", "Connect-Timeout-Ms: 9\r\nConnect-Timeout-Ms: 9999\r\n", "400"},
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

/* A wrong request is told in JSON what a right one would be. */
static void a_wrong_request_is_told_what_would_be_right(struct fiber *self, void *arg) {
    static const struct {
        const char *request, *status, *sentence;
    } cases[] = {
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\n", "415",
         "there is no content-type; for rookery.test.v1.TestService/Echo send application/json"},
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n", "415",
         "the content-type is application/x-www-form-urlencoded; for rookery.test.v1.TestService/Echo send "
         "application/json"},
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: a\"\xff\r\n", "415",
         "the content-type is a\\\"?; "},
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: application/json\r\n"
         "Content-Type: application/proto\r\n",
         "415",
         "there are two fields content-type; for rookery.test.v1.TestService/Echo send application/json"},
        {"POST " TEST_SERVICE "Count HTTP/1.1\r\nContent-Type: application/json\r\n", "415",
         "the content-type is application/json; rookery.test.v1.TestService/Count is a stream: send "
         "application/connect+json, with five bytes in front of each JSON message"},
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: application/connect+json\r\n", "415",
         "for rookery.test.v1.TestService/Echo send application/json"},
        {"POST " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: application/grpc\r\n", "505",
         "gRPC needs HTTP/2"},
        {"POST " TEST_SERVICE "echo HTTP/1.1\r\n", "404", "but there is /rookery.test.v1.TestService/Echo"},
        {"POST " TEST_SERVICE "Nope HTTP/1.1\r\n", "404", "rookery.test.v1.TestService has no such method"},
        {"POST /nowhere HTTP/1.1\r\n", "404", "methods are called as POST /rookery.test.v1.TestService/Echo"},
        {"GET / HTTP/1.1\r\n", "404", "there is nothing at this path"},
        {"PUT " TEST_SERVICE "Fail HTTP/1.1\r\n", "405",
         "rookery.test.v1.TestService/Fail is called with POST\""},
        {"PUT " TEST_SERVICE "Echo HTTP/1.1\r\n", "405", "is called with POST, or with GET, encoding=json"},
        {"GET " TEST_SERVICE "Echo HTTP/1.1\r\nContent-Type: application/grpc\r\n", "405",
         "is called with POST"},
        {"POST /healthz HTTP/1.1\r\n", "405", "this is read with GET or HEAD"},
        {"GET / HTTP/1.7\r\n", "505", "use HTTP/1.1, or HTTP/2"},
    };
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raw_peer peer;
        char expected[32];
        raw_open(self, &peer, p.w.address);
        snprintf(expected, sizeof expected, "HTTP/1.1 %s ", cases[i].status);
        raw_send_text(&peer, cases[i].request);
        raw_send_text(&peer, "Host: x\r\nConnection: close\r\n\r\n");
        bool ended = raw_wait_end(self, &peer);
        if (!CHECK(ended && raw_count(&peer, expected) == 1 && raw_count(&peer, cases[i].sentence) == 1 &&
                   raw_count(&peer, "content-type: application/json\r\n") == 1 &&
                   raw_count(&peer, "{\"code\":\"unimplemented\",\"message\":\"") == 1))
            fprintf(stderr, "# case %zu got %.*s\n", i, (int)peer.in.len, peer.in.ptr);
        raw_close(self, &peer);
    }
    pair_end(self, &p);
}

/* ---- pages of other origins ---------------------------------------------------------------------------- */

#define EXPOSED                                                                                              \
    "access-control-expose-headers: grpc-status, grpc-message, grpc-status-details-bin, retry-after, *\r\n"

static void cors_begin(struct fiber *self, struct pair *p, const char *origins) {
    world_init(&p->w);
    p->w.options.cors_origins = origins;
    world_start(self, &p->w);
    raw_open(self, &p->peer, p->w.address);
}

/* The answer to a browser's question whether a page of this origin may POST. */
static void ask_first(struct fiber *self, struct pair *p, const char *origin) {
    char text[512];
    buf_clear(&p->peer.in);
    snprintf(text, sizeof text,
             "OPTIONS " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\n"
             "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
             origin);
    raw_send_text(&p->peer, text);
    CHECK(raw_wait_text(self, &p->peer, "\r\n\r\n"));
}

static void a_page_asks_before_it_calls(struct fiber *self, void *arg) {
    static const struct {
        const char *origin;
        bool may;
    } cases[] = {
        {"https://app.example", true},
        {"HTTPS://App.Example", true},
        {"http://localhost:3000", true},
        {"http://localhost", true},
        {"http://localhost:", false},
        {"http://localhost:3000.evil", false},
        {"http://localhost.evil", false},
        {"https://localhost:1", false},
        {"https://app.example:444", false},
        {"https://app.example.evil", false},
        {"https://xapp.example", false},
        {"null", false},
        {"", false},
        {"*", false},
    };
    struct pair p;
    (void)arg;
    cors_begin(self, &p, "https://app.example,http://localhost:*");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[128];
        ask_first(self, &p, cases[i].origin);
        snprintf(expected, sizeof expected, "\r\naccess-control-allow-origin: %s\r\n", cases[i].origin);
        bool told = raw_count(&p.peer, "HTTP/1.1 204 No Content\r\n") == 1 &&
                    raw_count(&p.peer, expected) == 1 &&
                    raw_count(&p.peer, "access-control-allow-methods: GET, POST\r\n") == 1 &&
                    raw_count(&p.peer, "access-control-allow-headers: authorization, content-type, ") == 1;
        bool denied = raw_count(&p.peer, "HTTP/1.1 403 ") == 1 &&
                      raw_count(&p.peer, "access-control-allow") == 0 &&
                      raw_wait_text(self, &p.peer, "ROOKERY_CORS_ORIGINS");
        CHECK_INT(raw_count(&p.peer, "vary: origin\r\n"), 1);
        if (!CHECK(cases[i].may ? told : denied))
            fprintf(stderr, "# case %zu got %.*s\n", i, (int)p.peer.in.len, p.peer.in.ptr);
    }
    pair_end(self, &p);
}

static void a_page_may_read_what_it_called(struct fiber *self, void *arg) {
    static const struct {
        const char *method, *type, *body, *expected;
    } cases[] = {{"Echo", "application/json", "{}", "HTTP/1.1 200 "},
                 {"Fail", "application/json", "{\"service\":\"5\"}", "HTTP/1.1 404 "},
                 {"Private", "application/json", "{}", "HTTP/1.1 401 "},
                 {"Echo", "text/plain", "{}", "HTTP/1.1 415 "},
                 {"Nope", "application/json", "{}", "HTTP/1.1 404 "},
                 {"Count", "application/connect+json", "     ", "HTTP/1.1 200 "}};
    struct pair p;
    (void)arg;
    cors_begin(self, &p, "http://localhost:*");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&p.peer.in);
        post(&p.peer, cases[i].method, cases[i].type, "Origin: http://localhost:5173\r\n", cases[i].body,
             strlen(cases[i].body));
        bool answered = raw_wait_text(self, &p.peer, "\r\n\r\n");
        if (!CHECK(answered && raw_count(&p.peer, cases[i].expected) == 1 &&
                   raw_count(&p.peer, EXPOSED) == 1 &&
                   raw_count(&p.peer, "access-control-allow-origin: http://localhost:5173\r\n") == 1 &&
                   raw_count(&p.peer, "vary: origin\r\n") == 1))
            fprintf(stderr, "# case %zu got %.*s\n", i, (int)p.peer.in.len, p.peer.in.ptr);
        WAIT_UNTIL(p.w.handlers_running == 0);
        fiber_sleep_ms(self, 1);
    }
    pair_end(self, &p);
}

/* A cache must not give the answer of one origin to another, or to none. */
static void other_pages_may_read_nothing(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    cors_begin(self, &p, "http://localhost:*");
    post(&p.peer, "Echo", "application/json", "Origin: https://evil.example\r\n", "{}", 2);
    post(&p.peer, "Echo", "application/json", "", "{}", 2);
    WAIT_UNTIL(raw_count(&p.peer, "HTTP/1.1 200 ") == 2);
    CHECK_INT(raw_count(&p.peer, "vary: origin\r\n"), 2);
    CHECK_INT(raw_count(&p.peer, "access-control-"), 0);
    pair_end(self, &p);
}

static void any_page_may_call_where_the_setting_says_so(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    cors_begin(self, &p, "*");
    ask_first(self, &p, "https://anybody.example");
    CHECK_INT(raw_count(&p.peer, "access-control-allow-origin: *\r\n"), 1);
    pair_end(self, &p);
}

static void without_the_setting_no_page_is_answered(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    cors_begin(self, &p, "");
    ask_first(self, &p, "http://localhost:1");
    CHECK_INT(raw_count(&p.peer, "HTTP/1.1 405 "), 1);
    CHECK_INT(raw_count(&p.peer, "access-control-"), 0);
    CHECK_INT(raw_count(&p.peer, "vary:"), 0);
    pair_end(self, &p);
}

/* ---- Connect's GET ------------------------------------------------------------------------------------- */

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
        {"Echo?connect=v2&encoding=json&message=", "invalid_argument"},
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
    raw_close_reset(self, &p.peer);
    WAIT_UNTIL(p.w.cancelled == 1);
    world_stop(self, &p.w, 1000);
}

/* ---- clients that send no more ------------------------------------------------------------------------- */

/* Together with its last request, or while that is being answered. */
static void what_was_asked_before_a_half_close_is_answered(struct fiber *self, void *arg) {
    (void)arg;
    for (int together = 0; together <= 1; together++) {
        struct pair p;
        pair_begin(self, &p);
        post_json(&p.peer, "Sleep", "\"50s\""); /* seconds are milliseconds here */
        raw_send_text(&p.peer, "GET /echo?second HTTP/1.1\r\nHost: x\r\n\r\n");
        if (!together) WAIT_UNTIL(p.w.handlers_running == 1);
        raw_half_close(&p.peer);
        CHECK(raw_wait_end(self, &p.peer));
        CHECK_INT(raw_count(&p.peer, "HTTP/1.1 200 OK\r\n"), 2);
        CHECK_INT(raw_count(&p.peer, "\r\n\r\nsecond"), 1);
        CHECK_INT(p.w.cancelled, 0);
        pair_end(self, &p);
    }
}

static void a_stream_is_sent_whole_behind_a_half_close(struct fiber *self, void *arg) {
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post(&p.peer, "Flood", "application/connect+proto", "", "\0\0\0\0\3\x08\xe8\7", 8); /* 1,000 messages */
    raw_half_close(&p.peer);
    CHECK(raw_wait_end(self, &p.peer));
    CHECK(p.peer.in.len > (size_t)1000 * 10000);
    CHECK_INT(raw_count(&p.peer, "\r\n0\r\n\r\n"), 1);
    pair_end(self, &p);
}

static void half_a_request_ends_with_its_sender(struct fiber *self, void *arg) {
    static const char *const halves[] = {"", "GET / HT",
                                         "POST " TEST_SERVICE
                                         "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                         "Content-Length: 9\r\n\r\n{}"};
    (void)arg;
    for (int behind_another = 0; behind_another <= 1; behind_another++) {
        for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
            struct pair p;
            pair_begin(self, &p);
            if (behind_another) post_json(&p.peer, "Sleep", "\"20s\"");
            raw_send_text(&p.peer, halves[i]);
            raw_half_close(&p.peer);
            CHECK(raw_wait_end(self, &p.peer));
            CHECK_INT(raw_count(&p.peer, "HTTP/1.1 "), behind_another);
            WAIT_UNTIL(metrics_gauge(p.w.metrics, "rookery_http_connections", "", "")->value == 0);
            pair_end(self, &p);
        }
    }
}

/* What is sent to it meets a reset. */
static void a_feed_whose_reader_has_gone_ends(struct fiber *self, void *arg) {
    Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct rpc_shared *hello = rpc_shared_new(&m.base);
    struct pair p;
    (void)arg;
    pair_begin(self, &p);
    post(&p.peer, "Live", "application/connect+json", "", "\0\0\0\0\2{}", 7);
    WAIT_UNTIL(p.w.live != NULL);
    raw_close(self, &p.peer);
    for (int i = 0; i < 500 && p.w.live; i++) {
        rpc_stream_send(p.w.live, hello, 65536);
        fiber_sleep_ms(self, 10);
    }
    CHECK_INT(p.w.live_ended, 1);
    rpc_shared_unref(hello);
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
        IN_FIBER(a_length_beyond_the_limit_is_refused_at_once),
        IN_FIBER(a_peer_that_is_neither_protocol_is_refused),
        IN_FIBER(what_is_not_http_is_refused_at_its_first_byte),
        IN_FIBER(a_body_that_trickles_meets_the_deadline),
        IN_FIBER(a_message_of_a_stream_that_trickles_ends_it),
        IN_FIBER(a_client_stream_that_stays_silent_ends),
        IN_FIBER(connect_unary_speaks_json_and_proto),
        IN_FIBER(connect_errors_have_a_status_and_details),
        IN_FIBER(connect_refuses_what_it_does_not_speak),
        IN_FIBER(a_wrong_request_is_told_what_would_be_right),
        IN_FIBER(a_page_asks_before_it_calls),
        IN_FIBER(a_page_may_read_what_it_called),
        IN_FIBER(other_pages_may_read_nothing),
        IN_FIBER(any_page_may_call_where_the_setting_says_so),
        IN_FIBER(without_the_setting_no_page_is_answered),
        IN_FIBER(connect_get_is_for_what_has_no_side_effects),
        IN_FIBER(connect_streams_in_chunks_and_ends_with_an_envelope),
        IN_FIBER(connect_client_streams_work_half_duplex),
        IN_FIBER(a_client_that_leaves_cancels_its_call),
        IN_FIBER(what_was_asked_before_a_half_close_is_answered),
        IN_FIBER(a_stream_is_sent_whole_behind_a_half_close),
        IN_FIBER(half_a_request_ends_with_its_sender),
        IN_FIBER(a_feed_whose_reader_has_gone_ends),
        IN_FIBER(a_reader_that_stalls_stops_the_writer),
        IN_FIBER(a_drain_closes_idle_connections),
        IN_FIBER(the_idlest_connection_gives_way_beyond_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
