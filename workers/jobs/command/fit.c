/*
 * command_fit: `jobs fit`, and its three steps `jobs slice`, `jobs fit PART` and `jobs combine`.
 *
 * A file that begins as a part does is one; then the options that say what to fit are refused, since the part says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/command/command.h"
#include "workers/jobs/command/files.h"
#include "workers/jobs/command/parts.h"
#include "workers/jobs/fit/steps.h"
#include "workers/jobs/report/summary.h"

/* ---- jobs fit ---------------------------------------------------------------------------------------- */

static bool fit_part(const struct jobs_args *args, struct files *files, const struct table_output *out,
                     struct jobs_error *error) {
    struct input *in = files->inputs;
    if (args->about_model) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s: %s is a part, which says itself what to fit",
                         args->about_model, in->name);
    }
    if (files->n > 1)
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s is a part, and is fitted by itself", in->name);
    struct grouped_spec told = {0};
    progress_follow(&told);
    struct steps_fit_options options = {.threads = args->spec.threads,
                                        .plot_dir = args->spec.plot_dir,
                                        .notes = out->notes,
                                        .go_on = told.go_on,
                                        .fitted = told.fitted,
                                        .format = args->spec.format};
    return steps_fit(in->name, input_source(in), &options, out->file, error);
}

/* Opens the dataset and the job over it. */
static bool open_job(const struct grouped_spec *spec, const struct jobs_args *args, struct files *files,
                     struct dataset *dataset, struct grouped *job, struct jobs_error *error) {
    struct dataset_options options = args->dataset;
    files_options(files, &options);
    if (!spec->y) return jobs_fail(error, JOBS_FAULT_USAGE, "--y is needed: the column to explain");
    grouped_dataset_options(spec, &options);
    if (!dataset_open(dataset, files->inputs->name, files_source(files), &options, error)) return false;
    if (grouped_open(job, spec, dataset, error)) return true;
    dataset_close(dataset);
    return false;
}

static bool fit_table(const struct jobs_args *args, struct files *files, const struct table_output *out,
                      struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct dataset dataset;
    struct grouped job;
    spec.notes = out->notes;
    progress_follow(&spec);
    if (!open_job(&spec, args, files, &dataset, &job, error)) return false;
    bool good = grouped_run(&job, out->file, error);
    grouped_close(&job);
    dataset_close(&dataset);
    return good;
}

bool command_fit(const struct jobs_args *args, struct jobs_error *error) {
    struct files files;
    struct table_output out;
    bool part;
    if (!files_open(&files, args, false, error)) return false;
    bool good = input_starts_with(files.inputs, STEPS_MAGIC, STEPS_MAGIC_LENGTH, &part, error) &&
                table_output_open(&out, args, error);
    if (good) {
        good = part ? fit_part(args, &files, &out, error) : fit_table(args, &files, &out, error);
        if (!good) files_failed(&files, error);
        good = table_output_close(&out, good, error);
    }
    files_close(&files);
    return good;
}

/* ---- jobs slice -------------------------------------------------------------------------------------- */

static void say_planned(const struct steps_planned *p) {
    struct summary summary = {.rows = p->rows + p->left_out, .dropped = p->left_out};
    snprintf(summary.results, sizeof summary.results, "%zu part%s of %llu slice%s", p->parts,
             p->parts == 1 ? "" : "s", (unsigned long long)p->slices, p->slices == 1 ? "" : "s");
    summary_write(&summary, stderr);
}

bool command_slice(const struct jobs_args *args, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct parts_folder folder;
    struct steps_planned planned;
    struct dataset dataset;
    struct grouped job;
    struct files files;
    spec.notes = progress_notes();
    progress_follow(&spec);
    if (!parts_folder_open(&folder, args->output_dir, args->clear, &spec, error)) return false;
    if (!files_open(&files, args, false, error)) return false;
    struct steps_sink sink = parts_folder_sink(&folder);
    bool good = open_job(&spec, args, &files, &dataset, &job, error);
    if (good) {
        good = steps_plan(&job, args->part_rows, &sink, &planned, error);
        grouped_close(&job);
        dataset_close(&dataset);
    }
    if (!good) files_failed(&files, error);
    files_close(&files);
    progress_end();
    parts_folder_close(&folder, good);
    if (good && !args->quiet) say_planned(&planned);
    return good;
}

/* ---- jobs combine ------------------------------------------------------------------------------------ */

bool command_combine(const struct jobs_args *args, struct jobs_error *error) {
    size_t n = args->files.n;
    struct input *inputs = calloc(n, sizeof *inputs);
    struct steps_table *tables = calloc(n, sizeof *tables);
    struct table_output out;
    bool good = (inputs && tables) || jobs_fail_memory(error, "the tables");
    for (size_t i = 0; i < n && good; i++) {
        input_init(&inputs[i], args->files.items[i]);
        input_expect(&inputs[i]);
        tables[i] = (struct steps_table){inputs[i].name, input_source(&inputs[i])};
        /* They are opened one after the other: better to say now that the last one is not there. */
        if (strcmp(args->files.items[i], "-") == 0 || access(args->files.items[i], R_OK) == 0) continue;
        good = jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be read: %s", inputs[i].name, strerror(errno));
    }
    good = good && table_output_open(&out, args, error);
    if (good) {
        struct steps_combine_options options = {.format = args->spec.format,
                                                .memory = args->spec.memory / 8,
                                                .scratch_dir = args->spec.scratch_dir,
                                                .notes = out.notes};
        good = table_output_close(&out, steps_combine(tables, n, &options, out.file, error), error);
    }
    for (size_t i = 0; inputs && i < n; i++) input_close(&inputs[i]);
    free(inputs);
    free(tables);
    return good;
}
