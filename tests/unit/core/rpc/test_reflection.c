/* Server reflection: the answers, and the handler's stream against a call that is played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/codec/codec.h"
#include "core/codec/wire.h"
#include "core/rpc/reflection.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

#define ASKS(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define ANSWERS(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind

struct bench {
    struct arena arena;
    struct descriptors *d;
    Request request;
};

static int set_up(void **state) {
    static struct bench bench;
    arena_init(&bench.arena, 0);
    bench.d = descriptors_load();
    bench.request = (Request)GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    *state = &bench;
    return bench.d ? 0 : -1;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    descriptors_free(b->d);
    arena_free(&b->arena);
    return 0;
}

/* Every member of the question's oneof but one is a string. */
static Response *ask(struct bench *b, Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase which,
                     char *text) {
    b->request.message_request_case = which;
    b->request.file_by_filename = text;
    Response *r = reflection_answer(b->d, &b->request, &b->arena);
    assert_ptr_equal(r->original_request, &b->request);
    return r;
}

static void assert_error(const Response *r, int status) {
    assert_int_equal(r->message_response_case, ANSWERS(ERROR_RESPONSE));
    assert_int_equal(r->error_response->error_code, status);
    assert_true(strlen(r->error_response->error_message) > 0);
}

static struct str file_name(const Response *r, size_t i) {
    assert_int_equal(r->message_response_case, ANSWERS(FILE_DESCRIPTOR_RESPONSE));
    assert_true(i < r->file_descriptor_response->n_file_descriptor_proto);
    const ProtobufCBinaryData *file = &r->file_descriptor_response->file_descriptor_proto[i];
    struct str rest = {(const char *)file->data, file->len};
    struct wire_field f;
    assert_true(wire_next(&rest, &f) && f.number == 1);
    return f.payload;
}

static void services_are_listed(void **state) {
    Response *r = ask(*state, ASKS(LIST_SERVICES), "");
    assert_int_equal(r->message_response_case, ANSWERS(LIST_SERVICES_RESPONSE));
    int found = 0;
    for (size_t i = 0; i < r->list_services_response->n_service; i++)
        found += strcmp(r->list_services_response->service[i]->name, "rookery.v1.AccountService") == 0;
    assert_int_equal(found, 1);
}

static void a_file_comes_first_and_its_imports_after_it(void **state) {
    Response *r = ask(*state, ASKS(FILE_BY_FILENAME), "rookery/v1/post.proto");
    assert_true(str_eq(file_name(r, 0), STR("rookery/v1/post.proto")));
    assert_true(str_eq(file_name(r, 1), STR("rookery/v1/account.proto")));
    assert_true(str_eq(file_name(r, 2), STR("rookery/v1/options.proto")));
    assert_int_equal(r->file_descriptor_response->n_file_descriptor_proto, 5);
}

static void symbols_lead_to_files(void **state) {
    Response *r = ask(*state, ASKS(FILE_CONTAINING_SYMBOL), "rookery.v1.GraphService.Follow");
    assert_true(str_eq(file_name(r, 0), STR("rookery/v1/graph.proto")));
}

static void what_is_unknown_is_an_error_in_the_answer(void **state) {
    const int not_found = 5, invalid_argument = 3;
    assert_error(ask(*state, ASKS(FILE_BY_FILENAME), "nothing.proto"), not_found);
    assert_error(ask(*state, ASKS(FILE_CONTAINING_SYMBOL), "nothing"), not_found);
    assert_error(ask(*state, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "nothing"), not_found);
    assert_error(ask(*state, ASKS(_NOT_SET), NULL), invalid_argument);
}

