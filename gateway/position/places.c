/* Where a gateway stands in the event streams, and the changes that it has heard; the story is in places.h. */
#include "gateway/position/places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

#define REACH_MS 2000
/* Ids in the changes' `concerns`: for each place that is kept, on average; and of one change. */
#define NOTED_EACH 4
#define NOTED_MAX 1000
/* A place with its share of the two maps, which are half full on average, and of the changes' `concerns`. */
#define BYTES_EACH (sizeof(struct place_heard) + 4 * sizeof(struct idmap_slot) + NOTED_EACH * sizeof(int64_t))

static struct hub_place *new_position(size_t partitions) {
    struct hub_place *places = calloc(partitions, sizeof *places);
    if (!places) abort(); /* at start */
    return places;
}

void places_init(struct live_places *p, size_t partitions, size_t bytes) {
    *p = (struct live_places){.partitions = partitions, .capacity = bytes / BYTES_EACH + 1};
    p->heard = new_position(partitions);
    p->told = new_position(partitions);
    p->since = new_position(partitions);
    p->kept = calloc(p->capacity, sizeof *p->kept);
    if (!p->kept) abort(); /* at start */
    idmap_init(&p->first);
    idmap_init(&p->newest);
}

void places_free(struct live_places *p) {
    for (size_t i = 0; i < p->capacity; i++) ids_free(&p->kept[i].concerns);
    free(p->heard);
    free(p->told);
    free(p->since);
    free(p->kept);
    idmap_free(&p->first);
    idmap_free(&p->newest);
}

/* ---- keeping ------------------------------------------------------------------------------------------- */

static void drop_concerns(struct live_places *p, struct place_heard *k) {
    assert(p->noted >= k->concerns.len);
    p->noted -= k->concerns.len;
    ids_free(&k->concerns);
    ids_init(&k->concerns);
}

static void forget(struct live_places *p, struct place_heard *old) {
    if (old->number == 0) return;
    int64_t id = old->change.event_id;
    if (id != 0 && idmap_get(&p->first, id) == old) idmap_remove(&p->first, id);
    for (int i = 0; i < CHANGE_CHAINS; i++) {
        int64_t key = old->chain[i].key;
        if (key != 0 && idmap_get(&p->newest, key) == old) idmap_remove(&p->newest, key);
    }
    drop_concerns(p, old);
    struct hub_place *since = &p->since[old->partition];
    if (since->epoch == old->place.epoch && since->count < old->place.count) *since = old->place;
}

static void chain_up(struct live_places *p, struct place_heard *k) {
    int64_t keys[CHANGE_CHAINS];
    change_chains(&k->change, k->partition, keys);
    for (int i = 0; i < CHANGE_CHAINS; i++) {
        if (keys[i] == 0) continue;
        struct place_heard *newest = idmap_put(&p->newest, keys[i], k);
        k->chain[i].key = keys[i];
        k->chain[i].older = newest ? newest->number : 0;
    }
}

/* Keeps it under the next number. Returns false when streams need not be told of it. */
static bool keep(struct live_places *p, int partition, const struct hub_place *place,
                 const struct change *change) {
    assert(partition >= 0 && (size_t)partition < p->partitions);
    struct place_heard *k = &p->kept[++p->n_heard % p->capacity];
    forget(p, k);
    *k = (struct place_heard){.number = p->n_heard, .partition = partition, .place = *place};
    if (change->kind == EVENT_UNKNOWN || idmap_get(&p->first, change->event_id)) return false;
    k->change = *change;
    idmap_put(&p->first, change->event_id, k);
    chain_up(p, k);
    assert(p->first.len <= p->capacity);
    return true;
}

bool places_hear(struct live_places *p, int partition, const struct hub_place *place,
                 const struct change *change) {
    p->heard[partition] = *place;
    return keep(p, partition, place, change);
}

void places_remember(struct live_places *p, int partition, const struct hub_place *place,
                     const struct change *change) {
    struct hub_place *since = &p->since[partition];
    if (since->epoch == 0) *since = (struct hub_place){.epoch = place->epoch, .count = place->count - 1};
    keep(p, partition, place, change);
}

