/* The loop's turn, and the beginning and end of fibers.
 *
 * 1. libuv's callbacks wake fibers: fiber_wake puts them on `ready`, in order.
 * 2. settle() runs before libuv polls (prepare) and right after (check). It runs the ready fibers, and those that
 *    they make ready, then the flushers; again while either leaves work.
 * 3. When work is left at its end (fibers that gave way, or fibers that keep waking one another past
 *    MAX_PASSES), an idle handle makes libuv poll without sleeping, so sockets are served in between.
 * 4. A fiber whose function returned is taken apart by run_fiber; its stack, struct and the first block of
 *    its arena are kept for the next.
 *
 * All internal handles are unreferenced (the timers: while no fiber waits for them), so uv_run ends when the users'
 * handles are gone; loop_run goes on while closing callbacks have made fibers ready.
 */
#include "core/async/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "core/async/loop_internal.h"
#include "core/base/clock.h"

#define DEFAULT_MAX_FIBERS 100000
#define DEFAULT_KEEP_STACKS 1024
/* Fibers may wake one another endlessly; sockets must get their turn in between. */
#define MAX_PASSES 64
/* An arena that was used more than this gives its memory back when its fiber ends. */
#define KEEP_ARENA_BYTES ((size_t)256 * 1024)

/* ---- the turn ---------------------------------------------------------------------------------------- */

static void move_all(struct list_node *from, struct list_node *to) {
    for (struct list_node *n; (n = list_pop_front(from));) list_push_back(to, n);
}

static void retire(struct fiber *f) {
    struct loop *l = f->loop;
    assert(!list_linked(&f->timed));
    l->fibers--;
    if (l->spares == l->keep) {
        arena_free(&f->arena);
        free(f);
        return;
    }
    if (f->arena.used > KEEP_ARENA_BYTES)
        arena_free(&f->arena);
    else
        arena_reset(&f->arena);
    list_push_front(&l->spare, &f->ready);
    l->spares++;
}

static void run_fiber(struct loop *l, struct fiber *f) {
    assert(!l->current);
    l->current = f;
    fiber_enter(f, FIBER_RUNNING);
    bool ended = coroutine_enter(f->coroutine);
    l->current = NULL;
    if (ended) retire(f);
}

/* One pass: those that are ready now, not those they wake. */
static void run_ready(struct loop *l) {
    struct list_node batch;
    list_init(&batch);
    move_all(&l->ready, &batch);
    for (struct list_node *n; (n = list_pop_front(&batch));) run_fiber(l, list_entry(n, struct fiber, ready));
}

static void run_flushers(struct loop *l) {
    struct list_node batch;
    list_init(&batch);
    move_all(&l->flushers, &batch);
    for (struct list_node *n; (n = list_pop_front(&batch));) {
        struct flusher *f = list_entry(n, struct flusher, node);
        f->fn(f);
    }
}

static bool work_left(const struct loop *l) {
    return !list_empty(&l->ready) || !list_empty(&l->flushers) || !list_empty(&l->yielded);
}

static void settle(struct loop *l) {
    l->now_ns = clock_mono_ns();
    move_all(&l->yielded, &l->ready);
    for (int passes = 0; passes < MAX_PASSES && !(list_empty(&l->ready) && list_empty(&l->flushers));) {
        while (passes < MAX_PASSES && !list_empty(&l->ready)) {
            run_ready(l);
            passes++;
        }
        run_flushers(l);
        passes++;
    }
}

static void on_idle(uv_idle_t *h) {
    (void)h; /* an active idle handle makes libuv poll without sleeping */
}

static void settle_and_arm(struct loop *l) {
    settle(l);
    if (work_left(l))
        uv_idle_start(&l->idle, on_idle);
    else
        uv_idle_stop(&l->idle);
}

static void on_prepare(uv_prepare_t *h) {
    settle_and_arm(h->data);
}

