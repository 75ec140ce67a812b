/* From a fitted slice to a picture of it.
 *
 * Both kinds of file start from struct picture: the points to draw, the line with its band as samples, and
 * the ranges, all in data coordinates. A slice's own file puts one into a large frame with its equation; the
 * overview (overview.c) keeps many, takes the union of their ranges, and draws them side by side.
 */
#include "workers/jobs/report/plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/model/distributions.h"
#include "workers/jobs/report/plot_internal.h"
#include "workers/jobs/report/titles.h"

#define SAMPLES PLOT_SAMPLES
#define POINT_COLOR "#2563a8"
#define LINE_COLOR "#c2410c"
#define BODY ((struct svg_style){.size = 12})
/* How far a band may go beyond the points and the line, as a part of their range. */
#define BAND_BEYOND 0.1
/* A longer name would push what stands behind it out of the picture. */
#define NAME_WIDTH 120

/* ---- points ------------------------------------------------------------------------------------------ */

static enum fit_status slice_status(const struct plot_slice *s) {
    return s->linear ? s->linear->status : s->logistic->status;
}

static double slice_weight(const struct plot_slice *s, size_t i) {
    return s->input->weights ? s->input->weights[i] : 1;
}

/* The terms of the columns, past the intercept. */
static const struct fit_term *slopes_of(const struct plot_slice *s) {
    return s->terms + (s->no_intercept ? 0 : 1);
}

static double intercept_of(const struct plot_slice *s) {
    return s->no_intercept ? 0 : s->terms[0].estimate;
}

static double logistic_of(double eta) {
    return 1 / (1 + exp(-eta));
}

/* The linear predictor of row i; NAN when there are no estimates. Dropped terms take no part. */
static double predictor_of(const struct plot_slice *s, size_t i) {
    long double sum = intercept_of(s);
    for (size_t j = 0; j < s->input->p; j++) {
        const struct fit_term *t = &slopes_of(s)[j];
        if (!t->dropped) sum += (long double)t->estimate * s->input->columns[j][i];
    }
    return (double)sum;
}

static bool point_of(const struct plot_slice *s, enum picture_kind kind, size_t i, double point[2]) {
    point[0] = s->input->p == 1 ? s->input->columns[0][i] : predictor_of(s, i);
    if (kind == PICTURE_FITTED && s->logistic) point[0] = logistic_of(point[0]);
    point[1] = s->input->y[i];
    return slice_weight(s, i) > 0 && isfinite(point[0]) && isfinite(point[1]);
}

static void widen(struct picture *p, double x, double y) {
    if (!isfinite(y)) return;
    p->x_low = fmin(p->x_low, x);
    p->x_high = fmax(p->x_high, x);
    p->y_low = fmin(p->y_low, y);
    p->y_high = fmax(p->y_high, y);
}

/* The ranges from all points, and an evenly spaced selection of at most `most` to draw. */
static bool take_points(struct picture *p, const struct plot_slice *s, size_t most) {
    double point[2];
    p->x_low = p->y_low = INFINITY;
    p->x_high = p->y_high = -INFINITY;
    for (size_t i = 0; i < s->input->n; i++) {
        if (!point_of(s, p->kind, i, point)) continue;
        widen(p, point[0], point[1]);
        p->of++;
    }
    size_t wanted = p->of < most ? p->of : most, met = 0;
    p->points = malloc((2 * wanted + 1) * sizeof *p->points);
    if (!p->points) return false;
    for (size_t i = 0; i < s->input->n && p->count < wanted; i++) {
        if (!point_of(s, p->kind, i, point)) continue;
        /* The k-th drawn is the first one at or after k * of / wanted. */
        if ((double)met++ < (double)p->count * ((double)p->of / (double)wanted)) continue;
        memcpy(p->points + 2 * p->count++, point, sizeof point);
    }
    return true;
}

/* ---- lines and bands --------------------------------------------------------------------------------- */

/* Where the band is narrowest, and the inverse of the weight there: sums over rows of w and w x, with the
 * weights of the last Newton step for a logistic fit. */
struct waist {
    long double center, inverse_weight;
};

static struct waist find_waist(const struct plot_slice *s) {
    long double sum = 0, moment = 0, near = s->input->n ? s->input->columns[0][0] : 0;
    for (size_t i = 0; i < s->input->n; i++) {
        double point[2], w = slice_weight(s, i);
        if (!point_of(s, PICTURE_LINE, i, point)) continue;
        if (s->logistic) {
            double mu = logistic_of(predictor_of(s, i));
            w *= mu * (1 - mu);
        }
        sum += w;
        moment += w * (point[0] - near);
    }
    return (struct waist){near + moment / sum, 1 / sum};
}

