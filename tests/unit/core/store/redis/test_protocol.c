/* The Redis client against a peer that sends exactly what the test says, cut where the test says: replies in
 * pieces, nonsense, answers nobody asked for. The peer is a fiber on the same loop, so each piece is read by
 * itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/store/redis/redis.h"
#include "core/store/redis/redis_internal.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/folder.h"

#define RUN_ID "0123456789abcdef0123456789abcdef01234567"
#define GREETING "$59\r\n# Server\r\nrun_id:" RUN_ID "\r\n\r\n+PONG\r\n+OK\r\n"
/* The last command of every batch here, so that the peer knows when it has read all. */
#define LAST "LAST\r\n"

/* ---- the peer -------------------------------------------------------------------------------------------
 */

struct peer {
    char folder[TEST_FOLDER_SIZE];
    char url[128];
    int listener, fd;
    const char *greeting; /* sent on the first connection; later ones get GREETING */
    int connections;
    struct str script; /* sent when LAST was read */
    size_t piece;      /* bytes at a time */
    bool stop, over;
};

static void peer_open(struct peer *p) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *p = (struct peer){.fd = -1, .greeting = GREETING, .piece = 1 << 20};
    test_folder_make(p->folder);
    snprintf(p->url, sizeof p->url, "unix://%s/s", p->folder);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", p->folder);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->listener, 8), 0);
}

static void peer_close(struct peer *p) {
    char path[128];
    snprintf(path, sizeof path, "%s/s", p->folder);
    close(p->listener);
    unlink(path);
    rmdir(p->folder);
}

static void peer_accept(struct fiber *self, struct peer *p) {
    while (!p->stop && (p->fd = accept(p->listener, NULL, NULL)) < 0) fiber_sleep_ms(self, 1);
    p->connections++;
}

