/* The epoch watcher; why there are epochs, and the proofs, are in epoch.h.
 *
 * A look, at each new connection to either server, when a fence found another epoch, and every LOOK_MS:
 *   1. Redis: what the key "database" holds, so what some process saw of PostgreSQL before 2.
 *   2. PostgreSQL: a beat, if our epoch is the newest; then the newest epoch and its run_id; how far the database has
 *      come.
 *   3. Redis: the key "epoch". (After 2: a row's number was in the key before the row was written.)
 *   4. One of three:
 *      - current: what 2 said goes to the key "database"; the epoch is adopted.
 *      - another Redis's, and in use, though our Redis had an epoch before: reconnect, since the address may lead to
 *        the other Redis by now; the epoch is unknown until then.
 *      - otherwise: open a new epoch; then from 1.
 * Without Redis: the beats of others are counted instead, and the epoch is abandoned when there are none.
 * Failures:
 *   - a server is unreachable or too slow: the look is retried with backoff. If it is PostgreSQL, the epoch stays
 *     known for STALE_MS, so that a short interruption does not make PostgreSQL serve every reader.
 *   - a connection changes meanwhile: the answer is about older ones, is not adopted, and the next look asks again.
 *   - Redis takes no writes (it is out of memory): 4 writes nothing, and the epoch is adopted nevertheless.
 */
#include "core/event/epoch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/epoch.sql.h"
#include "core/event/keys.h"
#include "core/event/newest.h"

#define TICK_MS 20
#define LOOK_LIMIT_MS 5000
#define LOG_FAILURES 5
/* A process that has raised the key writes the row next: others wait this long for it. */
#define OPENING_NS (200 * NS_PER_MS)
#define ROUNDS 4

struct epoch_watch {
    uint64_t generation, pg_generation; /* of the connections for which the epoch is known; 0: it is not */
    int64_t known_ns;                   /* when the look was sent that confirmed it last */
    int64_t due_ns;                     /* the next look */
    int64_t raised, raised_ns;          /* a key above the newest row, and when we first saw it */
    int64_t beats, silent_ns,
        heard_ns;    /* without Redis: beats seen, since when there was no other, and when SQL last said so */
    bool asking_sql; /* a look waits for PostgreSQL, or ended there */
    bool stopping, superseded, logged_unknown;
    struct fiber *fiber;
    struct latch stopped;
    struct newest *newest;
};

/* ---- what a look asks ---------------------------------------------------------------------------------- */

/* How far a database has come, as of an epoch. */
struct progress {
    int64_t epoch;
    int64_t started_us, lsn, beat; /* by PostgreSQL's clock */
};

struct look {
    struct progress seen; /* by any process before; epoch 0: by none */
    struct progress now;  /* its epoch is the newest in SQL, 0 when there is none */
    struct str newest_run_id;
    bool known_before; /* our run_id has a row */
    bool unused;       /* there was no beat for PULSE_STALE_MS */
    bool superseded;   /* the newest was abandoned */
    bool moved;        /* the newest was opened in another database, or before the server was started */
    int64_t now_s;     /* PostgreSQL's time */
    int64_t key;       /* 0: missing */
};

/* ARGV: a number. Raises the key to it. */
static const struct redis_script RAISE = {
    .name = "epoch_raise",
    .body =
        REDIS_LUA_GREATER "local now = redis.call('GET', KEYS[1])\n"
                          "if not now or greater(ARGV[1], now) then redis.call('SET', KEYS[1], ARGV[1]) end\n"
                          "return 1\n",
};

/* ARGV: epoch, start, LSN, beat. Keeps the greatest that was seen in the newest epoch. */
static const struct redis_script NOTE = {
    .name = "epoch_note",
    .body =
        REDIS_LUA_GREATER "local now = redis.call('GET', KEYS[1]) or ''\n"
                          "local epoch, started, lsn, beat = string.match(now, '^(%d+) (%d+) (%d+) (%d+)$')\n"
                          "if epoch and greater(epoch, ARGV[1]) then return 0 end\n"
                          "if epoch == ARGV[1] then\n"
                          "  if started ~= ARGV[2] then return 0 end\n"
                          "  if greater(lsn, ARGV[3]) then ARGV[3] = lsn end\n"
                          "  if greater(beat, ARGV[4]) then ARGV[4] = beat end\n"
                          "end\n"
                          "redis.call('SET', KEYS[1], table.concat(ARGV, ' '))\n"
                          "return 1\n",
};

