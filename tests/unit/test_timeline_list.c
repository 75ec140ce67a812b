/* Reading a list's tail: what is taken from it, and down to which id it is complete. Each case of the lemma in
 * core/domain/timeline_list.h is here, and a simulation that tries to contradict it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/snowflake.h"
#include "core/domain/timeline_list.h"

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

/* Everything made more than PROMPT_MS after the oldest prompt element is complete. */
static int64_t bound_after(int64_t id) {
    return snowflake_floor(snowflake_time_ms(id) + PROMPT_MS + 1) - 1;
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

static void the_bound_is_that_of_the_oldest_prompt_element(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "", at(100, 0));
    range_add(&r, "", at(200, 0));
    struct timeline_part p = parse(&r, 2, false);
    assert_int_equal(p.head, HEAD_UNSEEN);
    assert_int_equal(p.bound, bound_after(at(100, 0)));
    assert_true(p.bound > at(109, 0) && p.bound < at(111, 0));
}

static void late_elements_are_taken_but_say_nothing(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "-", at(5, 0));
    range_add(&r, "", at(100, 0));
    struct timeline_part p = parse(&r, 2, false);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.ids[1], at(5, 0));
    assert_int_equal(p.bound, bound_after(at(100, 0)));
    range_begin(&r);
    range_add(&r, "-", at(5, 0));
    assert_int_equal(parse(&r, 1, false).bound, INT64_MAX);
}

static void a_floor_tells_exactly(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "f", 0);
    range_add(&r, "", at(1, 0));
    struct timeline_part p = parse(&r, 10, false);
    assert_int_equal(p.head, HEAD_FLOOR);
    assert_int_equal(p.bound, 0);
    assert_int_equal(p.n, 1);
    range_begin(&r);
    range_add(&r, "f", at(1, 0));
    range_add(&r, "-", at(2, 0));
    assert_int_equal(parse(&r, 0, true).bound, at(1, 0));
}

static void a_head_below_what_was_asked_for_is_not_seen(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "f", 0); /* exactly as many as were asked for: there may be more before it */
    range_add(&r, "", at(1, 0));
    struct timeline_part p = parse(&r, 2, false);
    assert_int_equal(p.head, HEAD_UNSEEN);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.bound, bound_after(at(1, 0)));
}

static void a_list_without_a_mark_was_trimmed(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "", at(1, 0));
    struct timeline_part p = parse(&r, 0, true);
    assert_int_equal(p.head, HEAD_TRIMMED);
    assert_int_equal(p.bound, bound_after(at(1, 0)));
}

static void a_list_that_is_being_built_says_since_when(void **state) {
    (void)state;
    struct range r;
    range_begin(&r);
    range_add(&r, "b1234:", 77);
    range_add(&r, "", at(1, 0));
    struct timeline_part p = parse(&r, 10, false);
    assert_int_equal(p.head, HEAD_BUILDING);
    assert_int_equal(p.building_since_ms, 1234);
}

static void what_is_no_element_makes_the_part_worthless(void **state) {
    (void)state;
    static const char *const strange[] = {"x", "f", "b", "12a", "", "f1x", "--1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct range r;
        range_begin(&r);
        range_add(&r, "", at(1, 0));
        range_add(&r, "", at(2, 0));
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

static void promptness_leaves_room_for_the_way(void **state) {
    (void)state;
    int64_t id = at(0, 0), made = snowflake_time_ms(id);
    assert_true(timeline_is_prompt(id, made));
    assert_true(timeline_is_prompt(id, made + PROMPT_MS - 2 * PROMPT_SLACK_MS - 1));
    assert_false(timeline_is_prompt(id, made + PROMPT_MS - 2 * PROMPT_SLACK_MS));
}

/* ---- the lemma against a simulated worker -------------------------------------------------------------- */

/* Entries are made at random times, delivered after random delays, as prompt when they are; the list is trimmed blindly
 * now and then. Whatever tail is read, an entry above the bound that was delivered is in it. */
enum { ENTRIES = 400 };

struct delivered {
    int64_t id, when_ms;
};

static int by_time(const void *a, const void *b) {
    int64_t x = ((const struct delivered *)a)->when_ms, y = ((const struct delivered *)b)->when_ms;
    return (x > y) - (x < y);
}

static void check_tail(const struct delivered *all, size_t n, size_t first, size_t tail) {
    struct range r;
    range_begin(&r);
    size_t from = n - first > tail ? n - tail : first;
    for (size_t i = from; i < n; i++) {
        bool prompt = all[i].when_ms - snowflake_time_ms(all[i].id) <= PROMPT_MS;
        range_add(&r, prompt ? "" : "-", all[i].id);
    }
    struct timeline_part p = parse(&r, tail, false);
    for (size_t i = 0; i < n; i++) {
        if (all[i].id <= p.bound) continue;
        bool there = false;
        for (size_t k = 0; k < p.n; k++) there |= p.ids[k] == all[i].id;
        assert_true(there);
    }
}

static void no_delivery_above_the_bound_is_missed(void **state) {
    (void)state;
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct delivered all[ENTRIES];
        int64_t time = 0;
        for (size_t i = 0; i < ENTRIES; i++) {
            time += rand() % 2000;
            all[i].id = snowflake_floor(INT64_C(1750000000000) + time) + (int64_t)i % 7;
            int64_t delay = rand() % 20 == 0 ? rand() % 60000 : rand() % 12000;
            all[i].when_ms = snowflake_time_ms(all[i].id) + delay;
        }
        qsort(all, ENTRIES, sizeof *all, by_time);
        size_t n = 50 + (size_t)rand() % (ENTRIES - 50);
        check_tail(all, n, (size_t)rand() % n, 1 + (size_t)rand() % (MOST - 1));
        arena_reset(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tail_is_newest_first_and_without_duplicates),
        cmocka_unit_test(the_bound_is_that_of_the_oldest_prompt_element),
        cmocka_unit_test(late_elements_are_taken_but_say_nothing),
        cmocka_unit_test(a_floor_tells_exactly),
        cmocka_unit_test(a_head_below_what_was_asked_for_is_not_seen),
        cmocka_unit_test(a_list_without_a_mark_was_trimmed),
        cmocka_unit_test(a_list_that_is_being_built_says_since_when),
        cmocka_unit_test(what_is_no_element_makes_the_part_worthless),
        cmocka_unit_test(an_empty_reply_is_nothing),
        cmocka_unit_test(promptness_leaves_room_for_the_way),
        cmocka_unit_test(no_delivery_above_the_bound_is_missed),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
