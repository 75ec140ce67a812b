/* What a resuming stream missed: what concerns it, and sending that. The story and the lemma are in live.h. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

#define REPLAY_TELL_MAX 200    /* items sent to it */
#define REPLAY_CHANGE_MAX 1000 /* edits and deletions, of any post, that are examined */

/* ---- finding ------------------------------------------------------------------------------------------- */

struct reading {
    struct subscriber *subscriber;
    struct tell *tells; /* malloc'ed, since most of what is read is not wanted */
    size_t n, cap, n_items;
};

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

static int take(void *context, const struct place_heard *heard) {
    struct reading *r = context;
    const struct subscriber *s = r->subscriber;
    struct tell t;
    if (!live_tell_of(heard, &t)) return 0;
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

/* The chains on which there may be something for the subscriber. */
static int walk_all(struct reading *r, const struct hub_place *from) {
    const struct subscriber *s = r->subscriber;
    const struct live_places *p = &s->live->places;
    const struct ids *followed = &s->relations.followed;
    int e = places_walk(p, chain_of_target(s->account_id), from, take, r);
    if (e == 0) e = places_walk(p, chain_of_actor(s->account_id), from, take, r);
    for (size_t i = 0; i < followed->len && e == 0; i++)
        e = places_walk(p, chain_of_actor(followed->v[i]), from, take, r);
    for (size_t i = 0; i < p->partitions && e == 0; i++)
        e = places_walk(p, chain_of_posts((int)i), from, take, r);
    return e;
}

int live_find_missed(struct subscriber *s, const struct live_token *from, struct arena *a,
                     struct tell **tells, size_t *n) {
    struct reading r = {.subscriber = s};
    int e = places_reach(&s->live->places, from->places) ? walk_all(&r, from->places) : ERR_ABORTED;
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
        int e = fiber_sleep_ms(self, LIVE_RETRY_MS);
        if (e != 0) return e;
    }
    return 0;
}

/* Sends the message that was made, or drops it once the client has disconnected. */
static int send_out(struct fiber *self, struct rpc_call *call, struct replay *r, int e) {
    if (!r->out) return e;
    if (e == 0) {
        e = rpc_send_shared(self, call, r->out);
        r->subscriber->live->sent->value++;
    }
    rpc_shared_unref(r->out);
    r->out = NULL;
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
    for (size_t i = 0; i < n && e == 0 && !s->must_reset; i++) {
        if (i % LIVE_BATCH == 0) live_load_ahead(self, l, tells + i, n - i < LIVE_BATCH ? n - i : LIVE_BATCH);
        assert(i == 0 || by_place(&tells[i - 1], &tells[i]) < 0); /* no place is sent twice */
        tells[i].replay = &r;
        live_tell(self, l, &tells[i]);
        if (fiber_cancelled(self)) e = ERR_CANCELLED;
        e = send_out(self, call, &r, e);
        r.told[tells[i].partition] = tells[i].place;
    }
    engaged_free(r.engaged);
    return e;
}
