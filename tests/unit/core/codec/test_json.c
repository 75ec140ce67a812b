/* ProtoJSON, both ways: every rule of the mapping, and texts that break them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "core/codec/codec.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rookery/test/v1/codec.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"

typedef Rookery__Test__V1__Everything Everything;
typedef Rookery__Test__V1__Leaf Leaf;

#define EVERYTHING (&rookery__test__v1__everything__descriptor)
#define TREE (&rookery__test__v1__tree__descriptor)
#define TIMESTAMP (&google__protobuf__timestamp__descriptor)
#define DURATION (&google__protobuf__duration__descriptor)

struct bench {
    struct arena arena;
    struct fault fault;
    struct buf out;
};

static int set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL) return -1;
    arena_init(&b->arena, (size_t)16 << 20);
    buf_init(&b->out);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    arena_free(&b->arena);
    buf_free(&b->out);
    free(b);
    return 0;
}

/* From an allocation of its exact size, so that a read past the end is seen. */
static void *decode_str(struct bench *b, const ProtobufCMessageDescriptor *type, struct str text) {
    char *exact = malloc(text.len ? text.len : 1);
    assert_non_null(exact);
    if (text.len > 0) memcpy(exact, text.ptr, text.len);
    b->fault = (struct fault){.error = ERR_OK};
    void *m = json_decode(type, (struct str){exact, text.len}, &b->arena, &b->fault);
    free(exact);
    return m;
}

static Everything *decode(struct bench *b, const char *text) {
    Everything *m = decode_str(b, EVERYTHING, str_from(text));
    if (m == NULL) fail_msg("%s: %s: %s", text, b->fault.field, b->fault.text);
    return m;
}

/* Refused, about this field, with a sentence that begins with it and holds these words. */
static void assert_refused_as(struct bench *b, const ProtobufCMessageDescriptor *type, const char *text,
                              const char *field, const char *words) {
    if (decode_str(b, type, str_from(text)) != NULL) fail_msg("%s was accepted", text);
    assert_int_equal(b->fault.error, ERR_INVALID_ARGUMENT);
    assert_string_equal(b->fault.field, field);
    const char *subject = *field ? field : "the body";
    bool names_it = strncmp(b->fault.text, subject, strlen(subject)) == 0;
    if (!names_it || strstr(b->fault.text, words) == NULL) fail_msg("%s: %s", text, b->fault.text);
}

static void assert_refused(struct bench *b, const char *text, const char *field, const char *words) {
    assert_refused_as(b, EVERYTHING, text, field, words);
}

static void assert_encodes(struct bench *b, const ProtobufCMessage *m, const char *text) {
    buf_clear(&b->out);
    json_encode(m, &b->out);
    buf_append_char(&b->out, '\0');
    assert_string_equal(b->out.ptr, text);
}

/* in is decoded, and comes out as out. */
static void assert_comes_out(struct bench *b, const char *in, const char *out) {
    assert_encodes(b, &decode(b, in)->base, out);
}

static void assert_comes_back(struct bench *b, const char *text) {
    assert_comes_out(b, text, text);
}

/* ---- names and presence */

static void names_are_camel_case_out_and_either_in(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"anInt32\":1}");
    assert_comes_out(b, "{\"an_int32\":1}", "{\"anInt32\":1}");
    assert_comes_out(b, "{\"a_string\":\"x\",\"aBool\":true}", "{\"aBool\":true,\"aString\":\"x\"}");
}

static void the_default_message_is_empty_braces(void **state) {
    struct bench *b = *state;
    static const char *const empty[] = {"{}", "", " \n\t",
                                        "{\"anInt32\":0,\"aString\":\"\",\"aBool\":false,\"int32s\":[]}"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) assert_comes_out(b, empty[i], "{}");
    assert_comes_out(
        b, "{\"aColour\":\"COLOUR_UNSPECIFIED\",\"aDouble\":0.0,\"aUint64\":\"0\",\"someBytes\":\"\"}", "{}");
}

static void null_is_unset(void **state) {
    struct bench *b = *state;
    assert_comes_out(
        b,
        "{\"anInt32\":null,\"aString\":null,\"aLeaf\":null,\"int32s\":null,\"aTime\":null,"
        "\"chosenText\":null,\"aColour\":null,\"aBool\":null,\"aDouble\":null,\"someBytes\":null}",
        "{}");
    Everything *m = decode(b, "{\"chosenText\":null,\"chosenNumber\":3}");
    assert_int_equal(m->chosen_number, 3);
}

static void null_is_no_element(void **state) {
    struct bench *b = *state;
    assert_refused(b, "{\"int32s\":[1,null]}", "int32s[1]", "whole number");
    assert_refused(b, "{\"leaves\":[null]}", "leaves[0]", "must be an object");
    assert_refused(b, "{\"strings\":[null]}", "strings[0]", "must be a string");
}

