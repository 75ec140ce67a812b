/* Processes: from the environment's settings to a loop with connections; for a daemon, its life until a signal.
 *
 * A daemon: (1) reads and checks its settings, and checks that the database is migrated; (2) starts in the first
 * fiber of a loop of its own, for half a minute at most; (3) works until SIGTERM or SIGINT, which may come at any
 * time; (4) stops what has been started; (5) ends the loop. A command on the servers does the same with its work in
 * place of 3.
 */
#ifndef ROOKERY_CORE_PROCESS_PROCESS_H
#define ROOKERY_CORE_PROCESS_PROCESS_H

#include "core/process/connect.h"

/* If the command line only asks for the version, prints it and returns true. */
bool process_print_version(const char *program, int argc, char **argv);

/* Reads the configuration from the environment. Returns 0, or the exit status after a sentence on standard error,
 * which begins with the program's name ("rookery-gateway"); config then owns nothing. */
int process_configure(const char *program, struct config *config);

struct daemon {
    const char *program;
    const struct config *config;
    struct domain *domain; /* given its config, log, metrics and loop before start */
    bool *stopping;        /* turns true with the first signal */
    void *context;
    /* Connects, and starts the daemon's parts. Interrupted by the time limit, not by a signal: check *stopping. */
    int (*start)(struct fiber *self, void *context, struct fault *fault);
    /* Undoes what start has done, also when it failed. */
    void (*stop)(struct fiber *self, void *context);
};
/* Checks that the database is what the program needs, and serves. Returns the exit status, after a sentence on standard
 * error, or in the log, when it did not start. With ROOKERY_LOG_FILE, standard error is that file as soon as the
 * database is right, and SIGHUP opens it again and does not end the process. */
int process_serve(const struct daemon *d);

/* The command `check`: connects to both servers, as a daemon does. Prints one sentence: what is wrong and which setting
 * leads there, or that they can be used. Returns the exit status. */
int process_check_servers(const char *program);

/* A command on the servers: configures, connects, calls fn in a fiber, disconnects. Returns the exit status: fn's, or
 * 1 or 2 after a sentence on standard error. Only warnings and errors are logged. */
typedef int process_command(struct fiber *self, struct domain *d, void *arg);
int process_operate(const char *program, process_command *fn, void *arg);

#endif
