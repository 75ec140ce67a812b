/* grouped_plots: a picture per slice and an overview, in the folder the job names. See grouped_internal.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "workers/jobs/fit/grouped_internal.h"
#include "workers/jobs/report/output.h"
#include "workers/jobs/report/plot.h"

struct grouped_plots {
    const struct grouped *job;
    struct plot_overview *overview;
};

static bool could_not(const char *path, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "--plot: %s could not be written: %s", path, strerror(errno));
}

struct grouped_plots *grouped_plots_new(const struct grouped *job, struct jobs_error *error) {
    if (mkdir(job->spec->plot_dir, 0777) != 0 && errno != EEXIST) {
        could_not(job->spec->plot_dir, error);
        return NULL;
    }
    struct grouped_plots *plots = calloc(1, sizeof *plots);
    if (plots) {
        char title[256];
        snprintf(title, sizeof title, "%.200s%s", job->spec->y, job->spec->n_slice_by ? " by slice" : "");
        plots->job = job;
        plots->overview = plot_overview_new(title);
        if (plots->overview) return plots;
    }
    free(plots);
    jobs_fail_memory(error, "the pictures");
    return NULL;
}

void grouped_plots_free(struct grouped_plots *plots) {
    if (!plots) return;
    plot_overview_free(plots->overview);
    free(plots);
}

struct picture {
    char path[4096];
    struct output out;
};

static bool open_picture(struct picture *p, const struct grouped_plots *plots, const char *prefix,
                         const char *name, struct jobs_error *error) {
    const struct grouped_spec *spec = plots->job->spec;
    int length = snprintf(p->path, sizeof p->path, "%s/%s%s.svg", spec->plot_dir, prefix, name);
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
    const struct grouped_spec *spec = plots->job->spec;
    char name[SLICE_FILE_ROOM], title[SLICE_TITLE_ROOM];
    slice_key_file_name(key, spec->n_slice_by, name);
    slice_key_title(key, spec->slice_by, spec->n_slice_by, title);
    struct plot_slice slice = {.title = title,
                               .y_name = spec->y,
                               .x_names = spec->x,
                               .input = input,
                               .terms = terms,
                               .no_intercept = spec->linear.no_intercept,
                               .confidence = spec->linear.confidence,
                               .linear = linear,
                               .logistic = logistic};
    struct picture p;
    if (!open_picture(&p, plots, "slice-", name, error)) return false;
    if (!close_picture(&p, plot_write_slice(p.out.file, &slice), error)) return false;
    return plot_overview_add(plots->overview, &slice) || jobs_fail_memory(error, "the pictures");
}

bool grouped_plots_finish(struct grouped_plots *plots, struct jobs_error *error) {
    struct picture p;
    return open_picture(&p, plots, "", "overview", error) &&
           close_picture(&p, plot_overview_write(plots->overview, p.out.file), error);
}