static void unknown_names_are_refused_with_the_nearest(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *field, *words;
    } table[] = {
        {"{\"AnInt32\":3}", "AnInt32", "is not a field of Everything: did you mean anInt32?"},
        {"{\"an_Int32\":3}", "an_Int32", "did you mean anInt32?"},
        {"{\"anint32\":null}", "anint32", "did you mean anInt32?"},
        {"{\"aString\":\"x\",\"aStrng\":1}", "aStrng", "did you mean aString?"},
        {"{\"nobody\":{\"a\":[1,{}]}}", "nobody", "is not a field of Everything, which has anInt32, "},
        {"{\"\":1}", "", "is not a field of Everything, which has"},
        {"{\"aLeaf\":{\"txt\":1}}", "aLeaf.txt", "is not a field of Leaf: did you mean text?"},
        {"{\"a_leaf\":{\"zzzzzz\":1}}", "a_leaf.zzzzzz", "is not a field of Leaf, which has text, number"},
        {"{\"leaves\":[{},{\"Text\":1}]}", "leaves[1].Text", "did you mean text?"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_refused(b, table[i].text, table[i].field, table[i].words);
    char text[300] = "{\"aLeaf\":{\"";
    memset(text + strlen(text), 'x', 200);
    strcat(text, "\":1}}");
    assert_refused(b, text, "aLeaf", "has a name of 200 bytes, which is not a field of Leaf");
}

static void errors_name_a_field_as_it_was_written(void **state) {
    struct bench *b = *state;
    assert_refused(b, "{\"anInt32\":\"x\"}", "anInt32", "must be a whole number");
    assert_refused(b, "{\"an_int32\":\"x\"}", "an_int32", "must be a whole number");
    assert_refused(b, "{\"a_leaf\":{\"number\":\"x\"}}", "a_leaf.number", "must be a whole number");
    static const struct {
        const char *text;
        bool snake;
    } table[] = {{"{}", false},
                 {"{\"anInt32\":1}", false},
                 {"{\"aString\":\"a_string\"}", false},
                 {"{\"a_string\":\"x\"}", true},
                 {"{\"anInt32\":1,\"a_leaf\":{}}", true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool snake = !table[i].snake;
        assert_non_null(
            json_decode_spelled(EVERYTHING, str_from(table[i].text), &b->arena, &snake, &b->fault));
        assert_int_equal(snake, table[i].snake);
    }
}

static void names_in_faults_are_spelled_as_json_does(void **state) {
    (void)state;
    struct fault f;
    fault_field(&f, ERR_INVALID_ARGUMENT, "a_leaf.an_int32",
                "a_leaf.an_int32: no_field beside a_string, an_int32s and \"a_string\" (a_leaf)");
    json_spell_fault(EVERYTHING, &f);
    assert_string_equal(f.field, "aLeaf.anInt32");
    assert_string_equal(f.text, "aLeaf.anInt32: no_field beside aString, an_int32s and \"a_string\" (aLeaf)");
    f = (struct fault){0};
    json_spell_fault(EVERYTHING, &f);
    assert_string_equal(f.text, "");
}

static void a_name_given_twice_is_refused(void **state) {
    struct bench *b = *state;
    assert_refused(b, "{\"anInt32\":1,\"anInt32\":2}", "", "not JSON");
    assert_refused(b, "{\"anInt32\":1,\"an_int32\":2}", "an_int32", "given twice, also as anInt32");
    assert_refused(b, "{\"an_int32\":1,\"anInt32\":2}", "an_int32", "given twice, also as anInt32");
}

static void submessages_are_printed_even_when_empty(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"aLeaf\":{}}");
    assert_comes_back(b, "{\"leaves\":[{},{\"text\":\"x\"}]}");
    assert_refused(b, "{\"aLeaf\":[]}", "aLeaf", "must be an object");
    assert_refused(b, "{\"aLeaf\":\"x\"}", "aLeaf", "must be an object");
    assert_refused(b, "[]", "", "must be an object");
    assert_refused(b, "null", "", "must be an object");
    assert_refused(b, "3", "", "must be an object");
}

static void a_set_oneof_is_printed_even_when_default(void **state) {
    struct bench *b = *state;
    static const char *const members[] = {
        "{\"chosenNumber\":0}",   "{\"chosenText\":\"\"}",  "{\"chosenLeaf\":{}}",
        "{\"chosenFlag\":false}", "{\"chosenBytes\":\"\"}", "{\"chosenColour\":\"COLOUR_UNSPECIFIED\"}",
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) assert_comes_back(b, members[i]);
}

static void two_members_of_a_oneof_are_refused(void **state) {
    struct bench *b = *state;
    assert_refused(b, "{\"chosenNumber\":1,\"chosenText\":\"x\"}", "chosenText",
                   "together with chosenNumber");
    assert_refused(b, "{\"chosen_number\":1,\"chosen_text\":\"x\"}", "chosen_text",
                   "together with chosen_number");
}

/* ---- numbers */

static void int64_goes_out_as_a_string_and_comes_in_as_either(void **state) {
    struct bench *b = *state;
    assert_comes_back(
        b, "{\"anInt64\":\"9223372036854775807\",\"aSint64\":\"-9223372036854775808\",\"aSfixed64\":\"1\"}");
    assert_comes_out(b, "{\"anInt64\":9223372036854775807}", "{\"anInt64\":\"9223372036854775807\"}");
    assert_comes_out(b, "{\"anInt64\":-9223372036854775808}", "{\"anInt64\":\"-9223372036854775808\"}");
    assert_comes_back(b, "{\"aUint64\":\"18446744073709551615\",\"aFixed64\":\"9223372036854775808\"}");
    assert_comes_out(b, "{\"aUint64\":9223372036854775807}", "{\"aUint64\":\"9223372036854775807\"}");
}

static void thirty_two_bit_numbers_go_out_bare(void **state) {
    struct bench *b = *state;
    assert_comes_back(
        b, "{\"anInt32\":-2147483648,\"aSint32\":2147483647,\"aSfixed32\":-1,\"aUint32\":4294967295,"
           "\"aFixed32\":1}");
    assert_comes_out(b, "{\"anInt32\":\"-7\",\"aUint32\":\"4294967295\"}",
                     "{\"anInt32\":-7,\"aUint32\":4294967295}");
}

static void a_whole_number_may_be_written_as_a_fraction(void **state) {
    struct bench *b = *state;
    assert_comes_out(b, "{\"anInt32\":1.0,\"anInt64\":1e3,\"aUint32\":\"2.50e1\",\"aUint64\":0.5E1}",
                     "{\"anInt32\":1,\"aUint32\":25,\"anInt64\":\"1000\",\"aUint64\":\"5\"}");
    assert_comes_out(b, "{\"aUint64\":-0.0,\"anInt32\":-0}", "{}");
}

static void numbers_out_of_range_are_refused(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *text, *field, *words;
    } cases[] = {
        {"{\"anInt32\":2147483648}", "anInt32", "from -2147483648 to 2147483647"},
        {"{\"anInt32\":-2147483649}", "anInt32", "from -2147483648"},
        {"{\"aSint32\":\"2147483648\"}", "aSint32", "whole number"},
        {"{\"aUint32\":4294967296}", "aUint32", "from 0 to 4294967295"},
        {"{\"aUint32\":-1}", "aUint32", "from 0"},
        {"{\"aFixed32\":\"-1\"}", "aFixed32", "from 0"},
        {"{\"anInt64\":\"9223372036854775808\"}", "anInt64", "whole number"},
        {"{\"anInt64\":\"-9223372036854775809\"}", "anInt64", "whole number"},
        {"{\"anInt64\":9223372036854775808}", "anInt64", "in quotes when it is beyond 2^53"},
        {"{\"anInt64\":1e19}", "anInt64", "whole number"},
        {"{\"aUint64\":\"18446744073709551616\"}", "aUint64", "from 0 to 18446744073709551615"},
        {"{\"aUint64\":\"184467440737095516150\"}", "aUint64", "whole number"},
        {"{\"aUint64\":18446744073709551615}", "aUint64", "in quotes"},
        {"{\"aUint64\":-1}", "aUint64", "whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(b, cases[i].text, cases[i].field, cases[i].words);
}

static void what_is_no_whole_number_is_refused(void **state) {
    struct bench *b = *state;
    static const char *const values[] = {
        "1.5",          "\"1.5\"", "\"\"",      "\" 1\"", "\"1 \"",    "\"+1\"",  "\"0x10\"",    "\"01\"",
        "\"-\"",        "\"1e\"",  "\"1.\"",    "\".5\"", "\"abc\"",   "true",    "[1]",         "{}",
        "\"Infinity\"", "\"NaN\"", "\"1e999\"", "1e-1",   "\"1_000\"", "\"--1\"", "\"\\u0661\"",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"anInt64\":%s}", values[i]);
        assert_refused(b, text, "anInt64", "must be a whole number");
        snprintf(text, sizeof text, "{\"aUint32\":%s}", values[i]);
        assert_refused(b, text, "aUint32", "must be a whole number");
    }
}

static void doubles_come_back_exactly(void **state) {
    struct bench *b = *state;
    static const double values[] = {
        0.1, 1.0 / 3, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e21, 123456789012345680.0, -2.5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        Everything m = ROOKERY__TEST__V1__EVERYTHING__INIT;
        m.a_double = values[i];
        buf_clear(&b->out);
        json_encode(&m.base, &b->out);
        Everything *again = decode_str(b, EVERYTHING, buf_str(&b->out));
        assert_non_null(again);
        assert_true(again->a_double == values[i]);
    }
    assert_comes_back(b, "{\"aFloat\":0.1,\"aDouble\":0.1}");
    assert_comes_back(b, "{\"floats\":[3.4028235e+38,-1.4013e-45,16777216],\"doubles\":[0,1,1.5]}");
}

static void floats_may_be_whole_in_quotes_or_special(void **state) {
    struct bench *b = *state;
    assert_comes_out(b, "{\"aFloat\":\"1.5\",\"aDouble\":\"-1e3\"}", "{\"aFloat\":1.5,\"aDouble\":-1000}");
    assert_comes_back(b, "{\"aFloat\":\"Infinity\",\"aDouble\":\"-Infinity\"}");
    assert_comes_back(b, "{\"doubles\":[\"NaN\",\"Infinity\",\"-Infinity\",-0.0,0]}");
    assert_true(isnan(decode(b, "{\"aFloat\":\"NaN\"}")->a_float));
}

/* As JavaScript prints 1e20; jansson alone refuses such a number. */
static void a_float_may_be_a_whole_number_beyond_int64(void **state) {
    struct bench *b = *state;
    assert_comes_out(b, "{\"aDouble\":100000000000000000000,\"anInt64\":12}",
                     "{\"anInt64\":\"12\",\"aDouble\":1e+20}");
    assert_refused(b, "{\"aDouble\":100000000000000000000,\"anInt64\":9007199254740993}", "anInt64",
                   "in quotes");
    assert_comes_out(b, "{\"aDouble\":100000000000000000000,\"anInt64\":\"9007199254740993\"}",
                     "{\"anInt64\":\"9007199254740993\",\"aDouble\":1e+20}");
}

static void what_is_no_float_is_refused(void **state) {
    struct bench *b = *state;
    static const char *const values[] = {"\"\"",      "\"nan\"",   "\"inf\"", "\"-NaN\"", "\"+Infinity\"",
                                         "\"1e999\"", "\"0x1p3\"", "true",    "[]",       "{}",
                                         "\"1,5\"",   "\" 1\""};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"aDouble\":%s}", values[i]);
        assert_refused(b, text, "aDouble", "must be a number");
    }
    assert_refused(b, "{\"aFloat\":3.4028236e38}", "aFloat", "3.40282e+38");
    assert_refused(b, "{\"aDouble\":1e999}", "", "not JSON");
    assert_refused(b, "{\"aDouble\":NaN}", "", "not JSON");
}

