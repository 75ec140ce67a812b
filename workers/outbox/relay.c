/* The relay.
 *
 * Happy path, by one worker at a time (the leader, by a lease row):
 *   1. Every 300 ms it puts outbox rows that are unpublished and older than 2 s (a gateway that lives would have
 *      published them by then) on their streams, oldest first, 500 at a time, and marks them.
 *   2. When Redis is a new server process (redis_epochs has a row that is not marked republished), it marks every
 *      event published in the window, or not yet processed by every role, as unpublished again. So 1 republishes it,
 *      and says which events the fan-out need not deliver (epoch.h). Only then it marks the epoch.
 * 1 also puts a new post on its author's own timeline, which its gateway did not (core/domain/post/announce.c).
 * Failures: when the leader's Redis is not the newest, it does nothing, and the epoch watcher says so (epoch.h). When
 * the leader dies, the lease runs out after 5 s and another worker leads. When Redis or PostgreSQL is unreachable,
 * the next round tries again. An event may be published twice: every effect is idempotent by event id.
 */
#include "workers/outbox/relay.h"

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "workers/jobs/role/requeue.h"
#include "workers/outbox/relay.sql.h"
#include "workers/outbox/upkeep.h"
#include "workers/runtime/consumers.h"
#include "workers/runtime/leader.h"
#include "workers/runtime/trim.h"

#define ROUND_MS 300
#define GRACE_MS 2000
#define BATCH 500
#define RECENT_MS 60000
#define LEASE_S 5
#define TRIM_EVERY_NS (10 * NS_PER_S)
#define REOPEN_BATCH 20000

/* What to republish: everything published between those times. Events published before settled_ms are settled in the
 * epoch (epoch.h). */
struct window {
    int64_t epoch, from_ms, to_ms, settled_ms;
};

/* Marks it as unpublished again, in parts. */
static int reopen(struct fiber *self, struct worker *w, const struct window *t, int64_t *events) {
    int64_t lowest = 0, n = REOPEN_BATCH;
    *events = 0;
    while (n == REOPEN_BATCH) {
        struct pg_args args;
        struct pg_result *r;
        pg_args_init(&args, fiber_arena(self));
        pg_i64(&args, lowest);
        pg_i64(&args, t->from_ms);
        pg_i64(&args, t->to_ms);
        pg_i64(&args, REOPEN_BATCH);
        pg_i64(&args, t->settled_ms);
        pg_i64(&args, t->epoch);
        int e = pg_exec(self, w->domain.pg, &RELAY_REOPEN, &args, &r, NULL);
        if (e != 0) return e;
        n = pg_get_i64(r, 0, 0);
        lowest = pg_get_i64(r, 0, 1);
        *events += n;
    }
    return 0;
}

/* After a crash before the epoch is marked, all of this is repeated: events are published again, and change nothing. */
static int reopen_window(struct fiber *self, struct worker *w) {
    struct pg_args args;
    struct pg_result *r;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, epoch_now(&w->domain));
    pg_i32(&args, RELAY_WINDOW_S);
    pg_f64(&args, EPOCH_SLACK_S);
    int e = pg_exec(self, w->domain.pg, &RELAY_NEW_EPOCHS, &args, &r, NULL);
    if (e != 0 || pg_rows(r) == 0) return e;
    int64_t events = 0;
    const struct window t = {pg_get_i64(r, 0, 0), pg_get_i64(r, 0, 1), pg_get_i64(r, 0, 2),
                             pg_get_i64(r, 0, 4)};
    if (pg_get_bool(r, 0, 3)) e = reopen(self, w, &t, &events);
    if (e != 0) return e;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, t.epoch);
    e = pg_exec(self, w->domain.pg, &RELAY_REOPENED, &args, NULL, NULL);
    if (e == 0)
        log_info(w->domain.log, "republished the outbox window to a new Redis", LOG_I("events", events));
    return e;
}

/* The gateway may have died, or lost Redis, before it put the entry on its author's timeline. As the gateway does,
 * this puts it there before the event. */
static void add_own_delivery(struct fiber *self, struct redis_batch *b, const struct event_record *record,
                             int64_t epoch) {
    char key[KEY_MAX];
    if (record->stream != STREAM_EVENTS || (record->settled_epoch > 0 && record->settled_epoch <= epoch))
        return;
    const Event *e = (const Event *)(const void *)pb_decode(&rookery__events__v1__event__descriptor,
                                                            record->payload, fiber_arena(self), NULL);
    if (e && event_kind(e) == EVENT_POST_CREATED)
        outbox_add_own_delivery(b, key_timeline(key, epoch, e->actor_id), e->post_created->post_id);
}

