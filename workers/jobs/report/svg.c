/* See svg.h. */
#include "workers/jobs/report/svg.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "workers/jobs/report/glyph.h"

static const struct svg_style TICK = {.size = 11, .anchor = SVG_MIDDLE}, AXIS_NAME = {.size = 12};
/* A label at an end of the axis may reach that far beyond the frame: a neighbour's labels do the same. */
#define LABEL_BEYOND 4
#define LABEL_GAP 6

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

static double label_size(const struct svg_axis *a, size_t k) {
    char label[SVG_LABEL_SIZE];
    return svg_text_width(TICK, label, svg_axis_label(a, k, label));
}

/* The middle of the label of tick k, from the frame's left. */
static double label_middle(const struct svg_axis *a, size_t k, double size, double width) {
    long double tick = a->first + (long double)k * a->step;
    double middle = (double)((tick - a->low) / (a->high - a->low)) * width, room = size / 2 - LABEL_BEYOND;
    return fmin(fmax(middle, room), width - room);
}

static bool labels_fit(const struct svg_axis *a, double width) {
    double end = -INFINITY;
    for (size_t k = 0; k < a->ticks; k++) {
        double size = label_size(a, k), middle = label_middle(a, k, size, width);
        if (middle - size / 2 < end + LABEL_GAP) return false;
        end = middle + size / 2;
    }
    return true;
}