static void booleans_are_true_or_false(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"aBool\":true,\"bools\":[true,false]}");
    assert_refused(b, "{\"aBool\":1}", "aBool", "true or false");
    assert_refused(b, "{\"aBool\":\"true\"}", "aBool", "true or false");
}

static void enums_go_out_by_name_and_come_in_by_name_or_number(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"aColour\":\"COLOUR_BLUE\",\"colours\":[\"COLOUR_RED\",\"COLOUR_UNSPECIFIED\"]}");
    assert_comes_out(b, "{\"aColour\":7,\"colours\":[-3,1.0]}",
                     "{\"aColour\":\"COLOUR_BLUE\",\"colours\":[\"COLOUR_BELOW_ZERO\",\"COLOUR_RED\"]}");
    assert_comes_back(b, "{\"aColour\":99}");
    assert_refused(b, "{\"aColour\":\"COLOUR_GREEN\"}", "aColour", "the name of a Colour, as COLOUR_BLUE");
    assert_refused(b, "{\"aColour\":\"7\"}", "aColour", "the name of a Colour");
    assert_refused(b, "{\"aColour\":1.5}", "aColour", "the name or the number of a Colour");
    assert_refused(b, "{\"aColour\":2147483648}", "aColour", "the name or the number");
    assert_refused(b, "{\"aColour\":true}", "aColour", "the name or the number");
}

