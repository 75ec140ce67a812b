/* Unicode text rules: normal forms, counting, mentions, hashtags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <utf8proc.h>

#include "core/text/text.h"

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

static void assert_str(struct str s, const char *expected) {
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

/* --- normal form ------------------------------------------------------------------------------------- */

static void assert_nfc(struct arena *a, const char *raw, const char *expected) {
    struct str out;
    assert_true(text_normalize(a, str_from(raw), &out));
    assert_str(out, expected);
    assert_int_equal(out.ptr[out.len], 0);
}

static void composes_letters_and_marks(void **state) {
    assert_nfc(*state, "", "");
    assert_nfc(*state, "plain caf\u00e9", "plain caf\u00e9");
    assert_nfc(*state, "cafe\u0301", "caf\u00e9");
    assert_nfc(*state, "\u212B\u2126", "\u00C5\u03A9"); /* Angstrom and Ohm signs are Å and Ω */
    assert_nfc(*state, "\u1112\u1161\u11AB\u1100\u1173\u11AF", "한글"); /* Hangul from its letters */
    assert_nfc(*state, "\ufb01", "\ufb01");                             /* a compatibility ligature stays */
    assert_nfc(*state, "\u0958", "\u0915\u093C");                       /* excluded from composition */
}

static void orders_marks_canonically(void **state) {
    assert_nfc(*state, "q\u0307\u0323", "q\u0323\u0307");
    assert_nfc(*state, "q\u0323\u0307", "q\u0323\u0307");
    assert_nfc(*state, "a\u0315\u0300\u05AEb", "\u00E0\u05AE\u0315b"); /* NormalizationTest.txt */
}

/* A run long enough for the other sort gives what the short one does: classes in order, equals as they stood.
 */
static void orders_long_runs_of_marks_like_short_ones(void **state) {
    struct buf raw, expected;
    buf_init(&raw);
    buf_init(&expected);
    buf_append_char(&raw, 'q');
    buf_append_char(&expected, 'q');
    for (int i = 0; i < 100; i++) buf_append_cstr(&raw, i % 2 ? "\u0307\u0331" : "\u0308\u0323");
    for (int i = 0; i < 50; i++) buf_append_cstr(&expected, "\u0323\u0331");
    for (int i = 0; i < 50; i++) buf_append_cstr(&expected, "\u0308\u0307");
    buf_append_char(&raw, '\0');
    buf_append_char(&expected, '\0');
    assert_nfc(*state, raw.ptr, expected.ptr);
    buf_free(&raw);
    buf_free(&expected);
}

static int32_t random_code_point(uint64_t *seed) {
    static const int32_t blocks[][2] = {{0x41, 0x5A},     {0xC0, 0x24F},    {0x300, 0x36F},
                                        {0x591, 0x5C7},   {0x610, 0x65F},   {0x900, 0xDFF},
                                        {0x1100, 0x11FF}, {0x1DC0, 0x1FFF}, {0x3041, 0x30FF},
                                        {0xAC00, 0xAC20}, {0xF900, 0xFAD9}, {0x1D15E, 0x1D1C0}};
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t r = (uint32_t)(*seed >> 33);
    const int32_t *block = blocks[r % (sizeof(blocks) / sizeof(blocks[0]))];
    return block[0] + (int32_t)(r / 16 % (uint32_t)(block[1] - block[0] + 1));
}

/* On texts short enough for it, utf8proc itself is the reference. */
static void normalises_like_utf8proc(void **state) {
    uint64_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        utf8proc_uint8_t raw[40 * 4 + 1];
        utf8proc_ssize_t len = 0;
        for (int i = 0; i < 1 + round % 40; i++)
            len += utf8proc_encode_char(random_code_point(&seed), raw + len);
        raw[len] = 0;
        utf8proc_uint8_t *expected = utf8proc_NFC(raw);
        assert_non_null(expected);
        assert_nfc(*state, (const char *)raw, (const char *)expected);
        free(expected);
        arena_reset(*state);
    }
}

