/* Live feeds; the story is in live.h. */
#include "gateway/live.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/domain/timeline_list.h"
#include "gateway/account_cache.h"
#include "gateway/home_read.h"
#include "gateway/hub.h"
#include "gateway/lists.h"
#include "gateway/shape.h"

#define QUEUE_CAP 10000         /* events that wait for the feeder: some seconds of a busy system */
#define STREAM_CAP (256 * 1024) /* bytes a stream may have unsent: some hundred items */
#define PENDING_CAP 500         /* messages for a subscriber that is still catching up */
#define BATCH 256               /* posts loaded in one statement */
#define REPLAY_MAX 200          /* entries a resuming stream is brought; more is a reset */
#define OVERLAP_MS PROMPT_MS
#define HEARTBEAT_MS 15000

enum tell_kind { TELL_ITEM, TELL_EDITED, TELL_DELETED, TELL_RELATIONS };

struct tell {
    enum tell_kind kind;
    int64_t account_id; /* the author; for relations, whose */
    int64_t post_id;
    struct entry entry; /* TELL_ITEM */
};

struct subscriber {
    struct list_node node; /* in live.all */
    struct list_node same; /* in the list of its account's subscribers */
    struct live *live;
    int64_t account_id;
    struct relations relations;
    bool indexed;
    struct rpc_stream *stream;   /* NULL while catching up */
    struct rpc_shared **pending; /* room for PENDING_CAP while catching up, then NULL */
    size_t n_pending;
    bool overflowed;
};

/* An author's subscribers, or an account's own streams. */
struct audience {
    struct subscriber **v;
    size_t len, cap;
};

struct live {
    struct gateway *gateway;
    struct list_node all;
    struct idmap by_author;  /* author -> struct audience */
    struct idmap by_account; /* viewer -> struct audience */
    struct tell *queue;
    size_t queue_len;
    struct condition wake;
    bool stopping, reset_due;
    struct latch stopped;
    struct gauge *subscribers;
    struct counter *sent, *dropped, *resets;
};

/* ---- audiences
 * ------------------------------------------------------------------------------------------------------- */

static void audience_add(struct idmap *map, int64_t id, struct subscriber *s) {
    struct audience *a = idmap_get(map, id);
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) abort();
        idmap_put(map, id, a);
    }
    if (a->len == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 2;
        a->v = realloc(a->v, a->cap * sizeof(struct subscriber *));
        if (!a->v) abort();
    }
    a->v[a->len++] = s;
}

static void audience_remove(struct idmap *map, int64_t id, struct subscriber *s) {
    struct audience *a = idmap_get(map, id);
    if (!a) return;
    for (size_t i = 0; i < a->len; i++) {
        if (a->v[i] != s) continue;
        a->v[i] = a->v[--a->len];
        break;
    }
    if (a->len > 0) return;
    idmap_remove(map, id);
    free(a->v);
    free(a);
}

static void index_subscriber(struct subscriber *s) {
    struct idmap *map = &s->live->by_author;
    audience_add(map, s->account_id, s);
    for (size_t i = 0; i < s->relations.followed.len; i++) audience_add(map, s->relations.followed.v[i], s);
    s->indexed = true;
}

static void unindex_subscriber(struct subscriber *s) {
    if (!s->indexed) return;
    struct idmap *map = &s->live->by_author;
    audience_remove(map, s->account_id, s);
    for (size_t i = 0; i < s->relations.followed.len; i++)
        audience_remove(map, s->relations.followed.v[i], s);
    s->indexed = false;
}

static void unsubscribe(struct subscriber *s) {
    for (size_t i = 0; i < s->n_pending; i++) rpc_shared_unref(s->pending[i]);
    free(s->pending);
    unindex_subscriber(s);
    audience_remove(&s->live->by_account, s->account_id, s);
    list_remove(&s->node);
    relations_free(&s->relations);
    free(s);
}

