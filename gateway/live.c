/* Live feeds: hearing, subscribing, beginning and end; the story is in live.h. */
#include "gateway/live.h"

#include <stdlib.h>

#include "core/base/snowflake.h"
#include "core/domain/timeline_list.h"
#include "gateway/home_read.h"
#include "gateway/hub.h"
#include "gateway/lists.h"
#include "gateway/live_internal.h"

#define REPLAY_MAX 200 /* entries a resuming stream is brought; more is a reset */
#define OVERLAP_MS 10000

/* ---- hearing ------------------------------------------------------------------------------------------- */

static void enqueue(struct live *l, const struct tell *t) {
    if (l->queue_len == LIVE_QUEUE_CAP) {
        live_reset_all(l);
        return;
    }
    l->queue[l->queue_len++] = *t;
    condition_signal(&l->wake);
}

void live_reset_all(struct live *l) {
    l->queue_len = 0;
    l->reset_due = true;
    condition_signal(&l->wake);
}

static void heard_relation(struct live *l, const Event *e) {
    const int64_t accounts[] = {e->actor_id, e->followed->target_id}; /* every Related shares this place */
    for (int i = 0; i < 2; i++)
        if (audience_of(&l->by_account, accounts[i]))
            enqueue(l, &(struct tell){.kind = TELL_RELATIONS, .account_id = accounts[i]});
}

static void heard_post(struct live *l, const Event *e) {
    const Rookery__Events__V1__PostCreated *p = e->post_created;
    struct tell t = {
        .kind = TELL_ITEM,
        .account_id = e->actor_id,
        .post_id = p->post_id,
        .entry = {p->post_id, e->actor_id, p->reply_to_account_id, p->repost_of_id, p->repost_of_author_id},
    };
    enqueue(l, &t);
}

void live_heard(struct live *l, const Event *e) {
    if (list_empty(&l->all)) return;
    switch (e->what_case) {
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED:
        if (audience_of(&l->by_author, e->actor_id)) heard_post(l, e);
        break;
    /* These concern followers of whoever reposted it, too: only the feeder can find out who that is. */
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_EDITED:
        enqueue(l, &(struct tell){
                       .kind = TELL_EDITED, .account_id = e->actor_id, .post_id = e->post_edited->post_id});
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_DELETED:
        enqueue(l, &(struct tell){.kind = TELL_DELETED,
                                  .is_repost = e->post_deleted->repost_of_id != 0,
                                  .account_id = e->actor_id,
                                  .post_id = e->post_deleted->post_id});
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_SESSIONS_REVOKED:
        if (audience_of(&l->by_account, e->actor_id))
            enqueue(l, &(struct tell){.kind = TELL_SESSIONS, .account_id = e->actor_id});
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_FOLLOWED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_UNFOLLOWED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_BLOCKED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_UNBLOCKED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_MUTED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_UNMUTED: heard_relation(l, e); break;
    default: break;
    }
}

/* ---- subscribing --------------------------------------------------------------------------------------- */

static void on_end(void *arg) {
    audience_unsubscribe(arg);
}

/* Sends a shared message from the fiber, waiting while the stream is full. */
static int send_now(struct fiber *self, struct rpc_call *call, struct rpc_shared *message) {
    int e = rpc_send_shared(self, call, message);
    rpc_shared_unref(message);
    return e;
}

/* Brings what is above the token, oldest first; a reset when that is too much. From SQL: what was committed while nobody
 * listened may not have been delivered to the list yet. */
