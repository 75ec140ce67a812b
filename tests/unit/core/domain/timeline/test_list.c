/* Reading a list's tail: what is taken from it, and down to which id it is complete. Each case of the lemma in
 * core/domain/timeline/list.h is here; test_floors.c tries to contradict it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/domain/timeline/list.h"
#include "core/id/snowflake.h"

enum { MOST = 64 };

/* A reply as LRANGE gives it. */
struct range {
    struct redis_reply reply, elements[MOST];
    char texts[MOST][40];
};

static void range_add(struct range *r, const char *prefix, int64_t value) {
    size_t i = r->reply.elements++;
    assert_true(i < MOST);
    snprintf(r->texts[i], sizeof r->texts[i], "%s%lld", prefix, (long long)value);
    r->elements[i] = (struct redis_reply){.type = REDIS_STRING, .str = str_from(r->texts[i])};
}

static void range_begin(struct range *r) {
    *r = (struct range){.reply = {.type = REDIS_ARRAY}};
    r->reply.element = r->elements;
}

/* An id made at this second, the n-th of its millisecond. */
static int64_t at(int64_t second, int n) {
    return snowflake_floor(INT64_C(1750000000000) + second * 1000) + n;
}

static struct arena arena;

static struct timeline_part parse(struct range *r, size_t asked, bool whole) {
    struct timeline_part part;
    timeline_parse(&r->reply, asked, whole, &arena, &part);
    return part;
}

static void a_tail_is_newest_first_and_without_duplicates(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    const int64_t ids[] = {at(10, 1), at(30, 0), at(20, 0), at(30, 0), at(30, 1)};
    for (size_t i = 0; i < 5; i++) range_add(&r, "", ids[i]);
    struct timeline_part p = parse(&r, 5, false);
    assert_int_equal(p.n, 4);
    const int64_t want[] = {at(30, 1), at(30, 0), at(20, 0), at(10, 1)};
    assert_memory_equal(p.ids, want, sizeof want);
}

static void the_leftmost_floor_is_the_bound(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "", at(1, 0));
    range_add(&r, "f", at(2, 0));
    range_add(&r, "", at(4, 0));
    range_add(&r, "f", at(3, 0));
    range_add(&r, "", at(5, 0));
    range_add(&r, "", at(6, 0));
    struct timeline_part p = parse(&r, 6, false);
    assert_int_equal(p.bound, at(2, 0));
    assert_int_equal(p.n, 4);
    assert_int_equal(p.unbound, 2);
    assert_false(p.whole);
    assert_false(p.building);
}

static void a_part_without_a_floor_says_nothing(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "", at(100, 0));
    range_add(&r, "", at(200, 0));
    struct timeline_part p = parse(&r, 2, false);
    assert_int_equal(p.bound, INT64_MAX);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.unbound, 2);
}

static void what_older_workers_delivered_late_is_an_entry(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "f", at(1, 0));
    range_add(&r, "-", at(5, 0));
    struct timeline_part p = parse(&r, 2, false);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.ids[0], at(5, 0));
    assert_int_equal(p.bound, at(1, 0));
}

static void a_part_is_whole_when_it_was_asked_for_or_is_shorter_than_asked(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "f", 0);
    range_add(&r, "", at(1, 0));
    assert_true(parse(&r, 3, false).whole);
    assert_true(parse(&r, 0, true).whole);
    assert_int_equal(parse(&r, 0, true).bound, 0);
    struct timeline_part p =
        parse(&r, 2, false); /* exactly as many as asked for: there may be more before it */
    assert_false(p.whole);
    assert_int_equal(p.bound, 0); /* a floor is true wherever it stands */
}

static void a_list_that_is_being_built_says_nothing(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "b1234:", 77);
    range_add(&r, "f", at(1, 0)); /* of nobody: but if it came to that */
    range_add(&r, "", at(1, 0));
    struct timeline_part p = parse(&r, 10, false);
    assert_true(p.building);
    assert_int_equal(p.bound, INT64_MAX);
    range_begin(&r);
    range_add(&r, "f", at(1, 0));
    range_add(&r, "b1234:", 77); /* no head */
    p = parse(&r, 10, false);
    assert_false(p.building);
    assert_int_equal(p.bound, INT64_MAX);
}

static void what_is_no_element_makes_the_part_worthless(void **state) {
    (void)state;
    static const char *const strange[] = {"x",   "f",   "b", "12a", "",
                                          "f1x", "f-1", "0", "--1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct range r;
        range_begin(&r);
        range_add(&r, "f", at(1, 0));
        range_add(&r, "", at(2, 0));
        assert_int_equal(parse(&r, 2, false).bound, at(1, 0));
        r.elements[1].str = str_from(strange[i]);
        assert_int_equal(parse(&r, 2, false).bound, INT64_MAX);
    }
}

static void an_empty_reply_is_nothing(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    struct timeline_part p = parse(&r, 10, false);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.bound, INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tail_is_newest_first_and_without_duplicates),
        cmocka_unit_test(the_leftmost_floor_is_the_bound),
        cmocka_unit_test(a_part_without_a_floor_says_nothing),
        cmocka_unit_test(what_older_workers_delivered_late_is_an_entry),
        cmocka_unit_test(a_part_is_whole_when_it_was_asked_for_or_is_shorter_than_asked),
        cmocka_unit_test(a_list_that_is_being_built_says_nothing),
        cmocka_unit_test(what_is_no_element_makes_the_part_worthless),
        cmocka_unit_test(an_empty_reply_is_nothing),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