static bool parse_progress(struct str s, struct progress *out) {
    *out = (struct progress){0};
    return str_to_i64(str_cut(&s, ' '), &out->epoch) && str_to_i64(str_cut(&s, ' '), &out->started_us) &&
           str_to_i64(str_cut(&s, ' '), &out->lsn) && str_to_i64(s, &out->beat);
}

static int get(struct fiber *self, struct domain *d, const char *key, struct str *out) {
    const struct redis_reply *reply;
    int e = redis_call(self, d->redis, &reply, "GET %s", key);
    *out = e == 0 && reply->type == REDIS_STRING ? reply->str : (struct str){0};
    return e;
}

static int ask_sql(struct fiber *self, struct domain *d, struct str run_id, struct look *out) {
    struct pg_result *r[2];
    struct pg_args who, args;
    pg_args_init(&who, fiber_arena(self));
    pg_args_add(&who, pg_text(run_id));
    pg_args_init(&args, fiber_arena(self));
    pg_args_add(&args, pg_text(run_id), pg_f64(PULSE_STALE_MS));
    const struct pg_call calls[] = {{&EPOCH_BEAT, &who}, {&EPOCH_LOOK, &args}};
    d->epoch_watch->asking_sql = true;
    int e = pg_exec_all(self, d->pg, calls, 2, r, NULL);
    if (e != 0) return e;
    d->epoch_watch->asking_sql = false;
    struct pg_row row = pg_read(r[1]);
    if (!pg_next(&row)) return ERR_FAILED_PRECONDITION;
    out->now.epoch = pg_take_i64(&row);
    out->newest_run_id = pg_take_str(&row);
    out->known_before = pg_take_bool(&row);
    out->unused = pg_take_bool(&row);
    out->now.started_us = pg_take_i64(&row);
    out->now.lsn = pg_take_i64(&row);
    out->now.beat = pg_take_i64(&row);
    out->now_s = pg_take_i64(&row);
    out->superseded = pg_take_bool(&row);
    out->moved = pg_take_bool(&row);
    pg_end(&row);
    return 0;
}

/* Steps 1 to 3. */
static int look(struct fiber *self, struct domain *d, struct str run_id, struct look *out) {
    struct str text;
    *out = (struct look){0};
    int e = get(self, d, KEY_DATABASE, &text);
    if (e != 0) return e;
    if (!parse_progress(text, &out->seen)) out->seen = (struct progress){0};
    e = ask_sql(self, d, run_id, out);
    if (e == 0) e = get(self, d, KEY_EPOCH, &text);
    if (e == 0 && !str_to_i64(text, &out->key)) out->key = 0;
    return e;
}

/* ---- what the answers mean ----------------------------------------------------------------------------- */

/* What was seen in an older epoch proves nothing; in a newer one, that the epoch's row is lost. */
static bool went_back(const struct look *l) {
    const struct progress *seen = &l->seen, *now = &l->now;
    if (seen->epoch != now->epoch) return seen->epoch > now->epoch;
    return seen->epoch != 0 && (seen->lsn > now->lsn || seen->beat > now->beat);
}

/* So it may have gone back by less than the log and the beats can tell. */
static bool was_started(const struct look *l) {
    return l->seen.epoch != 0 && l->seen.epoch == l->now.epoch && l->seen.started_us != l->now.started_us;
}

static bool is_ours(const struct look *l, struct str run_id) {
    return l->now.epoch != 0 && !l->superseded && str_eq(l->newest_run_id, run_id);
}

static int note(struct fiber *self, struct domain *d, const struct progress *p) {
    struct arena *a = fiber_arena(self);
    const struct str args[] = {
        str_from(arena_printf(a, "%" PRId64, p->epoch)), str_from(arena_printf(a, "%" PRId64, p->started_us)),
        str_from(arena_printf(a, "%" PRId64, p->lsn)), str_from(arena_printf(a, "%" PRId64, p->beat))};
    const struct redis_reply *reply;
    return redis_eval(self, d->redis, &NOTE, str_from(KEY_DATABASE), args, 4, &reply);
}

