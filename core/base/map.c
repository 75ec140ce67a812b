/* Hash maps and id arrays. */
#include "core/base/map.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

enum { CAP_MIN = 16 };

static void *must(void *p) {
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

static bool too_full(size_t len, size_t cap) {
    return len >= cap - cap / 4;
}

/* May the entry whose home is `home` move from slot `at` back to the free slot `hole`? Only when the hole is
 * not before its home, going round. */
static bool may_shift(size_t home, size_t hole, size_t at, size_t mask) {
    return ((at - home) & mask) >= ((at - hole) & mask);
}

/* --- idmap ------------------------------------------------------------------------------------------- */

void idmap_init(struct idmap *m) {
    *m = (struct idmap){.seed = random_u64()};
}

void idmap_free(struct idmap *m) {
    free(m->slots);
    idmap_init(m);
}

/* The finishing mix of MurmurHash3, over a seeded id. */
static size_t id_home(const struct idmap *m, int64_t id) {
    uint64_t h = (uint64_t)id ^ m->seed;
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (size_t)(h ^ h >> 33) & (m->cap - 1);
}

/* The slot of id, or the free one where it would go. */
static size_t id_find(const struct idmap *m, int64_t id) {
    size_t at = id_home(m, id);
    while (m->slots[at].value && m->slots[at].id != id) at = (at + 1) & (m->cap - 1);
    return at;
}

static void idmap_grow(struct idmap *m) {
    struct idmap old = *m;
    m->cap = old.cap ? old.cap * 2 : CAP_MIN;
    m->slots = must(calloc(m->cap, sizeof(*m->slots)));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value) m->slots[id_find(m, old.slots[i].id)] = old.slots[i];
    }
    free(old.slots);
}

void *idmap_get(const struct idmap *m, int64_t id) {
    return m->cap ? m->slots[id_find(m, id)].value : NULL;
}

void *idmap_put(struct idmap *m, int64_t id, void *value) {
    assert(value);
    if (too_full(m->len, m->cap)) idmap_grow(m);
    struct idmap_slot *slot = &m->slots[id_find(m, id)];
    void *before = slot->value;
    *slot = (struct idmap_slot){id, value};
    if (!before) m->len++;
    return before;
}

void *idmap_remove(struct idmap *m, int64_t id) {
    if (!m->cap) return NULL;
    size_t mask = m->cap - 1, hole = id_find(m, id);
    void *before = m->slots[hole].value;
    if (!before) return NULL;
    for (size_t at = (hole + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
        if (!may_shift(id_home(m, m->slots[at].id), hole, at, mask)) continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole].value = NULL;
    m->len--;
    return before;
}

bool idmap_next(const struct idmap *m, size_t *pos, int64_t *id, void **value) {
    for (; *pos < m->cap; (*pos)++) {
        if (!m->slots[*pos].value) continue;
        *id = m->slots[*pos].id;
        *value = m->slots[*pos].value;
        (*pos)++;
        return true;
    }
    return false;
}

/* --- strmap ------------------------------------------------------------------------------------------ */

struct strmap_slot {
    uint64_t hash;
    struct str key; /* owned */
    void *value;    /* NULL marks a free slot */
};

void strmap_init(struct strmap *m) {
    _Static_assert(sizeof(m->seed) == crypto_shorthash_KEYBYTES, "the seed is SipHash's key");
    *m = (struct strmap){.seed = {random_u64(), random_u64()}};
}

void strmap_free(struct strmap *m) {
    for (size_t i = 0; i < m->cap; i++) free((char *)m->slots[i].key.ptr);
    free(m->slots);
    strmap_init(m);
}

static uint64_t key_hash(const struct strmap *m, struct str key) {
    uint64_t hash;
    _Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "a hash is 64 bits");
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key.ptr, key.len,
                     (const unsigned char *)m->seed);
    return hash;
}

static size_t key_find(const struct strmap *m, struct str key, uint64_t hash) {
    size_t at = hash & (m->cap - 1);
    while (m->slots[at].value && (m->slots[at].hash != hash || !str_eq(m->slots[at].key, key))) {
        at = (at + 1) & (m->cap - 1);
    }
    return at;
}

