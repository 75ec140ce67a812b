/*
 * intern: see intern.h. An open-addressing table of (hash, number) pairs over an array of pointers into an arena of
 * blocks, at most half full. The hash is seeded per table, so that a file of colliding keys cannot be prepared.
 */
#include "workers/jobs/table/intern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ARENA_BLOCK (64u << 10)
#define FIRST_SLOTS 64

struct slot {
    uint32_t hash;
    uint32_t id; /* INTERN_NONE: empty */
};

struct entry {
    const char *bytes;
    size_t length;
};

struct arena_block {
    struct arena_block *next;
};

struct intern {
    struct slot *slots;
    size_t n_slots; /* a power of two */
    struct entry *entries;
    size_t n_entries, entries_room;
    struct arena_block *blocks;
    char *arena;
    size_t arena_left;
    size_t size;
    uint64_t seed;
};

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Words multiplied into one another; the constants are fractions of pi; any odd random numbers would be as good. */
uint64_t intern_hash(const char *bytes, size_t length, uint64_t seed) {
    const uint64_t k1 = 0x243F6A8885A308D3ull, k2 = 0x13198A2E03707345ull;
    uint64_t hash = seed ^ mix(length ^ k1, k2), word;
    for (; length > 8; length -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = mix(hash ^ word, k1);
    }
    word = 0;
    if (length >= 4) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + length - 4, 4);
        word = low | (uint64_t)high << 32;
    } else if (length > 0) {
        word = (uint64_t)(unsigned char)bytes[0] | (uint64_t)(unsigned char)bytes[length / 2] << 8 |
               (uint64_t)(unsigned char)bytes[length - 1] << 16;
    }
    return mix(mix(hash ^ word, k2), k1 ^ seed);
}

int intern_compare(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t shorter = a_length < b_length ? a_length : b_length;
    int order = shorter ? memcmp(a, b, shorter) : 0;
    if (order) return order;
    return (a_length > b_length) - (a_length < b_length);
}

static struct slot *slots_new(size_t n) {
    struct slot *slots = malloc(n * sizeof *slots);
    for (size_t i = 0; slots && i < n; i++) slots[i] = (struct slot){0, INTERN_NONE};
    return slots;
}

struct intern *intern_new(void) {
    struct intern *in = calloc(1, sizeof *in);
    if (!in) return NULL;
    in->n_slots = FIRST_SLOTS;
    in->slots = slots_new(FIRST_SLOTS);
    if (getrandom(&in->seed, sizeof in->seed, GRND_NONBLOCK) != sizeof in->seed) in->seed = (uintptr_t)in;
    if (!in->slots) {
        free(in);
        return NULL;
    }
    return in;
}

