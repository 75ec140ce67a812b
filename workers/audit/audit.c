/* The audit of some accounts; audit.h says what is compared, and why.
 *
 * Live streams first, then two phases, first pages before whole timelines. One look at a set of accounts, in a phase:
 *   1. Read what SQL says of each.
 *   2. Wait until everything committed so far has been delivered.
 *   3. Read what the API says of each, through every gateway, with sessions that were inserted in SQL for this.
 *   4. For first pages: 2 and 3 again.
 *   5. Read again what SQL says of each; compare.
 * Accounts that differ are looked at again after a pause, in the same phase: a deep read must not repair what first
 * pages lack before they are read again. Statements and calls of several accounts are in flight concurrently.
 * Failures: if a server cannot be asked, the audit ends with a sentence, since half an audit proves nothing.
 */
#include "workers/audit/audit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/domain/timeline/home.h"
#include "workers/audit/audit_internal.h"
#include "workers/runtime/backlog.h"

#define LOOKS 3
/* How long gateways may still show a deleted post. */
#define PAUSE_MS 1000

static const int PAGE_SIZES[] = {[AUDIT_PAGE_1] = 1, [AUDIT_PAGE_5] = 5, [AUDIT_PAGE_20] = 20};
#define PAGE_AGAIN 20

/* ---- a look -------------------------------------------------------------------------------------------- */

/* One account in one phase. */
struct sight {
    struct audit_account *account;
    struct audit_differences found; /* at all looks so far */
    /* at this look */
    struct audit_token before_token, after_token;
    struct audit_view before, after;
    struct audit_page pages[AUDIT_GATEWAYS_MAX][AUDIT_PLACES];
};

struct phase {
    audit_step *read, *read_again; /* the second may be NULL */
};

struct look {
    struct audit *audit;
    const struct phase *phase;
    struct sight **sights;
    struct audit_session *sessions;
    size_t n;
};

static int read_before(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct look *l = context;
    struct sight *s = l->sights[i];
    int e = audit_relations_token(self, l->audit->domain, s->account->id, &s->before_token, fault);
    return e != 0 ? e : audit_expected(self, l->audit->domain, s->account->id, &s->before, fault);
}

static int read_after(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct look *l = context;
    struct sight *s = l->sights[i];
    int e = audit_expected(self, l->audit->domain, s->account->id, &s->after, fault);
    return e != 0 ? e : audit_relations_token(self, l->audit->domain, s->account->id, &s->after_token, fault);
}

/* Gateways in the order in which the i-th account asks them. */
static size_t gateway_at(const struct look *l, size_t i, size_t turn) {
    return (i + turn) % l->audit->n_gateways;
}

static int read_page(struct fiber *self, struct look *l, size_t i, size_t gateway, enum audit_place place,
                     int size, struct fault *fault) {
    struct audit_page *page = &l->sights[i]->pages[gateway][place];
    assert(page->owed == 0 && page->shown.n == 0); /* once a look: what is shown is appended */
    l->audit->tally.first_pages++;
    return audit_api_page(self, l->audit->gateways[gateway], i, l->sessions[i].token, size, page, fault);
}

static int read_first(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct look *l = context;
    int e = 0;
    for (enum audit_place place = AUDIT_PAGE_1; place <= AUDIT_PAGE_20; place++)
        for (size_t turn = 0; turn < l->audit->n_gateways && e == 0; turn++)
            e = read_page(self, l, i, gateway_at(l, i, turn), place, PAGE_SIZES[place], fault);
    return e;
}

static int read_again(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct look *l = context;
    int e = 0;
    for (size_t turn = 0; turn < l->audit->n_gateways && e == 0; turn++)
        e = read_page(self, l, i, gateway_at(l, i, turn), AUDIT_AGAIN, PAGE_AGAIN, fault);
    return e;
}

static int read_whole(struct fiber *self, void *context, size_t i, struct fault *fault) {
    struct look *l = context;
    int e = 0;
    for (size_t turn = 0; turn < l->audit->n_gateways && e == 0; turn++) {
        size_t gateway = gateway_at(l, i, turn);
        struct audit_page *page = &l->sights[i]->pages[gateway][AUDIT_WHOLE];
        l->audit->tally.wholes++;
        e = audit_api_whole(self, l->audit->gateways[gateway], i, l->sessions[i].token, page, fault);
        l->sights[i]->account->entries = page->shown.n;
    }
    return e;
}

static const struct phase FIRST = {read_first, read_again};
static const struct phase WHOLE = {read_whole, NULL};

static int settle(struct fiber *self, struct look *l, struct fault *fault) {
    return backlog_settle(self, l->audit->domain, l->audit->wait_ms, fault);
}

static int read_pages(struct fiber *self, struct look *l, struct fault *fault) {
    int e = audit_each(self, l->n, l->phase->read, l, fault);
    if (e != 0 || !l->phase->read_again) return e;
    e = settle(self, l, fault);
    return e != 0 ? e : audit_each(self, l->n, l->phase->read_again, l, fault);
}

