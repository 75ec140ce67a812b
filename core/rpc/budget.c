/* Shares of request memory: see budget.h.
 *
 * One request: its head has arrived -> it opens, anonymous or known -> each piece of the body is added before it is
 * kept -> it is complete -> it is decoded, and its bytes are taken off -> it closes with its call.
 *
 * A share is full -> its oldest incomplete request is evicted, until there is room. Nothing in it can give way but
 * the request itself -> budget_add returns false, and the caller refuses it.
 *
 * Assumptions. There are few shares: each counts at least one open request, of which a connection has a bounded number,
 * or is one of IDLE_MAX idle ones. Evicting frees bytes immediately (evict() calls budget_close), or one newcomer would
 * make everybody give way.
 */
#include "core/rpc/budget.h"

#include <assert.h>
#include <stdlib.h>

#include "core/http/network.h"

enum { AROUND_TIMES = 10, IDLE_MAX = 4096 };

/* ---- shares -------------------------------------------------------------------------------------------- */

static void forget(struct budget_share *s) {
    idmap_remove(s->map, s->key);
    free(s);
}

static void become_idle(struct budget_idle *idle, struct budget_share *s) {
    assert(s->bytes == 0 && list_empty(&s->incomplete));
    list_push_back(&idle->shares, &s->incomplete);
    if (idle->n++ < IDLE_MAX) return;
    idle->n--;
    forget(list_entry(list_pop_front(&idle->shares), struct budget_share, incomplete));
}

static struct budget_share *share_of(struct budgets *b, struct idmap *map, int64_t key, size_t limit) {
    struct budget_share *s = idmap_get(map, key);
    if (s && s->n_requests == 0) {
        list_remove(&s->incomplete);
        b->idle.n--;
    }
    if (s) return s;
    s = malloc(sizeof *s);
    if (!s) abort();
    *s = (struct budget_share){.limit = limit, .key = key, .map = map, .idle = &b->idle};
    list_init(&s->incomplete);
    idmap_put(map, key, s);
    return s;
}

static void enter(struct budget_request *r, int which, struct budget_share *s) {
    assert(!r->shares[which]);
    r->shares[which] = s;
    s->n_requests++;
    s->bytes += r->bytes;
    list_init(&r->nodes[which]);
    list_push_back(&s->incomplete, &r->nodes[which]);
}

static void leave(struct budget_request *r, int which) {
    struct budget_share *s = r->shares[which];
    if (!s) return;
    assert(s->n_requests > 0 && s->bytes >= r->bytes);
    list_remove(&r->nodes[which]);
    r->shares[which] = NULL;
    s->bytes -= r->bytes;
    if (--s->n_requests == 0 && s->map) become_idle(s->idle, s);
}

static void leave_all(struct budget_request *r) {
    for (int i = 0; i < BUDGET_SHARES; i++) leave(r, i);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

void budget_open_anonymous(struct budgets *b, struct budget_request *r, uintptr_t connection,
                           uint64_t network) {
    const struct budget_limits *l = &b->limits;
    uint64_t around;
    assert(!r->is_open);
    *r = (struct budget_request){.is_open = true};
    enter(r, BUDGET_OWNER, share_of(b, &b->connections, (int64_t)connection, l->connection));
    enter(r, BUDGET_ALL, &b->anonymous);
    if (network == 0) return;
    enter(r, BUDGET_NETWORK, share_of(b, &b->networks, (int64_t)network, l->network));
    if (network_around(network, &around))
        enter(r, BUDGET_AROUND, share_of(b, &b->networks, (int64_t)around, AROUND_TIMES * l->network));
}

static void enter_known(struct budgets *b, struct budget_request *r, int64_t account_id) {
    enter(r, BUDGET_OWNER, share_of(b, &b->accounts, account_id, b->limits.account));
    enter(r, BUDGET_ALL, &b->known);
}

void budget_open_known(struct budgets *b, struct budget_request *r, int64_t account_id) {
    assert(!r->is_open);
    *r = (struct budget_request){.is_open = true};
    enter_known(b, r, account_id);
}

void budget_known(struct budgets *b, struct budget_request *r, int64_t account_id) {
    if (!r->is_open || r->shares[BUDGET_ALL] == &b->known) return;
    bool is_complete = !list_linked(&r->nodes[BUDGET_ALL]);
    leave_all(r);
    enter_known(b, r, account_id);
    if (is_complete) budget_complete(r);
}

void budget_complete(struct budget_request *r) {
    for (int i = 0; i < BUDGET_SHARES; i++)
        if (r->shares[i]) list_remove(&r->nodes[i]);
}

void budget_close(struct budget_request *r) {
    if (!r->is_open) return;
    leave_all(r);
    r->is_open = false;
    r->bytes = 0;
}

/* The oldest incomplete request of the share, unless that is r. */
static struct budget_request *oldest(const struct budget_share *s, int which,
                                     const struct budget_request *r) {
    struct list_node *n = s->incomplete.next;
    if (n == &r->nodes[which]) n = n->next;
    return n == &s->incomplete ? NULL : list_entry(n - which, struct budget_request, nodes);
}

static bool make_room(struct budgets *b, const struct budget_request *r, int which, size_t n) {
    const struct budget_share *s = r->shares[which];
    while (s && s->bytes + n > s->limit) {
        struct budget_request *other = oldest(s, which, r);
        if (!other) return false;
        budget_complete(other);
        b->evicted++;
        b->evict(other);
        assert(!other->is_open);
    }
    return true;
}

bool budget_add(struct budgets *b, struct budget_request *r, size_t n) {
    assert(r->is_open);
    for (int i = 0; i < BUDGET_SHARES; i++)
        if (!make_room(b, r, i, n)) return false;
    for (int i = 0; i < BUDGET_SHARES; i++)
        if (r->shares[i]) r->shares[i]->bytes += n;
    r->bytes += n;
    return true;
}

void budget_take(struct budget_request *r, size_t n) {
    if (n == 0 || !r->is_open) return;
    assert(n <= r->bytes);
    for (int i = 0; i < BUDGET_SHARES; i++)
        if (r->shares[i]) r->shares[i]->bytes -= n;
    r->bytes -= n;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static size_t limit(size_t bytes) {
    return bytes > 0 ? bytes : SIZE_MAX / (2 * AROUND_TIMES);
}

void budget_init(struct budgets *b, const struct budget_limits *limits,
                 void (*evict)(struct budget_request *r)) {
    *b = (struct budgets){.limits = {.connection = limit(limits->connection),
                                     .network = limit(limits->network),
                                     .anonymous = limit(limits->anonymous),
                                     .account = limit(limits->account),
                                     .accounts = limit(limits->accounts)},
                          .evict = evict};
    idmap_init(&b->connections);
    idmap_init(&b->networks);
    idmap_init(&b->accounts);
    b->anonymous.limit = b->limits.anonymous;
    b->known.limit = b->limits.accounts;
    list_init(&b->idle.shares);
    list_init(&b->anonymous.incomplete);
    list_init(&b->known.incomplete);
}

void budget_free(struct budgets *b) {
    assert(b->anonymous.n_requests == 0 && b->known.n_requests == 0);
    for (struct list_node *n; (n = list_pop_front(&b->idle.shares));)
        forget(list_entry(n, struct budget_share, incomplete));
    assert(b->connections.len + b->networks.len + b->accounts.len == 0);
    idmap_free(&b->connections);
    idmap_free(&b->networks);
    idmap_free(&b->accounts);
}

size_t budget_bytes(const struct budgets *b) {
    return b->anonymous.bytes + b->known.bytes;
}
