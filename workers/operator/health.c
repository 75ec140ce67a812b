/* `rookery-worker health [ADDR:PORT]`: asks a running worker, by core/rpc/probe.h and the worker's settings. */
#include "workers/operator/health.h"

#include <stdio.h>

#include "core/config/config.h"
#include "core/rpc/probe.h"

extern char **environ;

static int run(int argc, char **argv) {
    struct config config;
    char wrong[512];
    if (!config_load(&config, environ, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-worker: %s\n", wrong);
        return 2;
    }
    int status = probe_command("rookery-worker", argc, argv, config.metrics_listen, "ROOKERY_METRICS_LISTEN");
    config_free(&config);
    return status;
}

const struct command COMMAND_HEALTH = {"health", "ask a running worker whether it works (for health checks)",
                                       run};
