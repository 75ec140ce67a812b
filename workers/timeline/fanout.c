/* Fan-out.
 *
 * A batch of events, on the happy path:
 *   0. Posts that are republished to a new Redis, and settled in its epoch (epoch.h), are left out: every list there
 *      was built with them. So a new Redis, to which an hour's events are republished, is up to date soon.
 *   1. The follower lists of every author (and of every account replied to) are brought to the current state of the
 *      database (followers.h). The events were read before that, so their posts are committed: a list is never older
 *      than the post.
 *   2. Posts of authors with more than ROOKERY_CHUNK_AUDIENCE followers are passed on to the chunks role, as one
 *      small task each (chunks.h), so that other posts do not wait behind them.
 *   3. The others are delivered (deliver.h), all of the batch together: the more posts it has, the fewer commands a
 *      delivery costs. The recipients of a post are the author's followers and the author. The recipients of a reply
 *      to another account are that account, the author, and those followers of the author who also follow that
 *      account. Readers filter again; this only saves deliveries. A pulled author's post goes to the author alone
 *      (gateway/home/pulled.h).
 *   4. For changes of relations that the relay published, tokens are moved and timelines deleted here, since the
 *      gateway may have died before it did so. An event that a gateway published says that this is done.
 * Failures:
 *   - Redis or PostgreSQL is unreachable: a retryable error; the runtime retries the same batch. Readers drop
 *     duplicates.
 *   - the epoch changed while the deliveries were under way: the same (the fence of round_send).
 */
#include "workers/timeline/fanout.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/event/tokens.h"
#include "workers/timeline/chunks.h"
#include "workers/timeline/delivery.h"

/* Two pieces, so that Redis works on one while the other is built; each takes Redis some milliseconds. */
static const struct pace PACE = {.commands = 4096, .under_way = 2};

/* ---- posts ---- */

/* Decided once, immediately after the lists were brought up to date: another lane may load a list again later. */
enum way {
    TO_AUTHOR,    /* alone: a pulled author's post, or one that is passed on to chunks */
    TO_FOLLOWERS, /* by the lists */
    TO_ANSWERED,  /* a reply to a big account: to the accounts that SQL returns */
};

struct posting {
    const Event *event;
    enum way way;
    size_t answer; /* TO_ANSWERED: which of the answers */
};

/* The entries of a batch: sorted, unique. */
struct postings {
    struct posting *v;
    size_t n;
    struct ids accounts;         /* whose lists are needed */
    struct redis_batch *handing; /* the tasks for posts that are passed on */
    struct audience *answers;
    size_t n_answers;
};

static bool is_post(const Event *e) {
    return event_kind(e) == EVENT_POST_CREATED;
}

/* The account that a recipient must follow too; 0 when the post is not a reply to another account. */
static int64_t answered_by(const Event *e) {
    int64_t other = e->post_created->reply_to_account_id;
    return other != e->actor_id ? other : 0;
}

/* Returns true when the post is on every timeline of this epoch without being delivered. */
static bool is_settled(const struct item *item, int64_t epoch) {
    return item->settled_epoch > 0 && item->settled_epoch <= epoch;
}

static int by_post(const void *a, const void *b) {
    int64_t x = ((const struct posting *)a)->event->post_created->post_id;
    int64_t y = ((const struct posting *)b)->event->post_created->post_id;
    return (x > y) - (x < y);
}

static void collect(struct postings *p, const struct batch *b, int64_t epoch, struct arena *a) {
    size_t n = 0;
    *p = (struct postings){.v = ARENA_ARRAY(a, struct posting, b->n)};
    ids_init(&p->accounts);
    for (size_t i = 0; i < b->n; i++)
        if (is_post(b->items[i].event) && !is_settled(&b->items[i], epoch))
            p->v[n++].event = b->items[i].event;
    qsort(p->v, n, sizeof *p->v, by_post);
    for (size_t i = 0; i < n; i++) {
        const Event *e = p->v[i].event;
        if (p->n > 0 && by_post(&p->v[p->n - 1], &p->v[i]) == 0) continue; /* it came twice */
        p->v[p->n++].event = e;
        ids_push(&p->accounts, e->actor_id);
        if (answered_by(e) != 0) ids_push(&p->accounts, answered_by(e));
    }
    ids_sort_unique(&p->accounts);
}

static bool is_big(const struct followers *f, int64_t account_id) {
    bool big;
    followers_of(f, account_id, &big);
    return big;
}

/* Chooses the way of each entry, and notes what has to be asked or passed on for it. */
static void decide(struct postings *p, struct worker *w, int64_t epoch, struct arena *a) {
    p->answers = ARENA_ARRAY(a, struct audience, p->n);
    for (size_t i = 0; i < p->n; i++) {
        struct posting *v = &p->v[i];
        int64_t author = v->event->actor_id, other = answered_by(v->event);
        assert(i == 0 || by_post(v - 1, v) < 0);
        v->way = TO_FOLLOWERS;
        if (v->event->post_created->pulled) {
            v->way = TO_AUTHOR;
        } else if (is_big(delivery_of(w)->followers, author)) {
            v->way = TO_AUTHOR;
            chunks_add_undivided(p->handing, epoch, v->event, w->domain.config->partitions);
        } else if (other != 0 && is_big(delivery_of(w)->followers, other)) {
            v->way = TO_ANSWERED;
            v->answer = p->n_answers++;
            assert(v->answer < p->n);
            p->answers[v->answer] =
                (struct audience){.author_id = author, .hears_too = other, .last = INT64_MAX};
        }
    }
}

