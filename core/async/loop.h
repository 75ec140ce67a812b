/* The loop and its fibers: straight-line code on libuv.
 *
 * One loop per process, one thread. Protocol layers (HTTP/2 session, PostgreSQL and Redis connections) are
 * callback code on the loop; everything above them runs in fibers and suspends only inside functions that
 * take `struct fiber *self` first.
 *
 * One turn of the loop: libuv's callbacks run (they read, parse and wake fibers, nothing else) -> all ready fibers
 * run, in the order they were woken -> flushers run (each connection writes once what the whole turn appended) ->
 * again until no fiber is ready and no flush is due -> the loop may sleep. So what arrives together is sent together.
 *
 * A fiber has an arena that dies with it, a deadline and a cancel flag. fiber_park() is the only place a fiber
 * suspends; it returns why it resumed. When a deadline passes or the fiber is cancelled while parked, it is woken
 * with ERR_DEADLINE_EXCEEDED or ERR_CANCELLED. The operation it waited for must then be detached, because its
 * completion comes later. Deadlines are swept, at most every 5 ms.
 *
 * Failures: no memory for a stack -> fiber_spawn returns ERR_OVERLOADED and nothing runs; more than
 * loop_options.max_fibers fibers -> the same; a fiber that returns with an operation in flight is a bug in that
 * operation's owner (asserted where possible).
 */
#ifndef ROOKERY_CORE_ASYNC_LOOP_H
#define ROOKERY_CORE_ASYNC_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/list.h"

struct fiber;
struct loop;

typedef void fiber_fn(struct fiber *self, void *arg);

struct loop_options {
    size_t max_fibers;  /* 0: 100,000 */
    size_t keep_stacks; /* 0: 1,024 */
};

/* Returns NULL on allocation failure. Makes the process ignore SIGPIPE. */
struct loop *loop_new(const struct loop_options *options);
/* Everything opened on the loop must be closed: asserts that no fibers and no handles are left. */
void loop_free(struct loop *l);
/* Runs until loop_stop, or until no fiber can run and no handle is active. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
uv_loop_t *loop_uv(struct loop *l);
/* Monotonic ns, refreshed at the start of each phase of a turn: cheap. */
int64_t loop_now_ns(const struct loop *l);
size_t loop_fibers(const struct loop *l); /* alive now */

/* ---- flushers: called once at the end of a turn in which they were asked for --------------------------- */
struct flusher {
    struct list_node node;
    void (*fn)(struct flusher *f); /* may not suspend; may wake fibers and ask for other flushes */
};
void flusher_init(struct flusher *f, void (*fn)(struct flusher *f));
void loop_flush_later(struct loop *l, struct flusher *f); /* twice in a turn is one flush */
void flusher_cancel(struct flusher *f);                   /* before its owner is freed */

/* ---- fibers -------------------------------------------------------------------------------------------- */
struct fiber_options {
    int64_t deadline_ns; /* monotonic; 0 for none */
    size_t arena_limit;  /* bytes; 0 for none */
    const char *name;    /* literal, for logs */
};

/* Starts fn(self, arg) in this or the next phase of the turn, never inside this call. Returns 0 or ERR_OVERLOADED.
 * *out (may be NULL) is valid until fn returns; a caller that needs to know of that lets fn report it. */
int fiber_spawn(struct loop *l, const struct fiber_options *options, fiber_fn *fn, void *arg,
                struct fiber **out);

struct loop *fiber_loop(const struct fiber *self);
struct arena *fiber_arena(struct fiber *self);
int64_t fiber_deadline_ns(const struct fiber *self);
/* Moves the deadline; only to an earlier time, except by the fiber itself around a clean-up. 0 removes it. */
void fiber_set_deadline_ns(struct fiber *self, int64_t deadline_ns);

/* Suspends until fiber_wake. Returns 0 when woken, ERR_DEADLINE_EXCEEDED or ERR_CANCELLED when that came first;
 * immediately, without suspending, when it has already come. A wake that came before the park is not lost: the park
 * returns 0 immediately. When a wake comes after the interrupt, but before the fiber has resumed, the wake wins: 0.
 * Since a wake may be an old one, park in a loop: while (!done && !err) err = fiber_park(self); */
int fiber_park(struct fiber *self);
/* Like fiber_park but ignores deadline and cancel: for clean-up that must finish and is known to end. */
void fiber_park_uninterruptible(struct fiber *self);
/* From callbacks or other fibers: f resumes in this turn. A wake of a fiber that is not parked is remembered,
 * once. */
void fiber_wake(struct fiber *f);
/* Asks f to stop: its current and later parks return ERR_CANCELLED. Idempotent. */
void fiber_cancel(struct fiber *f);
bool fiber_cancelled(const struct fiber *self);

/* For a fiber that supervises f. Returns the number of the wait that f is in; 0 when f is not waiting, or waits for
 * the thread pool to compute for it (fiber_offload). If two calls return the same number, f has waited for others all
 * the time between them. */
uint64_t fiber_wait_number(const struct fiber *f);
/* How often f has suspended: while it stays the same, what is good until f suspends still is. */
uint64_t fiber_suspensions(const struct fiber *f);
/* Runs fn(f, arg) in f as soon as f's current wait has ended, before anything else in f. fn may suspend. Once: of
 * several requests before that, only the last fn runs. */
void fiber_on_resume(struct fiber *f, fiber_fn *fn, void *arg);

/* ---- what fibers wait on ------------------------------------------------------------------------------- */

/* Returns 0 after the time has passed, ERR_* when deadline or cancel came first. ms 0 yields to other ready fibers
 * once. */
int fiber_sleep_ms(struct fiber *self, int64_t ms);

/* Runs fn(arg) on libuv's thread pool and waits. fn may not touch the loop, fibers or shared arenas. If the fiber is
 * interrupted first, it STILL waits until fn has returned (arg is then the caller's again) and then returns the
 * interrupt. Returns 0, ERR_DEADLINE_EXCEEDED, ERR_CANCELLED, or ERR_OVERLOADED when 1,024 are in progress. On any of
 * these errors fn may also not have run at all, because it was still waiting for a thread. */
int fiber_offload(struct fiber *self, void (*fn)(void *arg), void *arg);

/* A counting semaphore, first come first served. */
struct semaphore {
    struct list_node waiters;
    int64_t available;
    size_t waiting, max_waiting; /* more than max_waiting: ERR_OVERLOADED */
};
void semaphore_init(struct semaphore *s, int64_t available, size_t max_waiting);
int semaphore_acquire(struct fiber *self, struct semaphore *s);
void semaphore_release(struct semaphore *s);

/* A condition: fibers wait until it is signalled. Check the predicate again after each return of 0. */
struct condition {
    struct list_node waiters;
};
void condition_init(struct condition *c);
int condition_wait(struct fiber *self, struct condition *c);
void condition_signal(struct condition *c);    /* the first waiter */
void condition_broadcast(struct condition *c); /* all of them */

/* A countdown: wait until n things are done. */
struct latch {
    size_t left;
    struct fiber *waiter;
};
void latch_init(struct latch *t, size_t n);
void latch_done(struct latch *t);
int latch_wait(struct fiber *self, struct latch *t);

#endif
