/* From a stranger's bytes to what a handler is given: decoding, then the rules for texts. What is promised: no crash
 * and no read outside the input; a text that is refused has a sentence and its field's name; what is taken is taken
 * again, and does not change any more.
 *
 * The first byte of an input chooses the method, the second the codec.
 */
#include <assert.h>

#include "core/codec/codec.h"
#include "core/text/fields.h"
#include "gateway/service/service.h"
#include "tests/fuzz/fuzz.h"

#define LIMIT ((size_t)1 << 20)

static const struct text_fields *rules(void) {
    static struct text_fields texts;
    if (!texts.table) service_texts_init(&texts);
    return &texts;
}

static const ProtobufCMessageDescriptor *request_of(uint8_t i) {
    size_t n;
    const struct rpc_method *methods = service_methods(&n);
    return methods[i % n].request;
}

static void check_again(ProtobufCMessage *m) {
    struct arena arena;
    struct fault fault;
    arena_init(&arena, 0);
    struct str once = pb_encode_arena(m, &arena);
    assert(text_fields_apply(rules(), m, &arena, &fault) == 0);
    assert(str_eq(once, pb_encode_arena(m, &arena)));
    assert(pb_decode(m->descriptor, once, &arena, &fault) != NULL);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct fault fault = {.error = ERR_OK};
    if (size < 2) return 0;
    struct str bytes = {(const char *)data + 2, size - 2};
    arena_init(&arena, LIMIT);
    ProtobufCMessage *m = data[1] % 2 ? json_decode(request_of(data[0]), bytes, &arena, &fault)
                                      : pb_decode(request_of(data[0]), bytes, &arena, &fault);
    int e = m ? text_fields_apply(rules(), m, &arena, &fault) : 0;
    assert(e == (m ? (int)fault.error : 0));
    assert(e == 0 || (fault.text[0] && fault.field[0]));
    if (m && e == 0) check_again(m);
    arena_free(&arena);
    return 0;
}

static const struct {
    const char *method, *json;
} seeds[] = {
    {"/rookery.v1.AccountService/Register",
     "{\"handle\":\"Ada\",\"password\":\"correct horse\",\"displayName\":\"Ame\u0301lie "
     "\U0001F468\u200D\U0001F469\u200D\U0001F467\",\"idempotencyKey\":\"k\"}"},
    {"/rookery.v1.AccountService/UpdateProfile",
     "{\"displayName\":\"\u1112\u1161\u11AB\",\"bio\":\"two\\nlines \U0001F3F4\U000E0067\U000E007F\"}"},
    {"/rookery.v1.AccountService/GetAccount", "{\"handle\":\"grace_hopper\"}"},
    {"/rookery.v1.PostService/CreatePost",
     "{\"text\":\"q\u0307\u0323 \u202E\\u0001 #\u0958 @ada\",\"replyToId\":\"1\"}"},
    {"/rookery.v1.JobService/UploadDataset",
     "{\"header\":{\"name\":\"n\",\"sizeBytes\":\"1\",\"sha256\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
     "\"dialect\":{\"delimiter\":\",\",\"columnTokens\":[{\"column\":\"c\"}]},\"idempotencyKey\":\"k\"}}"},
    {"/rookery.v1.JobService/CreateJob",
     "{\"spec\":{\"linear\":{\"regression\":{\"sliceBy\":[\"a\",\"b\"],\"y\":\"y\",\"x\":[\"x\"]}}}}"},
};
#define N_SEEDS (sizeof seeds / sizeof *seeds)

static uint8_t place_of(const char *path) {
    size_t n;
    const struct rpc_method *methods = service_methods(&n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(str_from(methods[i].path), str_from(path))) return (uint8_t)i;
    assert(false && "a method of this path");
    return 0;
}

/* Each as JSON, then each as protobuf. */
bool fuzz_seed(size_t i, struct buf *out) {
    struct arena arena;
    struct fault fault;
    if (i >= 2 * N_SEEDS) return false;
    uint8_t method = place_of(seeds[i % N_SEEDS].method);
    struct str json = str_from(seeds[i % N_SEEDS].json);
    arena_init(&arena, 0);
    ProtobufCMessage *m = json_decode(request_of(method), json, &arena, &fault);
    assert(m != NULL);
    buf_append_char(out, (char)method);
    buf_append_char(out, i < N_SEEDS);
    if (i < N_SEEDS)
        buf_append_str(out, json);
    else
        pb_encode(m, out);
    arena_free(&arena);
    return true;
}