void places_begin(struct live_places *p, int partition, const struct hub_place *place) {
    bool first = p->heard[partition].epoch == 0;
    p->heard[partition] = *place;
    if (!first || p->since[partition].epoch != place->epoch) p->since[partition] = *place;
}

/* ---- telling ------------------------------------------------------------------------------------------- */

void places_tell(struct live_places *p, uint64_t number) {
    assert(number <= p->n_heard);
    assert(number <= p->n_told || p->n_heard - p->n_told <= p->capacity);
    while (p->n_told < number) {
        const struct place_heard *k = &p->kept[++p->n_told % p->capacity];
        p->told[k->partition] = k->place;
    }
}

void places_skip(struct live_places *p) {
    assert(p->n_told <= p->n_heard);
    memcpy(p->told, p->heard, p->partitions * sizeof *p->told);
    p->n_told = p->n_heard;
}

bool places_have_room(const struct live_places *p) {
    return p->n_heard - p->n_told < p->capacity;
}

int64_t places_epoch(const struct hub_place *places, size_t partitions) {
    for (size_t i = 1; i < partitions; i++)
        if (places[i].epoch != places[0].epoch) return 0;
    return places[0].epoch;
}

/* ---- what was missed ----------------------------------------------------------------------------------- */

static bool has_heard(const struct live_places *p, const struct hub_place *position) {
    for (size_t i = 0; i < p->partitions; i++)
        if (stream_id_before(p->heard[i].id, position[i].id)) return false;
    return true;
}

bool places_wait_heard(struct fiber *self, const struct live_places *p, const struct hub_place *position) {
    int64_t give_up = clock_mono_ns() + REACH_MS * NS_PER_MS;
    for (;;) {
        int64_t epoch = places_epoch(p->heard, p->partitions), wanted = position[0].epoch;
        if (epoch > wanted) return false;
        if (epoch == wanted && has_heard(p, position)) return true;
        if (clock_mono_ns() > give_up || fiber_sleep_ms(self, 5) != 0) return false;
    }
}

bool places_reach(const struct live_places *p, const struct hub_place *position) {
    for (size_t i = 0; i < p->partitions; i++)
        if (p->since[i].epoch != position[i].epoch || p->heard[i].epoch != position[i].epoch ||
            position[i].count < p->since[i].count)
            return false;
    return true;
}

const struct place_heard *places_at(const struct live_places *p, uint64_t number) {
    const struct place_heard *k = &p->kept[number % p->capacity];
    return number != 0 && k->number == number ? k : NULL;
}

static uint64_t older_on(const struct place_heard *k, int64_t chain) {
    for (int i = 0; i < CHANGE_CHAINS; i++)
        if (k->chain[i].key == chain) return k->chain[i].older;
    return 0;
}

static bool is_behind(const struct place_heard *k, const struct hub_place *position) {
    const struct hub_place *at = &position[k->partition];
    return k->place.epoch == at->epoch && stream_id_before(at->id, k->place.id);
}

int places_walk(const struct live_places *p, int64_t chain, const struct hub_place *position, places_fn *take,
                void *context) {
    const struct place_heard *k = idmap_get(&p->newest, chain);
    bool one_partition = !chain_is_of_target(chain);
    for (; k; k = places_at(p, older_on(k, chain))) {
        int e = 0;
        if (is_behind(k, position))
            e = take(context, k);
        else if (one_partition)
            break;
        if (e != 0) return e;
    }
    return 0;
}

void places_note(struct live_places *p, uint64_t number, const struct ids *concerns) {
    struct place_heard *k = &p->kept[number % p->capacity];
    bool room = concerns->len <= NOTED_MAX && p->noted + concerns->len <= p->capacity * NOTED_EACH;
    if (number == 0 || k->number != number || !room) return;
    drop_concerns(p, k);
    ids_append(&k->concerns, concerns->v, concerns->len);
    p->noted += concerns->len;
}
