/* The hub; the story is in hub.h. */
#include "gateway/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/domain/keys.h"
#include "core/domain/outbox.h"
#include "core/net/codec.h"
#include "gateway/account_cache.h"
#include "gateway/auth.h"
#include "gateway/job_service.h"
#include "gateway/live.h"
#include "gateway/post_cache.h"
#include "gateway/pulled.h"

#define BLOCK_MS 200
#define READ_COUNT 512
#define FRESH_NS (700 * NS_PER_MS)
#define GAP_NS (45 * NS_PER_S)
#define STREAM_ID_MAX 48
/* An event's memory while it is looked at; events are small. */
#define EVENT_ARENA_LIMIT (256 * 1024)

struct ear {
    struct hub *hub;
    struct fiber *fiber;
    int partition;
    struct redis *redis;
    char last_id[STREAM_ID_MAX];
    char run_id[48];
    int64_t confirmed_ns;   /* everything published before this has been seen; 0: nothing confirmed */
    int64_t heard_until_ms; /* the wall time of that, the last there was */
};

struct hub {
    struct gateway *gateway;
    struct live *live;
    int n;
    struct ear *ears;
    bool stopping;
    struct latch stopped;
    struct arena scratch;
    struct counter *events, *bad_events, *gaps;
};

bool hub_fresh(const struct hub *h) {
    int64_t limit = loop_now_ns(h->gateway->domain.loop) - FRESH_NS;
    for (int i = 0; i < h->n; i++)
        if (h->ears[i].confirmed_ns < limit) return false;
    return true;
}

int64_t hub_heard_until_ms(const struct hub *h) {
    int64_t earliest = INT64_MAX;
    for (int i = 0; i < h->n; i++)
        if (h->ears[i].heard_until_ms < earliest) earliest = h->ears[i].heard_until_ms;
    return earliest;
}

struct live *hub_live(struct hub *h) {
    return h->live;
}

/* ---- events -------------------------------------------------------------------------------------------- */

static void invalidate(struct gateway *g, const Event *e) {
    switch (e->what_case) {
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_EDITED:
        post_cache_invalidate(g->posts, e->post_edited->post_id);
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_DELETED:
        post_cache_invalidate(g->posts, e->post_deleted->post_id);
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_ACCOUNT_UPDATED:
        account_cache_invalidate(g->accounts, e->actor_id);
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_SESSIONS_REVOKED:
        for (size_t i = 0; i < e->sessions_revoked->n_session_ids; i++)
            session_cache_revoke(g->sessions, e->sessions_revoked->session_ids[i]);
        break;
    default: break;
    }
}

static void heard(struct hub *h, const struct redis_reply *fields) {
    h->events->value++;
    if (fields->type != REDIS_ARRAY || fields->elements < 2) {
        h->bad_events->value++;
        return;
    }
    /* Replayed to one role: it was heard when it was new. */
    if (fields->elements >= 4 && str_eq(fields->element[2].str, STR(OUTBOX_ADDRESSED))) return;
    Event *e = (Event *)(void *)pb_decode(&rookery__events__v1__event__descriptor, fields->element[1].str,
                                          &h->scratch, NULL);
    if (e) {
        invalidate(h->gateway, e);
        pulled_heard(h->gateway, e);
        live_heard(h->live, e);
        job_watch_heard(h->gateway->job_watch, e);
    } else {
        h->bad_events->value++;
    }
    arena_reset(&h->scratch);
}

/* [[key, [[id, [field, value]], ...]]] */
static size_t hear_all(struct ear *ear, const struct redis_reply *reply) {
    if (reply->type != REDIS_ARRAY || reply->elements == 0) return 0;
    const struct redis_reply *entries = &reply->element[0].element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        const struct redis_reply *entry = &entries->element[i];
        heard(ear->hub, &entry->element[1]);
        snprintf(ear->last_id, sizeof ear->last_id, STR_FMT, STR_ARG(entry->element[0].str));
    }
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
    redis_arg(b, key_events(key, ear->partition));
    redis_arg_cstr(b, ear->last_id);
}

static bool on_another_server(const struct ear *ear) {
    return strcmp(ear->run_id, redis_run_id(ear->redis)) != 0;
}

