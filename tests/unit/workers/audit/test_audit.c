/* What the audit calls a difference: every kind, and everything that may look like one while a timeline moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "workers/audit/compare.h"

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

/* A page that owes so many. */
static struct audit_differences compare(const char *before, const char *shown, const char *after,
                                        size_t owed) {
    struct audit_view b = view(before), a = view(after);
    struct audit_page page = {view(shown), owed};
    struct audit_differences d = {0};
    audit_compare(&b, &a, &page, &d);
    audit_view_free(&b);
    audit_view_free(&page.shown);
    audit_view_free(&a);
    return d;
}

static struct audit_differences compare_vanished(const char *seen, const char *shown, const char *after,
                                                 size_t owed) {
    struct audit_view e = view(seen), a = view(after);
    struct audit_page page = {view(shown), owed};
    struct audit_differences d = {0};
    audit_compare_vanished(&e, &a, &page, &d);
    audit_view_free(&e);
    audit_view_free(&page.shown);
    audit_view_free(&a);
    return d;
}

/* Readings of a stream are no deeper than this. */
#define DEPTH 4

struct stream {
    const char *begin, *first, *second;
    const char *items, *deleted;
    size_t late; /* so many items came after the second reading */
    bool incomplete;
};

static struct audit_differences compare_live(struct stream s) {
    struct audit_view begin = view(s.begin), first = view(s.first), second = view(s.second);
    struct audit_view deleted = view(s.deleted ? s.deleted : "");
    struct audit_heard heard = {.items = view(s.items), .incomplete = s.incomplete};
    struct audit_differences d = {0};
    heard.judged = heard.items.n - s.late;
    for (size_t i = 0; i < deleted.n; i++) ids_push(&heard.deleted, deleted.v[i].id);
    audit_compare_live(&begin, &first, &second, DEPTH, &heard, &d);
    audit_view_free(&begin);
    audit_view_free(&first);
    audit_view_free(&second);
    audit_view_free(&deleted);
    audit_view_free(&heard.items);
    ids_free(&heard.deleted);
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

static void a_page_owes_only_what_it_reaches(void **state) {
    (void)state;
    expect(compare("5 4 3 2 1", "5", "5 4 3 2 1", 1), "");
    expect(compare("5 4 3 2 1", "4", "5 4 3 2 1", 1), "gap 5");
    expect(compare("5 4 3 2 1", "5 3", "5 4 3 2 1", 2), "gap 4");
    expect(compare("5 4 3 2 1", "5 4 2", "5 4 3 2 1", 3), "gap 3");
}

static void what_newer_entries_pushed_off_a_page_is_no_gap(void **state) {
    (void)state;
    expect(compare("5 4", "6", "6 5 4", 1), "");
    expect(compare("5 4", "6", "5 4", 1),
           "leak 6"); /* 6 was made and deleted in between: a second look tells */
    expect(compare("5 4", "6 4", "6 5 4", 2), "gap 5");
}

static void a_page_that_is_too_short_has_gaps(void **state) {
    (void)state;
    expect(compare("5 4 3", "5", "5 4 3", 2), "gap 4");
    expect(compare("5 4 3", "", "5 4 3", 1), "gap 5");
    /* Of one entry, saying that none follows. */
    expect(compare("5 4 3", "5", "5 4 3", 1 + 1), "gap 4");
    expect(compare("5", "5", "5", 1 + 1), "");
    /* Shown twice, it does not count for two. */
    expect(compare("5 4 3", "5 5", "5 4 3", 2), "gap 4, duplicate 5");
}

static void an_old_leak_does_not_make_all_above_it_gaps(void **state) {
    (void)state;
    expect(compare("9 8 7 6 5", "9 8 1", "9 8 7 6 5", 3), "gap 7, leak 1");
}

static void what_was_seen_and_is_missing_later_has_vanished(void **state) {
    (void)state;
    expect(compare_vanished("5 4 3", "5 3", "5 4 3", 3), "vanished 4");
    expect(compare_vanished("3 5 4 5", "4 3", "6 5 4 3", 3), "vanished 5");
    expect(compare_vanished("5 4 3", "5 4 3", "5 4 3", 3), "");
    expect(compare_vanished("4 3", "5 4", "5 4 3", 2), "");   /* pushed off the page */
    expect(compare_vanished("5 4 3", "5 3", "5 3", 3), "");   /* deleted */
    expect(compare_vanished("5 4 1", "5 4", "5 4 1", 2), ""); /* not owed */
}

static void a_stream_owes_what_came_after_its_beginning_and_stays(void **state) {
    (void)state;
    struct stream s = {.begin = "2 1", .first = "4 3 2 1", .second = "4 3 2 1"};
    s.items = "3 4";
    expect(compare_live(s), "");
    s.items = "4 3"; /* any order */
    expect(compare_live(s), "");
    s.items = "4";
    expect(compare_live(s), "gap 3");
    s.items = "2 3 4"; /* under way when the stream began */
    expect(compare_live(s), "");
    s.items = "4", s.second = "4 2 1";
    expect(compare_live(s), "");
    s.items = "4", s.second = "4 3 2 1", s.incomplete = true;
    expect(compare_live(s), "");
}

static void a_stream_does_not_owe_what_was_too_deep_at_its_beginning(void **state) {
    (void)state;
    expect(compare_live((struct stream){"9 8 7 6", "9 8 6 5", "9 8 6 5", .items = ""}), "");
    expect(compare_live((struct stream){"9 7 6", "9 7 6 5", "9 7 6 5", .items = ""}), "gap 5");
}

static void a_stream_brings_nothing_twice(void **state) {
    (void)state;
    expect(compare_live((struct stream){"", "4 3", "4 3", .items = "3 4 3", .incomplete = true}),
           "duplicate 3");
}

static void what_a_stream_brings_is_in_a_reading_or_said_to_be_gone(void **state) {
    (void)state;
    struct stream s = {.begin = "1", .first = "2 1", .second = "3 2 1", .items = "2 9 3"};
    expect(compare_live(s), "leak 9");
    s.deleted = "9";
    expect(compare_live(s), "");
    s.deleted = NULL, s.items = "2 3 9", s.late = 1;
    expect(compare_live(s), "");
}

static void what_a_stream_says_is_gone_is_gone(void **state) {
    (void)state;
    expect(compare_live((struct stream){"1", "2 1", "2 1", .items = "2", .deleted = "2"}), "gap 2");
}

/* ---- what counts --------------------------------------------------------------------------------------- */

static void differences_are_collected_once_each(void **state) {
    (void)state;
    struct audit_differences all = {0};
    struct audit_differences first = compare("5 4 3", "4 9", "5 4 3", 3);
    audit_differences_found_at(&first, audit_where(0, AUDIT_PAGE_1));
    audit_differences_looked(&first, true);
    audit_differences_collect(&all, &first);
    struct audit_differences second = compare("5 4 3", "9", "5 4 3", 3);
    audit_differences_found_at(&second, audit_where(1, AUDIT_WHOLE));
    audit_differences_looked(&second, false);
    audit_differences_collect(&all, &second);
    assert_int_equal(all.v[0].looks, 2);
    assert_int_equal(all.v[0].steady, 1);
    assert_true(all.v[0].where == (audit_where(0, AUDIT_PAGE_1) | audit_where(1, AUDIT_WHOLE)));
    assert_int_equal(all.v[1].looks, 1);
    assert_int_equal(all.v[1].steady, 0);
    audit_differences_free(&first);
    audit_differences_free(&second);
    expect(all, "gap 5, gap 4, gap 3, leak 9, order 9");
}

static void every_place_has_a_bit_of_its_own(void **state) {
    (void)state;
    uint64_t all = 0;
    for (size_t g = 0; g < AUDIT_GATEWAYS_MAX; g++)
        for (enum audit_place place = 0; place < AUDIT_PLACES; place++) {
            assert_true(audit_where(g, place) != 0 && !(all & audit_where(g, place)));
            all |= audit_where(g, place);
        }
}

/* At so many of three looks, so many of which were steady. */
static bool counts(enum audit_kind kind, int looks, int steady) {
    struct audit_difference d = {.kind = kind, .looks = looks, .steady = steady};
    return audit_counts(&d, 3);
}

static void a_gap_counts_when_one_steady_look_or_every_look_saw_it(void **state) {
    (void)state;
    for (enum audit_kind kind = AUDIT_GAP; kind <= AUDIT_VANISHED; kind++) {
        assert_true(counts(kind, 1, 1));
        assert_false(counts(kind, 1, 0));
        assert_false(counts(kind, 2, 0));
        assert_true(counts(kind, 3, 0));
    }
}

static void a_gap_of_a_pulled_author_counts_when_two_steady_looks_saw_it(void **state) {
    (void)state;
    struct audit_difference d = {.kind = AUDIT_GAP, .entry.pulled = true, .looks = 1, .steady = 1};
    assert_false(audit_counts(&d, 3));
    d.looks = d.steady = 2;
    assert_true(audit_counts(&d, 3));
}

static void a_leak_counts_when_two_steady_looks_or_every_look_saw_it(void **state) {
    (void)state;
    const enum audit_kind kinds[] = {AUDIT_LEAK, AUDIT_STALE};
    for (int i = 0; i < 2; i++) {
        assert_false(counts(kinds[i], 1, 1));
        assert_true(counts(kinds[i], 2, 2));
        assert_false(counts(kinds[i], 2, 1));
        assert_true(counts(kinds[i], 3, 0));
    }
}

static void a_page_that_contradicts_itself_counts_at_once(void **state) {
    (void)state;
    assert_true(counts(AUDIT_DUPLICATE, 1, 0));
    assert_true(counts(AUDIT_ORDER, 1, 0));
}

static void only_what_counts_is_kept(void **state) {
    (void)state;
    struct audit_differences d = compare("5 4 3", "5 3 9", "5 4 3", 3);
    audit_differences_looked(&d, true);
    audit_differences_decide(&d, 3);
    expect(d, "gap 4, order 9");
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
        cmocka_unit_test(a_page_owes_only_what_it_reaches),
        cmocka_unit_test(what_newer_entries_pushed_off_a_page_is_no_gap),
        cmocka_unit_test(a_page_that_is_too_short_has_gaps),
        cmocka_unit_test(an_old_leak_does_not_make_all_above_it_gaps),
        cmocka_unit_test(what_was_seen_and_is_missing_later_has_vanished),
        cmocka_unit_test(a_stream_owes_what_came_after_its_beginning_and_stays),
        cmocka_unit_test(a_stream_does_not_owe_what_was_too_deep_at_its_beginning),
        cmocka_unit_test(a_stream_brings_nothing_twice),
        cmocka_unit_test(what_a_stream_brings_is_in_a_reading_or_said_to_be_gone),
        cmocka_unit_test(what_a_stream_says_is_gone_is_gone),
        cmocka_unit_test(differences_are_collected_once_each),
        cmocka_unit_test(every_place_has_a_bit_of_its_own),
        cmocka_unit_test(a_gap_counts_when_one_steady_look_or_every_look_saw_it),
        cmocka_unit_test(a_gap_of_a_pulled_author_counts_when_two_steady_looks_saw_it),
        cmocka_unit_test(a_leak_counts_when_two_steady_looks_or_every_look_saw_it),
        cmocka_unit_test(a_page_that_contradicts_itself_counts_at_once),
        cmocka_unit_test(only_what_counts_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
