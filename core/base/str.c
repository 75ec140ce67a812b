/* String slices, the growable buffer, UTF-8 checking, base64. */
#include "core/base/str.h"

#include <assert.h>
#include <endian.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

struct str str_from(const char *cstr) {
    return cstr ? (struct str){cstr, strlen(cstr)} : (struct str){NULL, 0};
}

bool str_eq(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_ci(struct str a, struct str b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) return false;
    }
    return true;
}

bool str_starts_with(struct str s, struct str prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

struct str str_cut(struct str *rest, char sep) {
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    struct str before = *rest;
    if (!at) {
        *rest = (struct str){NULL, 0};
        return before;
    }
    before.len = (size_t)(at - rest->ptr);
    *rest = (struct str){at + 1, rest->len - before.len - 1};
    return before;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s) {
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* So many digits cannot overflow. */
#define SAFE_DIGITS 18

/* Eight digits together: neighbours are joined to numbers of two, four and eight digits. False when one of them is
 * not a digit. */
static bool eight_digits(const char *p, uint64_t *out) {
    uint64_t w;
    memcpy(&w, p, sizeof w);
    w = le64toh(w);
    const uint64_t high = UINT64_C(0xF0F0F0F0F0F0F0F0), zeros = UINT64_C(0x3030303030303030);
    if ((w & high) != zeros || ((w + UINT64_C(0x0606060606060606)) & high) != zeros) return false;
    w -= zeros;
    w = (w * 10 + (w >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    w = (w * 100 + (w >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    *out = (w * 10000 + (w >> 32)) & UINT64_C(0xFFFFFFFF);
    return true;
}

static bool few_digits(const char *p, size_t n, int64_t *out) {
    uint64_t v = 0, eight;
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        if (!eight_digits(p + i, &eight)) return false;
        v = v * 100000000 + eight;
    }
    for (; i < n; i++) {
        unsigned digit = (unsigned)(p[i] - '0');
        if (digit > 9) return false;
        v = v * 10 + digit;
    }
    *out = (int64_t)v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out) {
    bool negative = s.len && s.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.len) return false;
    int64_t v = 0;
    if (s.len - i <= SAFE_DIGITS) {
        if (!few_digits(s.ptr + i, s.len - i, &v)) return false;
        *out = negative ? -v : v;
        return true;
    }
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        int digit = s.ptr[i] - '0';
        /* Counted downwards, because the lowest number has no positive counterpart. */
        if (__builtin_mul_overflow(v, INT64_C(10), &v) || __builtin_sub_overflow(v, digit, &v)) return false;
    }
    if (!negative && v == INT64_MIN) return false;
    *out = negative ? v : -v;
    return true;
}

char *str_to_cstr(struct arena *a, struct str s) {
    return arena_strndup(a, s.ptr, s.len);
}

/* Length of the well-formed sequence that begins at p (Unicode, table 3-7), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    unsigned char c = p[0], low = 0x80, high = 0xBF;
    size_t len;
    if (c < 0x80) return c ? 1 : 0;
    if (c >= 0xC2 && c <= 0xDF) {
        len = 2;
    } else if (c >= 0xE0 && c <= 0xEF) {
        len = 3;
        if (c == 0xE0) low = 0xA0;
        if (c == 0xED) high = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        len = 4;
        if (c == 0xF0) low = 0x90;
        if (c == 0xF4) high = 0x8F;
    } else {
        return 0;
    }
    if (left < len || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return len;
}

/* Are these eight bytes all in 0x01..0x7F? */
static bool eight_plain(const unsigned char *p) {
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    const uint64_t tops = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    return ((w | (w - ones)) & tops) == 0;
}

bool str_is_utf8(struct str s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        if (s.len - i >= 8 && eight_plain(p + i)) {
            i += 8;
            continue;
        }
        size_t n = utf8_sequence(p + i, s.len - i);
        if (!n) return false;
        i += n;
    }
    return true;
}

void buf_init(struct buf *b) {
    *b = (struct buf){NULL, 0, 0};
}

void buf_free(struct buf *b) {
    free(b->ptr);
    buf_init(b);
}

void buf_clear(struct buf *b) {
    b->len = 0;
}

char *buf_reserve(struct buf *b, size_t more) {
    size_t need;
    if (!__builtin_add_overflow(b->len, more, &need) && need <= b->cap && b->ptr) return b->ptr + b->len;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need && cap <= SIZE_MAX / 2) cap *= 2;
    char *grown = need >= more && cap >= need ? realloc(b->ptr, cap) : NULL;
    if (!grown) {
        fputs("out of memory\n", stderr);
        abort();
    }
    b->ptr = grown;
    b->cap = cap;
    return b->ptr + b->len;
}

void buf_append(struct buf *b, const void *p, size_t len) {
    if (len == 0) return;
    memcpy(buf_reserve(b, len), p, len);
    b->len += len;
}

void buf_append_str(struct buf *b, struct str s) {
    buf_append(b, s.ptr, s.len);
}

void buf_append_cstr(struct buf *b, const char *s) {
    buf_append(b, s, strlen(s));
}

void buf_append_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_append_i64(struct buf *b, int64_t v) {
    char digits[20];
    buf_append(b, digits, format_i64(digits, v));
}

void buf_append_f64(struct buf *b, double v) {
    char digits[32];
    buf_append(b, digits, format_f64(digits, v));
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *at = buf_reserve(b, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t n) {
    assert(n <= b->len);
    b->len -= n;
    if (b->len && n) memmove(b->ptr, b->ptr + n, b->len);
}

struct str buf_str(const struct buf *b) {
    return (struct str){b->ptr, b->len};
}

/* Two digits a division: ids are written millions of times a second, and long division is what that costs. */
size_t format_i64(char out[static 20], int64_t v) {
    char text[20], *p = text + sizeof text;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    for (; rest >= 100; rest /= 100) {
        unsigned two = (unsigned)(rest % 100);
        *--p = (char)('0' + two % 10);
        *--p = (char)('0' + two / 10);
    }
    if (rest >= 10) *--p = (char)('0' + rest % 10);
    *--p = (char)('0' + (rest >= 10 ? rest / 10 : rest));
    if (v < 0) *--p = '-';
    size_t len = (size_t)(text + sizeof text - p);
    memcpy(out, p, len);
    return len;
}

size_t format_f64(char out[static 32], double v) {
    /* 15 digits are enough whenever a shorter form exists, except for subnormal numbers; 17 always are. */
    int digits = v > -2.3e-308 && v < 2.3e-308 ? 1 : 15;
    int len = 0;
    if (v != v) v = NAN; /* without a sign */
    for (; digits <= 17; digits++) {
        len = snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    return (size_t)len;
}

static const char base64_plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct str base64_encode(struct arena *a, struct str in, bool url) {
    const char *alphabet = url ? base64_url : base64_plain;
    assert(in.len < SIZE_MAX / 2);
    size_t len = in.len / 3 * 4 + (in.len % 3 ? in.len % 3 + 1 : 0);
    char *out = arena_alloc(a, len + 1), *at = out;
    const unsigned char *p = (const unsigned char *)in.ptr;
    for (size_t i = 0; i < in.len; i += 3) {
        size_t have = in.len - i < 3 ? in.len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16;
        if (have > 1) bits |= (uint32_t)p[i + 1] << 8;
        if (have > 2) bits |= p[i + 2];
        for (size_t k = 0; k <= have; k++) *at++ = alphabet[bits >> (18 - 6 * k) & 63];
    }
    *at = '\0';
    return (struct str){out, len};
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

/* Drops the padding; false when it is not what the length asks for. */
static bool base64_unpad(struct str *in) {
    size_t pad = 0;
    while (pad < 2 && in->len > pad && in->ptr[in->len - 1 - pad] == '=') pad++;
    if (pad && in->len % 4 != 0) return false;
    in->len -= pad;
    return in->len % 4 != 1;
}

bool base64_decode(struct arena *a, struct str in, struct str *out) {
    if (!base64_unpad(&in)) return false;
    size_t len = in.len / 4 * 3 + (in.len % 4 ? in.len % 4 - 1 : 0);
    char *bytes = arena_try_alloc(a, len + 1);
    if (!bytes) return false;
    uint32_t bits = 0;
    size_t have = 0, at = 0;
    for (size_t i = 0; i < in.len; i++) {
        int v = base64_value(in.ptr[i]);
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        bytes[at++] = (char)(bits >> have & 0xFF);
    }
    assert(at == len);
    bytes[len] = '\0';
    *out = (struct str){bytes, len};
    return true;
}
