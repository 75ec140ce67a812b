/* Live feeds: subscribing, beginning and end; the story is in live.h. */
#include "gateway/live/live.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

/* ---- subscribing --------------------------------------------------------------------------------------- */

/* How a stream begins. */
struct beginning {
    const struct live_token *from; /* NULL: now */
    struct hub_place *joined;      /* what had been heard when it joined */
    bool reset;                    /* what it missed cannot be replayed */
    struct tell *missed;
    size_t n_missed;
};

static void on_end(void *arg) {
    audience_unsubscribe(arg);
}

/* From here on the feeder pushes; what it held back goes first. */
static void go_live(struct fiber *self, struct subscriber *s, struct rpc_call *call,
                    const struct beginning *b) {
    struct live *l = s->live;
    struct arena *a = fiber_arena(self);
    assert(!s->stream && s->pending && s->joined != UINT64_MAX);
    char *token = live_position_token(l, a, b->joined);
    s->stream = rpc_detach(call, on_end, s);
    size_t n = s->n_pending;
    struct rpc_shared **held = arena_memdup(a, s->pending, n * sizeof *held);
    bool reset = b->reset || s->overflowed;
    s->n_pending = 0;
    free(s->pending);
    s->pending = NULL;
    struct rpc_shared *first = reset ? live_reset_message(token) : live_heartbeat(token);
    rpc_stream_send(s->stream, first, SIZE_MAX);
    rpc_shared_unref(first);
    for (size_t i = 0; i < n; i++) {
        rpc_stream_send(s->stream, held[i], SIZE_MAX);
        l->sent->value++;
        rpc_shared_unref(held[i]);
    }
}

/* The subscriber is registered first: from then on, when its relations change, the feeder loads them (and indexes
 * it). Relations that are loaded after that contain every change that was heard before. */
static int learn_relations(struct fiber *self, struct subscriber *s, struct fault *fault) {
    struct relations r;
    int e = relations_load(self, &s->live->gateway->domain, s->account_id, &r, fault);
    if (e != 0) return e;
    if (s->indexed)
        relations_free(&r); /* the feeder's are as new */
    else
        audience_index(s, &r);
    return 0;
}

/* From now on everything that is heard is pushed to it. */
static void join(struct fiber *self, struct subscriber *s, struct beginning *b) {
    const struct live_places *p = &s->live->places;
    assert(s->joined == UINT64_MAX && s->indexed);
    b->joined = arena_memdup(fiber_arena(self), p->heard, p->partitions * sizeof *p->heard);
    s->joined = p->n_heard;
}

static int begin(struct fiber *self, struct subscriber *s, struct beginning *b, struct fault *fault) {
    int e = learn_relations(self, s, fault);
    if (e != 0) return e;
    b->reset = b->from && !live_reaches(self, s->live, b->from);
    join(self, s, b);
    if (!b->from || b->reset) return 0;
    e = live_read_missed(self, s, b->from, b->joined, &b->missed, &b->n_missed);
    b->reset = e == ERR_ABORTED;
    return b->reset ? 0 : e;
}

/* Only LIVE_RESUMES concurrently, since each reads the streams. How fast their clients read does not matter. */
static int begin_in_turn(struct fiber *self, struct subscriber *s, struct beginning *b, struct fault *fault) {
    struct live *l = s->live;
    if (!b->from) return begin(self, s, b, fault);
    int e = semaphore_acquire(self, &l->resumes);
    if (e != 0) return fault_set(fault, (enum error)e, "too many streams are being resumed");
    e = begin(self, s, b, fault);
    semaphore_release(&l->resumes);
    if (e == 0) (b->reset ? l->resumed_by_reset : l->resumed)->value++;
    return e;
}

int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token) {
    struct live *l = g->live;
    struct live_token from;
    struct beginning b = {.from = resume_token.len > 0 ? &from : NULL};
    if (b.from && !live_token_decode(rpc_arena(call), g->page_key, resume_token, l->places.partitions, &from))
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "resume_token",
                           "resume_token must be empty or one that this stream has sent");
    struct subscriber *s = audience_subscribe(l, caller_of(call), rpc_identity(call)->session_id);
    if (!s) return fault_set(rpc_fault(call), ERR_OVERLOADED, "no memory for another stream");
    int e = begin_in_turn(self, s, &b, rpc_fault(call));
    if (e == 0) e = rpc_send_headers(self, call);
    if (e == 0 && b.n_missed > 0) e = live_send_missed(self, call, s, b.from, b.missed, b.n_missed);
    if (e != 0) {
        audience_unsubscribe(s);
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
    idmap_init(&l->by_author);
    idmap_init(&l->by_account);
    places_init(&l->places, (size_t)g->domain.config->partitions);
    l->queue = calloc(LIVE_QUEUE_CAP, sizeof *l->queue);
    if (!l->queue) abort();
    condition_init(&l->wake);
    semaphore_init(&l->resumes, LIVE_RESUMES, LIVE_RESUMES_WAITING);
    latch_init(&l->stopped, 2);
    struct metrics *m = g->domain.metrics;
    l->subscribers = metrics_gauge(m, "rookery_live_subscribers", "Open home timeline streams", "");
    l->sent = metrics_counter(m, "rookery_live_sent_total", "Messages queued to live streams", "");
    l->dropped = metrics_counter(m, "rookery_live_dropped_total",
                                 "Live streams ended because their client did not read", "");
    l->resets =
        metrics_counter(m, "rookery_live_resets_total", "Times every live stream was sent a reset", "");
    const char *help = "Streams that were resumed with a token, by how";
    l->resumed = metrics_counter(m, "rookery_live_resumed_total", help, "by=\"replay\"");
    l->resumed_by_reset = metrics_counter(m, "rookery_live_resumed_total", help, "by=\"reset\"");
    return l;
}

void live_start(struct live *l) {
    struct fiber_options feed = {.name = "live feeder"}, beat = {.name = "live heart"};
    live_listen(l);
    if (fiber_spawn(l->gateway->domain.loop, &feed, live_feeder, l, NULL) != 0) abort();
    if (fiber_spawn(l->gateway->domain.loop, &beat, live_heart, l, NULL) != 0) abort();
}

void live_free(struct fiber *self, struct live *l) {
    if (!l) return;
    l->stopping = true;
    condition_broadcast(&l->wake);
    latch_wait(self, &l->stopped);
    idmap_free(&l->by_author);
    idmap_free(&l->by_account);
    places_free(&l->places);
    free(l->queue);
    free(l);
}
