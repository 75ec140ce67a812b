/* Hash maps: open addressing, linear probing, power-of-two size, at most 3/4 full; deletion shifts back (no
 * tombstones).
 *
 * idmap: int64 id -> void* (not NULL). Any id, 0 included; the hash is seeded, since peers choose which ids are
 * looked up together.
 *
 * strmap: byte string -> void* (not NULL); keys are copied in and owned by the map; seeded SipHash, since
 * peers choose keys.
 *
 * Iteration order is unspecified. A map must not change during a walk, not even by removing the entry that the walk
 * has reached: collect first, then remove. Putting aborts when the machine has no memory, so callers cap what peers
 * can put in.
 */
#ifndef ROOKERY_CORE_BASE_MAP_H
#define ROOKERY_CORE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

struct idmap_slot {
    int64_t id;
    void *value; /* NULL marks a free slot */
};

struct idmap {
    struct idmap_slot *slots;
    size_t cap, len;
    uint64_t seed;
};

void idmap_init(struct idmap *m);
void idmap_free(struct idmap *m); /* the values are the caller's */
void *idmap_get(const struct idmap *m, int64_t id);
void *idmap_put(struct idmap *m, int64_t id, void *value); /* returns the value it replaced, or NULL */
void *idmap_remove(struct idmap *m, int64_t id);           /* returns the removed value, or NULL */
/* Walks all entries: size_t pos = 0; while (idmap_next(m, &pos, &id, &value)) ... */
bool idmap_next(const struct idmap *m, size_t *pos, int64_t *id, void **value);

struct strmap_slot;
struct strmap {
    struct strmap_slot *slots;
    size_t cap, len;
    uint64_t seed[2]; /* SipHash's key */
};

void strmap_init(struct strmap *m);
void strmap_free(struct strmap *m); /* the values are the caller's */
void *strmap_get(const struct strmap *m, struct str key);
void *strmap_put(struct strmap *m, struct str key, void *value);
void *strmap_remove(struct strmap *m, struct str key);
bool strmap_next(const struct strmap *m, size_t *pos, struct str *key, void **value);

/* A growable array of ids, malloc'ed. */
struct ids {
    int64_t *v;
    size_t len, cap;
};

void ids_init(struct ids *s);
void ids_free(struct ids *s);
void ids_push(struct ids *s, int64_t id);
void ids_append(struct ids *s, const int64_t *v, size_t n);
void ids_reserve(struct ids *s, size_t cap);
/* Of n > 0 ids, in any order. */
void ids_bounds(const int64_t *v, size_t n, int64_t *lowest, int64_t *highest);
void ids_sort_unique(struct ids *s); /* sorted, unique */
bool ids_are_sorted_unique(const int64_t *v, size_t n);
/* Binary search in a sorted array. */
bool ids_contains(const int64_t *v, size_t len, int64_t id);

#endif
