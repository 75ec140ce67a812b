/* Chunks.
 *
 * A batch of tasks, on the happy path:
 *   1. Each undivided task is divided: a walk over the author's followers, in the database, returns every
 *      ROOKERY_CHUNK_AUDIENCE-th id; the tasks for the ranges between are sent as they are found. If there are more
 *      followers than ROOKERY_PULL_AUDIENCE, the author is pulled from now on (core/domain/timeline/pull.h).
 *   2. The followers of all ranges of the batch are loaded in one query. It runs after the tasks were read, so after
 *      the posts' commits: an account that followed by then gets the post; one that follows later finds it in SQL
 *      (its timeline is rebuilt).
 *   3. They are delivered like any other entries (deliver.h): by recipient, so that several posts to one
 *      audience share their commands.
 *   Between the tasks, and after every small piece that is sent to Redis, the lane yields: the fan-out's lanes in
 *   this process, and in others at the same Redis, get their turn.
 *
 * Ranges divide all possible ids, not the followers of one moment. So it does not matter that some follow or unfollow
 * between 1 and 2: each account is in exactly one range.
 *
 * Failures:
 *   - this worker dies or Redis becomes unreachable in 1: the undivided task is redelivered and divided again, at
 *     worst along other ids. Readers drop what is then delivered twice.
 *   - the same in 2 and 3: only the tasks of the batch are redelivered.
 *   - a task of an older epoch: it is dropped. The fan-out's fence (epoch.h) found that epoch behind the task, so the
 *     task was put on the stream before any list of a newer epoch began. These lists are built from SQL, so they have
 *     the post. (If the fence did not find it, the fan-out put another task there.)
 *   - a task of a newer epoch than this process knows: it tries again until it knows the epoch.
 */
#include "workers/timeline/chunks.h"

#include <assert.h>
#include <stdlib.h>

#include "core/domain/timeline/pull.h"
#include "core/event/epoch.h"
#include "rookery/events/v1/chunk.pb-c.h"
#include "workers/timeline/chunks.sql.h"
#include "workers/timeline/delivery.h"

typedef Rookery__Events__V1__Chunk Chunk;

/* Small pieces, one at a time: about a millisecond of Redis. */
static const struct pace PACE = {.commands = 1024, .under_way = 1};
#define AUDIENCES_AT_ONCE ((size_t)16)
/* Found in the first step of dividing. */
#define FIRST_RANGES 4

/* ---- putting tasks on the streams ---- */

static void add_task(struct redis_batch *b, int partition, const Chunk *c) {
    char key[KEY_MAX];
    uint8_t bytes[128]; /* seven numbers of at most 11 bytes */
    assert(rookery__events__v1__chunk__get_packed_size(c) <= sizeof bytes);
    size_t n = rookery__events__v1__chunk__pack(c, bytes);
    redis_cmd(b, 5);
    redis_arg(b, STR("XADD"));
    redis_arg(b, stream_key(key, &STREAMS[STREAM_CHUNKS], partition));
    redis_arg(b, STR("*"));
    redis_arg(b, STR("e"));
    redis_arg(b, (struct str){(const char *)bytes, n});
}

void chunks_add_undivided(struct redis_batch *b, int64_t epoch, const Event *e, int64_t partitions) {
    Chunk c = ROOKERY__EVENTS__V1__CHUNK__INIT;
    c.epoch = epoch;
    c.entry_id = e->post_created->post_id;
    c.author_id = e->actor_id;
    if (e->post_created->reply_to_account_id != e->actor_id)
        c.reply_to_account_id = e->post_created->reply_to_account_id;
    c.last_follower_id = INT64_MAX;
    c.undivided = true;
    add_task(b, event_partition(c.entry_id, partitions), &c);
}

/* ---- step 1 ---- */

static int next_ranges(struct fiber *self, struct domain *d, int64_t author_id, int64_t behind, int64_t limit,
                       struct pg_result **out, struct fault *fault) {
    return pg_ask(self, d->pg, &CHUNKS_RANGES, out, fault, pg_i64(author_id), pg_i64(behind),
                  pg_i64(d->config->chunk_audience), pg_i64(limit));
}

/* In steps, each twice as long as the one before: other workers deliver the first ranges while the next are found. */
static int divide(struct fiber *self, struct worker *w, const Chunk *whole, struct fault *fault) {
    struct domain *d = &w->domain;
    int partitions = (int)d->config->partitions, found = 0; /* ranges */
    int first_partition = event_partition(whole->entry_id, partitions);
    Chunk part = *whole;
    part.undivided = false;
    int64_t step = FIRST_RANGES;
    for (bool more = true; more; step *= 2) {
        struct pg_result *r;
        int e = next_ranges(self, d, whole->author_id, part.first_follower_id - 1, step, &r, fault);
        if (e != 0) return e;
        struct redis_batch *b = redis_batch_new();
        more = pg_rows(r) == step;
        struct pg_row row = pg_read(r);
        while (pg_next(&row)) {
            part.last_follower_id = pg_take_i64(&row);
            add_task(b, (first_partition + found++) % partitions, &part);
            part.first_follower_id = part.last_follower_id + 1;
        }
        part.last_follower_id = whole->last_follower_id;
        assert(part.entry_id == whole->entry_id && !part.undivided);
        if (!more) add_task(b, (first_partition + found) % partitions, &part);
        e = domain_send(self, d, b);
        if (e != 0) return e;
    }
    bool pull = found * d->config->chunk_audience > d->config->pull_audience;
    return pull ? pull_author(self, d, whole->author_id, fault) : 0;
}

