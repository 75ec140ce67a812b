/* command: see command.h. Finds the command, runs it, and returns its exit status. */
#include "workers/jobs/command/command.h"

#include <string.h>

#include "workers/jobs/command/progress.h"

/* ---- which command ----------------------------------------------------------------------------------- */

static bool run(const struct jobs_args *args, struct jobs_error *error) {
    switch (args->command) {
    case JOBS_FIT: return command_fit(args, error);
    case JOBS_SLICE: return command_slice(args, error);
    case JOBS_COMBINE: return command_combine(args, error);
    case JOBS_IMPUTE: return command_impute(args, error);
    case JOBS_ASSOCIATE: return command_associate(args, error);
    case JOBS_EXPRESSION: return command_expression(args, error);
    }
    return jobs_fail(error, JOBS_FAULT_USAGE, "there is no such command");
}

static int say(const char *command, const struct jobs_error *error) {
    bool usage = error->fault == JOBS_FAULT_USAGE;
    fprintf(stderr, "rookery-worker jobs %s: %s\n", command, error->text);
    if (usage) fprintf(stderr, "(rookery-worker jobs %s --help tells what there is)\n", command);
    return usage ? 2 : 1;
}

int jobs_main(int argc, char **argv) {
    struct jobs_args args;
    struct jobs_error error = {0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        jobs_args_overview(stdout);
        return 0;
    }
    if (argc < 2 || !jobs_command_find(argv[1])) {
        if (argc < 2) fputs("rookery-worker jobs: a command is needed\n\n", stderr);
        if (argc >= 2) fprintf(stderr, "rookery-worker jobs: there is no command \"%s\"\n\n", argv[1]);
        jobs_args_overview(stderr);
        return 2;
    }
    if (!jobs_args_parse(&args, argc - 1, argv + 1, &error)) return say(argv[1], &error);
    if (args.help) {
        jobs_args_help(args.command, stdout);
    } else {
        progress_begin(&args);
        run(&args, &error);
        progress_end();
    }
    jobs_args_free(&args);
    return error.fault ? say(argv[1], &error) : 0;
}