/* ---- messages
 * -------------------------------------------------------------------------------------------------------- */

static void stream_response(struct gateway *g, struct arena *a, Rookery__V1__StreamHomeTimelineResponse *m,
                            Rookery__V1__StreamHomeTimelineResponse__EventCase what, int64_t token_id) {
    rookery__v1__stream_home_timeline_response__init(m);
    m->event_case = what;
    struct page_position p = {.list = LIST_LIVE, .a = token_id};
    m->resume_token = page_token_encode(a, g->page_key, &p);
}

static struct rpc_shared *heartbeat(struct gateway *g, struct arena *a) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Heartbeat beat = ROOKERY__V1__HEARTBEAT__INIT;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_HEARTBEAT,
                    snowflake_floor(clock_wall_ms()));
    m.heartbeat = &beat;
    return rpc_shared_new(&m.base);
}

static struct rpc_shared *reset_message(struct gateway *g, struct arena *a) {
    Rookery__V1__StreamHomeTimelineResponse m;
    Rookery__V1__Reset reset = ROOKERY__V1__RESET__INIT;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET,
                    snowflake_floor(clock_wall_ms()));
    m.reset = &reset;
    return rpc_shared_new(&m.base);
}

static struct rpc_shared *deleted_message(struct gateway *g, struct arena *a, int64_t id) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_DELETED_ID,
                    snowflake_floor(clock_wall_ms()));
    m.deleted_id = id;
    return rpc_shared_new(&m.base);
}

static Rookery__V1__TimelineItem *item(struct arena *a, const struct cached_post *entry,
                                       const struct cached_post *shown, struct engaged by) {
    Rookery__V1__TimelineItem *m = ARENA_NEW(a, Rookery__V1__TimelineItem);
    rookery__v1__timeline_item__init(m);
    m->id = entry->lru.id;
    m->post = shape_post(a, shown, by);
    if (entry == shown) return m;
    m->reposted_by_id = entry->entry.author_id;
    m->repost_time = shape_time(a, snowflake_time_ms(entry->lru.id));
    return m;
}

/* The item with the accounts it speaks of, as one message. Suspends to load accounts; the posts are copied
 * before. */
static struct rpc_shared *item_message(struct fiber *self, struct gateway *g, const struct cached_post *entry,
                                       const struct cached_post *shown, struct engaged by) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_ITEM, entry->lru.id);
    m.item = item(a, entry, shown, by);
    struct ids accounts;
    ids_init(&accounts);
    shape_note_post_accounts(&accounts, entry, shown);
    lists_accounts(self, g, accounts.v, accounts.len, &m.accounts, &m.n_accounts, NULL);
    ids_free(&accounts);
    return rpc_shared_new(&m.base);
}

static struct rpc_shared *edited_message(struct gateway *g, struct arena *a, const struct cached_post *p) {
    Rookery__V1__StreamHomeTimelineResponse m;
    stream_response(g, a, &m, ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_EDITED,
                    snowflake_floor(clock_wall_ms()));
    m.edited = shape_post(a, p, (struct engaged){0});
    return rpc_shared_new(&m.base);
}

/* ---- pushing
 * ---------------------------------------------------------------------------------------------------------
 */

/* A subscriber that is still catching up keeps it for later. */
static void hold(struct subscriber *s, struct rpc_shared *message) {
    if (s->n_pending == PENDING_CAP) {
        s->overflowed = true;
        return;
    }
    rpc_shared_ref(message);
    s->pending[s->n_pending++] = message;
}

static void push(struct subscriber *s, struct rpc_shared *message) {
    if (!s->stream) {
        hold(s, message);
    } else if (rpc_stream_send(s->stream, message, STREAM_CAP)) {
        s->live->sent->value++;
    } else {
        s->live->dropped->value++;
        rpc_stream_end(s->stream, ERR_RESOURCE_EXHAUSTED,
                       "the client reads too slowly: resume with the last token");
        unsubscribe(s);
    }
}

