/* The outbox's publishing side; the story is in outbox.h. The relay role is in workers/. */
#include "core/event/outbox.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/codec/codec.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/outbox.sql.h"

/* Ids published but not yet marked. Past the cap they are dropped: the relay then republishes those rows. */
#define MARK_CAP 100000
#define MARK_EVERY_MS 100
#define MARK_BATCH 5000

struct outbox {
    struct domain *domain;
    /* Published ids, and for each the epoch in which its command was sent: sorted, except for ids that cannot be
     * marked. */
    struct ids published, epochs;
    struct fiber *marker;
    struct latch stopped;
    bool stopping;
    struct counter *n_published, *n_unpublished;
    struct gauge *unmarked;
};

int event_partition(int64_t actor_id, int64_t partitions) {
    assert(partitions > 0 && partitions <= INT_MAX);
    uint64_t h = (uint64_t)actor_id *
                 UINT64_C(0x9E3779B97F4A7C15); /* Fibonacci hashing: the high bits are well mixed */
    return (int)((h >> 32) % (uint64_t)partitions);
}

struct event_record event_encode(struct arena *a, const Event *e, int64_t partitions) {
    assert(e->id != 0 && e->actor_id != 0 && e->what_case != ROOKERY__EVENTS__V1__EVENT__WHAT__NOT_SET);
    size_t size = rookery__events__v1__event__get_packed_size(e);
    uint8_t *bytes = arena_alloc(a, size);
    rookery__events__v1__event__pack(e, bytes);
    return (struct event_record){
        .id = e->id,
        .partition = event_partition(e->actor_id, partitions),
        .kind = (int)e->what_case,
        .payload = {(const char *)bytes, size},
    };
}

struct event_record job_message_encode(struct arena *a, const JobMessage *m, int64_t partitions) {
    assert(m->id != 0 && m->what_case != ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT__NOT_SET);
    return (struct event_record){
        .id = m->id,
        .partition = event_partition(m->id, partitions),
        .payload = pb_encode_arena(&m->base, a),
        .stream = STREAM_JOBS,
    };
}

void outbox_add_command(struct redis_batch *b, const struct event_record *e, bool relayed) {
    char key[KEY_MAX];
    assert(relayed || e->settled_epoch == 0); /* a new event is not settled */
    bool settled = relayed && e->settled_epoch > 0;
    uint32_t interests = event_interests((enum event_kind)e->kind);
    redis_cmd(b, 5 + 2 * (interests != 0) + 2 * relayed + 2 * settled);
    redis_arg(b, STR("XADD"));
    redis_arg(b, stream_key(key, &STREAMS[e->stream], e->partition));
    redis_arg(b, STR("*"));
    redis_arg(b, STR("e"));
    redis_arg(b, e->payload);
    if (interests != 0) {
        redis_arg(b, STR(OUTBOX_KIND));
        redis_arg_printf(b, "%d %u", e->kind, interests);
    }
    if (!relayed) return;
    redis_arg(b, STR(OUTBOX_RELAYED));
    redis_arg(b, STR("1"));
    if (!settled) return;
    redis_arg(b, STR(OUTBOX_SETTLED));
    redis_arg_i64(b, e->settled_epoch);
}

/* ---- the marker ---------------------------------------------------------------------------------------- */

static bool is_sound(const struct outbox *o) {
    return o->published.len == o->epochs.len && o->published.len <= MARK_CAP;
}

/* How many of the oldest ids are of one epoch; they are marked together. */
static size_t next_to_mark(const struct outbox *o) {
    size_t n = 0;
    while (n < o->published.len && n < MARK_BATCH && o->epochs.v[n] == o->epochs.v[0]) n++;
    return n;
}

static void forget_first(struct ids *ids, size_t n) {
    assert(n <= ids->len);
    ids->len -= n;
    for (size_t i = 0; i < ids->len; i++) ids->v[i] = ids->v[i + n];
}

/* Marks the oldest ids that wait. Returns whether it did. The bounds let PostgreSQL skip partitions. */
static bool mark_some(struct fiber *self, struct outbox *o) {
    size_t n = next_to_mark(o);
    if (n == 0) return false;
    int64_t lowest, highest;
    ids_bounds(o->published.v, n, &lowest, &highest);
    if (pg_ask(self, o->domain->pg, &OUTBOX_MARK_PUBLISHED, NULL, NULL, pg_i64_array(o->published.v, n),
               pg_i64(lowest), pg_i64(highest), pg_i64(o->epochs.v[0])) != 0)
        return false;
    forget_first(&o->published, n);
    forget_first(&o->epochs, n);
    assert(is_sound(o));
    return true;
}

