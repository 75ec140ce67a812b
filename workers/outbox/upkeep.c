/* Upkeep.
 *
 * A round, by one worker at a time, every few seconds:
 *   1. The partitions of the next day are created, for outbox and counted_events.
 *   2. How far all roles have come: the time is noted, then the ends of the streams; once every group is past those,
 *      everything marked published before that time has been processed (an event is put on its stream before it is
 *      marked). Not while the window must still be republished to this Redis, and not if Redis changes meanwhile.
 *   3. Outbox partitions that are over, and with nothing in them that is unpublished, in the window or not yet
 *      processed, are detached and then dropped. (A row that came in between goes back first.) Rows that found no
 *      partition, and so lie in the default one, are deleted by the same rule.
 *   4. counted_below moves to the lowest id still in the outbox. Partitions of counted_events below it are dropped.
 *   5. Sessions that have expired are deleted.
 * The SQL is in the migration that makes partitions.
 * Failures: a statement that fails is logged and left to the next round. Each statement stands by itself, and two
 * leaders that work concurrently do no harm.
 *
 * Why nothing that is needed is dropped with the outbox. A row is needed while it is unpublished, while it must be
 * republished to a Redis that loses its data, or while a role has not processed it. 3 looks for all three before it
 * detaches a partition and, when no process can write to the table any more, again before it drops it.
 *
 * Why counts stay exact though counted_events forgets. Claim: an event with id < counted_below has been counted,
 * once, and is never counted again.
 *   Never again: the statement that counts leaves out what is below, and the partition with the event's id is dropped
 *   only a
 * minute after the mark has moved, when no statement that began before is still running (they are ended after 30 s).
 * So at each moment either the id is there to be found, or it is below the mark.
 *   Has been: when the mark moves to X, no row with id < X is in the outbox, nor can one come (X is more than an hour
 *   in the past;
 * a statement ends after 30 s). They have been dropped, by 3, after every role had processed them: each was counted,
 * or given up as a dead letter. There is no dead letter when the mark moves; none was added while 2 waited (as many
 * were ever added before as after), and there was none before. So one that existed earlier was replayed before 2
 * noted the ends of the streams, and has been processed; or an operator dropped it, and it is not to be counted.
 */
#include "workers/outbox/upkeep.h"

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "workers/outbox/upkeep.sql.h"
#include "workers/runtime/backlog.h"
#include "workers/runtime/leader.h"
#include "workers/runtime/stream_info.h"

#define ROUND_MS 3000
#define STEP_MS 200 /* how often a stop is checked for */
#define LEASE_S 5
#define AWAIT_MS 2000
#define AHEAD_HOURS 24
#define ROWS_AT_ONCE 5000

struct upkeep {
    struct worker *worker;
    struct counter *made, *dropped, *saved, *sessions;
};

/* ---- statements ---------------------------------------------------------------------------------------- */

/* Runs a statement with the parameters a and b (as many as it has). Returns its number, or -1, logged, when it fails
 * or has none. */
static int64_t run(struct fiber *self, struct upkeep *u, const struct pg_stmt *stmt, int n, int32_t a,
                   int32_t b) {
    struct pg_args args;
    struct pg_result *r;
    struct fault fault = {0};
    pg_args_init(&args, fiber_arena(self));
    if (n > 0) pg_args_add(&args, pg_i32(a));
    if (n > 1) pg_args_add(&args, pg_i32(b));
    int e = pg_exec(self, u->worker->domain.pg, stmt, &args, &r, &fault);
    if (e != 0 && !error_retryable(e))
        log_warn(u->worker->domain.log, "upkeep", LOG_S("statement", stmt->name), LOG_S("why", fault.text));
    return e != 0 || pg_rows(r) == 0 ? -1 : pg_only_i64(r);
}

/* ---- how far the roles have come ----------------------------------------------------------------------- */

struct letters {
    int64_t kept, ever;
};

static int count_letters(struct fiber *self, struct domain *d, struct letters *out) {
    char space[KEY_MAX];
    *out = (struct letters){0};
    for (int p = 0; p < (int)d->config->partitions; p++) {
        struct stream_info s;
        int e = stream_info_read(self, d->redis, key_dead(space, p), &s);
        if (e != 0) return e;
        out->kept += s.exists ? s.length : 0;
        out->ever += s.exists ? s.added : 0;
    }
    return 0;
}

/* The database's clock, Unix ms; -1 while progress is not known. */
static int64_t begin_progress(struct fiber *self, struct domain *d, int64_t epoch) {
    struct pg_result *r;
    bool known = epoch != 0 && pg_ask(self, d->pg, &UPKEEP_BEGIN_PROGRESS, &r, NULL, pg_i64(epoch)) == 0 &&
                 pg_rows(r) == 1;
    return known ? pg_only_i64(r) : -1;
}