static int open_epoch(struct fiber *self, struct domain *d, const struct look *l, struct str run_id) {
    struct arena *a = fiber_arena(self);
    int64_t n = (l->key > l->now.epoch ? l->key : l->now.epoch) + 1;
    if (n < l->now_s) n = l->now_s;
    const struct str number = str_from(arena_printf(a, "%" PRId64, n));
    const struct redis_reply *reply;
    int e = redis_eval(self, d->redis, &RAISE, str_from(KEY_EPOCH), &number, 1, &reply);
    if (e != 0) return e;
    struct pg_args args, who;
    pg_args_init(&args, a);
    pg_args_add(&args, pg_i64(n), pg_text(run_id), pg_i64(l->now.epoch));
    pg_args_init(&who, a);
    pg_args_add(&who, pg_i64(n), pg_text(run_id));
    const struct pg_call calls[] = {{&EPOCH_LOCK_OPENING, NULL}, {&EPOCH_OPEN, &args}, {&EPOCH_OPENED, &who}};
    return pg_exec_all(self, d->pg, calls, 3, NULL, NULL);
}

/* Whether another process is opening an epoch. It may have died, or its row may be lost: then the number is not
 * used. */
static bool is_being_opened(struct domain *d, const struct look *l) {
    struct epoch_watch *w = d->epoch_watch;
    int64_t now_ns = clock_mono_ns();
    if (l->key <= l->now.epoch) return false;
    if (w->raised != l->key) w->raised_ns = now_ns;
    w->raised = l->key;
    return now_ns - w->raised_ns < OPENING_NS;
}

static void tell_back(struct domain *d, const struct look *l) {
    if (!went_back(l)) {
        log_info(d->log, "PostgreSQL restarted or replaced: discarding caches and timelines");
        return;
    }
    log_error(
        d->log, "PostgreSQL went back: acknowledged writes may be lost; discarding caches and timelines",
        LOG_I("epoch_seen", l->seen.epoch), LOG_I("epoch", l->now.epoch), LOG_I("lsn_seen", l->seen.lsn),
        LOG_I("lsn", l->now.lsn), LOG_I("beat_seen", l->seen.beat), LOG_I("beat", l->now.beat));
}

/* Others have left the Redis that this process is connected to. */
static void be_superseded(struct domain *d, const struct look *l) {
    struct epoch_watch *w = d->epoch_watch;
    if (!w->superseded)
        log_warn(d->log, "Redis superseded by another: not relaying, delivering or reading there",
                 LOG_S("redis_run_id", redis_run_id(d->redis)), LOG_I("newest_epoch", l->now.epoch),
                 LOG_STR("newest_run_id", l->newest_run_id));
    w->superseded = true;
    w->generation = 0;
    redis_reconnect(d->redis, "another Redis is in use");
}

static void adopt(struct domain *d, int64_t epoch, uint64_t generation, uint64_t pg_generation,
                  int64_t sent_ns) {
    struct epoch_watch *w = d->epoch_watch;
    assert(epoch != 0 && generation != 0);
    bool other = epoch != d->epoch;
    if (other)
        log_info(d->log, "timeline epoch adopted", LOG_I("epoch", epoch),
                 LOG_S("redis_run_id", redis_run_id(d->redis)));
    bool discard = other && d->epoch != 0 && d->on_new_epoch;
    d->epoch = epoch;
    w->generation = generation;
    w->pg_generation = pg_generation;
    w->known_ns = sent_ns;
    w->superseded = false;
    if (discard) d->on_new_epoch(d);
}

