/* What a resuming stream missed: read from the event streams, and sent. The story and the lemma are in live.h. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "gateway/live/live_internal.h"

#define REACH_MS 2000
#define REPLAY_READ_MAX 20000  /* entries read for one stream; more is a reset, which costs less */
#define REPLAY_TELL_MAX 200    /* items sent to it */
#define REPLAY_CHANGE_MAX 1000 /* edits and deletions, of any post, that are examined */
#define PAGE 1000              /* entries in one round trip */
#define RETRY_MS 100
#define EVENT_ARENA_LIMIT (256 * 1024)

/* ---- waiting until it has been heard here -------------------------------------------------------------- */

static bool has_heard(const struct live_places *p, const struct hub_place *places) {
    for (size_t i = 0; i < p->partitions; i++)
        if (stream_id_before(p->heard[i].id, places[i].id)) return false;
    return true;
}

bool live_reaches(struct fiber *self, struct live *l, const struct live_token *token) {
    const struct live_places *p = &l->places;
    int64_t give_up = clock_mono_ns() + REACH_MS * NS_PER_MS;
    if (!token->places) return false;
    for (;;) {
        int64_t epoch = places_epoch(p->heard, p->partitions), wanted = token->places[0].epoch;
        if (epoch > wanted) return false;
        if (epoch == wanted && has_heard(p, token->places)) return true;
        if (clock_mono_ns() > give_up || fiber_sleep_ms(self, 5) != 0) return false;
    }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct reading {
    struct live *live;
    struct subscriber *subscriber;
    struct hub_place *at;          /* the places up to which it has read */
    const struct hub_place *until; /* the places up to which it is to read */
    int64_t *asked;                /* entries, of each, in the page that is being read */
    struct tell *tells;            /* malloc'ed, since most of what is read is not wanted */
    size_t n, cap, n_items;
    struct arena scratch;
};

static int64_t missing(const struct reading *r, size_t partition) {
    return r->until[partition].count - r->at[partition].count;
}

/* How many entries there are in all; -1 when the two positions contradict each other. */
static int64_t count_missing(const struct reading *r) {
    int64_t all = 0;
    for (size_t i = 0; i < r->live->places.partitions; i++) {
        bool ahead = stream_id_before(r->at[i].id, r->until[i].id);
        if (missing(r, i) < 0 || ahead != (missing(r, i) > 0)) return -1;
        all += missing(r, i);
    }
    return all;
}

static int keep(struct reading *r, const struct tell *t) {
    bool full = t->kind == TELL_ITEM ? r->n_items == REPLAY_TELL_MAX : r->n - r->n_items == REPLAY_CHANGE_MAX;
    if (full) return ERR_ABORTED;
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        r->tells = realloc(r->tells, r->cap * sizeof *r->tells);
        if (!r->tells) abort();
    }
    assert(r->n_items <= r->n && r->n <= REPLAY_TELL_MAX + REPLAY_CHANGE_MAX);
    r->n_items += t->kind == TELL_ITEM;
    r->tells[r->n++] = *t;
    return 0;
}

static int take_event(struct reading *r, size_t partition, const Event *e) {
    const struct subscriber *s = r->subscriber;
    struct tell t;
    if (!live_tell_of(e, &t) || !places_is_first(&r->live->places, e->id, &r->at[partition])) return 0;
    t.partition = (int)partition;
    t.place = r->at[partition];
    switch (t.kind) {
    case TELL_RELATIONS:
        return t.account_id == s->account_id || t.other_id == s->account_id ? ERR_ABORTED : 0;
    case TELL_SESSIONS: return 0; /* this stream's session has just been checked */
    case TELL_ITEM:
    case TELL_EDITED:
    case TELL_DELETED: break;
    }
    return live_may_want(s, &t) ? keep(r, &t) : 0;
}

static int take_entry(struct reading *r, size_t partition, const struct redis_reply *entry) {
    struct hub_place *at = &r->at[partition];
    struct hub_heard read = {0};
    if (entry->elements < 2 || !stream_id_parse(entry->element[0].str, &at->id)) return ERR_ABORTED;
    at->count++;
    hub_entry_read(&entry->element[1], at->epoch, &r->scratch, &read);
    int e = read.event && !read.settled ? take_event(r, partition, read.event) : 0;
    arena_reset(&r->scratch);
    return e;
}