/* Delivers to those followers of the author who also follow the account replied to. */
static void deliver_answer(struct round *r, const struct ids *followers, const struct ids *others,
                           int64_t other) {
    for (size_t i = 0; i < followers->len; i++) {
        int64_t id = followers->v[i];
        if (id == other || ids_contains(others->v, others->len, id)) round_deliver(r, &id, 1);
    }
}

static void deliver_post(struct worker *w, struct round *r, const struct posting *v,
                         const struct audience *answers) {
    const Event *e = v->event;
    bool big;
    assert(is_post(e));
    round_entry(r, e->post_created->post_id);
    round_deliver(r, &e->actor_id, 1);
    if (v->way == TO_ANSWERED) round_deliver(r, answers[v->answer].ids, answers[v->answer].n);
    if (v->way != TO_FOLLOWERS) return;
    const struct ids *followers = followers_of(delivery_of(w)->followers, e->actor_id, &big);
    if (answered_by(e) == 0)
        round_deliver(r, followers->v, followers->len);
    else
        deliver_answer(r, followers, followers_of(delivery_of(w)->followers, answered_by(e), &big),
                       answered_by(e));
}

static int deliver_all(struct fiber *self, struct worker *w, const struct postings *p, int64_t epoch) {
    struct round *r = round_open(delivery_of(w)->deliverer);
    int e = 0;
    for (size_t i = 0; i < p->n && e == 0; i++) {
        deliver_post(w, r, &p->v[i], p->answers);
        if (round_deliveries(r) > ROUND_FULL) e = round_send(self, r, epoch, &PACE);
    }
    if (e == 0) e = round_send(self, r, epoch, &PACE);
    round_close(r);
    return e;
}

/* Steps 2 and 3, the lists being held. */
static int send_posts(struct fiber *self, struct worker *w, struct postings *p, int64_t epoch,
                      struct fault *fault) {
    p->handing = redis_batch_new();
    decide(p, w, epoch, fiber_arena(self));
    int e = domain_send(self, &w->domain, p->handing);
    if (e == 0) e = followers_audiences(self, delivery_of(w)->followers, p->answers, p->n_answers, fault);
    return e == 0 ? deliver_all(self, w, p, epoch) : e;
}

static int handle_posts(struct fiber *self, struct worker *w, const struct batch *b, int64_t epoch,
                        struct fault *fault) {
    struct postings p;
    collect(&p, b, epoch, fiber_arena(self));
    int e = followers_hold(self, delivery_of(w)->followers, &p.accounts, fault);
    if (e == 0 && p.n > 0) e = send_posts(self, w, &p, epoch, fault);
    followers_release(delivery_of(w)->followers, &p.accounts);
    ids_free(&p.accounts);
    return e;
}

/* ---- relations ---- */

/* Moves the same tokens, and deletes the same timelines, as core/domain/graph/graph.c does. */
static void note_relation(const Event *e, struct ids *accounts, struct ids *rebuild) {
    int64_t actor = e->actor_id, target = e->followed->target_id; /* every Related shares this place */
    switch (event_kind(e)) {
    case EVENT_UNBLOCKED:
        ids_push(rebuild, target);
        ids_push(accounts, target);
        ids_push(rebuild, actor);
        break;
    case EVENT_FOLLOWED:
    case EVENT_UNMUTED: ids_push(rebuild, actor); break;
    case EVENT_BLOCKED: ids_push(accounts, target); break;
    case EVENT_UNFOLLOWED:
    case EVENT_MUTED: break;
    case EVENT_POST_CREATED: return; /* it has its own way */
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##timelines(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
    ids_push(accounts, actor);
}

static int repeat_relations(struct fiber *self, struct worker *w, const struct batch *b) {
    struct ids accounts, rebuild;
    ids_init(&accounts);
    ids_init(&rebuild);
    for (size_t i = 0; i < b->n; i++)
        if (b->items[i].relayed) note_relation(b->items[i].event, &accounts, &rebuild);
    ids_sort_unique(&accounts);
    ids_sort_unique(&rebuild);
    int e = accounts.len == 0 ? 0
                              : tokens_relations_changed(self, &w->domain, accounts.v, accounts.len,
                                                         rebuild.v, rebuild.len);
    ids_free(&accounts);
    ids_free(&rebuild);
    return e;
}

/* ---- the role ---- */

static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    int64_t epoch;
    int e = epoch_wait(self, &w->domain, &epoch);
    if (e == 0) e = repeat_relations(self, w, b);
    if (e == 0) e = handle_posts(self, w, b, epoch, fault);
    return e;
}

const struct role FANOUT_ROLE = {.name = "fanout",
                                 .stream = &STREAMS[STREAM_EVENTS],
                                 .handle = handle,
                                 .state = &DELIVERY,
                                 .interests = INTEREST_TIMELINES,
                                 .feeds_timelines = true};
