/* rookery-gateway: serves the API. `rookery-gateway migrate` brings the database up to date, `health` checks a
 * running gateway; `--help` lists settings. */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/monitor.h"
#include "core/process/process.h"
#include "core/process/routes.h"
#include "core/rpc/probe.h"
#include "core/store/migrate/migrate.h"
#include "core/text/fields.h"
#include "gateway/main.sql.h"
#include "gateway/parts.h"
#include "gateway/service/auth.h"
#include "gateway/service/service.h"

#define PROGRAM "rookery-gateway"

enum { MONITOR_STOP_MS = 1000 };

struct process {
    struct gateway gateway;
    struct config config;
    struct text_fields texts;
    struct rpc_server *monitor; /* NULL without ROOKERY_METRICS_LISTEN */
    struct metrics *monitor_counts;
};

/* ---- plain routes -------------------------------------------------------------------------------------- */

/* Why it is not ready, or NULL. */
static const char *hindrance(const struct gateway *g) {
    return g->draining ? "draining" : pg_hindrance(g->domain.pg);
}

static bool ready(void *context) {
    return !hindrance(context);
}

static void healthz(struct fiber *self, void *context, struct str path, struct str query,
                    struct http_reply *out) {
    (void)self, (void)context, (void)path, (void)query;
    route_text(out, 200, "ok\n");
}

static void readyz(struct fiber *self, void *context, struct str path, struct str query,
                   struct http_reply *out) {
    (void)self, (void)path, (void)query;
    struct gateway *g = context;
    const char *why = hindrance(g);
    route_text(out, why ? 503 : 200, why ? why : "ready");
    buf_append_char(&out->body, '\n');
}

static void metrics_page(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    (void)self, (void)path, (void)query;
    struct gateway *g = context;
    route_metrics(out, g->domain.metrics);
}

static const struct http_route ROUTES[] = {{"/healthz", healthz}, {"/readyz", readyz}},
                               MONITOR_ROUTES[] = {
                                   {"/healthz", healthz}, {"/readyz", readyz}, {"/metrics", metrics_page}};

/* ---- start and stop ------------------------------------------------------------------------------------ */

static int load_page_key(struct fiber *self, struct gateway *g, struct fault *fault) {
    unsigned char fresh[PAGE_TOKEN_KEY_BYTES];
    randombytes_buf(fresh, sizeof fresh);
    struct pg_result *r;
    /* When two gateways start at the same time, the loser's statement may see neither row; then it asks again. */
    for (;;) {
        int e = pg_ask(self, g->domain.pg, &GATEWAY_PAGE_SECRET, &r, fault,
                       pg_bytes((struct str){(const char *)fresh, sizeof fresh}));
        if (e != 0) return e;
        if (pg_rows(r) == 1) break;
    }
    struct str key = pg_only_str(r);
    memcpy(g->page_key, key.ptr, sizeof g->page_key);
    g->domain.token_key = g->page_key;
    return 0;
}

static size_t at_least(int64_t bytes, int64_t least) {
    return (size_t)(bytes > least ? bytes : least);
}

/* Whatever is configured, one message fits. */
static void bound_requests(const struct config *c, struct budget_limits *out) {
    const int64_t message = 2 * c->max_message_bytes, anonymous = 128 * 1024;
    *out = (struct budget_limits){
        .connection = at_least(c->anonymous_request_bytes / 32, anonymous),
        .network = at_least(c->anonymous_request_bytes / 16, anonymous),
        .anonymous = at_least(c->anonymous_request_bytes, anonymous),
        .account = at_least(c->request_bytes / 8, message),
        .accounts = at_least(c->request_bytes, message),
    };
}

static int listen_for_calls(struct process *p, struct fault *fault) {
    struct gateway *g = &p->gateway;
    size_t n_methods;
    const struct rpc_method *methods = service_methods(&n_methods);
    service_texts_init(&p->texts);
    struct rpc_server_options o = {
        .listen = p->config.listen,
        .methods = methods,
        .n_methods = n_methods,
        .texts = &p->texts,
        .routes = ROUTES,
        .n_routes = sizeof ROUTES / sizeof *ROUTES,
        .admit = auth_admit,
        .authenticate = auth_authenticate,
        .recognize = auth_recognize,
        .context = g,
        .ready = ready,
        .request_timeout_ms = p->config.request_timeout_ms,
        .max_calls = (size_t)p->config.max_calls,
        .max_connections = (size_t)p->config.max_connections,
        .trusted_proxies = p->config.trusted_proxies,
        .proxy_headers = p->config.proxy_headers == 1,
        .peers =
            {
                .per_network = (size_t)p->config.network_connections,
                .anonymous = (size_t)p->config.anonymous_connections,
                .per_account = (size_t)p->config.account_connections,
                .anonymous_idle_ms = p->config.anonymous_idle_ms,
            },
        .max_message_bytes = (size_t)p->config.max_message_bytes,
        .cors_origins = p->config.cors_origins,
    };
    bound_requests(&p->config, &o.budget);
    o.reply_bytes = (size_t)p->config.reply_bytes;
    g->server = rpc_server_start(g->domain.loop, &o, g->domain.log, g->domain.metrics, fault);
    return g->server ? 0 : fault->error;
}