static void on_check(uv_check_t *h) {
    settle_and_arm(h->data);
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static void init_handles(struct loop *l) {
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    l->prepare.data = l->check.data = l->idle.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    deadline_init(l);
    sleep_init(l);
}

struct loop *loop_new(const struct loop_options *options) {
    struct loop *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    size_t keep = options ? options->keep_stacks : 0, most = options ? options->max_fibers : 0;
    l->keep = keep ? keep : DEFAULT_KEEP_STACKS;
    l->max_fibers = most ? most : DEFAULT_MAX_FIBERS;
    l->stacks = coroutine_pool_new(l->keep);
    if (!l->stacks) goto no_stacks;
    if (uv_loop_init(&l->uv) != 0) goto no_loop;
    /* A peer that closes while we write is an error of that write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    l->now_ns = clock_mono_ns();
    list_init(&l->ready);
    list_init(&l->yielded);
    list_init(&l->flushers);
    list_init(&l->spare);
    init_handles(l);
    return l;

no_loop:
    coroutine_pool_free(l->stacks);
no_stacks:
    free(l);
    return NULL;
}

static void free_spares(struct loop *l) {
    for (struct list_node *n; (n = list_pop_front(&l->spare));) {
        struct fiber *f = list_entry(n, struct fiber, ready);
        arena_free(&f->arena);
        free(f);
    }
}

void loop_free(struct loop *l) {
    if (!l) return;
    assert(l->fibers == 0);
    assert(list_empty(&l->flushers));
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    deadline_close(l);
    sleep_close(l);
    /* Delivers the closing. After a loop_stop from outside uv_run the first call only takes note of the stop. */
    for (int i = 0; i < 2; i++) uv_run(&l->uv, UV_RUN_NOWAIT);
    int busy = uv_loop_close(&l->uv);
    assert(busy == 0);
    (void)busy;
    free_spares(l);
    coroutine_pool_free(l->stacks);
    free(l);
}

void loop_run(struct loop *l) {
    do {
        settle_and_arm(l);
        if (!l->stop) uv_run(&l->uv, UV_RUN_DEFAULT);
    } while (!l->stop && (work_left(l) || uv_loop_alive(&l->uv)));
    l->stop = false;
}

void loop_stop(struct loop *l) {
    l->stop = true;
    uv_stop(&l->uv);
}

uv_loop_t *loop_uv(struct loop *l) {
    return &l->uv;
}

int64_t loop_now_ns(const struct loop *l) {
    return loop_time_ns(l);
}

size_t loop_fibers(const struct loop *l) {
    return l->fibers;
}

/* ---- flushers ---------------------------------------------------------------------------------------- */

void flusher_init(struct flusher *f, void (*fn)(struct flusher *f)) {
    list_init(&f->node);
    f->fn = fn;
}

void loop_flush_later(struct loop *l, struct flusher *f) {
    if (!list_linked(&f->node)) list_push_back(&l->flushers, &f->node);
}

void flusher_cancel(struct flusher *f) {
    list_remove(&f->node);
}

/* ---- fibers ------------------------------------------------------------------------------------------ */

static void fiber_main(void *arg) {
    struct fiber *f = arg;
    f->fn(f, f->arg);
}

static struct fiber *take_spare(struct loop *l) {
    struct list_node *n = list_pop_front(&l->spare);
    if (n) {
        l->spares--;
        return list_entry(n, struct fiber, ready);
    }
    struct fiber *f = malloc(sizeof *f);
    if (f) arena_init(&f->arena, 0);
    return f;
}

int fiber_spawn(struct loop *l, const struct fiber_options *options, fiber_fn *fn, void *arg,
                struct fiber **out) {
    if (l->fibers >= l->max_fibers) return ERR_OVERLOADED;
    struct fiber *f = take_spare(l);
    if (!f) return ERR_OVERLOADED;
    struct arena arena = f->arena;
    *f = (struct fiber){.loop = l, .fn = fn, .arg = arg, .arena = arena, .state = FIBER_READY};
    list_init(&f->timed);
    if (options) f->deadline_ns = options->deadline_ns;
    if (options) f->name = options->name;
    f->arena.limit = options && options->arena_limit ? options->arena_limit : SIZE_MAX;
    f->coroutine = coroutine_new(l->stacks, fiber_main, f);
    if (!f->coroutine) {
        arena_free(&f->arena);
        free(f);
        return ERR_OVERLOADED;
    }
    l->fibers++;
    list_push_back(&l->ready, &f->ready);
    if (out) *out = f;
    return 0;
}

struct loop *fiber_loop(const struct fiber *self) {
    return self->loop;
}

struct arena *fiber_arena(struct fiber *self) {
    return &self->arena;
}
