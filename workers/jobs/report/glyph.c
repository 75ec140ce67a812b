/* See glyph.h. The widths of characters are utf8proc's, which follow Unicode's East Asian Width. */
#include "workers/jobs/report/glyph.h"

#include <utf8proc.h>

static bool is_control(uint32_t code) {
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)code);
    bool direction = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return direction || kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_ZL ||
           kind == UTF8PROC_CATEGORY_ZP;
}

struct glyph glyph_at(const char *at, size_t left) {
    unsigned char first = (unsigned char)*at;
    if (first >= 0x20 && first < 0x7f) return (struct glyph){first, 1, 1, false};
    utf8proc_int32_t code;
    utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)at, left < 4 ? (int)left : 4, &code);
    if (bytes <= 0) return (struct glyph){0xfffd, 1, 1, false};
    struct glyph g = {(uint32_t)code, (uint8_t)bytes, 1, is_control((uint32_t)code)};
    int columns = utf8proc_charwidth(code);
    if (!g.control) g.columns = columns > 0 ? (uint8_t)columns : 0;
    return g;
}

double glyph_columns(struct glyph glyph) {
    return glyph.columns;
}

double glyph_width(const char *text, size_t length, glyph_measure *measure) {
    double width = 0;
    struct glyph g;
    for (size_t i = 0; i < length; i += g.bytes) {
        g = glyph_at(text + i, length - i);
        width += measure(g);
    }
    return width;
}

/* How many bytes from the start fit into `room`, with the marks on the last character. */
static size_t head_length(const char *text, size_t length, double room, glyph_measure *measure) {
    double width = 0;
    struct glyph g;
    size_t i = 0;
    for (; i < length; i += g.bytes) {
        g = glyph_at(text + i, length - i);
        width += measure(g);
        if (width > room) break;
    }
    return i;
}

/* Where the longest end begins that fits into `room`: not at a mark, whose character would be missing. */
static size_t tail_start(const char *text, size_t length, double all, double room, glyph_measure *measure) {
    double left = all;
    struct glyph g;
    size_t i = 0;
    for (; i < length; i += g.bytes) {
        g = glyph_at(text + i, length - i);
        if (left <= room && g.columns > 0) break;
        left -= measure(g);
    }
    return i;
}

struct glyph_fit glyph_fit(const char *text, size_t length, double room, glyph_measure *measure) {
    double all = glyph_width(text, length, measure);
    if (all <= room) return (struct glyph_fit){length, length};
    double rest = room - measure(glyph_at(GLYPH_ELLIPSIS, sizeof GLYPH_ELLIPSIS - 1));
    size_t head = head_length(text, length, rest / 2, measure);
    return (struct glyph_fit){
        head, tail_start(text, length, all, rest - glyph_width(text, head, measure), measure)};
}

void glyph_shorten(struct text_buffer *out, const char *text, size_t length, double room,
                   glyph_measure *measure) {
    struct glyph_fit fit = glyph_fit(text, length, room, measure);
    text_buffer_add(out, text, fit.head);
    if (fit.head == length) return;
    text_buffer_string(out, GLYPH_ELLIPSIS);
    text_buffer_add(out, text + fit.tail, length - fit.tail);
}

size_t glyph_cut(const char *text, size_t length, size_t most) {
    size_t i = 0;
    if (length <= most) return length;
    for (struct glyph g; i < most; i += g.bytes) {
        g = glyph_at(text + i, length - i);
        if (i + g.bytes > most) break;
    }
    return i;
}