/* With an ordering that swaps neighbours this would be 10^10 swaps, and the test would not end. */
static void takes_hundreds_of_thousands_of_marks_in_its_stride(void **state) {
    struct buf raw;
    struct str out;
    buf_init(&raw);
    for (int i = 0; i < 200000; i++) buf_append_cstr(&raw, "\u0301");
    for (int i = 0; i < 200000; i++) buf_append_cstr(&raw, "\u0323");
    assert_true(text_normalize(*state, buf_str(&raw), &out));
    assert_int_equal(out.len, raw.len);
    assert_memory_equal(out.ptr, "\u0323", 2);
    assert_memory_equal(out.ptr + out.len - 2, "\u0301", 2);
    assert_int_equal(text_measure(out).characters, 1);
    buf_free(&raw);
}

static void refuses_what_is_no_utf8(void **state) {
    struct str out;
    assert_false(text_normalize(*state, STR("\xff"), &out));
    assert_false(text_normalize(*state, STR("a\0b"), &out));
    assert_false(text_normalize(*state, STR("\xed\xa0\x80"), &out));
}

static void refuses_what_passes_the_arenas_limit(void **state) {
    (void)state;
    struct arena small;
    char raw[3000];
    struct str out;
    arena_init(&small, 1000);
    memset(raw, 'a', sizeof(raw));
    assert_false(text_normalize(&small, (struct str){raw, sizeof(raw)}, &out));
    for (size_t i = 0; i < sizeof(raw); i += 3) memcpy(raw + i, "\u3042", 3);
    assert_false(text_normalize(&small, (struct str){raw, sizeof(raw)}, &out));
    arena_free(&small);
}

/* --- counting ---------------------------------------------------------------------------------------- */

static void assert_count(const char *text, size_t expected) {
    assert_int_equal(text_measure(str_from(text)).characters, expected);
}

static void counts_what_a_person_counts(void **state) {
    (void)state;
    assert_count("", 0);
    assert_count("hello", 5);
    assert_count("a\r\nb", 3);
    assert_count("\r\r\n\n", 3);
    assert_count("\r\u0301a\u0301\u0301b", 4); /* a mark does not join a control */
    assert_count("e\u0301", 1);
    assert_count("Z\u0351\u036B\u0343\u036Aa", 2); /* piled-up marks */
    assert_count("\u1112\u1161\u11AB\u1100", 2);   /* Hangul letters: 한, ᄀ */
    assert_count("\u0e01\u0e33", 1);               /* Thai กำ */
    assert_count("مرحبا", 5);                      /* right to left */
    assert_count("שָׁלוֹם", 4);                       /* with points */
    assert_count("日本語", 3);
}

static void counts_an_emoji_sequence_as_one(void **state) {
    (void)state;
    assert_count("👨‍👩‍👧‍👦", 1);
    assert_count("👩🏽‍🚀", 1);
    assert_count("👍🏿👍🏿", 2);
    assert_count("❤️", 1);
    assert_count("1️⃣", 1);
    assert_count("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1);
}

static void counts_flags_in_pairs(void **state) {
    (void)state;
    assert_count("🇩🇪", 1);
    assert_count("🇩🇪🇫🇷🇯🇵", 3);
    assert_count("🇩🇪🇫", 2);
    assert_count("🇩 🇪", 3);
}

static void counts_an_indic_conjunct_as_one(void **state) {
    (void)state;
    assert_count("कमाल", 3);
    assert_count("क्षि", 1);
    assert_count("नमस्ते", 3);
    assert_count("স্ত্রী", 1);
    assert_count("क्\u200Cष", 2); /* a non-joiner keeps the consonants apart */
    assert_count("क्a", 2);
    assert_count("த்த", 2); /* Tamil has no such conjuncts */
}

/* --- blank ------------------------------------------------------------------------------------------- */

static void sees_that_a_text_is_blank(void **state) {
    (void)state;
    assert_true(text_is_blank(STR("")));
    assert_true(text_is_blank(STR(" \t\r\n\xC2\x85\u00A0\u2003\u2028\u3000")));
    assert_true(text_is_blank(STR("\u200B\u200D\u2060\uFEFF\u00AD\uFE0F\u3164\u115F")));
    assert_true(text_is_blank(STR("\x01")));
    assert_false(text_is_blank(STR(" \u200B.")));
    assert_false(text_is_blank(STR("\u0301")));
}

/* --- mentions and hashtags --------------------------------------------------------------------------- */

/* The values in order, each with a blank behind it. */
static const char *values(struct arena *a, const struct text_entity *v, size_t n) {
    char *all = arena_strdup(a, "");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(strlen(v[i].value.ptr), v[i].value.len);
        all = arena_printf(a, "%s%s ", all, v[i].value.ptr);
    }
    return all;
}

