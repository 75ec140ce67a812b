/* Fibers: stackful coroutines, only the switch. What they wait on is in core/async/loop.h.
 *
 * A fiber runs on a stack of its own with a guard page below it; stacks are pooled. A stack is started once with
 * makecontext, then switched with sigsetjmp and siglongjmp without the signal mask: a round trip costs nanoseconds,
 * where swapcontext makes two system calls. Every switch is announced to AddressSanitizer. One thread only.
 *
 * The rule of the house: a function may suspend if and only if its first parameter is `struct fiber *self`.
 */
#ifndef ROOKERY_CORE_ASYNC_FIBER_H
#define ROOKERY_CORE_ASYNC_FIBER_H

#include <stddef.h>

/* 128 KiB of address space; pages are touched on demand, so an idle fiber costs about 8 KiB. */
#define FIBER_STACK_BYTES ((size_t)128 * 1024)

struct coroutine;
struct coroutine_pool;

typedef void coroutine_fn(void *arg);

/* keep: how many finished stacks are kept for reuse. Returns NULL on allocation failure. */
struct coroutine_pool *coroutine_pool_new(size_t keep);
/* No coroutine of the pool may be alive. */
void coroutine_pool_free(struct coroutine_pool *p);

/* Prepares fn(arg) on a stack of its own; it runs at the first coroutine_enter. Returns NULL on allocation
 * failure. */
struct coroutine *coroutine_new(struct coroutine_pool *p, coroutine_fn *fn, void *arg);

/* Switches into c until it yields or returns. Returns true when c has returned: c is then freed, its stack back in
 * the pool. Called from outside any coroutine (no nesting). */
_Bool coroutine_enter(struct coroutine *c);

/* Inside c: switches back to the caller of coroutine_enter. */
void coroutine_yield(struct coroutine *c);

#endif
