/* The coroutine switch.
 *
 * 1. A stack is mapped once: a guard page, the stack, and at its top the struct coroutine itself.
 * 2. The first enter starts it with makecontext/setcontext. The trampoline then lives as long as the mapping:
 *    it runs one function after the other, so a pooled stack starts its next coroutine without a system call.
 * 3. From then on enter and yield are sigsetjmp + siglongjmp without the signal mask, and nothing else.
 * 4. When the function returns, enter reports it and the stack goes to the pool, or is unmapped when the pool
 *    holds `keep` already.
 *
 * Failures: a stack that overflows hits the guard page and the process dies there. mmap fails when the kernel's
 * vm.max_map_count is reached (two mappings a stack: about 32,000 stacks with Linux's default); coroutine_new then
 * returns NULL.
 */
#include "core/async/fiber.h"

#include <assert.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WITH_VALGRIND 1
#endif
#endif

/* Functions that span a switch: their frames may not move to AddressSanitizer's fake stack, which is given up
 * when a coroutine returns, and may not be merged into others. */
#define SWITCHES __attribute__((noinline, no_sanitize_address))

/* One end of a switch: a stack and where it goes on. */
struct side {
    sigjmp_buf env;
    const void *bottom; /* of the stack, for AddressSanitizer */
    size_t size;
    void *fake_stack;
};

struct coroutine {
    struct side side;
    struct coroutine_pool *pool;
    struct coroutine *next_free;
    coroutine_fn *fn;
    void *arg;
    char *mapping;
    bool started;  /* the trampoline runs */
    bool returned; /* fn has returned */
    unsigned valgrind_id;
};

struct coroutine_pool {
    struct side outside; /* the caller of coroutine_enter */
    struct coroutine *running;
    struct coroutine *free;
    size_t kept, keep, alive;
    size_t mapped; /* stacks made so far */
    size_t guard;  /* bytes of the guard page */
};

static void announce_switch(struct side *from, const struct side *to, bool for_good) {
#ifdef WITH_ASAN
    from->fake_stack = NULL;
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->size);
#else
    (void)from, (void)to, (void)for_good;
#endif
}

/* Runs on the stack of `now`; fills in `before`'s stack bounds, which for the outside come from nowhere else. */
static void confirm_switch(const struct side *now, struct side *before) {
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(now->fake_stack, &before->bottom, &before->size);
#else
    (void)now, (void)before;
#endif
}

/* Returns when the other side switches back. Nothing here changes between sigsetjmp and siglongjmp, so no variable is
 * left indeterminate. */
SWITCHES static void switch_sides(struct side *from, struct side *to, bool for_good) {
    announce_switch(from, to, for_good);
    if (sigsetjmp(from->env, 0) == 0) siglongjmp(to->env, 1);
    confirm_switch(from, to);
}

/* makecontext passes ints, so the pointer comes in halves. Never returns: it sleeps between two functions. */
SWITCHES static void trampoline(unsigned high, unsigned low) {
    struct coroutine *c = (struct coroutine *)(void *)(uintptr_t)((uint64_t)high << 32 | low);
    confirm_switch(&c->side, &c->pool->outside);
    for (;;) {
        c->fn(c->arg);
        c->returned = true;
        switch_sides(&c->side, &c->pool->outside, true);
    }
}

SWITCHES static void start(struct coroutine *c) {
    ucontext_t context;
    struct coroutine_pool *p = c->pool;
    uint64_t bits = (uint64_t)(uintptr_t)c;
    c->started = true;
    if (getcontext(&context) != 0) abort();
    context.uc_link = NULL;
    context.uc_stack.ss_sp = (void *)(uintptr_t)c->side.bottom;
    context.uc_stack.ss_size = c->side.size;
    makecontext(&context, (void (*)(void))(void *)trampoline, 2, (unsigned)(bits >> 32), (unsigned)bits);
    announce_switch(&p->outside, &c->side, false);
    if (sigsetjmp(p->outside.env, 0) == 0) setcontext(&context);
    confirm_switch(&p->outside, &c->side);
}

struct coroutine_pool *coroutine_pool_new(size_t keep) {
    struct coroutine_pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->keep = keep;
    p->guard = (size_t)sysconf(_SC_PAGESIZE);
    return p;
}

static void unmap(struct coroutine_pool *p, struct coroutine *c) {
    char *mapping = c->mapping;
    size_t size = p->guard + FIBER_STACK_BYTES;
#ifdef WITH_VALGRIND
    VALGRIND_STACK_DEREGISTER(c->valgrind_id);
#endif
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(mapping, size);
#endif
    munmap(mapping, size);
}

void coroutine_pool_free(struct coroutine_pool *p) {
    if (!p) return;
    assert(p->alive == 0);
    while (p->free) {
        struct coroutine *c = p->free;
        p->free = c->next_free;
        unmap(p, c);
    }
    free(p);
}

static struct coroutine *map(struct coroutine_pool *p) {
    size_t size = p->guard + FIBER_STACK_BYTES;
    char *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED) return NULL;
    if (mprotect(mapping, p->guard, PROT_NONE) != 0) {
        munmap(mapping, size);
        return NULL;
    }
    /* Neighbouring stacks start at different cache lines; else the tops of all stacks fight for the same
     * cache sets, since mappings are page-aligned. */
    size_t colour = p->mapped++ % 16 * 128;
    size_t top = (size - colour - sizeof(struct coroutine)) & ~(size_t)63;
    struct coroutine *c = (struct coroutine *)(void *)(mapping + top);
    *c = (struct coroutine){.pool = p, .mapping = mapping};
    c->side.bottom = mapping + p->guard;
    c->side.size = top - p->guard;
#ifdef WITH_VALGRIND
    c->valgrind_id = VALGRIND_STACK_REGISTER(mapping + p->guard, mapping + top);
#endif
    return c;
}

struct coroutine *coroutine_new(struct coroutine_pool *p, coroutine_fn *fn, void *arg) {
    struct coroutine *c = p->free;
    if (c) {
        p->free = c->next_free;
        p->kept--;
    } else {
        c = map(p);
        if (!c) return NULL;
    }
    c->fn = fn;
    c->arg = arg;
    c->returned = false;
    p->alive++;
    return c;
}

static void recycle(struct coroutine_pool *p, struct coroutine *c) {
    p->alive--;
    if (p->kept == p->keep) {
        unmap(p, c);
        return;
    }
    c->next_free = p->free;
    p->free = c;
    p->kept++;
}

_Bool coroutine_enter(struct coroutine *c) {
    struct coroutine_pool *p = c->pool;
    assert(!p->running);
    p->running = c;
    if (c->started)
        switch_sides(&p->outside, &c->side, false);
    else
        start(c);
    p->running = NULL;
    if (!c->returned) return false;
    recycle(p, c);
    return true;
}

void coroutine_yield(struct coroutine *c) {
    assert(c->pool->running == c);
    switch_sides(&c->side, &c->pool->outside, false);
}
