/* The consumer runtime.
 *
 * A lane, on the happy path:
 *   1. XREADGROUP ... BLOCK: a batch of new entries; after a full batch the next may be much larger, so that
 *      catching up coalesces.
 *   2. Payloads are decoded; the role handles the whole batch.
 *   3. XACK. Only now the batch is finished.
 *   4. From time to time it reclaims (XPENDING, XCLAIM) entries that dead consumers left pending; then 2 and 3.
 * Failures:
 *   - a backend is unreachable (a retryable error), or a role is slow: the same batch is tried again with backoff,
 *     for as long as it takes. The lane's keeper claims it repeatedly for this consumer, so that the consumer is not
 *     taken for dead.
 *   - the role refuses the batch (any other error): its items are tried one by one. One that fails
 *     max_deliveries times goes to the dead letters with the reason, and is acknowledged; its neighbours are
 *     unharmed.
 *   - a payload that is not an event goes to the dead letters immediately.
 *   - an entry of a kind that this program does not know, and that may be for the role: it is left pending, for a
 *     newer worker to reclaim. If none has within unknown_keep_s, it is acknowledged. It never becomes a suspect.
 *   - this process is asked to stop: it reads no more and finishes the batches that it holds. When drain_ms are over,
 *     it interrupts what is not finished and hands those entries back, for others to reclaim immediately. The
 *     consumer's name is deleted when nothing is left under it.
 *   - this process dies before 3: the entries stay pending; another lane reclaims them after reclaim_ms.
 *   - the acknowledgement is lost: the entries are redelivered by 4.
 *   - an entry kills every process that handles it: the number of its deliveries grows with each death. From
 *     SUSPECT_DELIVERIES on such entries are reclaimed one at a time, so that only the guilty one's number keeps
 *     growing. Beyond max_deliveries it goes to the dead letters untried. trial.h says why no innocent one does.
 *   - Redis has lost the stream or the group (NOGROUP): the group is created again at the stream's beginning.
 * tests/models/deaths.pml stands for what becomes of entries whose process dies.
 */
#include "workers/runtime/runtime.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/codec/wire.h"
#include "core/store/redis/stream_id.h"
#include "workers/runtime/consumers.h"
#include "workers/runtime/trial.h"

#define BLOCK_MS 500
#define FIRST_COUNT 256
/* A full batch shows that there is a backlog, not how long it is; large batches process it fastest. */
#define GROWTH 16
/* The maximum time between looks for entries that others left: entries that a stopping process hands back should not
 * wait. */
#define LOOK_BACK_MS 1000
/* A retry is logged after so many, and then at most once in so long. */
#define RETRIES_IN_SILENCE 3
#define RETRY_SAY_NS (10 * NS_PER_S)
/* The time for handing back, after the lanes have ended. */
#define HAND_BACK_MS 3000

struct lane {
    struct worker *worker;
    const struct role *role;
    int partition;
    struct redis *redis; /* its own, for blocking reads */
    int64_t count;       /* entries asked for in the next read */
    bool lingers;        /* before it */
    int64_t next_reclaim_ns;
    const struct item *in_hand; /* what process() works on; for the keeper */
    size_t n_in_hand;
    uint64_t batches;   /* processed so far, and the current one */
    struct trial trial; /* of the suspect that this lane handles */
    struct fiber *keeper;
    struct latch keeper_left;
    struct counter *handled, *retries, *reclaimed, *dead, *unknown;
    struct histogram *sizes;
};

/* ---- Redis commands ------------------------------------------------------------------------------------ */

/* After redis_exchange: true when the client owns the batch. */
static bool taken(int e) {
    return e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED;
}

static struct redis_batch *command(const char *const *words, size_t n) {
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, (int)n);
    for (size_t i = 0; i < n; i++) redis_arg_cstr(b, words[i]);
    return b;
}

