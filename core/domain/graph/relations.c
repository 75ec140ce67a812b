/* The relations of a viewer, and the rule of the home timeline. */
#include "core/domain/graph/relations.h"

#include <assert.h>

#include "core/domain/graph/relations.sql.h"

static void take(struct ids *out, struct pg_row *row, struct arena *a) {
    int64_t *v;
    size_t n = pg_take_i64_array(row, a, &v);
    ids_reserve(out, n);
    for (size_t i = 0; i < n; i++) ids_push(out, v[i]);
    assert(ids_are_sorted_unique(out->v, out->len)); /* the statement sorts */
}

static void take_row(struct pg_row *row, int64_t viewer_id, struct arena *a, struct relations *out) {
    *out = (struct relations){.viewer_id = viewer_id};
    ids_init(&out->followed);
    ids_init(&out->blocked);
    ids_init(&out->muted);
    take(&out->followed, row, a);
    take(&out->blocked, row, a);
    take(&out->muted, row, a);
}

int relations_load(struct fiber *self, struct domain *d, int64_t viewer_id, struct relations *out,
                   struct fault *fault) {
    assert(viewer_id != 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &RELATIONS_LOAD, &r, fault, pg_i64(viewer_id));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    pg_next(&row);
    take_row(&row, viewer_id, fiber_arena(self), out);
    pg_end(&row);
    return 0;
}

int relations_load_many(struct fiber *self, struct domain *d, const int64_t *viewers, size_t n,
                        struct relations *out, struct fault *fault) {
    assert(n > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &RELATIONS_LOAD_MANY, &r, fault, pg_i64_array(viewers, n));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    for (size_t i = 0; i < n; i++) {
        pg_next(&row);
        take_row(&row, viewers[i], fiber_arena(self), &out[i]);
    }
    pg_end(&row);
    return 0;
}

void relations_free(struct relations *r) {
    ids_free(&r->followed);
    ids_free(&r->blocked);
    ids_free(&r->muted);
}

static void copy_ids(struct ids *to, const struct ids *from) {
    ids_init(to);
    ids_reserve(to, from->len);
    for (size_t i = 0; i < from->len; i++) ids_push(to, from->v[i]);
}

void relations_copy(struct relations *to, const struct relations *from) {
    assert(to != from);
    to->viewer_id = from->viewer_id;
    copy_ids(&to->followed, &from->followed);
    copy_ids(&to->blocked, &from->blocked);
    copy_ids(&to->muted, &from->muted);
}

static bool has(const struct ids *s, int64_t id) {
    return ids_contains(s->v, s->len, id);
}

static bool hidden(const struct relations *r, int64_t account_id) {
    return has(&r->blocked, account_id) || has(&r->muted, account_id);
}

static bool is_source(const struct relations *r, int64_t account_id) {
    return account_id == r->viewer_id || has(&r->followed, account_id);
}

bool relations_shows_at_home(const struct relations *r, const struct entry *e) {
    if (!is_source(r, e->author_id) || hidden(r, e->author_id)) return false;
    if (e->repost_of_id != 0 && hidden(r, e->original_author_id)) return false;
    if (e->reply_to_account_id == 0 || e->author_id == r->viewer_id) return true;
    bool heard = e->reply_to_account_id == e->author_id || is_source(r, e->reply_to_account_id);
    return heard && !hidden(r, e->reply_to_account_id);
}

bool relations_may_see(const struct relations *r, int64_t author_id) {
    return !has(&r->blocked, author_id);
}
