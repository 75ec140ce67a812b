/* See svg.h. */
#include "workers/jobs/report/svg.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- axes -------------------------------------------------------------------------------------------- */

/* The next round number (1, 2 or 5 times a power of ten) not below x > 0. */
static long double round_up(long double x) {
    long double power = powl(10, floorl(log10l(x)));
    long double digit = x / power;
    if (digit <= 1) return power;
    return digit <= 2 ? 2 * power : digit <= 5 ? 5 * power : 10 * power;
}

static int magnitude(long double x) {
    return x > 0 ? (int)floorl(log10l(x) + 1e-9L) : 0;
}

struct svg_axis svg_axis_choose(double low, double high, int wanted) {
    struct svg_axis a = {.low = low, .high = high};
    long double largest = fmaxl(fabsl(a.low), fabsl(a.high));
    /* One value, or less than its rounding: show its surroundings. */
    if (!(a.high - a.low > largest * 1e-13L)) {
        long double around = largest > 0 ? largest * 0.05L : 1;
        a.low -= around;
        a.high += around;
    }
    long double air = (a.high - a.low) * 0.04L;
    a.low -= air;
    a.high += air;
    a.step = round_up((a.high - a.low) / wanted);
    a.first = ceill(a.low / a.step) * a.step;
    a.ticks = (size_t)floorl((a.high - a.first) / a.step + 1e-9L) + 1;
    if (a.ticks > SVG_MAX_TICKS) a.ticks = SVG_MAX_TICKS;
    int top = magnitude(largest), bottom = magnitude(a.step);
    /* A power of ten is taken out where the labels would be too long to read. */
    if (top >= 10 || top < -4) a.exponent = top;
    a.decimals = a.exponent > bottom ? a.exponent - bottom : 0;
    return a;
}

size_t svg_axis_label(const struct svg_axis *a, size_t k, char out[static SVG_LABEL_SIZE]) {
    long double value = a->first + (long double)k * a->step;
    if (fabsl(value) < a->step * 1e-6L) value = 0;
    value /= powl(10, a->exponent);
    int decimals = a->decimals < 18 ? a->decimals : 18;
    int length = snprintf(out, SVG_LABEL_SIZE, "%.*Lf", decimals, value);
    return length > 0 ? (size_t)length : 0;
}

static double place(const struct svg_axis *a, double value, double size) {
    long double part = ((long double)value - a->low) / (a->high - a->low);
    return (double)(fminl(4, fmaxl(-3, part)) * size);
}

double svg_frame_x(const struct svg_frame *f, double x) {
    return place(&f->x, x, f->width);
}

double svg_frame_y(const struct svg_frame *f, double y) {
    return f->height - place(&f->y, y, f->height);
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* Bytes of the well-formed character at s (at most 4), or 0. */
static size_t character_length(const unsigned char *s) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length <= 1) return length;
    uint32_t code = s[0] & (0x7fu >> length);
    for (size_t k = 1; k < length; k++) {
        if (s[k] >> 6 != 2) return 0;
        code = code << 6 | (s[k] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code<0xe000, beyond = code> 0x10ffff || (code & 0xfffe) == 0xfffe;
    return code < least[length] || surrogate || beyond ? 0 : length;
}

static void put_character(FILE *out, const unsigned char *s, size_t length) {
    switch (length == 1 ? s[0] : 'x') {
    case '<': fputs("&lt;", out); return;
    case '>': fputs("&gt;", out); return;
    case '&': fputs("&amp;", out); return;
    case '"': fputs("&quot;", out); return;
    default: break;
    }
    /* C0 controls and DEL cannot stand in XML, C1 ones should not. */
    bool control = length == 1 ? s[0] < 0x20 || s[0] == 0x7f : length == 2 && s[0] == 0xc2 && s[1] < 0xa0;
    if (length == 0 || control)
        fputs("\xef\xbf\xbd", out);
    else
        fwrite(s, 1, length, out);
}

static void put_escaped(FILE *out, size_t max_characters, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t count = 0; *s; count++) {
        if (count == max_characters) {
            fputs("\xe2\x80\xa6", out);
            return;
        }
        size_t length = character_length(s);
        put_character(out, s, length);
        s += length ? length : 1;
    }
}

