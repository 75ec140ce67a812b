/*
 * decimal: see decimal.h. Reading uses the first of three methods that is provably exact:
 *
 * 1. A mantissa below 2^53 and a power of ten up to 10^22 are both exact doubles, so one multiplication or division
 *    rounds once (Clinger 1990).
 * 2. An 80-bit long double has 64 bits, so with it the same holds for 19 digits and 10^27. Rounding the result to a
 *    double is right unless it lies within one unit of a midpoint between two doubles; the low eleven bits show that.
 * 3. strtod_l in the C locale.
 */
#include "workers/jobs/table/decimal.h"

#include <assert.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The powers of ten a decimal of up to 17 digits of any double can need. */
#define POW10_MIN (-292)
#define POW10_MAX 324
/* 2^1200 holds 10^324 and keeps more than 128 significant bits of 2^1200 / 10^292. */
#define BIG_BITS 1200
#define BIG_WORDS ((BIG_BITS / 32) + 1)
/* A number of more characters than this is copied to the heap for strtod_l. */
#define SLOW_STACK 256

struct pow10 {
    uint64_t high, low;
};

/* Constants after decimal_prepare, which pthread_once runs. */
static struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];
static locale_t c_locale;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

struct big {
    uint32_t words[BIG_WORDS]; /* least significant first */
};

