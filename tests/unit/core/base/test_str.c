/* Slices, numbers, UTF-8, the growable buffer, base64. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/str.h"

static void assert_str(struct str s, const char *expected) {
    assert_int_equal(s.len, strlen(expected));
    if (s.len) assert_memory_equal(s.ptr, expected, s.len);
}

/* --- slices ------------------------------------------------------------------------------------------ */

static void compares_slices(void **state) {
    (void)state;
    struct str empty = {NULL, 0};
    assert_true(str_eq(empty, STR("")));
    assert_true(str_eq(str_from(NULL), empty));
    assert_true(str_eq(STR("a\0b"), (struct str){"a\0b", 3}));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_true(str_eq_ci(STR("Content-Type"), STR("content-tYPE")));
    assert_false(
        str_eq_ci(STR("[x]"), STR("{x}"))); /* these differ in the bit that letters' cases differ in */
    assert_false(str_eq_ci(STR("a"), STR("ab")));
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_true(str_starts_with(STR("abc"), empty));
    assert_true(str_starts_with(empty, empty));
    assert_false(str_starts_with(STR("ab"), STR("abc")));
}

static void cuts_at_a_separator(void **state) {
    (void)state;
    struct str rest = STR("a,,b");
    assert_str(str_cut(&rest, ','), "a");
    assert_str(str_cut(&rest, ','), "");
    assert_str(str_cut(&rest, ','), "b");
    assert_int_equal(rest.len, 0);
    assert_null(rest.ptr);
    assert_str(str_cut(&rest, ','), "");
    rest = STR("a,");
    assert_str(str_cut(&rest, ','), "a");
    assert_int_equal(rest.len, 0);
    assert_non_null(rest.ptr); /* one more, empty, piece */
}

static void trims_ascii_blanks(void **state) {
    (void)state;
    assert_str(str_trim(STR(" \t\r\n\v\fa b \n")), "a b");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim((struct str){NULL, 0}), "");
    assert_str(str_trim(STR("\u00A0x")), "\u00A0x");
}

/* --- numbers ----------------------------------------------------------------------------------------- */

static void reads_whole_numbers_over_their_full_range(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"7", 7},
                {"007", 7},
                {"-12345", -12345},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t v = 99;
        assert_true(str_to_i64(str_from(good[i].text), &v));
        assert_int_equal(v, good[i].value);
    }
}

static void refuses_what_is_no_whole_number(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "--1",
                                      "1.0",
                                      "0x1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t v = 99;
        assert_false(str_to_i64(str_from(bad[i]), &v));
        assert_int_equal(v, 99);
    }
    int64_t v = 99;
    assert_false(str_to_i64(STR("1\0"), &v));
}

static void writes_whole_numbers(void **state) {
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 10, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char out[20], expected[32];
        int len = snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
        assert_int_equal(format_i64(out, numbers[i]), len);
        assert_memory_equal(out, expected, (size_t)len);
    }
}

static void writes_the_shortest_decimal_that_reads_back(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } known[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e21, "1e+21"},
                 {5e-324, "5e-324"},
                 {-2.5e-310, "-2.5e-310"},
                 {1.0 / 3, "0.3333333333333333"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {NAN, "nan"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char out[32];
        assert_int_equal(format_f64(out, known[i].v), strlen(known[i].text));
        assert_string_equal(out, known[i].text);
    }
}

static void writes_every_decimal_so_that_it_reads_back(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_u64();
        double v;
        char out[32];
        memcpy(&v, &bits, sizeof(v));
        if (v != v) continue;
        size_t len = format_f64(out, v);
        assert_in_range(len, 1, 24);
        assert_true(strtod(out, NULL) == v);
    }
}

/* ---- UTF-8 --------------------------------------------------------------------------------------------- */

