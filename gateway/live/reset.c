/* Streams that must read again.
 *
 * A subscriber that must be reset leaves: nothing is pushed to it, so no token covers what it was not told. The
 * resetter takes those that are due, RESET_BATCH at a time, and no subscriber twice within a second:
 *   1. It loads their relations. A change of relations that is heard from now on makes a subscriber due again.
 *   2. They join at what has been heard; U is that position. What is pushed from now on is held.
 *   3. It deletes their lists, and the tokens of their relations move (core/event/tokens.h): a home timeline that is
 *      read from now on is built from SQL.
 *   4. It sends "reset" with the token of U, then what was held.
 * Every event at or before U was published before 3, so after its commit: a read that begins after 4 has it, also if
 * no worker has delivered it. It has every change of relations, even one whose writer died before its tokens moved.
 * Failures: SQL or Redis does not answer: they are due again, and the resetter tries again. A subscriber that goes
 * leaves the lists. One that must be reset again meanwhile moves from "resetting" to "due".
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/event/tokens.h"
#include "gateway/live/live_internal.h"

#define RESET_BATCH 64
#define RESET_EVERY_NS NS_PER_S
#define EPOCH_WAIT_NS (2 * NS_PER_S) /* for every partition to be heard in the newest epoch */

/* ---- who must read again ------------------------------------------------------------------------------- */

void live_reset_account(struct live *l, int64_t account_id) {
    const struct audience *a = audience_of(&l->by_account, account_id);
    for (size_t i = 0; a && i < a->len; i++) subscriber_reset(a->v[i]);
}

void live_forget(struct live *l) {
    l->queue_len = 0;
    l->n_forgot++;
    l->forgot_ns = clock_mono_ns();
    l->sessions_due = true; /* an event that was missed may have ended one */
    places_skip(&l->places);
    list_each (&l->all, node) subscriber_reset(list_entry(node, struct subscriber, node));
}

/* ---- the resetter -------------------------------------------------------------------------------------- */

static struct subscriber *of_turn(struct list_node *turn) {
    return list_entry(turn, struct subscriber, turn);
}

/* A new epoch is known before any partition is heard in it, and partitions begin one after the other; together they
 * cause one reset. */
static bool epoch_is_heard(const struct live *l) {
    int64_t heard = places_epoch(l->places.heard, l->places.partitions);
    return (heard != 0 && heard == l->gateway->domain.epoch) ||
           clock_mono_ns() - l->forgot_ns > EPOCH_WAIT_NS;
}

/* Moves those whose turn it is to l->resetting; their accounts are sorted, unique. */
static void take_due(struct live *l, struct ids *accounts) {
    int64_t latest_ns = clock_mono_ns() - RESET_EVERY_NS;
    size_t n = 0;
    assert(list_empty(&l->resetting));
    if (!epoch_is_heard(l)) return;
    list_each_safe (&l->due, turn) {
        if (n == RESET_BATCH) break;
        struct subscriber *s = of_turn(turn);
        if (s->reset_ns > latest_ns) continue;
        list_remove(turn);
        list_push_back(&l->resetting, turn);
        ids_push(accounts, s->account_id);
        n++;
    }
    ids_sort_unique(accounts);
}

static void take_relations(struct live *l, const struct ids *accounts, const struct relations *loaded) {
    list_each (&l->resetting, turn) {
        struct subscriber *s = of_turn(turn);
        size_t i = 0;
        struct relations own;
        while (i < accounts->len && accounts->v[i] != s->account_id) i++;
        assert(i < accounts->len);
        relations_copy(&own, &loaded[i]);
        audience_index(s, &own);
    }
}

static int learn_relations(struct fiber *self, struct live *l, const struct ids *accounts) {
    struct relations *loaded = ARENA_ARRAY(fiber_arena(self), struct relations, accounts->len);
    int e = relations_load_many(self, &l->gateway->domain, accounts->v, accounts->len, loaded, NULL);
    if (e != 0) return e;
    take_relations(l, accounts, loaded);
    for (size_t i = 0; i < accounts->len; i++) relations_free(&loaded[i]);
    return 0;
}

static void join_all(struct live *l) {
    list_each (&l->resetting, turn) {
        assert(of_turn(turn)->must_reset && of_turn(turn)->stream);
        of_turn(turn)->must_reset = false;
        subscriber_join(of_turn(turn));
    }
}

static void send_resets(struct live *l, char *token) {
    struct rpc_shared *message = live_reset_message(token);
    for (struct list_node *turn; (turn = list_pop_front(&l->resetting));) {
        of_turn(turn)->reset_ns = clock_mono_ns();
        l->resets->value++;
        subscriber_go_live(of_turn(turn), message);
    }
    rpc_shared_unref(message);
}

static void put_back(struct live *l) {
    while (!list_empty(&l->resetting)) subscriber_reset(of_turn(l->resetting.next));
}

static void reset_some(struct fiber *self, struct live *l, const struct ids *accounts) {
    int e = learn_relations(self, l, accounts);
    char *token = NULL;
    if (e == 0) {
        join_all(l);
        token = live_position_token(l, fiber_arena(self), l->places.heard);
        e = tokens_relations_changed(self, &l->gateway->domain, accounts->v, accounts->len, accounts->v,
                                     accounts->len);
    }
    if (e == 0)
        send_resets(l, token);
    else
        put_back(l);
    if (e != 0) fiber_sleep_ms(self, LIVE_RETRY_MS);
}

void live_resetter(struct fiber *self, void *arg) {
    struct live *l = arg;
    while (!l->stopping) {
        struct ids accounts;
        ids_init(&accounts);
        take_due(l, &accounts);
        int e = 0;
        if (accounts.len > 0)
            reset_some(self, l, &accounts);
        else
            e = condition_wait(self, &l->wake_resetter);
        ids_free(&accounts);
        arena_reset(fiber_arena(self));
        if (e != 0) break;
    }
    latch_done(&l->stopped);
}
