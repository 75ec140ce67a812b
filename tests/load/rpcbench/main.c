/* rpcbench: a gRPC client that calls as fast as it can, and checks what it gets.
 *
 *   rpcbench serve ADDR:PORT [BYTES]
 *       a server whose one method gives a constant reply (default 4000): how fast the rpc surface is with no
 *       backend behind it
 *   rpcbench call ADDR:PORT CONNECTIONS CALLS SECONDS [PATH [BYTES]]
 *       calls one method, of whose replies each has at least BYTES
 *   rpcbench home ADDR:PORT TOKENS CONNECTIONS CALLS SECONDS
 *       home timelines of the accounts whose tokens the file holds, 20 items a page; every fourth reader asks for
 *       a second page
 *   rpcbench post ADDR:PORT TOKENS CONNECTIONS CALLS SECONDS
 *       posts
 *   rpcbench resume ADDR:PORT TOKENS STREAMS CONNECTIONS COMMAND
 *       opens live streams, closes all of them, runs the command, opens all of them again with their resume tokens,
 *       and says how long it took until each was back
 *
 * CALLS are in flight on each connection. Prints calls a second and latency percentiles; status 1 when a call
 * failed or gave something else than it must.
 *
 * For comparing with other servers use h2load on both sides of the comparison, and beware: h2load counts a
 * failed gRPC call as a success, so look at the server's own counts (/metrics).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/rpc/rpc.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/load/rpcbench/load.h"

#define METHOD "/rookery.bench.v1.BenchService/Get"

/* ---- serve --------------------------------------------------------------------------------------------- */

struct bench {
    struct metrics *metrics;
    struct str reply;
};

static int get(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const struct bench *b = rpc_context(call);
    (void)self;
    (void)request;
    rpc_reply_encoded(call, b->reply);
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
    struct loop *l = loop_new(NULL);
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

/* ---- call ---------------------------------------------------------------------------------------------- */

/* What is called, and how long a reply must at least be. */
struct target {
    const char *path;
    size_t bytes;
};

static bool call_step(struct fiber *self, struct rpc_client *client, struct load *load) {
    const struct target *t = load->arg;
    /* With a token, as a call to a gateway has it: it costs client and server the same on both sides. */
    struct rpc_client_call call = {
        .path = t->path, .bearer = STR("bench-0000000001"), .request = STR("\x0a\x04user")};
    if (!load_call(self, client, load, &call)) return false;
    if (call.reply.len >= t->bytes) return true;
    fprintf(stderr, "rpcbench: a reply has %zu bytes, not %zu\n", call.reply.len, t->bytes);
    return false;
}

static int call(char **argv, const char *path, size_t bytes) {
    struct target target = {path, bytes};
    struct load load = {.address = argv[2],
                        .connections = atoi(argv[3]),
                        .calls = atoi(argv[4]),
                        .seconds = atof(argv[5]),
                        .step = call_step,
                        .arg = &target};
    return load_run(&load, false);
}

int main(int argc, char **argv) {
    const char *command = argc > 2 ? argv[1] : "";
    if (strcmp(command, "serve") == 0) return serve(argv[2], argc > 3 ? (size_t)atol(argv[3]) : 4000);
    if (strcmp(command, "call") == 0 && argc >= 6)
        return call(argv, argc > 6 ? argv[6] : METHOD, argc > 7 ? (size_t)atol(argv[7]) : 0);
    if (strcmp(command, "home") == 0 && argc == 7)
        return api_home(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), atof(argv[6]));
    if (strcmp(command, "post") == 0 && argc == 7)
        return api_post(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), atof(argv[6]));
    if (strcmp(command, "resume") == 0 && argc == 7)
        return api_resume(argv[2], argv[3], (size_t)atol(argv[4]), (size_t)atol(argv[5]), argv[6]);
    fprintf(stderr, "usage: rpcbench serve ADDR:PORT [BYTES]\n"
                    "       rpcbench call ADDR:PORT CONNECTIONS CALLS SECONDS [PATH [BYTES]]\n"
                    "       rpcbench home|post ADDR:PORT TOKENS CONNECTIONS CALLS SECONDS\n"
                    "       rpcbench resume ADDR:PORT TOKENS STREAMS CONNECTIONS COMMAND\n");
    return 2;
}
