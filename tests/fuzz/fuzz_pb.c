/* Protobuf decoding. What is promised: no crash and no read outside the input, memory within the arena's
 * limit, and a message that was accepted is encoded, accepted again, and the same.
 *
 * The first byte of an input chooses the type, the second the arena's limit.
 */
#include <assert.h>
#include <string.h>

#include "core/codec/codec.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rookery/test/v1/codec.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"
#include "tests/fuzz/fuzz.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &rookery__test__v1__everything__descriptor,
    &rookery__test__v1__tree__descriptor,
    &rookery__v1__get_home_timeline_response__descriptor,
    &grpc__reflection__v1__server_reflection_response__descriptor,
};
#define N_TYPES (sizeof types / sizeof *types)

static void check_again(const ProtobufCMessage *m) {
    struct arena arena;
    struct fault fault;
    arena_init(&arena, 0);
    struct str once = pb_encode_arena(m, &arena);
    ProtobufCMessage *again = pb_decode(m->descriptor, once, &arena, &fault);
    assert(again != NULL);
    struct str twice = pb_encode_arena(again, &arena);
    assert(str_eq(once, twice));
    arena_free(&arena);
}

/* Whatever came in by protobuf must go out as JSON, and come back. */
static void check_as_json(const ProtobufCMessage *m) {
    struct arena arena;
    struct fault fault;
    struct buf text;
    arena_init(&arena, 0);
    buf_init(&text);
    json_encode(m, &text);
    assert(str_is_utf8(buf_str(&text)));
    if (json_decode(m->descriptor, buf_str(&text), &arena, &fault) == NULL)
        assert(fault.error == ERR_RESOURCE_EXHAUSTED);
    buf_free(&text);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct fault fault = {.error = ERR_OK};
    if (size < 2) return 0;
    size_t limit = (size_t)(data[1] + 1) * 1024;
    arena_init(&arena, limit);
    ProtobufCMessage *m =
        pb_decode(types[data[0] % N_TYPES], (struct str){(const char *)data + 2, size - 2}, &arena, &fault);
    assert(arena.used <= limit);
    assert(m ? fault.error == ERR_OK : fault.error == ERR_INTERNAL || fault.error == ERR_RESOURCE_EXHAUSTED);
    if (m) check_again(m);
    if (m) check_as_json(m);
    arena_free(&arena);
    return 0;
}

/* ---- seeds, written as JSON */

static const struct {
    size_t type;
    const char *json;
} seeds[] = {
    {0, "{}"},
    {0, "{\"anInt32\":-1,\"aSint32\":-2,\"aSfixed32\":3,\"aUint32\":4,\"aFixed32\":5,\"anInt64\":\"-6\","
        "\"aSint64\":\"7\","
        "\"aSfixed64\":\"8\",\"aUint64\":\"9\",\"aFixed64\":\"10\",\"aFloat\":1.5,\"aDouble\":0.1,\"aBool\":"
        "true,"
        "\"aColour\":\"COLOUR_BELOW_ZERO\",\"aString\":\"na\xc3\xafve\",\"someBytes\":\"AAEC\",\"aLeaf\":{"
        "\"text\":\"x\"},"
        "\"aTime\":\"2026-03-01T12:00:00.5Z\",\"aDuration\":\"-1.5s\"}"},
    {0,
     "{\"int32s\":[1,-1,2147483647],\"sint64s\":[\"-1\"],\"fixed32s\":[1,2],\"uint64s\":[\"1\"],\"doubles\":["
     "1.5,\"NaN\"],"
     "\"floats\":[\"Infinity\"],\"bools\":[true,false],\"colours\":[7],\"strings\":[\"a\",\"\"],\"blobs\":["
     "\"AA==\"],"
     "\"leaves\":[{},{\"number\":1}],\"times\":[\"1970-01-01T00:00:00Z\"],\"chosenLeaf\":{\"text\":\"t\"}}"},
    {0, "{\"chosenText\":\"x\"}"},
    {0, "{\"chosenBytes\":\"\"}"},
    {1, "{\"name\":\"root\",\"child\":{\"child\":{\"child\":{\"name\":\"x\"}}},\"children\":[{},{"
        "\"children\":[{},{}]}]}"},
    {2, "{\"items\":[{\"id\":\"1\",\"post\":{\"id\":\"1\",\"text\":\"hi "
        "@a\",\"mentions\":[{\"start\":3,\"end\":5,\"handle\":\"a\"}]}}],"
        "\"nextPageToken\":\"t\",\"accounts\":[{\"id\":\"7\",\"handle\":\"a\"}]}"},
    {3, "{\"validHost\":\"h\",\"originalRequest\":{\"listServices\":\"\"},\"fileDescriptorResponse\":{"
        "\"fileDescriptorProto\":[\"AAAA\",\"\"]}}"},
};

bool fuzz_seed(size_t i, struct buf *out) {
    struct arena arena;
    struct fault fault;
    if (i >= sizeof seeds / sizeof *seeds) return false;
    arena_init(&arena, 0);
    ProtobufCMessage *m = json_decode(types[seeds[i].type], str_from(seeds[i].json), &arena, &fault);
    assert(m != NULL);
    buf_append_char(out, (char)seeds[i].type);
    buf_append_char(out, 63);
    pb_encode(m, out);
    arena_free(&arena);
    return true;
}
