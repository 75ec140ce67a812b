/* Pushing to subscribers: to all, to those of some authors, or to one that resumes. */
#include <assert.h>

#include "gateway/live/live_internal.h"

void push_to_all(struct live *l, struct rpc_shared *message) {
    list_each_safe (&l->all, node) {
        struct subscriber *s = list_entry(node, struct subscriber, node);
        if (s->joined <= l->places.n_told) subscriber_push(s, message);
    }
}

static bool hears(const struct subscriber *s, int64_t author_id) {
    return author_id == s->account_id ||
           ids_contains(s->relations.followed.v, s->relations.followed.len, author_id);
}

/* A resuming stream's own: sent by its fiber. */
static void push_to_replay(struct replay *r, int64_t author_id, const struct tell *t,
                           struct rpc_shared *message, push_wants *wants) {
    const struct subscriber *s = r->subscriber;
    assert(!s->stream && s->indexed);
    if (r->out || !hears(s, author_id) || !wants(s, t)) return;
    rpc_shared_ref(message);
    r->out = message;
}

static void push_to_audience(struct live *l, int64_t author_id, const struct tell *t,
                             struct rpc_shared *message, push_wants *wants) {
    const struct audience *a = audience_of(&l->by_author, author_id);
    for (size_t i = a ? a->len : 0; i-- > 0;) {
        struct subscriber *s = a->v[i];
        if (t->number <= s->joined || s->told == t->round || !wants(s, t)) continue;
        s->told = t->round;
        subscriber_push(s, message); /* the audience is gone only if this was its last */
    }
}

void push_to(struct live *l, const int64_t *authors, size_t n, struct tell *t, struct rpc_shared *message,
             push_wants *wants) {
    t->round = ++l->round;
    for (size_t i = 0; i < n; i++)
        if (t->replay)
            push_to_replay(t->replay, authors[i], t, message, wants);
        else
            push_to_audience(l, authors[i], t, message, wants);
}
