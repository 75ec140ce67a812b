/* Arenas: alignment, limits, reuse, clean-ups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"

static void gives_aligned_memory_that_does_not_overlap(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    unsigned char *p[300];
    for (size_t i = 0; i < 300; i++) {
        p[i] = arena_alloc(&a, i * 7);
        assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
        memset(p[i], (int)(i & 0xFF), i * 7);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < i * 7; k++) assert_int_equal(p[i][k], i & 0xFF);
    }
    arena_free(&a);
}

static void gives_a_pointer_of_its_own_for_nothing(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    void *first = arena_alloc(&a, 0), *second = arena_alloc(&a, 0);
    assert_non_null(first);
    assert_ptr_not_equal(first, second);
    arena_free(&a);
}

static void keeps_the_head_in_use_beside_a_big_allocation(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    char *before = arena_alloc(&a, 16);
    char *big = arena_alloc(&a, 1000000);
    char *after = arena_alloc(&a, 16);
    memset(big, 1, 1000000);
    assert_in_range(after - before, 16, 256); /* from the same block */
    arena_free(&a);
}

static void refuses_to_pass_the_limit_only_in_the_try_form(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_try_alloc(&a, 900));
    assert_null(arena_try_alloc(&a, 200));
    assert_non_null(arena_try_alloc(&a, 50)); /* still usable */
    assert_non_null(arena_alloc(&a, 2000));   /* the program's own sizes are not refused */
    assert_null(arena_try_alloc(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_try_alloc(&a, 900));
    arena_free(&a);
    assert_null(arena_try_alloc(&a, 1001)); /* the limit outlives the memory */
    assert_non_null(arena_try_alloc(&a, 900));
    arena_free(&a);
}

static void refuses_sizes_that_wrap_round(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_null(arena_try_alloc(&a, SIZE_MAX));
    assert_null(arena_try_alloc(&a, SIZE_MAX - 15));
    assert_null(arena_try_alloc(&a, SIZE_MAX / 2 + 2));
    assert_int_equal(a.used, 0);
    arena_free(&a);
}

static void counts_what_it_handed_out(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    arena_alloc(&a, 100);
    assert_in_range(a.used, 100, 100 + _Alignof(max_align_t));
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    arena_free(&a);
}

/* After a few rounds of like work one block holds it all: the last allocation is behind the first, in both
 * rounds. */
static void reuses_its_memory_after_a_reset(void **state) {
    (void)state;
    struct arena a;
    enum { ROUNDS = 6, PIECES = 100 };
    char *first[ROUNDS], *last[ROUNDS];
    arena_init(&a, 0);
    for (int round = 0; round < ROUNDS; round++) {
        first[round] = arena_alloc(&a, 100);
        for (int i = 0; i < PIECES; i++) last[round] = arena_alloc(&a, 100);
        arena_reset(&a);
    }
    assert_ptr_equal(first[ROUNDS - 2], first[ROUNDS - 1]);
    assert_ptr_equal(last[ROUNDS - 2], last[ROUNDS - 1]);
    assert_in_range(last[ROUNDS - 1] - first[ROUNDS - 1], PIECES * 100, PIECES * 128);
    arena_free(&a);
}

static void keeps_no_big_block_after_a_reset(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    arena_alloc(&a, 10 << 20);
    arena_reset(&a);
    assert_null(a.head);
    arena_free(&a);
}

static void zeroes_what_is_asked_zeroed(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    memset(arena_alloc(&a, 2000), 0xFF, 2000);
    arena_reset(&a);
    const char *p = arena_calloc(&a, 100, 20);
    for (int i = 0; i < 2000; i++) assert_int_equal(p[i], 0);
    arena_free(&a);
}

static void copies_texts(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_string_equal(arena_strdup(&a, "whole"), "whole");
    assert_string_equal(arena_strndup(&a, "whole", 2), "wh");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_memory_equal(arena_memdup(&a, "a\0b", 3), "a\0b", 3);
    assert_string_equal(arena_printf(&a, "%d %s", 7, "of nine"), "7 of nine");
    assert_int_equal(strlen(arena_printf(&a, "%10000d", 1)), 10000);
    arena_free(&a);
}

static char order[8];
static void note(void *ptr) {
    strcat(order, ptr);
}

static void runs_cleanups_newest_first_and_once(void **state) {
    (void)state;
    struct arena a;
    order[0] = '\0';
    arena_init(&a, 1);
    arena_on_reset(&a, note, "1");
    arena_on_reset(&a, note, "2");
    arena_reset(&a);
    assert_string_equal(order, "21");
    arena_on_reset(&a, note, "3");
    arena_free(&a);
    arena_free(&a);
    assert_string_equal(order, "213");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(gives_a_pointer_of_its_own_for_nothing),
        cmocka_unit_test(keeps_the_head_in_use_beside_a_big_allocation),
        cmocka_unit_test(refuses_to_pass_the_limit_only_in_the_try_form),
        cmocka_unit_test(refuses_sizes_that_wrap_round),
        cmocka_unit_test(counts_what_it_handed_out),
        cmocka_unit_test(reuses_its_memory_after_a_reset),
        cmocka_unit_test(keeps_no_big_block_after_a_reset),
        cmocka_unit_test(zeroes_what_is_asked_zeroed),
        cmocka_unit_test(copies_texts),
        cmocka_unit_test(runs_cleanups_newest_first_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
