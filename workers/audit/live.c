/* Compares live streams with SQL; audit.h says what is promised and judged.
 *
 *   1. A listener fiber per account and gateway begins a stream. When all are live:
 *   2. Read what SQL says of each account: the stream's beginning.
 *   3. Wait for live_ms, while listeners note what comes.
 *   4. Read SQL; wait until all of that is delivered; read SQL again.
 *   5. Wait until nothing differs, AUDIT_LIVE_LIMIT_MS at most: what is published is heard a moment later.
 *   6. Report what still differs. Listeners are cancelled, and end.
 * A stream cannot be looked at again, so one look decides. When the account's relations moved meanwhile, only
 * duplicates are judged.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "workers/audit/audit_internal.h"
#include "workers/runtime/backlog.h"

#define LOOK_EVERY_MS 50

struct listener {
    struct live *live;
    struct fiber *fiber;
    struct audit_api *api;
    size_t account;
    struct audit_heard heard;
    bool began;
};

struct subject {
    struct audit_account *account;
    struct audit_token before_token, after_token;
    struct audit_view begin, first, second;
};

struct live {
    struct audit *audit;
    struct subject *subjects;
    struct audit_session *sessions;
    size_t n;
    struct listener *listeners; /* of account i at gateway g: [i * n_gateways + g] */
    size_t n_listeners;
    struct latch began, ended;
    int error;
    struct fault *fault; /* of the first listener that could not begin */
};

/* ---- listening ----------------------------------------------------------------------------------------- */

static void has_begun(void *arg) {
    struct listener *t = arg;
    assert(!t->began); /* the latch counts listeners */
    t->began = true;
    latch_done(&t->live->began);
}

static void listen_to(struct fiber *self, void *arg) {
    struct listener *t = arg;
    struct live *l = t->live;
    struct fault fault = {0};
    const struct audit_ear ear = {has_begun, t, &t->heard};
    int e = audit_api_listen(self, t->api, t->account, l->sessions[t->account].token, &ear, &fault);
    if (e != 0 && l->error == 0) {
        l->error = e;
        *l->fault = fault;
    }
    t->fiber = NULL;
    if (!t->began) has_begun(t);
    latch_done(&l->ended);
}

/* Starts all of them, and waits until each is live or has failed. */
static int start_listening(struct fiber *self, struct live *l) {
    latch_init(&l->began, l->n_listeners);
    latch_init(&l->ended, l->n_listeners);
    for (size_t i = 0; i < l->n_listeners; i++) {
        struct listener *t = &l->listeners[i];
        t->live = l;
        t->account = i / l->audit->n_gateways;
        t->api = l->audit->gateways[i % l->audit->n_gateways];
        if (fiber_spawn(fiber_loop(self), NULL, listen_to, t, &t->fiber) == 0) continue;
        l->error = fault_set(l->fault, ERR_OVERLOADED, "not enough memory");
        latch_done(&l->began);
        latch_done(&l->ended);
    }
    int e = latch_wait(self, &l->began);
    return e != 0 ? e : l->error;
}

static void stop_listening(struct fiber *self, struct live *l) {
    for (size_t i = 0; i < l->n_listeners; i++)
        if (l->listeners[i].fiber) fiber_cancel(l->listeners[i].fiber);
    latch_wait(self, &l->ended);
}

/* ---- what SQL says ------------------------------------------------------------------------------------- */

static int read_begin(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct live *l = context;
    struct subject *s = &l->subjects[i];
    int e = audit_relations_token(self, l->audit->domain, s->account->id, &s->before_token, fault);
    return e != 0 ? e : audit_expected(self, l->audit->domain, s->account->id, &s->begin, fault);
}

static int read_first(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct live *l = context;
    return audit_expected(self, l->audit->domain, l->subjects[i].account->id, &l->subjects[i].first, fault);
}

/* Entries that came before this reading are in it, unless they are gone. */
static int read_second(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct live *l = context;
    struct subject *s = &l->subjects[i];
    for (size_t g = 0; g < l->audit->n_gateways; g++) {
        struct audit_heard *heard = &l->listeners[i * l->audit->n_gateways + g].heard;
        heard->judged = heard->items.n;
    }
    int e = audit_expected(self, l->audit->domain, s->account->id, &s->second, fault);
    return e != 0 ? e : audit_relations_token(self, l->audit->domain, s->account->id, &s->after_token, fault);
}

/* ---- judging ------------------------------------------------------------------------------------------- */

