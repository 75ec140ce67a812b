/* A bounded map from ids to objects that forgets the least recently used. Objects embed struct lru_item
 * first.
 *
 * Moving an item to the end of the list touches three cache lines, at every one of some forty look-ups a call. So an item
 * that was moved not long ago stays where it is: until cap / 8 others have come or moved since. What is forgotten is
 * therefore among the least recently used, not always the very least. */
#ifndef ROOKERY_GATEWAY_CACHE_LRU_H
#define ROOKERY_GATEWAY_CACHE_LRU_H

#include "core/base/list.h"
#include "core/base/map.h"

struct lru_item {
    struct list_node node;
    int64_t id;
    uint64_t moved; /* lru.clock when it was put or moved */
};

struct lru {
    struct idmap map;
    struct list_node used; /* most recent last */
    size_t cap;
    uint64_t clock;                      /* puts and moves so far */
    void (*drop)(struct lru_item *item); /* frees what is forgotten */
};

void lru_init(struct lru *l, size_t cap, void (*drop)(struct lru_item *item));
void lru_clear(struct lru *l); /* drops all */
void lru_free(struct lru *l);
struct lru_item *lru_get(struct lru *l, int64_t id); /* and marks it used; NULL */
/* Takes the item; one of the same id is dropped first, and the oldest when full. */
void lru_put(struct lru *l, struct lru_item *item);
void lru_remove(struct lru *l, int64_t id); /* drops it, if there */

#endif
