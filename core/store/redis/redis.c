/* The Redis client: its life, its queue, reconnecting.
 *
 * 1. redis_open reads the URL and starts to connect (link.c).
 * 2. The link opens and our greeting is sent first: AUTH, SELECT, INFO, PING, CLIENT SETNAME, and on a tracking
 *    connection HELLO 3 and CLIENT TRACKING before the last. Its replies give the run_id, and show that the server
 *    has loaded its data and passes the checks (check.h). Then the client is ready, with the next generation.
 * 3. redis_submit puts batches on `queued`. Once a turn the flusher makes the link write them together, which moves
 *    them to `in_flight`.
 * 4. Replies come in order, so they belong to the first batch in flight; when it has all, redis_finish wakes
 *    the fiber that waits in redis_await.
 * 5. redis_close waits until nothing is in flight, closes the handles, and frees.
 *
 * Failures:
 * - The connection is lost: the link reports it, or connecting, greeting or a reply took too long. A tick of 100 ms
 *   counts that: ticks, not time, so that a stall of our own process does not count against the server. redis_lost
 *   fails every batch of which a byte may have been sent, puts the others back in the queue, and reconnects after a
 *   backoff.
 * - A queued batch that has waited 1 s without a ready connection fails with ERR_UNAVAILABLE.
 * - A fiber is interrupted in redis_await: a batch that is still queued is dropped; one in flight becomes an orphan
 *   and is freed when its replies have come. A blocking connection is closed instead, so that the server does not
 *   deliver entries to a reader that has gone.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/moves.h"
#include "core/store/redis/check.h"
#include "core/store/redis/redis_internal.h"

#define TICK_MS 100
#define CONNECT_TICKS (2000 / TICK_MS)
#define ANSWER_MS 3000
#define SPARE_MAX 256 /* about the calls of a busy turn of the loop */
#define QUEUE_NS (1 * NS_PER_S)
/* Memory that a push may take; its bytes fit the link's buffer. */
#define REPLY_LIMIT ((size_t)8 * 1024 * 1024)
#define BACKOFF_MS 20
#define BACKOFF_CAP_MS 1000
/* A server that has fallen this far behind must not use up our memory. */
#define MAX_UNSENT ((size_t)64 * 1024 * 1024)

static void connect_now(struct redis *r);

/* ---- small things ------------------------------------------------------------------------------------ */

static const moves CLIENT_MOVES[] = {
    [CLIENT_WAITING] = MOVE_TO(CLIENT_CONNECTING) | MOVE_TO(CLIENT_WAITING), /* closed while it waits */
    [CLIENT_CONNECTING] = MOVE_TO(CLIENT_GREETING) | MOVE_TO(CLIENT_WAITING),
    [CLIENT_GREETING] = MOVE_TO(CLIENT_READY) | MOVE_TO(CLIENT_WAITING),
    [CLIENT_READY] = MOVE_TO(CLIENT_WAITING),
};

static void enter(struct redis *r, enum client_state state) {
    MOVES_CHECK(CLIENT_MOVES, r->state, state);
    r->state = state;
    r->ticks = 0;
}

/* ---- losing a connection ----------------------------------------------------------------------------- */

static void fail_in_flight(struct redis *r) {
    list_each_safe (&r->in_flight, n) {
        struct redis_batch *b = list_entry(n, struct redis_batch, node);
        redis_set_unsent(r, r->unsent - (b->out.len - b->sent));
        redis_finish(r, b, ERR_CONNECTION_LOST);
    }
}

static void on_retry(uv_timer_t *t) {
    connect_now(t->data);
}

static void on_tick(uv_timer_t *t);

/* The tick runs only while there is something to watch; on_tick stops it. */
static void watch(struct redis *r) {
    if (!uv_is_active((uv_handle_t *)&r->tick)) uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
}

static void log_loss(struct redis *r, const char *reason) {
    if (strncmp(r->last_reason, reason, sizeof r->last_reason - 1) == 0) return;
    const char *what = r->generation > 0 ? "Redis connection lost"
                                         : "Redis cannot be reached: is REDIS_URL right? It is tried again";
    log_warn(r->log, what, LOG_S("connection", r->name), LOG_S("server", r->target.address),
             LOG_S("reason", reason));
    snprintf(r->last_reason, sizeof r->last_reason, "%s", reason);
}