static void push_all(struct live *l, struct rpc_shared *message) {
    list_each_safe (&l->all, node) push(list_entry(node, struct subscriber, node), message);
    rpc_shared_unref(message);
}

/* Ending a stream removes its subscriber from the audience, so the walk is over a copy. */
static size_t audience_copy(const struct idmap *map, int64_t id, struct arena *a, struct subscriber ***out) {
    const struct audience *audience = idmap_get(map, id);
    if (!audience) return 0;
    *out = arena_memdup(a, audience->v, audience->len * sizeof(struct subscriber *));
    return audience->len;
}

/* May be called for a subscriber of a copy that has gone since: all are compared with who is there. */
static bool still_there(const struct live *l, const struct subscriber *s, int64_t author_id) {
    const struct audience *a = idmap_get(&l->by_author, author_id);
    for (size_t i = 0; a && i < a->len; i++)
        if (a->v[i] == s) return true;
    return false;
}

typedef bool wants_fn(const struct subscriber *s, const struct tell *t);

static bool wants_entry(const struct subscriber *s, const struct tell *t) {
    return relations_shows_at_home(&s->relations, &t->entry);
}

static bool wants_any(const struct subscriber *s, const struct tell *t) {
    return relations_may_see(&s->relations, t->account_id);
}

static void push_to_audience(struct fiber *self, struct live *l, const struct tell *t,
                             struct rpc_shared *message, wants_fn *wants) {
    struct subscriber **copy;
    size_t n = audience_copy(&l->by_author, t->account_id, fiber_arena(self), &copy);
    for (size_t i = 0; i < n; i++)
        if (still_there(l, copy[i], t->account_id) && wants(copy[i], t)) push(copy[i], message);
    rpc_shared_unref(message);
}

/* ---- the feeder
 * ------------------------------------------------------------------------------------------------------ */

static void reload_relations(struct fiber *self, struct live *l, int64_t account_id) {
    struct relations fresh;
    if (!idmap_get(&l->by_account, account_id)) return;
    while (relations_load(self, &l->gateway->domain, account_id, &fresh, NULL) != 0)
        if (fiber_sleep_ms(self, 100) != 0 || l->stopping) return;
    struct subscriber **copy;
    size_t n = audience_copy(&l->by_account, account_id, fiber_arena(self), &copy);
    for (size_t i = 0; i < n; i++) {
        unindex_subscriber(copy[i]);
        ids_free(&copy[i]->relations.followed);
        ids_free(&copy[i]->relations.blocked);
        ids_free(&copy[i]->relations.muted);
        relations_copy(&copy[i]->relations, &fresh);
        index_subscriber(copy[i]);
    }
    relations_free(&fresh);
}

static void tell_item(struct fiber *self, struct live *l, const struct tell *t,
                      const struct cached_post *entry, const struct cached_post *original) {
    const struct cached_post *shown = t->entry.repost_of_id != 0 ? original : entry;
    if (!entry || !shown || entry->deleted || shown->deleted) return;
    push_to_audience(self, l, t, item_message(self, l->gateway, entry, shown, (struct engaged){0}),
                     wants_entry);
}

static void tell_one(struct fiber *self, struct live *l, const struct tell *t) {
    struct gateway *g = l->gateway;
    const int64_t ids[] = {t->post_id, t->entry.repost_of_id};
    const struct cached_post *posts[2] = {NULL, NULL};
    switch (t->kind) {
    case TELL_RELATIONS: reload_relations(self, l, t->account_id); return;
    case TELL_DELETED:
        push_to_audience(self, l, t, deleted_message(g, fiber_arena(self), t->post_id), wants_any);
        return;
    case TELL_ITEM:
    case TELL_EDITED: break;
    }
    /* Mostly found in the cache: the batch was loaded ahead. */
    size_t n = t->entry.repost_of_id != 0 ? 2 : 1;
    while (post_cache_get(self, g, ids, n, posts, NULL) != 0)
        if (l->stopping || fiber_sleep_ms(self, 100) != 0) return;
    if (t->kind == TELL_ITEM)
        tell_item(self, l, t, posts[0], posts[1]);
    else if (posts[0] && !posts[0]->deleted)
        push_to_audience(self, l, t, edited_message(g, fiber_arena(self), posts[0]), wants_any);
}