struct svg_axis svg_axis_fit(double low, double high, int wanted, double width) {
    struct svg_axis a = svg_axis_choose(low, high, wanted);
    while (wanted > 2 && !labels_fit(&a, width)) a = svg_axis_choose(low, high, --wanted);
    return a;
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

/* Bytes of the well-formed character at s (at most 4), or 0; left >= 1 is how many there are. */
static size_t character_length(const unsigned char *s, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length > left) return 0;
    if (length <= 1) return length;
    uint32_t code = s[0] & (0x7fu >> length);
    for (size_t k = 1; k < length; k++) {
        if (s[k] >> 6 != 2) return 0;
        code = code << 6 | (s[k] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code<0xe000, beyond = code> 0x10ffff || (code & 0xfffe) == 0xfffe;
    return code < least[length] || surrogate || beyond ? 0 : length;
}

static void put_character(FILE *out, const char *s, size_t length) {
    switch (length == 1 ? *s : 'x') {
    case '<': fputs("&lt;", out); return;
    case '>': fputs("&gt;", out); return;
    case '&': fputs("&amp;", out); return;
    case '"': fputs("&quot;", out); return;
    default: break;
    }
    /* Some controls cannot stand in XML; what turns the direction of writing would also turn what follows. */
    if (length == 0 || glyph_at(s, length).control)
        fputs("\xef\xbf\xbd", out);
    else
        fwrite(s, 1, length, out);
}

static void put_escaped(FILE *out, const char *text, size_t length) {
    for (size_t i = 0, n; i < length; i += n ? n : 1) {
        n = character_length((const unsigned char *)text + i, length - i);
        put_character(out, text + i, n);
    }
}

/* Cut where it is longer than anybody reads. */
static void put_title(FILE *out, const char *text) {
    size_t length = strlen(text), most = glyph_cut(text, length, SVG_TITLE_MAX);
    fputs("<title>", out);
    put_escaped(out, text, most);
    if (most < length) fputs(GLYPH_ELLIPSIS, out);
    fputs("</title>\n", out);
}

/* The widths of ASCII's characters from the blank on in DejaVu Sans, in hundredths of its size: the widest of the fonts
 * that the page names. */
static const uint8_t widths[] = {32, 40, 46, 84, 64, 95, 78, 28, 39, 39, 50, 84, 32, 36,  32, 34, 64, 64, 64,
                                 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53, 100, 69, 69, 70, 77, 63,
                                 58, 78, 75, 30, 30, 66, 56, 86, 75, 79, 60, 79, 70, 64,  61, 73, 69, 99, 69,
                                 61, 69, 39, 34, 39, 84, 50, 50, 61, 64, 55, 64, 62, 35,  64, 63, 28, 28, 58,
                                 28, 98, 63, 61, 64, 64, 41, 52, 39, 63, 59, 82, 59, 59,  53, 64, 34, 64, 84};

static double measure(struct glyph g) {
    if (g.control) return 1;
    if (g.columns != 1 || g.code >= 0x2e80) return 1.05 * g.columns;
    if (g.code >= ' ' && g.code < ' ' + sizeof widths) return widths[g.code - ' '] / 100.0;
    return g.code == 0x2026 ? 1 : 0.7;
}

static double unit(struct svg_style style) {
    return style.size * (style.bold ? 1.12 : 1.01);
}

double svg_text_width(struct svg_style style, const char *text, size_t length) {
    return glyph_width(text, length, measure) * unit(style);
}

void svg_text_shorten(struct text_buffer *out, struct svg_style style, double width, const char *text,
                      size_t length) {
    glyph_shorten(out, text, length, width / unit(style), measure);
}

static void put_style(FILE *out, struct svg_style style) {
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    if (style.size != 12) fprintf(out, " font-size=\"%.0f\"", style.size);
    if (style.bold) fputs(" font-weight=\"600\"", out);
    fputs(anchors[style.anchor], out);
    if (style.fill) fprintf(out, " fill=\"%s\"", style.fill);
    if (style.halo) fputs(" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"", out);
}

static void put_fitted(FILE *out, struct svg_style style, double width, const char *text) {
    size_t length = strlen(text);
    struct glyph_fit fit = glyph_fit(text, length, width / unit(style), measure);
    put_escaped(out, text, fit.head);
    if (fit.head == length) return;
    fputs(GLYPH_ELLIPSIS, out);
    put_escaped(out, text + fit.tail, length - fit.tail);
}

void svg_text(FILE *out, double x, double y, struct svg_style style, double width, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\"", x, y);
    put_style(out, style);
    fputc('>', out);
    put_fitted(out, style, width, text);
    fputs("</text>\n", out);
}

void svg_link(FILE *out, double x, double y, struct svg_style style, const char *href, const char *text) {
    fprintf(out, "<a href=\"%s\">", href);
    svg_text(out, x, y, style, INFINITY, text);
    fputs("</a>\n", out);
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
    put_fitted(out, AXIS_NAME, length - svg_text_width(AXIS_NAME, power, strlen(power)), name);
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
            "sans-serif\" font-size=\"12\" fill=\"#374151\">\n",
            width, height, width, height);
    put_title(out, title);
    fprintf(out, "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n", width, height);
}

void svg_close(FILE *out) {
    fputs("</svg>\n", out);
}

void svg_group_open(FILE *out, const char *title) {
    fputs("<g>", out);
    put_title(out, title);
}

void svg_group_close(FILE *out) {
    fputs("</g>\n", out);
}

static void draw_x_ticks(FILE *out, const struct svg_frame *f, bool labels) {
    char label[SVG_LABEL_SIZE];
    double end = -INFINITY;
    for (size_t k = 0; k < f->x.ticks; k++) {
        double x = f->left + svg_frame_x(f, (double)(f->x.first + (long double)k * f->x.step));
        fprintf(out, "<path d=\"M%.1f %.1fv%.1f\" stroke=\"#e5e7eb\"/>\n", x, f->top, f->height);
        if (!labels) continue;
        double size = label_size(&f->x, k), middle = label_middle(&f->x, k, size, f->width);
        if (middle - size / 2 < end) continue; /* even two do not fit */
        end = middle + size / 2;
        svg_axis_label(&f->x, k, label);
        svg_text(out, f->left + middle, f->top + f->height + 16, TICK, INFINITY, label);
    }
}

static void draw_y_ticks(FILE *out, const struct svg_frame *f, bool labels) {
    struct svg_style style = TICK;
    char label[SVG_LABEL_SIZE];
    style.anchor = SVG_END;
    for (size_t k = 0; k < f->y.ticks; k++) {
        double y = f->top + svg_frame_y(f, (double)(f->y.first + (long double)k * f->y.step));
        fprintf(out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#e5e7eb\"/>\n", f->left, y, f->width);
        if (!labels) continue;
        svg_axis_label(&f->y, k, label);
        svg_text(out, f->left - 6, y + 4, style, INFINITY, label);
    }
}

void svg_frame_draw(FILE *out, const struct svg_frame *f, bool x_labels, bool y_labels) {
    draw_x_ticks(out, f, x_labels);
    draw_y_ticks(out, f, y_labels);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "pointer-events=\"all\" stroke=\"#9ca3af\"/>\n",
            f->left, f->top, f->width, f->height);
}

void svg_frame_enter(FILE *out, const struct svg_frame *f) {
    fprintf(out, "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">\n", f->left, f->top, f->width,
            f->height);
}

void svg_frame_leave(FILE *out) {
    fputs("</svg>\n", out);
}