/* Returns true when everything published up to now has been processed, and no dead letter is left or was added
 * meanwhile. */
static bool note_progress(struct fiber *self, struct domain *d) {
    struct letters before, after;
    int64_t epoch = epoch_now(d), until_ms = begin_progress(self, d, epoch);
    if (until_ms < 0 || count_letters(self, d, &before) != 0) return false;
    if (backlog_await_processed(self, d, AWAIT_MS) != 0) return false;
    if (count_letters(self, d, &after) != 0 || epoch_now(d) != epoch) return false;
    if (pg_ask(self, d->pg, &UPKEEP_SET_PROGRESS, NULL, NULL, pg_i64(until_ms)) != 0) return false;
    return before.kept == 0 && after.kept == 0 && before.ever == after.ever;
}

/* ---- a round ------------------------------------------------------------------------------------------- */

static void drop_outbox(struct fiber *self, struct upkeep *u) {
    while (run(self, u, &UPKEEP_DETACH_OUTBOX, 1, RELAY_WINDOW_S, 0) == 1) u->dropped->value++;
    int64_t saved = run(self, u, &UPKEEP_DROP_OUTBOX, 1, RELAY_WINDOW_S, 0);
    if (saved > 0) {
        u->saved->value += (uint64_t)saved;
        log_warn(u->worker->domain.log, "outbox rows arrived in a partition being dropped: rows kept",
                 LOG_I("rows", saved));
    }
    while (run(self, u, &UPKEEP_CLEAN_OUTBOX, 2, RELAY_WINDOW_S, ROWS_AT_ONCE) == ROWS_AT_ONCE) {
    }
}

static void drop_counted(struct fiber *self, struct upkeep *u) {
    while (run(self, u, &UPKEEP_DROP_COUNTED, 0, 0, 0) == 1) u->dropped->value++;
    while (run(self, u, &UPKEEP_CLEAN_COUNTED, 1, ROWS_AT_ONCE, 0) == ROWS_AT_ONCE) {
    }
}

static void clean_sessions(struct fiber *self, struct upkeep *u) {
    for (int64_t n = ROWS_AT_ONCE; n == ROWS_AT_ONCE;) {
        n = run(self, u, &UPKEEP_CLEAN_SESSIONS, 1, ROWS_AT_ONCE, 0);
        if (n > 0) u->sessions->value += (uint64_t)n;
    }
}

static void round_of(struct fiber *self, struct upkeep *u) {
    int64_t made = run(self, u, &UPKEEP_CREATE, 1, AHEAD_HOURS, 0);
    if (made > 0) u->made->value += (uint64_t)made;
    bool no_letters = note_progress(self, &u->worker->domain);
    drop_outbox(self, u);
    if (no_letters) run(self, u, &UPKEEP_MOVE_COUNTED_BELOW, 1, RELAY_WINDOW_S, 0);
    drop_counted(self, u);
    clean_sessions(self, u);
}

static void keep_up(struct fiber *self, void *arg) {
    struct worker *w = arg;
    struct metrics *m = w->domain.metrics;
    struct lane_fiber running = {.fiber = self};
    struct upkeep u = {
        .worker = w,
        .made = metrics_counter(m, "rookery_partitions_made_total", "Partitions created in advance", ""),
        .dropped =
            metrics_counter(m, "rookery_partitions_dropped_total", "Dropped partitions of expired rows", ""),
        .saved = metrics_counter(m, "rookery_outbox_rows_saved_total",
                                 "Outbox rows rescued from partitions being dropped", ""),
        .sessions = metrics_counter(m, "rookery_sessions_expired_total", "Expired sessions deleted", ""),
    };
    int64_t next_ns = 0;
    list_push_back(&w->lanes, &running.node);
    while (!w->stopping && fiber_sleep_ms(self, STEP_MS) == 0) {
        if (clock_mono_ns() < next_ns) continue;
        if (leader_lead(self, w, "upkeep", LEASE_S)) round_of(self, &u);
        next_ns = clock_mono_ns() + ROUND_MS * NS_PER_MS;
        arena_reset(fiber_arena(self));
    }
    list_remove(&running.node);
    latch_done(&w->lanes_left);
}

int upkeep_start(struct worker *w) {
    struct fiber_options options = {.name = "upkeep"};
    w->lanes_left.left++;
    return fiber_spawn(w->domain.loop, &options, keep_up, w, NULL);
}
