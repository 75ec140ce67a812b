/* Processes; the story is in process.h. */
#include "core/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/process/usage.h"
#include "core/store/migrate/migrate.h"

extern char **environ;

#define START_TIMEOUT_MS 30000

/* ---- the version --------------------------------------------------------------------------------------- */

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

/* Whether the database is what this program needs. Returns 0, or the exit status after a sentence on standard error. */
static int check_database(const char *program, const struct config *config) {
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
    d->loop = loop_new(NULL);
    struct fiber_options options = {.name = "main"};
    if (!d->loop || fiber_spawn(d->loop, &options, fn, arg, out) != 0) return false;
    if (prepare) prepare(arg);
    loop_run(d->loop);
    loop_free(d->loop);
    metrics_free(d->metrics);
    log_free(d->log);
    return true;
}

/* ---- the log file -------------------------------------------------------------------------------------- */

/* Standard error becomes the file, which is made when it is missing. Who writes at this moment writes to the old file
 * or to the new one. Returns 0 or an errno. */
static int open_log_file(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) return errno;
    int e = dup2(fd, STDERR_FILENO) < 0 ? errno : 0;
    close(fd);
    return e;
}

static bool begin_log_file(const char *program, const struct config *config) {
    if (!config->log_file[0]) return true;
    int e = open_log_file(config->log_file);
    if (e == 0) return true;
    fprintf(stderr, "%s: ROOKERY_LOG_FILE: %s cannot be opened: %s\n", program, config->log_file,
            strerror(e));
    return false;
}

/* ---- daemons ------------------------------------------------------------------------------------------- */

struct serving {
    const struct daemon *daemon;
    struct fiber *fiber;
    uv_signal_t term, interrupt, hangup;
    struct usage *usage;
    int status;
};

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct serving *s = handle->data;
    *s->daemon->stopping = true;
    fiber_wake(s->fiber);
}

static void on_hangup(uv_signal_t *handle, int number) {
    (void)number;
    struct serving *s = handle->data;
    const struct domain *d = s->daemon->domain;
    int e = open_log_file(d->config->log_file);
    if (e == 0)
        log_info(d->log, "log file opened again");
    else
        log_error(d->log, "ROOKERY_LOG_FILE cannot be opened again: the old file is written",
                  LOG_S("why", strerror(e)));
}

static void prepare_serving(void *arg) {
    struct serving *s = arg;
    s->usage = usage_new(s->daemon->domain, ROOKERY_VERSION);
    uv_loop_t *uv = loop_uv(s->daemon->domain->loop);
    uv_signal_init(uv, &s->term);
    uv_signal_init(uv, &s->interrupt);
    uv_signal_init(uv, &s->hangup);
    s->term.data = s->interrupt.data = s->hangup.data = s;
    uv_signal_start(&s->term, on_signal, SIGTERM);
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    if (!s->daemon->config->log_file[0]) return;
    uv_signal_start(&s->hangup, on_hangup, SIGHUP);
    open_log_file(s->daemon->config->log_file); /* it may have been rotated since begin_log_file */
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
    uv_close((uv_handle_t *)&s->hangup, NULL);
    loop_stop(d->domain->loop);
}

int process_serve(const struct daemon *d) {
    struct serving s = {.daemon = d};
    enum log_level level = LOG_INFO;
    /* Before SIGHUP is watched it must not end the process: what rotates logs does not know whether it has started. */
    if (d->config->log_file[0]) signal(SIGHUP, SIG_IGN);
    int e = check_database(d->program, d->config);
    if (e != 0) return e;
    if (!begin_log_file(d->program, d->config)) return 1;
    log_level_from(str_from(d->config->log_level), &level);
    bool ran = run_loop(d->domain, d->program, d->config, level, serve, prepare_serving, &s, &s.fiber);
    usage_free(s.usage);
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

static int operate_with(struct operation *o, enum log_level level) {
    struct config config;
    int e = process_configure(o->program, &config);
    if (e != 0) return e;
    e = check_database(o->program, &config);
    if (e == 0 && !run_loop(&o->domain, o->program, &config, level, operate, NULL, o, NULL)) e = 1;
    config_free(&config);
    return e != 0 ? e : o->status;
}

int process_operate(const char *program, process_command *fn, void *arg) {
    struct operation o = {.program = program, .fn = fn, .arg = arg};
    return operate_with(&o, LOG_WARN);
}

/* PostgreSQL is connected, and Redis has been tried once. */
static int check(struct fiber *self, struct domain *d, void *arg) {
    (void)self;
    const char *program = arg;
    if (redis_ready(d->redis)) {
        puts("PostgreSQL and Redis can be used");
        return 0;
    }
    fprintf(stderr, "%s: Redis cannot be reached at %s (%s): is REDIS_URL right?\n", program,
            redis_address(d->redis), redis_last_reason(d->redis));
    return 1;
}

int process_check_servers(const char *program) {
    char name[64];
    struct operation o = {.program = program, .fn = check, .arg = name};
    snprintf(name, sizeof name, "%s", program);
    return operate_with(&o, LOG_ERROR);
}