static void big_times_10(struct big *big) {
    uint64_t carry = 0;
    for (size_t i = 0; i < BIG_WORDS; i++) {
        carry += (uint64_t)big->words[i] * 10;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void big_over_10(struct big *big) {
    uint64_t rest = 0;
    for (size_t i = BIG_WORDS; i-- > 0;) {
        rest = rest << 32 | big->words[i];
        big->words[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
}

static unsigned big_bit(const struct big *big, int at) {
    return at < 0 ? 0 : big->words[at / 32] >> (at % 32) & 1;
}

/* The 128 leading bits of big, rounded up when anything is cut off (or was, as the caller knows: inexact). */
static struct pow10 big_leading(const struct big *big, bool inexact) {
    int top = BIG_WORDS * 32 - 1;
    while (!big_bit(big, top)) top--;
    assert(!inexact || top >= 127); /* what was cut off stands below all the bits that are taken */
    struct pow10 lead = {0, 0};
    for (int i = 0; i < 64; i++) {
        lead.high = lead.high << 1 | big_bit(big, top - i);
        lead.low = lead.low << 1 | big_bit(big, top - 64 - i);
    }
    for (int i = top - 128; i >= 0 && !inexact; i--) inexact = big_bit(big, i) != 0;
    if (inexact && ++lead.low == 0) lead.high++;
    return lead;
}

static void decimal_prepare(void) {
    struct big big = {{1}};
    for (int k = 0; k <= POW10_MAX; k++, big_times_10(&big)) {
        pow10_table[k - POW10_MIN] = big_leading(&big, false);
    }
    /* floor(floor(x / 10) / 10) = floor(x / 100): repeated short division loses nothing. */
    big = (struct big){{0}};
    big.words[BIG_BITS / 32] = 1u << (BIG_BITS % 32);
    for (int k = -1; k >= POW10_MIN; k--) {
        big_over_10(&big);
        pow10_table[k - POW10_MIN] = big_leading(&big, true);
    }
    c_locale = newlocale(LC_ALL_MASK, "C", NULL);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static const double exact_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool slow_parse(const char *text, size_t length, double *value) {
    char stack[SLOW_STACK];
    char *copy = length < SLOW_STACK ? stack : malloc(length + 1);
    if (!copy) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    pthread_once(&prepared, decimal_prepare);
    *value = strtod_l(copy, NULL, c_locale);
    if (copy != stack) free(copy);
    return isfinite(*value);
}

#if LDBL_MANT_DIG == 64
static const long double wide_pow10[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                         1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                         1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

static bool wide_parse(uint64_t mantissa, int exponent, double *value) {
    if (exponent < -27 || exponent > 27) return false;
    long double wide = (long double)mantissa;
    wide = exponent < 0 ? wide / wide_pow10[-exponent] : wide * wide_pow10[exponent];
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    uint64_t low = bits & 0x7FF;
    if (low >= 0x3FF && low <= 0x401) return false;
    *value = (double)wide;
    return true;
}
#else
static bool wide_parse(uint64_t mantissa, int exponent, double *value) {
    (void)mantissa, (void)exponent, (void)value;
    return false;
}
#endif

struct scan {
    uint64_t mantissa; /* of all digits; exact while digits <= 19 */
    int64_t digits;    /* seen, leading zeros included */
    int64_t exponent;  /* of ten, to multiply the mantissa by */
    bool real;         /* a point or an exponent was seen */
};

static const char *scan_digits(const char *at, const char *end, struct scan *scan) {
    uint64_t mantissa = scan->mantissa;
    const char *start = at;
    for (; at < end && (unsigned char)(*at - '0') < 10; at++)
        mantissa = mantissa * 10 + (uint64_t)(*at - '0');
    scan->mantissa = mantissa;
    scan->digits += at - start;
    return at;
}

/* Reads an exponent. Beyond a limit its size no longer matters, and it is held there so that it cannot overflow. */
static const char *scan_exponent(const char *at, const char *end, struct scan *scan) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end) return NULL;
    int64_t exponent = 0;
    for (; at < end; at++) {
        if ((unsigned char)(*at - '0') >= 10) return NULL;
        if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
    }
    scan->exponent += negative ? -exponent : exponent;
    return at;
}

static enum decimal_kind long_parse(const char *text, size_t length, double *value) {
    const char *at = text, *end = text + length;
    struct scan scan = {0};
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    while (end - at > 1 && *at == '0' && (unsigned char)(at[1] - '0') < 10)
        at++; /* leading zeros do not count as digits */
    at = scan_digits(at, end, &scan);
    if (at < end && *at == '.') {
        const char *point = at;
        scan.real = true;
        at = scan_digits(at + 1, end, &scan);
        scan.exponent = point + 1 - at;
    }
    if (!scan.digits) return DECIMAL_NOT;
    if (at < end) {
        if (*at != 'e' && *at != 'E') return DECIMAL_NOT;
        scan.real = true;
        if (!scan_exponent(at + 1, end, &scan)) return DECIMAL_NOT;
    }
    double magnitude;
    if (scan.digits <= 19 && scan.mantissa <= (1ull << 53) && scan.exponent >= -22 && scan.exponent <= 22) {
        magnitude = (double)scan.mantissa;
        if (scan.exponent < 0) magnitude /= exact_pow10[-scan.exponent];
        if (scan.exponent > 0) magnitude *= exact_pow10[scan.exponent];
        *value = negative ? -magnitude : magnitude;
        return scan.real ? DECIMAL_REAL : DECIMAL_INTEGER;
    }
    if (scan.digits <= 19 && llabs(scan.exponent) <= 27 &&
        wide_parse(scan.mantissa, (int)scan.exponent, &magnitude)) {
        *value = negative ? -magnitude : magnitude;
    } else if (!slow_parse(text, length, value)) {
        return DECIMAL_NOT;
    }
    return scan.real ? DECIMAL_REAL : DECIMAL_BIG_INTEGER;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES(b) (0x0101010101010101ull * (b))

static inline uint64_t load(const char *text, size_t n) {
    uint64_t word = 0;
    memcpy(&word, text, n);
    return word;
}

/* 1 to 8 bytes, the first in the lowest byte, zeros above; loads overlap rather than branch per byte. */
static inline uint64_t load_upto_8(const char *text, size_t n) {
    if (n == 8) return load(text, 8);
    if (n >= 4) return load(text, 4) | load(text + n - 4, 4) << (n - 4) * 8;
    return load(text, 1) | load(text + n / 2, 1) << n / 2 * 8 | load(text + n - 1, 1) << (n - 1) * 8;
}

/*
 * The commonest case without a loop: at most 8 characters after the sign, digits and at most one point, all in one
 * word. The point is squeezed out, the digits moved to the top (zeros come in below) and added up in three
 * multiplications. A second point is not a digit and fails the test.
 */
static bool short_parse(const char *text, size_t n, double *value, bool *real) {
    uint64_t word = load_upto_8(text, n), points = word ^ BYTES('.');
    points = (points - BYTES(0x01)) & ~points & BYTES(0x80);
    size_t fraction = 0;
    *real = points != 0;
    if (points) {
        size_t at = (size_t)__builtin_ctzll(points) / 8;
        uint64_t before = (1ull << at * 8) - 1;
        word = (word & before) | (word >> 8 & ~before);
        fraction = --n - at;
    }
    if (n == 0) return false;
    word <<= (8 - n) * 8;
    if (n < 8) word |= BYTES('0') >> n * 8;
    if (((word + BYTES(0x46)) | (word - BYTES('0'))) & BYTES(0x80)) return false;
    word -= BYTES('0');
    word = word * 10 + (word >> 8);
    const uint64_t pairs = 0x000000FF000000FF;
    word =
        ((word & pairs) * (100 + (1000000ull << 32)) + (word >> 16 & pairs) * (1 + (10000ull << 32))) >> 32;
    *value = (double)word / exact_pow10[fraction];
    return true;
}
#else
static bool short_parse(const char *text, size_t n, double *value, bool *real) {
    (void)text, (void)n, (void)value, (void)real;
    return false;
}
#endif

enum decimal_kind decimal_parse(const char *text, size_t length, double *value) {
    if (length == 0) return DECIMAL_NOT;
    size_t sign = *text == '-' || *text == '+';
    bool real;
    if (length > sign && length - sign <= 8 && short_parse(text + sign, length - sign, value, &real)) {
        if (*text == '-') *value = -*value;
        return real ? DECIMAL_REAL : DECIMAL_INTEGER;
    }
    return long_parse(text, length, value);
}

/* The length of the group mark at `at`, or 0. */
static size_t group_mark(char group, const char *at, size_t left) {
    if (!group || left == 0) return 0;
    if (*at == group) return 1;
    if (group != ' ') return 0;
    if (left >= 2 && memcmp(at, "\xC2\xA0", 2) == 0) return 2;
    return left >= 3 && memcmp(at, "\xE2\x80\xAF", 3) == 0 ? 3 : 0;
}

/* Copies the digits before the point without their marks. Returns false when the marks are not where they belong. */
static bool copy_groups(char group, const char *text, size_t length, size_t *at, char *plain, size_t *n) {
    bool any = false;
    size_t run = 0, mark;
    for (; *at < length; *at += mark) {
        mark = 1;
        if (text[*at] >= '0' && text[*at] <= '9') {
            plain[(*n)++] = text[*at];
            run++;
            continue;
        }
        mark = group_mark(group, text + *at, length - *at);
        if (mark == 0) break;
        if (run == 0 || run > 3 || (any && run != 3)) return false;
        any = true;
        run = 0;
    }
    return !any || run == 3;
}

enum decimal_kind decimal_parse_styled(const struct decimal_style *style, const char *text, size_t length,
                                       double *value) {
    char plain[DECIMAL_STYLED_MAX], point = style->point ? style->point : '.';
    size_t at = 0, n = 0;
    if (decimal_style_is_plain(style)) return decimal_parse(text, length, value);
    if (length == 0 || length > sizeof plain) return DECIMAL_NOT;
    if (text[0] == '+' || text[0] == '-') plain[n++] = text[at++];
    if (!copy_groups(style->group, text, length, &at, plain, &n)) return DECIMAL_NOT;
    if (at < length && text[at] == point) {
        plain[n++] = '.';
        at++;
    }
    for (; at < length; at++) {
        if (text[at] == '.') return DECIMAL_NOT;
        plain[n++] = text[at];
    }
    return decimal_parse(plain, n, value);
}

/* ---- printing ---------------------------------------------------------------------------------------- */

static int32_t floor_log2_pow10(int32_t e) {
    return (int32_t)((int64_t)e * 1741647 >> 19);
}

/* floor(g * c / 2^128) with the lowest bit set when anything was cut off ("round to odd"). */
static uint64_t round_to_odd(struct pow10 g, uint64_t c) {
    unsigned __int128 low = (unsigned __int128)g.low * c;
    unsigned __int128 high = (unsigned __int128)g.high * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The shortest digits and their power of ten for a positive value c * 2^q; closer: the gap below is half the
 * gap above. */
static uint64_t shortest_digits(uint64_t c, int32_t q, bool closer, int32_t *exponent) {
    uint64_t odd = c & 1;
    int32_t k = (int32_t)(((int64_t)q * 1262611 - (closer ? 524031 : 0)) >> 22);
    int32_t h = q + floor_log2_pow10(-k) + 1;
    assert(h >= 1 && h <= 4); /* so that c, of 53 bits, may be shifted */
    assert(-k >= POW10_MIN && -k <= POW10_MAX);
    struct pow10 g = pow10_table[-k - POW10_MIN];
    uint64_t lower = round_to_odd(g, (4 * c - 2 + closer) << h) + odd;
    uint64_t middle = round_to_odd(g, (4 * c) << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;
    uint64_t s = middle / 4;
    *exponent = k;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool down = lower <= 40 * tens, up = 40 * tens + 40 <= upper;
        if (down != up) {
            *exponent = k + 1;
            return tens + up;
        }
    }
    bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up) return s + up;
    uint64_t half = 4 * s + 2;
    return s + (middle > half || (middle == half && (s & 1)));
}

static const char two_digits[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* Writes the digits of a number that is not zero, most significant first; returns how many. */
static int write_digits(uint64_t number, char *out) {
    char room[20], *at = room + sizeof room;
    for (; number >= 100; number /= 100) {
        at -= 2;
        memcpy(at, two_digits + number % 100 * 2, 2);
    }
    for (; number; number /= 10) *--at = (char)('0' + number % 10);
    int n = (int)(room + sizeof room - at);
    memcpy(out, at, (size_t)n);
    return n;
}

/* point: where the decimal point stands, counted from before the first digit. */
static char *write_plain(char *out, const char *digits, int n, int point) {
    if (point <= 0) {
        *out++ = '0', *out++ = '.';
        for (int i = point; i < 0; i++) *out++ = '0';
    }
    for (int i = 0; i < n; i++) {
        if (i == point && i > 0) *out++ = '.';
        *out++ = digits[i];
    }
    for (int i = n; i < point; i++) *out++ = '0';
    return out;
}

static char *write_scientific(char *out, const char *digits, int n, int exponent) {
    *out++ = digits[0];
    if (n > 1) {
        *out++ = '.';
        memcpy(out, digits + 1, (size_t)n - 1);
        out += n - 1;
    }
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    exponent = abs(exponent);
    if (exponent >= 100) *out++ = (char)('0' + exponent / 100);
    *out++ = (char)('0' + exponent / 10 % 10);
    *out++ = (char)('0' + exponent % 10);
    return out;
}

static uint64_t value_digits(double value, int32_t *exponent) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((1ull << 52) - 1);
    int32_t biased = (int32_t)(bits >> 52 & 0x7FF);
    uint64_t c = biased ? fraction | 1ull << 52 : fraction;
    int32_t q = (biased ? biased : 1) - 1075;
    if (q <= 0 && q > -53 && (c & ((1ull << -q) - 1)) == 0) {
        *exponent = 0;
        return c >> -q; /* a whole number below 2^53 is its own digits */
    }
    pthread_once(&prepared, decimal_prepare);
    return shortest_digits(c, q, fraction == 0 && biased > 1, exponent);
}

size_t decimal_print(double value, char *out) {
    char *at = out;
    if (signbit(value)) *at++ = '-';
    value = fabs(value);
    if (value == 0) {
        *at++ = '0';
    } else {
        char digits[20];
        int32_t exponent;
        int n = write_digits(value_digits(value, &exponent), digits);
        int point = n + exponent;
        while (n > 1 && digits[n - 1] == '0') n--;
        bool plain = point > -4 && point <= 16;
        at = plain ? write_plain(at, digits, n, point) : write_scientific(at, digits, n, point - 1);
    }
    assert(at < out + DECIMAL_PRINT_ROOM);
    *at = '\0';
    return (size_t)(at - out);
}
