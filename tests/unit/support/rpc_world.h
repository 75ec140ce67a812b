/* A server with methods of every kind, for the tests of the rpc surface.
 *
 * Messages are the well-known ones, so that no test proto is needed: HealthCheckRequest as "a string",
 * Duration as "a number" (its seconds).
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_RPC_WORLD_H
#define ROOKERY_TESTS_UNIT_SUPPORT_RPC_WORLD_H

#include "core/base/metrics.h"
#include "core/http/http.h"
#include "core/rpc/client.h"
#include "core/rpc/rpc.h"

#define TEST_SERVICE "/rookery.test.v1.TestService/"

struct rpc_world {
    struct rpc_server_options options; /* may be changed before world_start */
    struct metrics *metrics;
    struct rpc_server *server;
    char address[32];
    bool is_ready;
    int64_t sum_waits_ms; /* before Sum takes a message */
    int64_t authenticator_waits_ms;
    /* What the handlers saw. */
    int handlers_running, cancelled, past_deadline;
    int64_t last_time_left_ms;
    size_t most_unsent, flooded;
    /* The last stream that Live detached; NULL once it ended. */
    struct rpc_stream *live;
    int live_ended;
};

/* Methods below TEST_SERVICE:
 *   Echo     unary   string -> the same; header "x-seen" and trailer "x-done" are set,
 *                   "x-echo-bin" and "x-echo-bit" are returned
 *   Fail     unary   a status number as string -> that error, with field "name" and a retry delay when it is 3 or 8
 *   Sleep    unary   number of ms -> the same, after that time
 *   Private  unary   string -> the same, for "authorization: Bearer sesame"
 *   Count    server  n -> 1..n
 *   Flood    server  n -> n strings of 10,000 bytes, as fast as the client takes them
 *   Live     server  detaches; see rpc_world.live
 *   Sum      client  numbers -> their sum
 *   Chat     bidi    strings -> each back
 *   PrivateChat  the same, for "authorization: Bearer sesame"
 * Routes: /healthz "ok\n", /echo the query. */
void world_init(struct rpc_world *w);
/* Starts the server on a free port of the fiber's loop. */
void world_start(struct fiber *self, struct rpc_world *w);
/* Stops it within time_ms and frees everything. */
void world_stop(struct fiber *self, struct rpc_world *w, int64_t time_ms);

/* Lets so many seconds pass for the streams of its running calls, as far as their peers' progress goes. */
void world_age(struct rpc_world *w, int64_t seconds);
/* Waits until the server has looked at every stream once more. */
void world_await_sweep(struct fiber *self, struct rpc_world *w);
/* What the first running call waits for. */
enum http_wants world_wants(const struct rpc_world *w);

uint64_t world_counter(struct rpc_world *w, const char *name, const char *labels);
/* Encoded messages, in the fiber's arena. */
struct str pack_string(struct fiber *self, struct str s);
struct str pack_number(struct fiber *self, int64_t n);
struct str unpack_string(struct fiber *self, struct str bytes);
int64_t unpack_number(struct fiber *self, struct str bytes);

#endif
