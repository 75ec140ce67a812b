/* What the audit calls a difference: every kind, and everything that may look like one while a timeline moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "workers/audit.h"

/* "5 4 3" or, with edits, "5:1 4 3". */
static struct audit_view view(const char *text) {
    struct audit_view v = {0};
    struct str rest = str_from(text);
    while (rest.len > 0) {
        struct str word = str_cut(&rest, ' '), id = str_cut(&word, ':');
        int64_t edits = 0;
        struct audit_entry e = {.author_id = 7};
        assert_true(str_to_i64(id, &e.id));
        if (word.len > 0) assert_true(str_to_i64(word, &edits));
        e.edit_count = (int32_t)edits;
        audit_view_add(&v, &e);
    }
    return v;
}

static struct audit_differences compare(const char *before, const char *shown, const char *after,
                                        size_t length) {
    struct audit_view b = view(before), s = view(shown), a = view(after);
    struct audit_differences d = {0};
    audit_compare(&b, &a, &s, length, &d);
    audit_view_free(&b);
    audit_view_free(&s);
    audit_view_free(&a);
    return d;
}

/* "gap 4, leak 9": what is found, in the order it is found. */
static void expect(struct audit_differences d, const char *expected) {
    char found[512] = "";
    for (size_t i = 0; i < d.n; i++) {
        char one[64];
        snprintf(one, sizeof one, "%s%s %d", i ? ", " : "", AUDIT_KIND_NAMES[d.v[i].kind],
                 (int)d.v[i].entry.id);
        strcat(found, one);
    }
    assert_string_equal(found, expected);
    audit_differences_free(&d);
}

static void equal_timelines_do_not_differ(void **state) {
    (void)state;
    expect(compare("", "", "", 3), "");
    expect(compare("5 4 3", "5 4 3", "5 4 3", 3), "");
}

static void what_both_readings_have_and_nobody_shows_is_a_gap(void **state) {
    (void)state;
    expect(compare("5 4 3", "5 3", "5 4 3", 3), "gap 4");
    expect(compare("5 4 3", "", "5 4 3", 3), "gap 5, gap 4, gap 3");
}

static void what_is_shown_and_neither_reading_has_is_a_leak(void **state) {
    (void)state;
    expect(compare("5 3", "5 4 3", "5 3", 3), "leak 4");
    expect(compare("", "9", "", 3), "leak 9");
}

static void what_came_or_went_between_the_readings_may_be_shown_or_not(void **state) {
    (void)state;
    expect(compare("5 4", "6 5 4", "6 5 4", 3), "");
    expect(compare("5 4", "5 4", "6 5 4", 3), "");
    expect(compare("5 4", "5 4", "5", 3), "");
    expect(compare("5 4", "5", "5", 3), "");
}

static void what_is_shown_again_is_a_duplicate_wherever_it_stands(void **state) {
    (void)state;
    expect(compare("5 4 3", "5 5 4 3", "5 4 3", 3), "duplicate 5");
    expect(compare("5 4 3", "5 4 3 5", "5 4 3", 3), "duplicate 5");
    expect(compare("5 4 3", "5 4 3 4 4", "5 4 3", 3), "duplicate 4, duplicate 4");
}

static void what_stands_below_an_older_one_is_out_of_order(void **state) {
    (void)state;
    expect(compare("5 4 3", "5 3 4", "5 4 3", 3), "order 4");
    expect(compare("5 4 3", "3 5 4", "5 4 3", 3), "order 5, order 4");
}

static void a_leak_out_of_order_is_both(void **state) {
    (void)state;
    expect(compare("5 3", "5 3 4", "5 3", 3), "order 4, leak 4");
}

static void only_the_newest_must_be_shown_but_more_may_be(void **state) {
    (void)state;
    expect(compare("5 4 3 2", "5 4 3", "5 4 3 2", 3), "");
    expect(compare("5 4 3 2", "5 4 3 2", "5 4 3 2", 3), "");
    expect(compare("5 4 3 2", "5 4 3 2 1", "5 4 3 2", 3), "leak 1");
    /* 6 pushed 3 over the edge, before or after the API was asked. */
    expect(compare("5 4 3", "6 5 4", "6 5 4 3", 3), "");
    expect(compare("5 4 3", "5 4 3", "6 5 4 3", 3), "");
}

static void an_older_text_than_both_readings_know_is_stale(void **state) {
    (void)state;
    expect(compare("5:2 4", "5:1 4", "5:2 4", 3), "stale 5");
    expect(compare("5:1 4", "5:1 4", "5:2 4", 3), "");
    expect(compare("5:1 4", "5:2 4", "5:2 4", 3), "");
}

static void the_author_is_told_by_who_knows_the_entry(void **state) {
    (void)state;
    struct audit_differences d = compare("5", "4", "5", 3);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.v[0].entry.author_id, 7);
    assert_int_equal(d.v[1].entry.author_id, 7);
    audit_differences_free(&d);
}

static void only_what_was_found_twice_lasts(void **state) {
    (void)state;
    struct audit_differences first = compare("5 4 3", "5 9", "5 4 3", 3);    /* gaps 4 and 3, leak 9 */
    struct audit_differences second = compare("5 4 3", "5 3 9", "5 4 3", 3); /* gap 4, leak 9, order 9 */
    audit_differences_intersect(&first, &second);
    audit_differences_free(&second);
    expect(first, "gap 4, order 9, leak 9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_timelines_do_not_differ),
        cmocka_unit_test(what_both_readings_have_and_nobody_shows_is_a_gap),
        cmocka_unit_test(what_is_shown_and_neither_reading_has_is_a_leak),
        cmocka_unit_test(what_came_or_went_between_the_readings_may_be_shown_or_not),
        cmocka_unit_test(what_is_shown_again_is_a_duplicate_wherever_it_stands),
        cmocka_unit_test(what_stands_below_an_older_one_is_out_of_order),
        cmocka_unit_test(a_leak_out_of_order_is_both),
        cmocka_unit_test(only_the_newest_must_be_shown_but_more_may_be),
        cmocka_unit_test(an_older_text_than_both_readings_know_is_stale),
        cmocka_unit_test(the_author_is_told_by_who_knows_the_entry),
        cmocka_unit_test(only_what_was_found_twice_lasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
