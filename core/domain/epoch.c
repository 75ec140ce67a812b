/* The epoch watcher; why there are epochs is in epoch.h.
 *
 * Happy path: the watcher sees that redis_generation() has moved, asks SQL for the epoch of redis_run_id()
 * (inserting it if it is new), and publishes (generation, epoch) together in the domain.
 * Failures: SQL is away: tried again with backoff, the epoch stays unknown meanwhile. The connection changes
 * while SQL is asked: the answer is for an older generation, is not published, and the next round asks again.
 */
#include "core/domain/epoch.h"

#include <stdlib.h>

#include "core/base/clock.h"

#define LOOK_EVERY_MS 20

struct epoch_watch {
    uint64_t generation; /* of the connection the epoch is known for; 0: none */
    bool stopping;
    struct latch stopped;
};

/* An upsert would burn an identity value at every look, so the plain read comes first. */
static const struct pg_stmt FIND_EPOCH = {
    .name = "epoch_find",
    .sql = "SELECT epoch FROM redis_epochs WHERE run_id = $1",
    .read_only = true,
};

static const struct pg_stmt OPEN_EPOCH = {
    .name = "epoch_open",
    .sql = "INSERT INTO redis_epochs (run_id) VALUES ($1) ON CONFLICT (run_id) DO NOTHING",
};

static int ask(struct fiber *self, struct domain *d, struct str run_id, int64_t *epoch) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_text(&args, run_id);
    for (int round = 0; round < 2; round++) {
        struct pg_result *r;
        int e = pg_exec(self, d->pg, &FIND_EPOCH, &args, &r, NULL);
        if (e != 0) return e;
        if (pg_rows(r) == 1) {
            *epoch = pg_get_i64(r, 0, 0);
            return 0;
        }
        e = pg_exec(self, d->pg, &OPEN_EPOCH, &args, NULL, NULL);
        if (e != 0) return e;
    }
    return ERR_ABORTED;
}

static void learn(struct fiber *self, struct domain *d) {
    struct epoch_watch *w = d->epoch_watch;
    uint64_t generation = redis_generation(d->redis);
    struct str run_id = str_from(arena_strdup(fiber_arena(self), redis_run_id(d->redis)));
    int64_t epoch;
    if (ask(self, d, run_id, &epoch) != 0) return;
    if (generation != redis_generation(d->redis)) return;
    if (epoch != d->epoch)
        log_info(d->log, "timeline epoch", LOG_I("epoch", epoch), LOG_STR("redis_run_id", run_id));
    d->epoch = epoch;
    w->generation = generation;
}

static void watch(struct fiber *self, void *arg) {
    struct domain *d = arg;
    struct epoch_watch *w = d->epoch_watch;
    unsigned failures = 0;
    while (!w->stopping) {
        uint64_t generation = redis_generation(d->redis);
        if (generation != 0 && generation != w->generation && redis_ready(d->redis)) {
            learn(self, d);
            failures = w->generation == generation ? 0 : failures + 1;
            arena_reset(fiber_arena(self));
        }
        int64_t pause = failures > 0 ? backoff_ms(failures, 50, 1000) : LOOK_EVERY_MS;
        if (fiber_sleep_ms(self, pause) != 0) break;
    }
    latch_done(&w->stopped);
}

int epoch_watch_start(struct domain *d) {
    struct epoch_watch *w = calloc(1, sizeof *w);
    if (!w) return ERR_OVERLOADED;
    latch_init(&w->stopped, 1);
    d->epoch_watch = w;
    struct fiber_options options = {.name = "epoch watch"};
    int e = fiber_spawn(d->loop, &options, watch, d, NULL);
    if (e != 0) {
        free(w);
        d->epoch_watch = NULL;
    }
    return e;
}

void epoch_watch_stop(struct fiber *self, struct domain *d) {
    if (!d->epoch_watch) return;
    d->epoch_watch->stopping = true;
    latch_wait(self, &d->epoch_watch->stopped);
    free(d->epoch_watch);
    d->epoch_watch = NULL;
}

int64_t epoch_now(const struct domain *d) {
    if (!redis_ready(d->redis) || d->epoch_watch->generation != redis_generation(d->redis)) return 0;
    return d->epoch;
}

int epoch_wait(struct fiber *self, struct domain *d, int64_t *epoch) {
    /* A second is what a command would wait for a connection, too. */
    int64_t give_up = clock_mono_ns() + NS_PER_S;
    while ((*epoch = epoch_now(d)) == 0) {
        if (clock_mono_ns() > give_up) return ERR_UNAVAILABLE;
        int e = fiber_sleep_ms(self, LOOK_EVERY_MS / 2);
        if (e != 0) return e;
    }
    return 0;
}
