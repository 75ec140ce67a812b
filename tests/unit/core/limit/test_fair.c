/* Places in turns: who is served when many wait, and who gives up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/limit/fair.h"
#include "tests/unit/support/fibers.h"

struct caller {
    struct fair *fair;
    struct fiber *fiber;
    uint64_t key;
    int result; /* -1 while it waits */
    int place;  /* in the order of being served */
    bool holds; /* keeps its place until told to go */
};

static int served;

static void call(struct fiber *self, void *arg) {
    struct caller *c = arg;
    c->fiber = self;
    c->result = fair_enter(self, c->fair, c->key);
    c->fiber = NULL;
    if (c->result != 0) return;
    c->place = ++served;
    while (c->holds) fiber_sleep_ms(self, 1);
    fiber_sleep_ms(self, 0);
    fair_leave(c->fair);
}

/* Starts n callers of a key; they stand in the order of their numbers. */
static void start(struct fiber *self, struct fair *f, struct caller *c, int n, uint64_t key) {
    for (int i = 0; i < n; i++) {
        c[i] = (struct caller){.fair = f, .key = key, .result = -1};
        start_fiber(self, call, &c[i]);
    }
    fiber_sleep_ms(self, 0);
    fiber_sleep_ms(self, 0);
}

static void hold_the_place(struct fiber *self, struct fair *f, struct caller *c) {
    *c = (struct caller){.fair = f, .key = 99, .result = -1, .holds = true};
    start_fiber(self, call, c);
    while (c->result != 0) fiber_sleep_ms(self, 1);
    served = 0;
}

static void let_all_go(struct fiber *self, struct caller *holder, const struct caller *c, int n) {
    holder->holds = false;
    for (int i = 0; i < n; i++)
        while (c[i].result == -1) fiber_sleep_ms(self, 1);
    while (holder->fair->free == 0) fiber_sleep_ms(self, 1);
}

static void a_free_place_is_had_at_once(struct fiber *self, void *arg) {
    struct fair f;
    (void)arg;
    fair_init(&f, 2, 10, 10);
    CHECK_INT(fair_enter(self, &f, 1), 0);
    CHECK_INT(fair_enter(self, &f, 1), 0);
    CHECK_INT(f.free, 0);
    fair_leave(&f);
    fair_leave(&f);
    CHECK_INT(f.free, 2);
    fair_free(&f);
}

static void keys_take_turns_and_the_newest_of_each_goes_first(struct fiber *self, void *arg) {
    struct fair f;
    struct caller holder, flood[20], one[2];
    (void)arg;
    fair_init(&f, 1, 100, 100);
    hold_the_place(self, &f, &holder);
    start(self, &f, flood, 20, 1);
    start(self, &f, one, 2, 2);
    CHECK_INT(f.waiting, 22);
    let_all_go(self, &holder, flood, 20);
    CHECK_INT(flood[19].place, 1);
    CHECK_INT(one[1].place, 2);
    CHECK_INT(flood[18].place, 3);
    CHECK_INT(one[0].place, 4);
    CHECK_INT(flood[0].place, 22);
    CHECK_INT(f.free, 1);
    fair_free(&f);
}

static void a_full_queue_refuses_its_oldest(struct fiber *self, void *arg) {
    struct fair f;
    struct caller holder, flood[10], one[1];
    (void)arg;
    fair_init(&f, 1, 100, 4);
    hold_the_place(self, &f, &holder);
    start(self, &f, one, 1, 2);
    start(self, &f, flood, 10, 1);
    for (int i = 0; i < 6; i++) CHECK_INT(flood[i].result, ERR_OVERLOADED);
    CHECK_INT(f.waiting, 5);
    let_all_go(self, &holder, flood, 10);
    CHECK_INT(one[0].result, 0);
    for (int i = 6; i < 10; i++) CHECK_INT(flood[i].result, 0);
    fair_free(&f);
}

static void when_all_are_full_the_longest_gives_way(struct fiber *self, void *arg) {
    struct fair f;
    struct caller holder, flood[8], others[4];
    (void)arg;
    fair_init(&f, 1, 8, 8);
    hold_the_place(self, &f, &holder);
    start(self, &f, flood, 8, 1);
    for (int i = 0; i < 4; i++) start(self, &f, &others[i], 1, 10 + (uint64_t)i);
    for (int i = 0; i < 4; i++) CHECK_INT(flood[i].result, ERR_OVERLOADED);
    let_all_go(self, &holder, others, 4);
    for (int i = 0; i < 4; i++) CHECK_INT(others[i].result, 0);
    let_all_go(self, &holder, flood, 8);
    fair_free(&f);
}

static void an_interrupted_one_leaves_its_queue(struct fiber *self, void *arg) {
    struct fair f;
    struct caller holder, c[3];
    (void)arg;
    fair_init(&f, 1, 10, 10);
    hold_the_place(self, &f, &holder);
    start(self, &f, c, 3, 1);
    fiber_cancel(c[1].fiber);
    fiber_sleep_ms(self, 1);
    CHECK_INT(c[1].result, ERR_CANCELLED);
    CHECK_INT(f.waiting, 2);
    fiber_cancel(c[0].fiber);
    fiber_cancel(c[2].fiber);
    fiber_sleep_ms(self, 1);
    CHECK_INT(f.queues.len, 0);
    let_all_go(self, &holder, c, 3);
    CHECK_INT(f.free, 1);
    fair_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_free_place_is_had_at_once),
        IN_FIBER(keys_take_turns_and_the_newest_of_each_goes_first),
        IN_FIBER(a_full_queue_refuses_its_oldest),
        IN_FIBER(when_all_are_full_the_longest_gives_way),
        IN_FIBER(an_interrupted_one_leaves_its_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