/* BUSYGROUP: the group exists already. */
static void make_group(struct fiber *self, struct lane *l) {
    char key[KEY_MAX];
    const char *words[] = {"XGROUP",      "CREATE", stream_key(key, l->role->stream, l->partition).ptr,
                           l->role->name, "0",      "MKSTREAM"};
    struct redis_batch *b = command(words, 6);
    if (!taken(redis_exchange(self, l->worker->domain.redis, b))) redis_batch_free(b);
}

static int acknowledge(struct fiber *self, struct lane *l, const struct item *items, size_t n) {
    char key[KEY_MAX];
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, (int)n + 3);
    redis_arg(b, STR("XACK"));
    redis_arg(b, stream_key(key, l->role->stream, l->partition));
    redis_arg_cstr(b, l->role->name);
    for (size_t i = 0; i < n; i++) redis_arg(b, items[i].stream_id);
    return domain_send(self, &l->worker->domain, b);
}

/* ---- dead letters -------------------------------------------------------------------------------------- */

/* Returns true when there is room for one more. Lanes that ask at the same time may exceed the maximum by their
 * number. */
static int check_room(struct fiber *self, struct lane *l) {
    char key[KEY_MAX];
    const struct redis_reply *length;
    struct str name = key_dead(key, l->partition);
    int e = redis_call(self, l->worker->domain.redis, &length, "XLEN " STR_FMT, STR_ARG(name));
    if (e != 0 || length->integer < DEAD_LETTERS_MAX) return e;
    log_error(l->worker->domain.log, "partition blocked: too many dead letters; see rookery-worker dlq",
              LOG_S("role", l->role->name), LOG_I("partition", l->partition));
    return ERR_RESOURCE_EXHAUSTED;
}

static int dead_letter(struct fiber *self, struct lane *l, const struct item *item, int64_t tries,
                       const char *reason) {
    char key[KEY_MAX], count[24];
    snprintf(count, sizeof count, "%" PRId64, tries);
    int e = check_room(self, l);
    if (e != 0) return e;
    const struct str role = str_from(l->role->name), stream = str_from(l->role->stream->name),
                     entry = item->stream_id, deliveries = str_from(count), e_ = item->payload,
                     why = str_from(reason);
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 15);
    redis_arg(b, STR("XADD"));
    redis_arg(b, key_dead(key, l->partition));
    redis_arg(b, STR("*"));
    const struct str fields[] = {STR("role"),       role,       STR("stream"), stream, STR("entry"), entry,
                                 STR("deliveries"), deliveries, STR("reason"), why,    STR("e"),     e_};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) redis_arg(b, fields[i]);
    e = domain_send(self, &l->worker->domain, b);
    if (e != 0) return e;
    l->dead->value++;
    log_warn(l->worker->domain.log, "dead letter", LOG_S("role", l->role->name),
             LOG_STR("entry", item->stream_id), LOG_S("reason", reason));
    return 0;
}

static int give_up(struct fiber *self, struct lane *l, const struct item *item, int64_t tries,
                   const char *reason) {
    int e = item->message && l->role->give_up ? l->role->give_up(self, l->worker, item, reason) : 0;
    return e != 0 ? e : dead_letter(self, l, item, tries, reason);
}

/* Tries until Redis takes it: giving up would lose an event. Returns false when the process is asked to stop first. */
static bool give_up_or_stop(struct fiber *self, struct lane *l, const struct item *item, int64_t tries,
                            const char *reason) {
    for (unsigned attempt = 0; give_up(self, l, item, tries, reason) != 0; attempt++)
        if (l->worker->stopping || fiber_sleep_ms(self, backoff_ms(attempt, 50, 2000)) != 0) return false;
    return true;
}

/* ---- handling ------------------------------------------------------------------------------------------ */

/* Each lane may be held up by the same cause, so one speaks for all. A cause that is gone in a moment is not worth a
 * line. */
static void say_retry(struct lane *l, unsigned attempt, enum error e, const struct fault *fault) {
    struct worker *w = l->worker;
    int64_t now_ns = clock_mono_ns();
    if (attempt < RETRIES_IN_SILENCE || now_ns - w->retry_said_ns < RETRY_SAY_NS) return;
    w->retry_said_ns = now_ns;
    log_warn(w->domain.log, "held up: trying the same entries again", LOG_S("role", l->role->name),
             LOG_I("partition", l->partition), LOG_I("attempt", attempt),
             LOG_S("text", fault->text[0] ? fault->text : error_text(e)));
}

