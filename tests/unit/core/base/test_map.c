/* Hash maps against plain arrays, and arrays of ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/map.h"

enum { KEYS = 500, STEPS = 50000 };

static char values[KEYS];

static int64_t id_of(size_t key) {
    /* Neighbours, multiples of a power of two, and both ends of the range. */
    if (key == 0) return INT64_MIN;
    if (key == 1) return INT64_MAX;
    return key % 2 ? (int64_t)key - 250 : (int64_t)key << 40;
}

static void idmap_holds_any_id(void **state) {
    (void)state;
    struct idmap m;
    int64_t ids[] = {0, -1, 1, INT64_MIN, INT64_MAX};
    idmap_init(&m);
    assert_null(idmap_get(&m, 0));
    assert_null(idmap_remove(&m, 0));
    for (size_t i = 0; i < 5; i++) assert_null(idmap_put(&m, ids[i], &values[i]));
    for (size_t i = 0; i < 5; i++) assert_ptr_equal(idmap_get(&m, ids[i]), &values[i]);
    assert_ptr_equal(idmap_put(&m, 0, &values[9]), &values[0]);
    assert_ptr_equal(idmap_get(&m, 0), &values[9]);
    assert_int_equal(m.len, 5);
    idmap_free(&m);
    assert_int_equal(m.len, 0);
    assert_null(idmap_get(&m, 1));
    assert_null(idmap_put(&m, 1, values)); /* usable again */
    idmap_free(&m);
}

/* Random puts and removals, and after each the map holds what an array says it must. */
static void idmap_agrees_with_an_array(void **state) {
    (void)state;
    struct idmap m;
    void *expected[KEYS] = {0};
    size_t len = 0;
    idmap_init(&m);
    for (int step = 0; step < STEPS; step++) {
        size_t key = random_u64() % KEYS;
        bool put = random_u64() % 2;
        void *value = &values[random_u64() % KEYS];
        void *before = put ? idmap_put(&m, id_of(key), value) : idmap_remove(&m, id_of(key));
        assert_ptr_equal(before, expected[key]);
        expected[key] = put ? value : NULL;
        len = len + (put ? 1 : 0) - (before ? 1 : 0);
        assert_int_equal(m.len, len);
    }
    for (size_t key = 0; key < KEYS; key++) assert_ptr_equal(idmap_get(&m, id_of(key)), expected[key]);
    idmap_free(&m);
}

static void idmap_walks_every_entry_once(void **state) {
    (void)state;
    struct idmap m;
    idmap_init(&m);
    size_t pos = 0, seen[KEYS] = {0};
    int64_t id;
    void *value;
    assert_false(idmap_next(&m, &pos, &id, &value));
    for (size_t i = 0; i < KEYS; i++) idmap_put(&m, (int64_t)i, &values[i]);
    while (idmap_next(&m, &pos, &id, &value)) {
        assert_ptr_equal(value, &values[id]);
        seen[id]++;
    }
    for (size_t i = 0; i < KEYS; i++) assert_int_equal(seen[i], 1);
    idmap_free(&m);
}

static void idmap_keeps_its_load_below_three_quarters(void **state) {
    (void)state;
    struct idmap m;
    idmap_init(&m);
    for (int64_t i = 0; i < 10000; i++) {
        idmap_put(&m, i, values);
        assert_true(m.len <= m.cap / 4 * 3);
        assert_int_equal(m.cap & (m.cap - 1), 0);
    }
    assert_true(m.cap <= 32768);
    idmap_free(&m);
}

static struct str key_of(size_t key, char *room, size_t size) {
    int len = snprintf(room, size, "key %zu", key * key);
    return (struct str){room, key == 0 ? 0 : (size_t)len};
}

static void strmap_agrees_with_an_array(void **state) {
    (void)state;
    struct strmap m;
    void *expected[KEYS] = {0};
    char room[32];
    strmap_init(&m);
    assert_null(strmap_get(&m, STR("none")));
    assert_null(strmap_remove(&m, STR("none")));
    for (int step = 0; step < STEPS; step++) {
        size_t key = random_u64() % KEYS;
        struct str k = key_of(key, room, sizeof(room));
        bool put = random_u64() % 2;
        void *value = &values[random_u64() % KEYS];
        assert_ptr_equal(put ? strmap_put(&m, k, value) : strmap_remove(&m, k), expected[key]);
        expected[key] = put ? value : NULL;
    }
    size_t len = 0, walked = 0, pos = 0;
    for (size_t key = 0; key < KEYS; key++) {
        len += expected[key] ? 1u : 0u;
        assert_ptr_equal(strmap_get(&m, key_of(key, room, sizeof(room))), expected[key]);
    }
    assert_int_equal(m.len, len);
    struct str k;
    void *value;
    while (strmap_next(&m, &pos, &k, &value)) {
        assert_ptr_equal(strmap_get(&m, k), value);
        walked++;
    }
    assert_int_equal(walked, len);
    strmap_free(&m);
}

