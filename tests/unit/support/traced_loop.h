/* A loop for each test, and a trace of what happened on it. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_TRACED_LOOP_H
#define ROOKERY_TESTS_UNIT_SUPPORT_TRACED_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/async/loop.h"

/* What happened, in order: one letter each. */
struct trace {
    char text[256];
    size_t len;
};

static inline void trace(struct trace *t, char c) {
    if (t->len < sizeof t->text - 1) t->text[t->len++] = c;
}

struct fixture {
    struct loop *loop;
    struct trace trace;
};

static inline int traced_loop_setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->loop = loop_new(NULL);
    *state = f;
    return f->loop ? 0 : -1;
}

static inline int traced_loop_teardown(void **state) {
    struct fixture *f = *state;
    loop_free(f->loop);
    free(f);
    return 0;
}

/* A row of a cmocka table: *state is the struct fixture. */
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, traced_loop_setup, traced_loop_teardown)

#endif