/* Tries again while the error is a backend's. Returns 0, an error that the batch itself causes, or ERR_CANCELLED. */
static int handle_patiently(struct fiber *self, struct lane *l, struct batch *b, struct fault *fault) {
    for (unsigned attempt = 0;; attempt++) {
        *fault = (struct fault){0};
        int e = l->role->handle(self, l->worker, b, fault);
        if (e == 0 || !error_retryable(e)) return e;
        b->late = true;
        l->retries->value++;
        say_retry(l, attempt, e, fault);
        if (l->worker->stopping || fiber_sleep_ms(self, backoff_ms(attempt, 20, 2000)) != 0)
            return ERR_CANCELLED;
    }
}

/* The role refused the batch: tries its items one by one. Returns false when the process is asked to stop before all
 * are settled. */
static bool handle_one_by_one(struct fiber *self, struct lane *l, const struct batch *b) {
    for (size_t i = 0; i < b->n; i++) {
        struct batch one = {.items = &b->items[i], .n = 1, .late = true};
        struct fault fault;
        int e = ERR_UNKNOWN;
        int64_t max = l->worker->domain.config->max_deliveries;
        for (int64_t tries = 0; e != 0 && tries < max; tries++) {
            if (tries > 0 && fiber_sleep_ms(self, backoff_ms((unsigned)tries, 20, 1000)) != 0) return false;
            e = handle_patiently(self, l, &one, &fault);
            if (e == ERR_CANCELLED) return false;
        }
        if (e == 0) continue;
        const char *reason = fault.text[0] ? fault.text : error_text(e);
        if (!give_up_or_stop(self, l, &b->items[i], max, arena_strdup(fiber_arena(self), reason)))
            return false;
    }
    return true;
}

static bool settle(struct fiber *self, struct lane *l, struct batch *b) {
    struct fault fault;
    if (b->n == 0) return true;
    int e = handle_patiently(self, l, b, &fault);
    if (e == ERR_CANCELLED) return false;
    return e == 0 || handle_one_by_one(self, l, b);
}

/* Returns true when it has waited for a newer worker for unknown_keep_s. */
static bool is_kept_long(const struct lane *l, const struct item *item) {
    struct stream_id id;
    int64_t keep_ms = l->worker->domain.config->unknown_keep_s * 1000;
    return stream_id_parse(item->stream_id, &id) && domain_now_ms(&l->worker->domain) - id.ms > keep_ms;
}

/* Sets the item's state as if it had been delivered to this consumer once, just now: a lane that looks for abandoned
 * entries finds it later. */
static void leave_pending(struct fiber *self, struct lane *l, const struct item *items, size_t n) {
    char key[KEY_MAX];
    if (n == 0) return;
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, (int)n + 8);
    redis_arg(b, STR("XCLAIM"));
    redis_arg(b, stream_key(key, l->role->stream, l->partition));
    redis_arg_cstr(b, l->role->name);
    redis_arg_cstr(b, l->worker->consumer);
    redis_arg(b, STR("0"));
    for (size_t i = 0; i < n; i++) redis_arg(b, items[i].stream_id);
    redis_arg(b, STR("RETRYCOUNT"));
    redis_arg(b, STR("1"));
    redis_arg(b, STR("JUSTID"));
    domain_send(self, &l->worker->domain, b); /* if it fails, this delivery counts too */
}

/* Takes out the items that are to be left pending. Returns the number that remain. */
static size_t set_unknown_aside(struct lane *l, struct item *items, size_t n, struct item *left,
                                size_t *n_left) {
    size_t kept = 0;
    *n_left = 0;
    assert(l->n_in_hand == 0);
    for (size_t i = 0; i < n; i++) {
        if (items[i].unknown && !is_kept_long(l, &items[i])) {
            left[(*n_left)++] = items[i];
            continue;
        }
        l->unknown->value += items[i].unknown;
        items[i].skipped |= items[i].unknown;
        items[kept++] = items[i];
    }
    assert(kept + *n_left == n);
    return kept;
}

