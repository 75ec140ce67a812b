/* Finds differences between readings of SQL and what was shown; the rules are in compare.h. */
#include "workers/audit/compare.h"

#include <assert.h>
#include <stdlib.h>

const char *const AUDIT_KIND_NAMES[AUDIT_KINDS] = {"gap", "vanished", "duplicate", "leak", "order", "stale"};
const char *const AUDIT_PLACE_NAMES[AUDIT_PLACES] = {"page 1",        "page 5", "page 20",
                                                     "page 20 again", "whole",  "live"};

_Static_assert(AUDIT_GATEWAYS_MAX *AUDIT_PLACES <= 64, "a set of places is 64 bits");

/* ---- growing arrays ------------------------------------------------------------------------------------ */

static void *grown(void *v, size_t *cap, size_t n, size_t size) {
    if (n < *cap) return v;
    *cap = *cap ? 2 * *cap : 32;
    v = realloc(v, *cap * size);
    if (!v) abort();
    return v;
}

void audit_view_add(struct audit_view *view, const struct audit_entry *e) {
    view->v = grown(view->v, &view->cap, view->n, sizeof *view->v);
    view->v[view->n++] = *e;
}

void audit_view_free(struct audit_view *view) {
    free(view->v);
    *view = (struct audit_view){0};
}

static void differ(struct audit_differences *out, enum audit_kind kind, const struct audit_entry *e) {
    out->v = grown(out->v, &out->cap, out->n, sizeof *out->v);
    out->v[out->n++] = (struct audit_difference){.kind = kind, .entry = *e};
}

/* ---- looking entries up -------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b) {
    int64_t x = ((const struct audit_entry *)a)->id, y = ((const struct audit_entry *)b)->id;
    return (x < y) - (x > y);
}

static bool is_newest_first(const struct audit_view *view) {
    for (size_t i = 1; i < view->n; i++)
        if (view->v[i - 1].id <= view->v[i].id) return false;
    return true;
}

/* Among the first n of a view that is newest first. */
static const struct audit_entry *find(const struct audit_view *view, size_t n, int64_t id) {
    struct audit_entry key = {.id = id};
    if (n > view->n) n = view->n;
    return n == 0 ? NULL : bsearch(&key, view->v, n, sizeof *view->v, newest_first);
}

static bool holds(const struct audit_view *view, int64_t id) {
    return find(view, view->n, id) != NULL;
}

/* A copy, newest first, each entry once. */
static struct audit_view sorted(const struct audit_view *view) {
    struct audit_view copy = {0};
    for (size_t i = 0; i < view->n; i++) audit_view_add(&copy, &view->v[i]);
    if (copy.n > 1) qsort(copy.v, copy.n, sizeof *copy.v, newest_first);
    size_t kept = 0;
    for (size_t i = 0; i < copy.n; i++)
        if (kept == 0 || copy.v[kept - 1].id != copy.v[i].id) copy.v[kept++] = copy.v[i];
    copy.n = kept;
    return copy;
}

/* ---- pages --------------------------------------------------------------------------------------------- */

/* shown: sorted. */
static bool lacks(const struct audit_view *shown, size_t owed, const struct audit_entry *e) {
    bool reaches_further = shown->n < owed || shown->v[shown->n - 1].id < e->id;
    return reaches_further && !holds(shown, e->id);
}

static void find_gaps(const struct audit_view *before, const struct audit_view *after,
                      const struct audit_view *shown, size_t owed, struct audit_differences *out) {
    for (size_t i = 0; i < before->n && i < owed; i++) {
        const struct audit_entry *e = &before->v[i];
        if (find(after, owed, e->id) && lacks(shown, owed, e)) differ(out, AUDIT_GAP, e);
    }
}

/* Returns true when it was shown further up already. Called only for entries shown more than once, or out of order. */
static bool shown_above(const struct audit_view *shown, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (shown->v[i].id == shown->v[at].id) return true;
    return false;
}

static void judge(const struct audit_view *before, const struct audit_view *after,
                  const struct audit_entry *e, struct audit_differences *out) {
    const struct audit_entry *first = find(before, before->n, e->id);
    const struct audit_entry *second = find(after, after->n, e->id);
    if (!first && !second)
        differ(out, AUDIT_LEAK, e);
    else if (first && second && e->edit_count < first->edit_count && e->edit_count < second->edit_count)
        differ(out, AUDIT_STALE, e);
}

void audit_compare(const struct audit_view *before, const struct audit_view *after,
                   const struct audit_page *page, struct audit_differences *out) {
    assert(is_newest_first(before) && is_newest_first(after)); /* entries are searched for in them */
    const struct audit_view *shown = &page->shown;
    struct audit_view by_id = sorted(shown);
    find_gaps(before, after, &by_id, page->owed, out);
    audit_view_free(&by_id);
    int64_t lowest = INT64_MAX;
    for (size_t i = 0; i < shown->n; i++) {
        const struct audit_entry *e = &shown->v[i];
        bool in_order = e->id < lowest;
        if (!in_order && shown_above(shown, i)) {
            differ(out, AUDIT_DUPLICATE, e);
            continue;
        }
        if (in_order)
            lowest = e->id;
        else
            differ(out, AUDIT_ORDER, e);
        judge(before, after, e, out);
    }
}

