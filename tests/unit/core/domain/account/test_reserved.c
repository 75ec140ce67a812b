/* Handles nobody may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/domain/account/account.h"

static void the_names_of_the_operator_and_of_pages_are_reserved(void **state) {
    (void)state;
    assert_true(account_handle_is_reserved(STR("admin")));
    assert_true(account_handle_is_reserved(STR("about")));
    assert_true(account_handle_is_reserved(STR("undefined")));
}

static void names_that_only_begin_like_these_are_not(void **state) {
    (void)state;
    assert_false(account_handle_is_reserved(STR("ada")));
    assert_false(account_handle_is_reserved(STR("admin2")));
    assert_false(account_handle_is_reserved(STR("adm")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_names_of_the_operator_and_of_pages_are_reserved),
        cmocka_unit_test(names_that_only_begin_like_these_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
