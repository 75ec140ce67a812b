/* A map bounded in bytes that evicts the least recently used. */
#include "gateway/cache/lru.h"

#include <assert.h>

/* Beside an item's own memory: its slot in the map, which is a third to three quarters full, and the allocator's. */
enum { SLOT_BYTES = 64 };

void lru_init(struct lru *l, size_t cap_bytes, void (*drop)(struct lru_item *item)) {
    assert(cap_bytes > 0 && drop);
    idmap_init(&l->map);
    list_init(&l->used);
    l->bytes = 0;
    l->cap = cap_bytes;
    l->clock = 0;
    l->drop = drop;
}

static void forget(struct lru *l, struct lru_item *item) {
    assert(idmap_get(&l->map, item->id) == item);
    idmap_remove(&l->map, item->id);
    assert(l->bytes >= item->bytes);
    l->bytes -= item->bytes;
    list_remove(&item->node);
    l->drop(item);
}

void lru_clear(struct lru *l) {
    while (!list_empty(&l->used)) forget(l, list_entry(l->used.next, struct lru_item, node));
    assert(l->map.len == 0 && l->bytes == 0);
}

void lru_free(struct lru *l) {
    lru_clear(l);
    idmap_free(&l->map);
}

void lru_use(struct lru *l, struct lru_item *item) {
    assert(item->moved <= l->clock);
    if (l->clock - item->moved < l->map.len / 8) return;
    list_remove(&item->node);
    list_push_back(&l->used, &item->node);
    item->moved = ++l->clock;
}

struct lru_item *lru_get(struct lru *l, int64_t id) {
    struct lru_item *item = idmap_get(&l->map, id);
    if (!item) return NULL;
    assert(item->id == id);
    lru_use(l, item);
    return item;
}

void lru_put(struct lru *l, struct lru_item *item, size_t bytes) {
    lru_remove(l, item->id);
    item->bytes = bytes + SLOT_BYTES;
    while (l->map.len > 0 && l->bytes + item->bytes > l->cap)
        forget(l, list_entry(l->used.next, struct lru_item, node));
    idmap_put(&l->map, item->id, item);
    l->bytes += item->bytes;
    assert(l->bytes <= l->cap || l->map.len == 1);
    list_push_back(&l->used, &item->node);
    item->moved = ++l->clock;
}

void lru_remove(struct lru *l, int64_t id) {
    struct lru_item *item = idmap_get(&l->map, id);
    if (item) forget(l, item);
}
