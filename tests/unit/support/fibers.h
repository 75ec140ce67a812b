/* Tests whose body runs in a fiber.
 *
 * A failed cmocka assertion jumps out of the function, which a fiber may not do (its stack and the client's
 * state would stay behind). So fibers CHECK: the first failure is remembered with its place, and fails the
 * test after the loop has ended by itself.
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_FIBERS_H
#define ROOKERY_TESTS_UNIT_SUPPORT_FIBERS_H

#include "core/async/loop.h"
#include "core/base/str.h"

/* Runs fn(self, arg) on a loop of its own until nothing is left on it, and frees the loop, which asserts that
 * no fiber and no handle was left. Then fails the test if a CHECK failed. */
void run_in_fiber(fiber_fn *fn, void *arg);

/* A row of a cmocka table: a test whose body is fn(self, NULL). */
#define IN_FIBER(fn)                                                                                         \
    { #fn, run_state_in_fiber, NULL, NULL, (void *)(fn) }
void run_state_in_fiber(void **state);

/* Starts another on the same loop; a CHECK fails when it cannot. */
void start_fiber(struct fiber *self, fiber_fn *fn, void *arg);

/* Monotonic ns, ms from now: for deadlines. */
int64_t in_ms(int64_t ms);

#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_INT(actual, expected)                                                                          \
    check_int((int64_t)(actual), (int64_t)(expected), #actual, __FILE__, __LINE__)
#define CHECK_STR(actual, expected) check_str((actual), str_from(expected), #actual, __FILE__, __LINE__)

bool check_that(bool good, const char *text, const char *file, int line);
bool check_int(int64_t actual, int64_t expected, const char *text, const char *file, int line);
bool check_str(struct str actual, struct str expected, const char *text, const char *file, int line);

#endif
