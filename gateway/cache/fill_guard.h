/* Fill guard: keeps a cache from storing a value that was read before its invalidation.
 *
 * A fill reads SQL and suspends. An invalidation that arrives meanwhile finds nothing to remove, and the fill would
 * then store the old value permanently. So a cache writes the invalidated ids into a ring and counts them. A fill
 * takes the count before it reads. It stores an id only if the id has not been invalidated since then and the ring
 * has not wrapped around since then. The model tests/models/hub.pml contains the guard.
 */
#ifndef ROOKERY_GATEWAY_CACHE_FILL_GUARD_H
#define ROOKERY_GATEWAY_CACHE_FILL_GUARD_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define FILL_GUARD_RING 1024

struct fill_guard {
    uint64_t n;     /* invalidations so far */
    uint64_t n_all; /* n when everything was invalidated last */
    int64_t recent[FILL_GUARD_RING];
};

static inline uint64_t fill_guard_begin(const struct fill_guard *g) {
    return g->n;
}

static inline void fill_guard_invalidated(struct fill_guard *g, int64_t id) {
    g->recent[g->n++ % FILL_GUARD_RING] = id;
}

static inline void fill_guard_invalidated_all(struct fill_guard *g) {
    g->n_all = ++g->n;
}

static inline bool fill_guard_may_store(const struct fill_guard *g, uint64_t begun, int64_t id) {
    assert(begun <= g->n && g->n_all <= g->n);
    if (g->n_all > begun || g->n - begun > FILL_GUARD_RING) return false;
    for (uint64_t i = begun; i < g->n; i++)
        if (g->recent[i % FILL_GUARD_RING] == id) return false;
    return true;
}

#endif
