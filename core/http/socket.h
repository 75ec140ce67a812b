/* A TCP connection as the protocols above see it: bytes come in, and what a turn of the loop appended goes
 * out in one write. TLS will live here, so that nothing above it changes.
 *
 * Reading: every connection of a pool reads into one shared buffer; events->read must copy what it wants to keep.
 * Writing is pull-based: socket_flush_later() asks for a flush at the end of the turn; then events->fill() appends to
 * the output buffer while there is room (64 KiB), and the buffer is written. Until the kernel has taken all of it
 * nothing more is pulled: that is the backpressure of every protocol. An idle connection holds no buffer.
 *
 * Ends: events->ended(), if there is one, is asked when the peer sends no more, since it may still read. Otherwise, and
 * when the peer has gone or a write failed, events->lost() is called, once; the owner then calls socket_close().
 * socket_finish() is the orderly end: flush, shut down our side, and discard further input, so that the kernel does
 * not reset the connection and lose our last bytes. It lasts until the peer closes or the owner's sweep closes the
 * connection. events->closed() is the last event: the owner may free the memory.
 */
#ifndef ROOKERY_CORE_HTTP_SOCKET_H
#define ROOKERY_CORE_HTTP_SOCKET_H

#include "core/async/loop.h"

/* One output buffer: a little more than three full HTTP/2 frames. */
#define SOCKET_OUT_BYTES ((size_t)64 * 1024)
#define SOCKET_READ_BYTES ((size_t)64 * 1024)

struct net_socket;
struct out_buffer;

/* Buffers shared by the connections of one server or client. */
struct socket_pool {
    char *read_buffer;
    struct out_buffer *free;
    size_t n_free, n_used;
};
void socket_pool_init(struct socket_pool *p);
void socket_pool_free(struct socket_pool *p); /* after the last connection has closed */

struct socket_events {
    /* n > 0 bytes, valid for the call. */
    void (*read)(struct net_socket *k, const char *bytes, size_t n);
    /* Append with socket_reserve/socket_commit until there is no room or no output left. */
    void (*fill)(struct net_socket *k);
    /* Returns whether there is still something to send; NULL: never. */
    bool (*ended)(struct net_socket *k);
    void (*lost)(struct net_socket *k);
    void (*closed)(struct net_socket *k);
};

struct net_socket {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct flusher flusher;
    struct loop *loop;
    struct socket_pool *pool;
    const struct socket_events *events;
    struct out_buffer *out; /* NULL when empty */
    size_t out_len;
    size_t seen_unwritten; /* of the write in flight, at the last sweep: has it moved? */
    int64_t last_read_ns, last_write_ns;
    bool writing;   /* one uv_write in flight */
    bool finishing; /* close once everything is flushed */
    bool shut;      /* our side is shut down; input is discarded */
    bool ended;     /* the peer sends no more */
    bool lost, closing;
    bool paused; /* reading is stopped */
};

/* Initialises k; the owner accepts or connects k->tcp afterwards. Returns 0 or UV_*. */
int socket_init(struct net_socket *k, struct loop *l, struct socket_pool *p,
                const struct socket_events *events);
/* After accept or connect: sets TCP_NODELAY, starts reading. Returns 0 or UV_*. */
int socket_start(struct net_socket *k);
/* Backpressure to the peer. */
void socket_pause(struct net_socket *k);
void socket_resume(struct net_socket *k);

void socket_flush_later(struct net_socket *k);
/* Inside fill: where `bytes` bytes may be written; NULL when they no longer fit. */
char *socket_reserve(struct net_socket *k, size_t bytes);
size_t socket_room(const struct net_socket *k);
void socket_commit(struct net_socket *k, size_t bytes);

/* Whether bytes of the peer wait to be read: asks the kernel. */
bool socket_has_unread(const struct net_socket *k);

/* Called about once a second: the bytes of the write in flight if it has not moved since the last call, else 0. */
size_t socket_stalled_bytes(struct net_socket *k);

/* Whether the kernel has given the connection up: for one that has ended, and so is not read. */
bool socket_is_gone(const struct net_socket *k);

void socket_finish(struct net_socket *k);
void socket_close(struct net_socket *k);

/* Parses "ADDR:PORT" or "[ADDR6]:PORT", numeric. Returns false when it is neither. */
bool socket_parse_address(const char *text, struct sockaddr_storage *out);
/* The peer's address; of family AF_UNSPEC when it has gone. */
void socket_peer(const struct net_socket *k, struct sockaddr_storage *out);
/* An address as "127.0.0.1:4711"; "?:0" when it has no family. */
void socket_address_name(const struct sockaddr_storage *address, char *out, size_t size);

#endif
