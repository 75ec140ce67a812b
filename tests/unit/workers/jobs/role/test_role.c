/* The jobs role: what SQL and people are given to read is UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/arena.h"
#include "workers/jobs/role/role.h"

#define GONE "\xEF\xBF\xBD"

static void bytes_that_are_no_character_are_replaced_and_the_others_kept(void **state) {
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA6z", "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA6z"},
        {"a\xFF\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA6z", "a" GONE "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA6z"},
        {"cut \xC3", "cut " GONE},
        {"cut \xE2\x82", "cut " GONE GONE},
        {"cut \xF0\x9F\x90", "cut " GONE GONE GONE},
        {"\xC3z", GONE "z"},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(str_eq(role_clean_text(&a, cases[i].text), str_from(cases[i].clean)));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_character_are_replaced_and_the_others_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