/* Not at the clients' port: what it says is for the operator. */
static int listen_for_operators(struct process *p, struct fault *fault) {
    p->monitor_counts = metrics_new();
    const struct monitor_options o = {
        .routes = MONITOR_ROUTES,
        .n_routes = sizeof MONITOR_ROUTES / sizeof *MONITOR_ROUTES,
        .context = &p->gateway,
        .ready = ready,
        .counts = p->monitor_counts,
    };
    return monitor_start(&p->gateway.domain, &o, &p->monitor, fault);
}

static int start(struct fiber *self, void *context, struct fault *fault) {
    struct process *p = context;
    struct gateway *g = &p->gateway;
    int e = domain_connect(self, &g->domain, PROGRAM, fault);
    if (e == 0) e = load_page_key(self, g, fault);
    if (e != 0) return e;
    gateway_open(g);
    e = listen_for_calls(p, fault);
    if (e == 0) e = listen_for_operators(p, fault);
    if (e == 0)
        log_info(g->domain.log, "ready", LOG_S("listen", p->config.listen),
                 LOG_I("port", rpc_server_port(g->server)),
                 LOG_I("metrics_port", p->monitor ? rpc_server_port(p->monitor) : 0));
    return e;
}

static void stop(struct fiber *self, void *context) {
    struct process *p = context;
    struct gateway *g = &p->gateway;
    g->draining = true;
    if (g->server) rpc_server_stop(self, g->server, p->config.drain_ms);
    if (p->monitor)
        rpc_server_stop(self, p->monitor, MONITOR_STOP_MS); /* until here the drain can be watched */
    if (p->monitor_counts) metrics_free(p->monitor_counts);
    gateway_close(self, g);
    text_fields_free(&p->texts);
    domain_disconnect(self, &g->domain);
}

static int serve_until_signal(struct process *p) {
    const struct daemon daemon = {
        .program = PROGRAM,
        .config = &p->config,
        .domain = &p->gateway.domain,
        .stopping = &p->gateway.draining,
        .context = p,
        .start = start,
        .stop = stop,
    };
    return process_serve(&daemon);
}

static int migrate(const struct config *c) {
    char wrong[512];
    if (migrate_run(c->database_url, (int)c->partitions, stdout, wrong, sizeof wrong) == 0) return 0;
    fprintf(stderr, "rookery-gateway: %s\n", wrong);
    return 1;
}

static int usage(FILE *out, int status) {
    fputs(
        "Usage: rookery-gateway                       serve the API until SIGTERM\n"
        "       rookery-gateway migrate               bring the database up to date\n"
        "       rookery-gateway check                 ask PostgreSQL and Redis whether they can be used\n"
        "       rookery-gateway health [ADDR:PORT]    ask a running gateway whether it serves\n"
        "       rookery-gateway methods               list the API's methods, who may call them, their cost "
        "and limits\n"
        "       rookery-gateway --version             which version this is\n"
        "       rookery-gateway --help                this text\n\nSettings, from the environment:\n",
        out);
    config_print(out);
    return status;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Returns the exit status of a command line that is complete or wrong; -1 when the gateway is to run. */
static int help_or_complain(int argc, char **argv) {
    bool migrates = strcmp(argv[1], "migrate") == 0;
    if (is_help(argv[1]) || (migrates && argc > 2 && is_help(argv[2]))) return usage(stdout, 0);
    if (strcmp(argv[1], "check") == 0 && argc == 2) return process_check_servers(PROGRAM);
    bool lists = strcmp(argv[1], "methods") == 0 && argc == 2;
    if (strcmp(argv[1], "health") == 0 || lists || (migrates && argc == 2)) return -1;
    if (migrates)
        fprintf(stderr, "rookery-gateway: migrate takes nothing more, not \"%s\"\n\n", argv[2]);
    else
        fprintf(stderr, "rookery-gateway: there is no command \"%s\"\n\n", argv[1]);
    return usage(stderr, 2);
}

int main(int argc, char **argv) {
    static struct process process;
    struct config *config = &process.config;
    const char *command = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    if (process_print_version(PROGRAM, argc, argv)) return 0;
    int status = argc > 1 ? help_or_complain(argc, argv) : -1;
    if (status >= 0) return status;
    status = process_configure(PROGRAM, config);
    if (status != 0) return status;
    if (strcmp(command, "methods") == 0)
        service_print(stdout, config);
    else if (strcmp(command, "health") == 0)
        status = probe_command(PROGRAM, argc - 1, argv + 1, config->listen, "ROOKERY_LISTEN");
    else
        status = strcmp(command, "migrate") == 0 ? migrate(config) : serve_until_signal(&process);
    config_free(config);
    return status;
}
