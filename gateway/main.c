/* rookery-gateway: serves the API. `rookery-gateway migrate` brings the database up to date, `health` asks a
 * running gateway how it is; `--help` lists settings. */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/id/token.h"
#include "core/rpc/probe.h"
#include "core/store/migrate/migrate.h"
#include "gateway/service/auth.h"
#include "gateway/service/service.h"

extern char **environ;

#define START_TIMEOUT_MS 30000
#define MAX_METHODS 64

struct process {
    struct gateway gateway;
    struct config config;
    uv_signal_t term, interrupt;
    struct fiber *serving;
    struct rpc_method methods[MAX_METHODS];
    size_t n_methods;
    int status;
};

/* ---- plain routes -------------------------------------------------------------------------------------- */

static bool ready(void *context) {
    struct gateway *g = context;
    return !g->draining && pg_ready(g->domain.pg);
}

static void text_reply(struct http_reply *out, int status, const char *text) {
    out->status = status;
    out->content_type = "text/plain; charset=utf-8";
    buf_append_cstr(&out->body, text);
}

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self, (void)context, (void)path, (void)query;
    text_reply(out, 200, "ok\n");
}

static void readyz(struct fiber *self, void *context, struct str path, struct str query,
                   struct http_reply *out) {
    (void)self, (void)path, (void)query;
    struct gateway *g = context;
    if (ready(g))
        text_reply(out, 200, "ready\n");
    else
        text_reply(out, 503, g->draining ? "draining\n" : "waiting for PostgreSQL\n");
}

static void metrics_page(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    (void)self, (void)path, (void)query;
    struct gateway *g = context;
    out->status = 200;
    out->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(g->domain.metrics, &out->body);
}

static const struct http_route ROUTES[] = {
    {"/healthz", healthz}, {"/readyz", readyz}, {"/metrics", metrics_page}};

/* ---- start and stop ------------------------------------------------------------------------------------ */

static void add_methods(struct process *p, const struct rpc_method *methods, size_t n) {
    if (p->n_methods + n > MAX_METHODS) abort(); /* a service was added: raise MAX_METHODS */
    memcpy(p->methods + p->n_methods, methods, n * sizeof *methods);
    p->n_methods += n;
}

/* Every gateway must read every other's page tokens: the first to start makes the secret. */
static const struct pg_stmt PAGE_SECRET = {
    .name = "gateway_page_secret",
    .sql = "WITH made AS (INSERT INTO secrets (name, value) VALUES ('page_tokens', $1) ON CONFLICT DO NOTHING"
           "  RETURNING value)"
           " SELECT value FROM made UNION ALL SELECT value FROM secrets WHERE name = 'page_tokens' LIMIT 1",
};

static int load_page_key(struct fiber *self, struct gateway *g, struct fault *fault) {
    unsigned char fresh[PAGE_TOKEN_KEY_BYTES];
    randombytes_buf(fresh, sizeof fresh);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_bytes(&args, (struct str){(const char *)fresh, sizeof fresh});
    struct pg_result *r;
    /* Two that start at once: the loser's statement may see neither row; then it asks again. */
    for (;;) {
        int e = pg_exec(self, g->domain.pg, &PAGE_SECRET, &args, &r, fault);
        if (e != 0) return e;
        if (pg_rows(r) == 1) break;
    }
    struct str key = pg_get_str(r, 0, 0);
    memcpy(g->page_key, key.ptr, sizeof g->page_key);
    return 0;
}

static int listen_for_calls(struct process *p, struct fault *fault) {
    struct gateway *g = &p->gateway;
    add_methods(p, ACCOUNT_METHODS, N_ACCOUNT_METHODS);
    add_methods(p, POST_METHODS, N_POST_METHODS);
    add_methods(p, GRAPH_METHODS, N_GRAPH_METHODS);
    add_methods(p, TIMELINE_METHODS, N_TIMELINE_METHODS);
    add_methods(p, JOB_METHODS, N_JOB_METHODS);
    struct rpc_server_options o = {
        .listen = p->config.listen,
        .methods = p->methods,
        .n_methods = p->n_methods,
        .routes = ROUTES,
        .n_routes = sizeof ROUTES / sizeof *ROUTES,
        .authenticate = auth_authenticate,
        .context = g,
        .ready = ready,
        .request_timeout_ms = p->config.request_timeout_ms,
        .max_calls = (size_t)p->config.max_calls,
        .max_connections = (size_t)p->config.max_connections,
        .max_message_bytes = (size_t)p->config.max_message_bytes,
    };
    g->server = rpc_server_start(g->domain.loop, &o, g->domain.log, g->domain.metrics, fault);
    return g->server ? 0 : (int)fault->error;
}

static int start(struct fiber *self, struct process *p, struct fault *fault) {
    struct gateway *g = &p->gateway;
    int e = domain_connect(self, &g->domain, "rookery-gateway", fault);
    if (e == 0) e = load_page_key(self, g, fault);
    if (e != 0) return e;
    gateway_open(g);
    return listen_for_calls(p, fault);
}