void redis_reconnect(struct redis *r, const char *why) {
    if (r->link) redis_lost(r, why);
}

void redis_lost(struct redis *r, const char *reason) {
    log_loss(r, reason);
    if (r->link) redis_link_close(r->link);
    r->link = NULL;
    enter(r, CLIENT_WAITING);
    fail_in_flight(r);
    uv_timer_start(&r->retry, on_retry, (uint64_t)backoff_ms(r->attempt++, BACKOFF_MS, BACKOFF_CAP_MS), 0);
    condition_broadcast(&r->ready);
}

static void expire_queued(struct redis *r, int64_t now_ns) {
    list_each_safe (&r->queued, n) {
        struct redis_batch *b = list_entry(n, struct redis_batch, node);
        if (now_ns - b->submitted_ns < QUEUE_NS) continue;
        redis_set_unsent(r, r->unsent - b->out.len);
        redis_finish(r, b, ERR_UNAVAILABLE);
    }
}

static void on_tick(uv_timer_t *t) {
    struct redis *r = t->data;
    bool connecting = r->state == CLIENT_CONNECTING || r->state == CLIENT_GREETING;
    r->ticks++;
    if (connecting && r->ticks > CONNECT_TICKS)
        redis_lost(r, "connecting took too long");
    else if (!connecting && !list_empty(&r->in_flight) && r->ticks > r->answer_ticks)
        redis_lost(r, "the server does not answer");
    if (r->state != CLIENT_READY) expire_queued(r, clock_mono_ns());
    if (redis_is_idle(r) && !connecting) uv_timer_stop(&r->tick);
}

/* ---- connecting and greeting ------------------------------------------------------------------------- */

static void connect_now(struct redis *r) {
    const char *why;
    enter(r, CLIENT_CONNECTING);
    watch(r);
    r->link = redis_link_open(r, &why);
    if (!r->link) redis_lost(r, why);
}

/* Connections beside a shared one connect to its server. */
static bool is_checked(const struct redis *r) {
    return !r->blocking && !r->on_changed;
}

static void build_greeting(struct redis_batch *g, const struct redis *r) {
    const struct redis_target *t = &r->target;
    if (t->password[0]) {
        redis_cmd(g, t->user[0] ? 3 : 2);
        redis_arg(g, STR("AUTH"));
        if (t->user[0]) redis_arg_cstr(g, t->user);
        redis_arg_cstr(g, t->password);
    }
    if (t->db != 0) {
        redis_cmd(g, 2);
        redis_arg(g, STR("SELECT"));
        redis_arg_i64(g, t->db);
    }
    redis_cmd(g, 2);
    redis_arg(g, STR("INFO"));
    redis_arg(g, is_checked(r) ? STR("default") : STR("server"));
    redis_cmd(g, 1);
    redis_arg(g, STR("PING")); /* an error while the server loads its data: then not ready */
    if (r->on_changed) {
        redis_cmd(g, 2);
        redis_arg(g, STR("HELLO"));
        redis_arg(g, STR("3"));
        /* Without NOLOOP: with it a change made here would end the tracking silently. */
        redis_cmd(g, 3);
        redis_arg(g, STR("CLIENT"));
        redis_arg(g, STR("TRACKING"));
        redis_arg(g, STR("ON"));
    }
    redis_cmd(g, 3);
    redis_arg(g, STR("CLIENT"));
    redis_arg(g, STR("SETNAME"));
    redis_arg_cstr(g, r->name);
}

/* From the text of INFO. */
static bool find_run_id(struct str info, char out[static 41]) {
    const char *at = info.len ? memmem(info.ptr, info.len, "run_id:", 7) : NULL;
    if (!at || info.ptr + info.len - at < 7 + 40) return false;
    memcpy(out, at + 7, 40);
    out[40] = '\0';
    return strspn(out, "0123456789abcdef") == 40;
}