/* Standard error of the line at x. */
static double error_at(const struct plot_slice *s, const struct waist *waist, double x) {
    double slope_error = slopes_of(s)[0].std_error, sigma = s->linear ? s->linear->sigma : 1;
    if (s->no_intercept) return fabs(x) * slope_error;
    double tilt = (double)(x - waist->center) * slope_error;
    return hypot(sigma * sqrt((double)waist->inverse_weight), tilt); /* the squares may be no doubles */
}

static double band_quantile(const struct plot_slice *s) {
    double p = 0.5 + (s->confidence > 0 ? s->confidence : LINEAR_CONFIDENCE) / 2;
    if (s->logistic) return normal_quantile(p);
    return s->linear->df_residual ? student_quantile(p, (double)s->linear->df_residual) : (double)NAN;
}

static void sample_line(struct picture *p, const struct plot_slice *s) {
    const struct fit_term *slope = slopes_of(s);
    double quantile = band_quantile(s);
    struct waist waist = find_waist(s);
    bool curve = p->kind == PICTURE_CURVE;
    p->has_line = isfinite(intercept_of(s)) && (slope->dropped || isfinite(slope->estimate));
    p->has_band = p->has_line && !slope->dropped && isfinite(slope->std_error) && isfinite(quantile);
    for (size_t k = 0; k < SAMPLES; k++) {
        double part = (double)k / (SAMPLES - 1);
        double x = p->x[k] = p->x_low * (1 - part) + p->x_high * part;
        double y = intercept_of(s) + (slope->dropped ? 0 : slope->estimate * x);
        double half = p->has_band ? quantile * error_at(s, &waist, x) : 0;
        p->middle[k] = curve ? logistic_of(y) : y;
        p->low[k] = curve ? logistic_of(y - half) : y - half;
        p->high[k] = curve ? logistic_of(y + half) : y + half;
    }
}

/* Makes room for the line, and cuts its band a little beyond that and the points. */
static void show_line(struct picture *p) {
    for (size_t k = 0; p->has_line && k < SAMPLES; k++) widen(p, p->x[k], p->middle[k]);
    double beyond = p->y_high * BAND_BEYOND - p->y_low * BAND_BEYOND;
    double floor_y = p->y_low - beyond, ceiling_y = p->y_high + beyond;
    for (size_t k = 0; p->has_band && k < SAMPLES; k++) {
        p->band_cuts += p->low[k] < floor_y || p->high[k] > ceiling_y;
        p->low[k] = fmax(p->low[k], floor_y);
        p->high[k] = fmin(p->high[k], ceiling_y);
        widen(p, p->x[k], p->low[k]);
        widen(p, p->x[k], p->high[k]);
    }
}

static void sample_diagonal(struct picture *p) {
    double low = fmax(p->x_low, p->y_low), high = fmin(p->x_high, p->y_high);
    p->has_line = low < high;
    for (size_t k = 0; k < SAMPLES; k++) {
        double part = (double)k / (SAMPLES - 1);
        p->x[k] = p->middle[k] = low * (1 - part) + high * part;
    }
}

void picture_free(struct picture *p) {
    free(p->points);
}

bool picture_make(struct picture *p, const struct plot_slice *s, size_t most) {
    *p = (struct picture){.status = slice_status(s)};
    p->kind = s->input->p != 1 ? PICTURE_FITTED : s->logistic ? PICTURE_CURVE : PICTURE_LINE;
    if (!take_points(p, s, most)) return false;
    if (p->of == 0) {
        p->x_low = p->y_low = 0;
        p->x_high = p->y_high = 1;
    } else if (p->kind == PICTURE_FITTED) {
        sample_diagonal(p);
    } else {
        sample_line(p, s);
        show_line(p);
    }
    return true;
}

/* ---- drawing ----------------------------------------------------------------------------------------- */

static void draw_band(FILE *out, const struct picture *p, const struct svg_frame *f) {
    /* What mostly goes on beyond the picture is fainter than what ends in it. */
    fprintf(out, "<path fill=\"" LINE_COLOR "\" fill-opacity=\"%s\" d=\"M",
            p->band_cuts > SAMPLES / 2 ? "0.09" : "0.16");
    for (size_t k = 0; k < SAMPLES; k++) {
        fprintf(out, "%.1f %.1f ", svg_frame_x(f, p->x[k]), svg_frame_y(f, p->high[k]));
    }
    for (size_t k = SAMPLES; k-- > 0;) {
        fprintf(out, "%.1f %.1f ", svg_frame_x(f, p->x[k]), svg_frame_y(f, p->low[k]));
    }
    fputs("Z\"/>\n", out);
}

