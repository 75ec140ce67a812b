/* Differences between two readings of SQL and one of the API; the rules are in audit.h. */
#include <stdlib.h>

#include "workers/audit.h"

const char *const AUDIT_KIND_NAMES[AUDIT_KINDS] = {"gap", "duplicate", "leak", "order", "stale"};

/* ---- growing arrays ------------------------------------------------------------------------------------ */

static void *grown(void *v, size_t *cap, size_t n, size_t size) {
    if (n < *cap) return v;
    *cap = *cap ? 2 * *cap : 64;
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
    out->v[out->n++] = (struct audit_difference){kind, *e};
}

void audit_differences_free(struct audit_differences *d) {
    free(d->v);
    *d = (struct audit_differences){0};
}

/* ---- looking entries up -------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b) {
    int64_t x = ((const struct audit_entry *)a)->id, y = ((const struct audit_entry *)b)->id;
    return (x < y) - (x > y);
}

/* Among the first n of a view that is newest first. */
static const struct audit_entry *find(const struct audit_entry *v, size_t n, int64_t id) {
    struct audit_entry key = {.id = id};
    return n == 0 ? NULL : bsearch(&key, v, n, sizeof *v, newest_first);
}

static size_t at_most(size_t n, size_t most) {
    return n < most ? n : most;
}

/* ---- the rules ----------------------------------------------------------------------------------------- */

/* What was shown, sorted: for look-ups, and to tell what was shown before. */
static struct audit_view sorted(const struct audit_view *shown) {
    struct audit_view copy = {0};
    for (size_t i = 0; i < shown->n; i++) audit_view_add(&copy, &shown->v[i]);
    if (copy.n > 1) qsort(copy.v, copy.n, sizeof *copy.v, newest_first);
    return copy;
}

static void find_gaps(const struct audit_view *before, const struct audit_view *after,
                      const struct audit_view *shown, size_t length, struct audit_differences *out) {
    for (size_t i = 0; i < at_most(before->n, length); i++) {
        const struct audit_entry *e = &before->v[i];
        if (find(after->v, at_most(after->n, length), e->id) && !find(shown->v, shown->n, e->id))
            differ(out, AUDIT_GAP, e);
    }
}

/* Was it shown further up already? Only asked of what is shown more than once, or out of order. */
static bool shown_above(const struct audit_view *shown, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (shown->v[i].id == shown->v[at].id) return true;
    return false;
}

static void judge(const struct audit_view *before, const struct audit_view *after,
                  const struct audit_entry *e, struct audit_differences *out) {
    const struct audit_entry *first = find(before->v, before->n, e->id);
    const struct audit_entry *second = find(after->v, after->n, e->id);
    if (!first && !second)
        differ(out, AUDIT_LEAK, e);
    else if (first && second && e->edit_count < first->edit_count && e->edit_count < second->edit_count)
        differ(out, AUDIT_STALE, e);
}

void audit_compare(const struct audit_view *before, const struct audit_view *after,
                   const struct audit_view *shown, size_t length, struct audit_differences *out) {
    struct audit_view by_id = sorted(shown);
    find_gaps(before, after, &by_id, length, out);
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
    audit_view_free(&by_id);
}

static bool has(const struct audit_differences *d, const struct audit_difference *wanted) {
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].kind == wanted->kind && d->v[i].entry.id == wanted->entry.id) return true;
    return false;
}

void audit_differences_intersect(struct audit_differences *a, const struct audit_differences *b) {
    size_t kept = 0;
    for (size_t i = 0; i < a->n; i++)
        if (has(b, &a->v[i])) a->v[kept++] = a->v[i];
    a->n = kept;
}
