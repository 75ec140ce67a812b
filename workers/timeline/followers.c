/* Follower lists; why they are correct is in followers.h.
 *
 * Lanes of several partitions share the lists and suspend while they use them. So a lane holds the lists that it
 * uses, and only lists that no lane holds are freed. Two lanes may load the same list concurrently; the answer with
 * the newer version stays. A list that turns out to be big keeps its ids while other lanes hold it, since they may
 * have decided to use it. An account without a row (it never existed here) has no followers.
 */
#include "workers/timeline/followers.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/list.h"
#include "workers/timeline/followers.sql.h"

/* Follower ids kept in total: 256 MiB. */
#define CACHED_IDS_MAX (32 * 1024 * 1024)

struct follower_list {
    struct list_node used;
    int64_t account_id, version;
    struct ids ids; /* sorted */
    bool big;
    unsigned holders;
};

struct followers {
    struct domain *domain;
    struct idmap lists;
    struct list_node used; /* most recent last */
    size_t cached;
    uint64_t forgotten; /* number of times: answers to earlier queries are not kept */
    struct counter *loads;
};

struct followers *followers_new(struct domain *d) {
    struct followers *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->domain = d;
    idmap_init(&f->lists);
    list_init(&f->used);
    f->loads = metrics_counter(d->metrics, "rookery_follower_list_loads_total",
                               "Follower lists loaded from SQL", "");
    return f;
}

static void forget_ids(struct followers *f, struct follower_list *l) {
    assert(f->cached >= l->ids.len);
    f->cached -= l->ids.len;
    ids_free(&l->ids);
}

static void let_go(struct followers *f, struct follower_list *l) {
    assert(l->holders == 0);
    idmap_remove(&f->lists, l->account_id);
    list_remove(&l->used);
    forget_ids(f, l);
    free(l);
}

void followers_free(struct followers *f) {
    if (!f) return;
    while (!list_empty(&f->used)) let_go(f, list_entry(f->used.next, struct follower_list, used));
    assert(f->cached == 0 && f->lists.len == 0);
    idmap_free(&f->lists);
    free(f);
}

void followers_forget(struct followers *f) {
    f->forgotten++;
    list_each (&f->used, n) list_entry(n, struct follower_list, used)->version = -1;
}

/* ---- holding ---- */

static struct follower_list *list_new(struct followers *f, int64_t account_id) {
    struct follower_list *l = calloc(1, sizeof *l);
    if (!l) abort();
    l->account_id = account_id;
    l->version = -1;
    ids_init(&l->ids);
    list_init(&l->used);
    idmap_put(&f->lists, account_id, l);
    return l;
}

static void hold_all(struct followers *f, const struct ids *accounts) {
    for (size_t i = 0; i < accounts->len; i++) {
        assert(i == 0 || accounts->v[i - 1] < accounts->v[i]);
        struct follower_list *l = idmap_get(&f->lists, accounts->v[i]);
        if (!l) l = list_new(f, accounts->v[i]);
        list_remove(&l->used);
        list_push_back(&f->used, &l->used);
        l->holders++;
    }
}

static void shrink(struct followers *f) {
    list_each_safe (&f->used, n) {
        struct follower_list *l = list_entry(n, struct follower_list, used);
        if (f->cached <= CACHED_IDS_MAX) return;
        if (l->holders == 0) let_go(f, l);
    }
}

void followers_release(struct followers *f, const struct ids *accounts) {
    for (size_t i = 0; i < accounts->len; i++) {
        struct follower_list *l = idmap_get(&f->lists, accounts->v[i]);
        assert(l && l->holders > 0);
        if (--l->holders > 0) continue;
        if (l->big) forget_ids(f, l);
        if (l->version < 0) let_go(f, l);
    }
    shrink(f);
}

const struct ids *followers_of(const struct followers *f, int64_t account_id, bool *big) {
    const struct follower_list *l = idmap_get(&f->lists, account_id);
    assert(l && l->holders > 0);
    *big = l->big;
    return &l->ids;
}

/* ---- loading ---- */

static void store(struct followers *f, struct pg_row *row, struct arena *a) {
    struct follower_list *l = idmap_get(&f->lists, pg_take_i64(row));
    int64_t version = pg_take_i64(row), *v;
    size_t n = pg_take_i64_array(row, a, &v);
    if (version < l->version) return;
    f->loads->value++;
    l->version = version;
    l->big = n > (size_t)f->domain->config->chunk_audience;
    if (l->big && l->holders > 1) return;
    f->cached -= l->ids.len;
    l->ids.len = 0;
    if (!l->big) ids_append(&l->ids, v, n);
    f->cached += l->ids.len;
}

static int load(struct fiber *self, struct followers *f, const int64_t *accounts, size_t n,
                struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct pg_result *r;
    uint64_t begun = f->forgotten;
    int e = pg_ask(self, f->domain->pg, &FOLLOWERS_LISTS, &r, fault, pg_i64_array(accounts, n),
                   pg_i64(f->domain->config->chunk_audience));
    if (e == 0 && begun != f->forgotten)
        e = (int)fault_set(fault, ERR_UNAVAILABLE, "the database may have gone back meanwhile");
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) store(f, &row, a);
    return 0;
}

int followers_hold(struct fiber *self, struct followers *f, const struct ids *accounts, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    hold_all(f, accounts);
    if (accounts->len == 0) return 0;
    struct pg_result *r;
    int e =
        pg_ask(self, f->domain->pg, &FOLLOWERS_VERSIONS, &r, fault, pg_i64_array(accounts->v, accounts->len));
    if (e != 0) return e;
    int64_t *stale = ARENA_ARRAY(a, int64_t, accounts->len);
    size_t n_stale = 0;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        const struct follower_list *l = idmap_get(&f->lists, pg_take_i64(&row));
        if (l->version < pg_take_i64(&row)) stale[n_stale++] = l->account_id;
    }
    return n_stale == 0 ? 0 : load(self, f, stale, n_stale, fault);
}

/* ---- audiences ---- */

static int ask_audiences(struct fiber *self, struct followers *f, const struct audience *v, size_t n,
                         struct pg_result **r, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    int64_t *authors = ARENA_ARRAY(a, int64_t, n), *hear_too = ARENA_ARRAY(a, int64_t, n);
    int64_t *first = ARENA_ARRAY(a, int64_t, n), *last = ARENA_ARRAY(a, int64_t, n);
    for (size_t i = 0; i < n; i++) {
        authors[i] = v[i].author_id;
        hear_too[i] = v[i].hears_too;
        first[i] = v[i].first;
        last[i] = v[i].last;
    }
    return pg_ask(self, f->domain->pg, &FOLLOWERS_AUDIENCES, r, fault, pg_i64_array(authors, n),
                  pg_i64_array(hear_too, n), pg_i64_array(first, n), pg_i64_array(last, n));
}

int followers_audiences(struct fiber *self, struct followers *f, struct audience *audiences, size_t n,
                        struct fault *fault) {
    struct pg_result *r;
    if (n == 0) return 0;
    int e = ask_audiences(self, f, audiences, n, &r, fault);
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        struct audience *to = &audiences[pg_take_i64(&row) - 1];
        int64_t *v;
        to->n = pg_take_i64_array(&row, fiber_arena(self), &v);
        to->ids = v;
    }
    return 0;
}