/* ---- text and bytes */

static void escapes_are_understood(void **state) {
    struct bench *b = *state;
    Everything *m = decode(b, "{\"aString\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude08\"}");
    assert_string_equal(m->a_string, "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x88");
    m = decode(b, "{\"\\u0061String\":\"escaped name\"}");
    assert_string_equal(m->a_string, "escaped name");
}

static void text_is_escaped_as_little_as_json_allows(void **state) {
    struct bench *b = *state;
    assert_comes_back(
        b, "{\"aString\":\"\\\"\\\\/\\n\\r\\t\\u0001\\u001f\\u007f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x88\"}");
}

static void bad_text_is_refused(void **state) {
    struct bench *b = *state;
    static const struct str values[] = {
        {"\xff", 1},
        {"\xc0\x80", 2},
        {"\xed\xa0\x80", 3},
        {"\xc3", 1},
        {"\\u0000", 6},
        {"a\0b", 3},
        {"\\ud83d", 6},
        {"\\ude08", 6},
        {"\\ud83d\\u0041", 12},
        {"\\x41", 4},
        {"\\u12", 4},
        {"line\nbreak", 10},
        {"\\", 1},
        {"\xf4\x90\x80\x80", 4},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        buf_clear(&b->out);
        buf_append_cstr(&b->out, "{\"aString\":\"");
        buf_append_str(&b->out, values[i]);
        buf_append_cstr(&b->out, "\"}");
        assert_null(decode_str(b, EVERYTHING, buf_str(&b->out)));
        assert_int_equal(b->fault.error, ERR_INVALID_ARGUMENT);
    }
    assert_refused(b, "{\"aString\":1}", "aString", "must be a string");
    assert_null(decode_str(b, EVERYTHING, STR("{\"aString\":\"\\u0000\"}")));
    assert_string_equal(b->fault.text, "line 1, column 19: a string must not hold U+0000");
}