static void strmap_owns_its_keys(void **state) {
    (void)state;
    struct strmap m;
    char key[] = "a\0b";
    strmap_init(&m);
    strmap_put(&m, (struct str){key, 3}, &values[1]);
    key[2] = 'c';
    assert_ptr_equal(strmap_get(&m, STR("a\0b")), &values[1]);
    assert_null(strmap_get(&m, STR("a\0c")));
    assert_null(strmap_get(&m, STR("a")));
    strmap_put(&m, (struct str){NULL, 0}, &values[2]);
    assert_ptr_equal(strmap_get(&m, STR("")), &values[2]);
    strmap_free(&m);
}

static void ids_are_sorted_and_unique(void **state) {
    (void)state;
    struct ids s;
    ids_init(&s);
    ids_sort_unique(&s);
    assert_int_equal(s.len, 0);
    for (int64_t i = 0; i < 1000; i++) ids_push(&s, (i * 7919) % 300 - 150);
    ids_push(&s, INT64_MIN);
    ids_push(&s, INT64_MAX);
    ids_sort_unique(&s);
    assert_int_equal(s.len, 302);
    assert_int_equal(s.v[0], INT64_MIN);
    for (size_t i = 1; i <= 300; i++) assert_int_equal(s.v[i], (int64_t)i - 151);
    assert_int_equal(s.v[301], INT64_MAX);
    ids_sort_unique(&s);
    assert_int_equal(s.len, 302);
    ids_free(&s);
    assert_null(s.v);
}

static void ids_drops_equal_neighbours_of_a_sorted_array(void **state) {
    (void)state;
    struct ids s;
    ids_init(&s);
    ids_reserve(&s, 3);
    assert_true(s.cap >= 3);
    ids_push(&s, 1);
    ids_push(&s, 1);
    ids_push(&s, 2);
    ids_sort_unique(&s);
    assert_int_equal(s.len, 2);
    ids_free(&s);
}

static void the_bounds_of_ids_in_any_order(void **state) {
    (void)state;
    int64_t v[] = {3, INT64_MIN, 7, INT64_MAX, 3}, lowest, highest;
    ids_bounds(v, 1, &lowest, &highest);
    assert_int_equal(lowest, 3);
    assert_int_equal(highest, 3);
    ids_bounds(v + 2, 3, &lowest, &highest);
    assert_int_equal(lowest, 3);
    assert_true(highest == INT64_MAX);
    ids_bounds(v, 5, &lowest, &highest);
    assert_true(lowest == INT64_MIN && highest == INT64_MAX);
}

static void ids_are_found_by_bisection(void **state) {
    (void)state;
    int64_t v[] = {-5, 0, 3, 8, INT64_MAX};
    for (size_t len = 0; len <= 5; len++) {
        for (size_t i = 0; i < 5; i++) assert_int_equal(ids_contains(v, len, v[i]), i < len);
        assert_false(ids_contains(v, len, -6));
        assert_false(ids_contains(v, len, 4));
        assert_false(ids_contains(v, len, INT64_MAX - 1));
    }
    assert_false(ids_contains(NULL, 0, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idmap_holds_any_id),
        cmocka_unit_test(idmap_agrees_with_an_array),
        cmocka_unit_test(idmap_walks_every_entry_once),
        cmocka_unit_test(idmap_keeps_its_load_below_three_quarters),
        cmocka_unit_test(strmap_agrees_with_an_array),
        cmocka_unit_test(strmap_owns_its_keys),
        cmocka_unit_test(ids_are_sorted_and_unique),
        cmocka_unit_test(the_bounds_of_ids_in_any_order),
        cmocka_unit_test(ids_drops_equal_neighbours_of_a_sorted_array),
        cmocka_unit_test(ids_are_found_by_bisection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
