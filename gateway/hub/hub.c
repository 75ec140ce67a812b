/* The hub; the story is in hub.h. */
#include "gateway/hub/hub.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/event/outbox.h"

#define BLOCK_MS 200
#define READ_COUNT 512
#define FRESH_NS (700 * NS_PER_MS - CLOCK_COARSE_NS)
#define LOOK_EVERY_NS NS_PER_S
/* An event's memory while it is looked at; events are small. */
#define EVENT_ARENA_LIMIT (256 * 1024)

struct ear {
    struct hub *hub;
    struct fiber *fiber;
    int partition;
    struct redis *redis;
    struct hub_place at; /* up to where it has heard */
    char run_id[48];     /* of the server whose stream that is */
    /* The last look: the end that Redis named, while what is there up to it has not all been heard. */
    bool looking;
    struct hub_place end;
    int64_t looked_ns;
    bool missed;          /* a look has found that entries are missing */
    int64_t proved_ns;    /* when that look was sent that last found nothing missing */
    int64_t confirmed_ns; /* everything published before this has been heard; 0: nothing confirmed */
};

struct hub {
    struct domain *domain;
    struct list_node listeners;
    uint32_t interests; /* of all listeners */
    int64_t memory;     /* the maximum of the listeners' `memory` */
    int n;
    struct ear *ears;
    bool stopping;
    struct latch stopped;
    struct arena scratch;
    struct counter *events, *bad_events, *gaps;
};

bool hub_fresh(const struct hub *h) {
    /* Not the loop's time, which after a pause of the process is still the one from before. */
    int64_t limit = clock_mono_coarse_ns() - FRESH_NS;
    for (int i = 0; i < h->n; i++)
        if (h->ears[i].confirmed_ns < limit) return false;
    return epoch_now(h->domain) != 0;
}

/* ---- listeners ----------------------------------------------------------------------------------------- */

void hub_listen(struct hub *h, struct hub_listener *listener) {
    assert(!h->ears[0].fiber && listener->context);
    assert((listener->heard != NULL) == (listener->interests != 0)); /* or nothing would be heard */
    list_push_back(&h->listeners, &listener->node);
    h->interests |= listener->interests;
    if (listener->memory > h->memory) h->memory = listener->memory;
}

static struct hub_listener *listener_of(struct list_node *node) {
    return list_entry(node, struct hub_listener, node);
}

/* Calls one of a listener's functions with what it hears of an entry. */
static void tell(const struct hub_listener *l, void (*hears)(void *context, const struct hub_heard *heard),
                 const struct hub_heard *heard) {
    bool wanted = (heard->interests & l->interests) != 0;
    struct hub_heard told = *heard;
    if (!hears || (!wanted && !l->every_entry)) return;
    if (!wanted) told.event = NULL;
    hears(l->context, &told);
}

static void tell_heard(struct hub *h, const struct hub_heard *heard) {
    list_each (&h->listeners, it) tell(listener_of(it), listener_of(it)->heard, heard);
}

static void tell_remember(struct hub *h, const struct hub_heard *heard) {
    list_each (&h->listeners, it) tell(listener_of(it), listener_of(it)->remember, heard);
}

static void tell_begin(struct hub *h, int partition, const struct hub_place *place) {
    list_each (&h->listeners, it)
        if (listener_of(it)->begin) listener_of(it)->begin(listener_of(it)->context, partition, place);
}

void hub_forget(struct hub *h) {
    list_each (&h->listeners, it)
        if (listener_of(it)->forget) listener_of(it)->forget(listener_of(it)->context);
}

/* ---- events -------------------------------------------------------------------------------------------- */

/* The event of the entry at ear->at. */
static void heard(struct ear *ear, const struct redis_reply *fields) {
    struct hub *h = ear->hub;
    struct hub_heard heard = {.partition = ear->partition, .place = &ear->at};
    assert(ear->at.epoch != 0);
    h->events->value++;
    if (!hub_entry_read(fields, ear->at.epoch, h->interests, &h->scratch, &heard)) h->bad_events->value++;
    tell_heard(h, &heard);
    arena_reset(&h->scratch);
}

/* ---- what is missing ----------------------------------------------------------------------------------- */

static void note_missed(struct ear *ear) {
    ear->missed = true;
    ear->confirmed_ns = 0;
    log_warn(ear->hub->domain->log, "events missing from a stream", LOG_I("partition", ear->partition),
             LOG_I("added", ear->end.count), LOG_I("heard", ear->at.count));
}

/* Everything that is there up to the end that was looked at has been heard. */
static void settle_look(struct ear *ear) {
    assert(ear->looking && ear->looked_ns >= ear->proved_ns);
    ear->looking = false;
    if (ear->at.count == ear->end.count)
        ear->proved_ns = ear->looked_ns;
    else
        note_missed(ear);
}

static int begin_look(struct ear *ear, const struct redis_reply *reply, int64_t sent_ns) {
    if (!hub_place_read_look(reply, &ear->end)) return ERR_REDIS;
    ear->looked_ns = sent_ns;
    ear->looking = !stream_id_before(ear->end.id, ear->at.id);
    if (!ear->looking) note_missed(ear); /* the stream was deleted */
    return 0;
}