static void bad_utf8_is_written_as_replacement_characters(void **state) {
    struct bench *b = *state;
    json_write_string(&b->out, STR("a\xff\xc3(\0\xe2\x82"));
    assert_true(
        str_eq(buf_str(&b->out), STR("\"a\xef\xbf\xbd\xef\xbf\xbd(\\u0000\xef\xbf\xbd\xef\xbf\xbd\"")));
}

static void bytes_are_base64_in_either_alphabet(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"someBytes\":\"+/8=\",\"blobs\":[\"\",\"AA==\",\"AAAA\",\"AAAAAA==\"]}");
    assert_comes_out(b, "{\"someBytes\":\"-_8\"}", "{\"someBytes\":\"+/8=\"}");
    assert_refused(b, "{\"someBytes\":\"a\"}", "someBytes", "must be base64");
    assert_refused(b, "{\"someBytes\":\"AA!=\"}", "someBytes", "must be base64");
    assert_refused(b, "{\"someBytes\":12}", "someBytes", "must be base64");
}

/* ---- arrays and paths */

static void arrays_keep_their_order(void **state) {
    struct bench *b = *state;
    assert_comes_back(b, "{\"int32s\":[3,1,2],\"fixed32s\":[4294967295],\"sint64s\":[\"-1\",\"1\"],"
                         "\"uint64s\":[\"18446744073709551615\"],\"strings\":[\"b\",\"\",\"a\"]}");
    assert_refused(b, "{\"int32s\":1}", "int32s", "must be an array");
    assert_refused(b, "{\"int32s\":{}}", "int32s", "must be an array");
}

static void faults_name_the_path(void **state) {
    struct bench *b = *state;
    assert_refused(b, "{\"aLeaf\":{\"number\":\"x\"}}", "aLeaf.number", "whole number");
    assert_refused(b, "{\"leaves\":[{},{},{\"text\":5}]}", "leaves[2].text", "must be a string");
    assert_refused(b, "{\"chosenLeaf\":{\"text\":{}}}", "chosenLeaf.text", "must be a string");
    assert_refused_as(b, &rookery__v1__get_home_timeline_response__descriptor,
                      "{\"items\":[{\"post\":{\"mentions\":[{\"start\":1},{\"start\":\"one\"}]}}]}",
                      "items[0].post.mentions[1].start", "whole number");
}

/* ---- times */

static void assert_time(struct bench *b, const char *in, int64_t seconds, int32_t nanos, const char *out) {
    char text[80];
    snprintf(text, sizeof text, "\"%s\"", in);
    Google__Protobuf__Timestamp *t = decode_str(b, TIMESTAMP, str_from(text));
    if (t == NULL) fail_msg("%s was refused", in);
    assert_true(t->seconds == seconds);
    assert_int_equal(t->nanos, nanos);
    snprintf(text, sizeof text, "\"%s\"", out);
    assert_encodes(b, &t->base, text);
}

static void timestamps_are_rfc_3339(void **state) {
    struct bench *b = *state;
    assert_time(b, "1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z");
    assert_time(b, "2026-03-01T12:00:00.5Z", 1772366400, 500000000, "2026-03-01T12:00:00.500Z");
    assert_time(b, "2026-03-01T12:00:00.000001Z", 1772366400, 1000, "2026-03-01T12:00:00.000001Z");
    assert_time(b, "2026-03-01T12:00:00.123456789Z", 1772366400, 123456789, "2026-03-01T12:00:00.123456789Z");
    assert_time(b, "2000-02-29T23:59:59Z", 951868799, 0, "2000-02-29T23:59:59Z");
    assert_time(b, "1969-12-31T23:59:59.9Z", -1, 900000000, "1969-12-31T23:59:59.900Z");
    assert_time(b, "0001-01-01T00:00:00Z", -62135596800, 0, "0001-01-01T00:00:00Z");
    assert_time(b, "9999-12-31T23:59:59.999999999Z", 253402300799, 999999999,
                "9999-12-31T23:59:59.999999999Z");
    assert_time(b, "1600-02-29T00:00:00Z", -11670998400, 0, "1600-02-29T00:00:00Z");
    assert_time(b, "1900-03-01T00:00:00Z", -2203891200, 0, "1900-03-01T00:00:00Z");
}