/* Moves items that are not an event to the dead letters, and settles the rest. */
static void process(struct fiber *self, struct lane *l, struct item *items, size_t n, bool late) {
    struct item *good = ARENA_ARRAY(fiber_arena(self), struct item, n);
    struct item *left = ARENA_ARRAY(fiber_arena(self), struct item, n);
    size_t n_left;
    struct batch b = {.items = good, .late = late};
    n = set_unknown_aside(l, items, n, left, &n_left);
    leave_pending(self, l, left, n_left);
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) {
        if (items[i].skipped) continue;
        if (items[i].message)
            good[b.n++] = items[i];
        else if (!give_up_or_stop(self, l, &items[i], 1, "the payload is not a message of this stream"))
            return;
    }
    assert(b.n <= n && l->n_in_hand == 0);
    histogram_observe(l->sizes, (double)n, l->worker->domain.metrics);
    l->in_hand = items;
    l->n_in_hand = n;
    l->batches++;
    bool settled = settle(self, l, &b);
    assert(l->in_hand == items && l->n_in_hand == n);
    l->n_in_hand = 0;
    if (!settled) return;
    l->handled->value += n;
    acknowledge(self, l, items, n); /* if it is lost, the entries are redelivered, and change nothing */
}

/* ---- keeping ------------------------------------------------------------------------------------------- */

/* Claims the current items for this consumer again, which resets their idle time. */
static void say_still_at_work(struct fiber *self, struct lane *l) {
    char key[KEY_MAX];
    assert(l->n_in_hand > 0 && l->batches > 0);
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, (int)l->n_in_hand + 6);
    redis_arg(b, STR("XCLAIM"));
    redis_arg(b, stream_key(key, l->role->stream, l->partition));
    redis_arg_cstr(b, l->role->name);
    redis_arg_cstr(b, l->worker->consumer);
    redis_arg_i64(b, l->worker->domain.config->reclaim_ms / 8);
    for (size_t i = 0; i < l->n_in_hand; i++) redis_arg(b, l->in_hand[i].stream_id);
    redis_arg(b, STR("JUSTID"));
    domain_send(self, &l->worker->domain,
                b); /* if it fails, items may be processed twice, which changes nothing */
}

static void keep(struct fiber *self, void *arg) {
    struct lane *l = arg;
    uint64_t seen = 0;
    while (fiber_sleep_ms(self, l->worker->domain.config->reclaim_ms / 4) == 0) {
        if (l->n_in_hand > 0 && l->batches == seen) say_still_at_work(self, l);
        assert(seen <= l->batches);
        seen = l->batches;
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->keeper_left);
}