#define ELSEWHERE "it leads to another server than the shared connection"

/* Once the shared connection is ready, its run_id names the right server. */
static bool leads_elsewhere(const struct redis *r) {
    return r->shared && r->shared->state == CLIENT_READY && strcmp(r->run_id, r->shared->run_id) != 0;
}

static void drop_those_elsewhere(struct redis *r) {
    list_each_safe (&r->beside, n) {
        struct redis *other = list_entry(n, struct redis, sibling);
        if (other->state == CLIENT_READY && leads_elsewhere(other)) redis_lost(other, ELSEWHERE);
    }
}

static void now_ready(struct redis *r) {
    if (leads_elsewhere(r)) {
        redis_lost(r, ELSEWHERE);
        return;
    }
    enter(r, CLIENT_READY);
    r->refusal = NULL;
    r->attempt = 0;
    r->last_reason[0] = '\0';
    if (r->generation++ > 0) r->reconnects->value++;
    log_info(r->log, "Redis connected", LOG_S("connection", r->name), LOG_S("run_id", r->run_id),
             LOG_I("generation", r->generation));
    drop_those_elsewhere(r);
    redis_link_write(r->link);
    if (r->state == CLIENT_READY) condition_broadcast(&r->ready);
}

/* The server is refused, and will be again at each attempt; it has been logged. */
static void refuse(struct redis *r, const char *sentence) {
    r->refusal = sentence;
    snprintf(r->last_reason, sizeof r->last_reason, "%s", sentence);
    redis_lost(r, sentence);
}

/* The name is optional; if the server refuses anything else, the connection is useless. */
static void on_greeted(struct redis *r, struct redis_batch *g) {
    if (g->result != 0) return; /* lost already */
    size_t info = g->commands - (r->on_changed ? 5 : 3);
    for (size_t i = 0; i + 1 < g->commands; i++) {
        const struct redis_reply *reply = redis_batch_reply(g, i);
        bool good = reply->type != REDIS_ERROR && (i != info || find_run_id(reply->str, r->run_id));
        if (good) continue;
        redis_lost(r, reply->type == REDIS_ERROR ? reply->str.ptr : "INFO server shows no run_id");
        return;
    }
    const char *sentence =
        is_checked(r) ? redis_check(redis_batch_reply(g, info)->str, &r->logged, r->log) : NULL;
    if (sentence)
        refuse(r, sentence);
    else
        now_ready(r);
}

static void on_opened(struct redis *r) {
    struct redis_batch *g = r->greeting;
    enter(r, CLIENT_GREETING);
    redis_batch_reset(g);
    build_greeting(g, r);
    g->on_done = on_greeted;
    g->submitted_ns = clock_mono_ns();
    redis_batch_enter(g, BATCH_IN_FLIGHT);
    list_push_back(&r->in_flight, &g->node);
    redis_set_unsent(r, r->unsent + g->out.len);
    if (redis_batch_prepare(g))
        redis_link_write(r->link);
    else
        redis_lost(r, "out of memory");
}

/* ---- batches ----------------------------------------------------------------------------------------- */

static void on_flush(struct flusher *f) {
    struct redis *r = list_entry(f, struct redis, flusher);
    if (r->state == CLIENT_READY) redis_link_write(r->link);
}

int redis_submit(struct redis *r, struct redis_batch *b) {
    assert(b->state == BATCH_BUILDING && b->args_due == 0);
    if (r->closing) return ERR_UNAVAILABLE;
    if (r->unsent + b->out.len > MAX_UNSENT || (r->blocking && !redis_is_idle(r))) return ERR_OVERLOADED;
    if (!redis_batch_prepare(b)) return ERR_OVERLOADED;
    b->submitted_ns = clock_mono_ns();
    if (b->commands == 0) {
        redis_finish(r, b, 0);
        return 0;
    }
    redis_batch_enter(b, BATCH_QUEUED);
    list_push_back(&r->queued, &b->node);
    redis_set_unsent(r, r->unsent + b->out.len);
    watch(r);
    loop_flush_later(r->loop, &r->flusher);
    return 0;
}