static void offsets_are_applied(void **state) {
    struct bench *b = *state;
    assert_time(b, "2026-03-01T14:00:00+02:00", 1772366400, 0, "2026-03-01T12:00:00Z");
    assert_time(b, "2026-03-01T06:30:00-05:30", 1772366400, 0, "2026-03-01T12:00:00Z");
    assert_time(b, "2026-03-01T12:00:00-00:00", 1772366400, 0, "2026-03-01T12:00:00Z");
}

static void what_is_no_time_is_refused(void **state) {
    struct bench *b = *state;
    static const char *const values[] = {
        "\"\"",
        "\"2026-03-01\"",
        "\"2026-03-01T12:00:00\"",
        "\"2026-03-01 12:00:00Z\"",
        "\"2026-03-01t12:00:00Z\"",
        "\"2026-03-01T12:00:00z\"",
        "\"2026-3-01T12:00:00Z\"",
        "\"2026-13-01T12:00:00Z\"",
        "\"2026-00-01T12:00:00Z\"",
        "\"2026-02-29T12:00:00Z\"",
        "\"1900-02-29T12:00:00Z\"",
        "\"2026-04-31T12:00:00Z\"",
        "\"2026-03-00T12:00:00Z\"",
        "\"2026-03-01T24:00:00Z\"",
        "\"2026-03-01T12:60:00Z\"",
        "\"2026-06-30T23:59:60Z\"",
        "\"2026-03-01T12:00:00.Z\"",
        "\"2026-03-01T12:00:00.1234567890Z\"",
        "\"2026-03-01T12:00:00,5Z\"",
        "\"2026-03-01T12:00:00+24:00\"",
        "\"2026-03-01T12:00:00+02\"",
        "\"2026-03-01T12:00:00+0200\"",
        "\"2026-03-01T12:00:00ZZ\"",
        "\" 2026-03-01T12:00:00Z\"",
        "\"0000-01-01T00:00:00Z\"",
        "\"0001-01-01T00:00:00+00:01\"",
        "\"9999-12-31T23:59:59-00:01\"",
        "\"10000-01-01T00:00:00Z\"",
        "\"-001-01-01T00:00:00Z\"",
        "1772366400",
        "{\"seconds\":1}",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[80];
        assert_refused_as(b, TIMESTAMP, values[i], "", "must be a time");
        snprintf(text, sizeof text, "{\"times\":[%s]}", values[i]);
        assert_refused(b, text, "times[0]", "must be a time");
    }
}

static void every_day_has_its_date(void **state) {
    struct bench *b = *state;
    int64_t step = INT64_C(86400) * 37 + 3601;
    for (int64_t t = INT64_C(-62135596800); t <= INT64_C(253402300799); t += step) {
        Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        time.seconds = t;
        buf_clear(&b->out);
        json_encode(&time.base, &b->out);
        Google__Protobuf__Timestamp *again = decode_str(b, TIMESTAMP, buf_str(&b->out));
        if (again == NULL || again->seconds != t)
            fail_msg("%lld became " STR_FMT, (long long)t, STR_ARG(buf_str(&b->out)));
        arena_reset(&b->arena);
    }
}

static void times_out_of_range_go_out_as_the_nearest_time(void **state) {
    struct bench *b = *state;
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = INT64_MIN;
    t.nanos = -1;
    assert_encodes(b, &t.base, "\"0001-01-01T00:00:00Z\"");
    t.seconds = INT64_MAX;
    t.nanos = INT32_MAX;
    assert_encodes(b, &t.base, "\"9999-12-31T23:59:59.999999999Z\"");
}

static void assert_duration(struct bench *b, const char *in, int64_t seconds, int32_t nanos,
                            const char *out) {
    char text[80];
    snprintf(text, sizeof text, "\"%s\"", in);
    Google__Protobuf__Duration *d = decode_str(b, DURATION, str_from(text));
    if (d == NULL) fail_msg("%s was refused", in);
    assert_true(d->seconds == seconds);
    assert_int_equal(d->nanos, nanos);
    snprintf(text, sizeof text, "\"%s\"", out);
    assert_encodes(b, &d->base, text);
}

