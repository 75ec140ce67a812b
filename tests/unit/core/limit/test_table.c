/* The bounded table of numbers by key, also against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/limit/table.h"

static void a_new_key_has_rows_of_zero(void **state) {
    (void)state;
    struct limit_table *t = limit_table_new(2, 3);
    int64_t *rows = limit_table_use(t, 7);
    for (int i = 0; i < 3; i++) assert_int_equal(rows[i], 0);
    rows[2] = 5;
    assert_int_equal(limit_table_use(t, 7)[2], 5);
    assert_null(limit_table_find(t, 8));
    limit_table_use(t, 8);
    limit_table_use(t, 9); /* 7 makes room */
    assert_null(limit_table_find(t, 7));
    assert_int_equal(limit_table_use(t, 7)[2], 0);
    assert_int_equal(limit_table_len(t), 2);
    limit_table_free(t);
}

static void the_key_used_least_recently_makes_room(void **state) {
    (void)state;
    struct limit_table *t = limit_table_new(3, 1);
    for (uint64_t key = 1; key <= 3; key++) limit_table_use(t, key);
    limit_table_find(t, 1);
    limit_table_use(t, 4);
    assert_null(limit_table_find(t, 2));
    assert_non_null(limit_table_find(t, 1));
    assert_non_null(limit_table_find(t, 3));
    limit_table_free(t);
}

static void a_removed_key_is_new_again(void **state) {
    (void)state;
    struct limit_table *t = limit_table_new(1, 1);
    *limit_table_use(t, 1) = 3;
    limit_table_remove(t, 1);
    limit_table_remove(t, 1);
    assert_int_equal(limit_table_len(t), 0);
    assert_int_equal(*limit_table_use(t, 2), 0);
    assert_int_equal(limit_table_len(t), 1);
    limit_table_free(t);
}

/* Newest last. */
enum { ROOM = 16, KEYS = 40 };
struct model {
    uint64_t key[ROOM];
    int64_t value[ROOM];
    size_t n;
};

static bool model_take(struct model *m, uint64_t key, int64_t *value) {
    for (size_t i = 0; i < m->n; i++) {
        if (m->key[i] != key) continue;
        *value = m->value[i];
        m->n--;
        for (; i < m->n; i++) {
            m->key[i] = m->key[i + 1];
            m->value[i] = m->value[i + 1];
        }
        return true;
    }
    return false;
}

static void model_put(struct model *m, uint64_t key, int64_t value) {
    int64_t gone;
    if (m->n == ROOM) model_take(m, m->key[0], &gone);
    m->key[m->n] = key;
    m->value[m->n++] = value;
}

static void it_is_what_a_list_in_order_of_use_is(void **state) {
    (void)state;
    struct limit_table *t = limit_table_new(ROOM, 1);
    struct model m = {.n = 0};
    srandom(3);
    for (int i = 0; i < 100000; i++) {
        uint64_t key = (uint64_t)(random() % KEYS);
        int64_t value = 0;
        bool there = model_take(&m, key, &value);
        switch (random() % 4) {
        case 0: limit_table_remove(t, key); break;
        case 1: {
            const int64_t *found = limit_table_find(t, key);
            assert_int_equal(found != NULL, there);
            if (there) {
                assert_int_equal(*found, value);
                model_put(&m, key, value);
            }
            break;
        }
        default: {
            int64_t *used = limit_table_use(t, key);
            assert_int_equal(*used, there ? value : 0);
            *used = i;
            model_put(&m, key, i);
        }
        }
        assert_int_equal(limit_table_len(t), m.n);
    }
    limit_table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_has_rows_of_zero),
        cmocka_unit_test(the_key_used_least_recently_makes_room),
        cmocka_unit_test(a_removed_key_is_new_again),
        cmocka_unit_test(it_is_what_a_list_in_order_of_use_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
