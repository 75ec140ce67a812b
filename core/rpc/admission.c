/* Turns and shares: see admission.h. Invariant: calls wait only while `limit` or more run, except between a call's
 * leaving and the admission_next that follows it. So when no call runs, none waits. */
#include "core/rpc/admission.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"

#define IDLE_MAX 4096

struct admission_party {
    struct list_node turn; /* or idle */
    struct list_node waiting;
    uint64_t key;
    size_t running, n_waiting;
};

static bool is_idle(const struct admission_party *p) {
    return p->running == 0 && p->n_waiting == 0;
}

static void forget(struct admission *a, struct admission_party *p) {
    idmap_remove(&a->parties, (int64_t)p->key);
    free(p);
}

void admission_init(struct admission *a, size_t max) {
    assert(max > 0);
    *a = (struct admission){.max = max, .limit = max, .least = max < ADMISSION_LEAST ? max : ADMISSION_LEAST};
    idmap_init(&a->parties);
    list_init(&a->turns);
    list_init(&a->order);
    list_init(&a->idle);
}

void admission_free(struct admission *a) {
    assert(a->running == 0 && a->waiting == 0 && a->active == 0);
    for (struct list_node *n; (n = list_pop_front(&a->idle));)
        forget(a, list_entry(n, struct admission_party, turn));
    assert(a->parties.len == 0);
    idmap_free(&a->parties);
}

/* ---- parties ------------------------------------------------------------------------------------------- */

static struct admission_party *party_of(struct admission *a, uint64_t key) {
    struct admission_party *p = idmap_get(&a->parties, (int64_t)key);
    if (p && !is_idle(p)) return p;
    a->active++;
    if (p) {
        list_remove(&p->turn);
        return p;
    }
    p = malloc(sizeof *p);
    if (!p) abort();
    *p = (struct admission_party){.key = key};
    list_init(&p->turn);
    list_init(&p->waiting);
    idmap_put(&a->parties, (int64_t)key, p);
    return p;
}

static void release_party(struct admission *a, struct admission_party *p) {
    if (!is_idle(p)) return;
    assert(a->active > 0);
    a->active--;
    list_push_back(&a->idle, &p->turn);
    if (a->parties.len - a->active > IDLE_MAX)
        forget(a, list_entry(list_pop_front(&a->idle), struct admission_party, turn));
}

/* What a party may have running when the limit is reached. */
static size_t share(const struct admission *a, size_t parties) {
    size_t each = a->limit / (parties > 0 ? parties : 1);
    return each > 0 ? each : 1;
}

static bool may_run(const struct admission *a, const struct admission_party *p) {
    return a->running < a->limit || (a->running < 2 * a->max && p->running < share(a, a->active));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

bool admission_is_full(const struct admission *a, uint64_t key) {
    const struct admission_party *p = idmap_get(&a->parties, (int64_t)key);
    const struct admission_party none = {0};
    return a->waiting >= a->max && !may_run(a, p ? p : &none);
}

static void run(struct admission *a, struct admission_party *p) {
    p->running++;
    if (++a->running > a->most_running) a->most_running = a->running;
}

bool admission_enter(struct admission *a, struct admission_call *c, uint64_t key, int64_t now_ns) {
    assert(!c->party);
    struct admission_party *p = party_of(a, key);
    *c = (struct admission_call){.party = p, .since_ns = now_ns};
    if (may_run(a, p)) {
        run(a, p);
        return true;
    }
    c->waits = true;
    list_init(&c->of_party);
    list_init(&c->in_order);
    list_push_back(&p->waiting, &c->of_party);
    list_push_back(&a->order, &c->in_order);
    if (p->n_waiting++ == 0) list_push_back(&a->turns, &p->turn);
    a->waiting++;
    return false;
}

static void stop_waiting(struct admission *a, struct admission_call *c) {
    struct admission_party *p = c->party;
    assert(c->waits && p->n_waiting > 0 && a->waiting > 0);
    c->waits = false;
    list_remove(&c->of_party);
    list_remove(&c->in_order);
    a->waiting--;
    if (--p->n_waiting == 0) list_remove(&p->turn);
}

void admission_leave(struct admission *a, struct admission_call *c) {
    struct admission_party *p = c->party;
    if (!p) return;
    if (c->waits) {
        stop_waiting(a, c);
    } else {
        assert(p->running > 0 && a->running > 0);
        p->running--;
        a->running--;
    }
    c->party = NULL;
    release_party(a, p);
}

struct admission_call *admission_next(struct admission *a) {
    if (a->running >= a->limit || list_empty(&a->turns)) return NULL;
    struct admission_party *p = list_entry(a->turns.next, struct admission_party, turn);
    struct admission_call *c = list_entry(p->waiting.next, struct admission_call, of_party);
    list_remove(&p->turn);
    list_push_back(&a->turns, &p->turn);
    stop_waiting(a, c);
    run(a, p);
    return c;
}

struct admission_call *admission_expired(struct admission *a, int64_t now_ns) {
    if (list_empty(&a->order)) return NULL;
    struct admission_call *c = list_entry(a->order.next, struct admission_call, in_order);
    if (now_ns - c->since_ns < ADMISSION_WAIT_MS * NS_PER_MS) return NULL;
    admission_leave(a, c);
    return c;
}

/* ---- the limit ----------------------------------------------------------------------------------------- */

static void adapt(struct admission *a) {
    int64_t mean_ms = a->delays_ns / a->n_delays / NS_PER_MS;
    if (mean_ms > ADMISSION_DELAY_MS) {
        size_t used = a->most_running < a->limit ? a->most_running : a->limit;
        a->limit = used - used / 4 > a->least ? used - used / 4 : a->least;
    } else if (a->most_running >= a->limit) {
        size_t more = a->limit + a->limit / 2 + 1;
        a->limit = more < a->max ? more : a->max;
    }
    assert(a->limit >= a->least && a->limit <= a->max);
}

void admission_delayed(struct admission *a, int64_t delay_ns, int64_t now_ns) {
    a->delays_ns += delay_ns > 0 ? delay_ns : 0;
    a->n_delays++;
    if (now_ns < a->interval_ends_ns) return;
    if (a->interval_ends_ns > 0) adapt(a);
    a->interval_ends_ns = now_ns + ADMISSION_INTERVAL_MS * NS_PER_MS;
    a->delays_ns = a->n_delays = 0;
    a->most_running = a->running;
}
