/* Reading what was published between two positions; the argument is in missed.h. */
#include "gateway/position/missed.h"

#include <assert.h>
#include <inttypes.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"

#define REACH_MS 2000
#define PAGE 1000 /* entries in one round trip */
#define EVENT_ARENA_LIMIT (256 * 1024)

/* ---- waiting until it has been heard here -------------------------------------------------------------- */

static bool has_heard(const struct live_places *p, const struct hub_place *position) {
    for (size_t i = 0; i < p->partitions; i++)
        if (stream_id_before(p->heard[i].id, position[i].id)) return false;
    return true;
}

bool missed_wait_heard(struct fiber *self, const struct live_places *p, const struct hub_place *position) {
    int64_t give_up = clock_mono_ns() + REACH_MS * NS_PER_MS;
    for (;;) {
        int64_t epoch = places_epoch(p->heard, p->partitions), wanted = position[0].epoch;
        if (epoch > wanted) return false;
        if (epoch == wanted && has_heard(p, position)) return true;
        if (clock_mono_ns() > give_up || fiber_sleep_ms(self, 5) != 0) return false;
    }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct reading {
    struct domain *domain;
    const struct live_places *places;
    struct hub_place *at;          /* the places up to which it has read */
    const struct hub_place *until; /* the places up to which it is to read */
    int64_t *asked;                /* entries, of each partition, in the page that is being read */
    missed_fn *take;
    void *context;
    struct arena scratch;
};

static int64_t missing(const struct reading *r, size_t partition) {
    return r->until[partition].count - r->at[partition].count;
}

/* How many entries there are in all; -1 when the two positions contradict each other. */
static int64_t count_missing(const struct reading *r) {
    int64_t all = 0;
    for (size_t i = 0; i < r->places->partitions; i++) {
        bool ahead = stream_id_before(r->at[i].id, r->until[i].id);
        if (missing(r, i) < 0 || ahead != (missing(r, i) > 0)) return -1;
        all += missing(r, i);
    }
    return all;
}

static int take_entry(struct reading *r, size_t partition, const struct redis_reply *entry) {
    struct hub_place *at = &r->at[partition];
    struct hub_heard read = {0};
    if (entry->elements < 2 || !stream_id_parse(entry->element[0].str, &at->id)) return ERR_ABORTED;
    at->count++;
    hub_entry_read(&entry->element[1], at->epoch, &r->scratch, &read);
    int e = 0;
    if (read.event && !read.settled && places_is_first(r->places, read.event->id, at))
        e = r->take(r->context, (int)partition, at, read.event);
    arena_reset(&r->scratch);
    return e;
}

static void ask_page(struct reading *r, struct redis_batch *b) {
    char key[KEY_MAX];
    int64_t room = PAGE;
    for (size_t i = 0; i < r->places->partitions; i++) {
        r->asked[i] = missing(r, i) < room ? missing(r, i) : room;
        room -= r->asked[i];
        assert(r->asked[i] >= 0 && room >= 0);
        if (r->asked[i] == 0) continue;
        redis_cmd(b, 6);
        redis_arg(b, STR("XRANGE"));
        redis_arg(b, stream_key(key, &STREAMS[STREAM_EVENTS], (int)i));
        redis_arg_printf(b, "(%" PRId64 "-%" PRId64, r->at[i].id.ms, r->at[i].id.sequence);
        redis_arg_printf(b, "%" PRId64 "-%" PRId64, r->until[i].id.ms, r->until[i].id.sequence);
        redis_arg(b, STR("COUNT"));
        redis_arg_i64(b, r->asked[i]);
    }
}

/* Fewer than were asked for: some have been removed. */
static int take_page(struct reading *r, const struct redis_batch *b) {
    size_t n = 0;
    for (size_t i = 0; i < r->places->partitions; i++) {
        if (r->asked[i] == 0) continue;
        const struct redis_reply *reply = redis_batch_reply(b, n++);
        if (reply->type != REDIS_ARRAY || (int64_t)reply->elements != r->asked[i]) return ERR_ABORTED;
        for (size_t k = 0; k < reply->elements; k++) {
            int e = take_entry(r, i, &reply->element[k]);
            if (e != 0) return e;
        }
    }
    return 0;
}

static int read_page(struct fiber *self, struct reading *r) {
    if (epoch_now(r->domain) != r->until[0].epoch) return ERR_ABORTED;
    struct redis_batch *b = redis_batch_new();
    ask_page(r, b);
    int e = redis_exchange(self, r->domain->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    /* It may have been queued across a reconnect, to another server. */
    if (e == 0 && epoch_now(r->domain) == r->until[0].epoch)
        e = take_page(r, b);
    else
        e = ERR_ABORTED;
    redis_batch_free(b);
    return e;
}

int missed_read(struct fiber *self, struct domain *d, const struct live_places *p,
                const struct hub_place *from, const struct hub_place *until, missed_fn *take, void *context) {
    struct arena *a = fiber_arena(self);
    struct reading r = {.domain = d, .places = p, .until = until, .take = take, .context = context};
    r.at = arena_memdup(a, from, p->partitions * sizeof *r.at);
    int64_t left = count_missing(&r);
    if (left < 0 || left > MISSED_READ_MAX) return ERR_ABORTED;
    r.asked = ARENA_ARRAY(a, int64_t, p->partitions);
    arena_init(&r.scratch, EVENT_ARENA_LIMIT);
    int e = 0;
    for (; left > 0 && e == 0; left -= PAGE) e = read_page(self, &r);
    arena_free(&r.scratch);
    return e;
}