static void durations_are_seconds(void **state) {
    struct bench *b = *state;
    assert_duration(b, "0s", 0, 0, "0s");
    assert_duration(b, "1.5s", 1, 500000000, "1.500s");
    assert_duration(b, "-1.5s", -1, -500000000, "-1.500s");
    assert_duration(b, "-0.000000001s", 0, -1, "-0.000000001s");
    assert_duration(b, "0.000001s", 0, 1000, "0.000001s");
    assert_duration(b, "315576000000s", 315576000000, 0, "315576000000s");
    assert_duration(b, "-315576000000s", -315576000000, 0, "-315576000000s");
    assert_duration(b, "315575999999.999999999s", 315575999999, 999999999, "315575999999.999999999s");
}

static void what_is_no_duration_is_refused(void **state) {
    struct bench *b = *state;
    static const char *const values[] = {"\"\"",
                                         "\"1\"",
                                         "\"s\"",
                                         "\"1.s\"",
                                         "\".5s\"",
                                         "\"1.0000000001s\"",
                                         "\"+1s\"",
                                         "\"1 s\"",
                                         "\"1S\"",
                                         "\"1ms\"",
                                         "\"--1s\"",
                                         "\"315576000001s\"",
                                         "\"-315576000000.1s\"",
                                         "1.5",
                                         "\"1e3s\"",
                                         "{}",
                                         "\"99999999999999999999s\""};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_refused_as(b, DURATION, values[i], "", "must be a duration");
}

static void durations_of_mixed_sign_are_one_number(void **state) {
    struct bench *b = *state;
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
    d.seconds = 2;
    d.nanos = -500000000;
    assert_encodes(b, &d.base, "\"1.500s\"");
    d.seconds = -2;
    d.nanos = 500000000;
    assert_encodes(b, &d.base, "\"-1.500s\"");
    d.seconds = INT64_MIN;
    d.nanos = INT32_MIN;
    assert_encodes(b, &d.base, "\"-315576000000s\"");
    d.seconds = INT64_MAX;
    d.nanos = INT32_MAX;
    assert_encodes(b, &d.base, "\"315576000000s\"");
}

static void times_stand_in_messages(void **state) {
    struct bench *b = *state;
    assert_comes_back(
        b, "{\"aTime\":\"2026-03-01T12:00:00Z\",\"aDuration\":\"60s\",\"times\":[\"1970-01-01T00:00:00Z\"]}");
}

/* ---- the text */

static void what_is_no_json_is_refused(void **state) {
    struct bench *b = *state;
    static const char *const texts[] = {
        "{",          "}",           "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{} {}",       "{}x",     "{'a':1}",
        "{a:1}",      "\"",          "// {}",   "{\"anInt32\":01}",
        "{\"a\":+1}", "{\"a\":.5}",  "[1,]",    "\xef\xbb\xbf{}",
        "{\"a\":1",   "{\"a\":tru}", "nul",     "{\"a\":\"\\u00\"}",
        "{\"a\":1e}", ",",           ":",       "{\"a\":-}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) assert_refused(b, texts[i], "", "not JSON");
    assert_refused(b, "{\n  \"a\": x\n}", "", "line 2");
    assert_null(decode_str(b, EVERYTHING, STR("{}\0")));
}

static void deep_nesting_is_refused(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 100000; i++) buf_append_cstr(&b->out, "[");
    assert_null(decode_str(b, EVERYTHING, buf_str(&b->out)));
    assert_int_equal(b->fault.error, ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(b->fault.text, "deeper than 32"));
}

static void nested_objects(struct buf *out, int levels) {
    buf_clear(out);
    for (int i = 1; i < levels; i++) buf_append_cstr(out, "{\"child\":");
    buf_append_cstr(out, "{}");
    for (int i = 1; i < levels; i++) buf_append_cstr(out, "}");
}

static void thirty_two_levels_are_decoded_and_no_more(void **state) {
    struct bench *b = *state;
    nested_objects(&b->out, CODEC_MAX_DEPTH);
    Rookery__Test__V1__Tree *tree = decode_str(b, TREE, buf_str(&b->out));
    int levels = 0;
    for (; tree; tree = tree->child) levels++;
    assert_int_equal(levels, CODEC_MAX_DEPTH);
    nested_objects(&b->out, CODEC_MAX_DEPTH + 1);
    assert_null(decode_str(b, TREE, buf_str(&b->out)));
}

static void brackets_in_strings_are_no_nesting(void **state) {
    struct bench *b = *state;
    Everything *m = decode(b, "{\"aString\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[{\\\\\"}");
    assert_int_equal(strlen(m->a_string), 44);
}

static void too_many_values_are_refused(void **state) {
    struct bench *b = *state;
    buf_append_cstr(&b->out, "{\"x\":[");
    for (int i = 0; i < 300000; i++) buf_append_cstr(&b->out, "{},");
    buf_append_cstr(&b->out, "{}]}");
    assert_null(decode_str(b, EVERYTHING, buf_str(&b->out)));
    assert_int_equal(b->fault.error, ERR_RESOURCE_EXHAUSTED);
}