/* Also by a lane that was interrupted: the keeper must not outlive it. */
static void end_keeper(struct fiber *self, struct lane *l) {
    assert(l->n_in_hand == 0 && !l->keeper_left.waiter);
    fiber_cancel(l->keeper);
    l->keeper_left.waiter = self;
    while (l->keeper_left.left > 0) fiber_park_uninterruptible(self);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static struct str copy(struct arena *a, struct str s) {
    return (struct str){arena_memdup(a, s.ptr ? s.ptr : "", s.len), s.len};
}

/* Reads the entry's further fields. */
static void read_mark(const struct role *role, struct str field, struct str value, struct item *item) {
    if (str_eq(field, STR(OUTBOX_ADDRESSED))) {
        item->skipped = !str_eq(value, str_from(role->name));
        item->relayed = true;
    } else if (str_eq(field, STR(OUTBOX_KIND))) {
        int64_t interests;
        str_cut(&value, ' ');
        item->skipped =
            role->interests != 0 && str_to_i64(value, &interests) && !(interests & role->interests);
    } else if (str_eq(field, STR(OUTBOX_RELAYED))) {
        item->relayed = true;
    } else if (str_eq(field, STR(OUTBOX_SETTLED)) && !str_to_i64(value, &item->settled_epoch)) {
        item->settled_epoch = 0;
    }
}

/* Returns true when it has a field that our descriptor does not have. */
static bool is_newer(const struct stream *stream, struct str payload) {
    struct wire_field f;
    while (wire_next(&payload, &f))
        if (!protobuf_c_message_descriptor_get_field(stream->message, f.number)) return true;
    return false;
}

static void decode(const struct role *role, struct item *item, struct arena *a) {
    const struct stream *stream = role->stream;
    item->message = pb_decode(stream->message, item->payload, a, NULL);
    if (item->message && stream->is_sound && !stream->is_sound(item->message)) {
        item->unknown = is_newer(stream, item->payload);
        item->message = NULL;
    } else if (item->message && role->interests != 0) {
        item->skipped = !(event_interests(event_kind(item->event)) & role->interests);
    }
}

/* entries: [[id, [field, value]], ...]. A trimmed entry that is still pending has nil fields: it was finished long
 * ago. */
static struct item *read_items(const struct role *role, struct arena *a, const struct redis_reply *entries,
                               size_t *n) {
    struct item *items = ARENA_ARRAY(a, struct item, entries->elements);
    *n = 0;
    for (size_t i = 0; i < entries->elements; i++) {
        const struct redis_reply *entry = &entries->element[i];
        if (entry->type != REDIS_ARRAY || entry->elements < 2) continue;
        const struct redis_reply *fields = &entry->element[1];
        struct item *item = &items[(*n)++];
        item->stream_id = copy(a, entry->element[0].str);
        if (fields->type != REDIS_ARRAY || fields->elements < 2) continue;
        item->payload = copy(a, fields->element[1].str);
        for (size_t f = 2; f + 1 < fields->elements; f += 2)
            read_mark(role, fields->element[f].str, fields->element[f + 1].str, item);
        if (!item->skipped) decode(role, item, a);
    }
    assert(*n <= entries->elements);
    return items;
}

/* The number of entries that a lane requests at first, and while there is no backlog. */
static int64_t first_count(const struct worker *w, const struct role *role) {
    int64_t first = role->first_count > 0 ? role->first_count : FIRST_COUNT;
    return first < w->domain.config->batch_max ? first : w->domain.config->batch_max;
}

static int read_new(struct fiber *self, struct lane *l, struct item **items, size_t *n) {
    char key[KEY_MAX], count[24], block[24];
    snprintf(count, sizeof count, "%" PRId64, l->count);
    snprintf(block, sizeof block, "%d", BLOCK_MS);
    const char *words[] = {"XREADGROUP",
                           "GROUP",
                           l->role->name,
                           l->worker->consumer,
                           "COUNT",
                           count,
                           "BLOCK",
                           block,
                           "STREAMS",
                           stream_key(key, l->role->stream, l->partition).ptr,
                           ">"};
    struct redis_batch *b = command(words, 11);
    *n = 0;
    int e = redis_exchange(self, l->redis, b);
    if (taken(e)) return e;
    if (e == 0) e = redis_batch_check(b, NULL);
    const struct redis_reply *reply = e == 0 ? redis_batch_reply(b, 0) : NULL;
    if (reply && reply->type == REDIS_ARRAY && reply->elements > 0)
        *items = read_items(l->role, fiber_arena(self), &reply->element[0].element[1], n);
    redis_batch_free(b);
    return e;
}

/* Reads some of the entries that dead consumers left, oldest first. */
static int look_for_abandoned(struct fiber *self, struct lane *l, const struct redis_reply **pending) {
    char key[KEY_MAX];
    struct str name = stream_key(key, l->role->stream, l->partition);
    int e = redis_call(self, l->worker->domain.redis, pending,
                       "XPENDING " STR_FMT " %s IDLE %" PRId64 " - + %" PRId64, STR_ARG(name), l->role->name,
                       l->worker->domain.config->reclaim_ms, first_count(l->worker, l->role));
    return e == 0 && (*pending)->type != REDIS_ARRAY ? ERR_REDIS : e;
}

static int64_t deliveries_of(const struct redis_reply *pending) {
    return pending->elements < 4 ? 0 : pending->element[3].integer;
}

/* Reclaims those of these that are still idle for so long: another lane may have been faster. */
static int take_over(struct fiber *self, struct lane *l, const struct str *ids, size_t n_ids,
                     struct item **items, size_t *n) {
    char key[KEY_MAX];
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, (int)n_ids + 5);
    redis_arg(b, STR("XCLAIM"));
    redis_arg(b, stream_key(key, l->role->stream, l->partition));
    redis_arg_cstr(b, l->role->name);
    redis_arg_cstr(b, l->worker->consumer);
    redis_arg_i64(b, l->worker->domain.config->reclaim_ms);
    for (size_t i = 0; i < n_ids; i++) redis_arg(b, ids[i]);
    int e = redis_exchange(self, l->worker->domain.redis, b);
    if (taken(e)) return e;
    if (e == 0) e = redis_batch_check(b, NULL);
    if (e == 0 && redis_batch_reply(b, 0)->type == REDIS_ARRAY)
        *items = read_items(l->role, fiber_arena(self), redis_batch_reply(b, 0), n);
    redis_batch_free(b);
    l->reclaimed->value += *n;
    return e;
}

