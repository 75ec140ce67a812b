/* Asks a running server how it is, as health checks do: grpc.health.v1.Health/Check through our own client.
 *
 * It is the command `health` of both daemons, which containers and Kubernetes run every few seconds. So it
 * needs neither PostgreSQL nor Redis nor curl, and gives up after PROBE_TIMEOUT_MS.
 */
#ifndef ROOKERY_CORE_RPC_PROBE_H
#define ROOKERY_CORE_RPC_PROBE_H

#include "core/async/loop.h"

enum { PROBE_TIMEOUT_MS = 5000 };

/* address: numeric "ADDR:PORT"; the one a server listens on will do, since Linux takes the wildcard 0.0.0.0
 * or [::] for this machine. Waits until the fiber's deadline. 0 when the server serves; else
 * ERR_INVALID_ARGUMENT for the address and ERR_UNAVAILABLE for the rest, with a sentence. */
int probe_ask(struct fiber *self, const char *address, struct fault *fault);

/* The command: argv is {"health"} or {"health", ADDR:PORT}. listen is what the environment says in `variable`,
 * asked when no address is given. Prints one sentence. The exit status: 0 it serves, 1 it does not, 2 usage. */
int probe_command(const char *program, int argc, char **argv, const char *listen, const char *variable);

#endif
