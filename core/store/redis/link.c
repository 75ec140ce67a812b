/* One connection to a Redis server: the socket, writing, reading. Each attempt to connect makes a new one.
 *
 * 1. redis_link_open resolves the name if needed, connects, and calls `opened`.
 * 2. redis_link_write hands the kernel the batches' own buffers, many in one call, until it takes no more. The rest
 *    of the first unsent batch then goes through uv_write, which waits for room; its callback continues with the
 *    others.
 * 3. on_read lets the first batch in flight take replies from the buffer: an integers-only batch reads its lines
 *    directly, others go through hiredis's reader, fed in slices. On a tracking connection resp3.c reads all of them,
 *    and pushes, which come between replies, are passed on immediately. A batch with all its replies is finished.
 *    When the next one reads lines, the bytes that the reader has not parsed go back into the buffer.
 * 4. redis_link_close closes the handle; on_closed frees everything.
 *
 * Failures: any error of the socket, a reply without a command, a reply to a command that was not sent yet, malformed
 * RESP, and a reply beyond MAX_REPLY all end in `lost`, once; the link is not used afterwards.
 */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/store/redis/redis_internal.h"

/* Some ten thousand integer replies; a read is then worth its system call. */
#define IN_BYTES ((size_t)64 * 1024)
/* Small, so that little is copied twice when the reader gives the rest back. */
#define FEED_SLICE ((size_t)4096)
/* Maximum that the reader holds of one unfinished reply. */
#define MAX_REPLY ((size_t)256 * 1024 * 1024)
/* Maximum line of RESP: with every slice the reader searches for its end again from its start. */
#define MAX_LINE ((size_t)512 * 1024)
/* Buffers in one write; the kernel takes 1,024 at most. */
#define WRITE_BUFS 512

struct redis_link {
    struct redis *redis;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_write_t write;
    int refs; /* the handle, and resolve while it runs */
    bool closed, resolving;
    bool writing; /* uv_write of one batch's rest is in progress */
    size_t writing_bytes;

    redisReader *reader;
    bool mid_reply;  /* the reader has part of a reply */
    size_t pos, len; /* in[pos..len) is unread */
    char in[IN_BYTES];
};

/* ---- life -------------------------------------------------------------------------------------------- */

static void unref(struct redis_link *k) {
    struct redis *r = k->redis;
    if (--k->refs > 0) return;
    if (k->reader) redisReaderFree(k->reader);
    free(k);
    r->on_link->closed(r);
}

static void lost(struct redis_link *k, const char *reason) {
    k->redis->on_link->lost(k->redis, reason);
}

static void on_closed(uv_handle_t *h) {
    unref(h->data);
}

void redis_link_close(struct redis_link *k) {
    assert(!k->closed);
    k->closed = true;
    if (k->resolving)
        uv_cancel((uv_req_t *)&k->resolve); /* may be too late: on_resolved is called either way */
    uv_close(&k->socket.handle, on_closed);
}

/* ---- connecting -------------------------------------------------------------------------------------- */

static void alloc_in(uv_handle_t *h, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf);

static void on_connected(uv_connect_t *connect, int status) {
    struct redis_link *k = connect->data;
    if (k->closed) return;
    if (status == 0) status = uv_read_start(&k->socket.stream, alloc_in, on_read);
    if (status < 0)
        lost(k, uv_strerror(status));
    else
        k->redis->on_link->opened(k->redis);
}

static int connect_tcp(struct redis_link *k, const struct sockaddr *address) {
    uv_tcp_nodelay(&k->socket.tcp, 1);
    uv_tcp_keepalive(&k->socket.tcp, 1, 60);
    return uv_tcp_connect(&k->connect, &k->socket.tcp, address, on_connected);
}

/* The first address: a name with several is asked again at the next attempt, and resolvers rotate. */
static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found) {
    struct redis_link *k = resolve->data;
    k->resolving = false;
    if (!k->closed && status == 0) status = connect_tcp(k, found->ai_addr);
    uv_freeaddrinfo(found);
    if (!k->closed && status < 0) lost(k, uv_strerror(status));
    unref(k);
}

static int start_resolving(struct redis_link *k, const struct redis_target *t) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    k->resolve.data = k;
    int e = uv_getaddrinfo(loop_uv(k->redis->loop), &k->resolve, on_resolved, t->host, t->port, &hints);
    if (e < 0) return e;
    k->resolving = true;
    k->refs++;
    return 0;
}

/* Addresses in digits need no resolver, whose threads may be busy. */
static int start_connecting(struct redis_link *k, const struct redis_target *t) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (t->path[0]) {
        uv_pipe_connect(&k->connect, &k->socket.pipe, t->path, on_connected);
        return 0;
    }
    if (uv_ip4_addr(t->host, atoi(t->port), &v4) == 0) return connect_tcp(k, (struct sockaddr *)&v4);
    if (uv_ip6_addr(t->host, atoi(t->port), &v6) == 0) return connect_tcp(k, (struct sockaddr *)&v6);
    return start_resolving(k, t);
}

