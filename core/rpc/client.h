/* A gRPC client on the same loop: for the load generator, the tests and calls between daemons.
 *
 * One HTTP/2 connection; many calls in flight on it, each from its own fiber. No reconnecting: a lost
 * connection fails its calls with ERR_CONNECTION_LOST and the caller opens another.
 */
#ifndef ROOKERY_CORE_RPC_CLIENT_H
#define ROOKERY_CORE_RPC_CLIENT_H

#include "core/rpc/rpc.h"

struct rpc_client;
struct rpc_client_stream;

/* Connects to "ADDR:PORT". Returns 0 and *out, or ERR_*. */
int rpc_client_open(struct fiber *self, const char *address, struct rpc_client **out);
/* Fails the calls in flight, closes, frees. */
void rpc_client_close(struct fiber *self, struct rpc_client *c);
bool rpc_client_alive(const struct rpc_client *c);

struct rpc_client_call {
    const char *path;
    struct str bearer;  /* empty: no authorization header */
    struct str request; /* encoded message */
    int64_t timeout_ms; /* 0: none */
    /* out */
    struct str reply;        /* encoded, in the fiber's arena */
    int grpc_status;         /* 0..16 */
    struct str grpc_message; /* decoded, in the fiber's arena */
};

/* Returns 0 when a gRPC status came (see grpc_status), ERR_* when none did. */
int rpc_client_unary(struct fiber *self, struct rpc_client *c, struct rpc_client_call *call);

/* Server streaming: open, then read until *end; the status is then in *call, which must live until the close. A
 * message lives in the arena of the fiber that read it. Returns 0, or ERR_* when no status came. */
int rpc_client_stream_open(struct fiber *self, struct rpc_client *c, struct rpc_client_call *call,
                           struct rpc_client_stream **out);
int rpc_client_stream_read(struct fiber *self, struct rpc_client_stream *s, struct str *message, bool *end);
void rpc_client_stream_close(struct rpc_client_stream *s); /* RST_STREAM(CANCEL) when it had not ended */

#endif
