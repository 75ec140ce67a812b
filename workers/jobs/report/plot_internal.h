/* plot_internal: what a slice's picture and the overview share. The story is in plot.c. */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_PLOT_INTERNAL_H
#define ROOKERY_WORKERS_JOBS_REPORT_PLOT_INTERNAL_H

#include "workers/jobs/report/plot.h"
#include "workers/jobs/report/svg.h"

#define PLOT_SAMPLES 61
#define PLOT_DOT "  \xc2\xb7  "
#define PLOT_ALARMING ((struct svg_style){.size = 11, .fill = "#b91c1c", .halo = true})
#define PLOT_FAINT ((struct svg_style){.size = 11, .fill = "#6b7280"})
#define PLOT_TITLE ((struct svg_style){.size = 16, .bold = true, .fill = "#111827"})

enum picture_kind {
    PICTURE_LINE,   /* one predictor, linear: points and the line */
    PICTURE_CURVE,  /* one predictor, logistic: classes and the probability */
    PICTURE_FITTED, /* several: observed against fitted, and the diagonal */
};

struct picture {
    enum picture_kind kind;
    double *points;   /* x, y in turn; owned */
    size_t count, of; /* points drawn, and all points */
    double x_low, x_high, y_low,
        y_high; /* of the points (all of them), the line and its band as it is drawn */
    bool has_line, has_band;
    size_t band_cuts; /* samples where the band goes on beyond what is drawn */
    double x[PLOT_SAMPLES], middle[PLOT_SAMPLES], low[PLOT_SAMPLES], high[PLOT_SAMPLES];
    enum fit_status status;
};
/* Draws at most `most` points. Returns false on allocation failure; nothing is owned then. */
bool picture_make(struct picture *p, const struct plot_slice *s, size_t most);
void picture_free(struct picture *p);
void picture_draw(FILE *out, const struct picture *p, const struct svg_frame *f, double radius);

/* Adds the names of the axes; long names are shortened. */
void plot_x_name(struct text_buffer *out, const struct plot_slice *s, enum picture_kind kind);
void plot_y_name(struct text_buffer *out, const struct plot_slice *s, enum picture_kind kind);
/* The space that the labels of the vertical axis need, in pixels. */
double plot_label_width(const struct svg_axis *a);

#endif
