/* Numbers and texts as bytes: what was packed is unpacked, and what was cut off is bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "workers/jobs/table/pack.h"

static void pack_some(struct text_buffer *b) {
    pack_u8(b, 200);
    pack_u8(b, 1);
    pack_u32(b, 4000000000u);
    pack_u64(b, UINT64_MAX - 1);
    pack_f64(b, -0.1);
    pack_text(b, "a\0b", 3);
    pack_text(b, "name", 4);
    pack_u32(b, 1);
    pack_u8(b, 7);
    assert_false(b->failed);
}

/* Reads them all; returns false when one is not what was packed. */
static bool unpack_some(struct unpack *u) {
    size_t length;
    bool good = unpack_u8(u) == 200;
    good = unpack_bool(u) && good;
    good = unpack_u32(u) == 4000000000u && good;
    good = unpack_u64(u) == UINT64_MAX - 1 && good;
    good = unpack_f64(u) == -0.1 && good;
    const char *text = unpack_text(u, &length);
    good = length == 3 && memcmp(text, "a\0b", 4) == 0 && good;
    good = strcmp(unpack_name(u), "name") == 0 && good;
    good = unpack_count(u, 1) == 1 && good;
    return unpack_u8(u) == 7 && good;
}

static void what_was_packed_is_unpacked(void **state) {
    (void)state;
    struct text_buffer b = {0};
    pack_some(&b);
    struct unpack u = {b.at, b.at + b.length, false};
    assert_true(unpack_some(&u));
    assert_false(u.bad);
    assert_ptr_equal(u.at, u.end);
    text_buffer_free(&b);
}

static void what_was_cut_off_is_bad_and_reads_as_nothing(void **state) {
    (void)state;
    struct text_buffer b = {0};
    pack_some(&b);
    for (size_t length = 0; length < b.length; length++) {
        struct unpack u = {b.at, b.at + length, false};
        assert_false(unpack_some(&u));
        assert_true(u.bad && u.at <= u.end);
        assert_int_equal(unpack_u32(&u), 0);
        assert_string_equal(unpack_name(&u), "");
    }
    text_buffer_free(&b);
}

static void what_nobody_packs_is_bad(void **state) {
    (void)state;
    struct text_buffer b = {0};
    pack_u8(&b, 2); /* neither true nor false */
    struct unpack u = {b.at, b.at + b.length, false};
    assert_false(unpack_bool(&u));
    assert_true(u.bad);
    b.length = 0;
    pack_text(&b, "a\0b", 3); /* not a name */
    u = (struct unpack){b.at, b.at + b.length, false};
    assert_string_equal(unpack_name(&u), "");
    assert_true(u.bad);
    b.length = 0;
    pack_u32(&b, 3);
    pack_u32(&b, 0); /* three items of two bytes do not fit into four */
    u = (struct unpack){b.at, b.at + b.length, false};
    assert_int_equal(unpack_count(&u, 2), 0);
    assert_true(u.bad);
    text_buffer_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_is_unpacked),
        cmocka_unit_test(what_was_cut_off_is_bad_and_reads_as_nothing),
        cmocka_unit_test(what_nobody_packs_is_bad),
    };
    return cmocka_run_group_tests_name("jobs_pack", tests, NULL, NULL);
}
