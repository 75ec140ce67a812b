/* Running a load; what it is, is in load.h. */
#include "tests/load/rpcbench/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"

struct connection {
    struct load *load;
    struct rpc_client *client;
    struct latch latch;
};

static bool next_step(struct load *load) {
    if (load->failed > 0) return false;
    if (load->steps > 0 ? load->begun >= load->steps : clock_mono_ns() >= load->until_ns) return false;
    load->begun++;
    return true;
}

uint64_t load_step_number(const struct load *load) {
    return load->begun - 1;
}

bool load_call(struct fiber *self, struct rpc_client *client, struct load *load,
               struct rpc_client_call *call) {
    int64_t start = clock_mono_ns();
    int rc = rpc_client_unary(self, client, call);
    if (rc != 0 || call->grpc_status != 0) {
        fprintf(stderr, "rpcbench: %s: %s, status %d: " STR_FMT "\n", call->path, error_text(rc),
                call->grpc_status, STR_ARG(call->grpc_message));
        return false;
    }
    load->done++;
    if (load->n_latency < load->cap_latency) load->latency_ns[load->n_latency++] = clock_mono_ns() - start;
    return true;
}

static void caller(struct fiber *self, void *arg) {
    struct connection *c = arg;
    while (next_step(c->load)) {
        if (!c->load->step(self, c->client, c->load)) c->load->failed++;
        arena_reset(fiber_arena(self));
    }
    latch_done(&c->latch);
}

static void connection(struct fiber *self, void *arg) {
    struct connection c = {.load = arg};
    if (rpc_client_open(self, c.load->address, &c.client) != 0) {
        fprintf(stderr, "rpcbench: nobody answers at %s\n", c.load->address);
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

int load_run(struct load *load, bool quiet) {
    struct loop *l = loop_new(NULL);
    load->cap_latency = 4u << 20;
    load->latency_ns = calloc(load->cap_latency, sizeof *load->latency_ns);
    if (!l || !load->latency_ns) abort();
    int64_t start = clock_mono_ns();
    load->until_ns = start + (int64_t)(load->seconds * (double)NS_PER_S);
    for (int i = 0; i < load->connections; i++) fiber_spawn(l, NULL, connection, load, NULL);
    loop_run(l);
    double took = (double)(clock_mono_ns() - start) / (double)NS_PER_S;
    qsort(load->latency_ns, load->n_latency, sizeof *load->latency_ns, by_value);
    if (!quiet)
        printf("%.0f calls/s, %llu failed; p50 %.0f us, p99 %.0f us, p99.9 %.0f us\n",
               (double)load->done / took, (unsigned long long)load->failed, percentile_us(load, 0.5),
               percentile_us(load, 0.99), percentile_us(load, 0.999));
    free(load->latency_ns);
    loop_free(l);
    return load->failed ? 1 : 0;
}