/* ERR_ABORTED: start again at 1. */
static int learn(struct fiber *self, struct domain *d) {
    uint64_t generation = redis_generation(d->redis), pg_generation_before = pg_generation(d->pg);
    struct str run_id = str_from(arena_strdup(fiber_arena(self), redis_run_id(d->redis)));
    struct look l;
    int64_t sent_ns = clock_mono_ns();
    int e = look(self, d, run_id, &l);
    if (e != 0) return e;
    if (generation != redis_generation(d->redis)) return ERR_CONNECTION_LOST;
    bool ours = is_ours(&l, run_id), back = went_back(&l) || was_started(&l) || (ours && l.moved);
    if (ours && !back && l.key == l.now.epoch) {
        e = note(self, d, &l.now);
        if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
        /* Any other error, such as out of memory, only means that what was seen is not recorded. */
        if (generation != redis_generation(d->redis)) return ERR_CONNECTION_LOST;
        adopt(d, l.now.epoch, generation, pg_generation_before, sent_ns);
        return 0;
    }
    if (!ours && !back && l.known_before && !l.unused && !l.superseded) {
        be_superseded(d, &l);
        return ERR_UNAVAILABLE;
    }
    if (!back && is_being_opened(d, &l)) return ERR_UNAVAILABLE;
    if (back) tell_back(d, &l);
    e = open_epoch(self, d, &l, run_id);
    return e != 0 ? e : ERR_ABORTED;
}

/* ---- the watcher --------------------------------------------------------------------------------------- */

static bool is_known(const struct domain *d) {
    const struct epoch_watch *w = d->epoch_watch;
    return w->generation != 0 && w->generation == redis_generation(d->redis) &&
           w->pg_generation == pg_generation(d->pg);
}

/* Counts the beats, and abandons the epoch when there are none. Time in which PostgreSQL does not answer does not
 * count as silence. */
static void watch_beats(struct fiber *self, struct domain *d) {
    struct epoch_watch *w = d->epoch_watch;
    struct pg_result *r;
    int64_t asked_ns = clock_mono_ns();
    fiber_set_deadline_ns(self, asked_ns + LOOK_MS * NS_PER_MS);
    if (pg_ask(self, d->pg, &EPOCH_BEATS, &r, NULL) == 0) {
        bool gap = asked_ns - w->heard_ns > 3 * LOOK_MS * NS_PER_MS;
        int64_t beats = pg_only_i64(r);
        if (gap || beats != w->beats) w->silent_ns = clock_mono_ns();
        w->beats = beats;
        w->heard_ns = asked_ns;
        if (asked_ns - w->silent_ns > PULSE_STALE_MS * NS_PER_MS &&
            pg_ask(self, d->pg, &EPOCH_ABANDON, &r, NULL, pg_i64(beats)) == 0 && pg_affected(r) > 0)
            log_warn(d->log, "no process reaches Redis: reading timelines from PostgreSQL until one does");
    }
    fiber_set_deadline_ns(self, 0);
    arena_reset(fiber_arena(self));
}

/* Logged only when it lasts. */
static void log_unknown(struct domain *d, int e, unsigned failures) {
    struct epoch_watch *w = d->epoch_watch;
    if (failures == 0 && w->logged_unknown) {
        w->logged_unknown = false;
        log_info(d->log, "epoch known again", LOG_I("epoch", d->epoch));
    } else if (failures >= LOG_FAILURES && !w->logged_unknown && epoch_now(d) == 0) {
        w->logged_unknown = true;
        log_warn(d->log, "epoch unknown: reading timelines from PostgreSQL, delivering nothing",
                 LOG_S("error", error_name(e)));
    }
}

static int learn_within(struct fiber *self, struct domain *d) {
    int e = ERR_ABORTED;
    fiber_set_deadline_ns(self, clock_mono_ns() + LOOK_LIMIT_MS * NS_PER_MS);
    for (int round = 0; e == ERR_ABORTED && round < ROUNDS; round++) {
        e = learn(self, d);
        arena_reset(fiber_arena(self));
    }
    fiber_set_deadline_ns(self, 0);
    return e;
}

static void watch(struct fiber *self, void *arg) {
    struct domain *d = arg;
    struct epoch_watch *w = d->epoch_watch;
    unsigned failures = 0;
    while (!w->stopping) {
        int64_t pause = TICK_MS;
        if (redis_ready(d->redis) && (!is_known(d) || clock_mono_ns() >= w->due_ns)) {
            w->due_ns = clock_mono_ns() + LOOK_MS * NS_PER_MS;
            int e = learn_within(self, d);
            failures = e == 0 ? 0 : failures + 1;
            log_unknown(d, e, failures);
            if (failures > 0) pause = backoff_ms(failures, 50, LOOK_MS);
        } else if (!redis_ready(d->redis) && clock_mono_ns() >= w->due_ns) {
            w->due_ns = clock_mono_ns() + LOOK_MS * NS_PER_MS;
            watch_beats(self, d);
        }
        if (fiber_sleep_ms(self, pause) != 0) break;
    }
    latch_done(&w->stopped);
}