static int publish(struct fiber *self, struct worker *w, const struct pg_result *rows, int64_t epoch) {
    struct redis_batch *b = redis_batch_new();
    for (int i = 0; i < pg_rows(rows); i++) {
        struct event_record e = {
            .id = pg_get_i64(rows, i, 0),
            .partition = (int)pg_get_i64(rows, i, 1),
            .payload = pg_get_str(rows, i, 2),
            .stream = (enum stream_number)pg_get_i64(rows, i, 3),
            .settled_epoch = pg_get_i64(rows, i, 4),
        };
        if (e.stream == STREAM_EVENTS) e.kind = event_payload_kind(e.payload);
        add_own_delivery(self, b, &e, epoch);
        outbox_add_command(b, &e, true);
    }
    return epoch_send(self, &w->domain, b, epoch);
}

/* Not when a newer Redis has come meanwhile: events have not been republished to that one. */
static int mark(struct fiber *self, struct worker *w, const struct pg_result *rows, int64_t epoch) {
    int n = pg_rows(rows);
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, (size_t)n);
    for (int i = 0; i < n; i++) ids[i] = pg_get_i64(rows, i, 0);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64_array(&args, ids, (size_t)n);
    pg_i64(&args, ids[0]);
    pg_i64(&args, ids[n - 1]);
    pg_i64(&args, epoch);
    struct pg_result *r;
    int e = pg_exec(self, w->domain.pg, &RELAY_MARK, &args, &r, NULL);
    return e == 0 && pg_affected(r) == 0 ? ERR_ABORTED : e;
}

/* Publishes one batch of rows from this id on. *n: the number of rows. */
static int relay_some(struct fiber *self, struct worker *w, struct counter *relayed, int64_t from_id,
                      int *n) {
    struct pg_args args;
    struct pg_result *rows;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, snowflake_floor(domain_now_ms(&w->domain) - GRACE_MS));
    pg_i32(&args, BATCH);
    pg_i64(&args, from_id);
    *n = 0;
    int64_t epoch = epoch_now(&w->domain);
    if (epoch == 0) return ERR_UNAVAILABLE; /* events put on this Redis could not be marked */
    int e = pg_exec(self, w->domain.pg, &RELAY_UNPUBLISHED, &args, &rows, NULL);
    if (e != 0 || pg_rows(rows) == 0) return e;
    e = publish(self, w, rows, epoch);
    if (e == 0) e = mark(self, w, rows, epoch);
    if (e != 0) return e;
    *n = pg_rows(rows);
    relayed->value += (uint64_t)*n;
    return 0;
}

/* While there are many rows, such as a window that is being republished to a new Redis, each batch is followed by the
 * rows of the last minute: a gateway may be waiting for these (core/domain/post/announce.c). */
static void relay_all(struct fiber *self, struct worker *w, struct counter *relayed) {
    for (int n = BATCH, e = 0; e == 0 && n == BATCH && !w->stopping;) {
        e = relay_some(self, w, relayed, 0, &n);
        arena_reset(fiber_arena(self));
        for (int recent = n; e == 0 && recent == BATCH && !w->stopping;) {
            int64_t from_id = snowflake_floor(domain_now_ms(&w->domain) - RECENT_MS);
            e = relay_some(self, w, relayed, from_id, &recent);
            arena_reset(fiber_arena(self));
        }
    }
}

static void trim(struct fiber *self, struct worker *w, int64_t *next_ns) {
    if (clock_mono_ns() < *next_ns) return;
    trim_streams(self, w);
    consumers_sweep(self, w);
    *next_ns = clock_mono_ns() + TRIM_EVERY_NS;
}

/* Short, compared with the time after which a step counts as lost. */
static void requeue(struct fiber *self, struct worker *w, int64_t *next_ns) {
    if (clock_mono_ns() < *next_ns) return;
    jobs_requeue_stalled(self, w);
    *next_ns = clock_mono_ns() + w->domain.config->job_stall_s * NS_PER_S / 4;
}

static void relay(struct fiber *self, void *arg) {
    struct worker *w = arg;
    int64_t next_trim_ns = 0, next_requeue_ns = 0;
    struct lane_fiber running = {.fiber = self};
    list_push_back(&w->lanes, &running.node);
    struct counter *relayed = metrics_counter(w->domain.metrics, "rookery_events_relayed_total",
                                              "Events published by the relay", "");
    while (!w->stopping && fiber_sleep_ms(self, ROUND_MS) == 0) {
        if (epoch_now(&w->domain) == 0 || !leader_lead(self, w, "relay", LEASE_S) ||
            reopen_window(self, w) != 0)
            continue;
        relay_all(self, w, relayed);
        trim(self, w, &next_trim_ns);
        requeue(self, w, &next_requeue_ns);
        arena_reset(fiber_arena(self));
    }
    list_remove(&running.node);
    latch_done(&w->lanes_left);
}

int relay_start(struct worker *w) {
    struct fiber_options options = {.name = "relay"};
    w->lanes_left.left++;
    int e = fiber_spawn(w->domain.loop, &options, relay, w, NULL);
    return e == 0 ? upkeep_start(w) : e;
}