static void strmap_grow(struct strmap *m) {
    struct strmap old = *m;
    m->cap = old.cap ? old.cap * 2 : CAP_MIN;
    m->slots = must(calloc(m->cap, sizeof(*m->slots)));
    for (size_t i = 0; i < old.cap; i++) {
        const struct strmap_slot *s = &old.slots[i];
        if (s->value) m->slots[key_find(m, s->key, s->hash)] = *s;
    }
    free(old.slots);
}

void *strmap_get(const struct strmap *m, struct str key) {
    return m->cap ? m->slots[key_find(m, key, key_hash(m, key))].value : NULL;
}

void *strmap_put(struct strmap *m, struct str key, void *value) {
    assert(value);
    if (too_full(m->len, m->cap)) strmap_grow(m);
    uint64_t hash = key_hash(m, key);
    struct strmap_slot *slot = &m->slots[key_find(m, key, hash)];
    void *before = slot->value;
    slot->value = value;
    if (before) return before;
    char *copy = must(malloc(key.len ? key.len : 1));
    if (key.len) memcpy(copy, key.ptr, key.len);
    slot->key = (struct str){copy, key.len};
    slot->hash = hash;
    m->len++;
    return NULL;
}

void *strmap_remove(struct strmap *m, struct str key) {
    if (!m->cap) return NULL;
    size_t mask = m->cap - 1, hole = key_find(m, key, key_hash(m, key));
    void *before = m->slots[hole].value;
    if (!before) return NULL;
    free((char *)m->slots[hole].key.ptr);
    for (size_t at = (hole + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
        if (!may_shift(m->slots[at].hash & mask, hole, at, mask)) continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole] = (struct strmap_slot){0};
    m->len--;
    return before;
}

bool strmap_next(const struct strmap *m, size_t *pos, struct str *key, void **value) {
    for (; *pos < m->cap; (*pos)++) {
        if (!m->slots[*pos].value) continue;
        *key = m->slots[*pos].key;
        *value = m->slots[*pos].value;
        (*pos)++;
        return true;
    }
    return false;
}

/* --- ids --------------------------------------------------------------------------------------------- */

void ids_init(struct ids *s) {
    *s = (struct ids){NULL, 0, 0};
}

void ids_free(struct ids *s) {
    free(s->v);
    ids_init(s);
}

void ids_reserve(struct ids *s, size_t cap) {
    if (cap <= s->cap) return;
    size_t bytes;
    s->v = must(__builtin_mul_overflow(cap, sizeof(*s->v), &bytes) ? NULL : realloc(s->v, bytes));
    s->cap = cap;
}

void ids_push(struct ids *s, int64_t id) {
    if (s->len == s->cap) ids_reserve(s, s->cap ? s->cap * 2 : CAP_MIN);
    s->v[s->len++] = id;
}

void ids_append(struct ids *s, const int64_t *v, size_t n) {
    if (n == 0) return;
    ids_reserve(s, s->len + n);
    memcpy(s->v + s->len, v, n * sizeof *v);
    s->len += n;
}

void ids_bounds(const int64_t *v, size_t n, int64_t *lowest, int64_t *highest) {
    assert(n > 0);
    *lowest = *highest = v[0];
    for (size_t i = 1; i < n; i++) {
        if (v[i] < *lowest) *lowest = v[i];
        if (v[i] > *highest) *highest = v[i];
    }
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool ids_are_sorted_unique(const int64_t *v, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (v[i - 1] >= v[i]) return false;
    }
    return true;
}

void ids_sort_unique(struct ids *s) {
    if (ids_are_sorted_unique(s->v, s->len)) return;
    qsort(s->v, s->len, sizeof(*s->v), compare_ids);
    size_t kept = 1;
    for (size_t i = 1; i < s->len; i++) {
        if (s->v[i] != s->v[kept - 1]) s->v[kept++] = s->v[i];
    }
    s->len = kept;
}

bool ids_contains(const int64_t *v, size_t len, int64_t id) {
    if (len == 0) return false;
    /* The last that is not greater lies in base[0..len): halved without a branch that could be mispredicted. */
    const int64_t *base = v;
    while (len > 1) {
        size_t half = len / 2;
        base += (size_t)(base[half] <= id) * half;
        len -= half;
    }
    return *base == id;
}
