/* titles: what slices are called in pictures.
 *
 * The panels of a page are called by what tells them apart. Key columns that say the same in all of them are left out,
 * and so is, where titles would be too long for their panels, what all values of a column begin or end with; the page
 * says that once. Only what is then still too long is cut, in its middle. No two panels have the same title.
 */
#ifndef ROOKERY_WORKERS_JOBS_REPORT_TITLES_H
#define ROOKERY_WORKERS_JOBS_REPORT_TITLES_H

#include "workers/jobs/report/svg.h"
#include "workers/jobs/table/slices.h"

/* The bytes of a cell that titles go by. */
#define TITLES_CELL_MAX SVG_TITLE_MAX

/* Adds the whole key: "species = Adelie, sex = (missing)", or "all rows". */
void titles_whole(struct text_buffer *out, const struct slice_cell *cells, const char *const *names,
                  size_t n_names);

/* The titles of a page; owned: titles_free. */
struct titles {
    char **panel;
    size_t n;
    char *common; /* what all panels share: "site = Dream"; empty when there is nothing */
    char *
        form; /* what a panel's title says: "panels: species, sex"; empty when the titles say it themselves */
};
/* cells: n_names for each of the n panels, one panel after the other. width: of a panel, in pixels. Returns false on
 * allocation failure; nothing is owned then. */
bool titles_make(struct titles *titles, const struct slice_cell *cells, size_t n, const char *const *names,
                 size_t n_names, struct svg_style style, double width);
void titles_free(struct titles *titles);

#endif
