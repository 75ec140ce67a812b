/* rookery-worker: turns events into their effects. `--help` lists commands and settings. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/rpc/rpc.h"
#include "workers/audit/command.h"
#include "workers/jobs/command/command.h"
#include "workers/jobs/role/role.h"
#include "workers/operator/backlog.h"
#include "workers/operator/dlq.h"
#include "workers/operator/grant.h"
#include "workers/operator/health.h"
#include "workers/operator/operator.h"
#include "workers/outbox/relay.h"
#include "workers/process.h"
#include "workers/roles.h"
#include "workers/runtime/backlog.h"
#include "workers/timeline/deliver.h"
#include "workers/timeline/followers.h"

#define MAX_ROLES 16

struct process {
    struct worker worker;
    struct config config;
    const struct role *roles[MAX_ROLES];
    size_t n_roles;
    bool is_relay; /* a role, but no reader of streams */
    uv_signal_t term, interrupt;
    struct fiber *main;
    struct backlog_gauges *backlog;
    struct rpc_server *http; /* metrics; NULL without ROOKERY_METRICS_LISTEN */
    char consumer[96];
    int status;
};

/* ---- roles --------------------------------------------------------------------------------------------- */

static bool is_relay(struct str name) {
    return str_eq(name, STR("relay"));
}

/* One sentence that names them all. */
static void complain_of_role(struct str name) {
    fprintf(stderr, "rookery-worker: ROOKERY_ROLES: there is no role \"" STR_FMT "\"; roles are relay",
            STR_ARG(name));
    for (const struct role *const *r = ROLES; *r; r++) fprintf(stderr, ", %s", (*r)->name);
    fputc('\n', stderr);
}

/* The roles of ROOKERY_ROLES; false, with a sentence, when one does not exist. */
static bool parse_roles(struct process *p) {
    struct str rest = str_from(p->config.roles);
    while (rest.len > 0) {
        struct str name = str_trim(str_cut(&rest, ','));
        const struct role *role = role_find(name);
        if (is_relay(name)) {
            p->is_relay = true;
        } else if (role && p->n_roles < MAX_ROLES) {
            p->roles[p->n_roles++] = role;
        } else {
            complain_of_role(name);
            return false;
        }
    }
    return true;
}

/* ---- plain routes -------------------------------------------------------------------------------------- */

static bool is_well(void *context) {
    const struct process *p = context;
    return !p->worker.stopping && pg_ready(p->worker.domain.pg) && redis_ready(p->worker.domain.redis);
}

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self, (void)path, (void)query;
    bool well = is_well(context);
    out->status = well ? 200 : 503;
    out->content_type = "text/plain; charset=utf-8";
    buf_append_cstr(&out->body, well ? "ok\n" : "waiting for PostgreSQL or Redis\n");
}

static void metrics_page(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    (void)path, (void)query;
    struct process *p = context;
    backlog_gauges_refresh(self, &p->worker.domain, p->backlog);
    out->status = 200;
    out->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(p->worker.domain.metrics, &out->body);
}

static const struct http_route ROUTES[] = {
    {"/healthz", healthz}, {"/readyz", healthz}, {"/metrics", metrics_page}};

