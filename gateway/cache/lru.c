/* A bounded map that evicts the least recently used. */
#include "gateway/cache/lru.h"

#include <assert.h>

void lru_init(struct lru *l, size_t cap, void (*drop)(struct lru_item *item)) {
    assert(cap > 0 && drop);
    idmap_init(&l->map);
    list_init(&l->used);
    l->cap = cap;
    l->clock = 0;
    l->drop = drop;
}

static void forget(struct lru *l, struct lru_item *item) {
    assert(idmap_get(&l->map, item->id) == item);
    idmap_remove(&l->map, item->id);
    list_remove(&item->node);
    l->drop(item);
}

void lru_clear(struct lru *l) {
    while (!list_empty(&l->used)) forget(l, list_entry(l->used.next, struct lru_item, node));
    assert(l->map.len == 0);
}

void lru_free(struct lru *l) {
    lru_clear(l);
    idmap_free(&l->map);
}

struct lru_item *lru_get(struct lru *l, int64_t id) {
    struct lru_item *item = idmap_get(&l->map, id);
    if (!item) return NULL;
    assert(item->id == id && item->moved <= l->clock);
    if (l->clock - item->moved < l->cap / 8) return item;
    list_remove(&item->node);
    list_push_back(&l->used, &item->node);
    item->moved = ++l->clock;
    return item;
}

void lru_put(struct lru *l, struct lru_item *item) {
    lru_remove(l, item->id);
    if (l->map.len >= l->cap) forget(l, list_entry(l->used.next, struct lru_item, node));
    idmap_put(&l->map, item->id, item);
    assert(l->map.len <= l->cap);
    list_push_back(&l->used, &item->node);
    item->moved = ++l->clock;
}

void lru_remove(struct lru *l, int64_t id) {
    struct lru_item *item = idmap_get(&l->map, id);
    if (item) forget(l, item);
}
