/*
 * decimal: numbers as text, both ways, exactly and fast.
 *
 * Reading gives the double nearest to the decimal written (ties to even), as strtod does in the C locale, but
 * without asking the process's locale. Printing gives the shortest decimal that reads back as the same
 * double, and of those the nearest to it: 39.1, never 39.100000000000001.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_DECIMAL_H
#define ROOKERY_WORKERS_JOBS_TABLE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kind of number that a cell's text is, in the order of type widening. */
enum decimal_kind {
    DECIMAL_INTEGER,     /* [+-]digits, within ±2^53: exact */
    DECIMAL_BIG_INTEGER, /* [+-]digits beyond 2^53: the value was rounded, a caller should warn */
    DECIMAL_REAL,        /* a decimal point or an exponent */
    DECIMAL_NOT          /* anything else, and what overflows a double: "inf", "0x1p3", " 1", "1e999" */
};

/* Room for any double decimal_print writes, its terminating NUL included ("-2.2250738585072014e-308"). */
#define DECIMAL_PRINT_ROOM 32

/*
 * Reads the whole of text[0..length) as one number: sign, digits with at most one point, exponent. No spaces, no
 * grouping, no hexadecimal, no infinities. Sets *value unless it returns DECIMAL_NOT. A number that underflows
 * becomes zero or subnormal, as with strtod. Never reads beyond length; text needs no terminator.
 */
enum decimal_kind decimal_parse(const char *text, size_t length, double *value);

/* Another way of writing numbers: 1.234.567,8 has the point ',' and the group '.'. All zeros: the way above. */
struct decimal_style {
    char point; /* between units and tenths; 0: a point */
    char
        group; /* between groups of three digits before it; 0: nothing. With a space, U+00A0 and U+202F too */
};
static inline bool decimal_style_is_plain(const struct decimal_style *style) {
    return (style->point == '.' || !style->point) && !style->group;
}
/* The same for numbers of that style: where there is a group mark, all groups of three have one. A longer text than
 * this is DECIMAL_NOT. */
#define DECIMAL_STYLED_MAX 512
enum decimal_kind decimal_parse_styled(const struct decimal_style *style, const char *text, size_t length,
                                       double *value);

/*
 * Writes the shortest decimal of a finite value and a NUL into out (DECIMAL_PRINT_ROOM bytes) and returns its
 * length. Plain notation from 0.0001 to below 1e16, otherwise d.ddde±XX.
 * Method: Giulietti, "The Schubfach way to render doubles" (2020).
 */
size_t decimal_print(double value, char *out);

#endif