static int serve_metrics(struct process *p, struct fault *fault) {
    if (p->config.metrics_listen[0] == '\0') return 0;
    struct rpc_server_options o = {
        .listen = p->config.metrics_listen,
        .routes = ROUTES,
        .n_routes = sizeof ROUTES / sizeof *ROUTES,
        .context = p,
        .ready = is_well,
        .request_timeout_ms = p->config.request_timeout_ms,
        .max_calls = 64,
        .max_connections = 64,
        .max_message_bytes = 4096,
    };
    struct domain *d = &p->worker.domain;
    p->backlog = backlog_gauges_new(d->metrics);
    if (!p->backlog) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    p->http = rpc_server_start(d->loop, &o, d->log, d->metrics, fault);
    return p->http ? 0 : (int)fault->error;
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

static int start(struct fiber *self, struct process *p, struct fault *fault) {
    struct worker *w = &p->worker;
    w->followers = followers_new(&w->domain);
    w->deliverer = deliverer_new(&w->domain);
    w->jobs = jobs_lane_new();
    if (!w->followers || !w->deliverer || !w->jobs)
        return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    int e = process_connect(self, &w->domain, fault);
    if (e == 0) e = serve_metrics(p, fault);
    if (e == 0) e = runtime_start(w, p->roles, p->n_roles);
    if (e == 0 && p->is_relay) e = relay_start(w);
    return e;
}

static void stop(struct fiber *self, struct process *p) {
    struct worker *w = &p->worker;
    runtime_stop(self, w);
    if (p->http) rpc_server_stop(self, p->http, 1000);
    backlog_gauges_free(p->backlog);
    domain_disconnect(self, &w->domain);
    deliverer_free(w->deliverer);
    followers_free(w->followers);
    jobs_lane_free(w->jobs);
}

static void work(struct fiber *self, void *arg) {
    struct process *p = arg;
    struct fault fault = {0};
    p->main = self;
    int e = start(self, p, &fault);
    if (e == 0) {
        log_info(p->worker.domain.log, "ready", LOG_S("roles", p->config.roles),
                 LOG_S("consumer", p->consumer),
                 LOG_I("metrics_port", p->http ? rpc_server_port(p->http) : 0));
        while (!p->worker.stopping && fiber_park(self) == 0) {
        }
    } else if (!p->worker.stopping) {
        log_error(p->worker.domain.log, "cannot start", LOG_S("why", fault.text));
        p->status = 1;
    }
    stop(self, p);
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    loop_stop(p->worker.domain.loop);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct process *p = handle->data;
    p->worker.stopping = true;
    if (p->main) fiber_wake(p->main);
}

static void watch_signals(void *arg) {
    struct process *p = arg;
    uv_loop_t *uv = loop_uv(p->worker.domain.loop);
    uv_signal_init(uv, &p->term);
    uv_signal_init(uv, &p->interrupt);
    p->term.data = p->interrupt.data = p;
    uv_signal_start(&p->term, on_signal, SIGTERM);
    uv_signal_start(&p->interrupt, on_signal, SIGINT);
}

/* Host, process and a random part: never the name of another consumer, dead or alive. */
static void name_consumer(struct process *p) {
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    snprintf(p->consumer, sizeof p->consumer, "%s-%d-%08x", host, (int)getpid(), (unsigned)random_u64());
    p->worker.consumer = p->consumer;
}

static int work_until_signal(void) {
    static struct process process;
    struct process *p = &process;
    int e = process_configure(&p->config);
    if (e != 0) return e;
    if (!parse_roles(p)) {
        config_free(&p->config);
        return 2;
    }
    enum log_level level = LOG_INFO;
    log_level_from(str_from(p->config.log_level), &level);
    name_consumer(p);
    e = process_loop(&p->worker.domain, &p->config, level, work, watch_signals, p);
    config_free(&p->config);
    return e != 0 ? e : p->status;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static const struct command JOBS = {"jobs", "models fitted to the slices of a table, without a server",
                                    jobs_main};
static const struct command *const COMMANDS[] = {
    &COMMAND_AUDIT, &COMMAND_BACKLOG, &COMMAND_DLQ, &COMMAND_GRANT, &COMMAND_HEALTH,
    &JOBS,          &COMMAND_REVOKE,  NULL};

static int usage(FILE *out, int status) {
    fputs("Usage: rookery-worker              do the work of ROOKERY_ROLES until SIGTERM\n"
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
    if (argc == 1) return work_until_signal();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return usage(stdout, 0);
    for (const struct command *const *c = COMMANDS; *c; c++)
        if (strcmp(argv[1], (*c)->name) == 0) return (*c)->run(argc - 1, argv + 1);
    fprintf(stderr, "rookery-worker: there is no command \"%s\"\n\n", argv[1]);
    return usage(stderr, 2);
}