static void draw_line(FILE *out, const struct picture *p, const struct svg_frame *f, double width) {
    fprintf(out, "<path fill=\"none\" stroke=\"" LINE_COLOR "\" stroke-width=\"%.1f\"%s d=\"M", width,
            p->kind == PICTURE_FITTED ? " stroke-dasharray=\"5 4\"" : "");
    for (size_t k = 0; k < SAMPLES; k++) {
        fprintf(out, "%.1f %.1f ", svg_frame_x(f, p->x[k]), svg_frame_y(f, p->middle[k]));
    }
    fputs("\"/>\n", out);
}

/* Many points are drawn smaller and fainter, so that their density shows. */
static void draw_points(FILE *out, const struct picture *p, const struct svg_frame *f, double radius) {
    double opacity = p->count <= 200 ? 0.65 : p->count <= 1000 ? 0.45 : 0.3;
    fprintf(out,
            "<g stroke=\"" POINT_COLOR "\" stroke-opacity=\"%.2f\" stroke-linecap=\"round\" "
            "stroke-width=\"%.1f\">\n",
            opacity, 2 * (p->count > 1000 ? radius * 0.7 : radius));
    /* A line of no length with round ends is a dot, in fewer bytes than a circle. */
    for (size_t k = 0; k < p->count; k++) {
        fprintf(out, "<path d=\"M%.1f %.1fh0\"/>\n", svg_frame_x(f, p->points[2 * k]),
                svg_frame_y(f, p->points[2 * k + 1]));
    }
    fputs("</g>\n", out);
}

void picture_draw(FILE *out, const struct picture *p, const struct svg_frame *f, double radius) {
    svg_frame_enter(out, f);
    if (p->has_band) draw_band(out, p, f);
    draw_points(out, p, f, radius);
    if (p->has_line) draw_line(out, p, f, radius * 0.8);
    svg_frame_leave(out);
}

/* ---- one slice --------------------------------------------------------------------------------------- */

static void add(struct text_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text_buffer *out, const char *format, ...) {
    char text[256]; /* numbers and our own words; names are added by add_name */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text_buffer_string(out, text);
}

static void add_name(struct text_buffer *out, const char *name) {
    svg_text_shorten(out, BODY, NAME_WIDTH, name, strlen(name));
}

/* What a logistic fit is about: "sex = male". */
static void add_event(struct text_buffer *out, const struct plot_slice *s) {
    add_name(out, s->y_name);
    add(out, " = ");
    add_name(out, s->positive ? s->positive : "1");
}

/* The fitted equation, of one predictor. */
static void describe_model(struct text_buffer *out, const struct plot_slice *s, const struct picture *p) {
    const struct fit_term *slope = slopes_of(s);
    if (p->kind == PICTURE_FITTED) {
        add(out, PLOT_DOT "%zu predictors", s->input->p);
        return;
    }
    if (!p->has_line || slope->dropped) return;
    add(out, p->kind == PICTURE_CURVE ? PLOT_DOT "logit P(" : PLOT_DOT);
    if (p->kind == PICTURE_CURVE)
        add_event(out, s);
    else
        add_name(out, s->y_name);
    add(out, p->kind == PICTURE_CURVE ? ") = " : " = ");
    if (!s->no_intercept) {
        add(out, "%.6g %s ", intercept_of(s), slope->estimate < 0 ? "\xe2\x88\x92" : "+");
    }
    add(out, "%.6g ", s->no_intercept ? slope->estimate : fabs(slope->estimate));
    add_name(out, s->x_names[0]);
}

/* The line below the title: size, fit, model. */
static void describe(struct text_buffer *out, const struct plot_slice *s, const struct picture *p) {
    add(out, "n = %zu", s->linear ? s->linear->n : s->logistic->n);
    if (s->linear && isfinite(s->linear->r_squared))
        add(out, PLOT_DOT "R\xc2\xb2 = %.4f", s->linear->r_squared);
    if (s->logistic && isfinite(s->logistic->deviance)) {
        add(out, PLOT_DOT "deviance %.4g of %.4g", s->logistic->deviance, s->logistic->null_deviance);
    }
    describe_model(out, s, p);
}

/* The line below that, if needed: errors, and what is not drawn. */
static void remark(struct text_buffer *out, const struct plot_slice *s, const struct picture *p) {
    if (p->status != FIT_OK) add(out, "%s", fit_status_name(p->status));
    const char *lead = "; dropped: ";
    for (size_t j = 0; j < s->input->p; j++) {
        if (!slopes_of(s)[j].dropped || p->status != FIT_RANK_DEFICIENT) continue;
        add(out, "%s", lead);
        add_name(out, s->x_names[j]);
        lead = ", ";
    }
    if (p->of == 0) add(out, "%sno points to draw", out->length ? "; " : "");
    if (p->count < p->of) add(out, "%s%zu of %zu points drawn", out->length ? "; " : "", p->count, p->of);
    if (p->band_cuts) {
        add(out, "%sthe %g %% band goes on above or below", out->length ? "; " : "",
            100 * (s->confidence > 0 ? s->confidence : LINEAR_CONFIDENCE));
    }
}

