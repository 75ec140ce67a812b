/* Opening a Redis client: URLs that are none, servers that are absent or refuse, credentials, what is counted. */
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
#include "core/store/redis/redis.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/redis_server.h"

static void open_bad_urls(struct fiber *self, void *arg) {
    static const char *const bad[] = {"",
                                      "localhost",
                                      "http://localhost:6379",
                                      "redis://",
                                      "redis://:6379",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:12a",
                                      "redis://h:6379/x",
                                      "redis://h:6379/-1",
                                      "redis://user@h:6379",
                                      "redis://[::1",
                                      "redis://[::1]6379x",
                                      "unix://",
                                      "unix:///",
                                      "unix://relative/path"};
    char too_long[300] = "unix:///";
    (void)arg;
    memset(too_long + 8, 'x', sizeof too_long - 9);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct redis *r = redis_open(fiber_loop(self), bad[i], "test", NULL, NULL);
        if (!CHECK(r == NULL)) fprintf(stderr, "# %s\n", bad[i]);
        redis_close(self, r);
    }
    CHECK(redis_open(fiber_loop(self), too_long, "test", NULL, NULL) == NULL);
}

static void a_bad_url_is_refused(void **state) {
    (void)state;
    run_in_fiber(open_bad_urls, NULL);
}

struct visit {
    char url[512];
    int expected;
};

static void visit(struct fiber *self, void *arg) {
    struct visit *v = arg;
    struct redis *r = redis_open(fiber_loop(self), v->url, "test", NULL, NULL);
    if (!CHECK(r != NULL)) return;
    if (v->expected == 0) CHECK_INT(redis_wait_ready(self, r), 0); /* a call waits for a second only */
    if (!CHECK_INT(redis_call(self, r, NULL, "SET {test}k v"), v->expected))
        fprintf(stderr, "# %s\n", v->url);
    CHECK_INT(redis_generation(r), v->expected == 0);
    CHECK_INT(strlen(redis_run_id(r)), v->expected == 0 ? 40 : 0);
    redis_close(self, r);
}

/* All at once, since each failure takes a second. */
static void visit_all(struct fiber *self, void *arg) {
    for (struct visit *v = arg; v->url[0]; v++) start_fiber(self, visit, v);
}

/* Nobody listens there; the name never resolves. */
static void an_absent_server_is_unavailable(void **state) {
    struct visit visits[] = {{"unix:///nonexistent/redis.sock", ERR_UNAVAILABLE},
                             {"redis://127.0.0.1:1", ERR_UNAVAILABLE},
                             {"redis://[::1]:1/3", ERR_UNAVAILABLE},
                             {"redis://name.invalid:6379", ERR_UNAVAILABLE},
                             {"", 0}};
    (void)state;
    run_in_fiber(visit_all, visits);
}

static void password_and_database_come_from_the_url(void **state) {
    (void)state;
    if (getenv("ROOKERY_TEST_REDIS_URL")) skip();
    static const struct {
        const char *credentials, *database;
        bool good;
    } cases[] = {{":p@ss:word@", "/3", true},
                 {"default:p@ss:word@", "", true},
                 {":wrong@", "", false},
                 {"", "", false},
                 {":p@ss:word@", "/99", false}};
    struct redis_server s;
    struct visit visits[6] = {{"", 0}};
    char port[8];
    snprintf(port, sizeof port, "%d", 20000 + (int)(random_u64() % 20000));
    redis_server_start(&s,
                       (char *[]){"--requirepass", "p@ss:word", "--port", port, "--bind", "127.0.0.1", NULL});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        visits[i].expected = cases[i].good ? 0 : ERR_UNAVAILABLE;
        snprintf(visits[i].url, sizeof visits[i].url, "redis://%s127.0.0.1:%s%s", cases[i].credentials, port,
                 cases[i].database);
    }
    run_in_fiber(visit_all, visits);
    redis_server_remove(&s);
}

static void count_with_metrics(struct fiber *self, void *arg) {
    struct metrics *m = metrics_new();
    struct redis *r = redis_open(fiber_loop(self), ((struct redis_server *)arg)->url, "shared", NULL, m);
    struct buf page;
    buf_init(&page);
    CHECK_INT(redis_wait_ready(self, r), 0);
    for (int i = 0; i < 7; i++) CHECK_INT(redis_call(self, r, NULL, "PING"), 0);
    metrics_write(m, &page);
    buf_append_char(&page, '\0');
    CHECK(strstr(page.ptr, "rookery_redis_commands_total{connection=\"shared\"} 10") !=
          NULL); /* 3 of greeting */
    CHECK(strstr(page.ptr, "rookery_redis_batch_seconds_count{connection=\"shared\"} 8") != NULL);
    CHECK(strstr(page.ptr, "rookery_redis_reconnects_total{connection=\"shared\"} 0") != NULL);
    CHECK(strstr(page.ptr, "rookery_redis_unsent_bytes{connection=\"shared\"} 0") != NULL);
    redis_close(self, r);
    buf_free(&page);
    metrics_free(m);
}

static void commands_and_latency_are_counted(void **state) {
    run_in_fiber(count_with_metrics, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_url_is_refused),
        cmocka_unit_test(an_absent_server_is_unavailable),
        cmocka_unit_test(password_and_database_come_from_the_url),
        cmocka_unit_test(commands_and_latency_are_counted),
    };
    return cmocka_run_group_tests(tests, redis_server_setup, redis_server_teardown);
}
