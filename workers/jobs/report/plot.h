/* Pictures of fits, as SVG files that need nothing else: one per slice, and a small-multiples overview.
 *
 * One predictor: the points, the fitted line and the confidence band of the mean. Several predictors (or none):
 * observed against fitted values with the diagonal, which shows fit, outliers and curvature for any number of
 * predictors. A logistic fit of one predictor shows the curve; of several, observed class against fitted probability;
 * both say which value of the response is 1. A slice without estimates shows its points and says why. Bands are cut
 * where the points and the line end, so that a few points do not make a picture of nothing but their band.
 *
 * Texts from the data (titles, column names) are escaped and shortened to fit; the whole key of a slice is in a
 * <title>. Of more than PLOT_MAX_POINTS points an evenly spaced selection is drawn, always the same for the same data,
 * and the picture says so: the size of a file is bounded.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_PLOT_H
#define ROOKERY_WORKERS_JOBS_REPORT_PLOT_H

#include <stdio.h>

#include "workers/jobs/model/linear.h"
#include "workers/jobs/model/logistic.h"
#include "workers/jobs/table/error.h"
#include "workers/jobs/table/slices.h"

#define PLOT_MAX_POINTS 4000
/* The maximum number of points in a panel of the overview, and of panels on a page: a browser still scrolls that
 * smoothly. */
#define PLOT_PANEL_POINTS 300
#define PLOT_PAGE_PANELS 100

/* A fitted slice; everything is borrowed for the call. */
struct plot_slice {
    const struct slice_cell *key; /* n_key cells, and their columns' names */
    const char *const *key_names;
    size_t n_key;
    const char *y_name;         /* UTF-8; ill-formed bytes are replaced */
    const char *positive;       /* logistic: the value of y that counts as 1; NULL: the number 1 */
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

/* The overview: add all slices, then write its pages, which link to one another. Slices come in the order of their
 * keys, whatever the order in which they were added, PLOT_PAGE_PANELS on a page. All panels of all pages share the
 * axes, so that slices can be compared. Panels beyond the first page wait in a temporary file. */
struct plot_overview;
/* kinds: of the keys, borrowed, read when the first page is written; NULL: the order of plot_overview_add.
 * scratch_dir: as spill_temporary has it. Returns NULL on allocation failure. */
struct plot_overview *plot_overview_new(const char *title, const struct slice_kinds *kinds,
                                        const char *scratch_dir);
/* Copies what it needs. All slices have the same names. */
bool plot_overview_add(struct plot_overview *o, const struct plot_slice *slice, struct jobs_error *error);
/* At least 1, also without slices. */
size_t plot_overview_pages(const struct plot_overview *o);
/* The file that a page's links call page `page` (from 0): overview.svg, overview-2.svg, ... Returns name. */
#define PLOT_NAME_ROOM 40
char *plot_overview_name(size_t page, char name[PLOT_NAME_ROOM]);
/* Returns false when writing failed (errno says why), or with *error set. */
bool plot_overview_write(struct plot_overview *o, size_t page, FILE *out, struct jobs_error *error);
void plot_overview_free(struct plot_overview *o);

#endif
