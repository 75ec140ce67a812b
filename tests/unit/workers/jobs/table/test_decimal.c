/* Numbers as text, both ways: as strtod reads them, and the shortest that reads back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/jobs/table/decimal.h"

static uint64_t random_state = 20071115;
static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t bits_of(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double number_of(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void assert_kind(const char *text, enum decimal_kind kind) {
    double value;
    enum decimal_kind got = decimal_parse(text, strlen(text), &value);
    if (got != kind) print_error("\"%s\" is of kind %d, wanted %d\n", text, got, kind);
    assert_int_equal(got, kind);
    if (kind != DECIMAL_NOT) assert_int_equal(bits_of(value), bits_of(strtod(text, NULL)));
}

static void tells_what_is_a_number(void **state) {
    (void)state;
    static const char *const integers[] = {
        "0", "-0", "+7", "007", "9007199254740992", "-9007199254740992", "00000000000000000000000000000012"};
    static const char *const big[] = {"9007199254740993", "123456789012345678901234567890",
                                      "-18446744073709551616"};
    static const char *const reals[] = {"1.5",
                                        ".5",
                                        "5.",
                                        "-0.0",
                                        "1e5",
                                        "1E+5",
                                        "1e-400",
                                        "4.9e-324",
                                        "2e-324",
                                        "1.7976931348623157e308",
                                        "0e999999999",
                                        "1e0000000000000001",
                                        "123456789012345678901234567890.5"};
    static const char *const nothing[] = {"",
                                          " 1",
                                          "1 ",
                                          "+",
                                          "-",
                                          ".",
                                          "e5",
                                          "1e",
                                          "1e+",
                                          "1e:",
                                          "1e5:",
                                          "1e5/",
                                          "1.2.3",
                                          "--1",
                                          "1,5",
                                          "inf",
                                          "nan",
                                          "NA",
                                          "0x10",
                                          "1e999",
                                          "-1.8e308",
                                          "1_000",
                                          ("\xC2\xA0"
                                           "1")};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) assert_kind(integers[i], DECIMAL_INTEGER);
    for (size_t i = 0; i < sizeof big / sizeof *big; i++) assert_kind(big[i], DECIMAL_BIG_INTEGER);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) assert_kind(reals[i], DECIMAL_REAL);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) assert_kind(nothing[i], DECIMAL_NOT);
}

/* Text needs no terminator: what follows is not looked at. */
static void reads_no_further_than_told(void **state) {
    (void)state;
    double value;
    assert_int_equal(decimal_parse("12.53e7", 4, &value), DECIMAL_REAL);
    assert_true(value == 12.5);
    assert_int_equal(decimal_parse("12.5", 2, &value), DECIMAL_INTEGER);
    assert_true(value == 12);
}

/* Digits of all lengths, exponents in and out of range, against the C library, to the bit. */
static void reads_as_strtod_does(void **state) {
    (void)state;
    for (int round = 0; round < 300000; round++) {
        char text[64];
        int length = 0, digits = 1 + (int)(next_random() % 22), point = (int)(next_random() % 24);
        for (int i = 0; i < digits; i++) {
            if (i == point) text[length++] = '.';
            text[length++] = (char)('0' + next_random() % 10);
        }
        if (next_random() % 2) {
            length += snprintf(text + length, sizeof text - (size_t)length, "e%d",
                               (int)(next_random() % 700) - 350);
        }
        text[length] = '\0';
        double wanted = strtod(text, NULL), value = 0;
        enum decimal_kind kind = decimal_parse(text, (size_t)length, &value);
        if (isinf(wanted)) {
            assert_int_equal(kind, DECIMAL_NOT);
            continue;
        }
        if (bits_of(value) != bits_of(wanted)) print_error("%s: %.17g, not %.17g\n", text, value, wanted);
        assert_int_equal(bits_of(value), bits_of(wanted));
    }
}

/* The midpoint between two doubles, written out, goes to the even one; the neighbouring decimals to theirs. */
static void rounds_ties_to_even(void **state) {
    (void)state;
    double value;
    assert_int_equal(decimal_parse("9007199254740993.0", 18, &value), DECIMAL_REAL);
    assert_true(value == 9007199254740992.0);
    assert_int_equal(decimal_parse("9007199254740993.00000000000000000001", 37, &value), DECIMAL_REAL);
    assert_true(value == 9007199254740994.0);
    assert_int_equal(decimal_parse("9007199254740995", 16, &value), DECIMAL_BIG_INTEGER);
    assert_true(value == 9007199254740996.0);
}

/* Reads back, and no decimal of fewer digits does. */
static void assert_shortest(double number) {
    char text[DECIMAL_PRINT_ROOM], shorter[64];
    double again;
    size_t length = decimal_print(number, text);
    assert_int_equal(length, strlen(text));
    assert_true(decimal_parse(text, length, &again) != DECIMAL_NOT);
    if (bits_of(again) != bits_of(number)) print_error("%.17g is printed as %s\n", number, text);
    assert_int_equal(bits_of(again), bits_of(number));
    int digits = 0;
    bool leading = true;
    for (const char *c = text; *c && *c != 'e'; c++) {
        leading &= *c == '-' || *c == '.' || *c == '0';
        if (!leading && *c != '.') digits++;
    }
    /* Zeros at the end of an integer are no digits of its decimal. */
    for (const char *c = strchr(text, 'e') || strchr(text, '.') ? text : text + length;
         c > text && c[-1] == '0'; c--) {
        digits--;
    }
    if (digits < 2) return;
    snprintf(shorter, sizeof shorter, "%.*e", digits - 2, number);
    if (bits_of(strtod(shorter, NULL)) == bits_of(number))
        print_error("%s is longer than %s\n", text, shorter);
    assert_int_not_equal(bits_of(strtod(shorter, NULL)), bits_of(number));
}

