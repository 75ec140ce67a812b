/* Arenas: memory that is freed together.
 *
 * A request, a worker batch or a test takes all its memory from one arena and frees it in one call. A reset keeps one
 * block of at most 64 KiB, so an arena that is reused for similar work soon stops calling malloc. An arena has a
 * limit: the bytes that a peer can make it hold.
 *
 * Two forms of allocation:
 *   arena_alloc()      for sizes the program controls. Never returns NULL: it aborts when the machine has no memory.
 *                      It counts towards the limit but is not refused by it: otherwise a peer that has filled an
 *                      arena could make the next error message end the program.
 *   arena_try_alloc()  for sizes a peer controls. Returns NULL when the limit would be passed, and on allocation
 *                      failure; the arena stays usable.
 */
#ifndef ROOKERY_CORE_BASE_ARENA_H
#define ROOKERY_CORE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *head;       /* the block allocations come from; older ones behind it */
    struct arena_cleanup *cleanups; /* run newest first at reset */
    size_t used;                    /* bytes handed out since the last reset */
    size_t limit;                   /* bytes that arena_try_alloc may bring it to; SIZE_MAX for no limit */
};

/* Prepares an empty arena; allocates nothing yet. limit 0 means none. */
void arena_init(struct arena *a, size_t limit);

/* Runs the cleanups and frees all allocations; keeps the newest ordinary block, frees the others. */
void arena_reset(struct arena *a);

/* As arena_reset, and frees everything. The arena may be used again afterwards. */
void arena_free(struct arena *a);

/* Memory aligned for any type, not zeroed. A size of 0 gives a unique valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_try_alloc(struct arena *a, size_t size);

/* Zeroed; count*size is checked for overflow. */
void *arena_calloc(struct arena *a, size_t count, size_t size);

/* Copies, NUL-terminated. */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_strdup(struct arena *a, const char *s);
void *arena_memdup(struct arena *a, const void *p, size_t len);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Calls fn(ptr) when the arena is reset or freed: for foreign objects (a PGresult) that live as long as the arena. */
void arena_on_reset(struct arena *a, void (*fn)(void *ptr), void *ptr);

#define ARENA_NEW(a, type) ((type *)arena_calloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))

#endif
