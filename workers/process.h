/* What every run of rookery-worker that talks to the servers shares, the daemon and the operator's commands.
 */
#ifndef ROOKERY_WORKERS_PROCESS_H
#define ROOKERY_WORKERS_PROCESS_H

#include "core/domain/domain.h"

/* Reads the configuration from the environment and checks that the database is migrated. 0, or the exit
 * status (2 for a bad setting, 1 for the rest) after a sentence on standard error; nothing is owned then. */
int process_configure(struct config *config);

/* Runs fn(self, arg) as the first fiber of a loop of its own, until it calls loop_stop. *d is given its
 * config, log (from `level` on), metrics and loop before fn runs; they are freed when the loop has stopped.
 * prepare (may be NULL) is called with arg when the loop is there and nothing has run. 0, or 1 without
 * memory. */
int process_loop(struct domain *d, const struct config *config, enum log_level level, fiber_fn *fn,
                 void (*prepare)(void *arg), void *arg);

/* domain_connect, for at most half a minute. Undo with domain_disconnect, also after an error. */
int process_connect(struct fiber *self, struct domain *d, struct fault *fault);

/* A one-shot command on the servers: configures, connects, calls fn in a fiber, disconnects. The exit status:
 * fn's, or 1 or 2 after a sentence on standard error. Only warnings are logged. */
typedef int operator_fn(struct fiber *self, struct domain *d, void *arg);
int process_operate(operator_fn *fn, void *arg);

#endif