/* Unicode's definition, written the slow way: does it decode to a scalar value and encode back to itself? */
static bool is_utf8_slowly(const unsigned char *p, size_t len) {
    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80 ? 1 : p[i] >= 0xF0 ? 4 : p[i] >= 0xE0 ? 3 : p[i] >= 0xC0 ? 2 : 0;
        static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
        if (n == 0 || p[i] > 0xF7 || n > len - i) return false;
        uint32_t c = n == 1 ? p[i] : p[i] & (0x7Fu >> n);
        for (size_t k = 1; k < n; k++) {
            if (p[i + k] >> 6 != 2) return false;
            c = c << 6 | (p[i + k] & 0x3F);
        }
        if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
        i += n;
    }
    return true;
}

static void accepts_utf8_and_nothing_else(void **state) {
    (void)state;
    assert_true(str_is_utf8(STR("")));
    assert_true(str_is_utf8((struct str){NULL, 0}));
    assert_true(str_is_utf8(STR("plain text of more than eight bytes, Grüße, 日本語, \U0001F427")));
    assert_true(
        str_is_utf8(STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
    assert_false(str_is_utf8(STR("a\0b")));
    assert_false(str_is_utf8(STR("12345678\0")));
    assert_false(str_is_utf8(STR("1234567\0")));
    assert_false(str_is_utf8(STR("\xc0\x80")));
    assert_false(str_is_utf8(STR("\xf5\x80\x80\x80")));
    assert_false(str_is_utf8(STR("cut \xe2\x82")));
}

static void agrees_with_the_definition_on_all_short_sequences(void **state) {
    (void)state;
    static const unsigned char tails[] = {0x01, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned second = 1; second < 256; second++) {
            for (size_t i = 0; i < sizeof(tails) * sizeof(tails); i++) {
                unsigned char p[4] = {(unsigned char)first, (unsigned char)second, tails[i / sizeof(tails)],
                                      tails[i % sizeof(tails)]};
                for (size_t len = 1; len <= 4; len++) {
                    assert_int_equal(str_is_utf8((struct str){(char *)p, len}), is_utf8_slowly(p, len));
                }
            }
        }
    }
}

/* --- the buffer -------------------------------------------------------------------------------------- */

static void grows_as_it_is_appended_to(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_int_equal(buf_str(&b).len, 0);
    for (int i = 0; i < 1000; i++) {
        buf_append(&b, "ab", 2);
        buf_append_char(&b, 'c');
        buf_append_str(&b, STR("d"));
        buf_append_cstr(&b, "e");
        buf_append_i64(&b, -1);
        buf_append_f64(&b, 0.5);
        buf_printf(&b, "<%d>", i % 10);
    }
    assert_int_equal(b.len, 1000 * 13);
    assert_memory_equal(b.ptr, "abcde-10.5<0>abcde-10.5<1>", 26);
    buf_append(&b, NULL, 0);
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_non_null(b.ptr);
    buf_free(&b);
    assert_null(b.ptr);
}

static void reserves_room_to_write_into(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_non_null(buf_reserve(&b, 0));
    buf_append_cstr(&b, "x");
    memset(buf_reserve(&b, 100000), 'y', 100000);
    b.len += 100000;
    assert_int_equal(b.ptr[0], 'x');
    assert_int_equal(b.ptr[100000], 'y');
    assert_true(b.cap < 300000);
    buf_free(&b);
}

static void drops_what_was_consumed(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_consume(&b, 0);
    buf_append_cstr(&b, "abcdef");
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_str(buf_str(&b), "cdef");
    buf_consume(&b, 4);
    assert_str(buf_str(&b), "");
    buf_free(&b);
}

/* --- base64 ------------------------------------------------------------------------------------------ */

static void encodes_as_the_rfc_does(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_str(base64_encode(&a, STR(""), false), "");
    assert_str(base64_encode(&a, STR("f"), false), "Zg");
    assert_str(base64_encode(&a, STR("fo"), false), "Zm8");
    assert_str(base64_encode(&a, STR("foo"), false), "Zm9v");
    assert_str(base64_encode(&a, STR("foobar"), false), "Zm9vYmFy");
    assert_str(base64_encode(&a, STR("\xfb\xff\xbf"), false), "+/+/");
    assert_str(base64_encode(&a, STR("\xfb\xff\xbf"), true), "-_-_");
    arena_free(&a);
}

static void decodes_what_it_encoded(void **state) {
    (void)state;
    struct arena a;
    unsigned char bytes[256];
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (unsigned char)(i * 37);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct str in = {(char *)bytes, len}, out;
        assert_true(base64_decode(&a, base64_encode(&a, in, len % 2), &out));
        assert_true(str_eq(in, out));
    }
    arena_free(&a);
}

