/* Protobuf decoding against hostile bytes, and round trips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/codec/codec.h"
#include "core/codec/wire.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rookery/test/v1/codec.pb-c.h"
#include "rookery/v1/post.pb-c.h"

typedef Rookery__Test__V1__Everything Everything;
typedef Rookery__Test__V1__Leaf Leaf;
typedef Rookery__Test__V1__Tree Tree;

#define EVERYTHING (&rookery__test__v1__everything__descriptor)
#define LEAF (&rookery__test__v1__leaf__descriptor)
#define TREE (&rookery__test__v1__tree__descriptor)

struct bench {
    struct arena arena;
    struct fault fault;
    struct buf in;
};

static int set_up(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL) return -1;
    arena_init(&b->arena, (size_t)16 << 20);
    buf_init(&b->in);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    arena_free(&b->arena);
    buf_free(&b->in);
    free(b);
    return 0;
}

static void *decode(struct bench *b, const ProtobufCMessageDescriptor *type) {
    b->fault = (struct fault){.error = ERR_OK};
    return pb_decode(type, buf_str(&b->in), &b->arena, &b->fault);
}

static void assert_refused(struct bench *b, const ProtobufCMessageDescriptor *type, enum error e,
                           const char *sentence) {
    assert_null(decode(b, type));
    assert_int_equal(b->fault.error, e);
    assert_non_null(strstr(b->fault.text, sentence));
}

static void put_varint(struct buf *out, uint64_t v) {
    for (; v >= 0x80; v >>= 7) buf_append_char(out, (char)((v & 0x7f) | 0x80));
    buf_append_char(out, (char)v);
}

static void put_tag(struct buf *out, uint32_t number, unsigned wire_type) {
    put_varint(out, (uint64_t)number << 3 | wire_type);
}

static void put_bytes(struct buf *out, uint32_t number, struct str bytes) {
    put_tag(out, number, WIRE_BYTES);
    put_varint(out, bytes.len);
    buf_append_str(out, bytes);
}

/* ---- what is well-formed */

static Everything *full_message(struct arena *a) {
    static int32_t int32s[] = {1, -1, INT32_MAX, INT32_MIN};
    static int64_t sint64s[] = {INT64_MIN, 0, INT64_MAX};
    static uint32_t fixed32s[] = {0, UINT32_MAX};
    static protobuf_c_boolean bools[] = {1, 0, 1};
    Everything *m = ARENA_NEW(a, Everything);
    rookery__test__v1__everything__init(m);
    m->an_int32 = -5;
    m->a_uint64 = UINT64_MAX;
    m->a_double = 0.1;
    m->a_bool = 1;
    m->a_colour = ROOKERY__TEST__V1__COLOUR__COLOUR_BELOW_ZERO;
    m->a_string = arena_strdup(a, "na\xc3\xafve");
    m->some_bytes = (ProtobufCBinaryData){3, (uint8_t *)arena_strndup(a, "a\0b", 3)};
    m->int32s = int32s;
    m->n_int32s = 4;
    m->sint64s = sint64s;
    m->n_sint64s = 3;
    m->fixed32s = fixed32s;
    m->n_fixed32s = 2;
    m->bools = bools;
    m->n_bools = 3;
    m->choice_case = ROOKERY__TEST__V1__EVERYTHING__CHOICE_CHOSEN_LEAF;
    m->chosen_leaf = ARENA_NEW(a, Leaf);
    rookery__test__v1__leaf__init(m->chosen_leaf);
    m->chosen_leaf->number = 7;
    return m;
}

static void assert_full_message(const Everything *m) {
    assert_int_equal(m->an_int32, -5);
    assert_true(m->a_uint64 == UINT64_MAX);
    assert_true(m->a_double == 0.1);
    assert_true(m->a_bool);
    assert_int_equal(m->a_colour, -3);
    assert_string_equal(m->a_string, "na\xc3\xafve");
    assert_int_equal(m->some_bytes.len, 3);
    assert_memory_equal(m->some_bytes.data, "a\0b", 3);
    assert_int_equal(m->n_int32s, 4);
    assert_int_equal(m->int32s[3], INT32_MIN);
    assert_int_equal(m->n_sint64s, 3);
    assert_true(m->sint64s[0] == INT64_MIN);
    assert_int_equal(m->n_fixed32s, 2);
    assert_true(m->fixed32s[1] == UINT32_MAX);
    assert_int_equal(m->n_bools, 3);
    assert_int_equal(m->choice_case, ROOKERY__TEST__V1__EVERYTHING__CHOICE_CHOSEN_LEAF);
    assert_int_equal(m->chosen_leaf->number, 7);
}

