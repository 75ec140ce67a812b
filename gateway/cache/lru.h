/* A map from ids to objects, bounded in bytes, that evicts the least recently used. struct lru_item is the first member
 * of an object.
 *
 * Moving an item to the end of the list touches three cache lines, and a call makes some forty look-ups. So an item
 * that was moved recently stays where it is, until an eighth of them have been added or moved since. An evicted item is
 * therefore among the least recently used, but not always the least recently used one. */
#ifndef ROOKERY_GATEWAY_CACHE_LRU_H
#define ROOKERY_GATEWAY_CACHE_LRU_H

#include "core/base/list.h"
#include "core/base/map.h"

struct lru_item {
    struct list_node node;
    int64_t id;
    uint64_t moved; /* lru.clock when it was put or moved */
    size_t bytes;
};

struct lru {
    struct idmap map;
    struct list_node used;               /* most recent last */
    size_t bytes, cap;                   /* of all items */
    uint64_t clock;                      /* puts and moves so far */
    void (*drop)(struct lru_item *item); /* frees an item that has left the map */
};

void lru_init(struct lru *l, size_t cap_bytes, void (*drop)(struct lru_item *item));
void lru_clear(struct lru *l); /* drops all */
void lru_free(struct lru *l);
struct lru_item *lru_get(struct lru *l, int64_t id); /* marks it used; NULL when absent */
void lru_use(struct lru *l, struct lru_item *item);  /* marks one used that is in the map */
/* Takes the item, of so many bytes: what is allocated for it, beside what the map needs. Drops an item of the same id
 * first, and the oldest while the map is full; the newest stays, whatever its size. */
void lru_put(struct lru *l, struct lru_item *item, size_t bytes);
void lru_remove(struct lru *l, int64_t id); /* drops it, if it is there */

#endif