static void prints_the_shortest(void **state) {
    (void)state;
    static const double numbers[] = {0.1,
                                     39.1,
                                     1.0 / 3,
                                     5e-324,
                                     1.7976931348623157e308,
                                     1e21,
                                     1e22,
                                     1e23,
                                     2.5,
                                     9007199254740991,
                                     1e15,
                                     1e16,
                                     1e17,
                                     0.0001,
                                     0.00001,
                                     123456,
                                     4.35,
                                     2.2250738585072014e-308,
                                     9.5e-3,
                                     8.41};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_shortest(numbers[i]);
        assert_shortest(-numbers[i]);
    }
    for (int round = 0; round < 300000; round++) {
        double any = number_of(next_random()), near = (double)(int64_t)(next_random() % 2000001) / 1000;
        if (isfinite(any)) assert_shortest(any);
        assert_shortest(near);
    }
}

static void prints_in_the_form_promised(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0"},           {-0.0, "-0"},          {1, "1"},           {-12.5, "-12.5"},
                 {0.0001, "0.0001"}, {0.00012, "0.00012"},  {0.00001, "1e-05"}, {1e15, "1000000000000000"},
                 {1e16, "1e+16"},    {1.5e300, "1.5e+300"}, {39.1, "39.1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[DECIMAL_PRINT_ROOM];
        decimal_print(cases[i].number, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void reads_other_styles(void **state) {
    (void)state;
    static const struct {
        struct decimal_style style;
        const char *text;
        enum decimal_kind kind;
        double value;
    } cases[] = {
        {{0, 0}, "1.5", DECIMAL_REAL, 1.5},
        {{'.', 0}, "1,5", DECIMAL_NOT, 0},
        {{',', 0}, "1,5", DECIMAL_REAL, 1.5},
        {{',', 0}, "-,5e3", DECIMAL_REAL, -500},
        {{',', 0}, "+7", DECIMAL_INTEGER, 7},
        {{',', 0}, "1.5", DECIMAL_NOT, 0},
        {{',', 0}, "1,5,", DECIMAL_NOT, 0},
        {{',', 0}, "", DECIMAL_NOT, 0},
        {{',', 0}, "-", DECIMAL_NOT, 0},
        {{',', '.'}, "1.234.567,8", DECIMAL_REAL, 1234567.8},
        {{',', '.'}, "-1.234", DECIMAL_INTEGER, -1234},
        {{',', '.'}, "1234567,8", DECIMAL_REAL, 1234567.8},
        {{',', '.'}, "9.007.199.254.740.993", DECIMAL_BIG_INTEGER, 9007199254740992},
        {{',', '.'}, "1.5", DECIMAL_NOT, 0},
        {{',', '.'}, "1234.567", DECIMAL_NOT, 0},
        {{',', '.'}, "1.2345", DECIMAL_NOT, 0},
        {{',', '.'}, "1..234", DECIMAL_NOT, 0},
        {{',', '.'}, ".234", DECIMAL_NOT, 0},
        {{',', '.'}, "1.234.", DECIMAL_NOT, 0},
        {{',', '.'}, "1.234,5.6", DECIMAL_NOT, 0},
        {{0, ','}, "1,234.5", DECIMAL_REAL, 1234.5},
        {{0, ','}, "12,34", DECIMAL_NOT, 0},
        {{0, '\''}, "1'234'567", DECIMAL_INTEGER, 1234567},
        {{0, '_'}, "1_000", DECIMAL_INTEGER, 1000},
        {{',', ' '}, "1 234,5", DECIMAL_REAL, 1234.5},
        {{',', ' '},
         "1\xC2\xA0"
         "234,5",
         DECIMAL_REAL,
         1234.5},
        {{',', ' '},
         "1\xE2\x80\xAF"
         "234\xC2\xA0"
         "567",
         DECIMAL_INTEGER,
         1234567},
        {{',', ' '}, "1\xC2", DECIMAL_NOT, 0},
        {{',', ' '}, " 1", DECIMAL_NOT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 0;
        size_t length = strlen(cases[i].text);
        char *exact = malloc(length + 1);
        memcpy(exact, cases[i].text, length);
        enum decimal_kind kind = decimal_parse_styled(&cases[i].style, exact, length, &value);
        if (kind != cases[i].kind) print_error("%s\n", cases[i].text);
        assert_int_equal(kind, cases[i].kind);
        if (kind != DECIMAL_NOT) assert_true(value == cases[i].value);
        free(exact);
    }
    char text[DECIMAL_STYLED_MAX + 1];
    double value;
    memset(text, '0', sizeof text);
    text[1] = ',';
    const struct decimal_style comma = {',', 0};
    assert_int_equal(decimal_parse_styled(&comma, text, sizeof text - 1, &value), DECIMAL_REAL);
    assert_int_equal(decimal_parse_styled(&comma, text, sizeof text, &value), DECIMAL_NOT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_other_styles),          cmocka_unit_test(tells_what_is_a_number),
        cmocka_unit_test(reads_no_further_than_told),  cmocka_unit_test(reads_as_strtod_does),
        cmocka_unit_test(rounds_ties_to_even),         cmocka_unit_test(prints_the_shortest),
        cmocka_unit_test(prints_in_the_form_promised),
    };
    return cmocka_run_group_tests_name("unit/jobs_decimal", tests, NULL, NULL);
}