static void what_is_encoded_decodes_to_the_same(void **state) {
    struct bench *b = *state;
    pb_encode(&full_message(&b->arena)->base, &b->in);
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_full_message(m);
    struct str again = pb_encode_arena(&m->base, &b->arena);
    assert_true(str_eq(again, buf_str(&b->in)));
}

static void encoding_appends(void **state) {
    struct bench *b = *state;
    Leaf leaf = ROOKERY__TEST__V1__LEAF__INIT;
    leaf.number = 1;
    buf_append_cstr(&b->in, "x");
    pb_encode(&leaf.base, &b->in);
    assert_true(str_eq(buf_str(&b->in), STR("x\x10\x01")));
}

static void no_bytes_are_the_default_message(void **state) {
    struct bench *b = *state;
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_string_equal(m->a_string, "");
    assert_int_equal(m->choice_case, 0);
    assert_int_equal(pb_encode_arena(&m->base, &b->arena).len, 0);
}

static void the_last_member_of_a_oneof_wins(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 51, STR("text"));
    put_bytes(&b->in, 52, STR(""));
    put_tag(&b->in, 50, WIRE_VARINT);
    put_varint(&b->in, 9);
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_int_equal(m->choice_case, ROOKERY__TEST__V1__EVERYTHING__CHOICE_CHOSEN_NUMBER);
    assert_int_equal(m->chosen_number, 9);
}

static void a_submessage_given_twice_is_merged(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 17, STR("\x0a\x01y"));
    put_bytes(&b->in, 17, STR("\x10\x02"));
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_string_equal(m->a_leaf->text, "y");
    assert_int_equal(m->a_leaf->number, 2);
}

static void repeated_numbers_may_be_packed_or_not(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 21, STR("\x01\x02\x03"));
    put_tag(&b->in, 21, WIRE_VARINT);
    put_varint(&b->in, 4);
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_int_equal(m->n_int32s, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(m->int32s[i], i + 1);
}

static void a_length_may_be_written_longer_than_needed(void **state) {
    struct bench *b = *state;
    buf_append_str(&b->in, STR("\x0a\x81\x80\x80\x00y"));
    Leaf *m = decode(b, LEAF);
    assert_non_null(m);
    assert_string_equal(m->text, "y");
}

/* ---- unknown fields */

static void put_unknown_fields(struct buf *out) {
    put_tag(out, 1000, WIRE_VARINT);
    put_varint(out, UINT64_MAX);
    put_bytes(out, 1001, STR("\xff\x00not looked at"));
    put_tag(out, 1002, WIRE_FIXED32);
    buf_append_str(out, STR("1234"));
    put_tag(out, 536870911, WIRE_FIXED64);
    buf_append_str(out, STR("12345678"));
    /* A group with a field of each type, that number a known one's, and a group in it. */
    put_tag(out, 1003, WIRE_GROUP);
    put_tag(out, 1, WIRE_VARINT);
    put_varint(out, 300);
    put_bytes(out, 1, STR("\xff\x84\x7d"));
    put_tag(out, 1003, WIRE_GROUP);
    put_tag(out, 15, WIRE_FIXED32);
    buf_append_str(out, STR("1234"));
    put_tag(out, 1003, WIRE_GROUP_END);
    put_tag(out, 37, WIRE_FIXED64);
    buf_append_str(out, STR("12345678"));
    put_tag(out, 1003, WIRE_GROUP_END);
}

static void unknown_fields_are_dropped_at_every_depth(void **state) {
    struct bench *b = *state;
    struct buf leaf;
    buf_init(&leaf);
    put_unknown_fields(&leaf);
    put_bytes(&leaf, 1, STR("deep"));
    put_unknown_fields(&leaf);
    put_unknown_fields(&b->in);
    put_bytes(&b->in, 37, buf_str(&leaf));
    put_bytes(&b->in, 37, buf_str(&leaf));
    put_bytes(&b->in, 15, STR("top"));
    put_unknown_fields(&b->in);
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_string_equal(m->a_string, "top");
    assert_int_equal(m->n_leaves, 2);
    assert_string_equal(m->leaves[1]->text, "deep");
    assert_int_equal(m->base.n_unknown_fields, 0);
    assert_int_equal(m->leaves[0]->base.n_unknown_fields, 0);
    buf_free(&leaf);
}