/* The suspect with the fewest deliveries: one that kills must not keep the others from being settled. */
static const struct redis_reply *least_suspect(const struct redis_reply *pending) {
    const struct redis_reply *least = &pending->element[0];
    for (size_t i = 1; i < pending->elements; i++)
        if (deliveries_of(&pending->element[i]) < deliveries_of(least)) least = &pending->element[i];
    return least;
}

/* Reclaims one suspect alone; *n is 1 when l->trial is open. */
static int take_suspect(struct fiber *self, struct lane *l, const struct redis_reply *suspect,
                        struct item **items, size_t *n) {
    assert(*n == 0);
    if (!trial_open(&l->trial, l->worker)) return 0;
    int e = take_over(self, l, &suspect->element[0].str, 1, items, n);
    if (*n == 1)
        (*items)->deliveries = deliveries_of(suspect);
    else
        trial_close(self, &l->trial);
    return e;
}

/* Processes entries that dead consumers left: at most one batch each time; a suspect when there is nothing else. */
static int read_abandoned(struct fiber *self, struct lane *l, struct item **items, size_t *n) {
    const struct redis_reply *pending;
    *n = 0;
    int e = look_for_abandoned(self, l, &pending);
    if (e != 0 || pending->elements == 0) return e;
    struct str *ids = ARENA_ARRAY(fiber_arena(self), struct str, pending->elements);
    size_t n_ids = 0;
    for (size_t i = 0; i < pending->elements; i++)
        if (deliveries_of(&pending->element[i]) < SUSPECT_DELIVERIES)
            ids[n_ids++] = pending->element[i].element[0].str;
    return n_ids > 0 ? take_over(self, l, ids, n_ids, items, n)
                     : take_suspect(self, l, least_suspect(pending), items, n);
}

static void adapt(struct lane *l, size_t got) {
    int64_t max = l->worker->domain.config->batch_max;
    if (l->role->max_count > 0 && l->role->max_count < max) max = l->role->max_count;
    if ((int64_t)got < l->count)
        l->count = first_count(l->worker, l->role);
    else
        l->count = GROWTH * l->count < max ? GROWTH * l->count : max;
    assert(l->count > 0 && l->count <= l->worker->domain.config->batch_max);
}

/* It has ended so many processes that it is not tried again. */
static void convict(struct fiber *self, struct lane *l, const struct item *item) {
    char reason[96];
    snprintf(reason, sizeof reason, "%" PRId64 " workers died while processing it", item->deliveries);
    if (give_up_or_stop(self, l, item, item->deliveries, reason)) acknowledge(self, l, item, 1);
}

