/* A worker's inside, for tests. */
#include "tests/unit/support/worker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/id/snowflake.h"
#include "core/process/connect.h"

#define PATIENCE_MS 60000

__attribute__((format(printf, 2, 0))) static void sql_of(char sql[static 1024], const char *format,
                                                         va_list args) {
    int n = vsnprintf(sql, 1024, format, args);
    CHECK(n > 0 && n < 1024);
}

void worker_world_do(const struct worker_world *w, const char *format, ...) {
    char sql[1024];
    va_list args;
    va_start(args, format);
    sql_of(sql, format, args);
    va_end(args);
    CHECK(postgres_try(&w->servers->postgres, sql));
}

int64_t worker_world_number(const struct worker_world *w, const char *format, ...) {
    char sql[1024];
    va_list args;
    va_start(args, format);
    sql_of(sql, format, args);
    va_end(args);
    return postgres_number(&w->servers->postgres, sql);
}

void worker_world_await(struct fiber *self, const struct worker_world *w, const char *format, ...) {
    char condition[1024];
    va_list args;
    va_start(args, format);
    sql_of(condition, format, args);
    va_end(args);
    int64_t give_up = in_ms(PATIENCE_MS);
    bool good = false;
    while (!good && clock_mono_ns() < give_up) {
        good = worker_world_number(w, "SELECT (%s)::int", condition) == 1;
        if (!good) fiber_sleep_ms(self, 20);
    }
    if (!CHECK(good)) fprintf(stderr, "# in vain: %s\n", condition);
}

uint64_t worker_world_counter(const struct worker_world *w, const char *name) {
    return metrics_counter(w->worker.domain.metrics, name, "", "")->value;
}

void worker_world_open(struct fiber *self, struct worker_world *w) {
    struct domain *d = &w->worker.domain;
    struct fault fault = {0};
    int64_t give_up = in_ms(PATIENCE_MS);
    redis_server_kill(&w->servers->redis);
    redis_server_restart(&w->servers->redis);
    worker_world_do(w, "TRUNCATE outbox, redis_epochs, role_leases");
    *d = (struct domain){.loop = fiber_loop(self), .config = &w->servers->config};
    d->log = log_new("test", LOG_ERROR, 2);
    d->metrics = metrics_new();
    w->worker.consumer = "me";
    w->worker.stopping = false;
    role_table_set(ROLES);
    if (!CHECK_INT(domain_connect(self, d, "test", &fault), 0)) fprintf(stderr, "# %s\n", fault.text);
    while (epoch_now(d) == 0 && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    CHECK(epoch_now(d) != 0);
    CHECK_INT(runtime_start(&w->worker, ROLES, 0), 0);
}

void worker_world_close(struct fiber *self, struct worker_world *w) {
    runtime_stop(self, &w->worker);
    domain_disconnect(self, &w->worker.domain);
    metrics_free(w->worker.domain.metrics);
    log_free(w->worker.domain.log);
}

void worker_test_run(struct fiber *self, void *arg) {
    struct worker_test *test = arg;
    if (test->before) CHECK(postgres_try(&test->w.servers->postgres, test->before));
    worker_world_open(self, &test->w);
    test->fn(self, &test->w);
    worker_world_close(self, &test->w);
}

int64_t worker_world_id(int64_t ms_ago) {
    static int64_t number;
    return snowflake_floor(clock_wall_ms() - ms_ago) + number++ % 4096;
}
