/* What a text must be: each form takes what people write, and says what is wrong with the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/rule.h"

static const struct text_rule HANDLE = {.form = TEXT_HANDLE, .min_characters = 1, .max_characters = 30};
static const struct text_rule NAME = {.form = TEXT_LINE, .min_characters = 1, .max_characters = 50};
static const struct text_rule BIO = {.form = TEXT_LINES, .max_characters = 160};
static const struct text_rule POST = {.form = TEXT_FREE, .min_characters = 1, .max_characters = 500};
static const struct text_rule PASSWORD = {.form = TEXT_PASSWORD, .min_bytes = 8, .max_bytes = 256};

/* A man, a woman, a girl and a boy; four people with skin tones; the flag of Scotland, in tags; a kiss with all it may
 * have. */
static const char FAMILY[] = "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466";
static const char TONED[] = "\U0001F468\U0001F3FF\u200D\U0001F469\U0001F3FB\u200D\U0001F467\U0001F3FD\u200D"
                            "\U0001F466\U0001F3FE";
static const char SCOTLAND[] = "\U0001F3F4\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F";
static const char KISS[] = "\U0001F469\U0001F3FD\u200D\u2764\uFE0F\u200D\U0001F48B\u200D\U0001F468\U0001F3FF";
static const char FAMILY_OF_SIX[] =
    "\U0001F468\U0001F3FF\u200D\U0001F469\U0001F3FB\u200D\U0001F467\U0001F3FD\u200D"
    "\U0001F466\U0001F3FE\u200D\U0001F467\U0001F3FD\u200D\U0001F466\U0001F3FE";

static int set_up(void **state) {
    static struct arena a;
    arena_init(&a, 0);
    *state = &a;
    return 0;
}

static int tear_down(void **state) {
    arena_free(*state);
    return 0;
}

static struct str times(struct arena *a, const char *text, size_t n) {
    size_t len = strlen(text);
    char *out = arena_alloc(a, n * len + 1);
    for (size_t i = 0; i < n; i++) memcpy(out + i * len, text, len);
    out[n * len] = '\0';
    return (struct str){out, n * len};
}

static void assert_taken(struct arena *a, const struct text_rule *rule, struct str raw, struct str expected) {
    struct str out;
    const char *why;
    if (text_rule_apply(rule, a, raw, &out, &why) != ERR_OK) fail_msg("it %s", why);
    assert_null(why);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.ptr, expected.ptr, out.len);
    if (rule->form != TEXT_AS_IS) assert_int_equal(out.ptr[out.len], 0);
}

static void assert_kept(struct arena *a, const struct text_rule *rule, const char *raw) {
    assert_taken(a, rule, str_from(raw), str_from(raw));
}

static void assert_refused(struct arena *a, const struct text_rule *rule, struct str raw,
                           const char *expected) {
    struct str out;
    const char *why;
    assert_int_equal(text_rule_apply(rule, a, raw, &out, &why), ERR_INVALID_ARGUMENT);
    assert_string_equal(why, expected);
}

/* ---- handles ------------------------------------------------------------------------------------------- */

static void capitals_of_handles_are_lowered(void **state) {
    assert_taken(*state, &HANDLE, STR("Ada_Lovelace9"), STR("ada_lovelace9"));
    assert_kept(*state, &HANDLE, "abcdefghijklmnopqrstuvwxyz0123");
    assert_kept(*state, &HANDLE, "a");
}

