/* rookery-worker: turns events into their effects. `--help` lists commands and settings. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/token.h"
#include "core/net/rpc.h"
#include "core/store/migrate.h"
#include "workers/counts.h"
#include "workers/fanout.h"
#include "workers/relay.h"

extern char **environ;

#define START_TIMEOUT_MS 30000
#define MAX_ROLES 8

struct process {
    struct worker worker;
    struct config config;
    uv_signal_t term, interrupt;
    struct fiber *main;
    struct rpc_server *http; /* metrics; NULL without ROOKERY_METRICS_LISTEN */
    char consumer[96];
    int status;
};

/* ---- roles
 * -----------------------------------------------------------------------------------------------------------
 */

static const struct role *const ROLES[] = {&FANOUT_ROLE, &COUNTS_ROLE};

static bool is_relay(struct str name) {
    return str_eq(name, STR("relay"));
}

static const struct role *find_role(struct str name) {
    for (size_t i = 0; i < sizeof ROLES / sizeof *ROLES; i++)
        if (str_eq(name, str_from(ROLES[i]->name))) return ROLES[i];
    return NULL;
}

/* The roles of ROOKERY_ROLES; false, with a sentence, when one does not exist. */
static bool parse_roles(const char *text, const struct role **out, size_t *n, bool *relay) {
    struct str rest = str_from(text);
    *n = 0;
    *relay = false;
    while (rest.len > 0) {
        struct str name = str_trim(str_cut(&rest, ','));
        const struct role *role = find_role(name);
        if (is_relay(name)) {
            *relay = true;
        } else if (role && *n < MAX_ROLES) {
            out[(*n)++] = role;
        } else {
            fprintf(stderr,
                    "rookery-worker: ROOKERY_ROLES: there is no role \"" STR_FMT
                    "\"; roles are relay, fanout, counts\n",
                    STR_ARG(name));
            return false;
        }
    }
    return true;
}

/* ---- plain routes
 * ---------------------------------------------------------------------------------------------------- */

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self, (void)path, (void)query;
    const struct process *p = context;
    bool well = pg_ready(p->worker.domain.pg) && redis_ready(p->worker.domain.redis);
    out->status = well ? 200 : 503;
    out->content_type = "text/plain; charset=utf-8";
    buf_append_cstr(&out->body, well ? "ok\n" : "waiting for PostgreSQL or Redis\n");
}

static void metrics_page(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    (void)self, (void)path, (void)query;
    const struct process *p = context;
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
        .request_timeout_ms = p->config.request_timeout_ms,
        .max_calls = 64,
        .max_connections = 64,
        .max_message_bytes = 4096,
    };
    struct domain *d = &p->worker.domain;
    p->http = rpc_server_start(d->loop, &o, d->log, d->metrics, fault);
    return p->http ? 0 : (int)fault->error;
}

/* ---- start and stop
 * -------------------------------------------------------------------------------------------------- */

static int start(struct fiber *self, struct process *p, struct fault *fault) {
    struct worker *w = &p->worker;
    struct domain *d = &w->domain;
    const struct role *roles[MAX_ROLES];
    size_t n;
    bool relay;
    if (!parse_roles(p->config.roles, roles, &n, &relay))
        return fault_set(fault, ERR_INVALID_ARGUMENT, "bad ROOKERY_ROLES");
    struct pg_options pg = {
        .url = p->config.database_url,
        .connections = (int)p->config.db_connections,
        .pipeline = (int)p->config.db_pipeline,
        .application_name = "rookery-worker",
    };
    d->pg = pg_open(d->loop, &pg, d->log, d->metrics);
    d->redis = redis_open(d->loop, p->config.redis_url, "rookery-worker", d->log, d->metrics);
    w->fanout = fanout_new(w);
    if (!d->pg || !w->fanout) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    if (!d->redis)
        return fault_set(fault, ERR_INVALID_ARGUMENT, "REDIS_URL must be redis://HOST:PORT or unix:///PATH");
    int e = pg_wait_ready(self, d->pg);
    if (e != 0) return fault_set(fault, e, "PostgreSQL cannot be reached: is DATABASE_URL right?");
    e = domain_start(self, d, fault);
    if (e == 0) e = serve_metrics(p, fault);
    if (e == 0) e = runtime_start(w, roles, n);
    if (e == 0 && relay) e = relay_start(w);
    return e;
}

static void stop(struct fiber *self, struct process *p) {
    struct worker *w = &p->worker;
    runtime_stop(self, w);
    if (p->http) rpc_server_stop(self, p->http, 1000);
    domain_stop(self, &w->domain);
    fanout_free(w->fanout);
    if (w->domain.redis) redis_close(self, w->domain.redis);
    if (w->domain.pg) pg_close(self, w->domain.pg, p->config.drain_ms);
}

static void work(struct fiber *self, void *arg) {
    struct process *p = arg;
    struct fault fault = {0};
    fiber_set_deadline_ns(self, clock_mono_ns() + START_TIMEOUT_MS * NS_PER_MS);
    int e = start(self, p, &fault);
    fiber_set_deadline_ns(self, 0);
    if (e == 0) {
        log_info(p->worker.domain.log, "ready", LOG_S("roles", p->config.roles),
                 LOG_S("consumer", p->consumer));
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
    fiber_wake(p->main);
}

static void watch_signals(struct process *p) {
    uv_loop_t *uv = loop_uv(p->worker.domain.loop);
    uv_signal_init(uv, &p->term);
    uv_signal_init(uv, &p->interrupt);
    p->term.data = p->interrupt.data = p;
    uv_signal_start(&p->term, on_signal, SIGTERM);
    uv_signal_start(&p->interrupt, on_signal, SIGINT);
    signal(SIGPIPE, SIG_IGN);
}

/* Host, process and a random part: never the name of another consumer, dead or alive. */
static void name_consumer(struct process *p) {
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    snprintf(p->consumer, sizeof p->consumer, "%s-%d-%08x", host, (int)getpid(), (unsigned)random_u64());
    p->worker.consumer = p->consumer;
}

static int run(struct process *p) {
    struct domain *d = &p->worker.domain;
    char wrong[512];
    if (!migrate_check(p->config.database_url, (int)p->config.partitions, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-worker: %s\n", wrong);
        return 1;
    }
    name_consumer(p);
    d->config = &p->config;
    enum log_level level = LOG_INFO;
    log_level_from(str_from(p->config.log_level), &level);
    d->log = log_new("worker", level, 2);
    d->metrics = metrics_new();
    d->loop = loop_new(NULL, d->log);
    struct fiber_options options = {.name = "main"};
    if (!d->loop || fiber_spawn(d->loop, &options, work, p, &p->main) != 0) return 1;
    watch_signals(p);
    loop_run(d->loop);
    loop_free(d->loop);
    metrics_free(d->metrics);
    log_free(d->log);
    return p->status;
}

static int usage(FILE *out, int status) {
    fputs("Usage: rookery-worker            do the work of ROOKERY_ROLES until SIGTERM\n"
          "       rookery-worker --help     this text\n\nSettings, from the environment:\n",
          out);
    config_print(out);
    return status;
}

int main(int argc, char **argv) {
    static struct process process;
    char wrong[512];
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
        return usage(help ? stdout : stderr, help ? 0 : 2);
    }
    if (!config_load(&process.config, environ, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-worker: %s\n", wrong);
        return 2;
    }
    if (!token_init()) {
        fprintf(stderr, "rookery-worker: libsodium cannot be initialised\n");
        return 1;
    }
    int status = run(&process);
    config_free(&process.config);
    return status;
}
