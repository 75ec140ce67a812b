/* Names, timestamps and durations of ProtoJSON: see json_text.h. */
#include "core/codec/json_text.h"

#include <assert.h>
#include <inttypes.h>

#include "core/base/clock.h"

#define SECONDS_PER_DAY 86400
#define TIMESTAMP_MIN INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define DURATION_MAX INT64_C(315576000000)  /* 10,000 years of 365.25 days */

void json_name(const char *proto_name, char out[static JSON_NAME_MAX]) {
    size_t n = 0;
    bool raise = false;
    for (const char *p = proto_name; *p; p++) {
        if (*p == '_') {
            raise = true;
            continue;
        }
        assert(n + 1 < JSON_NAME_MAX);
        out[n++] = raise && *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        raise = false;
    }
    out[n] = '\0';
}

size_t json_element_size(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM: return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    }
    return 0;
}

/* ---- the calendar: proleptic Gregorian, with years that begin in March, so that the leap day is the last
 * one */

static int64_t days_from_date(int64_t year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t march_first = 365 * y + y / 4 - y / 100 + y / 400;
    return march_first + day_of_year - 719468; /* 1970-01-01 */
}

struct date {
    int year, month, day;
};

/* days >= that of 0001-01-01. The mean length of years gives a year that may be the one before or after. */
static struct date date_from_days(int64_t days) {
    int64_t y = (days + 719468) * 400 / 146097 + 1;
    while (days_from_date(y, 3, 1) > days) y--;
    int64_t day_of_year = days - days_from_date(y, 3, 1);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct date d = {.year = (int)y,
                     .month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9),
                     .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
    if (d.month <= 2) d.year++;
    return d;
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* ---- reading */

static bool cut_char(struct str *s, char c) {
    if (s->len == 0 || s->ptr[0] != c) return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool cut_digit(struct str *s, int *digit) {
    if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9') return false;
    *digit = s->ptr[0] - '0';
    s->ptr++;
    s->len--;
    return true;
}

/* Exactly `digits` digits with a value from min to max. */
static bool cut_number(struct str *s, int digits, int min, int max, int *out) {
    int n = 0;
    for (int i = 0, digit; i < digits; i++) {
        if (!cut_digit(s, &digit)) return false;
        n = 10 * n + digit;
    }
    *out = n;
    return n >= min && n <= max;
}

/* "" or "." and one to nine digits. */
static bool cut_fraction(struct str *s, int32_t *nanos) {
    int32_t n = 0;
    int digits = 0, digit;
    if (cut_char(s, '.')) {
        while (digits < 9 && cut_digit(s, &digit)) {
            n = 10 * n + digit;
            digits++;
        }
        if (digits == 0) return false;
        for (; digits < 9; digits++) n *= 10;
    }
    *nanos = n;
    return true;
}

static bool cut_offset(struct str *s, int *seconds) {
    int hours, minutes;
    *seconds = 0;
    if (cut_char(s, 'Z')) return true;
    int sign = cut_char(s, '+') ? 1 : -1;
    if (sign < 0 && !cut_char(s, '-')) return false;
    if (!cut_number(s, 2, 0, 23, &hours) || !cut_char(s, ':') || !cut_number(s, 2, 0, 59, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool cut_date(struct str *s, struct date *d) {
    return cut_number(s, 4, 1, 9999, &d->year) && cut_char(s, '-') && cut_number(s, 2, 1, 12, &d->month) &&
           cut_char(s, '-') && cut_number(s, 2, 1, days_in_month(d->year, d->month), &d->day);
}

static bool cut_time_of_day(struct str *s, int *seconds) {
    int h, m, sec;
    if (!cut_number(s, 2, 0, 23, &h) || !cut_char(s, ':') || !cut_number(s, 2, 0, 59, &m) ||
        !cut_char(s, ':') || !cut_number(s, 2, 0, 59, &sec))
        return false;
    *seconds = h * 3600 + m * 60 + sec;
    return true;
}

bool json_parse_timestamp(struct str s, int64_t *seconds, int32_t *nanos) {
    struct date d;
    int time_of_day, offset;
    int32_t fraction;
    if (!cut_date(&s, &d) || !cut_char(&s, 'T') || !cut_time_of_day(&s, &time_of_day) ||
        !cut_fraction(&s, &fraction) || !cut_offset(&s, &offset) || s.len > 0)
        return false;
    int64_t t = days_from_date(d.year, d.month, d.day) * SECONDS_PER_DAY + time_of_day - offset;
    if (t < TIMESTAMP_MIN || t > TIMESTAMP_MAX) return false;
    *seconds = t;
    *nanos = fraction;
    return true;
}

bool json_parse_duration(struct str s, int64_t *seconds, int32_t *nanos) {
    bool negative = cut_char(&s, '-');
    int64_t n = 0;
    int32_t fraction;
    int digits = 0, digit;
    while (digits < 12 && cut_digit(&s, &digit)) {
        n = 10 * n + digit;
        digits++;
    }
    if (digits == 0 || !cut_fraction(&s, &fraction) || !cut_char(&s, 's') || s.len > 0) return false;
    if (n > DURATION_MAX || (n == DURATION_MAX && fraction > 0)) return false;
    *seconds = negative ? -n : n;
    *nanos = negative ? -fraction : fraction;
    return true;
}

/* ---- writing */

static void write_fraction(struct buf *out, int32_t nanos) {
    if (nanos == 0) return;
    if (nanos % 1000000 == 0)
        buf_printf(out, ".%03" PRId32, nanos / 1000000);
    else if (nanos % 1000 == 0)
        buf_printf(out, ".%06" PRId32, nanos / 1000);
    else
        buf_printf(out, ".%09" PRId32, nanos);
}

static int64_t clamp(int64_t v, int64_t min, int64_t max) {
    return v < min ? min : v > max ? max : v;
}

void json_write_timestamp(struct buf *out, int64_t seconds, int32_t nanos) {
    int64_t t = clamp(seconds, TIMESTAMP_MIN, TIMESTAMP_MAX) - TIMESTAMP_MIN;
    struct date d = date_from_days(t / SECONDS_PER_DAY + TIMESTAMP_MIN / SECONDS_PER_DAY);
    int s = (int)(t % SECONDS_PER_DAY);
    buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d", d.year, d.month, d.day, s / 3600, s / 60 % 60, s % 60);
    write_fraction(out, (int32_t)clamp(nanos, 0, NS_PER_S - 1));
    buf_append_cstr(out, "Z\"");
}

void json_write_duration(struct buf *out, int64_t seconds, int32_t nanos) {
    int64_t s = clamp(seconds, -DURATION_MAX, DURATION_MAX) + nanos / NS_PER_S;
    int32_t n = (int32_t)(nanos % NS_PER_S);
    if (s > 0 && n < 0) {
        s--;
        n += (int32_t)NS_PER_S;
    } else if (s < 0 && n > 0) {
        s++;
        n -= (int32_t)NS_PER_S;
    }
    bool negative = s < 0 || n < 0;
    if (negative) {
        s = -s;
        n = -n;
    }
    if (s >= DURATION_MAX) {
        s = DURATION_MAX;
        n = 0;
    }
    buf_append_cstr(out, negative ? "\"-" : "\"");
    buf_append_i64(out, s);
    write_fraction(out, n);
    buf_append_cstr(out, "s\"");
}