static void ask_page(struct reading *r, struct redis_batch *b) {
    char key[KEY_MAX];
    int64_t room = PAGE;
    for (size_t i = 0; i < r->live->places.partitions; i++) {
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
    for (size_t i = 0; i < r->live->places.partitions; i++) {
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
    struct domain *d = &r->live->gateway->domain;
    if (epoch_now(d) != r->until[0].epoch) return ERR_ABORTED;
    struct redis_batch *b = redis_batch_new();
    ask_page(r, b);
    int e = redis_exchange(self, d->redis, b);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    /* It may have been queued across a reconnect, to another server. */
    if (e == 0 && epoch_now(d) == r->until[0].epoch)
        e = take_page(r, b);
    else
        e = ERR_ABORTED;
    redis_batch_free(b);
    return e;
}

int live_read_missed(struct fiber *self, struct subscriber *s, const struct live_token *from,
                     const struct hub_place *until, struct tell **tells, size_t *n) {
    struct live *l = s->live;
    struct arena *a = fiber_arena(self);
    size_t partitions = l->places.partitions;
    struct reading r = {.live = l, .subscriber = s, .until = until};
    r.at = arena_memdup(a, from->places, partitions * sizeof *r.at);
    int64_t left = count_missing(&r);
    if (left < 0 || left > REPLAY_READ_MAX) return ERR_ABORTED;
    r.asked = ARENA_ARRAY(a, int64_t, partitions);
    arena_init(&r.scratch, EVENT_ARENA_LIMIT);
    int e = 0;
    for (; left > 0 && e == 0; left -= PAGE) e = read_page(self, &r);
    arena_free(&r.scratch);
    *n = e == 0 ? r.n : 0;
    *tells = *n > 0 ? arena_memdup(a, r.tells, *n * sizeof **tells) : NULL;
    free(r.tells);
    return e;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b) {
    const struct tell *x = a, *y = b;
    if (stream_id_before(x->place.id, y->place.id)) return -1;
    if (stream_id_before(y->place.id, x->place.id)) return 1;
    return x->partition - y->partition;
}

/* What the viewer has done with the posts that are shown: these are not new, and the viewer may have read them
 * elsewhere. */
static int learn_engaged(struct fiber *self, struct replay *r, const struct tell *tells, size_t n) {
    struct live *l = r->subscriber->live;
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    size_t n_ids = 0;
    for (size_t i = 0; i < n; i++)
        if (tells[i].kind == TELL_ITEM)
            ids[n_ids++] = tells[i].entry.repost_of_id ? tells[i].entry.repost_of_id : tells[i].post_id;
    while (n_ids > 0 && post_engaged_in(self, &l->gateway->domain, r->subscriber->account_id, ids, n_ids,
                                        r->engaged, NULL) != 0) {
        int e = fiber_sleep_ms(self, RETRY_MS);
        if (e != 0) return e;
    }
    return 0;
}

/* Sends the messages made so far, or drops them once the client has disconnected. */
static int send_out(struct fiber *self, struct rpc_call *call, struct replay *r, int e) {
    for (size_t i = 0; i < r->n_out; i++) {
        if (e == 0) {
            e = rpc_send_shared(self, call, r->out[i]);
            r->subscriber->live->sent->value++;
        }
        rpc_shared_unref(r->out[i]);
    }
    r->n_out = 0;
    return e;
}

int live_send_missed(struct fiber *self, struct rpc_call *call, struct subscriber *s,
                     const struct live_token *from, struct tell *tells, size_t n) {
    struct live *l = s->live;
    struct replay r = {.subscriber = s};
    assert(from->places && !s->stream);
    r.told = arena_memdup(fiber_arena(self), from->places, l->places.partitions * sizeof *r.told);
    engaged_init(r.engaged);
    qsort(tells, n, sizeof *tells, by_place);
    int e = learn_engaged(self, &r, tells, n);
    for (size_t i = 0; i < n && e == 0; i++) {
        if (i % LIVE_BATCH == 0) live_load_ahead(self, l, tells + i, n - i < LIVE_BATCH ? n - i : LIVE_BATCH);
        tells[i].replay = &r;
        live_tell(self, l, &tells[i]);
        if (fiber_cancelled(self)) e = ERR_CANCELLED;
        e = send_out(self, call, &r, e);
        r.told[tells[i].partition] = tells[i].place;
    }
    engaged_free(r.engaged);
    free(r.out);
    return e;
}