void svg_text(FILE *out, double x, double y, const char *attributes, size_t max_characters,
              const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    put_escaped(out, max_characters, text);
    fputs("</text>\n", out);
}

/* " (×10⁻⁷)" into out, or nothing. */
static void power_of_ten(int exponent, char out[static 64]) {
    static const char *const raised[] = {"\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",
                                         "\xe2\x81\xb4", "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7",
                                         "\xe2\x81\xb8", "\xe2\x81\xb9"};
    char digits[16];
    out[0] = '\0';
    if (exponent == 0) return;
    snprintf(digits, sizeof digits, "%d", exponent);
    strcpy(out, " (\xc3\x97"
                "10");
    for (const char *d = digits; *d; d++) strcat(out, *d == '-' ? "\xe2\x81\xbb" : raised[*d - '0']);
    strcat(out, ")");
}

static void put_name(FILE *out, const char *attributes, double length, const char *name, int exponent) {
    char power[64];
    power_of_ten(exponent, power);
    fprintf(out, "<text text-anchor=\"middle\" %s>", attributes);
    put_escaped(out, (size_t)fmax(12, length / 7), name);
    fprintf(out, "%s</text>\n", power);
}

void svg_name_x(FILE *out, const struct svg_frame *f, double away, const char *name) {
    char at[96];
    snprintf(at, sizeof at, "x=\"%.1f\" y=\"%.1f\"", f->left + f->width / 2, f->top + f->height + away);
    put_name(out, at, f->width, name, f->x.exponent);
}

void svg_name_y(FILE *out, const struct svg_frame *f, double away, const char *name) {
    char at[96];
    snprintf(at, sizeof at, "transform=\"translate(%.1f %.1f) rotate(-90)\"", f->left - away,
             f->top + f->height / 2);
    put_name(out, at, f->height, name, f->y.exponent);
}

/* ---- page and frames --------------------------------------------------------------------------------- */

void svg_open(FILE *out, double width, double height, const char *title) {
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, "
            "sans-serif\" font-size=\"12\" fill=\"#374151\">\n<title>",
            width, height, width, height);
    put_escaped(out, 200, title);
    fprintf(out, "</title>\n<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n", width, height);
}

void svg_close(FILE *out) {
    fputs("</svg>\n", out);
}

static void draw_x_ticks(FILE *out, const struct svg_frame *f, bool labels) {
    char label[SVG_LABEL_SIZE];
    for (size_t k = 0; k < f->x.ticks; k++) {
        double x = f->left + svg_frame_x(f, (double)(f->x.first + (long double)k * f->x.step));
        fprintf(out, "<path d=\"M%.1f %.1fv%.1f\" stroke=\"#e5e7eb\"/>\n", x, f->top, f->height);
        if (!labels) continue;
        svg_axis_label(&f->x, k, label);
        svg_text(out, x, f->top + f->height + 16, "text-anchor=\"middle\" font-size=\"11\"", SVG_LABEL_SIZE,
                 label);
    }
}

static void draw_y_ticks(FILE *out, const struct svg_frame *f, bool labels) {
    char label[SVG_LABEL_SIZE];
    for (size_t k = 0; k < f->y.ticks; k++) {
        double y = f->top + svg_frame_y(f, (double)(f->y.first + (long double)k * f->y.step));
        fprintf(out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#e5e7eb\"/>\n", f->left, y, f->width);
        if (!labels) continue;
        svg_axis_label(&f->y, k, label);
        svg_text(out, f->left - 6, y + 4, "text-anchor=\"end\" font-size=\"11\"", SVG_LABEL_SIZE, label);
    }
}

void svg_frame_draw(FILE *out, const struct svg_frame *f, bool x_labels, bool y_labels) {
    draw_x_ticks(out, f, x_labels);
    draw_y_ticks(out, f, y_labels);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"#9ca3af\"/>\n",
            f->left, f->top, f->width, f->height);
}

void svg_frame_enter(FILE *out, const struct svg_frame *f) {
    fprintf(out, "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">\n", f->left, f->top, f->width,
            f->height);
}

void svg_frame_leave(FILE *out) {
    fputs("</svg>\n", out);
}