/* Reads once and hears what came. 0, or ERR_*. */
static int read_once(struct fiber *self, struct ear *ear) {
    struct redis_batch *b = redis_batch_new();
    add_read(ear, b);
    int64_t sent_ns = clock_mono_ns(), sent_ms = clock_wall_ms();
    int e = redis_submit(ear->redis, b);
    if (e == 0) e = redis_await(self, ear->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0) e = redis_batch_check(b, NULL);
    if (e == 0 && on_another_server(ear))
        e = ERR_ABORTED; /* it waited for the new connection: it proves nothing */
    if (e == 0 && hear_all(ear, redis_batch_reply(b, 0)) < READ_COUNT) {
        ear->confirmed_ns = sent_ns;
        ear->heard_until_ms = sent_ms;
    }
    redis_batch_free(b);
    return e;
}

/* The id of the stream's last entry, where a reader that has missed things starts again. */
static int find_end(struct fiber *self, struct ear *ear) {
    const struct redis_reply *reply;
    char key[KEY_MAX];
    struct str name = key_events(key, ear->partition);
    int e = redis_call(self, ear->redis, &reply, "XREVRANGE %.*s + - COUNT 1", (int)name.len, name.ptr);
    if (e != 0) return e;
    if (reply->type == REDIS_ERROR) return ERR_REDIS;
    struct str id = reply->elements > 0 ? reply->element[0].element[0].str : STR("0-0");
    snprintf(ear->last_id, sizeof ear->last_id, STR_FMT, STR_ARG(id));
    snprintf(ear->run_id, sizeof ear->run_id, "%s", redis_run_id(ear->redis));
    return 0;
}

/* Events may have been missed: nothing older is believed, and reading starts at the end. */
static int start_over(struct fiber *self, struct ear *ear) {
    bool first = ear->run_id[0] == '\0';
    ear->confirmed_ns = 0;
    int e = find_end(self, ear);
    if (e != 0) return e;
    gateway_forget(ear->hub->gateway);
    if (first) return 0;
    ear->hub->gaps->value++;
    log_warn(ear->hub->gateway->domain.log, "events may have been missed: caches dropped",
             LOG_I("partition", ear->partition));
    return 0;
}

static bool has_gap(const struct ear *ear) {
    return on_another_server(ear) || clock_mono_ns() - ear->confirmed_ns > GAP_NS;
}

static void listen_to(struct fiber *self, void *arg) {
    struct ear *ear = arg;
    unsigned failures = 0;
    while (!ear->hub->stopping) {
        arena_reset(fiber_arena(self));
        int e = redis_wait_ready(self, ear->redis);
        if (e == 0 && has_gap(ear)) e = start_over(self, ear);
        if (e == 0) e = read_once(self, ear);
        failures = e == 0 ? 0 : failures + 1;
        if (failures > 0 && fiber_sleep_ms(self, backoff_ms(failures, 10, 250)) != 0) break;
    }
    redis_close(self, ear->redis);
    latch_done(&ear->hub->stopped);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct hub *hub_new(struct gateway *g) {
    struct hub *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->gateway = g;
    h->n = (int)g->domain.config->partitions;
    h->ears = calloc((size_t)h->n, sizeof *h->ears);
    h->live = live_new(g);
    arena_init(&h->scratch, EVENT_ARENA_LIMIT);
    latch_init(&h->stopped, (size_t)h->n);
    struct metrics *m = g->domain.metrics;
    h->events = metrics_counter(m, "rookery_hub_events_total", "Events read by the hub", "");
    h->bad_events =
        metrics_counter(m, "rookery_hub_bad_events_total", "Stream entries that are no events", "");
    h->gaps = metrics_counter(m, "rookery_hub_gaps_total", "Times the hub may have missed events", "");
    return h;
}

void hub_start(struct hub *h) {
    for (int i = 0; i < h->n; i++) {
        struct ear *ear = &h->ears[i];
        ear->hub = h;
        ear->partition = i;
        ear->heard_until_ms = clock_wall_ms();
        ear->redis = redis_open_blocking(h->gateway->domain.redis, "hub", BLOCK_MS);
        struct fiber_options options = {.name = "hub"};
        int e = fiber_spawn(h->gateway->domain.loop, &options, listen_to, ear, &ear->fiber);
        if (e != 0) abort(); /* at start, with nothing running yet: there is no memory at all */
    }
    live_start(h->live);
}

void hub_stop(struct fiber *self, struct hub *h) {
    if (!h) return;
    h->stopping = true;
    /* They may be waiting for a Redis that never comes. */
    for (int i = 0; i < h->n; i++) fiber_cancel(h->ears[i].fiber);
    latch_wait(self, &h->stopped);
    live_free(self, h->live);
    arena_free(&h->scratch);
    free(h->ears);
    free(h);
}
