/* grouped_plots: a picture per slice and an overview, in the folder the job names. See grouped_internal.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "workers/jobs/fit/grouped_internal.h"
#include "workers/jobs/report/output.h"
#include "workers/jobs/report/plot.h"
#include "workers/jobs/table/text_buffer.h"

struct grouped_plots {
    const struct grouped_state *state;
    struct plot_overview *overview;
    struct slice_cell *cells; /* of the key of the slice in hand */
    size_t slices;
};

static bool could_not(const char *path, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "--plot: %s could not be written: %s", path, strerror(errno));
}

/* "flipper_length_mm by species, sex" */
static struct plot_overview *new_overview(const struct grouped_state *state) {
    const struct grouped_spec *spec = state->job->spec;
    struct plot_overview *overview = NULL;
    struct text_buffer title = {0};
    text_buffer_string(&title, spec->y);
    for (size_t i = 0; i < spec->n_slice_by; i++) {
        text_buffer_string(&title, i == 0 ? " by " : ", ");
        text_buffer_string(&title, spec->slice_by[i]);
    }
    text_buffer_char(&title, '\0');
    if (!title.failed) overview = plot_overview_new(title.at, &state->kinds, spec->scratch_dir);
    text_buffer_free(&title);
    return overview;
}

struct grouped_plots *grouped_plots_new(const struct grouped_state *state, struct jobs_error *error) {
    const struct grouped_spec *spec = state->job->spec;
    if (mkdir(spec->plot_dir, 0777) != 0 && errno != EEXIST) {
        could_not(spec->plot_dir, error);
        return NULL;
    }
    struct grouped_plots *plots = calloc(1, sizeof *plots);
    if (plots) {
        plots->state = state;
        plots->cells = calloc(spec->n_slice_by + 1, sizeof *plots->cells);
        plots->overview = new_overview(state);
        if (plots->cells && plots->overview) return plots;
    }
    grouped_plots_free(plots);
    jobs_fail_memory(error, "the pictures");
    return NULL;
}

void grouped_plots_free(struct grouped_plots *plots) {
    if (!plots) return;
    plot_overview_free(plots->overview);
    free(plots->cells);
    free(plots);
}

struct picture {
    char path[4096];
    struct output out;
};

static bool open_picture(struct picture *p, const struct grouped_plots *plots, const char *name,
                         struct jobs_error *error) {
    const struct grouped_spec *spec = plots->state->job->spec;
    int length = snprintf(p->path, sizeof p->path, "%s/%s", spec->plot_dir, name);
    if ((size_t)length < sizeof p->path) return output_open(&p->out, p->path, spec->scratch_dir, error);
    errno = ENAMETOOLONG;
    return could_not(p->path, error);
}

static bool close_picture(struct picture *p, bool good, struct jobs_error *error) {
    if (!good) could_not(p->path, error);
    return output_close(&p->out, good, error);
}

bool grouped_plots_add(struct grouped_plots *plots, struct slice_key key, const struct linear_input *input,
                       const struct fit_term *terms, const struct linear_result *linear,
                       const struct logistic_result *logistic, struct jobs_error *error) {
    const struct grouped_spec *spec = plots->state->job->spec;
    char key_name[SLICE_FILE_ROOM], name[SLICE_FILE_ROOM + sizeof "slice-.svg"];
    const char *at = key.bytes;
    for (size_t i = 0; i < spec->n_slice_by; i++) at = slice_key_next(at, &plots->cells[i]);
    snprintf(name, sizeof name, "slice-%s.svg", slice_key_file_name(key, spec->n_slice_by, key_name));
    struct plot_slice slice = {.key = plots->cells,
                               .key_names = spec->slice_by,
                               .n_key = spec->n_slice_by,
                               .y_name = spec->y,
                               .positive = plots->state->positive,
                               .x_names = spec->x,
                               .input = input,
                               .terms = terms,
                               .no_intercept = spec->linear.no_intercept,
                               .confidence = spec->linear.confidence,
                               .linear = linear,
                               .logistic = logistic};
    struct picture p;
    plots->slices++;
    if (!open_picture(&p, plots, name, error)) return false;
    if (!close_picture(&p, plot_write_slice(p.out.file, &slice), error)) return false;
    return plot_overview_add(plots->overview, &slice, error);
}

static void say_pages(const struct grouped_plots *plots, size_t pages) {
    const struct grouped_spec *spec = plots->state->job->spec;
    char last[PLOT_NAME_ROOM] = "";
    if (!spec->notes) return;
    fprintf(spec->notes, "%zu picture%s of slices and %zu page%s of overview in %s: overview.svg",
            plots->slices, plots->slices == 1 ? "" : "s", pages, pages == 1 ? "" : "s", spec->plot_dir);
    if (pages > 1) fprintf(spec->notes, " to %s", plot_overview_name(pages - 1, last));
    fputc('\n', spec->notes);
}

bool grouped_plots_finish(struct grouped_plots *plots, struct jobs_error *error) {
    size_t pages = plot_overview_pages(plots->overview);
    char name[PLOT_NAME_ROOM];
    struct picture p;
    for (size_t i = 0; i < pages; i++) {
        if (!open_picture(&p, plots, plot_overview_name(i, name), error)) return false;
        bool good = plot_overview_write(plots->overview, i, p.out.file, error);
        if (!close_picture(&p, good, error)) return false;
    }
    say_pages(plots, pages);
    return true;
}