static void groups_nest_so_deep_and_no_deeper(void **state) {
    struct bench *b = *state;
    for (int depth = WIRE_MAX_GROUPS; depth <= WIRE_MAX_GROUPS + 1; depth++) {
        buf_clear(&b->in);
        for (int i = 0; i < depth; i++) put_tag(&b->in, 1000, WIRE_GROUP);
        for (int i = 0; i < depth; i++) put_tag(&b->in, 1000, WIRE_GROUP_END);
        if (depth == WIRE_MAX_GROUPS)
            assert_non_null(decode(b, LEAF));
        else
            assert_refused(b, LEAF, ERR_INTERNAL, "cut off");
    }
}

static void unknown_fields_cost_no_more_than_a_copy(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < CODEC_MAX_FIELDS; i++) {
        put_tag(&b->in, 1000, WIRE_VARINT);
        put_varint(&b->in, 0);
    }
    assert_non_null(decode(b, EVERYTHING));
    assert_true(b->arena.used < b->in.len + 4096);
}

static void too_many_fields_are_refused_before_anything_is_allocated(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 2000000; i++) buf_append_str(&b->in, STR("\x78\x00"));
    assert_refused(b, TREE, ERR_RESOURCE_EXHAUSTED, "more than 65536 fields");
    assert_int_equal(b->arena.used, 0);
}

static void fields_are_counted_over_all_submessages(void **state) {
    struct bench *b = *state;
    struct buf leaf;
    buf_init(&leaf);
    for (int i = 0; i < 1000; i++) buf_append_str(&leaf, STR("\x10\x01"));
    for (int i = 0; i < 66; i++) put_bytes(&b->in, 17, buf_str(&leaf));
    assert_refused(b, EVERYTHING, ERR_RESOURCE_EXHAUSTED, "more than 65536 fields");
    buf_free(&leaf);
}

/* ---- memory */

static void the_arenas_limit_ends_amplification(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 60000; i++) put_bytes(&b->in, 37, STR(""));
    struct arena small;
    arena_init(&small, b->in.len * 8);
    assert_null(pb_decode(EVERYTHING, buf_str(&b->in), &small, &b->fault));
    assert_int_equal(b->fault.error, ERR_RESOURCE_EXHAUSTED);
    arena_free(&small);
}

static void packed_numbers_count_against_the_arena(void **state) {
    struct bench *b = *state;
    char *zeros = calloc(1, 3u << 20);
    assert_non_null(zeros);
    put_bytes(&b->in, 27, (struct str){zeros, 3u << 20});
    assert_refused(b, EVERYTHING, ERR_RESOURCE_EXHAUSTED, "memory");
    free(zeros);
}

/* Each merge of a repeated submessage copies the arrays of both: quadratic, but for the arena. */
static void merging_again_and_again_ends_at_the_arenas_limit(void **state) {
    struct bench *b = *state;
    struct buf child;
    buf_init(&child);
    for (int i = 0; i < 5; i++) put_bytes(&child, 2, STR(""));
    for (int i = 0; i < 10000; i++) put_bytes(&b->in, 1, buf_str(&child));
    assert_refused(b, TREE, ERR_RESOURCE_EXHAUSTED, "memory");
    buf_free(&child);
}

/* The i-th byte of memory refused, for every i: an error or the message, and never a crash. */
static void every_limit_gives_a_message_or_an_error(void **state) {
    struct bench *b = *state;
    pb_encode(&full_message(&b->arena)->base, &b->in);
    put_unknown_fields(&b->in);
    bool decoded = false;
    for (size_t limit = 1; !decoded && limit < 8192; limit += 8) {
        struct arena small;
        struct fault fault = {.error = ERR_OK};
        arena_init(&small, limit);
        Everything *m = (Everything *)pb_decode(EVERYTHING, buf_str(&b->in), &small, &fault);
        decoded = m != NULL;
        if (decoded)
            assert_full_message(m);
        else
            assert_int_equal(fault.error, ERR_RESOURCE_EXHAUSTED);
        arena_free(&small);
    }
    assert_true(decoded);
}

/* ---- depth */

static void nest(struct buf *out, int levels) {
    struct buf inner;
    buf_init(&inner);
    for (int i = 1; i < levels; i++) {
        buf_clear(out);
        put_bytes(out, 1, buf_str(&inner));
        buf_clear(&inner);
        buf_append(&inner, out->ptr, out->len);
    }
    buf_free(&inner);
}

