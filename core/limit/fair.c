/* Turns: see fair.h. A waiter is a struct on its fiber's stack, as in core/async/wait.c: the one who serves or refuses
 * it unlinks it, so an interrupt at the same moment changes nothing. A queue exists while somebody waits in it. */
#include "core/limit/fair.h"

#include <assert.h>
#include <stdlib.h>

struct queue {
    struct list_node turn;
    struct list_node waiters; /* newest last */
    uint64_t key;
    size_t n;
};

struct waiter {
    struct list_node node;
    struct fiber *fiber;
    bool served, refused;
};

void fair_init(struct fair *f, size_t places, size_t max_waiting, size_t max_of_key) {
    assert(places > 0 && max_waiting > 0 && max_of_key > 0);
    *f = (struct fair){.free = places, .max_waiting = max_waiting, .max_of_key = max_of_key};
    idmap_init(&f->queues);
    list_init(&f->turns);
}

void fair_free(struct fair *f) {
    assert(f->waiting == 0 && f->queues.len == 0);
    idmap_free(&f->queues);
}

static struct queue *queue_of(struct fair *f, uint64_t key) {
    struct queue *q = idmap_get(&f->queues, (int64_t)key);
    if (q) return q;
    q = calloc(1, sizeof *q);
    if (!q) abort();
    q->key = key;
    list_init(&q->waiters);
    list_push_back(&f->turns, &q->turn);
    idmap_put(&f->queues, (int64_t)key, q);
    return q;
}

/* Takes a waiter off; the queue goes with its last one. */
static void take_off(struct fair *f, struct queue *q, struct waiter *w) {
    assert(q->n > 0 && f->waiting > 0);
    list_remove(&w->node);
    f->waiting--;
    if (--q->n > 0) return;
    list_remove(&q->turn);
    idmap_remove(&f->queues, (int64_t)q->key);
    free(q);
}

static void refuse_oldest(struct fair *f, struct queue *q) {
    struct waiter *w = list_entry(q->waiters.next, struct waiter, node);
    w->refused = true;
    fiber_wake(w->fiber);
    take_off(f, q, w);
}

static struct queue *longest(struct fair *f) {
    struct queue *found = NULL;
    list_each (&f->turns, n) {
        struct queue *q = list_entry(n, struct queue, turn);
        if (!found || q->n > found->n) found = q;
    }
    return found;
}

int fair_enter(struct fiber *self, struct fair *f, uint64_t key) {
    if (f->free > 0) {
        f->free--;
        return 0;
    }
    struct waiter w = {.fiber = self};
    struct queue *q = queue_of(f, key);
    list_push_back(&q->waiters, &w.node);
    q->n++;
    f->waiting++;
    if (q->n > f->max_of_key)
        refuse_oldest(f, q);
    else if (f->waiting > f->max_waiting)
        refuse_oldest(f, longest(f));
    int err = 0;
    while (!w.served && !w.refused && !err) err = fiber_park(self);
    if (w.served) return 0;
    if (w.refused) return ERR_OVERLOADED;
    take_off(f, q, &w);
    return err;
}

void fair_leave(struct fair *f) {
    if (list_empty(&f->turns)) {
        f->free++;
        return;
    }
    struct queue *q = list_entry(f->turns.next, struct queue, turn);
    struct waiter *w = list_entry(q->waiters.prev, struct waiter, node);
    w->served = true;
    fiber_wake(w->fiber);
    list_remove(&q->turn);
    list_push_back(&f->turns, &q->turn);
    take_off(f, q, w);
}
