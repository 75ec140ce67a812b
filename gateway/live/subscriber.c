/* A subscriber: one stream of a live feed. It is in one of these states:
 *
 *   beginning   the fiber of its call serves it; once it has joined, what is pushed is held
 *   live        what is pushed is sent
 *   due         it must be reset, and nothing is pushed to it (in live.due, if it has its stream)
 *   resetting   it has joined again and holds what is pushed, until "reset" has been sent (in live.resetting)
 */
#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

struct subscriber *subscriber_new(struct live *l, const struct rpc_identity *who) {
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->live = l;
    s->account_id = who->account_id;
    s->session_id = who->session_id;
    s->expires_ns = who->expires_ns;
    s->joined = LIVE_NOT_JOINED;
    list_init(&s->node);
    list_init(&s->turn);
    list_push_back(&l->all, &s->node);
    l->n_all++;
    audience_add(&l->by_account, s->account_id, s);
    return s;
}

static void drop_held(struct subscriber *s) {
    for (size_t i = 0; i < s->n_held; i++) rpc_shared_unref(s->held[i]);
    free(s->held);
    s->held = NULL;
    s->n_held = s->cap_held = 0;
}

void subscriber_free(struct subscriber *s) {
    assert(s->live->n_all > 0);
    drop_held(s);
    audience_unindex(s);
    audience_drop(&s->live->by_account, s->account_id, s);
    list_remove(&s->node);
    list_remove(&s->turn);
    s->live->n_all--;
    free(s);
}

void subscriber_end(struct subscriber *s, enum error e, const char *text) {
    rpc_stream_end(s->stream, e, text);
    subscriber_free(s);
}

void subscriber_join(struct subscriber *s) {
    assert(s->joined == LIVE_NOT_JOINED && s->indexed && !s->holds && s->n_held == 0);
    s->joined = s->live->places.n_heard;
    s->holds = true;
}

void subscriber_leave(struct subscriber *s) {
    s->joined = LIVE_NOT_JOINED;
    s->holds = false;
    drop_held(s);
}

void subscriber_reset(struct subscriber *s) {
    struct live *l = s->live;
    subscriber_leave(s);
    s->must_reset = true;
    if (!s->stream) return; /* the fiber of its call finds out */
    list_remove(&s->turn);
    list_push_back(&l->due, &s->turn);
    condition_signal(&l->wake_resetter);
}

static void hold(struct subscriber *s, struct rpc_shared *message) {
    assert(s->joined != LIVE_NOT_JOINED && s->n_held <= LIVE_HELD_CAP);
    if (s->n_held == LIVE_HELD_CAP) {
        subscriber_reset(s);
        return;
    }
    if (s->n_held == s->cap_held) {
        s->cap_held = s->cap_held ? 2 * s->cap_held : 8;
        s->held = realloc(s->held, s->cap_held * sizeof(struct rpc_shared *));
        if (!s->held) abort();
    }
    rpc_shared_ref(message);
    s->held[s->n_held++] = message;
}

/* However much is unsent: it is bounded by what may be held. */
static void send_first(struct subscriber *s, struct rpc_shared *message) {
    rpc_stream_send(s->stream, message, SIZE_MAX);
    s->live->sent->value++;
}

void subscriber_go_live(struct subscriber *s, struct rpc_shared *first) {
    assert(s->stream && s->holds && !s->must_reset && !list_linked(&s->turn));
    s->holds = false;
    send_first(s, first);
    for (size_t i = 0; i < s->n_held; i++) send_first(s, s->held[i]);
    drop_held(s);
}

void subscriber_push(struct subscriber *s, struct rpc_shared *message) {
    assert(s->holds || s->stream);
    if (s->holds) {
        hold(s, message);
    } else if (rpc_stream_send(s->stream, message, LIVE_STREAM_CAP)) {
        s->live->sent->value++;
    } else {
        s->live->dropped->value++;
        subscriber_end(s, ERR_RESOURCE_EXHAUSTED, "the client reads too slowly: resume with the last token");
    }
}