static void assert_mentions(struct arena *a, const char *text, const char *expected) {
    struct text_entities e;
    text_parse_entities(a, str_from(text), &e);
    assert_string_equal(values(a, e.mentions, e.n_mentions), expected);
}

static void assert_tags(struct arena *a, const char *text, const char *expected) {
    struct text_entities e;
    text_parse_entities(a, str_from(text), &e);
    assert_string_equal(values(a, e.hashtags, e.n_hashtags), expected);
}

static void finds_mentions_in_lower_case(void **state) {
    assert_mentions(*state, "@Ada and @grace_hopper, (@k9)! @A", "ada grace_hopper k9 a ");
    assert_mentions(*state, "no one @ all, @", "");
    assert_mentions(*state, "@@ada .@bob", "ada bob ");
    assert_mentions(*state, "@adaさん", "ada ");
    assert_mentions(*state, "مرحبا @ada", "ada ");
    assert_mentions(*state, "👋@ada 👍🏽@bob ❤️@eve 1️⃣@k9", "ada bob eve k9 ");
}

static void finds_no_mention_inside_words_and_addresses(void **state) {
    assert_mentions(*state, "mail ada@example.org", "");
    assert_mentions(*state, "été@ada _@ada 7@ada", "");
    assert_mentions(*state, "@ada@example.org", "");
    assert_mentions(*state, "@adaé @ada\u0301", "");
    assert_mentions(*state, "https://example.org/@ada then @bob", "bob ");
}

static void finds_no_mention_longer_than_a_handle(void **state) {
    assert_mentions(*state, "@abcdefghijklmnopqrstuvwxyz0123", "abcdefghijklmnopqrstuvwxyz0123 ");
    assert_mentions(*state, "@abcdefghijklmnopqrstuvwxyz01234 @b", "b ");
}

static void finds_hashtags_in_every_script(void **state) {
    assert_tags(*state, "#Penguins and #rock_hoppers2", "penguins rock_hoppers2 ");
    assert_tags(*state, "＃日本語 #日本語です。", "日本語 日本語です ");
    assert_tags(*state, "#नमस्ते #ไทย #שלום #العربية", "नमस्ते ไทย שלום العربية ");
    assert_tags(*state, "#می\u200Cخواهم", "می\u200Cخواهم ");
    assert_tags(*state, "#ශ්\u200Dරී", "ශ්\u200Dරී ");
    assert_tags(*state, "#col·lecció #ハリー・ポッター", "col·lecció ハリー・ポッター ");
    assert_tags(*state, "#2026 #100days #Ⅳ", "100days iv ");
    assert_tags(*state, "#_ #__init__", "_ __init__ ");
}

static void ends_a_hashtag_where_the_word_ends(void **state) {
    assert_tags(*state, "#a,#b.#c!#d-e", "a b c d ");
    assert_tags(*state, "#foo· bar #foo\u200D", "foo foo ");
    assert_tags(*state, "#love❤️#fun🎉#more1️⃣#most", "love fun more1 most ");
    assert_tags(*state, "##double", "double ");
}

