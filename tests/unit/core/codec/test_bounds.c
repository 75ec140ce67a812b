/* Bounds of texts: the longest that fits is let through, one byte more is refused with the field's name, wherever it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/codec/bounds.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

#define REQUEST &grpc__reflection__v1__server_reflection_request__descriptor
#define SERVICE &grpc__reflection__v1__service_response__descriptor
#define FILES &grpc__reflection__v1__file_descriptor_response__descriptor
static const struct bound TABLE[] = {{REQUEST, 1, 4}, {REQUEST, 3, 2}, {SERVICE, 1, 3}, {FILES, 1, 5}};

static int check(const ProtobufCMessage *m, struct fault *fault) {
    struct bounds b;
    bounds_init(&b, TABLE, sizeof TABLE / sizeof *TABLE);
    int e = bounds_check(&b, m, fault);
    bounds_free(&b);
    return e;
}

static void assert_refused(const ProtobufCMessage *m, const char *field, const char *text) {
    struct fault fault = {0};
    assert_int_equal(check(m, &fault), ERR_INVALID_ARGUMENT);
    assert_string_equal(fault.field, field);
    assert_string_equal(fault.text, text);
}

static void a_text_may_be_as_long_as_its_bound(void **state) {
    (void)state;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    assert_int_equal(check(&r.base, NULL), 0);
    r.host = (char *)"four";
    assert_int_equal(check(&r.base, NULL), 0);
    r.host = (char *)"fiver";
    assert_refused(&r.base, "host", "host must be at most 4 bytes, this has 5");
}

static void of_a_oneof_only_what_is_set_counts(void **state) {
    (void)state;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    r.file_by_filename = (char *)"long";
    assert_int_equal(check(&r.base, NULL), 0);
    r.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    assert_int_equal(check(&r.base, NULL), 0); /* it has no bound */
    r.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
    assert_refused(&r.base, "file_by_filename", "file_by_filename must be at most 2 bytes, this has 4");
}

static void messages_in_messages_are_looked_at(void **state) {
    (void)state;
    Response r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[2] = {GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT,
                                                         GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT};
    Grpc__Reflection__V1__ServiceResponse *both[] = {&services[0], &services[1]};
    list.service = both;
    list.n_service = 2;
    r.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    r.list_services_response = &list;
    services[0].name = services[1].name = (char *)"abc";
    assert_int_equal(check(&r.base, NULL), 0);
    services[1].name = (char *)"abcd";
    assert_refused(&r.base, "name", "name must be at most 3 bytes, this has 4");
}

static void bytes_have_bounds_too(void **state) {
    (void)state;
    Grpc__Reflection__V1__FileDescriptorResponse r = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    uint8_t data[6] = {0};
    ProtobufCBinaryData files[] = {{5, data}, {5, data}};
    r.file_descriptor_proto = files;
    r.n_file_descriptor_proto = 2;
    assert_int_equal(check(&r.base, NULL), 0);
    files[1].len = 6;
    assert_refused(&r.base, "file_descriptor_proto",
                   "file_descriptor_proto must be at most 5 bytes, this has 6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_may_be_as_long_as_its_bound),
        cmocka_unit_test(of_a_oneof_only_what_is_set_counts),
        cmocka_unit_test(messages_in_messages_are_looked_at),
        cmocka_unit_test(bytes_have_bounds_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
