/* Makes the i-th allocation of a piece of code fail, and counts what it leaves behind.
 *
 * Included by the one file of a test program: it replaces the allocator of the whole program, so it is in no library.
 *
 * glibc's own allocator is behind the __libc_ names; with the sanitizers, whose allocator must not be, nothing can be
 * made to fail (failing_malloc_works is false). One thread at a time.
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_FAILING_MALLOC_H
#define ROOKERY_TESTS_UNIT_SUPPORT_FAILING_MALLOC_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static inline bool failing_malloc_works(void);
/* Lets `after` allocations succeed and the next one fail; those behind it succeed again. */
static inline void failing_malloc_arm(size_t after);
/* Back to normal; true when an allocation failed. */
static inline bool failing_malloc_disarm(void);
/* Blocks that are allocated now. */
static inline long failing_malloc_blocks(void);

/* Calls run with the first allocation failing, then the second, and so on, until it takes place without a failure.
 * run returns whether it succeeded; it leaves nothing behind either way, and when it says that it succeeded the result
 * is right, which run itself checks (an allocation may fail and something else do: qsort sorts in place then). Returns
 * how many failures made it fail; 0 where nothing can be made to fail. */
static inline size_t failing_malloc_each(bool (*run)(void *context), void *context);

/* ---- how */

#if defined(__SANITIZE_ADDRESS__)
#define FAILING_MALLOC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAILING_MALLOC_SANITIZED 1
#endif
#endif

static long failing_blocks;
static size_t failing_left;
static bool failing_armed, failing_failed;

#ifndef FAILING_MALLOC_SANITIZED
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *at, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *at);

/* Whether this allocation is the one to fail. */
static bool failing_malloc_now(void) {
    if (!failing_armed || failing_failed) return false;
    if (failing_left-- > 0) return false;
    failing_failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n) {
    void *at = failing_malloc_now() ? NULL : __libc_malloc(n);
    __atomic_add_fetch(&failing_blocks, at != NULL, __ATOMIC_RELAXED);
    return at;
}

void *calloc(size_t n, size_t size) {
    void *at = failing_malloc_now() ? NULL : __libc_calloc(n, size);
    __atomic_add_fetch(&failing_blocks, at != NULL, __ATOMIC_RELAXED);
    return at;
}

void *realloc(void *old, size_t n) {
    if (failing_malloc_now()) return NULL;
    void *at = __libc_realloc(old, n);
    __atomic_add_fetch(&failing_blocks, at && !old, __ATOMIC_RELAXED);
    return at;
}

void *aligned_alloc(size_t align, size_t n) {
    void *at = failing_malloc_now() ? NULL : __libc_memalign(align, n);
    __atomic_add_fetch(&failing_blocks, at != NULL, __ATOMIC_RELAXED);
    return at;
}

void free(void *at) {
    __atomic_sub_fetch(&failing_blocks, at != NULL, __ATOMIC_RELAXED);
    __libc_free(at);
}
#endif

static inline bool failing_malloc_works(void) {
#ifdef FAILING_MALLOC_SANITIZED
    return false;
#else
    return true;
#endif
}

static inline void failing_malloc_arm(size_t after) {
    failing_left = after;
    failing_failed = false;
    failing_armed = true;
}

static inline bool failing_malloc_disarm(void) {
    failing_armed = false;
    return failing_failed;
}

static inline long failing_malloc_blocks(void) {
    return __atomic_load_n(&failing_blocks, __ATOMIC_RELAXED);
}

static inline size_t failing_malloc_each(bool (*run)(void *context), void *context) {
    if (!failing_malloc_works()) return 0;
    assert_true(run(context)); /* whatever is set up once is set up now */
    size_t noticed = 0;
    for (size_t n = 0;; n++) {
        long before = failing_malloc_blocks();
        failing_malloc_arm(n);
        bool good = run(context);
        bool one_failed = failing_malloc_disarm();
        if (failing_malloc_blocks() != before) {
            print_error("allocation %zu failed, and %ld blocks were left behind\n", n,
                        failing_malloc_blocks() - before);
        }
        assert_int_equal(failing_malloc_blocks(), before);
        noticed += !good;
        if (one_failed) continue;
        assert_true(good);
        return noticed;
    }
}

#endif
