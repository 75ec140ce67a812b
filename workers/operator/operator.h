/* The commands of rookery-worker: `rookery-worker NAME ...`. (Without a command it works.)
 *
 * Each has a file of its own; main.c lists them. `run` gets the words from the command's name on. It prints results
 * on standard output and complaints on standard error, and returns the exit status: 0; 1 for trouble with the data or
 * the servers; 2 for a usage error. Every command answers --help.
 */
#ifndef ROOKERY_WORKERS_OPERATOR_OPERATOR_H
#define ROOKERY_WORKERS_OPERATOR_OPERATOR_H

struct command {
    const char *name;
    const char *summary; /* a line for --help */
    int (*run)(int argc, char **argv);
};

#endif
