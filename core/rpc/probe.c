/* The health probe.
 *
 * (1) A fiber on a loop of its own connects; (2) calls Check for "", the whole server; (3) SERVING is success.
 *     Everything else is a sentence that names the step that failed: the address, the connection, the call, or the
 *     server's answer.
 */
#include "core/rpc/probe.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/rpc/client.h"
#include "grpc/health/v1/health.pb-c.h"

struct probe {
    const char *program, *address;
    int status;
};

static bool says_serving(struct str reply) {
    Grpc__Health__V1__HealthCheckResponse *r =
        grpc__health__v1__health_check_response__unpack(NULL, reply.len, (const uint8_t *)reply.ptr);
    bool serving = r && r->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    if (r) grpc__health__v1__health_check_response__free_unpacked(r, NULL);
    return serving;
}

static int check(struct fiber *self, struct rpc_client *c, const char *address, struct fault *fault) {
    /* An empty message: the service "". */
    struct rpc_client_call call = {.path = "/grpc.health.v1.Health/Check"};
    int e = rpc_client_unary(self, c, &call);
    if (e != 0)
        return fault_set(fault, ERR_UNAVAILABLE, "%s does not answer a gRPC health check: %s", address,
                         error_text(e));
    if (call.grpc_status != 0)
        return fault_set(fault, ERR_UNAVAILABLE, "%s answers with gRPC status %d: " STR_FMT, address,
                         call.grpc_status, STR_ARG(call.grpc_message));
    if (!says_serving(call.reply)) return fault_set(fault, ERR_UNAVAILABLE, "%s is not serving", address);
    return ERR_OK;
}

int probe_ask(struct fiber *self, const char *address, struct fault *fault) {
    struct rpc_client *c;
    int e = rpc_client_open(self, address, &c);
    if (e == ERR_INVALID_ARGUMENT)
        return fault_set(fault, e, "\"%s\" is not an address: give ADDR:PORT, such as 127.0.0.1:8080",
                         address);
    if (e != 0) return fault_set(fault, ERR_UNAVAILABLE, "nobody answers at %s", address);
    e = check(self, c, address, fault);
    rpc_client_close(self, c);
    return e;
}

static void run(struct fiber *self, void *arg) {
    struct probe *p = arg;
    struct fault fault = {0};
    int e = probe_ask(self, p->address, &fault);
    if (e == 0)
        printf("%s is serving\n", p->address);
    else
        fprintf(stderr, "%s health: %s\n", p->program, fault.text);
    p->status = e == 0 ? 0 : e == ERR_INVALID_ARGUMENT ? 2 : 1;
}

static int run_on_a_loop(struct probe *p) {
    struct loop *l = loop_new(NULL);
    struct fiber_options options = {.deadline_ns = clock_mono_ns() + PROBE_TIMEOUT_MS * NS_PER_MS};
    if (!l || fiber_spawn(l, &options, run, p, NULL) != 0) return 1;
    loop_run(l);
    loop_free(l);
    return p->status;
}

static int usage(FILE *out, const char *program, const char *variable, int status) {
    fprintf(out,
            "Usage: %s health [ADDR:PORT]\n\n"
            "Asks a running one, by default at %s, whether it serves. Exit status: 0 it does, 1 it does\n"
            "not or gives no answer in %d s, 2 for an address that is none.\n",
            program, variable, PROBE_TIMEOUT_MS / 1000);
    return status;
}

int probe_command(const char *program, int argc, char **argv, const char *listen, const char *variable) {
    struct probe p = {.program = program, .address = argc > 1 ? argv[1] : listen};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout, program, variable, 0);
    if (argc > 2) return usage(stderr, program, variable, 2);
    if (*p.address) return run_on_a_loop(&p);
    fprintf(stderr, "%s health: no address to ask: give ADDR:PORT, or set %s\n", program, variable);
    return 2;
}
