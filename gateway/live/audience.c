/* The index of live feeds: author -> local subscribers, account -> its own streams. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/live/live_internal.h"

void audience_add(struct idmap *map, int64_t id, struct subscriber *s) {
    struct audience *a = idmap_get(map, id);
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) abort();
        idmap_put(map, id, a);
    }
    if (a->len == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 2;
        a->v = realloc(a->v, a->cap * sizeof(struct subscriber *));
        if (!a->v) abort();
    }
    a->v[a->len++] = s;
}

/* The last subscriber takes its place. So a walk from the end visits each subscriber once, even if it removes the one
 * it is at. */
void audience_drop(struct idmap *map, int64_t id, struct subscriber *s) {
    struct audience *a = idmap_get(map, id);
    size_t i = 0;
    assert(a);
    while (i < a->len && a->v[i] != s) i++;
    assert(i < a->len);
    a->v[i] = a->v[--a->len];
    if (a->len > 0) return;
    idmap_remove(map, id);
    free(a->v);
    free(a);
}

const struct audience *audience_of(const struct idmap *map, int64_t id) {
    return idmap_get(map, id);
}

/* ---- by relations -------------------------------------------------------------------------------------- */

void audience_unindex(struct subscriber *s) {
    if (!s->indexed) return;
    struct idmap *map = &s->live->by_author;
    audience_drop(map, s->account_id, s);
    for (size_t i = 0; i < s->relations.followed.len; i++) audience_drop(map, s->relations.followed.v[i], s);
    relations_free(&s->relations);
    s->indexed = false;
}

void audience_index(struct subscriber *s, struct relations *r) {
    struct idmap *map = &s->live->by_author;
    audience_unindex(s);
    s->relations = *r;
    audience_add(map, s->account_id, s);
    for (size_t i = 0; i < r->followed.len; i++) audience_add(map, r->followed.v[i], s);
    s->indexed = true;
}