/* The fiber leaves; the batch is the client's. */
static void abandon(struct redis *r, struct redis_batch *b) {
    b->waiter = NULL;
    b->orphaned = true;
    if (b->state == BATCH_QUEUED) {
        redis_set_unsent(r, r->unsent - b->out.len);
        redis_finish(r, b, ERR_CANCELLED);
    } else if (r->blocking) {
        redis_lost(r, "its reader was interrupted");
    }
}

int redis_await(struct fiber *self, struct redis *r, struct redis_batch *b) {
    int err = 0;
    assert(b->state != BATCH_BUILDING && !b->waiter);
    b->waiter = self;
    while (b->state != BATCH_DONE && !err) err = fiber_park(self);
    if (b->state == BATCH_DONE) {
        b->waiter = NULL;
        return b->result;
    }
    abandon(r, b);
    return err;
}

int redis_exchange(struct fiber *self, struct redis *r, struct redis_batch *b) {
    int e = redis_submit(r, b);
    return e != 0 ? e : redis_await(self, r, b);
}

/* ---- life -------------------------------------------------------------------------------------------- */

static void count_in(struct redis *r) {
    struct metrics *m = r->metrics;
    char labels[64];
    r->reconnects = &r->no_counters[0];
    r->commands = &r->no_counters[1];
    r->lost_batches = &r->no_counters[2];
    r->unsent_bytes = &r->no_gauge;
    if (!m) return;
    snprintf(labels, sizeof labels, "connection=\"%s\"", r->name);
    r->reconnects = metrics_counter(m, "rookery_redis_reconnects_total", "Redis reconnections", labels);
    r->commands = metrics_counter(m, "rookery_redis_commands_total", "Redis commands answered", labels);
    r->lost_batches = metrics_counter(m, "rookery_redis_failed_batches_total",
                                      "Redis batches that ended without all their replies", labels);
    r->unsent_bytes = metrics_gauge(m, "rookery_redis_unsent_bytes",
                                    "Bytes queued to Redis that the kernel has not accepted yet", labels);
    r->latency = metrics_histogram(m, "rookery_redis_batch_seconds",
                                   "Duration from submitting a Redis batch to its last reply", labels);
}

/* [invalidate, keys or nil for all]; other kinds are ignored. */
static void on_pushed(struct redis *r, const struct redis_reply *push) {
    if (push->elements < 2 || !str_eq(push->element[0].str, STR("invalidate"))) return;
    const struct redis_reply *keys = &push->element[1];
    if (keys->type == REDIS_NIL) r->on_changed(r->on_changed_owner, (struct str){0});
    for (size_t i = 0; i < keys->elements; i++)
        if (keys->element[i].str.ptr) r->on_changed(r->on_changed_owner, keys->element[i].str);
}

static void on_closed(struct redis *r) {
    if (--r->handles == 0) fiber_wake(r->closer);
}

static const struct redis_link_events LINK_EVENTS = {
    .opened = on_opened,
    .lost = redis_lost,
    .closed = on_closed,
    .pushed = on_pushed,
};

static struct redis *client_new(struct loop *l, const struct redis_target *target, const char *name,
                                struct log *log, struct metrics *metrics) {
    struct redis *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->loop = l;
    r->log = log;
    r->name = name;
    r->metrics = metrics;
    r->target = *target;
    r->on_link = &LINK_EVENTS;
    r->answer_ticks = ANSWER_MS / TICK_MS;
    r->greeting = redis_batch_new();
    arena_init(&r->push, REPLY_LIMIT);
    list_init(&r->queued);
    list_init(&r->spare);
    list_init(&r->beside);
    list_init(&r->sibling);
    list_init(&r->in_flight);
    flusher_init(&r->flusher, on_flush);
    condition_init(&r->ready);
    count_in(r);
    uv_timer_init(loop_uv(l), &r->tick);
    uv_timer_init(loop_uv(l), &r->retry);
    uv_unref((uv_handle_t *)&r->tick); /* the socket, or the retry, keeps the loop alive */
    r->tick.data = r->retry.data = r;
    r->handles = 2;
    return r;
}

