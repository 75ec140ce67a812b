/* `jobs associate` and `jobs expression`. */
#include "workers/jobs/fit/genomics.h"
#include "workers/jobs/command/command.h"
#include "workers/jobs/command/io.h"

static struct genomics_spec spec_of(const struct jobs_args *args) {
    struct genomics_spec spec = args->genomics;
    spec.format = args->spec.format;
    return spec;
}

/* Opens it, so that a missing file is noticed before anything is read. */
static bool open_file(struct input *in, struct genomics_file *file, const struct dataset_options *options,
                      struct jobs_error *error) {
    *file = (struct genomics_file){in->name, input_source(in), *options};
    return input_open(in, error);
}

bool command_associate(const struct jobs_args *args, struct jobs_error *error) {
    struct genomics_spec spec = spec_of(args);
    struct input in;
    struct table_output out;
    struct genomics_file rows;
    input_init(&in, args->files.items[0]);
    if (!table_output_open(&out, args, error)) return false;
    bool good =
        open_file(&in, &rows, &args->dataset, error) && genomics_associate(&spec, &rows, out.file, error);
    good = table_output_close(&out, good, error);
    input_close(&in);
    return good;
}

bool command_expression(const struct jobs_args *args, struct jobs_error *error) {
    /* Columns with missing tokens of their own are the rows' file's. */
    struct dataset_options plain = {.delimiter = args->dataset.delimiter, .na = args->dataset.na};
    struct genomics_spec spec = spec_of(args);
    struct input in[3];
    struct table_output out;
    struct genomics_file map, symbols = {0}, rows;
    input_init(&in[0], args->map);
    input_init(&in[1], args->symbols ? args->symbols : "");
    input_init(&in[2], args->files.items[0]);
    if (!table_output_open(&out, args, error)) return false;
    bool good = open_file(&in[0], &map, &plain, error) &&
                (!args->symbols || open_file(&in[1], &symbols, &plain, error)) &&
                open_file(&in[2], &rows, &args->dataset, error) &&
                genomics_express(&spec, &rows, &map, &symbols, out.file, progress_notes(), error);
    good = table_output_close(&out, good, error);
    for (size_t i = 0; i < 3; i++) input_close(&in[i]);
    return good;
}
