/* glyph: the characters of texts that come from the data, and how wide they are, for terminals and pictures. Texts are
 * any bytes: what is not well-formed UTF-8 counts byte by byte, as U+FFFD. */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_GLYPH_H
#define ROOKERY_WORKERS_JOBS_REPORT_GLYPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/jobs/table/text_buffer.h"

#define GLYPH_ELLIPSIS "\xe2\x80\xa6"

struct glyph {
    uint32_t code;
    uint8_t bytes;
    uint8_t columns; /* of a terminal: 2 for East Asian wide ones, 0 for what is drawn onto the one before */
    bool control;    /* moves the cursor, or changes the direction of what follows: never shown as it is */
};
/* The character at `at`; left >= 1 is how many bytes there are. */
struct glyph glyph_at(const char *at, size_t left);

/* How wide a character is, in the unit of the caller. */
typedef double glyph_measure(struct glyph glyph);
double glyph_columns(struct glyph glyph); /* in columns of a terminal */
double glyph_width(const char *text, size_t length, glyph_measure *measure);

/* What is shown of a text that is wider than `room`: the first `head` bytes, an ellipsis, and what begins at `tail`. Of
 * a text that fits, head is its length. */
struct glyph_fit {
    size_t head, tail;
};
struct glyph_fit glyph_fit(const char *text, size_t length, double room, glyph_measure *measure);
/* Adds the text, or its beginning and its end around an ellipsis where it is wider than `room`. */
void glyph_shorten(struct text_buffer *out, const char *text, size_t length, double room,
                   glyph_measure *measure);
/* The number of bytes, at most `most`, that are whole characters. */
size_t glyph_cut(const char *text, size_t length, size_t most);

#endif