double plot_label_width(const struct svg_axis *a) {
    char label[SVG_LABEL_SIZE];
    double widest = 0;
    for (size_t k = 0; k < a->ticks; k++) {
        size_t length = svg_axis_label(a, k, label);
        widest = fmax(widest, svg_text_width((struct svg_style){.size = 11}, label, length));
    }
    return widest;
}

void plot_x_name(struct text_buffer *out, const struct plot_slice *s, enum picture_kind kind) {
    if (kind != PICTURE_FITTED) {
        text_buffer_string(out, s->x_names[0]);
        return;
    }
    add(out, s->logistic ? "fitted P(" : "fitted ");
    if (!s->logistic) text_buffer_string(out, s->y_name);
    if (s->logistic) add_event(out, s);
    if (s->logistic) add(out, ")");
}

void plot_y_name(struct text_buffer *out, const struct plot_slice *s, enum picture_kind kind) {
    if (!s->logistic) {
        if (kind == PICTURE_FITTED) add(out, "observed ");
        text_buffer_string(out, s->y_name);
        return;
    }
    add(out, kind == PICTURE_FITTED ? "observed (1: " : "P(");
    add_event(out, s);
    add(out, ")");
}

/* The texts of a slice's own file. */
struct words {
    struct text_buffer title, described, remark, x, y;
};

static bool words_make(struct words *w, const struct plot_slice *s, const struct picture *p) {
    *w = (struct words){0};
    titles_whole(&w->title, s->key, s->key_names, s->n_key);
    describe(&w->described, s, p);
    remark(&w->remark, s, p);
    plot_x_name(&w->x, s, p->kind);
    plot_y_name(&w->y, s, p->kind);
    struct text_buffer *all[] = {&w->title, &w->described, &w->remark, &w->x, &w->y};
    bool good = true;
    for (size_t i = 0; i < 5; i++) {
        text_buffer_char(all[i], '\0');
        good = good && !all[i]->failed;
    }
    return good;
}

static void words_free(struct words *w) {
    text_buffer_free(&w->title);
    text_buffer_free(&w->described);
    text_buffer_free(&w->remark);
    text_buffer_free(&w->x);
    text_buffer_free(&w->y);
}

/* A title that is too long in the usual size may still fit in a smaller one. */
static void draw_title(FILE *out, double left, double width, const char *title) {
    struct svg_style style = PLOT_TITLE;
    if (svg_text_width(style, title, strlen(title)) > width) style.size = 12;
    svg_text(out, left, 26, style, width, title);
}

static void draw_slice(FILE *out, const struct picture *p, const struct words *w) {
    enum { WIDTH = 720, HEIGHT = 480, TOP = 74, BOTTOM = 56, RIGHT = 24 };
    struct svg_frame f = {.top = TOP, .height = HEIGHT - TOP - BOTTOM};
    f.y = svg_axis_choose(p->y_low, p->y_high, 7);
    f.left = plot_label_width(&f.y) + 38;
    f.width = WIDTH - RIGHT - f.left;
    f.x = svg_axis_fit(p->x_low, p->x_high, 7, f.width);
    svg_open(out, WIDTH, HEIGHT, w->title.at);
    draw_title(out, f.left, f.width, w->title.at);
    svg_text(out, f.left, 45, BODY, f.width, w->described.at);
    if (*w->remark.at) {
        svg_text(out, f.left, 62, p->status == FIT_OK ? PLOT_FAINT : PLOT_ALARMING, f.width, w->remark.at);
    }
    svg_frame_draw(out, &f, true, true);
    picture_draw(out, p, &f, 2.6);
    svg_name_x(out, &f, 38, w->x.at);
    svg_name_y(out, &f, plot_label_width(&f.y) + 18, w->y.at);
    svg_close(out);
}

bool plot_write_slice(FILE *out, const struct plot_slice *slice) {
    struct picture p;
    struct words words;
    if (!picture_make(&p, slice, PLOT_MAX_POINTS)) return false;
    bool good = words_make(&words, slice, &p);
    if (good) draw_slice(out, &p, &words);
    words_free(&words);
    picture_free(&p);
    return good && fflush(out) == 0 && !ferror(out);
}