/* l->trial is open. */
static void try_suspect(struct fiber *self, struct lane *l, struct item *item) {
    struct worker *w = l->worker;
    char space[KEY_MAX];
    struct str key = stream_key(space, l->role->stream, l->partition);
    bool over = trial_is_over(w, item);
    assert(w->trial == &l->trial && item->deliveries >= SUSPECT_DELIVERIES);
    if (over && trial_has_evidence(self, w, key, l->role, item)) {
        convict(self, l, item);
    } else {
        log_warn(w->domain.log,
                 over ? "retrying a suspect entry alone: no later entry has been settled"
                      : "trying a suspect entry alone",
                 LOG_S("role", l->role->name), LOG_STR("entry", item->stream_id),
                 LOG_I("deliveries", item->deliveries));
        trial_watch(self, &l->trial, key, l->role->name, item);
        process(self, l, item, 1, true);
    }
    trial_close(self, &l->trial);
}

static int64_t look_back_ns(const struct lane *l) {
    int64_t ms = l->worker->domain.config->reclaim_ms / 3;
    return (ms < LOOK_BACK_MS ? ms : LOOK_BACK_MS) * NS_PER_MS;
}

static int turn(struct fiber *self, struct lane *l) {
    struct item *items = NULL;
    size_t n = 0;
    int e = 0;
    bool look_back = clock_mono_ns() >= l->next_reclaim_ns;
    if (look_back) {
        e = read_abandoned(self, l, &items, &n);
        if (n == 0) l->next_reclaim_ns = clock_mono_ns() + look_back_ns(l);
    }
    if (e == 0 && n == 0) {
        if (l->lingers) e = fiber_sleep_ms(self, l->role->linger_ms);
        int64_t asked = l->count;
        if (e == 0) e = read_new(self, l, &items, &n);
        if (e == 0) adapt(l, n);
        l->lingers = l->role->linger_ms > 0 && n > 0 && (int64_t)n < asked;
        look_back = false;
    }
    if (e != 0 || n == 0) return e;
    if (items->deliveries > 0)
        try_suspect(self, l, items);
    else
        process(self, l, items, n, look_back);
    return 0;
}