static void thirty_two_levels_are_decoded(void **state) {
    struct bench *b = *state;
    nest(&b->in, CODEC_MAX_DEPTH);
    Tree *m = decode(b, TREE);
    int levels = 0;
    for (; m; m = m->child) levels++;
    assert_int_equal(levels, CODEC_MAX_DEPTH);
}

static void one_level_more_is_refused(void **state) {
    struct bench *b = *state;
    nest(&b->in, CODEC_MAX_DEPTH + 1);
    assert_refused(b, TREE, ERR_INTERNAL, "child is nested too deep");
}

static void twenty_thousand_levels_are_refused(void **state) {
    struct bench *b = *state;
    nest(&b->in, 20000);
    assert_refused(b, TREE, ERR_INTERNAL, "too deep");
}

/* ---- text */

static void strings_must_be_utf8_without_nul(void **state) {
    static const struct str bad[] = {
        {"admin\0x", 7}, {"\0", 1},           {"\xff", 1},         {"\xc3", 1},
        {"\xc0\x80", 2}, {"\xe0\x80\x80", 3}, {"\xed\xa0\x80", 3}, {"\xf4\x90\x80\x80", 4},
        {"ok\x80", 3},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_clear(&b->in);
        put_bytes(&b->in, 1, bad[i]);
        assert_refused(b, LEAF, ERR_INTERNAL, "text is not UTF-8");
    }
}

static void strings_are_checked_wherever_they_are(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 35, STR("fine"));
    put_bytes(&b->in, 35, STR("\x80"));
    assert_refused(b, EVERYTHING, ERR_INTERNAL, "strings is not UTF-8");
    buf_clear(&b->in);
    put_bytes(&b->in, 51, STR("a\0"));
    assert_refused(b, EVERYTHING, ERR_INTERNAL, "chosen_text is not UTF-8");
    buf_clear(&b->in);
    put_bytes(&b->in, 37, STR("\x0a\x01\x80"));
    assert_refused(b, EVERYTHING, ERR_INTERNAL, "text is not UTF-8");
}

static void bytes_may_be_anything(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 16, STR("\0\xff\x80"));
    Everything *m = decode(b, EVERYTHING);
    assert_non_null(m);
    assert_int_equal(m->some_bytes.len, 3);
}

/* ---- what is malformed */

static void malformed_bytes_are_refused(void **state) {
    static const struct {
        struct str bytes;
        const char *sentence;
    } cases[] = {
        {{"\x10", 1}, "cut off"},                                              /* no value */
        {{"\x10\x80", 2}, "cut off"},                                          /* half a varint */
        {{"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, "cut off"}, /* 11 bytes of varint */
        {{"\x0a", 1}, "cut off"},                                              /* no length */
        {{"\x0a\x05"
          "abc",
          5},
         "cut off"},
        {{"\x0a\xff\xff\xff\xff\x0f", 6}, "cut off"},         /* 4 GiB */
        {{"\x0a\xff\xff\xff\xff\xff\x01", 7}, "cut off"},     /* six bytes of length */
        {{"\x80\x80\x80\x80\x80\x01", 6}, "cut off"},         /* six bytes of tag */
        {{"\xff\xff\xff\xff\x7f\x00", 6}, "cut off"},         /* field number beyond 2^29-1 */
        {{"\x00\x00", 2}, "cut off"},                         /* field number 0 */
        {{"\x15\x01\x02\x03", 4}, "cut off"},                 /* half a fixed32 */
        {{"\x11\x01\x02\x03\x04\x05\x06\x07", 8}, "cut off"}, /* half a fixed64 */
        {{"\x13\x14", 2}, "number has the wrong wire type"},  /* a group */
        {{"\x14", 1}, "cut off"},                             /* the end of one */
        {{"\x83\x7d", 2}, "cut off"},                         /* an unknown group that does not end */
        {{"\x83\x7d\x8c\x7d", 4}, "cut off"},                 /* or with the end of another */
        {{"\x83\x7d\x8b\x7d\x84\x7d\x8c\x7d", 8}, "cut off"}, /* or before one that began in it */
        {{"\x83\x7d\x0a\x05"
          "abc\x84\x7d",
          9},
         "cut off"},                              /* or inside one of its fields */
        {{"\x83\x7d\x0e\x84\x7d", 5}, "cut off"}, /* or has a field of wire type 6 */
        {{"\x16", 1}, "cut off"},                 /* wire type 6 */
        {{"\x17", 1}, "cut off"},
        {{"\x08\x01", 2}, "text has the wrong wire type"},
        {{"\x0d"
          "abcd",
          5},
         "text has the wrong wire type"},
        {{"\x12\x01\x01", 3}, "number has the wrong wire type"},
        {{"\x11"
          "abcdefgh",
          9},
         "number has the wrong wire type"},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&b->in);
        buf_append_str(&b->in, cases[i].bytes);
        assert_refused(b, LEAF, ERR_INTERNAL, cases[i].sentence);
    }
}

static void malformed_packed_numbers_are_refused(void **state) {
    struct bench *b = *state;
    put_bytes(&b->in, 21, STR("\x01\x80"));
    assert_refused(b, EVERYTHING, ERR_INTERNAL, "malformed");
    buf_clear(&b->in);
    put_bytes(&b->in, 25, STR("abcde"));
    assert_refused(b, EVERYTHING, ERR_INTERNAL, "malformed");
}

static void every_prefix_is_a_message_or_an_error(void **state) {
    struct bench *b = *state;
    pb_encode(&full_message(&b->arena)->base, &b->in);
    size_t whole = b->in.len;
    for (size_t len = 0; len < whole; len++) {
        char *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, b->in.ptr, len);
        b->fault.error = ERR_OK;
        ProtobufCMessage *m = pb_decode(EVERYTHING, (struct str){exact, len}, &b->arena, &b->fault);
        assert_int_equal(b->fault.error, m ? ERR_OK : ERR_INTERNAL);
        free(exact);
    }
}

