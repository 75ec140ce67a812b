/* The coroutine switch by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/async/fiber.h"

struct ping {
    struct coroutine *c;
    int steps, turns;
};

static void count_steps(void *arg) {
    struct ping *p = arg;
    for (int i = 0; i < p->turns; i++) {
        p->steps++;
        coroutine_yield(p->c);
    }
}

static void yields_back_and_goes_on_where_it_stopped(void **state) {
    (void)state;
    struct coroutine_pool *pool = coroutine_pool_new(4);
    struct ping p = {.turns = 3};
    p.c = coroutine_new(pool, count_steps, &p);
    for (int i = 1; i <= 3; i++) {
        assert_false(coroutine_enter(p.c));
        assert_int_equal(p.steps, i);
    }
    assert_true(coroutine_enter(p.c));
    coroutine_pool_free(pool);
}

static void does_not_run_before_the_first_enter(void **state) {
    (void)state;
    struct coroutine_pool *pool = coroutine_pool_new(4);
    struct ping p = {.turns = 0};
    p.c = coroutine_new(pool, count_steps, &p);
    assert_int_equal(p.steps, 0);
    assert_true(coroutine_enter(p.c));
    coroutine_pool_free(pool);
}

static void reuses_the_stack_of_one_that_returned(void **state) {
    (void)state;
    struct coroutine_pool *pool = coroutine_pool_new(1);
    struct ping p = {.turns = 1};
    struct coroutine *first = p.c = coroutine_new(pool, count_steps, &p);
    while (!coroutine_enter(p.c)) continue;
    p.c = coroutine_new(pool, count_steps, &p);
    assert_ptr_equal(p.c, first);
    while (!coroutine_enter(p.c)) continue;
    assert_int_equal(p.steps, 2);
    coroutine_pool_free(pool);
}

struct nest {
    struct coroutine *c;
    int depth;
    uint64_t sum;
};

/* Fills frames with values that must survive the switches of others. */
static uint64_t dig(struct nest *n, int depth) {
    volatile uint64_t local[16];
    for (uint64_t i = 0; i < 16; i++) local[i] = (uint64_t)depth * 31 + i;
    coroutine_yield(n->c);
    uint64_t below = depth > 0 ? dig(n, depth - 1) : 0;
    uint64_t sum = 0;
    for (int i = 0; i < 16; i++) sum += local[i];
    return sum + below;
}

static void run_dig(void *arg) {
    struct nest *n = arg;
    n->sum = dig(n, n->depth);
}

static void stacks_are_separate(void **state) {
    (void)state;
    enum { N = 200, DEPTH = 20 };
    struct coroutine_pool *pool = coroutine_pool_new(50);
    struct nest *nests = calloc(N, sizeof *nests);
    for (int i = 0; i < N; i++) {
        nests[i].depth = DEPTH;
        nests[i].c = coroutine_new(pool, run_dig, &nests[i]);
        assert_non_null(nests[i].c);
    }
    for (int turn = 0; turn <= DEPTH; turn++)
        for (int i = 0; i < N; i++) assert_false(coroutine_enter(nests[i].c));
    uint64_t expected = 0;
    for (uint64_t d = 0; d <= DEPTH; d++) expected += 16 * d * 31 + 120;
    for (int i = 0; i < N; i++) {
        assert_true(coroutine_enter(nests[i].c));
        assert_int_equal(nests[i].sum, expected);
    }
    free(nests);
    coroutine_pool_free(pool);
}

static void make_another(void *arg) {
    void **in = arg;
    in[1] = coroutine_new(in[0], count_steps, in[2]);
}

static void a_coroutine_may_make_another(void **state) {
    (void)state;
    struct coroutine_pool *pool = coroutine_pool_new(4);
    struct ping p = {.turns = 1};
    void *in[] = {pool, NULL, &p};
    assert_true(coroutine_enter(coroutine_new(pool, make_another, in)));
    p.c = in[1];
    assert_false(coroutine_enter(p.c));
    assert_true(coroutine_enter(p.c));
    assert_int_equal(p.steps, 1);
    coroutine_pool_free(pool);
}

static int use_stack(volatile char *above, int left) {
    volatile char page[4096];
    page[0] = *above;
    return left > 0 ? use_stack(page, left - 1) + page[0] : page[0];
}

static void run_use_stack(void *arg) {
    volatile char c = 0;
    *(int *)arg = use_stack(&c, *(int *)arg);
}

static int status_of_stack_use(int pages) {
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(3);
        struct coroutine_pool *pool = coroutine_pool_new(1);
        coroutine_enter(coroutine_new(pool, run_use_stack, &pages));
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

static void an_overflowing_stack_dies_at_the_guard_page(void **state) {
    (void)state;
    assert_int_equal(status_of_stack_use(10), 0);
    assert_int_not_equal(status_of_stack_use(100), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yields_back_and_goes_on_where_it_stopped),
        cmocka_unit_test(does_not_run_before_the_first_enter),
        cmocka_unit_test(reuses_the_stack_of_one_that_returned),
        cmocka_unit_test(stacks_are_separate),
        cmocka_unit_test(a_coroutine_may_make_another),
        cmocka_unit_test(an_overflowing_stack_dies_at_the_guard_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