struct redis_link *redis_link_open(struct redis *r, const char **why) {
    uv_loop_t *uv = loop_uv(r->loop);
    *why = "out of memory";
    struct redis_link *k = malloc(sizeof *k);
    if (!k) return NULL;
    memset(k, 0, offsetof(struct redis_link, in));
    k->redis = r;
    k->reader = redis_reader_new();
    int e = k->reader ? 0 : UV_ENOMEM;
    if (e == 0)
        e = r->target.path[0] ? uv_pipe_init(uv, &k->socket.pipe, 0) : uv_tcp_init(uv, &k->socket.tcp);
    if (e < 0) {
        *why = uv_strerror(e);
        if (k->reader) redisReaderFree(k->reader);
        free(k);
        return NULL;
    }
    k->refs = 1;
    r->handles++;
    k->socket.handle.data = k->connect.data = k->write.data = k;
    e = start_connecting(k, &r->target);
    if (e == 0) return k;
    *why = uv_strerror(e);
    redis_link_close(k);
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

/* The batch that is sent in part; NULL when there is none. */
static struct redis_batch *partly_sent(const struct redis *r) {
    if (list_empty(&r->in_flight)) return NULL;
    struct redis_batch *last = list_entry(r->in_flight.prev, struct redis_batch, node);
    return last->sent < last->out.len ? last : NULL;
}

/* The batch whose bytes go next, now in flight; NULL when there is nothing to send. */
static struct redis_batch *begin_next(struct redis *r) {
    struct redis_batch *b = partly_sent(r);
    if (b || r->state != CLIENT_READY || list_empty(&r->queued)) return b;
    if (list_empty(&r->in_flight)) r->ticks = 0; /* silence counts from here */
    struct list_node *first = list_pop_front(&r->queued);
    list_push_back(&r->in_flight, first);
    b = list_entry(first, struct redis_batch, node);
    redis_batch_enter(b, BATCH_IN_FLIGHT);
    return b;
}

/* The kernel took n bytes. */
static void advance(struct redis *r, size_t n) {
    redis_set_unsent(r, r->unsent - n);
    while (n > 0) {
        struct redis_batch *b = begin_next(r);
        size_t left = b->out.len - b->sent, part = n < left ? n : left;
        b->sent += part;
        n -= part;
    }
}

static uv_buf_t rest_of(const struct redis_batch *b) {
    return uv_buf_init(b->out.ptr + b->sent, (unsigned)(b->out.len - b->sent));
}

static unsigned gather(const struct redis *r, uv_buf_t bufs[static WRITE_BUFS]) {
    unsigned n = 0;
    const struct redis_batch *partly = partly_sent(r);
    if (partly) bufs[n++] = rest_of(partly);
    if (r->state != CLIENT_READY) return n;
    for (struct list_node *it = r->queued.next; it != &r->queued && n < WRITE_BUFS; it = it->next)
        bufs[n++] = rest_of(list_entry(it, struct redis_batch, node));
    return n;
}

static void on_written(uv_write_t *write, int status) {
    struct redis_link *k = write->data;
    if (k->closed) return;
    k->writing = false;
    if (status < 0) {
        lost(k, uv_strerror(status));
        return;
    }
    advance(k->redis, k->writing_bytes);
    redis_link_write(k);
}

/* One batch only. Its replies cannot come before on_written, so libuv never holds the buffer of a batch that
 * an honest server has answered; finish() catches the others. */
static void write_when_possible(struct redis_link *k) {
    uv_buf_t buf = rest_of(begin_next(k->redis));
    k->writing = true;
    k->writing_bytes = buf.len;
    int e = uv_write(&k->write, &k->socket.stream, &buf, 1, on_written);
    if (e < 0) lost(k, uv_strerror(e));
}

void redis_link_write(struct redis_link *k) {
    uv_buf_t bufs[WRITE_BUFS];
    while (!k->writing) {
        unsigned n = gather(k->redis, bufs);
        if (n == 0) return;
        int taken = uv_try_write(&k->socket.stream, bufs, n);
        if (taken > 0) {
            advance(k->redis, (size_t)taken);
        } else if (taken == UV_EAGAIN) {
            write_when_possible(k);
            return;
        } else {
            lost(k, uv_strerror(taken));
            return;
        }
    }
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static size_t held_by_reader(const struct redis_link *k) {
    return k->reader->len - k->reader->pos;
}

/* After a complete reply the reader holds only bytes of the last slice, which are still in k->in. */
static void take_back(struct redis_link *k) {
    k->pos -= held_by_reader(k);
    k->reader->pos = k->reader->len;
}

static void feed_slice(struct redis_link *k) {
    size_t left = k->len - k->pos, n = left < FEED_SLICE ? left : FEED_SLICE;
    redisReaderFeed(k->reader, k->in + k->pos, n);
    k->pos += n;
}

/* Why the unfinished reply in the reader is refused; NULL when it is not. A long string starts with its length and a
 * line's end; a reply without these is an endless line. */
static const char *too_much(const struct redis_link *k) {
    size_t held = held_by_reader(k);
    if (held > MAX_REPLY) return "a reply is too long";
    if (held > MAX_LINE && !memmem(k->reader->buf + k->reader->pos, 64, "\r\n", 2))
        return "a line is too long";
    return NULL;
}

/* Reads one reply for b through the reader. Returns false when it is incomplete, or the connection is lost. */
static bool read_reply(struct redis_link *k, struct redis_batch *b) {
    void *reply = NULL;
    k->reader->privdata = b;
    while (!reply) {
        if (held_by_reader(k) == 0 || k->mid_reply) {
            if (k->pos == k->len) return false;
            feed_slice(k);
        }
        bool good = redisReaderGetReply(k->reader, &reply) == REDIS_OK;
        const char *bad = good ? too_much(k) : k->reader->errstr;
        if (bad) {
            lost(k, bad);
            return false;
        }
        k->mid_reply = !reply;
    }
    redis_batch_take_reply(b);
    return true;
}

/* One reply of RESP3. Returns false like read_reply. */
static bool read_resp3(struct redis_link *k, struct arena *a, struct redis_reply *out) {
    ssize_t n = redis_resp3_take(a, k->in + k->pos, k->len - k->pos, out);
    if (n < 0 || (n == 0 && k->len - k->pos == IN_BYTES)) {
        lost(k, n < 0 ? "the server sent malformed RESP3" : "a reply is too long");
        return false;
    }
    k->pos += (size_t)n;
    return n > 0;
}

static bool take_resp3(struct redis_link *k, struct redis_batch *b) {
    size_t n = redis_batch_take_strings(b, k->in + k->pos, k->len - k->pos);
    k->pos += n;
    if (n > 0) return true;
    if (!read_resp3(k, &b->arena, &b->replies[b->received])) return false;
    redis_batch_take_reply(b);
    return true;
}

/* Returns false like read_reply. */
static bool take_push(struct redis_link *k) {
    struct redis *r = k->redis;
    struct redis_reply push;
    arena_reset(&r->push);
    if (!read_resp3(k, &r->push, &push)) return false;
    r->on_link->pushed(r, &push);
    return true;
}

/* Replies for b, from the side that holds the next byte: reader or buffer. Returns false like read_reply. */
static bool take_replies(struct redis_link *k, struct redis_batch *b) {
    if (k->redis->on_changed) return take_resp3(k, b);
    if (b->integers_only && held_by_reader(k) == 0 && !k->mid_reply) {
        bool other = false;
        k->pos += redis_batch_take_lines(b, k->in + k->pos, k->len - k->pos, &other);
        if (redis_batch_complete(b)) return true;
        if (!other && k->len - k->pos < IN_BYTES) return false;
    } else if (!b->integers_only && held_by_reader(k) == 0 && !k->mid_reply) {
        size_t n = redis_batch_take_strings(b, k->in + k->pos, k->len - k->pos);
        k->pos += n;
        if (n > 0) return true;
    }
    return read_reply(k, b);
}

/* Gives b its result. Returns false when the connection is lost, also when b's owner closes it because of the
 * replies. */
static bool finish(struct redis_link *k, struct redis_batch *b) {
    if (b->sent < b->out.len) {
        lost(k, "the server sent a reply before the command");
        return false;
    }
    redis_finish(k->redis, b, 0);
    return !k->closed;
}

static void read_all(struct redis_link *k) {
    struct redis *r = k->redis;
    while (k->pos < k->len || (held_by_reader(k) > 0 && !k->mid_reply)) {
        if (r->on_changed && k->in[k->pos] == '>') {
            if (!take_push(k)) break;
            continue;
        }
        if (list_empty(&r->in_flight)) {
            lost(k, "the server sent an unexpected reply");
            return;
        }
        struct redis_batch *b = list_entry(r->in_flight.next, struct redis_batch, node);
        if (!k->mid_reply && held_by_reader(k) > 0) take_back(k);
        if (!take_replies(k, b)) break;
        if (redis_batch_complete(b) && !finish(k, b)) return;
    }
}

static void alloc_in(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct redis_link *k = h->data;
    (void)suggested;
    *buf = uv_buf_init(k->in + k->len, (unsigned)(IN_BYTES - k->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    struct redis_link *k = s->data;
    (void)buf;
    if (k->closed || n == 0) return;
    if (n < 0) {
        lost(k, n == UV_EOF ? "the server closed the connection" : uv_strerror((int)n));
        return;
    }
    k->redis->ticks = 0;
    k->len += (size_t)n;
    read_all(k);
    if (k->closed) return;
    memmove(k->in, k->in + k->pos, k->len - k->pos);
    k->len -= k->pos;
    k->pos = 0;
}
