/* command_impute: `jobs impute`, which reads its files twice. */
#include "workers/jobs/fit/impute.h"
#include "workers/jobs/command/command.h"
#include "workers/jobs/command/files.h"

static struct csv_source again(void *context) {
    progress_again("writing");
    return files_source(context);
}

static bool impute(const struct jobs_args *args, struct files *files, FILE *out, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct dataset_options options = args->dataset;
    struct impute_input input = {files->inputs->name, files_source(files), again, files};
    spec.notes = progress_notes();
    progress_follow(&spec);
    files_options(files, &options);
    bool good = impute_run(&spec, &input, &options, out, error);
    if (!good) files_failed(files, error);
    return good;
}

bool command_impute(const struct jobs_args *args, struct jobs_error *error) {
    struct files files;
    struct output out;
    if (!files_open(&files, args, true, error)) return false;
    bool good = output_open(&out, args->output, args->spec.scratch_dir, error);
    if (good) good = output_close(&out, impute(args, &files, out.file, error), error);
    files_close(&files);
    return good;
}
