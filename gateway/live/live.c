/* Live feeds: subscribing, beginning and end; the story is in live.h. */
#include "gateway/live/live.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

#define LEARN_MAX 3

/* ---- subscribing --------------------------------------------------------------------------------------- */

/* How a stream begins. */
struct beginning {
    const struct live_token *from; /* NULL: now */
    struct hub_place *joined;      /* what had been heard when it joined */
    struct tell *missed;
    size_t n_missed;
};

static void on_end(void *arg) {
    subscriber_free(arg);
}

/* Loads the relations, until no change of them was heard meanwhile. If they change all the time, the resetter loads
 * them. */
static int learn_relations(struct fiber *self, struct subscriber *s, struct fault *fault) {
    struct relations r;
    for (int attempt = 0; attempt < LEARN_MAX; attempt++) {
        s->must_reset = false;
        int e = relations_load(self, &s->live->gateway->domain, s->account_id, &r, fault);
        if (e != 0) return e;
        audience_index(s, &r);
        if (!s->must_reset) break;
    }
    return 0;
}

/* From now on everything that is heard is pushed to it. */
static void join(struct fiber *self, struct subscriber *s, struct beginning *b) {
    const struct live_places *p = &s->live->places;
    b->joined = arena_memdup(fiber_arena(self), p->heard, p->partitions * sizeof *p->heard);
    subscriber_join(s);
}

static bool can_resume(struct fiber *self, struct live *l, const struct live_token *from) {
    return from->places && places_wait_heard(self, &l->places, from->places);
}

/* Leaves a subscriber that has joined, or one that must be reset. */
static int begin(struct fiber *self, struct subscriber *s, struct beginning *b, struct fault *fault) {
    bool resumes = b->from && can_resume(self, s->live, b->from);
    int e = learn_relations(self, s, fault);
    if (e != 0) return e;
    if (b->from && !resumes) subscriber_reset(s);
    if (s->must_reset) return 0;
    join(self, s, b);
    if (!resumes) return 0;
    if (live_find_missed(s, b->from, fiber_arena(self), &b->missed, &b->n_missed) != 0) subscriber_reset(s);
    return 0;
}

/* Only LIVE_RESUMES concurrently: many may come together. How fast their clients read does not matter. */
static int begin_in_turn(struct fiber *self, struct subscriber *s, struct beginning *b, struct fault *fault) {
    struct live *l = s->live;
    if (!b->from) return begin(self, s, b, fault);
    int e = semaphore_acquire(self, &l->resumes);
    if (e != 0) return fault_set(fault, e, "too many streams are being resumed");
    e = begin(self, s, b, fault);
    semaphore_release(&l->resumes);
    return e;
}

/* From here on the stream is fed without a fiber. */
static void go_live(struct fiber *self, struct subscriber *s, struct rpc_call *call,
                    const struct beginning *b) {
    struct live *l = s->live;
    assert(s->must_reset == (s->joined == LIVE_NOT_JOINED));
    s->stream = rpc_detach(call, on_end, s);
    if (b->from) (s->must_reset ? l->resumed_by_reset : l->resumed)->value++;
    if (s->must_reset) {
        subscriber_reset(s);
        return;
    }
    struct rpc_shared *beat = live_heartbeat(live_position_token(l, fiber_arena(self), b->joined));
    subscriber_go_live(s, beat);
    rpc_shared_unref(beat);
}

int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token) {
    struct live *l = g->live;
    struct live_token from;
    struct beginning b = {.from = resume_token.len > 0 ? &from : NULL};
    if (b.from && !live_token_decode(rpc_arena(call), g->page_key, resume_token, l->places.partitions, &from))
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "resume_token",
                           "resume_token must be empty or one that this stream has sent");
    struct subscriber *s = subscriber_new(l, rpc_identity(call));
    if (!s) return fault_set(rpc_fault(call), ERR_OVERLOADED, "no memory for another stream");
    int e = begin_in_turn(self, s, &b, rpc_fault(call));
    if (e == 0) e = rpc_send_headers(self, call);
    if (e == 0 && b.n_missed > 0) e = live_send_missed(self, call, s, b.from, b.missed, b.n_missed);
    if (e != 0) {
        subscriber_free(s);
        return e;
    }
    go_live(self, s, call, &b);
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct live *live_new(struct gateway *g) {
    struct live *l = calloc(1, sizeof *l);
    if (!l) abort();
    l->gateway = g;
    list_init(&l->all);
    list_init(&l->due);
    list_init(&l->resetting);
    idmap_init(&l->by_author);
    idmap_init(&l->by_account);
    places_init(&l->places, (size_t)g->domain.config->partitions, (size_t)g->domain.config->resume_bytes);
    l->queue = calloc(LIVE_QUEUE_CAP, sizeof *l->queue);
    if (!l->queue) abort();
    condition_init(&l->wake);
    condition_init(&l->wake_resetter);
    semaphore_init(&l->resumes, LIVE_RESUMES, LIVE_RESUMES_WAITING);
    latch_init(&l->stopped, 3);
    struct metrics *m = g->domain.metrics;
    l->subscribers = metrics_gauge(m, "rookery_live_subscribers", "Open home timeline streams", "");
    l->sent = metrics_counter(m, "rookery_live_sent_total", "Messages queued to live streams", "");
    l->dropped = metrics_counter(m, "rookery_live_dropped_total",
                                 "Live streams ended because their client did not read", "");
    l->resets = metrics_counter(m, "rookery_live_resets_total",
                                "Live streams that were told to read their timeline again", "");
    const char *help = "Streams that were resumed with a token, by how";
    l->resumed = metrics_counter(m, "rookery_live_resumed_total", help, "by=\"replay\"");
    l->resumed_by_reset = metrics_counter(m, "rookery_live_resumed_total", help, "by=\"reset\"");
    return l;
}

void live_start(struct live *l) {
    const struct {
        const char *name;
        fiber_fn *fn;
    } fibers[] = {{"live feeder", live_feeder}, {"live heart", live_heart}, {"live resetter", live_resetter}};
    live_listen(l);
    for (size_t i = 0; i < sizeof fibers / sizeof *fibers; i++) {
        struct fiber_options options = {.name = fibers[i].name};
        if (fiber_spawn(l->gateway->domain.loop, &options, fibers[i].fn, l, NULL) != 0) abort();
    }
}

void live_free(struct fiber *self, struct live *l) {
    if (!l) return;
    l->stopping = true;
    condition_broadcast(&l->wake);
    condition_broadcast(&l->wake_resetter);
    latch_wait(self, &l->stopped);
    assert(l->n_all == 0 && l->by_account.len == 0);
    idmap_free(&l->by_author);
    idmap_free(&l->by_account);
    places_free(&l->places);
    free(l->queue);
    free(l);
}