static void decodes_both_alphabets_with_or_without_padding(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } good[] = {{"Zg", "f"},
                {"Zg==", "f"},
                {"Zm8", "fo"},
                {"Zm8=", "fo"},
                {"-_", "\xfb"},
                {"+/+/", "\xfb\xff\xbf"},
                {"-/+_", "\xfb\xff\xbf"},
                {"", ""}};
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct str out;
        assert_true(base64_decode(&a, str_from(good[i].in), &out));
        assert_str(out, good[i].out);
    }
    arena_free(&a);
}

static void refuses_to_decode_anything_else(void **state) {
    (void)state;
    static const char *const bad[] = {"Z",     "Zg=",  "Zg===", "Zm8==", "=",          "====", "Zg==Zg==",
                                      "Zm9v=", "Z g=", "Zg\n",  "Zm9!",  "Zm\xc3\xb6", "=Zg="};
    struct arena a;
    struct str out;
    arena_init(&a, 1000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(base64_decode(&a, str_from(bad[i]), &out));
    }
    char big[4000];
    memset(big, 'A', sizeof(big));
    assert_false(base64_decode(&a, (struct str){big, sizeof(big)}, &out)); /* past the arena's limit */
    arena_free(&a);
}

/* Eight digits are read at once: every length, and a wrong byte at every place. */
static void numbers_of_every_length_are_read_whole(void **state) {
    (void)state;
    int64_t want = 0;
    for (size_t len = 1; len <= 18; len++) {
        char text[20];
        want = want * 10 + (int64_t)(len * 7 % 10);
        if (len == 1) want = 7;
        size_t n = format_i64(text, want);
        assert_int_equal(n, len);
        int64_t v = 0;
        assert_true(str_to_i64((struct str){text, n}, &v));
        assert_true(v == want);
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                char digit = text[at];
                text[at] = (char)c;
                bool good = (c >= '0' && c <= '9') || (c == '-' && at == 0 && n > 1);
                assert_int_equal(str_to_i64((struct str){text, n}, &v), good);
                text[at] = digit;
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_length_are_read_whole),
        cmocka_unit_test(compares_slices),
        cmocka_unit_test(cuts_at_a_separator),
        cmocka_unit_test(trims_ascii_blanks),
        cmocka_unit_test(reads_whole_numbers_over_their_full_range),
        cmocka_unit_test(refuses_what_is_no_whole_number),
        cmocka_unit_test(writes_whole_numbers),
        cmocka_unit_test(writes_the_shortest_decimal_that_reads_back),
        cmocka_unit_test(writes_every_decimal_so_that_it_reads_back),
        cmocka_unit_test(accepts_utf8_and_nothing_else),
        cmocka_unit_test(agrees_with_the_definition_on_all_short_sequences),
        cmocka_unit_test(grows_as_it_is_appended_to),
        cmocka_unit_test(reserves_room_to_write_into),
        cmocka_unit_test(drops_what_was_consumed),
        cmocka_unit_test(encodes_as_the_rfc_does),
        cmocka_unit_test(decodes_what_it_encoded),
        cmocka_unit_test(decodes_both_alphabets_with_or_without_padding),
        cmocka_unit_test(refuses_to_decode_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
