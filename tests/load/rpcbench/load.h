/* What rpcbench's kinds of load share: CALLS fibers on each of CONNECTIONS connections take steps until the
 * time is up, or the number of steps is used up. A step that fails ends the run. */
#ifndef ROOKERY_TESTS_LOAD_RPCBENCH_LOAD_H
#define ROOKERY_TESTS_LOAD_RPCBENCH_LOAD_H

#include "core/rpc/client.h"

struct load;

/* One call or several, each by load_call. False when the reply was not what it must be. */
typedef bool load_step(struct fiber *self, struct rpc_client *client, struct load *load);

struct load {
    const char *address;
    int connections, calls;
    double seconds; /* or: */
    uint64_t steps; /* so many steps in all; 0: until the time is up */
    load_step *step;
    void *arg; /* the step's */
    /* private */
    int64_t until_ns;
    uint64_t begun, done, failed;
    int64_t *latency_ns;
    size_t n_latency, cap_latency;
};

/* Runs it, prints a line ("N calls/s, N failed; percentiles") unless quiet; 0, or 1 when a call failed. */
int load_run(struct load *load, bool quiet);

/* One call, counted and timed. False, with a sentence on standard error, when there is no reply. */
bool load_call(struct fiber *self, struct rpc_client *client, struct load *load,
               struct rpc_client_call *call);

/* The number of the step that runs now, from 0. */
uint64_t load_step_number(const struct load *load);

/* ---- api.c: load on a gateway. tokens: one a line; each is an account's. ---- */
int api_home(const char *address, const char *tokens, int connections, int calls, double seconds);
int api_post(const char *address, const char *tokens, int connections, int calls, double seconds);
/* Runs the command between the streams' end and their coming back. */
int api_resume(const char *address, const char *tokens, size_t streams, size_t connections,
               const char *between);

#endif