static void stop(struct fiber *self, struct process *p) {
    struct gateway *g = &p->gateway;
    g->draining = true;
    if (g->server) rpc_server_stop(self, g->server, p->config.drain_ms);
    gateway_close(self, g);
    domain_disconnect(self, &g->domain);
}

/* The process as a fiber: start, serve until a signal, drain. */
static void serve(struct fiber *self, void *arg) {
    struct process *p = arg;
    struct fault fault = {0};
    fiber_set_deadline_ns(self, loop_now_ns(fiber_loop(self)) + START_TIMEOUT_MS * INT64_C(1000000));
    int e = start(self, p, &fault);
    fiber_set_deadline_ns(self, 0);
    if (e == 0) {
        log_info(p->gateway.domain.log, "ready", LOG_S("listen", p->config.listen),
                 LOG_I("port", rpc_server_port(p->gateway.server)));
        while (fiber_park(self) == 0 && !p->gateway.draining) {
        }
    } else if (!p->gateway.draining) {
        log_error(p->gateway.domain.log, "cannot start", LOG_S("why", fault.text));
        p->status = 1;
    }
    stop(self, p);
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    loop_stop(p->gateway.domain.loop);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct process *p = handle->data;
    p->gateway.draining = true;
    fiber_wake(p->serving);
}

static void watch_signals(struct process *p) {
    uv_loop_t *uv = loop_uv(p->gateway.domain.loop);
    uv_signal_init(uv, &p->term);
    uv_signal_init(uv, &p->interrupt);
    p->term.data = p->interrupt.data = p;
    uv_signal_start(&p->term, on_signal, SIGTERM);
    uv_signal_start(&p->interrupt, on_signal, SIGINT);
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct process *p) {
    struct domain *d = &p->gateway.domain;
    char wrong[512];
    if (!migrate_check(p->config.database_url, (int)p->config.partitions, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-gateway: %s\n", wrong);
        return 1;
    }
    d->config = &p->config;
    enum log_level level = LOG_INFO;
    log_level_from(str_from(p->config.log_level), &level);
    d->log = log_new("gateway", level, 2);
    d->metrics = metrics_new();
    d->loop = loop_new(NULL, d->log);
    struct fiber_options options = {.name = "main"};
    if (!d->loop || fiber_spawn(d->loop, &options, serve, p, &p->serving) != 0) return 1;
    watch_signals(p);
    loop_run(d->loop);
    loop_free(d->loop);
    metrics_free(d->metrics);
    log_free(d->log);
    return p->status;
}

static int migrate(const struct config *c) {
    char wrong[512];
    if (migrate_run(c->database_url, (int)c->partitions, stdout, wrong, sizeof wrong) == 0) return 0;
    fprintf(stderr, "rookery-gateway: %s\n", wrong);
    return 1;
}

static int usage(FILE *out, int status) {
    fputs("Usage: rookery-gateway                       serve the API until SIGTERM\n"
          "       rookery-gateway migrate               bring the database up to date\n"
          "       rookery-gateway health [ADDR:PORT]    ask a running gateway whether it serves\n"
          "       rookery-gateway --help                this text\n\nSettings, from the environment:\n",
          out);
    config_print(out);
    return status;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The exit status of a command line that only asks for help or cannot be followed; -1: there is something to do. */
static int help_or_complain(int argc, char **argv) {
    bool migrates = strcmp(argv[1], "migrate") == 0;
    if (is_help(argv[1]) || (migrates && argc > 2 && is_help(argv[2]))) return usage(stdout, 0);
    if (strcmp(argv[1], "health") == 0 || (migrates && argc == 2)) return -1;
    if (migrates)
        fprintf(stderr, "rookery-gateway: migrate takes nothing more, not \"%s\"\n\n", argv[2]);
    else
        fprintf(stderr, "rookery-gateway: there is no command \"%s\"\n\n", argv[1]);
    return usage(stderr, 2);
}

static int with_servers(struct process *p, bool up) {
    if (token_init()) return up ? migrate(&p->config) : run(p);
    fprintf(stderr, "rookery-gateway: libsodium cannot be initialised\n");
    return 1;
}

int main(int argc, char **argv) {
    static struct process process;
    struct config *config = &process.config;
    char wrong[512];
    const char *command = argc > 1 ? argv[1] : "";
    int status = argc > 1 ? help_or_complain(argc, argv) : -1;
    if (status >= 0) return status;
    bool health = strcmp(command, "health") == 0, up = strcmp(command, "migrate") == 0;
    if (!config_load(config, environ, wrong, sizeof wrong)) {
        fprintf(stderr, "rookery-gateway: %s\n", wrong);
        return 2;
    }
    if (health)
        status = probe_command("rookery-gateway", argc - 1, argv + 1, config->listen, "ROOKERY_LISTEN");
    else
        status = with_servers(&process, up);
    config_free(config);
    return status;
}