static void hear(struct ear *ear, const struct redis_reply *entry) {
    struct hub_place next = ear->at;
    if (entry->elements < 2 || !stream_id_parse(entry->element[0].str, &next.id)) {
        ear->hub->bad_events->value++;
        return;
    }
    next.count++;
    if (ear->looking && stream_id_before(ear->end.id, next.id)) settle_look(ear);
    ear->at = next;
    heard(ear, &entry->element[1]);
}

/* [[key, [[id, [field, value]], ...]]] */
static size_t hear_all(struct ear *ear, const struct redis_reply *reply) {
    if (reply->type != REDIS_ARRAY || reply->elements == 0) return 0;
    const struct redis_reply *entries = &reply->element[0].element[1];
    for (size_t i = 0; i < entries->elements; i++) hear(ear, &entries->element[i]);
    return entries->elements;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void add_read(struct ear *ear, struct redis_batch *b) {
    char key[KEY_MAX];
    redis_cmd(b, 8);
    redis_arg(b, STR("XREAD"));
    redis_arg(b, STR("COUNT"));
    redis_arg_i64(b, READ_COUNT);
    redis_arg(b, STR("BLOCK"));
    redis_arg_i64(b, BLOCK_MS);
    redis_arg(b, STR("STREAMS"));
    redis_arg(b, stream_key(key, &STREAMS[STREAM_EVENTS], ear->partition));
    redis_arg_printf(b, "%" PRId64 "-%" PRId64, ear->at.id.ms, ear->at.id.sequence);
}

static bool on_another_server(const struct ear *ear) {
    return strcmp(ear->run_id, redis_run_id(ear->redis)) != 0;
}

/* The epoch of the server that this ear is connected to; 0 while it is not known. */
static int64_t epoch_of(const struct ear *ear) {
    const struct domain *d = ear->hub->domain;
    return strcmp(redis_run_id(ear->redis), redis_run_id(d->redis)) == 0 ? epoch_now(d) : 0;
}

/* Takes the replies to a read that was sent at that time, with or without a look before it. Returns 0, or ERR_*. */
static int hear_replies(struct ear *ear, const struct redis_batch *b, bool looked, int64_t sent_ns) {
    /* It was queued across a reconnect: it proves nothing. */
    if (on_another_server(ear)) return ERR_ABORTED;
    const struct redis_reply *read = redis_batch_reply(b, looked ? 1 : 0);
    if (read->type == REDIS_ERROR) return ERR_REDIS;
    int e = looked ? begin_look(ear, redis_batch_reply(b, 0), sent_ns) : 0;
    if (e != 0) return e;
    bool all = hear_all(ear, read) < READ_COUNT;
    if (all && ear->looking) settle_look(ear);
    if (all && !ear->missed && epoch_of(ear) == ear->at.epoch) ear->confirmed_ns = sent_ns;
    return 0;
}

/* Reads once and hears what came. A new look replaces one whose outcome is not known yet, which says nothing of
 * entries removed since. Returns 0, or ERR_*. */
static int read_once(struct fiber *self, struct ear *ear) {
    struct redis_batch *b = redis_batch_new();
    int64_t sent_ns = clock_mono_ns();
    bool looks = sent_ns - ear->proved_ns >= LOOK_EVERY_NS;
    if (looks) hub_place_add_look(b, ear->partition);
    add_read(ear, b);
    int e = redis_exchange(self, ear->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0) e = hear_replies(ear, b, looks, sent_ns);
    redis_batch_free(b);
    return e;
}

/* ---- starting over ------------------------------------------------------------------------------------- */

/* The stream's newest entries. */
static void add_read_back(struct ear *ear, struct redis_batch *b) {
    char key[KEY_MAX];
    redis_cmd(b, 6);
    redis_arg(b, STR("XREVRANGE"));
    redis_arg(b, stream_key(key, &STREAMS[STREAM_EVENTS], ear->partition));
    redis_arg(b, STR("+"));
    redis_arg(b, STR("-"));
    redis_arg(b, STR("COUNT"));
    redis_arg_i64(b, ear->hub->memory);
}

/* Up to the place where hearing begins; those behind it are heard later. Returns false when it is not an entry. */
static bool is_before(const struct ear *ear, const struct redis_reply *entry, struct stream_id *id) {
    return entry->elements == 2 && stream_id_parse(entry->element[0].str, id) &&
           !stream_id_before(ear->at.id, *id);
}

/* Only the oldest entries are ever removed, so the newest have the counts up to the place's. */
static void remember(struct ear *ear, const struct redis_reply *newest) {
    struct hub *h = ear->hub;
    size_t n = newest->type == REDIS_ARRAY ? newest->elements : 0;
    struct hub_place at = ear->at;
    for (size_t i = 0; i < n; i++) at.count -= is_before(ear, &newest->element[i], &at.id);
    for (size_t i = n; i-- > 0;) {
        struct hub_heard read = {.partition = ear->partition, .place = &at};
        if (!is_before(ear, &newest->element[i], &at.id)) continue;
        at.count++;
        hub_entry_read(&newest->element[i].element[1], at.epoch, h->interests, &h->scratch, &read);
        tell_remember(h, &read);
        arena_reset(&h->scratch);
    }
    assert(at.count == ear->at.count);
}

static void begin_at(struct ear *ear, const struct hub_place *end, const struct redis_reply *newest,
                     int64_t sent_ns) {
    assert(end->epoch != 0 && ear->confirmed_ns == 0);
    ear->at = *end;
    ear->looking = ear->missed = false;
    ear->proved_ns = sent_ns;
    snprintf(ear->run_id, sizeof ear->run_id, "%s", redis_run_id(ear->redis));
    remember(ear, newest);
    tell_begin(ear->hub, ear->partition, &ear->at);
}

/* Moves to the stream's end, in the epoch that is known before and after. Returns 0, or ERR_*. */
static int find_end(struct fiber *self, struct ear *ear) {
    struct hub_place end = {.epoch = epoch_of(ear)};
    if (end.epoch == 0) return ERR_UNAVAILABLE;
    int64_t sent_ns = clock_mono_ns();
    struct redis_batch *b = redis_batch_new();
    hub_place_add_look(b, ear->partition);
    add_read_back(ear, b);
    int e = redis_exchange(self, ear->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0 && !hub_place_read_look(redis_batch_reply(b, 0), &end)) e = ERR_REDIS;
    if (e == 0 && epoch_of(ear) != end.epoch) e = ERR_ABORTED;
    if (e == 0) begin_at(ear, &end, redis_batch_reply(b, 1), sent_ns);
    redis_batch_free(b);
    return e;
}

/* Events may have been missed: listeners forget everything older, and reading starts at the stream's end. */
static int start_over(struct fiber *self, struct ear *ear) {
    bool first = ear->at.epoch == 0;
    ear->confirmed_ns = 0;
    int e = find_end(self, ear);
    if (e != 0) return e;
    hub_forget(ear->hub);
    if (first) return 0;
    ear->hub->gaps->value++;
    log_warn(ear->hub->domain->log, "events may have been missed: discarding caches",
             LOG_I("partition", ear->partition), LOG_I("epoch", ear->at.epoch));
    return 0;
}

static bool must_start_over(const struct ear *ear) {
    int64_t epoch = epoch_of(ear);
    return ear->at.epoch == 0 || ear->missed || on_another_server(ear) ||
           (epoch != 0 && epoch != ear->at.epoch);
}

static void listen_to(struct fiber *self, void *arg) {
    struct ear *ear = arg;
    unsigned failures = 0;
    while (!ear->hub->stopping) {
        arena_reset(fiber_arena(self));
        int e = redis_wait_ready(self, ear->redis);
        if (e == 0 && must_start_over(ear)) e = start_over(self, ear);
        if (e == 0) e = read_once(self, ear);
        failures = e == 0 ? 0 : failures + 1;
        if (failures > 0 && fiber_sleep_ms(self, backoff_ms(failures, 10, 250)) != 0) break;
    }
    redis_close(self, ear->redis);
    latch_done(&ear->hub->stopped);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct hub *hub_new(struct domain *d) {
    struct hub *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->domain = d;
    list_init(&h->listeners);
    h->n = (int)d->config->partitions;
    h->ears = calloc((size_t)h->n, sizeof *h->ears);
    if (!h->ears) {
        free(h);
        return NULL;
    }
    arena_init(&h->scratch, EVENT_ARENA_LIMIT);
    latch_init(&h->stopped, (size_t)h->n);
    struct metrics *m = d->metrics;
    h->events = metrics_counter(m, "rookery_hub_events_total", "Events read by the hub", "");
    h->bad_events =
        metrics_counter(m, "rookery_hub_bad_events_total", "Stream entries that are not events", "");
    h->gaps = metrics_counter(m, "rookery_hub_gaps_total", "Times the hub may have missed events", "");
    return h;
}

void hub_start(struct hub *h) {
    for (int i = 0; i < h->n; i++) {
        struct ear *ear = &h->ears[i];
        assert(!ear->fiber);
        ear->hub = h;
        ear->partition = i;
        ear->redis = redis_open_blocking(h->domain->redis, "hub", BLOCK_MS);
        struct fiber_options options = {.name = "hub"};
        int e = fiber_spawn(h->domain->loop, &options, listen_to, ear, &ear->fiber);
        if (e != 0) abort(); /* allocation failure at start, while nothing runs yet */
    }
}

void hub_stop(struct fiber *self, struct hub *h) {
    if (!h) return;
    h->stopping = true;
    /* They may be waiting for a Redis that never comes. */
    for (int i = 0; i < h->n; i++) fiber_cancel(h->ears[i].fiber);
    latch_wait(self, &h->stopped);
    for (int i = 0; i < h->n; i++) h->ears[i].confirmed_ns = 0;
}

void hub_free(struct hub *h) {
    if (!h) return;
    arena_free(&h->scratch);
    free(h->ears);
    free(h);
}
