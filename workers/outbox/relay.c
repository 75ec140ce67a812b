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
 * tests/models/outbox.pml stands for this file.
 */
#include "workers/outbox/relay.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/base/map.h"
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
        struct pg_result *r;
        int e = pg_ask(self, w->domain.pg, &RELAY_REOPEN, &r, NULL, pg_i64(lowest), pg_i64(t->from_ms),
                       pg_i64(t->to_ms), pg_i64(REOPEN_BATCH), pg_i64(t->settled_ms), pg_i64(t->epoch));
        if (e != 0) return e;
        struct pg_row row = pg_read(r);
        pg_next(&row);
        n = pg_take_i64(&row);
        lowest = pg_take_i64(&row);
        pg_end(&row);
        *events += n;
    }
    return 0;
}

/* After a crash before the epoch is marked, all of this is repeated: events are published again, and change nothing. */
static int reopen_window(struct fiber *self, struct worker *w) {
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, &RELAY_NEW_EPOCHS, &r, NULL, pg_i64(epoch_now(&w->domain)),
                   pg_i32(RELAY_WINDOW_S), pg_f64(EPOCH_SLACK_S));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    int64_t events = 0;
    struct window t;
    t.epoch = pg_take_i64(&row);
    t.from_ms = pg_take_i64(&row);
    t.to_ms = pg_take_i64(&row);
    bool one_before = pg_take_bool(&row);
    t.settled_ms = pg_take_i64(&row);
    pg_end(&row);
    if (one_before) e = reopen(self, w, &t, &events);
    if (e != 0) return e;
    e = pg_ask(self, w->domain.pg, &RELAY_REOPENED, NULL, NULL, pg_i64(t.epoch));
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

/* Writes down the ids. */
static int publish(struct fiber *self, struct worker *w, const struct pg_result *rows, int64_t epoch,
                   int64_t *ids) {
    struct redis_batch *b = redis_batch_new();
    assert(epoch != 0);
    struct pg_row row = pg_read(rows);
    while (pg_next(&row)) {
        struct event_record e = {0};
        *ids++ = e.id = pg_take_i64(&row);
        e.partition = pg_take_i32(&row);
        e.payload = pg_take_str(&row);
        e.stream = (enum stream_number)pg_take_i64(&row);
        assert(e.stream >= 0 && e.stream < N_STREAMS);
        e.settled_epoch = pg_take_i64(&row);
        if (e.stream == STREAM_EVENTS) e.kind = event_payload_kind(e.payload);
        add_own_delivery(self, b, &e, epoch);
        outbox_add_command(b, &e, true);
    }
    return epoch_send(self, &w->domain, b, epoch);
}

/* Not when a newer Redis has come meanwhile: it has not been told. */
static int mark(struct fiber *self, struct worker *w, const int64_t *ids, size_t n, int64_t epoch) {
    struct pg_result *r;
    assert(n > 0 && epoch != 0);
    assert(ids[0] <= ids[n - 1]); /* they bound the partitions that are searched */
    int e = pg_ask(self, w->domain.pg, &RELAY_MARK, &r, NULL, pg_i64_array(ids, n), pg_i64(ids[0]),
                   pg_i64(ids[n - 1]), pg_i64(epoch));
    return e == 0 && pg_affected(r) == 0 ? ERR_ABORTED : e;
}

/* Publishes one batch of rows from this id on. *n: the number of rows. */
static int relay_some(struct fiber *self, struct worker *w, struct counter *relayed, int64_t from_id,
                      int *n) {
    struct pg_result *rows;
    *n = 0;
    int64_t epoch = epoch_now(&w->domain);
    if (epoch == 0) return ERR_UNAVAILABLE; /* what is put on this Redis could not be marked */
    int e = pg_ask(self, w->domain.pg, &RELAY_UNPUBLISHED, &rows, NULL,
                   pg_i64(snowflake_floor(domain_now_ms(&w->domain) - GRACE_MS)), pg_i32(BATCH),
                   pg_i64(from_id), pg_i32(N_STREAMS));
    if (e != 0 || pg_rows(rows) == 0) return e;
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, (size_t)pg_rows(rows));
    e = publish(self, w, rows, epoch, ids);
    if (e == 0) e = mark(self, w, ids, (size_t)pg_rows(rows), epoch);
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
