/* Home timelines from SQL; the method is in home.h. */
#include "core/domain/timeline/home.h"

#include <assert.h>
#include <stdlib.h>

#include "core/domain/timeline/home.sql.h"

/* The first round takes this many entries of each source; every further one takes WIDEN times more of the sources
 * that need it. */
#define FIRST_LOOK 8
#define WIDEN 4

/* One source of the merge. */
struct source {
    int64_t author_id;
    int64_t lowest; /* everything of this author above it has been taken */
    bool exhausted; /* ... and there is nothing below it */
};

struct merge {
    struct source *sources;
    size_t n_sources;
    struct entry *entries;
    size_t n, cap;
    const struct relations *relations;
    struct arena *arena;
};

static int newest_first(const void *a, const void *b) {
    int64_t x = ((const struct entry *)a)->id, y = ((const struct entry *)b)->id;
    return (x < y) - (x > y);
}

static void merge_add(struct merge *m, const struct entry *e) {
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 1024;
        struct entry *grown = ARENA_ARRAY(m->arena, struct entry, cap);
        for (size_t i = 0; i < m->n; i++) grown[i] = m->entries[i];
        m->entries = grown;
        m->cap = cap;
    }
    m->entries[m->n++] = *e;
}

static bool muted_or_blocked(const struct relations *r, int64_t author_id) {
    return ids_contains(r->muted.v, r->muted.len, author_id) || !relations_may_see(r, author_id);
}

static void add_source(struct merge *m, int64_t author_id, int64_t before) {
    if (muted_or_blocked(m->relations, author_id)) return;
    assert(m->n_sources <= m->relations->followed.len); /* one more for the viewer */
    m->sources[m->n_sources++] = (struct source){.author_id = author_id, .lowest = before};
}

static void merge_init(struct merge *m, const struct relations *r, int64_t before, struct arena *a) {
    *m = (struct merge){.relations = r, .arena = a};
    m->sources = ARENA_ARRAY(a, struct source, r->followed.len + 1);
    add_source(m, r->viewer_id, before);
    for (size_t i = 0; i < r->followed.len; i++) add_source(m, r->followed.v[i], before);
}

/* The id above which the result is settled when it has limit entries: the limit-th newest so far, 0 while
 * there are fewer. */
static int64_t cut_of(struct merge *m, size_t limit) {
    if (m->n > 1) qsort(m->entries, m->n, sizeof *m->entries, newest_first);
    return m->n < limit ? 0 : m->entries[limit - 1].id;
}

/* The sources that may still have entries above the cut. */
static size_t wanting(const struct merge *m, int64_t cut, size_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_sources; i++)
        if (!m->sources[i].exhausted && m->sources[i].lowest > cut) out[n++] = i;
    return n;
}

static void take_rows(struct merge *m, const struct pg_result *r, const size_t *asked, size_t n_asked,
                      int64_t width) {
    int64_t *taken = ARENA_ARRAY(m->arena, int64_t, n_asked);
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        size_t place = (size_t)pg_take_i64(&row) - 1;
        assert(place < n_asked);
        struct source *s = &m->sources[asked[place]];
        struct entry e = {0};
        e.id = pg_take_i64(&row);
        e.author_id = pg_take_i64(&row);
        e.reply_to_account_id = pg_take_i64(&row);
        e.repost_of_id = pg_take_i64(&row);
        e.original_author_id = pg_take_i64(&row);
        bool original_deleted = pg_take_bool(&row);
        taken[place]++;
        assert(e.author_id == s->author_id);
        if (e.id < s->lowest) s->lowest = e.id;
        if (!original_deleted && relations_shows_at_home(m->relations, &e)) merge_add(m, &e);
    }
    for (size_t i = 0; i < n_asked; i++)
        if (taken[i] < width) m->sources[asked[i]].exhausted = true;
}

static int look(struct fiber *self, struct domain *d, struct merge *m, const size_t *asked, size_t n,
                int64_t width, struct fault *fault) {
    int64_t *authors = ARENA_ARRAY(m->arena, int64_t, n), *before = ARENA_ARRAY(m->arena, int64_t, n);
    for (size_t i = 0; i < n; i++) {
        authors[i] = m->sources[asked[i]].author_id;
        before[i] = m->sources[asked[i]].lowest;
    }
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &HOME_TOP_OF_AUTHORS, &r, fault, pg_i64_array(authors, n),
                   pg_i64_array(before, n), pg_i64(width));
    if (e == 0) take_rows(m, r, asked, n, width);
    return e;
}

static bool are_newest_first(const struct entry *entries, size_t n, int64_t before) {
    for (size_t i = 0; i < n; i++)
        if (entries[i].id >= before || (i > 0 && entries[i].id > entries[i - 1].id)) return false;
    return true;
}

int home_from_sql(struct fiber *self, struct domain *d, const struct relations *r, int64_t before,
                  size_t limit, struct entry **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct merge m;
    merge_init(&m, r, before, fiber_arena(self));
    size_t *asked = ARENA_ARRAY(m.arena, size_t, m.n_sources);
    int64_t width = (int64_t)(limit < FIRST_LOOK ? limit : FIRST_LOOK);
    for (;;) {
        size_t n_asked = wanting(&m, cut_of(&m, limit), asked);
        if (n_asked == 0) break;
        int e = look(self, d, &m, asked, n_asked, width, fault);
        if (e != 0) return e;
        width = width * WIDEN < (int64_t)limit ? width * WIDEN : (int64_t)limit;
    }
    *out = m.entries;
    *n = m.n < limit ? m.n : limit;
    assert(are_newest_first(*out, *n, before));
    return 0;
}
