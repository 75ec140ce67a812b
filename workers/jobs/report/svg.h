/* Drawing with SVG: escaped text that fits its place, axes with round ticks, and frames that map data to pixels; only
 * what plot.c needs. Callers find writing errors with ferror(). */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_SVG_H
#define ROOKERY_WORKERS_JOBS_REPORT_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "workers/jobs/table/text_buffer.h"

/* More labels would not fit. Also a guard against data whose range is a rounding error. */
#define SVG_MAX_TICKS 16
#define SVG_LABEL_SIZE 48

/* A stretch of numbers with round ticks in it. Arithmetic is long double, so that no range overflows. */
struct svg_axis {
    long double low, high;
    long double first, step; /* ticks: first, first + step, ... up to high */
    size_t ticks;
    int decimals, exponent; /* labels show value / 10^exponent with that many decimals */
};

/* An axis that holds low..high (both finite) with a little air, and has about `wanted` ticks. */
struct svg_axis svg_axis_choose(double low, double high, int wanted);
/* The same, with fewer ticks where the labels would not fit side by side below a frame of that width in pixels. */
struct svg_axis svg_axis_fit(double low, double high, int wanted, double width);
/* The label of tick k; returns its length. */
size_t svg_axis_label(const struct svg_axis *a, size_t k, char out[static SVG_LABEL_SIZE]);

/* A rectangle of the picture, in pixels, and the data it shows. */
struct svg_frame {
    double left, top, width, height;
    struct svg_axis x, y;
};
/* Pixels from the frame's own corner, clamped to a few times its size: numbers stay short and drawable. */
double svg_frame_x(const struct svg_frame *f, double x);
double svg_frame_y(const struct svg_frame *f, double y);

/* The bytes of a <title>, after which it is cut. */
#define SVG_TITLE_MAX 2000

/* White page of that size; title is what a browser shows in its tab. */
void svg_open(FILE *out, double width, double height, const char *title);
void svg_close(FILE *out);
/* Opens and closes a group; a browser shows its title where the pointer is. */
void svg_group_open(FILE *out, const char *title);
void svg_group_close(FILE *out);

/* Grid, border and tick labels; labels only where asked for. */
void svg_frame_draw(FILE *out, const struct svg_frame *f, bool x_labels, bool y_labels);
/* Opens and closes a group with the frame's corner as origin, clipped at its border. */
void svg_frame_enter(FILE *out, const struct svg_frame *f);
void svg_frame_leave(FILE *out);
/* The axis's name and its power of ten, centred below the frame or turned beside it, `away` pixels off. */
void svg_name_x(FILE *out, const struct svg_frame *f, double away, const char *name);
void svg_name_y(FILE *out, const struct svg_frame *f, double away, const char *name);

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };
struct svg_style {
    double size; /* of the font, in pixels */
    bool bold;
    enum svg_anchor anchor; /* what of the text the point is */
    const char *fill;       /* its colour; NULL: the page's */
    bool halo;              /* white around the letters, where lines may run below them */
};
/* How wide a text is, in pixels. An estimate: with most fonts it is less. */
double svg_text_width(struct svg_style style, const char *text, size_t length);
/* Adds the text, or its beginning and end around an ellipsis where it is wider than `width` pixels. */
void svg_text_shorten(struct text_buffer *out, struct svg_style style, double width, const char *text,
                      size_t length);
/* Text of any bytes at a point: markup is escaped, ill-formed UTF-8 and control characters become U+FFFD, and what is
 * wider than `width` pixels is shortened in its middle. */
void svg_text(FILE *out, double x, double y, struct svg_style style, double width, const char *text);
/* The same text as a link. href: a file name without characters that a URL escapes. */
void svg_link(FILE *out, double x, double y, struct svg_style style, const char *href, const char *text);

#endif
