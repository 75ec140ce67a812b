/* Tests whose body runs in a fiber. */
#include "tests/unit/support/fibers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/base/clock.h"

/* The first CHECK that failed in the test that runs; "" for none. */
static char failure[512];

bool check_that(bool good, const char *text, const char *file, int line) {
    if (good) return true;
    fprintf(stderr, "# %s:%d: %s\n", file, line, text); /* now, in case what follows crashes */
    if (!*failure) snprintf(failure, sizeof failure, "%s:%d: %s", file, line, text);
    return false;
}

bool check_int(int64_t actual, int64_t expected, const char *text, const char *file, int line) {
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s is %lld, not %lld", text, (long long)actual, (long long)expected);
    return check_that(actual == expected, sentence, file, line);
}

bool check_str(struct str actual, struct str expected, const char *text, const char *file, int line) {
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s is \"" STR_FMT "\", not \"" STR_FMT "\"", text, STR_ARG(actual),
             STR_ARG(expected));
    return check_that(str_eq(actual, expected), sentence, file, line);
}

void run_in_fiber(fiber_fn *fn, void *arg) {
    *failure = '\0';
    struct loop *l = loop_new(NULL);
    assert_non_null(l);
    assert_int_equal(fiber_spawn(l, NULL, fn, arg, NULL), 0);
    loop_run(l);
    loop_free(l);
    if (*failure) fail_msg("%s", failure);
}

void run_state_in_fiber(void **state) {
    run_in_fiber((fiber_fn *)*state, NULL);
}

void start_fiber(struct fiber *self, fiber_fn *fn, void *arg) {
    CHECK_INT(fiber_spawn(fiber_loop(self), NULL, fn, arg, NULL), 0);
}

int64_t in_ms(int64_t ms) {
    return clock_mono_ns() + ms * NS_PER_MS;
}