static void finds_no_hashtag_where_there_is_none(void **state) {
    assert_tags(*state, "# #! #123 #１２３ #\u0301a #·a", "");
    assert_tags(*state, "a#b &#39; 日本#語 _#x", "");
    assert_tags(*state, "#️⃣ #⃣ #1️⃣", ""); /* keycaps */
    assert_tags(*state, "#\u3164 #\u00AD", "");
    assert_tags(*state, "see https://example.org/page#section and http://x.y/#top", "");
    assert_tags(*state, "日本 https://example.org/を見て #タグ", "タグ ");
}

/* Nothing is cut out of links and addresses, and what stands behind them is found. */
static void leaves_links_and_addresses_whole(void **state) {
    static const struct {
        const char *text, *mentions, *tags;
    } table[] = {
        /* letters of all scripts are parts of links */
        {"https://ja.wikipedia.org/wiki/東京_(曖昧さ回避)#地名", "", ""},
        {"https://ja.wikipedia.org/wiki/JR東日本_(曖昧さ回避)#歴史 #駅", "", "駅 "},
        {"https://ja.wikipedia.org/wiki/ハリー・ポッター_(映画)#続編", "", ""},
        {"https://de.wikipedia.org/wiki/Köln–Bonn/#Straße", "", ""},
        {"https://uk.wikipedia.org/wiki/Об’єкт/#розділ", "", ""},
        {"https://fa.wikipedia.org/wiki/می\u200Cخواهم/#بخش", "", ""},
        {"https://müller.example/@garyvee", "", ""},
        {"https://пример.рф/@ada/#тег", "", ""},
        {"HTTPS://EXAMPLE.ORG/@ada", "", ""},
        {"見てhttps://example.org/@ada", "", ""},
        {"git+ssh://example.org/@ada ftp://x/#y", "", ""},
        /* without a scheme */
        {"youtube.com/@MrBeast", "", ""},
        {"docs.rs/x/#structs", "", ""},
        {"www.example.org/a/b?c=@ada&d=#e", "", ""},
        {"(example.org/@ada) and example.org:8080/@ada", "", ""},
        {"192.0.2.1/@ada 192.0.2.1:80/#a", "", ""},
        {"пример.рф/@ada xn--e1afmkfd.xn--p1ai/#a", "", ""},
        {"詳細はexample.org/@adaを", "", ""},
        {"//example.org/@ada", "", ""},
        /* other schemes */
        {"magnet:?xt=@ada", "", ""},
        {"magnet:?xt=urn:btih:c12fe1&tr=#a", "", ""},
        {"mailto:@ada sip:@ada acct:@ada urn:x:#a", "", ""},
        {"any:?q=@ada", "", ""},
        /* addresses */
        {"@foo.bar@x.example", "", ""},
        {"@foo-bar@x.example @a.b.c@d", "", ""},
        {"\"ada\"@example.org", "", ""},
        {"ada+@example.org a-@example.org", "", ""},
        {"ada@example.org/#a @ada@example.org/@bob", "", ""},
        /* what goes on behind a link */
        {"https://example.org/page#a、@ada", "ada ", ""},
        {"https://example.org/page。#タグ", "", "タグ "},
        {"https://example.org/を見て、@ada「#タグ」", "ada ", "タグ "},
        {"https://example.org/（@ada）", "ada ", ""},
        {"https://example.org/👍@ada#no #yes", "ada ", "yes "},
        {"<https://example.org/>@ada \"https://example.org/\"#a", "ada ", "a "},
        {"https://example.org/\n@ada\n#a", "ada ", "a "},
        {"youtube.com/@MrBeast @ada docs.rs/x/#structs #a", "ada ", "a "},
        /* what is no link, and no address */
        {"@ada/@bob and/or #a/#b", "ada bob ", "a b "},
        {"cc:@ada news:@bob note:#a :@eve", "ada bob eve ", "a "},
        {"1.5/@ada v1.2/@bob a.b/@eve ../@k9 ...com/@x", "ada bob eve k9 x ", ""},
        {"@ada.@bob @ada- @bob. @ada.", "ada bob ada bob ada ", ""},
        {"he said \"hi\"@ada. and -@bob", "ada bob ", ""},
        {"\"@ada.bsky\" (@bob)", "ada bob ", ""},
        {"@foo.bar@ x", "foo ", ""},
        {"http:/@ada : //@bob ://@eve", "ada bob eve ", ""},
        {"終わり。/@ada", "ada ", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct text_entities e;
        text_parse_entities(*state, str_from(table[i].text), &e);
        const char *mentions = values(*state, e.mentions, e.n_mentions);
        const char *tags = values(*state, e.hashtags, e.n_hashtags);
        if (strcmp(mentions, table[i].mentions) != 0 || strcmp(tags, table[i].tags) != 0)
            fail_msg("%s: mentions \"%s\", tags \"%s\"", table[i].text, mentions, tags);
    }
}

/* No text makes it look back or ahead again and again. */
static void takes_linear_time_for_links(void **state) {
    static const char *const parts[] = {"/", "a.", ":", "a:", "@a.", "a.b/", "\u3042", "@", "a-"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buf text;
        struct text_entities e;
        buf_init(&text);
        while (text.len < 300000) buf_append_cstr(&text, parts[i]);
        text_parse_entities(*state, buf_str(&text), &e);
        assert_true(e.n_mentions <= 64);
        buf_free(&text);
    }
}

static void normalises_hashtags_for_the_index(void **state) {
    assert_tags(*state, "#CAFE\u0301 #Café", "café café ");
    assert_tags(*state, "#ＦＵＬＬ１ #ﬁsh #ſ", "full1 fish s ");
    assert_tags(*state, "#Straße #STRASSE", "strasse strasse ");
    assert_tags(*state, "#ΣΊΣΥΦΟΣ #σίσυφος", "σίσυφοσ σίσυφοσ ");
    assert_tags(*state, "#İstanbul #ISTANBUL #ısı", "i\u0307stanbul istanbul ısı ");
    assert_tags(*state, "#a\uFE0Fb", "ab ");
}

/* Some letters come apart into a blank and a mark, a phrase, or begin with a mark or end with a dot. */
static void finds_no_hashtag_that_would_not_be_found_again(void **state) {
    assert_tags(*state, "#\uFE70x #\uFDFA #x\uFDFA #\uFF9Ex #x\u0140", "");
    assert_tags(*state, "#co\u0140lecció", "col·lecció ");
}

static void leaves_out_overlong_hashtags(void **state) {
    struct buf text;
    struct text_entities e;
    buf_init(&text);
    buf_append_char(&text, '#');
    for (int i = 0; i < 100; i++) buf_append_char(&text, 'x');
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_hashtags, 1);
    buf_append_char(&text, 'x');
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_hashtags, 0);
    buf_clear(&text);
    buf_append_char(&text, '#');
    for (int i = 0; i < 90; i++) buf_append_cstr(&text, "\uFB03"); /* a ligature of three */
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_hashtags, 1);
    buf_clear(&text);
    buf_append_char(&text, '#');
    for (int i = 0; i < 90; i++) buf_append_cstr(&text, "\U00020000"); /* four bytes each */
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_hashtags, 1);
    buf_clear(&text);
    buf_append_char(&text, '#');
    for (int i = 0; i < 90; i++) buf_append_cstr(&text, "\u1F82"); /* five bytes each when case-folded */
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_hashtags, 0);
    buf_free(&text);
}

