/* A worker's inside, without roles, on PostgreSQL and Redis of the test's own. Runs in a fiber (fibers.h). */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_WORKER_WORLD_H
#define ROOKERY_TESTS_UNIT_SUPPORT_WORKER_WORLD_H

#include "tests/unit/support/gateway_world.h"
#include "workers/roles.h"

struct worker_world {
    struct gateway_world *servers; /* of gateway_world_setup */
    struct worker worker;          /* while a test runs */
};

/* Begins with an empty Redis, an empty outbox and no epoch before; waits until the epoch is known. */
void worker_world_open(struct fiber *self, struct worker_world *w);
/* Stops what the test has started in the worker, too. */
void worker_world_close(struct fiber *self, struct worker_world *w);

/* A test in such a world. before: SQL that PostgreSQL runs first, or NULL. */
struct worker_test {
    struct worker_world w;
    const char *before;
    void (*fn)(struct fiber *self, struct worker_world *w);
};
void worker_test_run(struct fiber *self, void *test);
#define WORKER_TEST(name, sql)                                                                               \
    static void name##_body(struct fiber *self, struct worker_world *w);                                     \
    static void name(void **state) {                                                                         \
        struct worker_test test = {.w.servers = *state, .before = (sql), .fn = name##_body};                 \
        run_in_fiber(worker_test_run, &test);                                                                \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct worker_world *w)

/* An id of that long ago, another one each time. */
int64_t worker_world_id(int64_t ms_ago);
/* By SQL, blocking the loop: runs statements; the first value of the first row. */
void worker_world_do(const struct worker_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t worker_world_number(const struct worker_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits until this condition of SQL is true: a minute at most. */
void worker_world_await(struct fiber *self, const struct worker_world *w, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t worker_world_counter(const struct worker_world *w, const char *name);

#endif
