/* Computing on the thread pool, and what every step needs. Contract: role.h. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "workers/jobs/role/compute.sql.h"
#include "workers/jobs/role/role.h"

/* A lower priority than the event loop and other processes: people wait for those. */
#define COMPUTE_NICE 5
#define WATCH_MS 250

/* One for each core, but never all of the pool's threads (four): connecting looks up names on it. */
static int64_t count_places(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 3 ? 3 : cores;
}

static void *open_places(struct domain *d) {
    (void)d;
    struct semaphore *places = calloc(1, sizeof *places);
    if (places) semaphore_init(places, count_places(), SIZE_MAX);
    return places;
}

const struct role_state JOBS_PLACES = {.open = open_places, .close = free};

struct piece {
    jobs_piece *fn;
    void *arg;
    bool more;
};

static void on_thread(void *arg) {
    static _Thread_local bool nice_already;
    struct piece *p = arg;
    if (!nice_already) setpriority(PRIO_PROCESS, (id_t)gettid(), COMPUTE_NICE);
    nice_already = true;
    p->more = p->fn(p->arg);
}

int jobs_compute(struct fiber *self, struct worker *w, jobs_piece *fn, void *arg) {
    struct piece p = {.fn = fn, .arg = arg, .more = true};
    while (p.more) {
        if (w->stopping) return ERR_UNAVAILABLE;
        int e = fiber_offload(self, on_thread, &p);
        if (e != 0) return e;
    }
    return 0;
}

int jobs_wait_child(struct fiber *self, struct fiber *child, struct latch *done) {
    int e = latch_wait(self, done);
    if (done->left == 0) return e;
    fiber_cancel(child);
    done->waiter = self;
    while (done->left > 0) fiber_park_uninterruptible(self);
    return e;
}

/* Checks whether the computation is still wanted. */
struct watch {
    struct worker *worker;
    struct jobs_wanted wanted;
    int64_t next_touch_ns;
    _Atomic bool *stop;
    struct latch left;
};

static bool has_left(struct fiber *self, const struct watch *watch) {
    const struct jobs_wanted *wanted = &watch->wanted;
    struct pg_result *r;
    int e = pg_ask(self, watch->worker->domain.pg, &ROLE_STATE, &r, NULL, pg_i64(wanted->job_id),
                   pg_i64(wanted->dataset_id));
    return e == 0 && (pg_rows(r) == 0 || pg_only_i64(r) != wanted->state);
}

static void touch(struct fiber *self, struct watch *watch) {
    struct domain *d = &watch->worker->domain;
    if (loop_now_ns(d->loop) < watch->next_touch_ns) return;
    watch->next_touch_ns = loop_now_ns(d->loop) + d->config->job_stall_s * NS_PER_S / 4;
    pg_ask(self, d->pg, &ROLE_TOUCH, NULL, NULL, pg_i64(watch->wanted.job_id),
           pg_i64(watch->wanted.dataset_id));
}

static void watch_job(struct fiber *self, void *arg) {
    struct watch *watch = arg;
    while (!*watch->stop && fiber_sleep_ms(self, WATCH_MS) == 0) {
        touch(self, watch);
        if (watch->worker->stopping || has_left(self, watch)) *watch->stop = true;
        arena_reset(fiber_arena(self));
    }
    latch_done(&watch->left);
}

int jobs_compute_long(struct fiber *self, struct worker *w, struct jobs_wanted wanted, jobs_piece *fn,
                      void *arg, _Atomic bool *stop) {
    assert((wanted.job_id == 0) != (wanted.dataset_id == 0));
    assert(!*stop); /* else nobody would watch */
    struct piece p = {.fn = fn, .arg = arg};
    struct watch watch = {.worker = w, .wanted = wanted, .stop = stop};
    struct fiber_options options = {.name = "job watch"};
    struct fiber *watcher;
    latch_init(&watch.left, 1);
    int e = fiber_spawn(w->domain.loop, &options, watch_job, &watch, &watcher);
    if (e != 0) return e;
    e = fiber_offload(self, on_thread, &p);
    if (!*stop) fiber_cancel(watcher); /* otherwise it ends, or has ended, by itself */
    watch.left.waiter = self;
    while (watch.left.left > 0) fiber_park_uninterruptible(self);
    assert(watch.left.left == 0); /* it uses this function's memory */
    return e != 0 ? e : *stop && w->stopping ? ERR_UNAVAILABLE : 0;
}

struct str role_clean_text(struct arena *a, const char *text) {
    struct str in = str_from(text);
    if (str_is_utf8(in)) return in;
    struct buf out;
    buf_init(&out);
    while (in.len > 0) {
        /* The longest character here that is whole: one to four bytes. */
        size_t n = 1;
        while (n < 4 && n < in.len && !str_is_utf8((struct str){in.ptr, n})) n++;
        if (str_is_utf8((struct str){in.ptr, n})) {
            buf_append(&out, in.ptr, n);
        } else {
            buf_append_cstr(&out, "\xEF\xBF\xBD");
            n = 1;
        }
        in = (struct str){in.ptr + n, in.len - n};
    }
    struct str clean = {arena_strndup(a, out.ptr, out.len), out.len};
    assert(str_is_utf8(clean));
    buf_free(&out);
    return clean;
}