static void marker(struct fiber *self, void *arg) {
    struct outbox *o = arg;
    while (!o->stopping) {
        if (fiber_sleep_ms(self, MARK_EVERY_MS) != 0) break;
        while (mark_some(self, o)) arena_reset(fiber_arena(self));
        arena_reset(fiber_arena(self));
        o->unmarked->value = (double)o->published.len;
    }
    while (mark_some(self, o)) arena_reset(fiber_arena(self));
    latch_done(&o->stopped);
}

int outbox_open(struct domain *d, struct outbox **out) {
    struct outbox *o = calloc(1, sizeof *o);
    if (!o) return ERR_OVERLOADED;
    o->domain = d;
    ids_init(&o->published);
    ids_init(&o->epochs);
    latch_init(&o->stopped, 1);
    o->n_published =
        metrics_counter(d->metrics, "rookery_events_published_total", "Events published to a stream", "");
    o->n_unpublished = metrics_counter(d->metrics, "rookery_events_left_to_relay_total",
                                       "Committed events left for the relay to publish", "");
    o->unmarked = metrics_gauge(d->metrics, "rookery_outbox_unmarked",
                                "Published events not yet marked as published in the outbox", "");
    struct fiber_options options = {.name = "outbox marker"};
    int e = fiber_spawn(d->loop, &options, marker, o, &o->marker);
    if (e != 0) {
        free(o);
        return e;
    }
    *out = o;
    return 0;
}

void outbox_close(struct fiber *self, struct outbox *o) {
    if (!o) return;
    assert(!o->stopping);
    o->stopping = true;
    latch_wait(self, &o->stopped);
    ids_free(&o->published);
    ids_free(&o->epochs);
    free(o);
}

/* ---- publishing ---------------------------------------------------------------------------------------- */

static void published(struct outbox *o, const struct event_record *events, size_t n, int64_t epoch) {
    assert(epoch != 0);
    o->n_published->value += n;
    for (size_t i = 0; i < n && o->published.len < MARK_CAP; i++) {
        ids_push(&o->published, events[i].id);
        ids_push(&o->epochs, epoch);
    }
    assert(is_sound(o));
}

void outbox_add_own_delivery(struct redis_batch *b, struct str timeline_key, int64_t entry_id) {
    redis_cmd(b, 3);
    redis_arg(b, STR("RPUSHX"));
    redis_arg(b, timeline_key);
    redis_arg_i64(b, entry_id);
}

int outbox_publish_in(struct fiber *self, struct domain *d, struct redis_batch *b, int64_t epoch,
                      const struct event_record *events, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert(events[i].id != 0 && events[i].partition < d->config->partitions);
        outbox_add_command(b, &events[i], false);
    }
    int e = epoch_send(self, d, b, epoch);
    if (e == 0)
        published(d->outbox, events, n, epoch);
    else
        d->outbox->n_unpublished->value += n;
    return e;
}

static int publish(struct fiber *self, struct domain *d, const struct event_record *events, size_t n,
                   int64_t *epoch) {
    /* Without a connection it does not wait: the relay publishes the row. */
    int e = redis_ready(d->redis) ? epoch_wait(self, d, epoch) : ERR_UNAVAILABLE;
    if (e == 0) return outbox_publish_in(self, d, redis_batch_borrow(d->redis), *epoch, events, n);
    d->outbox->n_unpublished->value += n;
    return e;
}

int outbox_publish(struct fiber *self, struct domain *d, const struct event_record *events, size_t n) {
    int64_t epoch;
    return publish(self, d, events, n, &epoch);
}

int outbox_publish_heard(struct fiber *self, struct domain *d, const struct event_record *event) {
    int64_t epoch;
    uint64_t question;
    int e = ERR_ABORTED;
    for (int tries = 0; tries < 2 && e == ERR_ABORTED; tries++) {
        question = epoch_ask(d);
        e = publish(self, d, event, 1, &epoch);
    }
    return e == 0 ? epoch_confirm(self, d, question, epoch) : e;
}
