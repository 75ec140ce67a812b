/* ProtoJSON decoding. What is promised: no crash and no read outside the input, memory within the arena's
 * limit, and a message that was accepted goes out as JSON that is accepted and gives the same JSON again.
 *
 * The first byte of an input chooses the type, the second the arena's limit.
 */
#include <assert.h>
#include <string.h>

#include "core/codec/codec.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "rookery/test/v1/codec.pb-c.h"
#include "rookery/v1/post.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &rookery__test__v1__everything__descriptor,    &rookery__test__v1__tree__descriptor,
    &rookery__v1__create_post_request__descriptor, &google__protobuf__timestamp__descriptor,
    &google__protobuf__duration__descriptor,
};
#define N_TYPES (sizeof types / sizeof *types)

/* A text may hold whole numbers that are doubles elsewhere; what we write holds none. */
static void check_again(const ProtobufCMessage *m) {
    struct arena arena;
    struct fault fault;
    struct buf once, twice;
    arena_init(&arena, 0);
    buf_init(&once);
    buf_init(&twice);
    json_encode(m, &once);
    ProtobufCMessage *again = json_decode(m->descriptor, buf_str(&once), &arena, &fault);
    assert(again != NULL);
    json_encode(again, &twice);
    assert(str_eq(buf_str(&once), buf_str(&twice)));
    buf_free(&once);
    buf_free(&twice);
    arena_free(&arena);
}

/* Whatever came in as JSON is valid protobuf. */
static void check_as_protobuf(const ProtobufCMessage *m) {
    struct arena arena;
    struct fault fault;
    arena_init(&arena, 0);
    assert(pb_decode(m->descriptor, pb_encode_arena(m, &arena), &arena, &fault) != NULL);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct fault fault = {.error = ERR_OK};
    if (size < 2) return 0;
    size_t limit = (size_t)(data[1] + 1) * 1024;
    arena_init(&arena, limit);
    ProtobufCMessage *m =
        json_decode(types[data[0] % N_TYPES], (struct str){(const char *)data + 2, size - 2}, &arena, &fault);
    assert(arena.used <= limit);
    assert(m ? fault.error == ERR_OK
             : fault.error == ERR_INVALID_ARGUMENT || fault.error == ERR_RESOURCE_EXHAUSTED);
    if (m) check_again(m);
    if (m) check_as_protobuf(m);
    arena_free(&arena);
    return 0;
}

static const struct {
    size_t type;
    const char *json;
} seeds[] = {
    {0, "{}"},
    {0, "{\"anInt32\":-1,\"a_sint32\":\"-2\",\"aSfixed32\":3.0,\"aUint32\":4e0,\"aFixed32\":5,\"anInt64\":\"-"
        "6\",\"aSint64\":7,"
        "\"aUint64\":\"18446744073709551615\",\"aFloat\":1.5,\"aDouble\":\"NaN\",\"aBool\":true,\"aColour\":"
        "\"COLOUR_RED\"}"},
    {0, "{\"aString\":\"\\u00e9\\ud83d\\ude08\\n\xc3\xa9\",\"someBytes\":\"AAEC-_8\",\"aLeaf\":{\"text\":"
        "\"x\",\"number\":1},"
        "\"aTime\":\"2026-03-01T12:00:00.5+02:00\",\"aDuration\":\"-1.5s\"}"},
    {0, "{\"unknown\":[{},[1,2,\"3\"],null,false],\"aStrin\":{}}"},
    {0, "{\"int32s\":[1,-1,2147483647],\"doubles\":[1.5e10,-0.0,\"-Infinity\"],\"bools\":[true,false],"
        "\"colours\":[7,\"COLOUR_BLUE\"],"
        "\"strings\":[\"a\",\"\"],\"blobs\":[\"AA==\"],\"leaves\":[{},{\"number\":1}],\"times\":[\"1970-01-"
        "01T00:00:00Z\"]}"},
    {0, "{\"chosenLeaf\":{\"text\":\"t\"},\"chosenNumber\":null,\"aDouble\":100000000000000000000,"
        "\"anInt64\":12}"},
    {1,
     "{\"name\":\"root\",\"child\":{\"child\":{\"name\":\"x\"}},\"children\":[{},{\"children\":[{},{}]}]}"},
    {2, " { \"text\" : \"hello\" , \"replyToId\" : \"123456789012345678\" }\n"},
    {3, "\"2026-03-01T12:00:00.123456789Z\""},
    {3, "\"0001-01-01T00:00:00-23:59\""},
    {4, "\"-315576000000s\""},
    {4, "\"0.000001s\""},
};

bool fuzz_seed(size_t i, struct buf *out) {
    if (i >= sizeof seeds / sizeof *seeds) return false;
    buf_append_char(out, (char)seeds[i].type);
    buf_append_char(out, 63);
    buf_append_cstr(out, seeds[i].json);
    return true;
}
