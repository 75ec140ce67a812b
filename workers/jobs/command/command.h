/*
 * command: `rookery-worker jobs ...`, which runs jobs without a server: on a laptop, or as a step of a pipeline.
 *
 * Results go to standard output, or to --output FILE, which appears complete or not at all. Notes and errors go to
 * standard error, one sentence each. Exit status: 0; 1 for trouble with the data or the machine; 2 for bad arguments.
 */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_COMMAND_H
#define ROOKERY_WORKERS_JOBS_COMMAND_COMMAND_H

#include "workers/jobs/command/args.h"

/* argv[0] is "jobs". Returns the exit status. */
int jobs_main(int argc, char **argv);

/* ---- for the commands' files ------------------------------------------------------------------------- */

bool command_fit(const struct jobs_args *args, struct jobs_error *error);
bool command_slice(const struct jobs_args *args, struct jobs_error *error);
bool command_combine(const struct jobs_args *args, struct jobs_error *error);
bool command_impute(const struct jobs_args *args, struct jobs_error *error);
bool command_associate(const struct jobs_args *args, struct jobs_error *error);
bool command_expression(const struct jobs_args *args, struct jobs_error *error);

#endif
