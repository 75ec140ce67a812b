/* The index of live feeds, author -> local subscribers, and pushing to them. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

static void add(struct idmap *map, int64_t id, struct subscriber *s) {
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

/* The last subscriber takes its place. So a walk from the end visits each subscriber once, even if it removes the one
 * it is at. */
static void drop(struct idmap *map, int64_t id, struct subscriber *s) {
    struct audience *a = idmap_get(map, id);
    size_t i = 0;
    assert(a);
    while (i < a->len && a->v[i] != s) i++;
    assert(i < a->len);
    a->v[i] = a->v[--a->len];
    if (a->len > 0) return;
    idmap_remove(map, id);
    free(a->v);
    free(a);
}

const struct audience *audience_of(const struct idmap *map, int64_t id) {
    return idmap_get(map, id);
}

/* ---- coming and going ---------------------------------------------------------------------------------- */

struct subscriber *audience_subscribe(struct live *l, int64_t account_id, int64_t session_id) {
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s || !(s->pending = calloc(LIVE_PENDING_CAP, sizeof(struct rpc_shared *)))) {
        free(s);
        return NULL;
    }
    s->live = l;
    s->account_id = account_id;
    s->session_id = session_id;
    s->joined = UINT64_MAX;
    list_init(&s->node);
    list_push_back(&l->all, &s->node);
    l->n_all++;
    add(&l->by_account, account_id, s);
    return s;
}

static void unindex(struct subscriber *s) {
    if (!s->indexed) return;
    struct idmap *map = &s->live->by_author;
    drop(map, s->account_id, s);
    for (size_t i = 0; i < s->relations.followed.len; i++) drop(map, s->relations.followed.v[i], s);
    relations_free(&s->relations);
    s->indexed = false;
}

void audience_index(struct subscriber *s, struct relations *r) {
    struct idmap *map = &s->live->by_author;
    unindex(s);
    s->relations = *r;
    add(map, s->account_id, s);
    for (size_t i = 0; i < r->followed.len; i++) add(map, r->followed.v[i], s);
    s->indexed = true;
}

void audience_unsubscribe(struct subscriber *s) {
    assert(s->live->n_all > 0 && (s->pending || s->n_pending == 0));
    for (size_t i = 0; i < s->n_pending; i++) rpc_shared_unref(s->pending[i]);
    free(s->pending);
    unindex(s);
    drop(&s->live->by_account, s->account_id, s);
    list_remove(&s->node);
    s->live->n_all--;
    free(s);
}

/* ---- pushing ------------------------------------------------------------------------------------------- */

/* A subscriber that is still catching up keeps it for later. */
static void hold(struct subscriber *s, struct rpc_shared *message) {
    assert(s->pending && s->n_pending <= LIVE_PENDING_CAP);
    if (s->n_pending == LIVE_PENDING_CAP) {
        s->overflowed = true;
        return;
    }
    rpc_shared_ref(message);
    s->pending[s->n_pending++] = message;
}

void audience_push(struct subscriber *s, struct rpc_shared *message) {
    if (!s->stream) {
        hold(s, message);
    } else if (rpc_stream_send(s->stream, message, LIVE_STREAM_CAP)) {
        s->live->sent->value++;
    } else {
        s->live->dropped->value++;
        rpc_stream_end(s->stream, ERR_RESOURCE_EXHAUSTED,
                       "the client reads too slowly: resume with the last token");
        audience_unsubscribe(s);
    }
}

void audience_push_all(struct live *l, struct rpc_shared *message) {
    list_each_safe (&l->all, node) {
        struct subscriber *s = list_entry(node, struct subscriber, node);
        if (s->joined <= l->places.n_told) audience_push(s, message);
    }
}

/* A resuming stream's own: sent by its fiber. */
static void push_to_replay(struct replay *r, int64_t author_id, const struct tell *t,
                           struct rpc_shared *message, audience_wants *wants) {
    struct subscriber *s = r->subscriber;
    bool hears = author_id == s->account_id ||
                 ids_contains(s->relations.followed.v, s->relations.followed.len, author_id);
    if (!hears || s->told == t->round || !wants(s, t)) return;
    s->told = t->round;
    if (r->n_out == r->cap_out) {
        r->cap_out = r->cap_out ? 2 * r->cap_out : 4;
        r->out = realloc(r->out, r->cap_out * sizeof(struct rpc_shared *));
        if (!r->out) abort();
    }
    rpc_shared_ref(message);
    r->out[r->n_out++] = message;
}

void audience_push_to(struct live *l, int64_t author_id, const struct tell *t, struct rpc_shared *message,
                      audience_wants *wants) {
    assert(t->round > 0 && t->round <= l->round);
    if (t->replay) {
        push_to_replay(t->replay, author_id, t, message, wants);
        return;
    }
    const struct audience *a = audience_of(&l->by_author, author_id);
    for (size_t i = a ? a->len : 0; i-- > 0;) {
        struct subscriber *s = a->v[i];
        if (t->number <= s->joined || s->told == t->round || !wants(s, t)) continue;
        s->told = t->round;
        audience_push(s, message); /* the audience is gone only if this was its last */
    }
}
