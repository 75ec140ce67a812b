/* How wide texts are, and what panels are called: titles fit, they differ, and nothing is cut that need not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/failing_malloc.h"
#include "workers/jobs/report/glyph.h"
#include "workers/jobs/report/titles.h"

#define DOTS "\xe2\x80\xa6"
#define WIDTH 210

static const struct svg_style STYLE = {.size = 11, .bold = true};

/* --- widths --------------------------------------------------------------------------------------------- */

static double columns(const char *text) {
    return glyph_width(text, strlen(text), glyph_columns);
}

static void texts_are_as_wide_as_a_terminal_shows_them(void **state) {
    (void)state;
    assert_true(columns("Adelie") == 6);
    assert_true(columns("\xe4\xbc\x81\xe9\xb9\x85") == 4); /* two Han characters */
    assert_true(columns("e\xcc\x81t\xc3\xa9") == 3);       /* e with a mark, t, é */
    assert_true(columns("\xf0\x9f\x90\xa7") == 2);         /* a penguin */
    assert_true(columns("\xff\xe4\xbc") == 3);             /* ill-formed: byte by byte */
    assert_true(glyph_at("\xc2\x9b", 2).control && glyph_at("\x1b", 1).control);
    assert_true(glyph_at("\xe2\x80\xae", 3).control); /* right-to-left override */
    assert_false(glyph_at("\xc2\xa0", 2).control);
}

static void assert_shortened(const char *text, double room, const char *expected) {
    struct text_buffer out = {0};
    glyph_shorten(&out, text, strlen(text), room, glyph_columns);
    text_buffer_char(&out, '\0');
    assert_false(out.failed);
    assert_string_equal(out.at, expected);
    assert_true(columns(out.at) <= room || room < 1);
    text_buffer_free(&out);
}

static void texts_are_shortened_in_their_middle_between_characters(void **state) {
    (void)state;
    assert_shortened("abcdefgh", 8, "abcdefgh");
    assert_shortened("abcdefgh", 7, "abc" DOTS "fgh");
    assert_shortened("abcdefgh", 6, "ab" DOTS "fgh");
    assert_shortened("abcdefgh", 1, DOTS);
    assert_shortened("abcdefgh", 0, DOTS);
    assert_shortened("", 0, "");
    /* Wide characters are not halved, and a mark stays with its letter. */
    assert_shortened("\xe4\xbc\x81\xe4\xbc\x81\xe4\xbc\x81\xe4\xbc\x81", 6,
                     "\xe4\xbc\x81" DOTS "\xe4\xbc\x81");
    assert_shortened("e\xcc\x81"
                     "e\xcc\x81"
                     "e\xcc\x81"
                     "e\xcc\x81",
                     3, "e\xcc\x81" DOTS "e\xcc\x81");
    assert_int_equal(glyph_cut("a\xe4\xbc\x81", 4, 3), 1);
    assert_int_equal(glyph_cut("a\xe4\xbc\x81", 4, 4), 4);
    assert_int_equal(glyph_cut("a\xffz", 3, 2), 2);
}

/* --- titles --------------------------------------------------------------------------------------------- */

static struct slice_cell cell(const char *text) {
    return (struct slice_cell){text ? text : "", text ? strlen(text) : 0, !text};
}

/* Titles of n panels with keys of n_names texts (NULL: missing). */
static struct titles titles_of(size_t n, size_t n_names, const char *const *names, const char *const *texts) {
    struct slice_cell cells[300];
    struct titles titles;
    assert_true(n * n_names <= 300);
    for (size_t i = 0; i < n * n_names; i++) cells[i] = cell(texts[i]);
    assert_true(titles_make(&titles, cells, n, names, n_names, STYLE, WIDTH));
    assert_int_equal(titles.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(svg_text_width(STYLE, titles.panel[i], strlen(titles.panel[i])) <= WIDTH);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(titles.panel[i], titles.panel[j]);
    }
    return titles;
}

static const char *const two_names[] = {"species", "sex"};

static void short_keys_are_shown_whole(void **state) {
    (void)state;
    const char *const texts[] = {"A", "male", "G", NULL, "G", ""};
    struct titles t = titles_of(3, 2, two_names, texts);
    assert_string_equal(t.panel[0], "species = A, sex = male");
    assert_string_equal(t.panel[1], "species = G, sex = (missing)");
    assert_string_equal(t.panel[2], "species = G, sex = \"\"");
    assert_string_equal(t.common, "");
    assert_string_equal(t.form, "");
    titles_free(&t);
}