static void extensions_are_found_by_number(void **state) {
    struct bench *b = *state;
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    Response *r = ask(b, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "rookery.v1.Post");
    assert_int_equal(r->message_response_case, ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_string_equal(r->all_extension_numbers_response->base_type_name, "rookery.v1.Post");
    assert_int_equal(r->all_extension_numbers_response->n_extension_number, 0);
    r = ask(b, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "google.protobuf.MethodOptions");
    assert_int_equal(r->all_extension_numbers_response->n_extension_number, 2);
    assert_int_equal(r->all_extension_numbers_response->extension_number[0], 50001);
    assert_int_equal(r->all_extension_numbers_response->extension_number[1], 50002);
    b->request.message_request_case = ASKS(FILE_CONTAINING_EXTENSION);
    b->request.file_containing_extension = &extension;
    assert_error(reflection_answer(b->d, &b->request, &b->arena), 5);
    extension.containing_type = "google.protobuf.MethodOptions";
    assert_error(reflection_answer(b->d, &b->request, &b->arena), 5);
    extension.extension_number = 50002;
    r = reflection_answer(b->d, &b->request, &b->arena);
    assert_true(str_eq(file_name(r, 0), STR("rookery/v1/options.proto")));
}

static void answers_can_be_encoded(void **state) {
    struct bench *b = *state;
    struct fault fault;
    Response *r = ask(b, ASKS(FILE_CONTAINING_SYMBOL), "rookery.v1.TimelineService");
    struct str bytes = pb_encode_arena(&r->base, &b->arena);
    assert_non_null(pb_decode(r->base.descriptor, bytes, &b->arena, &fault));
}

/* ---- the handler. These stand in for the server's: the call gives `left` requests, then `end`. */

static struct {
    Request request;
    int left, end, sent, send_result;
    struct descriptors *descriptors;
} call_state;

int rpc_receive(struct fiber *self, struct rpc_call *call, const ProtobufCMessage **out) {
    (void)self;
    (void)call;
    *out = NULL;
    if (call_state.left == 0) return call_state.end;
    call_state.left--;
    *out = &call_state.request.base;
    return 0;
}

int rpc_send(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *message) {
    const Response *r = (const void *)message;
    (void)self;
    (void)call;
    call_state.sent += r->message_response_case == ANSWERS(LIST_SERVICES_RESPONSE);
    return call_state.send_result;
}

const struct descriptors *rpc_descriptors(struct rpc_call *call);
const struct descriptors *rpc_descriptors(struct rpc_call *call) {
    (void)call;
    return call_state.descriptors;
}

struct fault *rpc_fault(struct rpc_call *call) {
    (void)call;
    return NULL;
}

static int run_handler(int requests, int end, int send_result) {
    size_t n;
    const struct rpc_method *methods = reflection_methods(&n);
    memset(&call_state, 0, sizeof call_state);
    call_state.request = (Request)GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    call_state.request.message_request_case = ASKS(LIST_SERVICES);
    call_state.request.list_services = "";
    call_state.left = requests;
    call_state.descriptors = descriptors_load();
    call_state.end = end;
    call_state.send_result = send_result;
    int e = methods[0].handler(NULL, NULL, NULL);
    descriptors_free(call_state.descriptors);
    return e;
}

static void both_versions_are_served(void **state) {
    size_t n;
    const struct rpc_method *methods = reflection_methods(&n);
    (void)state;
    assert_int_equal(n, 2);
    assert_string_equal(methods[0].path, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    assert_string_equal(methods[1].path, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(methods[i].kind, RPC_BIDI);
        assert_true(methods[i].is_public);
    }
}

static void every_request_of_the_stream_is_answered(void **state) {
    (void)state;
    assert_int_equal(run_handler(3, 0, 0), 0);
    assert_int_equal(call_state.sent, 3);
}

static void a_client_that_goes_ends_the_stream(void **state) {
    (void)state;
    assert_int_equal(run_handler(2, ERR_CANCELLED, 0), ERR_CANCELLED);
    assert_int_equal(run_handler(2, 0, ERR_CANCELLED), ERR_CANCELLED);
    assert_int_equal(call_state.sent, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(services_are_listed),
        TEST(a_file_comes_first_and_its_imports_after_it),
        TEST(symbols_lead_to_files),
        TEST(what_is_unknown_is_an_error_in_the_answer),
        TEST(extensions_are_found_by_number),
        TEST(answers_can_be_encoded),
        TEST(both_versions_are_served),
        TEST(every_request_of_the_stream_is_answered),
        TEST(a_client_that_goes_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
