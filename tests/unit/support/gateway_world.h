/* What a gateway is made of, without its server, on PostgreSQL and Redis of the test's own: for tests of the read path
 * and the domain that must see inside. Runs in a fiber (fibers.h). */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_GATEWAY_WORLD_H
#define ROOKERY_TESTS_UNIT_SUPPORT_GATEWAY_WORLD_H

#include "gateway/gateway.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/redis_server.h"

struct gateway_world {
    struct postgres postgres;
    struct redis_server redis;
    struct config config;
    struct gateway gateway; /* while a test runs */
};

/* cmocka group fixtures: *state is the struct gateway_world, its servers running and its database migrated. */
int gateway_world_setup(void **state);
int gateway_world_teardown(void **state);

/* Opens the gateway in the fiber, and waits until its hub is fresh and its epoch known. */
void gateway_world_open(struct fiber *self, struct gateway_world *w);
void gateway_world_close(struct fiber *self, struct gateway_world *w);

/* Accounts with ids first .. first + n - 1, by SQL. */
void gateway_world_accounts(struct gateway_world *w, int64_t first, int64_t n);
/* A post made age_ms ago, by SQL: its id. */
int64_t gateway_world_post(struct gateway_world *w, int64_t author, int64_t age_ms, const char *text);

#endif