/* Brings the posts of a batch into the cache with one statement. */
static void load_ahead(struct fiber *self, struct live *l, const struct tell *batch, size_t n) {
    int64_t ids[2 * BATCH];
    const struct cached_post *posts[2 * BATCH];
    size_t n_ids = 0;
    for (size_t i = 0; i < n; i++) {
        if (batch[i].kind != TELL_ITEM && batch[i].kind != TELL_EDITED) continue;
        ids[n_ids++] = batch[i].post_id;
        if (batch[i].entry.repost_of_id != 0) ids[n_ids++] = batch[i].entry.repost_of_id;
    }
    if (n_ids > 0) post_cache_get(self, l->gateway, ids, n_ids, posts, NULL);
}

static void feed_batch(struct fiber *self, struct live *l) {
    size_t n = l->queue_len < BATCH ? l->queue_len : BATCH;
    struct tell *batch = arena_memdup(fiber_arena(self), l->queue, n * sizeof *batch);
    l->queue_len -= n;
    for (size_t i = 0; i < l->queue_len; i++) l->queue[i] = l->queue[i + n];
    load_ahead(self, l, batch, n);
    for (size_t i = 0; i < n; i++) tell_one(self, l, &batch[i]);
}

static void feeder(struct fiber *self, void *arg) {
    struct live *l = arg;
    while (!l->stopping) {
        if (l->reset_due) {
            l->reset_due = false;
            l->resets->value++;
            push_all(l, reset_message(l->gateway, fiber_arena(self)));
        } else if (l->queue_len > 0) {
            feed_batch(self, l);
        } else if (condition_wait(self, &l->wake) != 0) {
            break;
        }
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}

static void heart(struct fiber *self, void *arg) {
    struct live *l = arg;
    int64_t next_ns = clock_mono_ns() + HEARTBEAT_MS * NS_PER_MS;
    while (!l->stopping && fiber_sleep_ms(self, 100) == 0) {
        l->subscribers->value = 0;
        list_each (&l->all, node) l->subscribers->value++;
        if (clock_mono_ns() < next_ns) continue;
        next_ns += HEARTBEAT_MS * NS_PER_MS;
        if (!list_empty(&l->all)) push_all(l, heartbeat(l->gateway, fiber_arena(self)));
        arena_reset(fiber_arena(self));
    }
    latch_done(&l->stopped);
}

/* ---- hearing
 * ---------------------------------------------------------------------------------------------------------
 */

static void enqueue(struct live *l, const struct tell *t) {
    if (l->queue_len == QUEUE_CAP) {
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
        if (idmap_get(&l->by_account, accounts[i]))
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
    bool somebody = idmap_get(&l->by_author, e->actor_id) != NULL;
    switch (e->what_case) {
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED:
        if (somebody) heard_post(l, e);
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_EDITED:
        if (somebody)
            enqueue(l, &(struct tell){.kind = TELL_EDITED,
                                      .account_id = e->actor_id,
                                      .post_id = e->post_edited->post_id});
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_POST_DELETED:
        if (somebody)
            enqueue(l, &(struct tell){.kind = TELL_DELETED,
                                      .account_id = e->actor_id,
                                      .post_id = e->post_deleted->post_id});
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

/* ---- subscribing
 * ----------------------------------------------------------------------------------------------------- */

static void on_end(void *arg) {
    unsubscribe(arg);
}

static struct subscriber *subscribe(struct live *l, int64_t account_id, const struct relations *r) {
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s || !(s->pending = calloc(PENDING_CAP, sizeof(struct rpc_shared *)))) {
        free(s);
        return NULL;
    }
    s->live = l;
    s->account_id = account_id;
    relations_copy(&s->relations, r);
    list_init(&s->node);
    list_push_back(&l->all, &s->node);
    audience_add(&l->by_account, account_id, s);
    index_subscriber(s);
    return s;
}

/* Sends a shared message from the fiber, waiting while the stream is full. */
static int send_now(struct fiber *self, struct rpc_call *call, struct rpc_shared *message) {
    int e = rpc_send_shared(self, call, message);
    rpc_shared_unref(message);
    return e;
}

/* Brings what is above the token, oldest first; a reset when that is too much. */
static int catch_up(struct fiber *self, struct gateway *g, struct rpc_call *call, int64_t token_id) {
    int64_t above = snowflake_floor(snowflake_time_ms(token_id) - OVERLAP_MS);
    struct home_request r = {
        .viewer_id = caller_of(call), .before = INT64_MAX, .above = above, .limit = REPLAY_MAX};
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
    if (page.more) return send_now(self, call, reset_message(g, a));
    for (size_t i = 0; i < n; i++) messages[i] = item_message(self, g, page.entries[i], page.shown[i], by[i]);
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
    struct gateway *g = s->live->gateway;
    s->stream = rpc_detach(call, on_end, s);
    size_t n = s->n_pending;
    struct rpc_shared **held = arena_memdup(fiber_arena(self), s->pending, n * sizeof *held);
    bool overflowed = s->overflowed;
    s->n_pending = 0;
    free(s->pending);
    s->pending = NULL;
    struct live *l = s->live;
    struct rpc_shared *first =
        overflowed ? reset_message(g, fiber_arena(self)) : heartbeat(g, fiber_arena(self));
    bool alive = rpc_stream_send(s->stream, first, SIZE_MAX);
    rpc_shared_unref(first);
    for (size_t i = 0; i < n; i++) {
        if (alive && !overflowed) {
            rpc_stream_send(s->stream, held[i], SIZE_MAX);
            l->sent->value++;
        }
        rpc_shared_unref(held[i]);
    }
}

int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token) {
    struct page_position p = {0};
    if (resume_token.len > 0 && page_token_decode(g->page_key, resume_token, LIST_LIVE, &p, NULL) != 0)
        return fault_field(rpc_fault(call), ERR_INVALID_ARGUMENT, "resume_token",
                           "resume_token must be empty or one that this stream has sent");
    struct viewer *v;
    int e = viewer_find(self, g, caller_of(call), &v, rpc_fault(call));
    if (e != 0) return e;
    struct subscriber *s = subscribe(hub_live(g->hub), caller_of(call), &v->relations);
    viewer_release(v);
    if (!s) return fault_set(rpc_fault(call), ERR_OVERLOADED, "no memory for another stream");
    e = rpc_send_headers(self, call);
    if (e == 0 && resume_token.len > 0) e = catch_up(self, g, call, p.a);
    if (e != 0) {
        unsubscribe(s);
        return e;
    }
    go_live(self, s, call);
    return 0;
}

/* ---- life
 * ------------------------------------------------------------------------------------------------------------
 */

struct live *live_new(struct gateway *g) {
    struct live *l = calloc(1, sizeof *l);
    if (!l) abort();
    l->gateway = g;
    list_init(&l->all);
    idmap_init(&l->by_author);
    idmap_init(&l->by_account);
    l->queue = calloc(QUEUE_CAP, sizeof *l->queue);
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
    if (fiber_spawn(l->gateway->domain.loop, &feed, feeder, l, NULL) != 0) abort();
    if (fiber_spawn(l->gateway->domain.loop, &beat, heart, l, NULL) != 0) abort();
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
