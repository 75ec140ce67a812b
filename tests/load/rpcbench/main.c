/* rpcbench: how fast the rpc surface is by itself, with no backend behind it.
 *
 *   rpcbench serve ADDR:PORT [BYTES]          a server whose one method gives a constant reply (default 4000)
 *   rpcbench call ADDR:PORT CONNECTIONS CALLS SECONDS
 *                                             CALLS in flight on each connection; prints calls a second and
 *                                             latency percentiles
 *
 * For comparing with other servers use h2load on both sides of the comparison, and beware: h2load counts a
 * failed gRPC call as a success, so look at the server's own counts (/metrics).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/net/rpc.h"
#include "core/net/rpc_client.h"
#include "grpc/health/v1/health.pb-c.h"

#define METHOD "/rookery.bench.v1.BenchService/Get"

/* ---- serve
 * ------------------------------------------------------------------------------------------------- */

struct bench {
    struct metrics *metrics;
    struct str reply;
};

static int get(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const struct bench *b = rpc_context(call);
    (void)self;
    (void)request;
    rpc_reply_encoded(call, &b->reply, 1);
    return 0;
}

static void show_metrics(struct fiber *self, void *context, struct str path, struct str query,
                         struct http_reply *out) {
    const struct bench *b = context;
    (void)self;
    (void)path;
    (void)query;
    metrics_write(b->metrics, &out->body);
}

/* A HealthCheckRequest whose one string fills the reply. */
static struct str constant_reply(size_t bytes) {
    struct buf b;
    buf_init(&b);
    buf_append_char(&b, 0x0a);
    buf_append_char(&b, (char)(0x80 | (bytes & 0x7f)));
    buf_append_char(&b, (char)(bytes >> 7 & 0x7f));
    for (size_t i = 0; i < bytes; i++) buf_append_char(&b, 'x');
    return buf_str(&b);
}

static int serve(const char *address, size_t bytes) {
    struct log *log = log_new("rpcbench", LOG_INFO, 2);
    struct loop *l = loop_new(NULL, log);
    struct bench b = {.metrics = metrics_new(), .reply = constant_reply(bytes)};
    struct fault fault = {0};
    const struct rpc_method methods[] = {{.path = METHOD,
                                          .kind = RPC_UNARY,
                                          .request = &grpc__health__v1__health_check_request__descriptor,
                                          .reply = &grpc__health__v1__health_check_request__descriptor,
                                          .handler = get,
                                          .is_public = true,
                                          .side_effect_free = true}};
    const struct http_route routes[] = {{"/metrics", show_metrics}};
    struct rpc_server_options o = {.listen = address,
                                   .methods = methods,
                                   .n_methods = 1,
                                   .routes = routes,
                                   .n_routes = 1,
                                   .context = &b,
                                   .request_timeout_ms = 10000,
                                   .max_calls = 10000,
                                   .max_connections = 10000,
                                   .max_message_bytes = 1 << 20};
    if (!rpc_server_start(l, &o, log, b.metrics, &fault)) {
        fprintf(stderr, "rpcbench: %s\n", fault.text);
        return 1;
    }
    loop_run(l);
    return 0;
}

/* ---- call
 * -------------------------------------------------------------------------------------------------- */

struct load {
    const char *address;
    int calls;
    int64_t until_ns;
    uint64_t done, failed;
    int64_t *latency_ns;
    size_t n_latency, cap_latency;
};

struct connection {
    struct load *load;
    struct rpc_client *client;
    struct latch latch;
};

static void note(struct load *load, int64_t ns) {
    load->done++;
    if (load->n_latency < load->cap_latency) load->latency_ns[load->n_latency++] = ns;
}

static void caller(struct fiber *self, void *arg) {
    struct connection *c = arg;
    while (clock_mono_ns() < c->load->until_ns) {
        struct rpc_client_call call = {.path = METHOD, .request = STR("\x0a\x04user")};
        int64_t start = clock_mono_ns();
        int rc = rpc_client_unary(self, c->client, &call);
        if (rc != 0 || call.grpc_status != 0) {
            c->load->failed++;
            break;
        }
        note(c->load, clock_mono_ns() - start);
        arena_reset(fiber_arena(self));
    }
    latch_done(&c->latch);
}

static void connection(struct fiber *self, void *arg) {
    struct connection c = {.load = arg};
    if (rpc_client_open(self, c.load->address, &c.client) != 0) {
        c.load->failed++;
        return;
    }
    latch_init(&c.latch, (size_t)c.load->calls);
    for (int i = 0; i < c.load->calls; i++)
        if (fiber_spawn(fiber_loop(self), NULL, caller, &c, NULL) != 0) latch_done(&c.latch);
    latch_wait(self, &c.latch);
    rpc_client_close(self, c.client);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct load *load, double p) {
    if (load->n_latency == 0) return 0;
    size_t i = (size_t)(p * (double)(load->n_latency - 1));
    return (double)load->latency_ns[i] / 1000;
}

static int call(const char *address, int connections, int calls, double seconds) {
    struct loop *l = loop_new(NULL, NULL);
    struct load load = {.address = address, .calls = calls, .cap_latency = 4u << 20};
    load.latency_ns = calloc(load.cap_latency, sizeof *load.latency_ns);
    if (!load.latency_ns) return 1;
    int64_t start = clock_mono_ns();
    load.until_ns = start + (int64_t)(seconds * (double)NS_PER_S);
    for (int i = 0; i < connections; i++) fiber_spawn(l, NULL, connection, &load, NULL);
    loop_run(l);
    double took = (double)(clock_mono_ns() - start) / (double)NS_PER_S;
    qsort(load.latency_ns, load.n_latency, sizeof *load.latency_ns, by_value);
    printf("%.0f calls/s, %llu failed; p50 %.0f us, p99 %.0f us, p99.9 %.0f us\n", (double)load.done / took,
           (unsigned long long)load.failed, percentile_us(&load, 0.5), percentile_us(&load, 0.99),
           percentile_us(&load, 0.999));
    free(load.latency_ns);
    loop_free(l);
    return load.failed ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc >= 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argc > 3 ? (size_t)atol(argv[3]) : 4000);
    if (argc == 6 && strcmp(argv[1], "call") == 0)
        return call(argv[2], atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    fprintf(stderr, "usage: rpcbench serve ADDR:PORT [BYTES]\n"
                    "       rpcbench call ADDR:PORT CONNECTIONS CALLS SECONDS\n");
    return 2;
}
