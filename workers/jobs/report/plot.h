/* Pictures of fits, as SVG files that need nothing else: one per slice, and a small-multiples overview.
 *
 * One predictor: the points, the fitted line and the confidence band of the mean. Several predictors (or none):
 * observed against fitted values with the diagonal, which shows fit, outliers and curvature for any number of
 * predictors. A logistic fit of one predictor shows the curve; of several, observed class against fitted probability.
 * A slice without estimates shows its points and says why.
 *
 * Texts from the data (titles, column names) are escaped and cut to fit. Of more than PLOT_MAX_POINTS points
 * an evenly spaced selection is drawn, always the same for the same data, and the picture says so: the size
 * of a file is bounded.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_PLOT_H
#define ROOKERY_WORKERS_JOBS_REPORT_PLOT_H

#include <stdio.h>

#include "workers/jobs/model/linear.h"
#include "workers/jobs/model/logistic.h"

#define PLOT_MAX_POINTS 4000
/* The maximum number of points in a panel of the overview, and of panels in a sheet: a browser still scrolls that
 * smoothly. */
#define PLOT_PANEL_POINTS 300
#define PLOT_MAX_PANELS 120

/* A fitted slice; everything is borrowed for the call. */
struct plot_slice {
    const char *title;          /* the slice: "species = Adelie" */
    const char *y_name;         /* UTF-8; ill-formed bytes are replaced */
    const char *const *x_names; /* p names */
    const struct linear_input *input;
    const struct fit_term *terms; /* as fitted, the intercept first unless no_intercept */
    bool no_intercept;
    double confidence;                  /* of the band; 0 for LINEAR_CONFIDENCE */
    const struct linear_result *linear; /* one of the two */
    const struct logistic_result *logistic;
};

/* Writes one picture. Returns false when writing failed (errno says why). */
bool plot_write_slice(FILE *out, const struct plot_slice *slice);

/* The overview: add slices in the order they should appear, then write. All panels share the axes, so that slices can
 * be compared. plot_overview_add copies what it needs. Slices beyond PLOT_MAX_PANELS are only counted, and the sheet
 * says how many there were. */
struct plot_overview;
struct plot_overview *plot_overview_new(const char *title); /* NULL on allocation failure */
/* Returns false on allocation failure. */
bool plot_overview_add(struct plot_overview *o, const struct plot_slice *slice);
bool plot_overview_write(const struct plot_overview *o, FILE *out); /* false when writing failed */
void plot_overview_free(struct plot_overview *o);

#endif
