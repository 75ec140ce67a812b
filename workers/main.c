/* rookery-worker: turns events into their effects. `--help` lists commands and settings. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/process/monitor.h"
#include "core/process/process.h"
#include "core/process/routes.h"
#include "core/rpc/rpc.h"
#include "workers/audit/command.h"
#include "workers/jobs/command/command.h"
#include "workers/operator/backlog.h"
#include "workers/operator/dlq.h"
#include "workers/operator/grant.h"
#include "workers/operator/health.h"
#include "workers/operator/operator.h"
#include "workers/outbox/relay.h"
#include "workers/roles.h"
#include "workers/runtime/backlog.h"

#define PROGRAM "rookery-worker"
#define RELAY "relay"

struct process {
    struct worker worker;
    struct config config;
    const struct role **roles; /* the roles it runs, each once */
    size_t n_roles;
    bool is_relay; /* a role, but it reads no stream */
    struct backlog_gauges *backlog;
    struct rpc_server *http; /* metrics; NULL without ROOKERY_METRICS_LISTEN */
    char consumer[96];
};

/* ---- roles --------------------------------------------------------------------------------------------- */

/* Prints one sentence that names all roles. */
static void complain_of_role(struct str name) {
    fprintf(stderr, "rookery-worker: ROOKERY_ROLES: there is no role \"" STR_FMT "\"; roles are all, relay",
            STR_ARG(name));
    for (const struct role *const *r = ROLES; *r; r++) fprintf(stderr, ", %s", (*r)->name);
    fputc('\n', stderr);
}

/* Returns true when ROOKERY_ROLES has this name, or "all". */
static bool is_wanted(const struct config *c, struct str role) {
    struct str rest = str_from(c->roles);
    while (rest.len > 0) {
        struct str name = str_trim(str_cut(&rest, ','));
        if (str_eq(name, role) || str_eq(name, STR("all"))) return true;
    }
    return false;
}

static bool names_exist(const struct config *c) {
    struct str rest = str_from(c->roles);
    while (rest.len > 0) {
        struct str name = str_trim(str_cut(&rest, ','));
        if (str_eq(name, STR("all")) || str_eq(name, STR(RELAY)) || role_find(name)) continue;
        complain_of_role(name);
        return false;
    }
    return true;
}

/* Finds the roles of ROOKERY_ROLES. Returns false, after a sentence, when one does not exist. */
static bool choose_roles(struct process *p) {
    size_t n = 0;
    if (!names_exist(&p->config)) return false;
    while (ROLES[n]) n++;
    p->roles = calloc(n + 1, sizeof *p->roles);
    if (!p->roles) abort(); /* at start */
    for (const struct role *const *r = ROLES; *r; r++)
        if (is_wanted(&p->config, str_from((*r)->name))) p->roles[p->n_roles++] = *r;
    p->is_relay = is_wanted(&p->config, STR(RELAY));
    return true;
}

/* ---- plain routes -------------------------------------------------------------------------------------- */

/* Why it cannot work, or NULL. */
static const char *hindrance(const struct process *p) {
    const struct domain *d = &p->worker.domain;
    if (p->worker.stopping) return "stopping";
    const char *why = pg_hindrance(d->pg);
    return why || redis_ready(d->redis) ? why : "waiting for Redis";
}

static bool is_well(void *context) {
    return !hindrance(context);
}

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self, (void)path, (void)query;
    const char *why = hindrance(context);
    route_text(out, why ? 503 : 200, why ? why : "ok");
    buf_append_char(&out->body, '\n');
}

static void metrics_page(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    (void)path, (void)query;
    struct process *p = context;
    backlog_gauges_refresh(self, &p->worker.domain, p->backlog);
    route_metrics(out, p->worker.domain.metrics);
}

static const struct http_route ROUTES[] = {
    {"/healthz", healthz}, {"/readyz", healthz}, {"/metrics", metrics_page}};

static int serve_metrics(struct process *p, struct fault *fault) {
    struct domain *d = &p->worker.domain;
    const struct monitor_options o = {
        .routes = ROUTES,
        .n_routes = sizeof ROUTES / sizeof *ROUTES,
        .context = p,
        .ready = is_well,
        .counts = d->metrics,
    };
    if (p->config.metrics_listen[0] == '\0') return 0;
    p->backlog = backlog_gauges_new(d->metrics);
    if (!p->backlog) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    return monitor_start(d, &o, &p->http, fault);
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

/* Host, process and a random part: never the name of another consumer, dead or alive. */
static void name_consumer(struct process *p) {
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    snprintf(p->consumer, sizeof p->consumer, "%s-%d-%08x", host, (int)getpid(), (unsigned)random_u64());
    p->worker.consumer = p->consumer;
}

static int start(struct fiber *self, void *context, struct fault *fault) {
    struct process *p = context;
    struct worker *w = &p->worker;
    int e = domain_connect(self, &w->domain, PROGRAM, fault);
    if (e == 0) e = serve_metrics(p, fault);
    if (e == 0) e = runtime_start(w, p->roles, p->n_roles);
    if (e == 0 && p->is_relay) e = relay_start(w);
    if (e == 0)
        log_info(w->domain.log, "ready", LOG_S("roles", p->config.roles), LOG_S("consumer", p->consumer),
                 LOG_I("metrics_port", p->http ? rpc_server_port(p->http) : 0));
    return e;
}

static void stop(struct fiber *self, void *context) {
    struct process *p = context;
    struct worker *w = &p->worker;
    runtime_stop(self, w);
    if (p->http) rpc_server_stop(self, p->http, 1000);
    backlog_gauges_free(p->backlog);
    domain_disconnect(self, &w->domain);
}

static int work_until_signal(void) {
    static struct process process;
    struct process *p = &process;
    const struct daemon daemon = {
        .program = PROGRAM,
        .config = &p->config,
        .domain = &p->worker.domain,
        .stopping = &p->worker.stopping,
        .context = p,
        .start = start,
        .stop = stop,
    };
    int e = process_configure(PROGRAM, &p->config);
    if (e != 0) return e;
    name_consumer(p);
    e = choose_roles(p) ? process_serve(&daemon) : 2;
    free(p->roles);
    config_free(&p->config);
    return e;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static const struct command JOBS = {"jobs", "models fitted to the slices of a table, without a server",
                                    jobs_main};
static const struct command *const COMMANDS[] = {
    &COMMAND_AUDIT, &COMMAND_BACKLOG, &COMMAND_DLQ, &COMMAND_GRANT, &COMMAND_HEALTH,
    &JOBS,          &COMMAND_REVOKE,  NULL};

static int usage(FILE *out, int status) {
    fputs("Usage: rookery-worker              do the work of ROOKERY_ROLES until SIGTERM\n"
          "       rookery-worker --version    which version this is\n"
          "       rookery-worker --help       this text\n",
          out);
    for (const struct command *const *c = COMMANDS; *c; c++)
        fprintf(out, "       rookery-worker %-12s %s\n", (*c)->name, (*c)->summary);
    fputs("\nSettings, from the environment:\n", out);
    config_print(out);
    return status;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    role_table_set(ROLES);
    if (argc == 1) return work_until_signal();
    if (process_print_version(PROGRAM, argc, argv)) return 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return usage(stdout, 0);
    for (const struct command *const *c = COMMANDS; *c; c++)
        if (strcmp(argv[1], (*c)->name) == 0) return (*c)->run(argc - 1, argv + 1);
    fprintf(stderr, "rookery-worker: there is no command \"%s\"\n\n", argv[1]);
    return usage(stderr, 2);
}