static int see(struct fiber *self, struct look *l, struct fault *fault) {
    struct domain *d = l->audit->domain;
    int e = audit_each(self, l->n, read_before, l, fault);
    if (e == 0) e = settle(self, l, fault);
    if (e == 0) e = audit_sessions_open(self, d, l->sessions, l->n, fault);
    if (e != 0) return e;
    e = read_pages(self, l, fault);
    audit_sessions_close(self, d, l->sessions, l->n);
    return e == 0 ? audit_each(self, l->n, read_after, l, fault) : e;
}

/* ---- judging it ---------------------------------------------------------------------------------------- */

/* Collects everything that was shown before the pages that are read again. */
static void gather_seen(const struct look *l, const struct sight *s, struct audit_view *out) {
    for (size_t g = 0; g < l->audit->n_gateways; g++)
        for (enum audit_place place = AUDIT_PAGE_1; place <= AUDIT_PAGE_20; place++) {
            const struct audit_view *shown = &s->pages[g][place].shown;
            for (size_t i = 0; i < shown->n; i++) audit_view_add(out, &shown->v[i]);
        }
}

static void judge_page(const struct sight *s, size_t gateway, enum audit_place place,
                       const struct audit_view *seen, struct audit_differences *out) {
    const struct audit_page *page = &s->pages[gateway][place];
    if (page->owed == 0) return; /* not read in this phase */
    struct audit_differences found = {0};
    audit_compare(&s->before, &s->after, page, &found);
    if (place == AUDIT_AGAIN) audit_compare_vanished(seen, &s->after, page, &found);
    audit_differences_found_at(&found, audit_where(gateway, place));
    audit_differences_collect(out, &found);
    audit_differences_free(&found);
}

static void conclude(const struct look *l, struct sight *s) {
    struct audit_differences found = {0};
    struct audit_view seen = {0};
    gather_seen(l, s, &seen);
    for (size_t g = 0; g < l->audit->n_gateways; g++)
        for (enum audit_place place = 0; place < AUDIT_PLACES; place++)
            judge_page(s, g, place, &seen, &found);
    audit_differences_looked(&found, strcmp(s->before_token.text, s->after_token.text) == 0);
    audit_differences_collect(&s->found, &found);
    s->account->looks++;
    audit_view_free(&seen);
    audit_differences_free(&found);
}

static void forget(struct sight *s) {
    audit_view_free(&s->before);
    audit_view_free(&s->after);
    for (size_t g = 0; g < AUDIT_GATEWAYS_MAX; g++)
        for (size_t place = 0; place < AUDIT_PLACES; place++) {
            audit_view_free(&s->pages[g][place].shown);
            s->pages[g][place].owed = 0;
        }
}

static int look(struct fiber *self, struct look *l, struct fault *fault) {
    for (size_t i = 0; i < l->n; i++)
        l->sessions[i] = (struct audit_session){.account_id = l->sights[i]->account->id};
    int e = see(self, l, fault);
    for (size_t i = 0; i < l->n; i++) {
        if (e == 0) conclude(l, l->sights[i]);
        forget(l->sights[i]);
    }
    return e;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Looks up to LOOKS times; after the first only at accounts that differed. */
static int look_repeatedly(struct fiber *self, struct look *l, struct sight *sights, size_t n,
                           struct fault *fault) {
    for (int round = 0; round < LOOKS; round++) {
        l->n = 0;
        for (size_t i = 0; i < n; i++)
            if (round == 0 || sights[i].found.n > 0) l->sights[l->n++] = &sights[i];
        if (l->n == 0) return 0;
        int e = round == 0 ? 0 : fiber_sleep_ms(self, PAUSE_MS);
        if (e == 0) e = look(self, l, fault);
        if (e != 0) return e;
    }
    return 0;
}

static int run_phase(struct fiber *self, struct audit *a, const struct phase *phase,
                     struct audit_account *accounts, size_t n, struct fault *fault) {
    struct arena *arena = fiber_arena(self);
    struct look l = {.audit = a, .phase = phase};
    l.sights = ARENA_ARRAY(arena, struct sight *, n);
    l.sessions = ARENA_ARRAY(arena, struct audit_session, n);
    struct sight *sights = calloc(n, sizeof *sights);
    if (!sights) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    for (size_t i = 0; i < n; i++) sights[i].account = &accounts[i];
    int e = look_repeatedly(self, &l, sights, n, fault);
    for (size_t i = 0; i < n; i++) {
        audit_differences_decide(&sights[i].found, LOOKS);
        audit_differences_collect(&accounts[i].found, &sights[i].found);
        audit_differences_free(&sights[i].found);
    }
    free(sights);
    return e;
}

int audit_accounts(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
                   struct fault *fault) {
    assert(a->n_gateways > 0 && a->n_gateways <= AUDIT_GATEWAYS_MAX);
    int e = a->live_ms > 0 ? audit_live(self, a, accounts, n, fault) : 0;
    if (e == 0) e = run_phase(self, a, &FIRST, accounts, n, fault);
    if (e == 0) e = run_phase(self, a, &WHOLE, accounts, n, fault);
    return e;
}