static void tells_where_an_entity_stands(void **state) {
    struct text_entities e;
    struct str text = STR("👩🏽‍🚀é @Ada ＃日本·x· #b");
    text_parse_entities(*state, text, &e);
    assert_int_equal(e.n_mentions, 1);
    assert_int_equal(e.n_hashtags, 2);
    assert_int_equal(e.mentions[0].start, 6);
    assert_int_equal(e.mentions[0].end, 10);
    assert_str(
        (struct str){text.ptr + e.mentions[0].start_byte, e.mentions[0].end_byte - e.mentions[0].start_byte},
        "@Ada");
    assert_int_equal(e.hashtags[0].start, 11);
    assert_int_equal(e.hashtags[0].end, 16);
    assert_str(
        (struct str){text.ptr + e.hashtags[0].start_byte, e.hashtags[0].end_byte - e.hashtags[0].start_byte},
        "＃日本·x");
    assert_int_equal(e.hashtags[1].start, 18);
    assert_int_equal(e.hashtags[1].end, 20);
    assert_int_equal(e.hashtags[1].end_byte, text.len);
}

static void lists_each_handle_and_tag_once(void **state) {
    struct text_entities e;
    char **handles, **tags;
    text_parse_entities(*state, STR("@Bob @ada @BOB #Tag #x #TAG @ada"), &e);
    assert_int_equal(e.n_mentions, 4);
    assert_int_equal(text_unique_handles(*state, &e, &handles), 2);
    assert_string_equal(handles[0], "bob");
    assert_string_equal(handles[1], "ada");
    assert_int_equal(text_unique_tags(*state, &e, &tags), 2);
    assert_string_equal(tags[0], "tag");
    assert_string_equal(tags[1], "x");
    text_parse_entities(*state, STR("nothing"), &e);
    assert_int_equal(text_unique_tags(*state, &e, &tags), 0);
    assert_non_null(tags);
}

