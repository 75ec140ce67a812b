/* From a fitted slice to a picture of it.
 *
 * Both kinds of file start from struct picture: the points to draw, the line with its band as samples, and
 * the ranges, all in data coordinates. A slice's own file puts one into a large frame with its equation; the
 * overview keeps many, takes the union of their ranges, and draws them side by side.
 */
#include "workers/jobs/report/plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/model/distributions.h"
#include "workers/jobs/report/svg.h"

#define SAMPLES 61
#define POINT_COLOR "#2563a8"
#define LINE_COLOR "#c2410c"
#define DOT "  \xc2\xb7  "
#define ALARMING "fill=\"#b91c1c\" font-size=\"11\""
#define FAINT "fill=\"#6b7280\" font-size=\"11\""

enum picture_kind {
    PICTURE_LINE,   /* one predictor, linear: points and the line */
    PICTURE_CURVE,  /* one predictor, logistic: classes and the probability */
    PICTURE_FITTED, /* several: observed against fitted, and the diagonal */
};

struct picture {
    enum picture_kind kind;
    char *title;
    double *points;                      /* x, y in turn */
    size_t count, of;                    /* points drawn, and all points */
    double x_low, x_high, y_low, y_high; /* of the points (all of them) and the line */
    bool has_line, has_band;
    double x[SAMPLES], middle[SAMPLES], low[SAMPLES], high[SAMPLES];
    enum fit_status status;
};

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

