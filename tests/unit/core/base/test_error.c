/* The error table, and faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/base/str.h"

static void names_every_error(void **state) {
    (void)state;
    assert_string_equal(error_name(ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(error_name(ERR_CONNECTION_LOST), "CONNECTION_LOST");
    assert_string_equal(error_text(ERR_OK), "ok");
    assert_string_equal(error_name((enum error)31), "?");
    assert_string_equal(error_name((enum error) - 7), "?");
    assert_int_equal(error_grpc_status((enum error)31), 2);
    assert_false(error_retryable((enum error)31));
}

/* gRPC's own codes keep their number; the program's inner ones map onto one of them. */
static void gives_each_error_a_status_of_grpc(void **state) {
    (void)state;
#define X(name, number, grpc, retryable, text)                                                               \
    assert_int_equal(error_grpc_status(ERR_##name), number <= 16 ? number : grpc);                           \
    assert_in_range(error_grpc_status(ERR_##name), 0, 16);                                                   \
    assert_int_equal(error_retryable(ERR_##name), retryable);
    ERROR_TABLE(X)
#undef X
    assert_int_equal(error_grpc_status(ERR_OVERLOADED), 8);
    assert_true(error_retryable(ERR_UNAVAILABLE));
    assert_false(error_retryable(ERR_INVALID_ARGUMENT));
}

static void fills_a_fault_and_returns_its_error(void **state) {
    (void)state;
    struct fault f = {.field = "old", .retry_after_ms = 5};
    assert_int_equal(fault_set(&f, ERR_NOT_FOUND, "no post %d", 7), ERR_NOT_FOUND);
    assert_int_equal(f.error, ERR_NOT_FOUND);
    assert_string_equal(f.field, "");
    assert_string_equal(f.text, "no post 7");
    assert_int_equal(f.retry_after_ms, 0);
    assert_int_equal(fault_field(&f, ERR_INVALID_ARGUMENT, "page.size", "%s", "too big"),
                     ERR_INVALID_ARGUMENT);
    assert_string_equal(f.field, "page.size");
    assert_string_equal(f.text, "too big");
}

static void accepts_no_fault_at_all(void **state) {
    (void)state;
    assert_int_equal(fault_set(NULL, ERR_INTERNAL, "x"), ERR_INTERNAL);
    assert_int_equal(fault_field(NULL, ERR_INTERNAL, "f", "x"), ERR_INTERNAL);
}

static void cuts_long_texts_between_characters(void **state) {
    (void)state;
    struct fault f;
    char text[1001];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 4 < sizeof(text); i += 4) memcpy(text + i, "\U0001F427", 5);
        fault_field(&f, ERR_INTERNAL, text, "%s", text);
        assert_true(str_is_utf8(str_from(f.text)));
        assert_true(str_is_utf8(str_from(f.field)));
        assert_in_range(strlen(f.text), sizeof(f.text) - 4, sizeof(f.text) - 1);
        assert_in_range(strlen(f.field), sizeof(f.field) - 4, sizeof(f.field) - 1);
    }
}

static void can_wrap_its_own_text(void **state) {
    (void)state;
    struct fault f;
    fault_set(&f, ERR_SQL, "inner");
    fault_set(&f, ERR_INTERNAL, "outer: %s", f.text);
    assert_string_equal(f.text, "outer: inner");
}

static void a_reference_stands_behind_a_text_of_any_length(void **state) {
    (void)state;
    struct fault f = {.field = "old"};
    char text[1001];
    assert_int_equal(fault_refer(&f, ERR_INTERNAL, "broken", "0123456789abcdef"), ERR_INTERNAL);
    assert_string_equal(f.text, "broken (reference 0123456789abcdef)");
    assert_string_equal(f.field, "");
    for (size_t i = 0; i + 4 < sizeof(text); i += 4) memcpy(text + i, "\U0001F427", 5);
    fault_refer(&f, ERR_INTERNAL, text, "0123456789abcdef");
    assert_true(str_is_utf8(str_from(f.text)));
    assert_non_null(strstr(f.text, "\U0001F427 (reference 0123456789abcdef)"));
    assert_in_range(strlen(f.text), sizeof(f.text) - 4, sizeof(f.text) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_error),
        cmocka_unit_test(gives_each_error_a_status_of_grpc),
        cmocka_unit_test(fills_a_fault_and_returns_its_error),
        cmocka_unit_test(accepts_no_fault_at_all),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(can_wrap_its_own_text),
        cmocka_unit_test(a_reference_stands_behind_a_text_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
