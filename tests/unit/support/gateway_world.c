/* A gateway's inside, for tests. */
#include "tests/unit/support/gateway_world.h"
#include "core/process/connect.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/id/snowflake.h"
#include "core/id/token.h"
#include "core/store/migrate/migrate.h"
#include "gateway/hub/hub.h"
#include "gateway/parts.h"

#define PATIENCE_MS 30000

int gateway_world_setup(void **state) {
    static char database[600], redis[600];
    struct gateway_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_true(token_init());
    postgres_start(&w->postgres);
    redis_server_start(&w->redis, NULL);
    snprintf(database, sizeof database, "DATABASE_URL=%s", w->postgres.url);
    snprintf(redis, sizeof redis, "REDIS_URL=%s", w->redis.url);
    char *const environment[] = {database, redis, NULL};
    char wrong[512] = "";
    if (!config_load(&w->config, environment, wrong, sizeof wrong)) fail_msg("%s", wrong);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    int e = migrate_run(w->postgres.url, (int)w->config.partitions, nowhere, wrong, sizeof wrong);
    fclose(nowhere);
    if (e != 0) fail_msg("%s", wrong);
    *state = w;
    return 0;
}

int gateway_world_teardown(void **state) {
    struct gateway_world *w = *state;
    config_free(&w->config);
    redis_server_remove(&w->redis);
    postgres_remove(&w->postgres);
    free(w);
    return 0;
}

static bool settled(const struct gateway *g) {
    return epoch_now(&g->domain) != 0 && hub_fresh(g->hub);
}

void gateway_world_open(struct fiber *self, struct gateway_world *w) {
    struct gateway *g = &w->gateway;
    struct domain *d = &g->domain;
    struct fault fault = {0};
    *g = (struct gateway){.domain = {.loop = fiber_loop(self), .config = &w->config}};
    struct pg_options pg = {
        .url = w->postgres.url, .connections = 4, .pipeline = 16, .application_name = "test"};
    d->log = log_new("test", LOG_ERROR, 2);
    d->metrics = metrics_new();
    d->pg = pg_open(d->loop, &pg, d->log, d->metrics);
    d->redis = redis_open(d->loop, w->redis.url, "test", d->log, d->metrics);
    CHECK_INT(pg_wait_ready(self, d->pg), 0);
    CHECK_INT(redis_wait_ready(self, d->redis), 0);
    CHECK_INT(domain_start(self, d, &fault), 0);
    gateway_open(g);
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (!settled(g) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 10);
    CHECK(settled(g));
}

void gateway_world_close(struct fiber *self, struct gateway_world *w) {
    struct domain *d = &w->gateway.domain;
    gateway_close(self, &w->gateway);
    domain_stop(self, d);
    redis_close(self, d->redis);
    pg_close(self, d->pg, 1000);
    metrics_free(d->metrics);
    log_free(d->log);
}

void gateway_world_accounts(struct gateway_world *w, int64_t first, int64_t n) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO accounts (id, handle, display_name, password_hash) SELECT i, 'a' || i, 'A', '-'"
             " FROM generate_series(%" PRId64 ", %" PRId64 ") i;"
             "INSERT INTO account_stats (account_id) SELECT generate_series(%" PRId64 ", %" PRId64 ")",
             first, first + n - 1, first, first + n - 1);
    CHECK(postgres_try(&w->postgres, sql));
}

int64_t gateway_world_post(struct gateway_world *w, int64_t author, int64_t age_ms, const char *text) {
    static int64_t sequence;
    char sql[512];
    int64_t id = snowflake_floor(clock_wall_ms() - age_ms) + sequence++ % 1000;
    snprintf(sql, sizeof sql,
             "INSERT INTO posts (id, author_id, text, thread_id) VALUES (%" PRId64 ", %" PRId64
             ", '%s', %" PRId64 ")",
             id, author, text, id);
    CHECK(postgres_try(&w->postgres, sql));
    return id;
}
