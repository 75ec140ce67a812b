/* `jobs associate` and `jobs expression`. */
#include "workers/jobs/fit/genomics.h"
#include "workers/jobs/command/command.h"
#include "workers/jobs/command/files.h"

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

/* The rows' table. */
static struct genomics_file file_of(struct files *files, const struct dataset_options *options) {
    struct genomics_file file = {files->inputs->name, files_source(files), *options};
    files_options(files, &file.options);
    return file;
}

bool command_associate(const struct jobs_args *args, struct jobs_error *error) {
    struct genomics_spec spec = spec_of(args);
    struct files files;
    struct table_output out;
    if (!files_open(&files, args, false, error)) return false;
    bool good = table_output_open(&out, args, error);
    if (good) {
        struct genomics_file rows = file_of(&files, &args->dataset);
        good = genomics_associate(&spec, &rows, out.file, out.notes, error);
        if (!good) files_failed(&files, error);
        good = table_output_close(&out, good, error);
    }
    files_close(&files);
    return good;
}

/* What is said of columns by name is of the rows' file. */
static struct dataset_options map_options(const struct jobs_args *args, const char *path, char delimiter,
                                          bool no_header) {
    if (!delimiter) delimiter = input_delimiter(path);
    struct dataset_options options = {.delimiter = delimiter ? delimiter : args->dataset.delimiter,
                                      .na = args->dataset.na,
                                      .allowed = args->dataset.allowed};
    options.allowed.no_header = no_header;
    return options;
}

bool command_expression(const struct jobs_args *args, struct jobs_error *error) {
    struct dataset_options of_map = map_options(args, args->map, args->map_delimiter, args->no_map_header);
    struct dataset_options of_symbols = map_options(args, args->symbols ? args->symbols : "",
                                                    args->symbols_delimiter, args->no_symbols_header);
    struct genomics_spec spec = spec_of(args);
    struct input in[2];
    struct files files;
    struct table_output out;
    struct genomics_file map, symbols = {0};
    if (!files_open(&files, args, false, error)) return false;
    input_init(&in[0], args->map);
    input_init(&in[1], args->symbols ? args->symbols : "");
    bool good = open_file(&in[0], &map, &of_map, error) &&
                (!args->symbols || open_file(&in[1], &symbols, &of_symbols, error)) &&
                table_output_open(&out, args, error);
    if (good) {
        struct genomics_file rows = file_of(&files, &args->dataset);
        good = genomics_express(&spec, &rows, &map, &symbols, out.file, out.notes, error);
        if (!good) files_failed(&files, error);
        good = table_output_close(&out, good, error);
    }
    for (size_t i = 0; i < 2; i++) input_close(&in[i]);
    files_close(&files);
    return good;
}
