/* Page tokens: they survive the round trip and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/id/page_token.h"

static const unsigned char key[PAGE_TOKEN_KEY_BYTES] = "0123456789abcde";

static int set_up(void **state) {
    static struct arena a;
    arena_init(&a, 0);
    *state = &a;
    return 0;
}

static int tear_down(void **state) {
    arena_free(*state);
    return 0;
}

static void gives_back_what_was_put_in(void **state) {
    static const struct page_position positions[] = {
        {0, 0, 0, 0}, {7, 1, 2, 3}, {-1, INT64_MIN, INT64_MAX, -1}, {INT64_MAX, -2, 0, INT64_C(1) << 40}};
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        struct page_position out;
        const char *token = page_token_encode(*state, key, &positions[i]);
        assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         strlen(token));
        assert_int_equal(page_token_decode(key, str_from(token), positions[i].list, &out, NULL), ERR_OK);
        assert_memory_equal(&out, &positions[i], sizeof(out));
    }
}

static void is_the_same_for_the_same_position(void **state) {
    struct page_position p = {7, 1, 2, 3};
    assert_string_equal(page_token_encode(*state, key, &p), page_token_encode(*state, key, &p));
}

static void assert_refused(const unsigned char *with, struct str token, int64_t list) {
    struct page_position out = {-1, -1, -1, -1};
    struct fault f;
    assert_int_equal(page_token_decode(with, token, list, &out, &f), ERR_INVALID_ARGUMENT);
    assert_string_equal(f.field, "page_token");
    assert_memory_equal(f.text, "page_token", 10);
    assert_int_equal(out.a, -1);
}

static void refuses_a_token_of_another_list(void **state) {
    struct page_position p = {7, 1, 2, 3};
    struct str token = str_from(page_token_encode(*state, key, &p));
    assert_refused(key, token, 8);
    assert_refused(key, token, -7);
    assert_refused((const unsigned char *)"0123456789abcdf", token, 7);
}

static void refuses_a_token_with_any_character_changed(void **state) {
    struct page_position p = {7, 1, 2, 3};
    char *token = page_token_encode(*state, key, &p);
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        char was = token[i];
        for (const char *c = "ABab09-_+/=%"; *c; c++) {
            if (*c == was) continue;
            token[i] = *c;
            assert_refused(key, (struct str){token, len}, 7);
        }
        token[i] = was;
    }
}

static void refuses_what_never_was_a_token(void **state) {
    struct page_position p = {7, 1, 2, 3};
    char *token = page_token_encode(*state, key, &p);
    size_t len = strlen(token);
    for (size_t cut = 0; cut < len; cut++) assert_refused(key, (struct str){token, cut}, 7);
    assert_refused(key, (struct str){NULL, 0}, 7);
    assert_refused(key, STR("2"), 7);
    assert_refused(key, str_from(arena_printf(*state, "%s=", token)), 7);
    assert_refused(key, str_from(arena_printf(*state, "%s%s", token, token)), 7);
    char zeros[44];
    memset(zeros, 'A', sizeof(zeros));
    assert_refused(key, (struct str){zeros, sizeof(zeros)}, 7);
}

static void reads_page_sizes(void **state) {
    (void)state;
    int size = -1;
    struct fault f;
    assert_int_equal(page_size_check(0, &size, &f), ERR_OK);
    assert_int_equal(size, 20);
    assert_int_equal(page_size_check(1, &size, &f), ERR_OK);
    assert_int_equal(size, 1);
    assert_int_equal(page_size_check(100, &size, &f), ERR_OK);
    assert_int_equal(size, 100);
    assert_int_equal(page_size_check(101, &size, &f), ERR_INVALID_ARGUMENT);
    assert_string_equal(f.field, "page_size");
    assert_string_equal(f.text, "page_size must be 0 to 100, this is 101");
    assert_int_equal(page_size_check(-1, &size, &f), ERR_INVALID_ARGUMENT);
    assert_int_equal(page_size_check(INT64_MIN, &size, &f), ERR_INVALID_ARGUMENT);
    assert_int_equal(size, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_in),
        cmocka_unit_test(is_the_same_for_the_same_position),
        cmocka_unit_test(refuses_a_token_of_another_list),
        cmocka_unit_test(refuses_a_token_with_any_character_changed),
        cmocka_unit_test(refuses_what_never_was_a_token),
        cmocka_unit_test(reads_page_sizes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
