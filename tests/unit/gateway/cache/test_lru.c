/* The caches' bounded map, and the guard that keeps old values out of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "gateway/cache/fill_guard.h"
#include "gateway/cache/lru.h"

enum { SMALL = 36, COUNTED = 100 /* with its slot */ };

static int dropped;
static int64_t last_dropped;

static void drop(struct lru_item *item) {
    dropped++;
    last_dropped = item->id;
    free(item);
}

static void put_of(struct lru *l, int64_t id, size_t bytes) {
    struct lru_item *item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->id = id;
    lru_put(l, item, bytes);
}

static void put(struct lru *l, int64_t id) {
    put_of(l, id, SMALL);
}

static void begin(struct lru *l, size_t cap) {
    dropped = 0;
    lru_init(l, cap * COUNTED, drop);
}

static void the_oldest_goes_when_it_is_full(void **state) {
    (void)state;
    struct lru l;
    begin(&l, 3);
    for (int64_t id = 1; id <= 4; id++) put(&l, id);
    assert_int_equal(dropped, 1);
    assert_int_equal(last_dropped, 1);
    assert_null(lru_get(&l, 1));
    assert_non_null(lru_get(&l, 2));
    put(&l, 5); /* 3 is now the one not used longest */
    assert_int_equal(last_dropped, 3);
    lru_free(&l);
    assert_int_equal(dropped, 5);
}

static void the_same_id_again_replaces(void **state) {
    (void)state;
    struct lru l;
    begin(&l, 3);
    put(&l, 1);
    put(&l, 1);
    assert_int_equal(dropped, 1);
    assert_int_equal(l.map.len, 1);
    lru_remove(&l, 1);
    lru_remove(&l, 1);
    assert_int_equal(dropped, 2);
    lru_free(&l);
}

static void a_large_one_takes_the_room_of_many(void **state) {
    (void)state;
    struct lru l;
    begin(&l, 10);
    for (int64_t id = 1; id <= 10; id++) put(&l, id);
    assert_int_equal(dropped, 0);
    put_of(&l, 11, SMALL + 4 * COUNTED);
    assert_int_equal(dropped, 5);
    assert_non_null(lru_get(&l, 6));
    put_of(&l, 12, 1000 * COUNTED); /* alone, since nothing else fits beside it */
    assert_int_equal(l.map.len, 1);
    put(&l, 13);
    assert_null(lru_get(&l, 12));
    assert_int_equal(l.bytes, COUNTED);
    lru_free(&l);
}

static void clearing_drops_all(void **state) {
    (void)state;
    struct lru l;
    begin(&l, 10);
    for (int64_t id = 0; id < 5; id++) put(&l, id);
    lru_clear(&l);
    assert_int_equal(dropped, 5);
    assert_null(lru_get(&l, 3));
    put(&l, 3);
    assert_non_null(lru_get(&l, 3));
    lru_free(&l);
}

/* Moves are spared, but what is used all the time never goes. */
static void what_is_in_use_stays(void **state) {
    (void)state;
    struct lru l;
    enum { CAP = 800, HOT = 50 };
    begin(&l, CAP);
    for (int64_t id = 0; id < HOT; id++) put(&l, id);
    for (int64_t id = HOT; id < 20 * CAP; id++) {
        put(&l, id);
        assert_non_null(lru_get(&l, id % HOT));
        assert_true(l.map.len <= CAP);
    }
    for (int64_t id = 0; id < HOT; id++) assert_non_null(lru_get(&l, id));
    lru_free(&l);
}

/* What goes is among the oldest: everything that was used within the last half of the capacity is there. */
static void nothing_recent_goes(void **state) {
    (void)state;
    struct lru l;
    enum { CAP = 64, IDS = 200 };
    static int64_t used_at[IDS];
    begin(&l, CAP);
    srand(3);
    for (int64_t step = 1; step < 20000; step++) {
        int64_t id = rand() % IDS;
        if (!lru_get(&l, id)) {
            assert_true(used_at[id] == 0 || step - used_at[id] > CAP / 2);
            put(&l, id);
        }
        used_at[id] = step;
    }
    lru_free(&l);
}

/* ---- the guard ----------------------------------------------------------------------------------------- */

static void a_fill_is_not_stored_after_its_invalidation(void **state) {
    (void)state;
    static struct fill_guard g;
    g = (struct fill_guard){0};
    fill_guard_invalidated(&g, 7);
    uint64_t begun = fill_guard_begin(&g);
    assert_true(fill_guard_may_store(&g, begun, 7)); /* before the fill: it read what came of it */
    fill_guard_invalidated(&g, 8);
    assert_true(fill_guard_may_store(&g, begun, 7));
    assert_false(fill_guard_may_store(&g, begun, 8));
    fill_guard_invalidated_all(&g);
    assert_false(fill_guard_may_store(&g, begun, 7));
    assert_true(fill_guard_may_store(&g, fill_guard_begin(&g), 7));
}

static void a_ring_that_ran_over_is_not_believed(void **state) {
    (void)state;
    static struct fill_guard g;
    g = (struct fill_guard){0};
    uint64_t begun = fill_guard_begin(&g);
    fill_guard_invalidated(&g, 7);
    for (int i = 1; i < FILL_GUARD_RING; i++) fill_guard_invalidated(&g, 1000 + i);
    assert_false(fill_guard_may_store(&g, begun, 7));
    assert_true(fill_guard_may_store(&g, begun, 8));
    fill_guard_invalidated(&g, 9); /* 7 is overwritten */
    assert_false(fill_guard_may_store(&g, begun, 7));
    assert_false(fill_guard_may_store(&g, begun, 8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_goes_when_it_is_full),
        cmocka_unit_test(the_same_id_again_replaces),
        cmocka_unit_test(a_large_one_takes_the_room_of_many),
        cmocka_unit_test(clearing_drops_all),
        cmocka_unit_test(what_is_in_use_stays),
        cmocka_unit_test(nothing_recent_goes),
        cmocka_unit_test(a_fill_is_not_stored_after_its_invalidation),
        cmocka_unit_test(a_ring_that_ran_over_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
