/* Where live feeds stand in the event streams; the story is in places.h. */
#include "gateway/position/places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct hub_place *new_position(size_t partitions) {
    struct hub_place *places = calloc(partitions, sizeof *places);
    if (!places) abort(); /* at start */
    return places;
}

void places_init(struct live_places *p, size_t partitions) {
    *p = (struct live_places){.partitions = partitions};
    p->heard = new_position(partitions);
    p->told = new_position(partitions);
    p->kept = calloc(PLACES_KEPT, sizeof *p->kept);
    if (!p->kept) abort(); /* at start */
    idmap_init(&p->first);
}

void places_free(struct live_places *p) {
    free(p->heard);
    free(p->told);
    free(p->kept);
    idmap_free(&p->first);
}

static void forget(struct live_places *p, const struct place_heard *old) {
    assert(old->event_id == 0 || idmap_get(&p->first, old->event_id) == old);
    if (old->event_id != 0) idmap_remove(&p->first, old->event_id);
}

/* Keeps it under the next number. Returns false when the event is known. */
static bool keep(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id) {
    struct place_heard *k = &p->kept[++p->n_heard % PLACES_KEPT];
    forget(p, k);
    bool known = event_id != 0 && idmap_get(&p->first, event_id);
    *k = (struct place_heard){known ? 0 : event_id, partition, *place};
    if (k->event_id != 0) idmap_put(&p->first, event_id, k);
    assert(p->first.len <= PLACES_KEPT);
    return !known;
}

bool places_hear(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id) {
    assert(partition >= 0 && (size_t)partition < p->partitions);
    p->heard[partition] = *place;
    return keep(p, partition, place, event_id);
}

void places_remember(struct live_places *p, int partition, const struct hub_place *place, int64_t event_id) {
    keep(p, partition, place, event_id);
}

bool places_is_first(const struct live_places *p, int64_t event_id, const struct hub_place *place) {
    const struct place_heard *first = idmap_get(&p->first, event_id);
    return !first || (first->place.epoch == place->epoch && stream_id_same(first->place.id, place->id));
}

void places_tell(struct live_places *p, uint64_t number) {
    assert(number <= p->n_heard);
    assert(number <= p->n_told || p->n_heard - p->n_told <= PLACES_KEPT);
    while (p->n_told < number) {
        const struct place_heard *k = &p->kept[++p->n_told % PLACES_KEPT];
        p->told[k->partition] = k->place;
    }
}

void places_skip(struct live_places *p) {
    assert(p->n_told <= p->n_heard);
    memcpy(p->told, p->heard, p->partitions * sizeof *p->told);
    p->n_told = p->n_heard;
}

int64_t places_epoch(const struct hub_place *places, size_t partitions) {
    for (size_t i = 1; i < partitions; i++)
        if (places[i].epoch != places[0].epoch) return 0;
    return places[0].epoch;
}