static void keeps_at_most_64_of_each(void **state) {
    struct buf text;
    struct text_entities e;
    buf_init(&text);
    for (int i = 0; i < 1000; i++) buf_printf(&text, "@a%d #b%d ", i, i);
    text_parse_entities(*state, buf_str(&text), &e);
    assert_int_equal(e.n_mentions, 64);
    assert_int_equal(e.n_hashtags, 64);
    assert_str(e.mentions[63].value, "a63");
    buf_free(&text);
}

static void survives_bytes_that_are_no_utf8(void **state) {
    struct text_entities e;
    struct str text = STR("\xff#a\xe2\x82 @b\xf0");
    text_parse_entities(*state, text, &e);
    assert_int_equal(e.n_hashtags, 1);
    assert_int_equal(e.n_mentions, 1);
    assert_int_equal(text_measure(STR("\xff\xff")).characters, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composes_letters_and_marks),
        cmocka_unit_test(orders_marks_canonically),
        cmocka_unit_test(orders_long_runs_of_marks_like_short_ones),
        cmocka_unit_test(normalises_like_utf8proc),
        cmocka_unit_test(takes_hundreds_of_thousands_of_marks_in_its_stride),
        cmocka_unit_test(refuses_what_is_no_utf8),
        cmocka_unit_test(refuses_what_passes_the_arenas_limit),
        cmocka_unit_test(counts_what_a_person_counts),
        cmocka_unit_test(counts_an_emoji_sequence_as_one),
        cmocka_unit_test(counts_flags_in_pairs),
        cmocka_unit_test(counts_an_indic_conjunct_as_one),
        cmocka_unit_test(sees_that_a_text_is_blank),
        cmocka_unit_test(finds_mentions_in_lower_case),
        cmocka_unit_test(finds_no_mention_inside_words_and_addresses),
        cmocka_unit_test(leaves_links_and_addresses_whole),
        cmocka_unit_test(takes_linear_time_for_links),
        cmocka_unit_test(finds_no_mention_longer_than_a_handle),
        cmocka_unit_test(finds_hashtags_in_every_script),
        cmocka_unit_test(ends_a_hashtag_where_the_word_ends),
        cmocka_unit_test(finds_no_hashtag_where_there_is_none),
        cmocka_unit_test(normalises_hashtags_for_the_index),
        cmocka_unit_test(finds_no_hashtag_that_would_not_be_found_again),
        cmocka_unit_test(leaves_out_overlong_hashtags),
        cmocka_unit_test(tells_where_an_entity_stands),
        cmocka_unit_test(lists_each_handle_and_tag_once),
        cmocka_unit_test(keeps_at_most_64_of_each),
        cmocka_unit_test(survives_bytes_that_are_no_utf8),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
