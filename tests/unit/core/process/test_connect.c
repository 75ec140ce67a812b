/* Connecting, to servers of the test's own: what runs afterwards, what must be there and what may come later, and which
 * sentence says what is wrong. Each connection is undone, which the end of the loop asserts. And what a process says of
 * itself in its metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/process/connect.h"
#include "core/process/usage.h"
#include "tests/unit/support/gateway_world.h"

struct world {
    struct gateway_world *servers;
    void (*fn)(struct fiber *self, struct world *w);
    struct config config; /* borrows its texts */
    struct domain domain;
};

static void in_world(struct fiber *self, void *arg) {
    struct world *w = arg;
    w->config = w->servers->config;
    w->domain = (struct domain){.loop = fiber_loop(self), .config = &w->config};
    w->domain.log = log_new("test", LOG_ERROR + 1, 2); /* its complaints are wanted here */
    w->domain.metrics = metrics_new();
    w->fn(self, w);
    metrics_free(w->domain.metrics);
    log_free(w->domain.log);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct world *w);                                            \
    static void name(void **state) {                                                                         \
        struct world w = {.servers = *state, .fn = name##_body};                                             \
        run_in_fiber(in_world, &w);                                                                          \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct world *w)

static void connects(struct fiber *self, struct world *w) {
    struct fault fault = {0};
    if (!CHECK_INT(domain_connect(self, &w->domain, "test", &fault), 0))
        fprintf(stderr, "# %s\n", fault.text);
}

/* It fails with this error and a sentence that has the text, and can be undone. */
static void refuses(struct fiber *self, struct world *w, int error, const char *text) {
    struct fault fault = {0};
    CHECK_INT(domain_connect(self, &w->domain, "test", &fault), error);
    CHECK_INT(fault.error, error);
    if (!CHECK(strstr(fault.text, text) != NULL)) fprintf(stderr, "# it says: %s\n", fault.text);
    fiber_set_deadline_ns(self, 0);
    domain_disconnect(self, &w->domain);
}

static void await_epoch(struct fiber *self, struct world *w) {
    int64_t give_up = in_ms(60000);
    while (epoch_now(&w->domain) == 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    CHECK(epoch_now(&w->domain) != 0);
}

/* ---- connecting ---------------------------------------------------------------------------------------- */

TEST(a_domain_that_is_connected_works) {
    connects(self, w);
    struct domain *d = &w->domain;
    int64_t id = 0;
    struct fault fault = {0};
    CHECK(pg_ready(d->pg));
    CHECK(redis_ready(d->redis));
    CHECK(d->outbox && d->create_posts);
    CHECK_INT(domain_next_id(d, &id, &fault), 0);
    CHECK(id > 0);
    await_epoch(self, w);
    CHECK_INT(
        postgres_number(&w->servers->postgres,
                        "SELECT least(1, count(*)) FROM pg_stat_activity WHERE application_name = 'test'"),
        1);
    domain_disconnect(self, d);
    CHECK(!d->lease && !d->outbox && !d->create_posts);
}

/* Its node number can be leased again at once. */
TEST(what_is_disconnected_leaves_nothing) {
    connects(self, w);
    CHECK_INT(postgres_number(&w->servers->postgres,
                              "SELECT count(*) FROM node_leases WHERE holder <> '' AND expires_at > now()"),
              1);
    domain_disconnect(self, &w->domain);
    CHECK_INT(postgres_number(&w->servers->postgres,
                              "SELECT count(*) FROM node_leases WHERE holder <> '' AND expires_at > now()"),
              0);
}

TEST(redis_may_come_later) {
    redis_server_kill(&w->servers->redis);
    connects(self, w);
    CHECK(!redis_ready(w->domain.redis));
    redis_server_restart(&w->servers->redis);
    await_epoch(self, w);
    domain_disconnect(self, &w->domain);
}

TEST(a_redis_that_would_lose_events_is_refused) {
    char *evicting[] = {"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", NULL};
    struct redis_server other;
    redis_server_start(&other, evicting);
    w->config.redis_url = other.url;
    refuses(self, w, ERR_FAILED_PRECONDITION, "maxmemory-policy");
    redis_server_remove(&other);
}

TEST(a_redis_url_must_be_one) {
    char nonsense[] = "nonsense";
    w->config.redis_url = nonsense;
    refuses(self, w, ERR_INVALID_ARGUMENT, "REDIS_URL must be redis://HOST:PORT or unix:///PATH");
}

TEST(a_postgres_that_takes_no_writes_is_refused) {
    const struct postgres *p = &w->servers->postgres;
    static const char set[] =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',"
        " current_database()); END $$";
    static const char reset[] = "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET "
                                "default_transaction_read_only',"
                                " current_database()); END $$; COMMIT";
    CHECK(postgres_try(p, set));
    refuses(self, w, ERR_FAILED_PRECONDITION, "default_transaction_read_only is on");
    CHECK(postgres_try(p, reset));
}

TEST(a_postgres_that_is_not_there_is_waited_for_until_the_deadline) {
    char nowhere[] = "postgresql://nobody@/x?host=/nowhere";
    w->config.database_url = nowhere;
    fiber_set_deadline_ns(self, in_ms(200));
    refuses(self, w, ERR_DEADLINE_EXCEEDED, "PostgreSQL cannot be reached: is DATABASE_URL right?");
}

/* ---- usage --------------------------------------------------------------------------------------------- */

/* The value of a series on the page; -1 when it is not there. */
static double shown(struct world *w, const char *series) {
    struct buf page;
    double value = -1;
    size_t n = strlen(series);
    buf_init(&page);
    metrics_write(w->domain.metrics, &page);
    buf_append_char(&page, '\0');
    for (const char *at = page.ptr; (at = strstr(at, series)); at += n)
        if ((at == page.ptr || at[-1] == '\n') && at[n] == ' ') value = strtod(at + n, NULL);
    buf_free(&page);
    return value;
}

TEST(metrics_say_which_servers_are_connected) {
    struct usage *u = usage_new(&w->domain, "1.2.3");
    CHECK(u != NULL);
    CHECK(shown(w, "rookery_build_info{version=\"1.2.3\"}") == 1);
    CHECK(shown(w, "rookery_pg_up") == 0);
    CHECK(shown(w, "rookery_redis_up") == 0);
    connects(self, w);
    CHECK(shown(w, "rookery_pg_up") == 1);
    CHECK(shown(w, "rookery_redis_up") == 1);
    redis_server_kill(&w->servers->redis);
    int64_t give_up = in_ms(60000);
    while (redis_ready(w->domain.redis) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    CHECK(shown(w, "rookery_pg_up") == 1);
    CHECK(shown(w, "rookery_redis_up") == 0);
    redis_server_restart(&w->servers->redis);
    domain_disconnect(self, &w->domain);
    metrics_free(w->domain.metrics);
    usage_free(u);
    w->domain.metrics = metrics_new();
}

TEST(and_what_the_process_uses) {
    enum { MORE = 7, MEGABYTES = 64 };
    int fds[MORE];
    (void)self;
    struct usage *u = usage_new(&w->domain, "1.2.3");
    double before = shown(w, "process_open_fds"), small = shown(w, "process_virtual_memory_bytes");
    for (int i = 0; i < MORE; i++) fds[i] = open("/", O_RDONLY | O_CLOEXEC);
    char *memory = malloc(MEGABYTES << 20);
    CHECK(memory != NULL);
    CHECK(before > 2);
    CHECK_INT(shown(w, "process_open_fds") - before, MORE);
    CHECK(shown(w, "process_max_fds") > before);
    CHECK(shown(w, "process_virtual_memory_bytes") - small >= MEGABYTES << 20);
    CHECK(shown(w, "process_resident_memory_bytes") > 1 << 20);
    CHECK(shown(w, "process_resident_memory_bytes") < shown(w, "process_virtual_memory_bytes"));
    CHECK(shown(w, "process_cpu_seconds_total") > 0);
    double age_s = (double)clock_wall_ms() / 1e3 - shown(w, "process_start_time_seconds");
    CHECK(age_s >= -1 && age_s < 86400);
    free(memory);
    for (int i = 0; i < MORE; i++) close(fds[i]);
    metrics_free(w->domain.metrics);
    usage_free(u);
    w->domain.metrics = metrics_new();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_that_is_connected_works),
        cmocka_unit_test(what_is_disconnected_leaves_nothing),
        cmocka_unit_test(redis_may_come_later),
        cmocka_unit_test(a_redis_that_would_lose_events_is_refused),
        cmocka_unit_test(a_redis_url_must_be_one),
        cmocka_unit_test(a_postgres_that_takes_no_writes_is_refused),
        cmocka_unit_test(a_postgres_that_is_not_there_is_waited_for_until_the_deadline),
        cmocka_unit_test(metrics_say_which_servers_are_connected),
        cmocka_unit_test(and_what_the_process_uses),
    };
    return cmocka_run_group_tests_name("connect", tests, gateway_world_setup, gateway_world_teardown);
}