static void run_lane(struct fiber *self, void *arg) {
    struct lane *l = arg;
    unsigned failures = 0;
    struct lane_fiber running = {.fiber = self};
    list_push_back(&l->worker->lanes, &running.node);
    while (!l->worker->stopping) {
        int e = turn(self, l);
        arena_reset(fiber_arena(self));
        if (e == ERR_REDIS) make_group(self, l); /* NOGROUP, at the first turn and after a wipe */
        failures = e == 0 ? 0 : failures + 1;
        if (failures > 1 && fiber_sleep_ms(self, backoff_ms(failures, 10, 500)) != 0) break;
    }
    struct worker *w = l->worker;
    assert(w->trial != &l->trial);
    end_keeper(self, l);
    assert(l->keeper_left.left == 0 && w->lanes_left.left > 0);
    redis_close(self, l->redis);
    free(l);
    list_remove(&running.node);
    latch_done(&w->lanes_left);
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

static void lane_metrics(struct lane *l) {
    struct metrics *m = l->worker->domain.metrics;
    char labels[64];
    snprintf(labels, sizeof labels, "role=\"%s\"", l->role->name);
    l->handled =
        metrics_counter(m, "rookery_events_handled_total", "Events handled: their effect is durable", labels);
    l->retries = metrics_counter(m, "rookery_batch_retries_total", "Retried batches", labels);
    l->reclaimed =
        metrics_counter(m, "rookery_events_reclaimed_total", "Events reclaimed from dead consumers", labels);
    l->dead = metrics_counter(m, "rookery_dead_letters_total", "Events moved to the dead letters", labels);
    l->unknown =
        metrics_counter(m, "rookery_events_unknown_total",
                        "Events of an unknown kind, acknowledged after ROOKERY_UNKNOWN_KEEP_S", labels);
    l->sizes = metrics_size_histogram(m, "rookery_event_batch_size", "Events per batch", labels);
}

static int start_lane(struct worker *w, const struct role *role, int partition) {
    struct lane *l = calloc(1, sizeof *l);
    if (!l) return ERR_OVERLOADED;
    *l = (struct lane){.worker = w, .role = role, .partition = partition, .count = first_count(w, role)};
    lane_metrics(l);
    l->redis = redis_open_blocking(w->domain.redis, role->name, BLOCK_MS);
    struct fiber_options options = {.name = role->name};
    latch_init(&l->keeper_left, 1);
    int e = fiber_spawn(w->domain.loop, &options, keep, l, &l->keeper);
    if (e != 0) return e;
    return fiber_spawn(w->domain.loop, &options, run_lane, l, NULL);
}

/* ---- what roles keep ----------------------------------------------------------------------------------- */

struct open_state {
    const struct role_state *state;
    void *opened;
};

static struct open_state *find_state(const struct worker *w, const struct role_state *state) {
    for (size_t i = 0; i < w->n_states; i++)
        if (w->states[i].state == state) return &w->states[i];
    return NULL;
}

void *runtime_state(const struct worker *w, const struct role_state *state) {
    const struct open_state *found = find_state(w, state);
    assert(found);
    return found->opened;
}

static void forget_states(struct domain *d) {
    const struct worker *w = list_entry(d, struct worker, domain);
    for (size_t i = 0; i < w->n_states; i++)
        if (w->states[i].state->forget) w->states[i].state->forget(w->states[i].opened);
}

static int open_states(struct worker *w) {
    assert(!w->states && w->n_states == 0);
    w->states = calloc(w->n_roles + 1, sizeof *w->states);
    if (!w->states) return ERR_OVERLOADED;
    for (size_t i = 0; i < w->n_roles; i++) {
        const struct role_state *state = w->roles[i]->state;
        if (!state || find_state(w, state)) continue;
        void *opened = state->open(&w->domain);
        if (!opened) return ERR_OVERLOADED;
        w->states[w->n_states++] = (struct open_state){state, opened};
    }
    w->domain.on_new_epoch = forget_states;
    return 0;
}

static void close_states(struct worker *w) {
    assert(list_empty(&w->lanes));
    w->domain.on_new_epoch = NULL;
    while (w->n_states > 0) {
        const struct open_state *last = &w->states[--w->n_states];
        last->state->close(last->opened);
    }
    free(w->states);
    w->states = NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

int runtime_start(struct worker *w, const struct role *const *roles, size_t n) {
    int partitions = (int)w->domain.config->partitions;
    w->roles = roles;
    w->n_roles = n;
    w->started_ns = clock_mono_ns();
    list_init(&w->lanes);
    latch_init(&w->lanes_left, 0);
    int e = open_states(w);
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < partitions && e == 0; p++) {
            e = start_lane(w, roles[i], p);
            w->lanes_left.left += e == 0;
        }
    return e;
}

static void interrupt_lanes(struct fiber *self, struct worker *w) {
    log_warn(w->domain.log, "interrupting work in progress", LOG_I("drain_ms", w->domain.config->drain_ms));
    list_each (&w->lanes, n) fiber_cancel(list_entry(n, struct lane_fiber, node)->fiber);
    latch_wait(self, &w->lanes_left);
}

static void hand_back(struct fiber *self, struct worker *w) {
    int64_t n = 0;
    if (w->n_roles == 0 || !redis_ready(w->domain.redis)) return;
    fiber_set_deadline_ns(self, clock_mono_ns() + HAND_BACK_MS * NS_PER_MS);
    for (size_t i = 0; i < w->n_roles; i++) n += consumers_leave(self, w, w->roles[i]);
    fiber_set_deadline_ns(self, 0);
    if (n > 0) log_info(w->domain.log, "handed entries back to their groups", LOG_I("entries", n));
}

void runtime_stop(struct fiber *self, struct worker *w) {
    w->stopping = true;
    if (!w->roles) return; /* the start failed before the runtime's */
    fiber_set_deadline_ns(self, clock_mono_ns() + w->domain.config->drain_ms * NS_PER_MS);
    int e = latch_wait(self, &w->lanes_left);
    fiber_set_deadline_ns(self, 0);
    if (e != 0) interrupt_lanes(self, w);
    assert(w->lanes_left.left == 0);
    hand_back(self, w);
    close_states(w);
}