static void the_fault_names_the_type(void **state) {
    struct bench *b = *state;
    buf_append_str(&b->in, STR("\x0a"));
    assert_refused(b, &rookery__v1__create_post_request__descriptor, ERR_INTERNAL,
                   "rookery.v1.CreatePostRequest");
}

static void a_fault_may_be_null(void **state) {
    struct bench *b = *state;
    assert_null(pb_decode(LEAF, STR("\x0a"), &b->arena, NULL));
}

/* Every length of a varint, written and read back. */
static void a_field_gives_its_number_back(void **state) {
    (void)state;
    char bytes[WIRE_FIELD_MAX];
    struct wire_field f;
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t v = UINT64_MAX >> bits;
        struct str rest = {bytes, (size_t)(wire_put_number(bytes, 5, (int64_t)v) - bytes)};
        assert_true(wire_next(&rest, &f));
        assert_int_equal(f.number, 5);
        assert_true(wire_number(f.payload) == v);
    }
    assert_true(wire_number((struct str){"", 0}) == 0);
    assert_true(wire_number((struct str){"\x80", 1}) == 0); /* cut off */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_encoded_decodes_to_the_same),
        TEST(encoding_appends),
        TEST(no_bytes_are_the_default_message),
        TEST(the_last_member_of_a_oneof_wins),
        TEST(a_submessage_given_twice_is_merged),
        TEST(repeated_numbers_may_be_packed_or_not),
        TEST(a_length_may_be_written_longer_than_needed),
        TEST(unknown_fields_are_dropped_at_every_depth),
        TEST(groups_nest_so_deep_and_no_deeper),
        TEST(unknown_fields_cost_no_more_than_a_copy),
        TEST(too_many_fields_are_refused_before_anything_is_allocated),
        TEST(fields_are_counted_over_all_submessages),
        TEST(the_arenas_limit_ends_amplification),
        TEST(packed_numbers_count_against_the_arena),
        TEST(merging_again_and_again_ends_at_the_arenas_limit),
        TEST(every_limit_gives_a_message_or_an_error),
        TEST(thirty_two_levels_are_decoded),
        TEST(one_level_more_is_refused),
        TEST(twenty_thousand_levels_are_refused),
        TEST(strings_must_be_utf8_without_nul),
        TEST(strings_are_checked_wherever_they_are),
        TEST(bytes_may_be_anything),
        TEST(malformed_bytes_are_refused),
        TEST(malformed_packed_numbers_are_refused),
        TEST(every_prefix_is_a_message_or_an_error),
        TEST(the_fault_names_the_type),
        TEST(a_fault_may_be_null),
        cmocka_unit_test(a_field_gives_its_number_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
