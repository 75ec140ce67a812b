/* Asks a running server whether it serves, as health checks do: grpc.health.v1.Health/Check through our own client.
 *
 * This is the command `health` of both daemons, which containers and Kubernetes run every few seconds. So it needs
 * neither PostgreSQL nor Redis nor curl, and ends after PROBE_TIMEOUT_MS.
 */
#ifndef ROOKERY_CORE_RPC_PROBE_H
#define ROOKERY_CORE_RPC_PROBE_H

#include "core/async/loop.h"

enum { PROBE_TIMEOUT_MS = 5000 };

/* address: numeric "ADDR:PORT"; may be the one a server listens on, since Linux takes the wildcard 0.0.0.0 or [::]
 * for this machine. Waits until the fiber's deadline. Returns 0 when the server serves, ERR_INVALID_ARGUMENT for a
 * bad address, else ERR_UNAVAILABLE; with a sentence. */
int probe_ask(struct fiber *self, const char *address, struct fault *fault);

/* The command: argv is {"health"} or {"health", ADDR:PORT}. Without an address it asks at listen, the value of the
 * environment's `variable`. Prints one sentence. Returns the exit status: 0 when it serves, 1 when it does not, 2 for
 * a usage error. */
int probe_command(const char *program, int argc, char **argv, const char *listen, const char *variable);

#endif