void intern_free(struct intern *in) {
    if (!in) return;
    for (struct arena_block *block = in->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(in->entries);
    free(in->slots);
    free(in);
}

/* Returns the slot of the bytes, or the empty slot where they belong. */
static struct slot *find_slot(const struct intern *in, const char *bytes, size_t length, uint32_t hash) {
    for (size_t at = hash & (in->n_slots - 1);; at = (at + 1) & (in->n_slots - 1)) {
        struct slot *slot = &in->slots[at];
        if (slot->id == INTERN_NONE) return slot;
        if (slot->hash != hash) continue;
        const struct entry *entry = &in->entries[slot->id];
        if (entry->length == length && memcmp(entry->bytes, bytes, length) == 0) return slot;
    }
}

static int grow_slots(struct intern *in) {
    size_t n = in->n_slots * 2;
    assert((n & (n - 1)) == 0); /* a mask finds slots */
    struct slot *slots = slots_new(n);
    if (!slots) return 0;
    for (size_t i = 0; i < in->n_slots; i++) {
        if (in->slots[i].id == INTERN_NONE) continue;
        size_t at = in->slots[i].hash & (n - 1);
        while (slots[at].id != INTERN_NONE) at = (at + 1) & (n - 1);
        slots[at] = in->slots[i];
    }
    in->size += (n - in->n_slots) * sizeof *slots;
    free(in->slots);
    in->slots = slots;
    in->n_slots = n;
    return 1;
}

static int grow_entries(struct intern *in) {
    size_t room = in->entries_room ? in->entries_room * 2 : FIRST_SLOTS;
    struct entry *entries = realloc(in->entries, room * sizeof *entries);
    if (!entries) return 0;
    in->size += (room - in->entries_room) * sizeof *entries;
    in->entries = entries;
    in->entries_room = room;
    return 1;
}

static char *arena_take(struct intern *in, size_t n) {
    if (n > in->arena_left) {
        size_t size =
            n + sizeof(struct arena_block) > ARENA_BLOCK ? n + sizeof(struct arena_block) : ARENA_BLOCK;
        struct arena_block *block = malloc(size);
        if (!block) return NULL;
        block->next = in->blocks;
        in->blocks = block;
        in->arena = (char *)(block + 1);
        in->arena_left = size - sizeof *block;
        in->size += size;
    }
    assert(n <= in->arena_left);
    char *at = in->arena;
    in->arena += n;
    in->arena_left -= n;
    return at;
}

uint32_t intern_hash_of(const struct intern *in, const char *bytes, size_t length) {
    return (uint32_t)intern_hash(bytes, length, in->seed);
}

void intern_fetch_slot(const struct intern *in, uint32_t hash) {
    __builtin_prefetch(&in->slots[hash & (in->n_slots - 1)]);
}

/* The first slot's entry: nearly always the right one; otherwise nothing is lost. */
void intern_fetch_entry(const struct intern *in, uint32_t hash) {
    const struct slot *slot = &in->slots[hash & (in->n_slots - 1)];
    if (slot->id != INTERN_NONE) __builtin_prefetch(&in->entries[slot->id]);
}

void intern_fetch_text(const struct intern *in, uint32_t hash) {
    const struct slot *slot = &in->slots[hash & (in->n_slots - 1)];
    if (slot->id != INTERN_NONE) __builtin_prefetch(in->entries[slot->id].bytes);
}

uint32_t intern_add(struct intern *in, const char *bytes, size_t length) {
    return intern_add_hashed(in, bytes, length, intern_hash_of(in, bytes, length));
}

uint32_t intern_add_hashed(struct intern *in, const char *bytes, size_t length, uint32_t hash) {
    struct slot *slot = find_slot(in, bytes, length, hash);
    if (slot->id != INTERN_NONE) return slot->id;
    assert(hash == intern_hash_of(in, bytes, length)); /* else it would be added again by its own */
    if (in->n_entries >= INTERN_NONE) return INTERN_NONE;
    if (in->n_entries == in->entries_room && !grow_entries(in)) return INTERN_NONE;
    if ((in->n_entries + 1) * 2 > in->n_slots) {
        if (!grow_slots(in)) return INTERN_NONE;
        slot = find_slot(in, bytes, length, hash);
    }
    char *copy = arena_take(in, length + 1);
    if (!copy) return INTERN_NONE;
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    uint32_t id = (uint32_t)in->n_entries++;
    in->entries[id] = (struct entry){copy, length};
    assert(slot->id == INTERN_NONE && 2 * in->n_entries <= in->n_slots);
    *slot = (struct slot){hash, id};
    return id;
}

uint32_t intern_find(const struct intern *in, const char *bytes, size_t length) {
    return find_slot(in, bytes, length, (uint32_t)intern_hash(bytes, length, in->seed))->id;
}

const char *intern_text(const struct intern *in, uint32_t id, size_t *length) {
    assert(id < in->n_entries);
    *length = in->entries[id].length;
    return in->entries[id].bytes;
}

uint32_t intern_count(const struct intern *in) {
    return (uint32_t)in->n_entries;
}

size_t intern_size(const struct intern *in) {
    return in->size;
}