static void what_all_panels_share_is_said_once(void **state) {
    (void)state;
    const char *const texts[] = {"Adelie", "male", "Gentoo", "male"};
    struct titles t = titles_of(2, 2, two_names, texts);
    assert_string_equal(t.panel[0], "species = Adelie");
    assert_string_equal(t.panel[1], "species = Gentoo");
    assert_string_equal(t.common, "sex = male");
    titles_free(&t);
    /* A single panel is called by all of it. */
    t = titles_of(1, 2, two_names, texts);
    assert_string_equal(t.panel[0], "species = Adelie, sex = male");
    assert_string_equal(t.common, "");
    titles_free(&t);
}

static void names_go_first(void **state) {
    (void)state;
    const char *const texts[] = {"Adelie", "male, over a year", "Gentoo", "male", "Adelie", "male"};
    struct titles t = titles_of(3, 2, two_names, texts);
    assert_string_equal(t.panel[0], "Adelie, male, over a year");
    assert_string_equal(t.panel[1], "Gentoo, male");
    assert_string_equal(t.form, "panels: species, sex");
    titles_free(&t);
}

static void then_what_values_begin_or_end_with(void **state) {
    (void)state;
    const char *const texts[] = {"experiment of the year 2031, greenhouse 2, plot 117 (north)",
                                 "a",
                                 "experiment of the year 2031, greenhouse 2, plot 1180 (north)",
                                 "a",
                                 "experiment of the year 2031, greenhouse 2, plot 118 (north)",
                                 "b",
                                 NULL,
                                 "b"};
    struct titles t = titles_of(4, 2, two_names, texts);
    assert_string_equal(t.panel[0], DOTS "117" DOTS ", a");
    assert_string_equal(t.panel[1], DOTS "1180" DOTS ", a");
    assert_string_equal(t.panel[2], DOTS "118" DOTS ", b");
    assert_string_equal(t.panel[3], "(missing), b");
    assert_string_equal(t.form, "panels: species = experiment of the year 2031, greenhouse 2, plot " DOTS
                                " (north), sex");
    titles_free(&t);
}

static void at_last_they_are_cut_and_still_differ(void **state) {
    (void)state;
    enum { LONG = 300 };
    static char texts[5][LONG + 1];
    const char *at[5];
    for (size_t i = 0; i < 5; i++) {
        memset(texts[i], 'x', LONG);
        texts[i][LONG / 2] = (char)('a' + i); /* where it is cut */
        at[i] = texts[i];
    }
    memcpy(texts[4], "short", sizeof "short");
    struct titles t = titles_of(5, 1, two_names, at);
    assert_non_null(strstr(t.panel[0], "x" DOTS "x"));
    assert_non_null(strstr(t.panel[3], "x #4"));
    assert_string_equal(t.panel[4], "short");
    titles_free(&t);
}

static void keys_of_other_scripts_and_of_no_script(void **state) {
    (void)state;
    const char *const texts[] = {"\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85"
                                 "\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85"
                                 "\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85\xe4\xbc\x81\xe9\xb9\x85",
                                 "a",
                                 "\xff\xfe\xff",
                                 "b",
                                 "\xf0\x9f\x90\xa7",
                                 "\xc2"};
    struct titles t = titles_of(3, 2, two_names, texts);
    assert_non_null(strstr(t.panel[0], "\xe4\xbc\x81"));
    assert_non_null(strstr(t.panel[0], DOTS));
    titles_free(&t);
    t = titles_of(1, 0, two_names, texts);
    assert_string_equal(t.panel[0], "all rows");
    titles_free(&t);
    t = titles_of(0, 2, two_names, texts);
    titles_free(&t);
}

static bool without_memory(void *unused) {
    const char *const texts[] = {"a long key that is cut before it ends because it is long", "b",
                                 "another, with nothing in common, that is as long as the first", "b"};
    struct slice_cell cells[4];
    struct titles titles;
    (void)unused;
    for (size_t i = 0; i < 4; i++) cells[i] = cell(texts[i]);
    bool good = titles_make(&titles, cells, 2, two_names, 2, STYLE, WIDTH);
    titles_free(&titles);
    return good;
}

static void a_lack_of_memory_is_noticed(void **state) {
    (void)state;
    if (!failing_malloc_works()) skip();
    assert_true(failing_malloc_each(without_memory, NULL) > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_as_wide_as_a_terminal_shows_them),
        cmocka_unit_test(texts_are_shortened_in_their_middle_between_characters),
        cmocka_unit_test(short_keys_are_shown_whole),
        cmocka_unit_test(what_all_panels_share_is_said_once),
        cmocka_unit_test(names_go_first),
        cmocka_unit_test(then_what_values_begin_or_end_with),
        cmocka_unit_test(at_last_they_are_cut_and_still_differ),
        cmocka_unit_test(keys_of_other_scripts_and_of_no_script),
        cmocka_unit_test(a_lack_of_memory_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
