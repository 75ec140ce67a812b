/* What the files of this folder share: the loop's and the fiber's structures. No other room includes this. */
#ifndef ROOKERY_CORE_ASYNC_LOOP_INTERNAL_H
#define ROOKERY_CORE_ASYNC_LOOP_INTERNAL_H

#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/clock.h"
#include "core/base/moves.h"

/* RUNNING: it is the current fiber. READY: on loop.ready. YIELDED: on loop.yielded. PARKED: some callback or fiber
 * holds a pointer to it and will wake it. */
enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_YIELDED };

struct fiber {
    struct loop *loop;
    struct coroutine *coroutine;
    enum fiber_state state;
    int park_result;   /* what the park that just ended returns */
    bool wake_pending; /* woken while not parked */
    bool cancelled;
    bool uninterruptible; /* in fiber_park_uninterruptible */
    bool offloaded;       /* parked until the thread pool has computed for it */
    uint64_t parks;       /* so far, and times it gave way */
    fiber_fn *on_resume;  /* fiber_on_resume; NULL: nothing */
    void *on_resume_arg;
    struct list_node ready; /* on loop.ready or loop.yielded; also chains loop.spare */
    struct list_node timed; /* on loop.timed while parked with a deadline */
    int64_t deadline_ns;
    struct arena arena;
    fiber_fn *fn;
    void *arg;
    const char *name;
};

struct sleeper {
    int64_t due_ns;
    struct fiber *fiber;
    size_t place; /* in the heap */
    bool over;
};

struct loop {
    uv_loop_t uv;
    struct coroutine_pool *stacks;
    struct fiber *current;
    struct list_node ready, yielded, flushers;
    struct list_node spare; /* fibers that ended, kept with the first block of their arena */
    size_t spares, keep;
    size_t fibers, max_fibers;
    size_t offloads;
    int64_t now_ns;
    bool stop;

    struct list_node timed; /* parked fibers with a deadline */
    size_t timed_count;
    int64_t sweep_at_ns;    /* when the sweep timer fires; INT64_MAX when it is not armed */
    struct sleeper **sleep; /* binary heap by due_ns */
    size_t sleeping, sleep_cap;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t sweep_timer, sleep_timer;
};

static const moves FIBER_MOVES[] = {
    [FIBER_READY] = MOVE_TO(FIBER_RUNNING),
    [FIBER_RUNNING] = MOVE_TO(FIBER_PARKED) | MOVE_TO(FIBER_YIELDED),
    [FIBER_PARKED] = MOVE_TO(FIBER_READY),
    [FIBER_YIELDED] = MOVE_TO(FIBER_RUNNING),
};

/* Changes its state. */
static inline void fiber_enter(struct fiber *f, enum fiber_state state) {
    MOVES_CHECK(FIBER_MOVES, f->state, state);
    f->state = state;
}

/* What a park would return immediately: ERR_CANCELLED, ERR_DEADLINE_EXCEEDED or 0. */
int fiber_interrupted(const struct fiber *f);
/* Ends f's park with result and puts it on the ready list. f must be parked. */
void fiber_unpark(struct fiber *f, int result);

/* libuv refreshes its own time (whole ms, of the same clock) when it wakes up, before it calls any callback. */
static inline int64_t loop_time_ns(const struct loop *l) {
    int64_t uv_ns = (int64_t)uv_now(&l->uv) * NS_PER_MS;
    return uv_ns > l->now_ns ? uv_ns : l->now_ns;
}
void loop_arm_timer(struct loop *l, uv_timer_t *timer, uv_timer_cb cb, int64_t then_ns);

/* park.c: deadlines of parked fibers; sleep.c: sleepers. */
void deadline_init(struct loop *l);
void deadline_close(struct loop *l);
void sleep_init(struct loop *l);
void sleep_close(struct loop *l);

#endif
