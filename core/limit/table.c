/* Chained hashing over an array of entries, which are also linked in the order of their use. Entries are numbered from
 * 1; 0 is none. */
#include "core/limit/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

struct entry {
    uint64_t key;
    uint32_t next;         /* of the same chain, or of the unused ones */
    uint32_t older, newer; /* in the order of use */
};

struct limit_table {
    size_t max_keys, rows, len, chains; /* chains: a power of two */
    uint64_t seed;
    uint32_t *first;       /* of each chain */
    struct entry *entries; /* [0] is not used */
    int64_t *values;
    uint32_t oldest, newest, unused;
};

/* The memory is cleared by the kernel, and touched only as keys come. */
struct limit_table *limit_table_new(size_t max_keys, size_t rows) {
    assert(max_keys > 0 && max_keys < UINT32_MAX && rows > 0);
    struct limit_table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (struct limit_table){.max_keys = max_keys, .rows = rows, .chains = 1, .seed = random_u64()};
    while (t->chains < max_keys) t->chains *= 2;
    t->first = calloc(t->chains, sizeof *t->first);
    t->entries = calloc(max_keys + 1, sizeof *t->entries);
    t->values = calloc((max_keys + 1) * rows, sizeof *t->values);
    if (t->first && t->entries && t->values) return t;
    limit_table_free(t);
    return NULL;
}

void limit_table_free(struct limit_table *t) {
    if (!t) return;
    free(t->first);
    free(t->entries);
    free(t->values);
    free(t);
}

size_t limit_table_len(const struct limit_table *t) {
    return t->len;
}

/* The finishing mix of MurmurHash3, over a seeded key. */
static uint32_t *chain_of(const struct limit_table *t, uint64_t key) {
    uint64_t h = key ^ t->seed;
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return &t->first[(h ^ h >> 33) & (t->chains - 1)];
}

static uint32_t find(const struct limit_table *t, uint64_t key) {
    uint32_t at = *chain_of(t, key);
    while (at && t->entries[at].key != key) at = t->entries[at].next;
    return at;
}

static int64_t *rows_of(const struct limit_table *t, uint32_t at) {
    return &t->values[at * t->rows];
}

/* ---- the order of use ---------------------------------------------------------------------------------- */

static void unlink_use(struct limit_table *t, uint32_t at) {
    const struct entry *e = &t->entries[at];
    *(e->older ? &t->entries[e->older].newer : &t->oldest) = e->newer;
    *(e->newer ? &t->entries[e->newer].older : &t->newest) = e->older;
}

static void link_newest(struct limit_table *t, uint32_t at) {
    struct entry *e = &t->entries[at];
    e->older = t->newest;
    e->newer = 0;
    *(t->newest ? &t->entries[t->newest].newer : &t->oldest) = at;
    t->newest = at;
}

static int64_t *used(struct limit_table *t, uint32_t at) {
    if (at != t->newest) {
        unlink_use(t, at);
        link_newest(t, at);
    }
    return rows_of(t, at);
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static void drop(struct limit_table *t, uint32_t at) {
    assert(at && t->len > 0);
    struct entry *e = &t->entries[at];
    uint32_t *link = chain_of(t, e->key);
    while (*link != at) link = &t->entries[*link].next;
    *link = e->next;
    unlink_use(t, at);
    e->next = t->unused;
    t->unused = at;
    t->len--;
}

/* An entry that is in no chain. */
static uint32_t take_unused(struct limit_table *t) {
    if (t->len == t->max_keys) drop(t, t->oldest);
    uint32_t at = t->unused;
    if (!at) return (uint32_t)t->len + 1; /* none was ever dropped: they are used in order */
    t->unused = t->entries[at].next;
    return at;
}

int64_t *limit_table_use(struct limit_table *t, uint64_t key) {
    uint32_t at = find(t, key);
    if (at) return used(t, at);
    at = take_unused(t);
    assert(at <= t->max_keys);
    uint32_t *chain = chain_of(t, key);
    t->entries[at] = (struct entry){.key = key, .next = *chain};
    *chain = at;
    link_newest(t, at);
    t->len++;
    memset(rows_of(t, at), 0, t->rows * sizeof *t->values);
    return rows_of(t, at);
}

int64_t *limit_table_find(struct limit_table *t, uint64_t key) {
    uint32_t at = find(t, key);
    return at ? used(t, at) : NULL;
}

void limit_table_remove(struct limit_table *t, uint64_t key) {
    uint32_t at = find(t, key);
    if (at) drop(t, at);
}
