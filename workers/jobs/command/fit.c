/*
 * command_fit: `jobs fit`, and its three steps `jobs slice`, `jobs fit PART` and `jobs combine`.
 *
 * A file that begins as a part does is one; then the options that say what to fit are refused, since the part says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/jobs/command/command.h"
#include "workers/jobs/command/io.h"
#include "workers/jobs/fit/steps.h"

/* ---- jobs fit ---------------------------------------------------------------------------------------- */

static bool fit_part(const struct jobs_args *args, struct input *in, FILE *out, struct jobs_error *error) {
    if (args->about_model) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s: %s is a part, which says itself what to fit",
                         args->about_model, in->name);
    }
    struct grouped_spec told = {0};
    progress_follow(&told);
    struct steps_fit_options options = {.threads = args->spec.threads,
                                        .plot_dir = args->spec.plot_dir,
                                        .notes = progress_notes(),
                                        .go_on = told.go_on,
                                        .fitted = told.fitted,
                                        .format = args->spec.format};
    return steps_fit(in->name, input_source(in), &options, out, error);
}

/* Opens the dataset and the job over it. */
static bool open_job(const struct grouped_spec *spec, const struct jobs_args *args, struct input *in,
                     struct dataset *dataset, struct grouped *job, struct jobs_error *error) {
    struct dataset_options options = args->dataset;
    if (!spec->y) return jobs_fail(error, JOBS_FAULT_USAGE, "--y is needed: the column to explain");
    grouped_dataset_options(spec, &options);
    if (!dataset_open(dataset, in->name, input_source(in), &options, error)) return false;
    if (grouped_open(job, spec, dataset, error)) return true;
    dataset_close(dataset);
    return false;
}

static bool fit_table(const struct jobs_args *args, struct input *in, FILE *out, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct dataset dataset;
    struct grouped job;
    spec.notes = progress_notes();
    progress_follow(&spec);
    if (!open_job(&spec, args, in, &dataset, &job, error)) return false;
    bool good = grouped_run(&job, out, error);
    grouped_close(&job);
    dataset_close(&dataset);
    return good;
}

bool command_fit(const struct jobs_args *args, struct jobs_error *error) {
    struct input in;
    struct table_output out;
    bool part;
    input_init(&in, args->files.items[0]);
    if (!input_starts_with(&in, STEPS_MAGIC, STEPS_MAGIC_LENGTH, &part, error)) return false;
    bool good = table_output_open(&out, args, error);
    if (good) {
        good = part ? fit_part(args, &in, out.file, error) : fit_table(args, &in, out.file, error);
        good = table_output_close(&out, good, error);
    }
    input_close(&in);
    return good;
}

/* ---- jobs slice -------------------------------------------------------------------------------------- */

struct parts_dir {
    const char *path, *scratch_dir;
    char *name; /* of the part being written */
    struct output out;
};

static FILE *open_part(void *context, const struct steps_part *part, struct jobs_error *error) {
    struct parts_dir *dir = context;
    size_t room = strlen(dir->path) + strlen(part->name) + sizeof "/.rkpart";
    dir->name = malloc(room);
    if (!dir->name) {
        jobs_fail_memory(error, "a part");
        return NULL;
    }
    snprintf(dir->name, room, "%s/%s.rkpart", dir->path, part->name);
    if (output_open(&dir->out, dir->name, dir->scratch_dir, error)) return dir->out.file;
    free(dir->name);
    return NULL;
}

static bool close_part(void *context, const struct steps_part *part, FILE *file, bool whole,
                       struct jobs_error *error) {
    struct parts_dir *dir = context;
    (void)part, (void)file;
    bool good = output_close(&dir->out, whole, error);
    if (good) puts(dir->name);
    free(dir->name);
    return good;
}

static void say_planned(const struct steps_planned *p) {
    fprintf(stderr, "%zu part%s of %llu slice%s, %llu rows", p->parts, p->parts == 1 ? "" : "s",
            (unsigned long long)p->slices, p->slices == 1 ? "" : "s", (unsigned long long)p->rows);
    if (p->left_out) fprintf(stderr, "; %llu without a slice key left out", (unsigned long long)p->left_out);
    fputc('\n', stderr);
}

bool command_slice(const struct jobs_args *args, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct parts_dir dir = {.path = args->output_dir, .scratch_dir = spec.scratch_dir};
    struct steps_sink sink = {open_part, close_part, &dir};
    struct steps_planned planned;
    struct dataset dataset;
    struct grouped job;
    struct input in;
    spec.notes = progress_notes();
    progress_follow(&spec);
    if (mkdir(dir.path, 0777) != 0 && errno != EEXIST) {
        return jobs_fail(error, JOBS_FAULT_DATA, "the folder %s cannot be made: %s", dir.path,
                         strerror(errno));
    }
    input_init(&in, args->files.items[0]);
    if (!input_open(&in, error)) return false;
    bool good = open_job(&spec, args, &in, &dataset, &job, error);
    if (good) {
        good = steps_plan(&job, args->part_rows, &sink, &planned, error);
        grouped_close(&job);
        dataset_close(&dataset);
    }
    input_close(&in);
    progress_end();
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
        struct steps_combine_options options = {args->spec.format, args->spec.memory / 8,
                                                args->spec.scratch_dir};
        good = table_output_close(&out, steps_combine(tables, n, &options, out.file, error), error);
    }
    for (size_t i = 0; inputs && i < n; i++) input_close(&inputs[i]);
    free(inputs);
    free(tables);
    return good;
}