void epoch_watch_start(struct domain *d) {
    assert(!d->epoch_watch);
    struct epoch_watch *w = calloc(1, sizeof *w);
    if (!w) abort(); /* at start: out of memory */
    latch_init(&w->stopped, 1);
    w->newest = newest_start(d, LOOK_WITHIN_MS);
    d->epoch_watch = w;
    struct fiber_options options = {.name = "epoch watch"};
    if (!w->newest || fiber_spawn(d->loop, &options, watch, d, &w->fiber) != 0) abort();
}

void epoch_watch_stop(struct fiber *self, struct domain *d) {
    if (!d->epoch_watch) return;
    d->epoch_watch->stopping = true;
    fiber_cancel(d->epoch_watch->fiber); /* a look may be in progress */
    latch_wait(self, &d->epoch_watch->stopped);
    newest_stop(self, d->epoch_watch->newest);
    free(d->epoch_watch);
    d->epoch_watch = NULL;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

int64_t epoch_now(const struct domain *d) {
    if (!redis_ready(d->redis) || !is_known(d)) return 0;
    const struct epoch_watch *w = d->epoch_watch;
    int64_t age_ns = clock_mono_coarse_ns() - w->known_ns;
    return age_ns < (w->asking_sql ? STALE_MS : LOOK_WITHIN_MS) * NS_PER_MS ? d->epoch : 0;
}

int epoch_wait(struct fiber *self, struct domain *d, int64_t *epoch) {
    /* A second, as long as a command waits for a connection. */
    int64_t give_up = clock_mono_ns() + NS_PER_S;
    while ((*epoch = epoch_now(d)) == 0) {
        if (clock_mono_ns() > give_up) return ERR_UNAVAILABLE;
        int e = fiber_sleep_ms(self, TICK_MS / 2);
        if (e != 0) return e;
    }
    return 0;
}

void epoch_add_fence(struct redis_batch *b) {
    redis_cmd(b, 2);
    redis_arg(b, STR("GET"));
    redis_arg(b, STR(KEY_EPOCH));
}

bool epoch_check_fence(struct domain *d, const struct redis_batch *b, int64_t epoch) {
    assert(epoch != 0);
    const struct redis_reply *reply = redis_batch_reply(b, redis_batch_commands(b) - 1);
    int64_t found;
    if (epoch_now(d) != epoch) return false; /* another connection, perhaps */
    if (reply->type == REDIS_STRING && str_to_i64(reply->str, &found) && found == epoch) return true;
    d->epoch_watch->due_ns = 0;
    d->epoch_watch->generation = 0; /* no longer known */
    return false;
}

int epoch_send(struct fiber *self, struct domain *d, struct redis_batch *b, int64_t epoch) {
    assert(epoch != 0);
    epoch_add_fence(b);
    int e = redis_exchange(self, d->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e; /* the client has taken the batch */
    if (e == 0) e = redis_batch_check(b, NULL);
    if (e == 0 && !epoch_check_fence(d, b, epoch)) e = ERR_ABORTED;
    redis_batch_give_back(d->redis, b);
    return e;
}

uint64_t epoch_ask(struct domain *d) {
    return newest_ask(d->epoch_watch->newest);
}

int epoch_confirm(struct fiber *self, struct domain *d, uint64_t question, int64_t epoch) {
    assert(epoch != 0);
    struct newest_epoch newest;
    int e = newest_wait(self, d->epoch_watch->newest, question, &newest);
    if (e != 0) return e;
    if (newest.epoch == epoch && !newest.superseded)
        return newest.young_ms > 0 ? fiber_sleep_ms(self, newest.young_ms) : 0;
    d->epoch_watch->due_ns = 0;
    return ERR_ABORTED;
}

int epoch_wait_known(struct fiber *self, struct domain *d) {
    struct newest_epoch newest;
    int e = newest_wait(self, d->epoch_watch->newest, epoch_ask(d), &newest);
    if (e != 0 || newest.superseded || newest.young_ms == 0) return e;
    return fiber_sleep_ms(self, newest.young_ms);
}