void audit_compare_vanished(const struct audit_view *seen, const struct audit_view *after,
                            const struct audit_page *page, struct audit_differences *out) {
    struct audit_view earlier = sorted(seen), shown = sorted(&page->shown);
    for (size_t i = 0; i < earlier.n; i++) {
        const struct audit_entry *e = find(after, page->owed, earlier.v[i].id);
        if (e && lacks(&shown, page->owed, e)) differ(out, AUDIT_VANISHED, e);
    }
    audit_view_free(&earlier);
    audit_view_free(&shown);
}

/* ---- live streams -------------------------------------------------------------------------------------- */

/* The entry, or the post that it shows. */
static bool said_gone(const struct audit_heard *heard, const struct audit_entry *e) {
    for (size_t i = 0; i < heard->deleted.len; i++)
        if (heard->deleted.v[i] == e->id || heard->deleted.v[i] == e->post_id) return true;
    return false;
}

/* Returns true when it is new since the reading, not just too old for the reading's depth. */
static bool came_after(const struct audit_view *begin, size_t depth, const struct audit_entry *e) {
    return !holds(begin, e->id) && (begin->n < depth || e->id > begin->v[begin->n - 1].id);
}

void audit_compare_live(const struct audit_view *begin, const struct audit_view *first,
                        const struct audit_view *second, size_t depth, const struct audit_heard *heard,
                        struct audit_differences *out) {
    assert(heard->judged <= heard->items.n);
    struct audit_view brought = sorted(&heard->items);
    for (size_t i = 0; i < first->n && !heard->incomplete; i++) {
        const struct audit_entry *e = &first->v[i];
        if (came_after(begin, depth, e) && holds(second, e->id) &&
            (!holds(&brought, e->id) || said_gone(heard, e)))
            differ(out, AUDIT_GAP, e);
    }
    for (size_t i = 0; i < heard->items.n; i++) {
        const struct audit_entry *e = &heard->items.v[i];
        if (shown_above(&heard->items, i))
            differ(out, AUDIT_DUPLICATE, e);
        else if (i < heard->judged && !holds(begin, e->id) && !holds(first, e->id) && !holds(second, e->id) &&
                 !said_gone(heard, e))
            differ(out, AUDIT_LEAK, e);
    }
    audit_view_free(&brought);
}

/* ---- collecting ---------------------------------------------------------------------------------------- */

static int by_kind_newest_first(const struct audit_difference *a, const struct audit_difference *b) {
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return (a->entry.id < b->entry.id) - (a->entry.id > b->entry.id);
}

/* The first that does not sort before d. */
static size_t place_of(const struct audit_differences *all, const struct audit_difference *d) {
    size_t low = 0, high = all->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_kind_newest_first(&all->v[middle], d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void collect(struct audit_differences *into, const struct audit_difference *d) {
    size_t at = place_of(into, d);
    assert(at == 0 || by_kind_newest_first(&into->v[at - 1], d) < 0);
    if (at == into->n || by_kind_newest_first(&into->v[at], d) != 0) {
        into->v = grown(into->v, &into->cap, into->n, sizeof *into->v);
        for (size_t i = into->n++; i > at; i--) into->v[i] = into->v[i - 1];
        into->v[at] = *d;
        return;
    }
    into->v[at].where |= d->where;
    into->v[at].looks += d->looks;
    into->v[at].steady += d->steady;
}

void audit_differences_collect(struct audit_differences *into, const struct audit_differences *found) {
    for (size_t i = 0; i < found->n; i++) collect(into, &found->v[i]);
}

void audit_differences_found_at(struct audit_differences *d, uint64_t where) {
    for (size_t i = 0; i < d->n; i++) d->v[i].where |= where;
}

void audit_differences_looked(struct audit_differences *d, bool steady) {
    for (size_t i = 0; i < d->n; i++) {
        assert(d->v[i].looks == 0); /* else an earlier one would be forgotten */
        d->v[i].looks = 1;
        d->v[i].steady = steady;
    }
}

bool audit_counts(const struct audit_difference *d, int looks) {
    switch (d->kind) {
    case AUDIT_DUPLICATE:
    case AUDIT_ORDER: return true;
    case AUDIT_GAP:
    case AUDIT_VANISHED: return d->steady >= (d->entry.pulled ? 2 : 1) || d->looks >= looks;
    case AUDIT_LEAK:
    case AUDIT_STALE: return d->steady >= 2 || d->looks >= looks;
    case AUDIT_KINDS: break;
    }
    return true;
}

void audit_differences_decide(struct audit_differences *d, int looks) {
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++)
        if (audit_counts(&d->v[i], looks)) d->v[kept++] = d->v[i];
    d->n = kept;
}

void audit_differences_free(struct audit_differences *d) {
    free(d->v);
    *d = (struct audit_differences){0};
}
