/* command_impute: `jobs impute`, which reads its file twice. */
#include "workers/jobs/fit/impute.h"
#include "workers/jobs/command/command.h"
#include "workers/jobs/command/io.h"

static struct csv_source again(void *context) {
    input_again(context);
    return input_source(context);
}

static bool impute(const struct jobs_args *args, struct input *in, FILE *out, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct impute_input input = {in->name, input_source(in), again, in};
    struct progress progress;
    spec.notes = args->quiet ? NULL : stderr;
    progress_begin(&progress, args, &spec);
    bool good = impute_run(&spec, &input, &args->dataset, out, error);
    progress_end(&progress);
    if (!good && in->error.fault) *error = in->error; /* the first cause */
    return good;
}

bool command_impute(const struct jobs_args *args, struct jobs_error *error) {
    struct input in;
    struct output out;
    input_init(&in, args->files.items[0]);
    input_twice(&in, args->spec.scratch_dir);
    bool good = input_open(&in, error) && output_open(&out, args->output, args->spec.scratch_dir, error);
    if (good) good = output_close(&out, impute(args, &in, out.file, error), error);
    input_close(&in);
    return good;
}