static int catch_up(struct fiber *self, struct gateway *g, struct rpc_call *call, int64_t token_id) {
    int64_t above = snowflake_floor(snowflake_time_ms(token_id) - OVERLAP_MS);
    struct home_request r = {.viewer_id = caller_of(call),
                             .before = INT64_MAX,
                             .above = above,
                             .limit = REPLAY_MAX,
                             .only_sql = true};
    struct home_page page;
    int e = home_read(self, g, &r, &page, rpc_fault(call));
    if (e != 0) return e;
    struct arena *a = fiber_arena(self);
    size_t n = page.n;
    struct rpc_shared **messages = ARENA_ARRAY(a, struct rpc_shared *, n + 1);
    struct engaged *by = ARENA_ARRAY(a, struct engaged, n + 1);
    post_cache_copy_shown(a, page.entries, page.shown, n); /* what follows suspends */
    e = page.more ? 0 : shape_engaged(self, g, page.viewer, page.shown, n, by, rpc_fault(call));
    viewer_release(page.viewer);
    if (e != 0) return e;
    if (page.more) return send_now(self, call, live_reset_message(g, a));
    for (size_t i = 0; i < n; i++)
        messages[i] = live_item_message(self, g, page.entries[i], page.shown[i], by[i]);
    for (size_t i = n; i-- > 0;) {
        if (e == 0)
            e = send_now(self, call, messages[i]);
        else
            rpc_shared_unref(messages[i]);
    }
    return e;
}

/* From here on the feeder pushes; what it held back goes first. */
static void go_live(struct fiber *self, struct subscriber *s, struct rpc_call *call) {
    struct live *l = s->live;
    struct arena *a = fiber_arena(self);
    s->stream = rpc_detach(call, on_end, s);
    size_t n = s->n_pending;
    struct rpc_shared **held = arena_memdup(a, s->pending, n * sizeof *held);
    bool overflowed = s->overflowed;
    s->n_pending = 0;
    free(s->pending);
    s->pending = NULL;
    struct rpc_shared *first = overflowed ? live_reset_message(l->gateway, a) : live_heartbeat(l->gateway, a);
    rpc_stream_send(s->stream, first, SIZE_MAX);
    rpc_shared_unref(first);
    for (size_t i = 0; i < n; i++) {
        if (!overflowed) {
            rpc_stream_send(s->stream, held[i], SIZE_MAX);
            l->sent->value++;
        }
        rpc_shared_unref(held[i]);
    }
}

/* The subscriber is registered first: from then on a change of its relations has the feeder load them (and index it).
 * Loaded after that, they hold every change that was heard before. */
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

int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token) {
    struct page_position p = {0};
    if (resume_token.len > 0 && page_token_decode(g->page_key, resume_token, LIST_LIVE, &p, NULL) != 0)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "resume_token",
                           "resume_token must be empty or one that this stream has sent");
    struct subscriber *s =
        audience_subscribe(hub_live(g->hub), caller_of(call), rpc_identity(call)->session_id);
    if (!s) return fault_set(rpc_fault(call), ERR_OVERLOADED, "no memory for another stream");
    int e = learn_relations(self, s, rpc_fault(call));
    if (e == 0) e = rpc_send_headers(self, call);
    if (e == 0 && resume_token.len > 0) e = catch_up(self, g, call, p.a);
    if (e != 0) {
        audience_unsubscribe(s);
        return e;
    }
    go_live(self, s, call);
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
    l->queue = calloc(LIVE_QUEUE_CAP, sizeof *l->queue);
    if (!l->queue) abort();
    condition_init(&l->wake);
    latch_init(&l->stopped, 2);
    struct metrics *m = g->domain.metrics;
    l->subscribers = metrics_gauge(m, "rookery_live_subscribers", "Open home timeline streams", "");
    l->sent = metrics_counter(m, "rookery_live_sent_total", "Messages queued to live streams", "");
    l->dropped = metrics_counter(m, "rookery_live_dropped_total",
                                 "Streams ended because their client did not read", "");
    l->resets =
        metrics_counter(m, "rookery_live_resets_total", "Times every stream was told to read again", "");
    return l;
}

void live_start(struct live *l) {
    struct fiber_options feed = {.name = "live feeder"}, beat = {.name = "live heart"};
    if (fiber_spawn(l->gateway->domain.loop, &feed, live_feeder, l, NULL) != 0) abort();
    if (fiber_spawn(l->gateway->domain.loop, &beat, live_heart, l, NULL) != 0) abort();
}

void live_free(struct fiber *self, struct live *l) {
    l->stopping = true;
    condition_broadcast(&l->wake);
    latch_wait(self, &l->stopped);
    idmap_free(&l->by_author);
    idmap_free(&l->by_account);
    free(l->queue);
    free(l);
}