/* False when the client has hung up. */
static bool peer_read_until(struct fiber *self, struct peer *p, const char *end) {
    char tail[4096] = "";
    size_t len = 0;
    while (!p->stop) {
        ssize_t n = recv(p->fd, tail + len, sizeof tail - 1 - len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
        if (n > 0) len += (size_t)n;
        tail[len] = '\0';
        if (len >= strlen(end) && memcmp(tail + len - strlen(end), end, strlen(end)) == 0) return true;
        if (len > 2048) { /* only the end matters */
            memmove(tail, tail + len - 1024, 1024);
            len = 1024;
        }
        if (n < 0) fiber_sleep_ms(self, 0);
    }
    return false;
}

static void peer_send(struct fiber *self, struct peer *p, struct str s, size_t piece) {
    while (s.len > 0) {
        ssize_t n = send(p->fd, s.ptr, s.len < piece ? s.len : piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return;
        if (n > 0) s = (struct str){s.ptr + n, s.len - (size_t)n};
        fiber_sleep_ms(self, 0);
        fiber_sleep_ms(self, 0);
    }
}

static void peer_serve_one(struct fiber *self, struct peer *p) {
    const char *greeting = p->connections == 1 ? p->greeting : GREETING;
    if (!peer_read_until(self, p, "test\r\n")) return; /* CLIENT SETNAME test */
    peer_send(self, p, str_from(greeting), p->piece);
    if (!peer_read_until(self, p, LAST)) return;
    peer_send(self, p, p->script, p->piece);
    peer_read_until(self, p, "nothing ends with this");
}

static void peer_main(struct fiber *self, void *arg) {
    struct peer *p = arg;
    while (!p->stop) {
        peer_accept(self, p);
        if (p->fd < 0) break;
        peer_serve_one(self, p);
        close(p->fd);
        p->fd = -1;
    }
    p->over = true;
}

static void peer_end(struct fiber *self, struct peer *p) {
    p->stop = true;
    while (!p->over) fiber_sleep_ms(self, 1);
}

/* ---- helpers --------------------------------------------------------------------------------------------
 */

static struct redis_batch *batch_of(int commands, bool integers) {
    struct redis_batch *b = redis_batch_new();
    if (integers) redis_batch_integers_only(b);
    for (int i = 1; i < commands; i++) {
        redis_cmd(b, 1);
        redis_arg(b, STR("X"));
    }
    redis_cmd(b, 1);
    redis_arg(b, STR("LAST"));
    return b;
}

static int run(struct fiber *self, struct redis *r, struct redis_batch *b) {
    int err = redis_submit(r, b);
    return err ? err : redis_await(self, r, b);
}

/* ---- replies in pieces ----------------------------------------------------------------------------------
 */

/* Of every kind; a reader of lines must hand over to the general reader and back. */
static const char mixed[] =
    ":1\r\n:-2\r\n+OK\r\n-ERR no\r\n:0\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
    "*2\r\n*1\r\n:7\r\n$0\r\n\r\n:9223372036854775807\r\n:-9223372036854775808\r\n:5\r\n"
    ":1\r\n";
enum { MIXED = 14 };

struct pieces {
    struct peer *peer;
    bool integers;
};

static void check_integers(const int64_t *v) {
    const int64_t no = INT64_MIN;
    const int64_t expected[MIXED] = {1, -2, no, no, 0, no, no, no, no, no, INT64_MAX, INT64_MIN, 5, 1};
    for (int i = 0; i < MIXED; i++) CHECK_INT(v[i], expected[i]);
}

static void check_replies(const struct redis_batch *b) {
    CHECK_INT(redis_batch_reply(b, 1)->integer, -2);
    CHECK_STR(redis_batch_reply(b, 2)->str, "OK");
    CHECK_INT(redis_batch_reply(b, 3)->type, REDIS_ERROR);
    CHECK_STR(redis_batch_reply(b, 3)->str, "ERR no");
    CHECK_STR(redis_batch_reply(b, 5)->str, "a\r\n");
    CHECK_INT(redis_batch_reply(b, 6)->type, REDIS_NIL);
    CHECK_INT(redis_batch_reply(b, 7)->type, REDIS_NIL);
    CHECK_INT(redis_batch_reply(b, 8)->elements, 0);
    CHECK_INT(redis_batch_reply(b, 9)->element[0].element[0].integer, 7);
    CHECK_INT(redis_batch_reply(b, 9)->element[1].str.len, 0);
    CHECK_INT(redis_batch_reply(b, 10)->integer, INT64_MAX);
    CHECK_INT(redis_batch_reply(b, 13)->integer, 1);
}

static void read_pieces(struct fiber *self, void *arg) {
    struct pieces *c = arg;
    struct redis *r = redis_open(fiber_loop(self), c->peer->url, "test", NULL, NULL);
    struct redis_batch *b = batch_of(MIXED, c->integers), *next = batch_of(1, !c->integers);
    struct fault fault;
    start_fiber(self, peer_main, c->peer);
    CHECK_INT(redis_submit(r, b), 0);
    CHECK_INT(redis_submit(r, next), 0);
    if (CHECK_INT(redis_await(self, r, b), 0)) {
        if (c->integers)
            check_integers(redis_batch_integers(b));
        else
            check_replies(b);
        CHECK_INT(redis_batch_check(b, &fault), ERR_REDIS);
        CHECK_STR(str_from(fault.text), "ERR no");
    }
    if (CHECK_INT(redis_await(self, r, next), 0))
        CHECK_INT(c->integers ? redis_batch_reply(next, 0)->integer : redis_batch_integers(next)[0], 42);
    CHECK_STR(str_from(redis_run_id(r)), RUN_ID);
    redis_batch_free(b);
    redis_batch_free(next);
    redis_close(self, r);
    peer_end(self, c->peer);
}

static void replies_may_be_cut_anywhere(void **state) {
    (void)state;
    char script[sizeof mixed + 16];
    snprintf(script, sizeof script, "%s:42\r\n", mixed);
    for (size_t piece = 1; piece < sizeof script; piece += piece < 40 ? 1 : 29) {
        for (int integers = 0; integers <= 1; integers++) {
            struct peer p;
            peer_open(&p);
            p.script = str_from(script);
            p.piece = piece;
            run_in_fiber(read_pieces, &(struct pieces){&p, integers == 1});
            peer_close(&p);
        }
    }
}

/* ---- nonsense -------------------------------------------------------------------------------------------
 */

struct nonsense {
    struct peer *peer;
    bool integers;
    int expected;
};

static void expect_result(struct fiber *self, void *arg) {
    struct nonsense *c = arg;
    struct redis *r = redis_open(fiber_loop(self), c->peer->url, "test", NULL, NULL);
    struct redis_batch *b = batch_of(1, c->integers);
    start_fiber(self, peer_main, c->peer);
    CHECK_INT(run(self, r, b), c->expected);
    redis_batch_free(b);
    redis_close(self, r);
    peer_end(self, c->peer);
}

static void send_nonsense(struct str script, int expected) {
    for (int integers = 0; integers <= 1; integers++) {
        struct peer p;
        peer_open(&p);
        p.script = script;
        run_in_fiber(expect_result, &(struct nonsense){&p, integers == 1, expected});
        peer_close(&p);
    }
}

static void broken_replies_end_the_connection(void **state) {
    (void)state;
    static const char *const broken[] = {
        "hello\r\n", ":abc\r\n", ":\r\n", "\r\n", "*abc\r\n", "$abc\r\n", "$-7\r\n",
        "$99999999999999999999\r\n", "*99999999999999999999\r\n",
        /* an array that would take 48 GB */
        "*1000000000\r\n",
        /* deeper than any reply of Redis */
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        send_nonsense(str_from(broken[i]), ERR_CONNECTION_LOST);
}

static void send_line(size_t len, const char *end, int expected) {
    char *line = malloc(len);
    memset(line, 'e', len);
    line[0] = '-';
    memcpy(line + len - strlen(end), end, strlen(end));
    send_nonsense((struct str){line, len}, expected);
    free(line);
}

static void a_line_longer_than_any_buffer_is_read(void **state) {
    (void)state;
    send_line(300000, "\r\n", 0);
}

static void an_endless_line_ends_the_connection(void **state) {
    (void)state;
    send_line(2000000, "", ERR_CONNECTION_LOST);
}

static void a_reply_too_many_ends_the_connection(struct fiber *self, void *arg) {
    struct peer *p = arg;
    struct redis *r = redis_open(fiber_loop(self), p->url, "test", NULL, NULL);
    struct redis_batch *b = batch_of(1, true);
    start_fiber(self, peer_main, p);
    CHECK_INT(run(self, r, b), 0);
    CHECK_INT(redis_batch_integers(b)[0], 1);
    while (redis_generation(r) < 2) fiber_sleep_ms(self, 1);
    redis_batch_free(b);
    redis_close(self, r);
    peer_end(self, p);
}

static void replies_nobody_asked_for_end_the_connection(void **state) {
    (void)state;
    struct peer p;
    peer_open(&p);
    p.script = STR(":1\r\n:2\r\n");
    run_in_fiber(a_reply_too_many_ends_the_connection, &p);
    peer_close(&p);
}

static void answer_early(struct fiber *self, void *arg) {
    struct peer *p = arg;
    peer_accept(self, p);
    if (peer_read_until(self, p, "test\r\n")) {
        peer_send(self, p, STR(GREETING), p->piece);
        fiber_sleep_ms(self, 20);
        peer_send(self, p, STR(":1\r\n"), p->piece);
        fiber_sleep_ms(self, 20);
    }
    close(p->fd);
    p->fd = -1;
    peer_main(self, p);
}

/* The batch is far larger than the socket's buffer and the peer reads nothing, so when the answer comes most
 * of it is still to be sent from the batch's own memory. */
static void send_to_one_that_answers_early(struct fiber *self, void *arg) {
    struct peer *p = arg;
    struct redis *r = redis_open(fiber_loop(self), p->url, "test", NULL, NULL);
    start_fiber(self, answer_early, p);
    CHECK_INT(redis_wait_ready(self, r), 0);
    size_t len = (size_t)8 * 1024 * 1024;
    char *big = calloc(1, len);
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 2);
    redis_arg(b, STR("X"));
    redis_arg(b, (struct str){big, len});
    CHECK_INT(run(self, r, b), ERR_CONNECTION_LOST);
    redis_batch_free(b);
    free(big);
    redis_close(self, r);
    peer_end(self, p);
}

static void an_answer_before_the_question_ends_the_connection(void **state) {
    (void)state;
    struct peer p;
    peer_open(&p);
    run_in_fiber(send_to_one_that_answers_early, &p);
    peer_close(&p);
}

/* ---- the greeting ---------------------------------------------------------------------------------------
 */

static void become_ready(struct fiber *self, void *arg) {
    struct peer *p = arg;
    struct redis *r = redis_open(fiber_loop(self), p->url, "test", NULL, NULL);
    start_fiber(self, peer_main, p);
    CHECK_INT(redis_wait_ready(self, r), 0);
    CHECK_INT(p->connections, 2);
    CHECK_INT(redis_generation(r), 1);
    CHECK_STR(str_from(redis_run_id(r)), RUN_ID);
    redis_close(self, r);
    peer_end(self, p);
}

static void a_server_that_is_not_ready_is_asked_again(void **state) {
    (void)state;
    static const char *const refusals[] = {
        "$59\r\n# Server\r\nrun_id:" RUN_ID "\r\n\r\n-LOADING Redis is loading the dataset\r\n+OK\r\n",
        "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH no\r\n",
        "$8\r\n# Server\r\n+PONG\r\n+OK\r\n",
        "$22\r\n# Server\r\nrun_id:01234\r\n+PONG\r\n+OK\r\n",
        ":1\r\n:1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct peer p;
        peer_open(&p);
        p.greeting = refusals[i];
        run_in_fiber(become_ready, &p);
        peer_close(&p);
    }
}

static void a_name_that_is_refused_does_not_matter(struct fiber *self, void *arg) {
    struct peer *p = arg;
    struct redis *r = redis_open(fiber_loop(self), p->url, "test", NULL, NULL);
    start_fiber(self, peer_main, p);
    CHECK_INT(redis_wait_ready(self, r), 0);
    CHECK_INT(p->connections, 1);
    redis_close(self, r);
    peer_end(self, p);
}

static void only_the_client_name_may_be_refused(void **state) {
    (void)state;
    struct peer p;
    peer_open(&p);
    p.greeting = "$59\r\n# Server\r\nrun_id:" RUN_ID "\r\n\r\n+PONG\r\n-NOPERM no\r\n";
    run_in_fiber(a_name_that_is_refused_does_not_matter, &p);
    peer_close(&p);
}

static void a_batch_that_was_large_gives_its_memory_back(void **state) {
    enum { LARGE = 9 * 1024 * 1024 };
    struct redis_batch *b = redis_batch_new();
    char *text = test_calloc(LARGE, 1);
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        redis_cmd(b, 1);
        redis_arg(b, (struct str){text, turn == 0 ? 10 : LARGE});
        assert_int_equal(redis_batch_is_small(b), turn == 0);
        redis_batch_reset(b);
        assert_true(redis_batch_is_small(b));
    }
    test_free(text);
    redis_batch_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_may_be_cut_anywhere),
        cmocka_unit_test(broken_replies_end_the_connection),
        cmocka_unit_test(a_line_longer_than_any_buffer_is_read),
        cmocka_unit_test(an_endless_line_ends_the_connection),
        cmocka_unit_test(replies_nobody_asked_for_end_the_connection),
        cmocka_unit_test(an_answer_before_the_question_ends_the_connection),
        cmocka_unit_test(a_server_that_is_not_ready_is_asked_again),
        cmocka_unit_test(only_the_client_name_may_be_refused),
        cmocka_unit_test(a_batch_that_was_large_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
