/* Processes; the story is in process.h. */
#include "core/process/process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/store/migrate/migrate.h"

extern char **environ;

#define START_TIMEOUT_MS 30000

/* ---- the version --------------------------------------------------------------------------------------- */

const char *process_version(void) {
    return ROOKERY_VERSION;
}

bool process_print_version(const char *program, int argc, char **argv) {
    if (argc != 2 || (strcmp(argv[1], "--version") != 0 && strcmp(argv[1], "-V") != 0)) return false;
    printf("%s %s\n", program, ROOKERY_VERSION);
    return true;
}

/* ---- settings ------------------------------------------------------------------------------------------ */

int process_configure(const char *program, struct config *config) {
    char wrong[512];
    if (!config_load(config, environ, wrong, sizeof wrong)) {
        fprintf(stderr, "%s: %s\n", program, wrong);
        return 2;
    }
    if (token_init()) return 0;
    fprintf(stderr, "%s: libsodium cannot be initialised\n", program);
    config_free(config);
    return 1;
}

int process_check_database(const char *program, const struct config *config) {
    char wrong[512];
    if (migrate_check(config->database_url, (int)config->partitions, wrong, sizeof wrong)) return 0;
    fprintf(stderr, "%s: %s\n", program, wrong);
    return 1;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

/* The name in logs: "gateway" of "rookery-gateway". */
static const char *service_of(const char *program) {
    const char *dash = strchr(program, '-');
    return dash ? dash + 1 : program;
}

/* prepare, which may be NULL, is called when the loop exists and nothing has run. Returns false on allocation
 * failure. */
static bool run_loop(struct domain *d, const char *program, const struct config *config, enum log_level level,
                     fiber_fn *fn, void (*prepare)(void *arg), void *arg, struct fiber **out) {
    d->config = config;
    d->log = log_new(service_of(program), level, 2);
    d->metrics = metrics_new();
    d->loop = loop_new(NULL, d->log);
    struct fiber_options options = {.name = "main"};
    if (!d->loop || fiber_spawn(d->loop, &options, fn, arg, out) != 0) return false;
    if (prepare) prepare(arg);
    loop_run(d->loop);
    loop_free(d->loop);
    metrics_free(d->metrics);
    log_free(d->log);
    return true;
}

/* ---- daemons ------------------------------------------------------------------------------------------- */

struct serving {
    const struct daemon *daemon;
    struct fiber *fiber;
    uv_signal_t term, interrupt;
    int status;
};

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct serving *s = handle->data;
    *s->daemon->stopping = true;
    fiber_wake(s->fiber);
}

static void watch_signals(void *arg) {
    struct serving *s = arg;
    uv_loop_t *uv = loop_uv(s->daemon->domain->loop);
    uv_signal_init(uv, &s->term);
    uv_signal_init(uv, &s->interrupt);
    s->term.data = s->interrupt.data = s;
    uv_signal_start(&s->term, on_signal, SIGTERM);
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
}

static void serve(struct fiber *self, void *arg) {
    struct serving *s = arg;
    const struct daemon *d = s->daemon;
    struct fault fault = {0};
    fiber_set_deadline_ns(self, clock_mono_ns() + START_TIMEOUT_MS * NS_PER_MS);
    int e = d->start(self, d->context, &fault);
    fiber_set_deadline_ns(self, 0);
    if (e == 0) {
        while (!*d->stopping && fiber_park(self) == 0) {
        }
    } else if (!*d->stopping) {
        log_error(d->domain->log, "start failed", LOG_S("why", fault.text));
        s->status = 1;
    }
    d->stop(self, d->context);
    uv_close((uv_handle_t *)&s->term, NULL);
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    loop_stop(d->domain->loop);
}

int process_serve(const struct daemon *d) {
    struct serving s = {.daemon = d};
    enum log_level level = LOG_INFO;
    log_level_from(str_from(d->config->log_level), &level);
    bool ran = run_loop(d->domain, d->program, d->config, level, serve, watch_signals, &s, &s.fiber);
    return ran ? s.status : 1;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

struct operation {
    const char *program;
    struct domain domain;
    process_command *fn;
    void *arg;
    int status;
};

static void operate(struct fiber *self, void *arg) {
    struct operation *o = arg;
    struct fault fault = {0};
    fiber_set_deadline_ns(self, clock_mono_ns() + START_TIMEOUT_MS * NS_PER_MS);
    int e = domain_connect(self, &o->domain, o->program, &fault);
    fiber_set_deadline_ns(self, 0);
    if (e == 0) {
        o->status = o->fn(self, &o->domain, o->arg);
    } else {
        fprintf(stderr, "%s: %s\n", o->program, fault.text);
        o->status = 1;
    }
    domain_disconnect(self, &o->domain);
    loop_stop(o->domain.loop);
}

int process_operate(const char *program, process_command *fn, void *arg) {
    struct config config;
    struct operation o = {.program = program, .fn = fn, .arg = arg};
    int e = process_configure(program, &config);
    if (e != 0) return e;
    e = process_check_database(program, &config);
    if (e == 0 && !run_loop(&o.domain, program, &config, LOG_WARN, operate, NULL, &o, NULL)) e = 1;
    config_free(&config);
    return e != 0 ? e : o.status;
}
