/* Arenas: a chain of blocks, each handed out from front to back.
 *
 * Blocks double in size up to BLOCK_MAX. A request that would waste much of a fresh block gets a block of its own,
 * put behind the head so that the head's free space stays in use. At a reset the head is kept when it is an ordinary
 * block. It is the largest of them, so an arena that is reused for similar work soon fits in it.
 *
 * Under AddressSanitizer what is not handed out is poisoned, so that an overrun inside a block, or a use
 * after a reset, is reported as it would be for malloc.
 */
#include "core/base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define RED_ZONE _Alignof(max_align_t)
static void poison(void *p, size_t len) {
    ASAN_POISON_MEMORY_REGION(p, len);
}
static void unpoison(void *p, size_t len) {
    ASAN_UNPOISON_MEMORY_REGION(p, len);
}
#else
#define RED_ZONE ((size_t)0)
static void poison(void *p, size_t len) {
    (void)p;
    (void)len;
}
static void unpoison(void *p, size_t len) {
    (void)p;
    (void)len;
}
#endif

enum {
    BLOCK_MIN = 4096,  /* a small request fits in one */
    BLOCK_MAX = 65536, /* also the maximum that an idle arena keeps */
};

struct arena_block {
    struct arena_block *next;
    size_t cap, used; /* bytes of data */
    max_align_t data[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *ptr);
    void *ptr;
};

static void out_of_memory(void) {
    fputs("out of memory\n", stderr);
    abort();
}

/* 0 when it does not fit in a size_t. */
static size_t round_up(size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2) return 0;
    if (size == 0) size = 1;
    return (size + align - 1) / align * align;
}

static struct arena_block *block_new(size_t cap) {
    struct arena_block *b = malloc(sizeof(*b) + cap);
    if (!b) return NULL;
    *b = (struct arena_block){.cap = cap};
    poison(b->data, cap);
    return b;
}

static void block_free(struct arena_block *b) {
    unpoison(b->data, b->cap);
    free(b);
}

static void *block_take(struct arena_block *b, size_t taken, size_t size) {
    char *p = (char *)b->data + b->used;
    b->used += taken;
    unpoison(p, size);
    return p;
}

/* A block with room for `taken` bytes, linked in; NULL on allocation failure. */
static struct arena_block *arena_grow(struct arena *a, size_t taken) {
    size_t cap = a->head && a->head->cap <= BLOCK_MAX ? a->head->cap * 2 : BLOCK_MIN;
    if (cap > BLOCK_MAX) cap = BLOCK_MAX;
    bool own = taken > cap / 2;
    struct arena_block *b = block_new(own ? taken : cap);
    if (!b) return NULL;
    if (own && a->head) {
        b->next = a->head->next;
        a->head->next = b;
    } else {
        b->next = a->head;
        a->head = b;
    }
    return b;
}

static void *arena_take(struct arena *a, size_t size) {
    size_t rounded = round_up(size);
    if (!rounded) return NULL;
    size_t taken = rounded + RED_ZONE;
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < taken) b = arena_grow(a, taken);
    if (!b) return NULL;
    a->used += rounded;
    return block_take(b, taken, size ? size : 1);
}

void arena_init(struct arena *a, size_t limit) {
    *a = (struct arena){.limit = limit ? limit : SIZE_MAX};
}

void *arena_alloc(struct arena *a, size_t size) {
    void *p = arena_take(a, size);
    if (!p) out_of_memory();
    return p;
}

void *arena_try_alloc(struct arena *a, size_t size) {
    size_t rounded = round_up(size);
    if (!rounded || a->used > a->limit || rounded > a->limit - a->used) return NULL;
    return arena_take(a, size);
}

void *arena_calloc(struct arena *a, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) out_of_memory();
    return memset(arena_alloc(a, total), 0, total);
}

void *arena_memdup(struct arena *a, const void *p, size_t len) {
    void *copy = arena_alloc(a, len);
    if (len) memcpy(copy, p, len);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t len) {
    assert(len < SIZE_MAX);
    char *copy = arena_alloc(a, len + 1);
    if (len) memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *arena_strdup(struct arena *a, const char *s) {
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(len >= 0);
    char *out = arena_alloc(a, (size_t)len + 1);
    vsnprintf(out, (size_t)len + 1, format, args);
    return out;
}

char *arena_printf(struct arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *out = arena_vprintf(a, format, args);
    va_end(args);
    return out;
}

void arena_on_reset(struct arena *a, void (*fn)(void *ptr), void *ptr) {
    struct arena_cleanup *c = arena_alloc(a, sizeof(*c));
    *c = (struct arena_cleanup){.next = a->cleanups, .fn = fn, .ptr = ptr};
    a->cleanups = c;
}

static void run_cleanups(struct arena *a) {
    while (a->cleanups) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->next;
        c->fn(c->ptr);
    }
}

static void free_blocks(struct arena_block *b) {
    while (b) {
        struct arena_block *next = b->next;
        block_free(b);
        b = next;
    }
}

void arena_reset(struct arena *a) {
    run_cleanups(a);
    a->used = 0;
    if (!a->head) return;
    free_blocks(a->head->next);
    a->head->next = NULL;
    if (a->head->cap > BLOCK_MAX) {
        free_blocks(a->head);
        a->head = NULL;
        return;
    }
    a->head->used = 0;
    poison(a->head->data, a->head->cap);
}

void arena_free(struct arena *a) {
    run_cleanups(a);
    free_blocks(a->head);
    arena_init(a, a->limit);
}
