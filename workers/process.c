/* Configuration, loop and connections of a process of rookery-worker. */
#include "workers/process.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/store/migrate/migrate.h"

extern char **environ;

#define CONNECT_TIMEOUT_MS 30000

int process_configure(struct config *config) {
    char wrong[512];
    if (!config_load(config, environ, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-worker: %s\n", wrong);
        return 2;
    }
    bool random = token_init();
    if (random && migrate_check(config->database_url, (int)config->partitions, wrong, sizeof wrong)) return 0;
    fprintf(stderr, "rookery-worker: %s\n", random ? wrong : "libsodium cannot be initialised");
    config_free(config);
    return 1;
}

int process_loop(struct domain *d, const struct config *config, enum log_level level, fiber_fn *fn,
                 void (*prepare)(void *arg), void *arg) {
    d->config = config;
    d->log = log_new("worker", level, 2);
    d->metrics = metrics_new();
    d->loop = loop_new(NULL, d->log);
    struct fiber_options options = {.name = "main"};
    if (!d->loop || fiber_spawn(d->loop, &options, fn, arg, NULL) != 0) return 1;
    if (prepare) prepare(arg);
    loop_run(d->loop);
    loop_free(d->loop);
    metrics_free(d->metrics);
    log_free(d->log);
    return 0;
}

int process_connect(struct fiber *self, struct domain *d, struct fault *fault) {
    fiber_set_deadline_ns(self, clock_mono_ns() + CONNECT_TIMEOUT_MS * NS_PER_MS);
    int e = domain_connect(self, d, "rookery-worker", fault);
    fiber_set_deadline_ns(self, 0);
    return e;
}

struct operation {
    struct domain domain;
    operator_fn *fn;
    void *arg;
    int status;
};

static void operate(struct fiber *self, void *arg) {
    struct operation *o = arg;
    struct fault fault = {0};
    if (process_connect(self, &o->domain, &fault) == 0) {
        o->status = o->fn(self, &o->domain, o->arg);
    } else {
        fprintf(stderr, "rookery-worker: %s\n", fault.text);
        o->status = 1;
    }
    domain_disconnect(self, &o->domain);
    loop_stop(o->domain.loop);
}

int process_operate(operator_fn *fn, void *arg) {
    struct config config;
    struct operation o = {.fn = fn, .arg = arg};
    int e = process_configure(&config);
    if (e != 0) return e;
    e = process_loop(&o.domain, &config, LOG_WARN, operate, NULL, &o);
    config_free(&config);
    return e != 0 ? e : o.status;
}
