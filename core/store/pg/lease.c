/* A node number held by lease, and the ids made with it.
 *
 *   1. lease_start takes a node in the caller's fiber: one UPDATE, which returns the database's time as well.
 *   2. The keeper, a fiber of its own, renews it every renew_ms, and soon when the database's connections are new.
 *   3. lease_stop ends the keeper and gives the node back.
 *
 * Failures:
 *   a renewal fails             the keeper tries again soon, with backoff. Ids go on until the lease has run out by
 *                               the monotonic clock, then stop
 *   its answer took too long    the same: the node is ours, but the database's time is too vague, so no id is made
 *   it finds no row             another process has the node: ids stop immediately, and the keeper takes another node
 */
#include "core/store/pg/lease.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/pg/lease.sql.h"

#define RETRY_BASE_MS 100
#define RETRY_CAP_MS 2000
/* Maximum wait for one statement of the keeper, or of the return. */
#define STATEMENT_MS 5000
#define GLANCE_MS 500

static const struct lease_times default_times = {.ttl_ms = 60000, .renew_ms = 15000, .grace_ms = 12000};
/* A jump of the database's clock beyond this is logged. */
#define SKEW_MS 5000

struct lease {
    struct pg *pg;
    struct log *log;
    struct lease_times times;
    char holder[96];
    struct followed_clock clock; /* the database's */
    struct snowflake ids;
    int node;            /* -1: none */
    int64_t until_ns;    /* monotonic; no id is made after it */
    uint64_t generation; /* of the database's connections, when it was last asked */
    struct fiber *keeper, *stopper;
};

/* ---- time ---- */

int64_t lease_now_ms(const struct lease *l) {
    return followed_clock_ms(&l->clock, clock_mono_ns());
}

/* What our own time will be when a lease that is asked for now runs out; 0 before there is any. */
static int64_t own_end_ms(const struct lease *l) {
    int64_t now_ms = lease_now_ms(l);
    return now_ms == 0 ? 0 : now_ms + l->times.ttl_ms;
}

/* The lease was requested at `asked_ns` and granted; the answer had the database's time. */
static int hold(struct lease *l, int node, int64_t asked_ns, int64_t database_ms) {
    int64_t ahead_ms, now_ns = clock_mono_ns();
    l->node = l->ids.node = node; /* the generator's last time stays: ids never step back */
    if (!followed_clock_sample(&l->clock, asked_ns, now_ns, database_ms, &ahead_ms)) return ERR_UNAVAILABLE;
    if (ahead_ms > SKEW_MS || ahead_ms < -SKEW_MS)
        log_warn(l->log, "database clock stepped", LOG_I("ms", ahead_ms));
    l->ids.lease_until_ms = followed_clock_ms(&l->clock, asked_ns) + l->times.ttl_ms;
    l->until_ns = asked_ns + l->times.ttl_ms * NS_PER_MS;
    return ERR_OK;
}

static void let_go(struct lease *l) {
    l->node = -1;
    l->until_ns = 0;
}

/* ---- statements ---- */

/* The node that the statement gave, and the database's time; none: what without_row says. */
static int read_answer(struct lease *l, const struct pg_result *r, int64_t asked_ns, int without_row) {
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return without_row;
    int node = pg_take_i32(&row);
    int64_t database_ms = pg_take_time_ms(&row);
    pg_end(&row);
    return hold(l, node, asked_ns, database_ms);
}

static int take_node(struct fiber *self, struct lease *l) {
    struct pg_result *r;
    int64_t asked_ns = clock_mono_ns();
    int e = pg_ask(self, l->pg, &LEASE_TAKE, &r, NULL, pg_text(str_from(l->holder)),
                   pg_f64((double)l->times.ttl_ms), pg_f64((double)l->times.grace_ms), pg_i64(own_end_ms(l)));
    if (e) return e;
    e = read_answer(l, r, asked_ns, ERR_RESOURCE_EXHAUSTED);
    if (e == ERR_OK) log_info(l->log, "node leased", LOG_I("node", l->node));
    return e;
}

/* ERR_NOT_FOUND: another process has the node. */
static int renew_node(struct fiber *self, struct lease *l) {
    assert(l->node >= 0);
    struct pg_result *r;
    int64_t asked_ns = clock_mono_ns();
    int e = pg_ask(self, l->pg, &LEASE_RENEW, &r, NULL, pg_i32(l->node), pg_text(str_from(l->holder)),
                   pg_f64((double)l->times.ttl_ms), pg_i64(own_end_ms(l)));
    if (e) return e;
    return read_answer(l, r, asked_ns, ERR_NOT_FOUND);
}

/* ---- the keeper ---- */

