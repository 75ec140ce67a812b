/* Redis: an asynchronous, auto-pipelined client; RESP by hiredis's reader and formatter, sockets by libuv.
 *
 * One shared connection carries the commands of all fibers: what they submit in one turn of the loop goes out in one
 * write, and replies come back in order. Blocking commands (XREADGROUP ... BLOCK) use connections of their own.
 *
 * A batch is any number of commands that are sent and awaited as one operation; its replies live in the batch's
 * arena. Batches make it fast: the fan-out worker puts thousands of RPUSHX in a batch and pays for one completion.
 *
 * Failures:
 *   connecting takes more than 2 s      the attempt fails
 *   the server is silent                while replies are due: after 3 s (blocking reads: block time + 3 s) the
 *                                       connection counts as dead. Silence counts, not the age of a batch, because a
 *                                       server that is only slow must not be disconnected. How long a caller waits is
 *                                       its fiber's deadline.
 *   the connection is dead or lost      every batch of which a byte was sent fails with ERR_CONNECTION_LOST;
 *                                       reconnect with capped exponential backoff and jitter (20 ms .. 1 s)
 *   there is no connection              a batch waits up to 1 s for one, then ERR_UNAVAILABLE
 *   more than 64 MiB are unsent         ERR_OVERLOADED
 *   the fiber is interrupted            it detaches: the batch's memory then belongs to the client until its replies
 *                                       have come
 *
 * Each (re)connection asks the server for its run_id. redis_generation() changes with every new connection, and
 * redis_run_id() names the server process: discard what was cached under another one (core/event/epoch.h).
 *
 * Connections that are opened beside a shared one (blocking, tracking) must lead to the same server process. While a
 * name or a proxy moves from one server to another they may not; such a connection is closed and opened again.
 *
 * Keys are cluster-ready: every key has one {hash tag}, and a command touches one tag only. redis_open takes one
 * server today; routing by tag would be added in this client and change nothing above it.
 */
#ifndef ROOKERY_CORE_STORE_REDIS_REDIS_H
#define ROOKERY_CORE_STORE_REDIS_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/async/loop.h"
#include "core/base/str.h"

struct log;
struct metrics;
struct redis;

/* url: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:///PATH, not kept. name: literal, for logs, metrics and the
 * server's CLIENT LIST. log and metrics may be NULL. Starts connecting. Returns NULL when the URL is bad (logged),
 * and on allocation failure. */
struct redis *redis_open(struct loop *l, const char *url, const char *name, struct log *log,
                         struct metrics *metrics);
/* Refuses new batches, waits until those in flight have their replies or fail (blocking connections: fails them
 * immediately), closes and frees. r must not be used from the call on. */
void redis_close(struct fiber *self, struct redis *r);
/* Waits until it is connected. Returns 0, or the fiber's interrupt. */
int redis_wait_ready(struct fiber *self, struct redis *r);
bool redis_ready(const struct redis *r);
/* Closes the connection and makes a new one, which may lead to another server. Batches in flight fail. */
void redis_reconnect(struct redis *r, const char *why);
/* Waits until the first attempt to connect has succeeded or failed. Returns 0, or the fiber's interrupt. */
int redis_wait_attempt(struct fiber *self, struct redis *r);
/* Where the server is, "HOST:PORT" or a path, and why the last attempt to connect to it failed; "" when none has. Valid
 * until the next attempt. */
const char *redis_address(const struct redis *r);
const char *redis_last_reason(const struct redis *r);
/* The sentence why the server is refused (check.h); NULL when it is not. The client keeps trying to connect, as to an
 * unreachable server. Only for connections that redis_open made; others are not checked. */
const char *redis_refusal(const struct redis *r);
/* How many connections have been made; 0 before the first. */
uint64_t redis_generation(const struct redis *r);
/* 40 hex digits; "" before the first connection. While disconnected, the last known one. */
const char *redis_run_id(const struct redis *r);

enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_ARRAY };

struct redis_reply {
    enum redis_type type;
    int64_t integer;             /* REDIS_INTEGER */
    struct str str;              /* REDIS_STRING, REDIS_STATUS, REDIS_ERROR */
    struct redis_reply *element; /* REDIS_ARRAY */
    size_t elements;
};

/* A batch: built, submitted, awaited; then read its replies, then freed (or reset and used again). */
struct redis_batch;
struct redis_batch *redis_batch_new(void);
void redis_batch_free(struct redis_batch *b); /* not while in flight, except as redis_await says */
void redis_batch_reset(struct redis_batch *b);
/* The same for batches that live for one call: a batch that was given back, with its memory, or a new one. */
struct redis_batch *redis_batch_borrow(struct redis *r);
void redis_batch_give_back(struct redis *r, struct redis_batch *b); /* not while in flight */
/* A command of argc arguments: redis_cmd(b, 3); redis_arg(b, STR("SET")); redis_arg(...); ... exactly argc
 * times. */