/* Makes room for the line, and for its band unless that would dwarf the points. */
static void show_line(struct picture *p) {
    double room = p->y_high / 2 - p->y_low / 2, floor_y = p->y_low - room, ceiling_y = p->y_high + room;
    for (size_t k = 0; p->has_line && k < SAMPLES; k++) {
        widen(p, p->x[k], p->middle[k]);
        if (!p->has_band) continue;
        widen(p, p->x[k], fmax(p->low[k], floor_y));
        widen(p, p->x[k], fmin(p->high[k], ceiling_y));
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

static void picture_free(struct picture *p) {
    free(p->points);
    free(p->title);
}

/* Returns false on allocation failure; nothing is owned then. */
static bool picture_make(struct picture *p, const struct plot_slice *s, size_t most) {
    *p = (struct picture){.status = slice_status(s)};
    p->kind = s->input->p != 1 ? PICTURE_FITTED : s->logistic ? PICTURE_CURVE : PICTURE_LINE;
    p->title = strdup(s->title);
    if (!p->title || !take_points(p, s, most)) {
        picture_free(p);
        return false;
    }
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
    fputs("<path fill=\"" LINE_COLOR "\" fill-opacity=\"0.16\" d=\"M", out);
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

static void draw_picture(FILE *out, const struct picture *p, const struct svg_frame *f, double radius) {
    svg_frame_enter(out, f);
    if (p->has_band) draw_band(out, p, f);
    draw_points(out, p, f, radius);
    if (p->has_line) draw_line(out, p, f, radius * 0.8);
    svg_frame_leave(out);
}

/* ---- one slice --------------------------------------------------------------------------------------- */

/* Appends to a text of fixed size, cutting what does not fit. */
static void append(char text[static 512], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char text[static 512], const char *format, ...) {
    size_t length = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + length, 512 - length, format, args);
    va_end(args);
}

/* The fitted equation, of one predictor. */
static void describe_model(const struct plot_slice *s, const struct picture *p, char text[static 512]) {
    const struct fit_term *slope = slopes_of(s);
    if (p->kind == PICTURE_FITTED) {
        append(text, DOT "%zu predictors", s->input->p);
        return;
    }
    if (!p->has_line || slope->dropped) return;
    append(text, p->kind == PICTURE_CURVE ? DOT "logit P(%s) = " : DOT "%s = ", s->y_name);
    if (!s->no_intercept) {
        append(text, "%.6g %s ", intercept_of(s), slope->estimate < 0 ? "\xe2\x88\x92" : "+");
    }
    append(text, "%.6g %s", s->no_intercept ? slope->estimate : fabs(slope->estimate), s->x_names[0]);
}

/* The line below the title: size, fit, model. Names come last, as they may be long. */
static void describe(const struct plot_slice *s, const struct picture *p, char text[static 512]) {
    text[0] = '\0';
    append(text, "n = %zu", s->linear ? s->linear->n : s->logistic->n);
    if (s->linear && isfinite(s->linear->r_squared))
        append(text, DOT "R\xc2\xb2 = %.4f", s->linear->r_squared);
    if (s->logistic && isfinite(s->logistic->deviance)) {
        append(text, DOT "deviance %.4g of %.4g", s->logistic->deviance, s->logistic->null_deviance);
    }
    describe_model(s, p, text);
}

/* The line below that, if needed: errors, and what is not drawn. */
static void remark(const struct plot_slice *s, const struct picture *p, char text[static 512]) {
    text[0] = '\0';
    if (p->status != FIT_OK) append(text, "%s", fit_status_name(p->status));
    const char *lead = "; dropped: ";
    for (size_t j = 0; j < s->input->p; j++) {
        if (!slopes_of(s)[j].dropped || p->status != FIT_RANK_DEFICIENT) continue;
        append(text, "%s%s", lead, s->x_names[j]);
        lead = ", ";
    }
    if (p->of == 0) append(text, "%sno points to draw", *text ? "; " : "");
    if (p->count < p->of) append(text, "%s%zu of %zu points drawn", *text ? "; " : "", p->count, p->of);
}

static double label_width(const struct svg_axis *a) {
    size_t longest = 0;
    char label[SVG_LABEL_SIZE];
    for (size_t k = 0; k < a->ticks; k++) {
        size_t length = svg_axis_label(a, k, label);
        if (length > longest) longest = length;
    }
    return 7 * (double)longest;
}

static void name_axes(FILE *out, const struct plot_slice *s, const struct picture *p,
                      const struct svg_frame *f) {
    char name[512] = "";
    bool fitted = p->kind == PICTURE_FITTED;
    append(name, fitted ? s->logistic ? "fitted probability of %s" : "fitted %s" : "%s",
           fitted ? s->y_name : s->x_names[0]);
    svg_name_x(out, f, 38, name);
    name[0] = '\0';
    append(name, fitted ? "observed %s" : "%s", s->y_name);
    svg_name_y(out, f, label_width(&f->y) + 18, name);
}

bool plot_write_slice(FILE *out, const struct plot_slice *slice) {
    enum { WIDTH = 720, HEIGHT = 480, TOP = 74, BOTTOM = 56, RIGHT = 24 };
    char text[512];
    struct picture p;
    if (!picture_make(&p, slice, PLOT_MAX_POINTS)) return false;
    struct svg_frame f = {.top = TOP, .height = HEIGHT - TOP - BOTTOM};
    f.y = svg_axis_choose(p.y_low, p.y_high, 7);
    f.left = label_width(&f.y) + 38;
    f.width = WIDTH - RIGHT - f.left;
    f.x = svg_axis_choose(p.x_low, p.x_high, 7);
    /* Long labels need room: fewer of them. */
    if (label_width(&f.x) * (double)f.x.ticks > f.width * 0.9) f.x = svg_axis_choose(p.x_low, p.x_high, 4);
    svg_open(out, WIDTH, HEIGHT, slice->title);
    svg_text(out, f.left, 26, "font-size=\"16\" font-weight=\"600\" fill=\"#111827\"", 72, slice->title);
    describe(slice, &p, text);
    svg_text(out, f.left, 45, "", 100, text);
    remark(slice, &p, text);
    if (*text) svg_text(out, f.left, 62, p.status == FIT_OK ? FAINT : ALARMING, 110, text);
    svg_frame_draw(out, &f, true, true);
    draw_picture(out, &p, &f, 2.6);
    name_axes(out, slice, &p, &f);
    svg_close(out);
    picture_free(&p);
    return fflush(out) == 0 && !ferror(out);
}

/* ---- the overview ------------------------------------------------------------------------------------ */

struct plot_overview {
    char *title, *x_name, *y_name;
    struct picture *panel;
    size_t panels, added;
};

struct plot_overview *plot_overview_new(const char *title) {
    struct plot_overview *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->title = strdup(title);
    if (o->title) return o;
    free(o);
    return NULL;
}

void plot_overview_free(struct plot_overview *o) {
    if (!o) return;
    for (size_t k = 0; k < o->panels; k++) picture_free(&o->panel[k]);
    free(o->panel);
    free(o->title);
    free(o->x_name);
    free(o->y_name);
    free(o);
}

static char *joined(const char *before, const char *name) {
    size_t size = strlen(before) + strlen(name) + 1;
    char *text = malloc(size);
    if (text) snprintf(text, size, "%s%s", before, name);
    return text;
}

/* All slices of a job have the same columns, so the first one names the axes. */
static bool take_names(struct plot_overview *o, const struct plot_slice *s) {
    bool fitted = s->input->p != 1;
    if (!o->x_name) {
        o->x_name = fitted ? joined(s->logistic ? "fitted probability of " : "fitted ", s->y_name)
                           : joined("", s->x_names[0]);
    }
    if (!o->y_name) o->y_name = joined(fitted ? "observed " : "", s->y_name);
    return o->x_name && o->y_name;
}

bool plot_overview_add(struct plot_overview *o, const struct plot_slice *slice) {
    if (o->panels == PLOT_MAX_PANELS) {
        o->added++;
        return true;
    }
    if (!take_names(o, slice)) return false;
    struct picture *panel = realloc(o->panel, (o->panels + 1) * sizeof *panel);
    if (!panel) return false;
    o->panel = panel;
    if (!picture_make(&o->panel[o->panels], slice, PLOT_PANEL_POINTS)) return false;
    o->panels++;
    o->added++;
    return true;
}

enum {
    PANEL_WIDTH = 210,
    PANEL_HEIGHT = 160,
    PANEL_GAP = 12,
    PANEL_TITLE = 20,
    SHEET_TOP = 58,
    SHEET_BOTTOM = 52
};

/* About as wide as a screen is, compared to its height. */
static size_t sheet_columns(size_t panels) {
    size_t columns = (size_t)ceil(sqrt((double)panels * 1.3));
    return columns < 1 ? 1 : columns > 8 ? 8 : columns;
}

/* The union of the ranges of all panels that are not empty. */
static void share_axes(const struct plot_overview *o, struct svg_frame *f) {
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (size_t k = 0; k < o->panels; k++) {
        const struct picture *p = &o->panel[k];
        if (p->of == 0) continue;
        x_low = fmin(x_low, p->x_low);
        x_high = fmax(x_high, p->x_high);
        y_low = fmin(y_low, p->y_low);
        y_high = fmax(y_high, p->y_high);
    }
    bool empty = !(x_low <= x_high);
    f->x = svg_axis_choose(empty ? 0 : x_low, empty ? 1 : x_high, 4);
    f->y = svg_axis_choose(empty ? 0 : y_low, empty ? 1 : y_high, 4);
    if (label_width(&f->x) * (double)f->x.ticks > PANEL_WIDTH * 0.9) {
        f->x = svg_axis_choose(empty ? 0 : x_low, empty ? 1 : x_high, 2);
    }
}

static void draw_panel(FILE *out, const struct picture *p, const struct svg_frame *f, bool bottom,
                       bool left) {
    svg_text(out, f->left, f->top - 6, "font-weight=\"600\" font-size=\"11\" fill=\"#111827\"", 30, p->title);
    svg_frame_draw(out, f, bottom, left);
    draw_picture(out, p, f, 1.6);
    if (p->status == FIT_OK) return;
    svg_text(out, f->left + 5, f->top + 13, ALARMING, 30, fit_status_name(p->status));
}

static void draw_heading(FILE *out, const struct plot_overview *o, double left) {
    char text[512] = "";
    svg_text(out, left, 26, "font-size=\"16\" font-weight=\"600\" fill=\"#111827\"", 72, o->title);
    if (o->added > o->panels)
        append(text, "the first %zu of %zu slices", o->panels, o->added);
    else
        append(text, "%zu slice%s", o->added, o->added == 1 ? "" : "s");
    svg_text(out, left, 42, FAINT, 100, text);
}

bool plot_overview_write(const struct plot_overview *o, FILE *out) {
    struct svg_frame f = {.width = PANEL_WIDTH, .height = PANEL_HEIGHT};
    share_axes(o, &f);
    size_t columns = sheet_columns(o->panels), rows = (o->panels + columns - 1) / columns;
    double left = label_width(&f.y) + 38, step = PANEL_HEIGHT + PANEL_TITLE + PANEL_GAP;
    double width = left + (double)columns * (PANEL_WIDTH + PANEL_GAP) + 12;
    double height = SHEET_TOP + (double)rows * step + SHEET_BOTTOM - PANEL_GAP;
    svg_open(out, fmax(width, 460), height, o->title);
    draw_heading(out, o, left);
    for (size_t k = 0; k < o->panels; k++) {
        f.left = left + (double)(k % columns) * (PANEL_WIDTH + PANEL_GAP);
        f.top = SHEET_TOP + PANEL_TITLE + (double)(k / columns) * step;
        draw_panel(out, &o->panel[k], &f, k + columns >= o->panels, k % columns == 0);
    }
    /* The axes are named once, for the sheet as a whole. */
    struct svg_frame sheet = {left, SHEET_TOP, width - left - 24, height - SHEET_TOP - SHEET_BOTTOM,
                              f.x,  f.y};
    if (o->x_name) svg_name_x(out, &sheet, 40, o->x_name);
    if (o->y_name) svg_name_y(out, &sheet, label_width(&f.y) + 18, o->y_name);
    svg_close(out);
    return fflush(out) == 0 && !ferror(out);
}