static int keep(struct fiber *self, struct lease *l) {
    if (l->node < 0) return take_node(self, l);
    int e = renew_node(self, l);
    if (e != ERR_NOT_FOUND) return e;
    log_error(l->log, "node lost to another process", LOG_I("node", l->node));
    let_go(l);
    return take_node(self, l);
}

static int keep_within(struct fiber *self, struct lease *l, int64_t ms) {
    fiber_set_deadline_ns(self, clock_mono_ns() + ms * NS_PER_MS);
    l->generation = pg_generation(l->pg);
    int e = keep(self, l);
    fiber_set_deadline_ns(self, 0);
    arena_reset(fiber_arena(self));
    return e;
}

/* Waits until it is time, or until the connections are new: the database may have gone back and lost the row. */
static int rest(struct fiber *self, struct lease *l, int64_t ms) {
    int e = 0;
    for (; ms > 0 && e == 0 && l->generation == pg_generation(l->pg); ms -= GLANCE_MS)
        e = fiber_sleep_ms(self, ms < GLANCE_MS ? ms : GLANCE_MS);
    return e;
}

static void keeper_run(struct fiber *self, void *arg) {
    struct lease *l = arg;
    unsigned failures = 0;
    int64_t wait_ms = l->times.renew_ms;
    while (rest(self, l, wait_ms) == 0) {
        int e = keep_within(self, l, STATEMENT_MS);
        failures = e ? failures + 1 : 0;
        wait_ms = e ? backoff_ms(failures, RETRY_BASE_MS, RETRY_CAP_MS) : l->times.renew_ms;
        if (e) log_warn(l->log, "node lease not renewed", LOG_S("error", error_name(e)));
    }
    l->keeper = NULL;
    if (l->stopper) fiber_wake(l->stopper);
}

/* ---- starting and stopping ---- */

static int take_first(struct fiber *self, struct lease *l) {
    for (unsigned tries = 0;; tries++) {
        int e = keep(self, l);
        bool interrupted = e == ERR_CANCELLED || e == ERR_DEADLINE_EXCEEDED;
        if (e == ERR_OK || interrupted || !error_retryable(e)) return e;
        int late = fiber_sleep_ms(self, backoff_ms(tries, RETRY_BASE_MS, RETRY_CAP_MS));
        if (late) return late == ERR_DEADLINE_EXCEEDED ? e : late;
    }
}

static void name_holder(struct lease *l) {
    char host[48] = "?";
    gethostname(host, sizeof host - 1);
    snprintf(l->holder, sizeof l->holder, "%.47s:%ld:%016llx", host, (long)getpid(),
             (unsigned long long)random_u64());
}

int lease_start_with(struct fiber *self, struct pg *pg, struct log *log, const struct lease_times *times,
                     struct lease **out) {
    struct lease *l = calloc(1, sizeof *l);
    if (!l) return ERR_OVERLOADED;
    l->pg = pg;
    l->log = log;
    l->times = *times;
    snowflake_init(&l->ids, 0, 0);
    let_go(l);
    name_holder(l);
    struct fiber_options options = {.name = "lease"};
    int e = take_first(self, l);
    if (e == ERR_OK) e = fiber_spawn(fiber_loop(self), &options, keeper_run, l, &l->keeper);
    if (e) {
        free(l);
        return e;
    }
    *out = l;
    return ERR_OK;
}

int lease_start(struct fiber *self, struct pg *pg, struct log *log, struct lease **out) {
    return lease_start_with(self, pg, log, &default_times, out);
}

static void return_node(struct fiber *self, struct lease *l) {
    int64_t deadline_ns = fiber_deadline_ns(self);
    fiber_set_deadline_ns(self, clock_mono_ns() + STATEMENT_MS * NS_PER_MS);
    int e = pg_ask(self, l->pg, &LEASE_RETURN, NULL, NULL, pg_i32(l->node), pg_text(str_from(l->holder)),
                   pg_i64(snowflake_last_ms(&l->ids)));
    fiber_set_deadline_ns(self, deadline_ns);
    if (e) log_warn(l->log, "node not released", LOG_S("error", error_name(e)));
}

void lease_stop(struct fiber *self, struct lease *l) {
    assert(!l->stopper);
    l->stopper = self;
    if (l->keeper) fiber_cancel(l->keeper);
    while (l->keeper) fiber_park_uninterruptible(self);
    l->until_ns = 0;
    if (l->node >= 0) return_node(self, l);
    free(l);
}

/* ---- ids ---- */

int64_t lease_next_id(struct lease *l) {
    if (clock_mono_ns() >= l->until_ns) return 0;
    assert(l->node >= 0 && l->ids.node == l->node);
    return snowflake_next(&l->ids, lease_now_ms(l));
}

int lease_node(const struct lease *l) {
    return l->node;
}