/* Every limit of the arena: an error or the message, and never a crash. */
static void every_limit_gives_a_message_or_an_error(void **state) {
    const char *text =
        "{\"aString\":\"text\",\"someBytes\":\"AAAA\",\"leaves\":[{\"text\":\"a\"},{}],\"int32s\":[1,2,3],"
        "\"chosenText\":\"x\",\"aTime\":\"1970-01-01T00:00:00Z\"}";
    bool decoded = false;
    (void)state;
    for (size_t limit = 1; !decoded && limit < 8192; limit += 8) {
        struct arena small;
        struct fault fault = {.error = ERR_OK};
        arena_init(&small, limit);
        decoded = json_decode(EVERYTHING, str_from(text), &small, &fault) != NULL;
        assert_int_equal(fault.error, decoded ? ERR_OK : ERR_RESOURCE_EXHAUSTED);
        arena_free(&small);
    }
    assert_true(decoded);
}

static void other_messages_go_both_ways(void **state) {
    struct bench *b = *state;
    const char *text = "{\"status\":\"SERVING\"}";
    ProtobufCMessage *m = decode_str(b, &grpc__health__v1__health_check_response__descriptor, str_from(text));
    assert_non_null(m);
    assert_encodes(b, m, text);
    m = decode_str(b, &rookery__v1__stream_home_timeline_response__descriptor,
                   STR("{\"item\":{\"id\":\"7\",\"post\":{\"text\":\"hi\",\"likedByViewer\":true}},"
                       "\"resumeToken\":\"r\"}"));
    assert_non_null(m);
    assert_encodes(
        b, m,
        "{\"item\":{\"id\":\"7\",\"post\":{\"text\":\"hi\",\"likedByViewer\":true}},\"resumeToken\":\"r\"}");
    m = decode_str(b, &rookery__v1__stream_home_timeline_response__descriptor, STR("{\"heartbeat\":{}}"));
    assert_non_null(m);
    assert_encodes(b, m, "{\"heartbeat\":{}}");
}

static void a_fault_may_be_null(void **state) {
    struct bench *b = *state;
    assert_null(json_decode(EVERYTHING, STR("{\"anInt32\":\"x\"}"), &b->arena, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(names_are_camel_case_out_and_either_in),
        TEST(the_default_message_is_empty_braces),
        TEST(null_is_unset),
        TEST(null_is_no_element),
        TEST(unknown_names_are_refused_with_the_nearest),
        TEST(errors_name_a_field_as_it_was_written),
        TEST(names_in_faults_are_spelled_as_json_does),
        TEST(a_name_given_twice_is_refused),
        TEST(submessages_are_printed_even_when_empty),
        TEST(a_set_oneof_is_printed_even_when_default),
        TEST(two_members_of_a_oneof_are_refused),
        TEST(int64_goes_out_as_a_string_and_comes_in_as_either),
        TEST(thirty_two_bit_numbers_go_out_bare),
        TEST(a_whole_number_may_be_written_as_a_fraction),
        TEST(numbers_out_of_range_are_refused),
        TEST(what_is_no_whole_number_is_refused),
        TEST(doubles_come_back_exactly),
        TEST(floats_may_be_whole_in_quotes_or_special),
        TEST(a_float_may_be_a_whole_number_beyond_int64),
        TEST(what_is_no_float_is_refused),
        TEST(booleans_are_true_or_false),
        TEST(enums_go_out_by_name_and_come_in_by_name_or_number),
        TEST(escapes_are_understood),
        TEST(text_is_escaped_as_little_as_json_allows),
        TEST(bad_text_is_refused),
        TEST(bad_utf8_is_written_as_replacement_characters),
        TEST(bytes_are_base64_in_either_alphabet),
        TEST(arrays_keep_their_order),
        TEST(faults_name_the_path),
        TEST(timestamps_are_rfc_3339),
        TEST(offsets_are_applied),
        TEST(what_is_no_time_is_refused),
        TEST(every_day_has_its_date),
        TEST(times_out_of_range_go_out_as_the_nearest_time),
        TEST(durations_are_seconds),
        TEST(what_is_no_duration_is_refused),
        TEST(durations_of_mixed_sign_are_one_number),
        TEST(times_stand_in_messages),
        TEST(what_is_no_json_is_refused),
        TEST(deep_nesting_is_refused),
        TEST(thirty_two_levels_are_decoded_and_no_more),
        TEST(brackets_in_strings_are_no_nesting),
        TEST(too_many_values_are_refused),
        TEST(every_limit_gives_a_message_or_an_error),
        TEST(other_messages_go_both_ways),
        TEST(a_fault_may_be_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