/* ---- steps 2 and 3 ---- */

/* The tasks of a batch that are to be delivered: sorted by entry, unique. */
struct tasks {
    const Chunk **v;
    size_t n;
    struct audience *audiences; /* the audiences of the tasks, unique */
    size_t n_audiences;
    size_t *audience_of; /* of each task */
};

static int by_entry(const void *a, const void *b) {
    const Chunk *x = *(const Chunk *const *)a, *y = *(const Chunk *const *)b;
    if (x->entry_id != y->entry_id) return x->entry_id < y->entry_id ? -1 : 1;
    return (x->first_follower_id > y->first_follower_id) - (x->first_follower_id < y->first_follower_id);
}

static bool is_audience(const struct audience *a, const Chunk *c) {
    return a->author_id == c->author_id && a->hears_too == c->reply_to_account_id &&
           a->first == c->first_follower_id && a->last == c->last_follower_id;
}

/* A batch is small: it is searched from front to back. */
static size_t note_audience(struct tasks *t, const Chunk *c) {
    for (size_t i = 0; i < t->n_audiences; i++)
        if (is_audience(&t->audiences[i], c)) return i;
    t->audiences[t->n_audiences] = (struct audience){
        .author_id = c->author_id,
        .hears_too = c->reply_to_account_id,
        .first = c->first_follower_id,
        .last = c->last_follower_id,
    };
    return t->n_audiences++;
}

static void arrange(struct tasks *t, struct arena *a) {
    size_t n = t->n;
    t->audiences = ARENA_ARRAY(a, struct audience, n);
    t->audience_of = ARENA_ARRAY(a, size_t, n);
    qsort(t->v, n, sizeof(const Chunk *), by_entry);
    t->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (t->n > 0 && by_entry(&t->v[t->n - 1], &t->v[i]) == 0) continue; /* it came twice */
        t->v[t->n] = t->v[i];
        t->audience_of[t->n++] = note_audience(t, t->v[i]);
    }
}

/* Yields to other fibers between two tasks. This is safe: a round belongs to one lane. */
static int fill(struct fiber *self, struct round *r, const struct tasks *t) {
    int e = 0;
    for (size_t i = 0; i < t->n && e == 0; i++) {
        const struct audience *a = &t->audiences[t->audience_of[i]];
        assert(is_audience(a, t->v[i]) && (i == 0 || by_entry(&t->v[i - 1], &t->v[i]) < 0));
        if (i == 0 || t->v[i - 1]->entry_id != t->v[i]->entry_id) round_entry(r, t->v[i]->entry_id);
        round_deliver(r, a->ids, a->n);
        e = fiber_sleep_ms(self, 0);
    }
    return e;
}

/* Some at a time, so that no answer takes long to parse. */
static int load_audiences(struct fiber *self, struct worker *w, struct tasks *t, struct fault *fault) {
    int e = 0;
    for (size_t i = 0; i < t->n_audiences && e == 0; i += AUDIENCES_AT_ONCE) {
        size_t left = t->n_audiences - i, n = left < AUDIENCES_AT_ONCE ? left : AUDIENCES_AT_ONCE;
        e = followers_audiences(self, delivery_of(w)->followers, t->audiences + i, n, fault);
    }
    return e;
}

static int deliver(struct fiber *self, struct worker *w, struct tasks *t, int64_t epoch,
                   struct fault *fault) {
    if (t->n == 0) return 0;
    arrange(t, fiber_arena(self));
    assert(t->n > 0 && t->n_audiences > 0 && t->n_audiences <= t->n);
    int e = load_audiences(self, w, t, fault);
    if (e != 0) return e;
    struct round *r = round_open(delivery_of(w)->deliverer);
    e = fill(self, r, t);
    if (e == 0) e = round_send(self, r, epoch, &PACE);
    round_close(r);
    return e;
}

/* ---- the role ---- */

static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    struct tasks t = {.v = ARENA_ARRAY(fiber_arena(self), const Chunk *, b->n)};
    int64_t epoch;
    int e = epoch_wait(self, &w->domain, &epoch);
    for (size_t i = 0; i < b->n && e == 0; i++) {
        const Chunk *c = (const Chunk *)(const void *)b->items[i].message;
        if (c->epoch > epoch)
            e = ERR_ABORTED;
        else if (c->epoch == epoch && c->undivided)
            e = divide(self, w, c, fault);
        else if (c->epoch == epoch)
            t.v[t.n++] = c;
    }
    return e == 0 ? deliver(self, w, &t, epoch, fault) : e;
}

/* At first few tasks in a batch, since another worker may take the rest; many when there is a backlog, since posts to
 * the same followers then share commands (a million deliveries at most). */
const struct role CHUNKS_ROLE = {
    .name = "chunks",
    .stream = &STREAMS[STREAM_CHUNKS],
    .handle = handle,
    .state = &DELIVERY,
    .feeds_timelines = true,
    .first_count = 4,
    .max_count = 256,
};