static bool relations_stood_still(const struct subject *s) {
    return strcmp(s->before_token.text, s->after_token.text) == 0;
}

static void judge(const struct live *l, size_t i, size_t gateway, struct audit_differences *out) {
    const struct subject *s = &l->subjects[i];
    const struct audit_heard *heard = &l->listeners[i * l->audit->n_gateways + gateway].heard;
    struct audit_differences found = {0};
    audit_compare_live(&s->begin, &s->first, &s->second, AUDIT_DEPTH, heard, &found);
    bool steady = relations_stood_still(s);
    size_t kept = 0;
    for (size_t j = 0; j < found.n; j++)
        if (steady || found.v[j].kind == AUDIT_DUPLICATE) found.v[kept++] = found.v[j];
    found.n = kept;
    audit_differences_found_at(&found, audit_where(gateway, AUDIT_LIVE));
    audit_differences_collect(out, &found);
    audit_differences_free(&found);
}

static bool anything_differs(const struct live *l) {
    struct audit_differences found = {0};
    for (size_t i = 0; i < l->n_listeners && found.n == 0; i++)
        judge(l, i / l->audit->n_gateways, i % l->audit->n_gateways, &found);
    bool differs = found.n > 0;
    audit_differences_free(&found);
    return differs;
}

static int await_agreement(struct fiber *self, const struct live *l) {
    int64_t give_up_ns = clock_mono_ns() + AUDIT_LIVE_LIMIT_MS * NS_PER_MS;
    int e = 0;
    while (e == 0 && anything_differs(l) && clock_mono_ns() < give_up_ns)
        e = fiber_sleep_ms(self, LOOK_EVERY_MS);
    return e;
}

static void conclude(struct live *l) {
    struct audit *a = l->audit;
    for (size_t i = 0; i < l->n; i++) {
        struct audit_differences found = {0};
        for (size_t g = 0; g < a->n_gateways; g++) {
            judge(l, i, g, &found);
            a->tally.streams++;
            a->tally.streams_ended += l->listeners[i * a->n_gateways + g].heard.incomplete;
        }
        audit_differences_looked(&found, relations_stood_still(&l->subjects[i]));
        audit_differences_collect(&l->subjects[i].account->found, &found);
        audit_differences_free(&found);
        l->subjects[i].account->looks++;
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int observe(struct fiber *self, struct live *l, struct fault *fault) {
    struct domain *d = l->audit->domain;
    int e = audit_each(self, l->n, read_begin, l, fault);
    if (e == 0) e = fiber_sleep_ms(self, l->audit->live_ms);
    if (e == 0) e = audit_each(self, l->n, read_first, l, fault);
    if (e == 0) e = backlog_settle(self, d, l->audit->wait_ms, fault);
    if (e == 0) e = audit_each(self, l->n, read_second, l, fault);
    if (e == 0) e = await_agreement(self, l);
    return e == 0 ? l->error : e;
}

static void clean_up(struct live *l) {
    for (size_t i = 0; i < l->n; i++) {
        audit_view_free(&l->subjects[i].begin);
        audit_view_free(&l->subjects[i].first);
        audit_view_free(&l->subjects[i].second);
    }
    for (size_t i = 0; i < l->n_listeners; i++) {
        audit_view_free(&l->listeners[i].heard.items);
        ids_free(&l->listeners[i].heard.deleted);
    }
}

int audit_live(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
               struct fault *fault) {
    struct arena *arena = fiber_arena(self);
    struct live l = {.audit = a, .n = n, .n_listeners = n * a->n_gateways, .fault = fault};
    l.subjects = ARENA_ARRAY(arena, struct subject, n);
    l.sessions = ARENA_ARRAY(arena, struct audit_session, n);
    l.listeners = ARENA_ARRAY(arena, struct listener, l.n_listeners);
    for (size_t i = 0; i < n; i++) {
        l.subjects[i] = (struct subject){.account = &accounts[i]};
        l.sessions[i] = (struct audit_session){.account_id = accounts[i].id};
    }
    for (size_t i = 0; i < l.n_listeners; i++) l.listeners[i] = (struct listener){0};
    int e = audit_sessions_open(self, a->domain, l.sessions, n, fault);
    if (e != 0) return e;
    e = start_listening(self, &l);
    if (e == 0) e = observe(self, &l, fault);
    if (e == 0) conclude(&l);
    stop_listening(self, &l);
    audit_sessions_close(self, a->domain, l.sessions, n);
    clean_up(&l);
    return e;
}