static void what_is_no_handle_is_refused(void **state) {
    static const char *const bad[] = {"",       "a b",   "ada!",  "adá",
                                      "\u212A", "a\xff", "ada\n", "abcdefghijklmnopqrstuvwxyz01234",
                                      "@ada",   "a`z",   "a{",    "a[Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(*state, &HANDLE, str_from(bad[i]), "must be 1 to 30 of a-z, 0-9 and _");
    assert_refused(*state, &HANDLE, STR("a\0b"), "must be 1 to 30 of a-z, 0-9 and _");
}

/* ---- characters ---------------------------------------------------------------------------------------- */

static void emoji_are_counted_as_people_count(void **state) {
    static const char *const emoji[] = {FAMILY, TONED, SCOTLAND, KISS, FAMILY_OF_SIX};
    for (size_t i = 0; i < sizeof emoji / sizeof *emoji; i++) {
        struct str fifty = times(*state, emoji[i], 50), many = times(*state, emoji[i], 160);
        assert_taken(*state, &NAME, fifty, fifty);
        assert_refused(*state, &NAME, times(*state, emoji[i], 51), "must be 1 to 50 characters, this has 51");
        assert_taken(*state, &BIO, many, many);
        assert_refused(*state, &BIO, times(*state, emoji[i], 161),
                       "must be at most 160 characters, this has 161");
        many = times(*state, emoji[i], 500);
        assert_taken(*state, &POST, many, many);
        assert_refused(*state, &POST, times(*state, emoji[i], 501),
                       "must be 1 to 500 characters, this has 501");
    }
}

static void scripts_with_long_characters_are_taken(void **state) {
    assert_kept(*state, &NAME, "\u0930\u094D\u0924\u094D\u0938\u094D\u0928\u094D\u092F\u093E"); /* rtsnyā */
    assert_kept(*state, &NAME,
                "\u0F67\u0F90\u0FB5\u0FA8\u0FB3\u0FBA\u0FBC\u0FBB\u0F82"); /* ten powers, Tibetan */
    assert_kept(*state, &NAME, "\u05D1\u05B0\u05BC\u05E8\u05B5\u05D0\u05E9\u05B4\u05C1\u0596\u05D9\u05EA");
    assert_kept(*state, &NAME, "שלום");
}

/* As an input method may send it: each syllable of Korean in its letters is three times as long. */
static void a_text_that_composing_shortens_is_counted_as_composed(void **state) {
    assert_taken(*state, &NAME, STR("Ame\u0301lie"), STR("Am\u00e9lie"));
    assert_taken(*state, &NAME, times(*state, "\u1112\u1161\u11AB", 50), times(*state, "\uD55C", 50));
    assert_taken(*state, &POST, times(*state, "\u03B1\u0313\u0300\u0345", 500), times(*state, "\u1F82", 500));
    assert_taken(*state, &NAME, times(*state, "\u0958", 50), times(*state, "\u0915\u093C", 50)); /* longer */
}

static void marks_without_end_are_refused_as_what_they_are(void **state) {
    struct arena *a = *state;
    struct str pile = times(a, "\u0351", 1000);
    struct str thirty = {arena_printf(a, "Z" STR_FMT, STR_ARG(times(a, "\u0351", 30))), 61};
    struct str thousand = {arena_printf(a, "Z" STR_FMT, STR_ARG(pile)), 2001};
    assert_taken(a, &NAME, thirty, thirty);
    assert_refused(a, &NAME, thousand,
                   "must have at most 64 bytes in a character with its marks, this has one of 2001");
    assert_refused(a, &POST, thousand,
                   "must have at most 64 bytes in a character with its marks, this has one of 2001");
    struct str limit = {arena_printf(a, "ZZ" STR_FMT, STR_ARG(times(a, "\u0351", 31))), 64};
    assert_taken(a, &BIO, limit, limit);
    struct str beyond = {arena_printf(a, "Z" STR_FMT "Z", STR_ARG(times(a, "\u0351", 32))), 66};
    assert_refused(a, &BIO, beyond,
                   "must have at most 64 bytes in a character with its marks, this has one of 65");
}

/* Beside a bound in characters. */
static void a_text_may_have_a_bound_in_bytes(void **state) {
    struct arena *a = *state;
    const struct text_rule rule = {
        .form = TEXT_FREE, .min_characters = 1, .max_characters = 500, .max_bytes = 4096};
    struct str thumbs = times(a, "\U0001F44D\U0001F3FD", 500);
    assert_taken(a, &rule, thumbs, thumbs);
    assert_refused(a, &rule, times(a, "\U0001F44D\U0001F3FD", 501),
                   "must be 1 to 500 characters, this has 501");
    assert_refused(a, &rule, times(a, FAMILY, 164), "must be at most 4096 bytes, this has 4100");
    struct str pile = {arena_printf(a, "Z" STR_FMT, STR_ARG(times(a, "\u0351", 4000))), 8001};
    assert_refused(a, &rule, pile,
                   "must have at most 64 bytes in a character with its marks, this has one of 8001");
}

/* ---- lines and texts ----------------------------------------------------------------------------------- */

static void a_line_is_one_line(void **state) {
    static const char *const broken[] = {"a\nb",      "a\rb",     "a\tb",    "a\x7f",
                                         "a\xC2\x85", "a\u2028b", "a\u2029b"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_refused(*state, &NAME, str_from(broken[i]), "must be one line without control characters");
}

static void nothing_in_a_line_turns_its_neighbours_round(void **state) {
    static const char *const turning[] = {"a\u202Eb", "\u202A", "a\u2066b", "\u2069a"};
    for (size_t i = 0; i < sizeof turning / sizeof *turning; i++)
        assert_refused(*state, &NAME, str_from(turning[i]),
                       "must have no bidirectional embeddings, overrides and isolates");
    assert_kept(*state, &NAME, "a\u200Eb"); /* a mark of direction does not */
}

static void lines_are_fed_by_line_feeds_only(void **state) {
    assert_kept(*state, &BIO, "two\nlines");
    assert_kept(*state, &BIO, "a\u2028b\u202Ec");
    assert_kept(*state, &BIO, "");
    assert_kept(*state, &BIO, " ");
    assert_refused(*state, &BIO, STR("a\r\nb"), "must have no control characters but line feeds");
    assert_refused(*state, &BIO, STR("a\tb"), "must have no control characters but line feeds");
}

static void a_post_may_have_what_it_likes(void **state) {
    assert_kept(*state, &POST, "a\tb\r\n\x01\u2028\u202E");
}

static void a_text_that_is_needed_is_not_blank(void **state) {
    assert_refused(*state, &NAME, STR(""), "must be 1 to 50 characters, this has 0");
    assert_refused(*state, &NAME, STR(" \u200B\u3164"), "must not be blank");
    assert_refused(*state, &POST, STR(""), "must be 1 to 500 characters, this has 0");
    assert_refused(*state, &POST, STR(" \t\n\u2028"), "must not be blank");
}

static void one_that_may_be_empty_is_else_held_to_its_rule(void **state) {
    struct text_rule rule = NAME;
    rule.may_be_empty = true;
    assert_kept(*state, &rule, "");
    assert_kept(*state, &rule, "Ada");
    assert_refused(*state, &rule, STR(" "), "must not be blank");
}

static void what_is_no_text_is_refused(void **state) {
    const struct text_rule *const rules[] = {&NAME, &BIO, &POST};
    for (size_t i = 0; i < 3; i++) {
        assert_refused(*state, rules[i], STR("a\xff"), "must be UTF-8 without U+0000");
        assert_refused(*state, rules[i], STR("a\0b"), "must be UTF-8 without U+0000");
        assert_refused(*state, rules[i], STR("\xed\xa0\x80"), "must be UTF-8 without U+0000");
    }
}

static void what_is_far_too_long_is_not_looked_at(void **state) {
    struct str raw = times(*state, "\xff", 1000000);
    assert_refused(*state, &NAME, raw, "must be at most 6400 bytes, this has 1000000");
}

static void memory_that_a_call_may_not_have_is_no_fault_of_the_text(void **state) {
    (void)state;
    struct arena small;
    struct str out;
    const char *why;
    arena_init(&small, 64);
    struct str raw = STR("\u00e9\u0301 and so on, for some time, until there is no room any more for it");
    assert_int_equal(text_rule_apply(&NAME, &small, (struct str){raw.ptr, 40}, &out, &why),
                     ERR_RESOURCE_EXHAUSTED);
    arena_free(&small);
}

/* ---- as it is ------------------------------------------------------------------------------------------ */

static void what_is_taken_as_it_is_has_bounds_in_bytes(void **state) {
    static const struct text_rule key = {.form = TEXT_AS_IS, .max_bytes = 4};
    static const struct text_rule hash = {.form = TEXT_AS_IS, .min_bytes = 4, .max_bytes = 4};
    static const struct text_rule query = {.form = TEXT_AS_IS, .min_characters = 1, .max_bytes = 4};
    assert_kept(*state, &key, "");
    assert_refused(*state, &key, STR("12345"), "must be at most 4 bytes, this has 5");
    assert_refused(*state, &hash, STR("123"), "must be 4 bytes, this has 3");
    assert_taken(*state, &hash, STR("\0\0\xff\0"), STR("\0\0\xff\0"));
    assert_refused(*state, &query, STR(" \n"), "must not be blank");
    assert_kept(*state, &query, "x");
}

/* ---- passwords ----------------------------------------------------------------------------------------- */

/* The same password, however a keyboard sends it. */
static void a_password_has_one_form(void **state) {
    assert_taken(*state, &PASSWORD, STR("pa\u0308sswo\u0308rd"), STR("p\u00e4ssw\u00f6rd"));
    assert_kept(*state, &PASSWORD, "p\u00e4ssw\u00f6rd");
    assert_taken(*state, &PASSWORD, STR("\u1112\u1161\u11AB\u1100\u1173\u11AF!!"), STR("\ud55c\uae00!!"));
    assert_taken(*state, &PASSWORD, STR("no\u00a0break\u3000wide\u2003em\u1680"), STR("no break wide em "));
    assert_taken(*state, &PASSWORD, STR("\u2126hm law\u0323\u0307"), STR("\u03a9hm la\u1e89\u0307"));
}

/* What is compatible with another text or looks like it is another password all the same. */
static void a_password_may_hold_what_it_likes(void **state) {
    assert_kept(*state, &PASSWORD, "\u00e9\n\t      ");
    assert_kept(*state, &PASSWORD, "\uff21\ufb01 \u00aa\u00ba");
    assert_kept(*state, &PASSWORD, "Capitals Stay");
    assert_kept(*state, &PASSWORD, "        ");
    assert_kept(*state, &PASSWORD, "\u200d\u200e\u202e zero");
}

static void a_password_is_measured_in_its_form(void **state) {
    assert_refused(*state, &PASSWORD, STR("1234567"), "must be 8 to 256 bytes, this has 7");
    assert_refused(*state, &PASSWORD, STR("a\u0308a\u0308a\u0308"), "must be 8 to 256 bytes, this has 6");
    assert_taken(*state, &PASSWORD, times(*state, "a\u0308", 128), times(*state, "\u00e4", 128));
    assert_refused(*state, &PASSWORD, times(*state, "a\u0308", 129), "must be 8 to 256 bytes, this has 258");
    assert_refused(*state, &PASSWORD, times(*state, "a", 1025), "must be 8 to 256 bytes, this has 1025");
    assert_refused(*state, &PASSWORD, STR("12345678\xff"), "must be UTF-8 without U+0000");
    assert_refused(*state, &PASSWORD, STR("12345678\0"), "must be UTF-8 without U+0000");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capitals_of_handles_are_lowered),
        cmocka_unit_test(what_is_no_handle_is_refused),
        cmocka_unit_test(emoji_are_counted_as_people_count),
        cmocka_unit_test(scripts_with_long_characters_are_taken),
        cmocka_unit_test(a_text_may_have_a_bound_in_bytes),
        cmocka_unit_test(a_text_that_composing_shortens_is_counted_as_composed),
        cmocka_unit_test(marks_without_end_are_refused_as_what_they_are),
        cmocka_unit_test(a_line_is_one_line),
        cmocka_unit_test(nothing_in_a_line_turns_its_neighbours_round),
        cmocka_unit_test(lines_are_fed_by_line_feeds_only),
        cmocka_unit_test(a_post_may_have_what_it_likes),
        cmocka_unit_test(a_text_that_is_needed_is_not_blank),
        cmocka_unit_test(one_that_may_be_empty_is_else_held_to_its_rule),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(what_is_far_too_long_is_not_looked_at),
        cmocka_unit_test(memory_that_a_call_may_not_have_is_no_fault_of_the_text),
        cmocka_unit_test(what_is_taken_as_it_is_has_bounds_in_bytes),
        cmocka_unit_test(a_password_has_one_form),
        cmocka_unit_test(a_password_may_hold_what_it_likes),
        cmocka_unit_test(a_password_is_measured_in_its_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