void redis_cmd(struct redis_batch *b, int argc);
void redis_arg(struct redis_batch *b, struct str s);
void redis_arg_cstr(struct redis_batch *b, const char *s);
void redis_arg_i64(struct redis_batch *b, int64_t v);
void redis_arg_printf(struct redis_batch *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For callers that encode thousands of commands themselves: redis_batch_room returns room for `bytes` more; after
 * writing, redis_batch_wrote states how many bytes hold how many whole commands in RESP. Bytes are not sent without
 * it. */
char *redis_batch_room(struct redis_batch *b, size_t bytes);
void redis_batch_wrote(struct redis_batch *b, size_t bytes, size_t commands);
size_t redis_batch_commands(const struct redis_batch *b);
size_t redis_batch_bytes(const struct redis_batch *b);
/* For a batch of commands with integer replies only: keeps each reply as one int64, without structs (INT64_MIN for a
 * reply that was not an integer). Call before redis_submit. */
void redis_batch_integers_only(struct redis_batch *b);

/* Queues the batch; never suspends. The client borrows it until the matching redis_await returns. Returns 0, or
 * ERR_OVERLOADED, or while closing ERR_UNAVAILABLE: then the batch remains the caller's. */
int redis_submit(struct redis *r, struct redis_batch *b);
/* Waits for all replies. Returns 0: every command has a reply (single commands may still have answered an error).
 * ERR_CONNECTION_LOST: all, some or none were executed. ERR_UNAVAILABLE: none was. ERR_DEADLINE_EXCEEDED /
 * ERR_CANCELLED: the client TOOK the batch and frees it later; the caller must not touch it again. */
int redis_await(struct fiber *self, struct redis *r, struct redis_batch *b);
/* Both in one call. If redis_submit fails, the batch remains the caller's. */
int redis_exchange(struct fiber *self, struct redis *r, struct redis_batch *b);
const struct redis_reply *redis_batch_reply(const struct redis_batch *b, size_t i);
const int64_t *redis_batch_integers(const struct redis_batch *b);
/* The error that an error reply stands for: ERR_REDIS_STATE when the server is in a temporary state (out of memory,
 * loading, a replica, busy, ...) and did nothing; else ERR_REDIS. */
enum error redis_reply_error(struct str reply);
/* Returns 0, or redis_reply_error of the first error reply, with that reply in fault->text. */
int redis_batch_check(const struct redis_batch *b, struct fault *fault);

/* One command, convenience: the reply lives in the fiber's arena. format as printf with words separated by single
 * blanks; every argument must be blank-free: use plain values only (ids, names, numbers). out may be NULL. Returns 0;
 * redis_reply_error when the reply is an error (*out is then that reply); or as redis_submit and redis_await. */
int redis_call(struct fiber *self, struct redis *r, const struct redis_reply **out, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A connection of its own for blocking commands, same calls; at most one batch in flight. block_ms says how long a
 * reply may take beyond the usual 3 s. When its fiber is interrupted, the client reconnects, so that the server does
 * not deliver entries to a reader that has gone. */
struct redis *redis_open_blocking(struct redis *shared, const char *name, int64_t block_ms);

/* A connection of its own with CLIENT TRACKING (Redis 6 and later); where the server refuses that, the connection
 * never becomes ready. Every key that a command on it has read is tracked from then on. When any client changes the
 * key, or it expires or is evicted, on_changed is called with it, once, and the key is no longer tracked. A key of
 * NULL stands for all keys. Replies on it must be small: at most 64 KiB. Batches as above, but not integers-only. A
 * new generation tracks nothing. on_changed must not submit or suspend. */
typedef void redis_on_changed(void *owner, struct str key);
struct redis *redis_open_tracking(struct redis *shared, const char *name, redis_on_changed *on_changed,
                                  void *owner);
/* Waits until the server has answered a PING sent after the call. On a tracking connection, on_changed has then been
 * called for every change that Redis executed before the call. All callers until the turn's commands are written
 * share one PING. Returns as redis_submit and redis_await. */
int redis_fence(struct fiber *self, struct redis *r);

/* A script run by EVALSHA, loaded on NOSCRIPT. Static const. One key. */
struct redis_script {
    const char *name;
    const char *body;
};
/* For scripts: whether a is the greater of two whole numbers without sign or leading zeros. Compared as text, since
 * Lua's numbers are too small for ids. */
#define REDIS_LUA_GREATER "local function greater(a, b) return #a > #b or #a == #b and a > b end\n"
/* args are texts; the reply lives in the fiber's arena. Errors as redis_call. */
int redis_eval(struct fiber *self, struct redis *r, const struct redis_script *script, struct str key,
               const struct str *args, size_t nargs, const struct redis_reply **out);

#endif
