/* Semaphore, condition and latch: what fibers wait on among themselves.
 *
 * A waiter is a struct on its fiber's stack, linked into the queue. The fiber that hands something over unlinks the
 * waiter and marks it served. So a fiber that is interrupted at the same moment sees that it was served and keeps
 * what it got; a fiber that is interrupted first unlinks itself, and nothing can be handed to it any more.
 */
#include <assert.h>

#include "core/async/loop.h"

struct waiter {
    struct list_node node;
    struct fiber *fiber;
    bool served;
};

/* 0 when served, else the interrupt, and the waiter is on no list. */
static int wait_in(struct fiber *self, struct list_node *queue) {
    struct waiter w = {.fiber = self};
    int err = 0;
    list_push_back(queue, &w.node);
    while (!w.served && !err) err = fiber_park(self);
    list_remove(&w.node);
    return w.served ? 0 : err;
}

/* Wakes the first waiter; returns false when there is none. */
static bool serve(struct list_node *queue) {
    struct list_node *n = list_pop_front(queue);
    if (!n) return false;
    struct waiter *w = list_entry(n, struct waiter, node);
    w->served = true;
    fiber_wake(w->fiber);
    return true;
}

void semaphore_init(struct semaphore *s, int64_t available, size_t max_waiting) {
    list_init(&s->waiters);
    s->available = available;
    s->waiting = 0;
    s->max_waiting = max_waiting;
}

int semaphore_acquire(struct fiber *self, struct semaphore *s) {
    if (s->available > 0) {
        s->available--;
        return 0;
    }
    if (s->waiting >= s->max_waiting) return ERR_OVERLOADED;
    s->waiting++;
    int err = wait_in(self, &s->waiters);
    if (err) s->waiting--;
    return err;
}

/* Handed to the first waiter directly: a newcomer cannot overtake it. */
void semaphore_release(struct semaphore *s) {
    if (serve(&s->waiters))
        s->waiting--;
    else
        s->available++;
}

void condition_init(struct condition *c) {
    list_init(&c->waiters);
}

int condition_wait(struct fiber *self, struct condition *c) {
    return wait_in(self, &c->waiters);
}

void condition_signal(struct condition *c) {
    serve(&c->waiters);
}

void condition_broadcast(struct condition *c) {
    while (serve(&c->waiters)) continue;
}

void latch_init(struct latch *t, size_t n) {
    t->left = n;
    t->waiter = NULL;
}

void latch_done(struct latch *t) {
    assert(t->left > 0);
    if (--t->left == 0 && t->waiter) fiber_wake(t->waiter);
}

int latch_wait(struct fiber *self, struct latch *t) {
    int err = 0;
    assert(!t->waiter);
    t->waiter = self;
    while (t->left > 0 && !err) err = fiber_park(self);
    t->waiter = NULL;
    return t->left == 0 ? 0 : err;
}