struct redis *redis_open(struct loop *l, const char *url, const char *name, struct log *log,
                         struct metrics *metrics) {
    struct redis_target target;
    if (!redis_target_parse(&target, url)) {
        log_error(log,
                  "bad Redis URL: it must be redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:///PATH");
        return NULL;
    }
    struct redis *r = client_new(l, &target, name, log, metrics);
    if (r) connect_now(r);
    return r;
}

struct redis *redis_open_blocking(struct redis *shared, const char *name, int64_t block_ms) {
    struct redis *r = client_new(shared->loop, &shared->target, name, shared->log, shared->metrics);
    if (!r) return NULL;
    r->shared = shared;
    list_push_back(&shared->beside, &r->sibling);
    r->blocking = true;
    r->answer_ticks += (int)(block_ms / TICK_MS);
    connect_now(r);
    return r;
}

struct redis *redis_open_tracking(struct redis *shared, const char *name, redis_on_changed *on_changed,
                                  void *owner) {
    struct redis *r = client_new(shared->loop, &shared->target, name, shared->log, shared->metrics);
    if (!r) return NULL;
    r->shared = shared;
    list_push_back(&shared->beside, &r->sibling);
    r->on_changed = on_changed;
    r->on_changed_owner = owner;
    connect_now(r);
    return r;
}

static void on_timer_closed(uv_handle_t *h) {
    on_closed(h->data);
}

static void shut(struct redis *r) {
    if (r->link) redis_link_close(r->link);
    r->link = NULL;
    enter(r, CLIENT_WAITING);
    fail_in_flight(r);
    expire_queued(r, INT64_MAX);
    flusher_cancel(&r->flusher);
    uv_close((uv_handle_t *)&r->tick, on_timer_closed);
    uv_close((uv_handle_t *)&r->retry, on_timer_closed);
}

void redis_close(struct fiber *self, struct redis *r) {
    if (!r) return;
    assert(list_empty(&r->ready.waiters));
    r->closing = true;
    r->closer = self;
    while (!r->blocking && !redis_is_idle(r)) fiber_park_uninterruptible(self);
    shut(r);
    while (r->handles > 0) fiber_park_uninterruptible(self);
    list_remove(&r->sibling);
    list_each_safe (&r->beside, n) {
        list_entry(n, struct redis, sibling)->shared = NULL;
        list_remove(n);
    }
    redis_batch_free(r->greeting);
    arena_free(&r->push);
    while (!list_empty(&r->spare))
        redis_batch_free(list_entry(list_pop_front(&r->spare), struct redis_batch, node));
    free(r->scripts);
    free(r);
}

struct redis_batch *redis_batch_borrow(struct redis *r) {
    struct list_node *n = list_pop_front(&r->spare);
    if (!n) return redis_batch_new();
    r->spare_count--;
    return list_entry(n, struct redis_batch, node);
}

void redis_batch_give_back(struct redis *r, struct redis_batch *b) {
    if (r->spare_count >= SPARE_MAX || !redis_batch_is_small(b)) {
        redis_batch_free(b);
        return;
    }
    redis_batch_reset(b);
    list_push_front(&r->spare, &b->node);
    r->spare_count++;
}

bool redis_ready(const struct redis *r) {
    return r->state == CLIENT_READY;
}

int redis_wait_ready(struct fiber *self, struct redis *r) {
    int err = 0;
    while (!redis_ready(r) && !err) err = condition_wait(self, &r->ready);
    return err;
}

int redis_wait_attempt(struct fiber *self, struct redis *r) {
    int err = 0;
    while (r->generation == 0 && r->attempt == 0 && !err) err = condition_wait(self, &r->ready);
    return err;
}

const char *redis_address(const struct redis *r) {
    return r->target.address;
}

const char *redis_last_reason(const struct redis *r) {
    return r->last_reason;
}

const char *redis_refusal(const struct redis *r) {
    return r->refusal;
}

uint64_t redis_generation(const struct redis *r) {
    return r->generation;
}

const char *redis_run_id(const struct redis *r) {
    return r->run_id;
}
