/* Rules by field: wherever a text is in a message it is brought to its form, or refused by its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text/fields.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

#define REQUEST &grpc__reflection__v1__server_reflection_request__descriptor
#define RESPONSE &grpc__reflection__v1__server_reflection_response__descriptor
#define SERVICE &grpc__reflection__v1__service_response__descriptor
#define FILES &grpc__reflection__v1__file_descriptor_response__descriptor
static const struct text_field TABLE[] = {
    {REQUEST, 1, {.form = TEXT_LINE, .min_characters = 1, .max_characters = 4, .may_be_empty = true}},
    {REQUEST, 3, {.form = TEXT_HANDLE, .min_characters = 1, .max_characters = 4}},
    {SERVICE, 1, {.form = TEXT_AS_IS, .max_bytes = 3}},
    {FILES, 1, {.form = TEXT_AS_IS, .max_bytes = 5}},
};

static struct arena arena;

static int apply(ProtobufCMessage *m, struct fault *fault) {
    struct text_fields f;
    text_fields_init(&f, TABLE, sizeof TABLE / sizeof *TABLE);
    text_fields_add(&f, REQUEST);
    text_fields_add(&f, RESPONSE);
    int e = text_fields_apply(&f, m, &arena, fault);
    text_fields_free(&f);
    return e;
}

static void assert_refused(ProtobufCMessage *m, const char *field, const char *text) {
    struct fault fault = {0};
    assert_int_equal(apply(m, &fault), ERR_INVALID_ARGUMENT);
    assert_string_equal(fault.field, field);
    assert_string_equal(fault.text, text);
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static void a_text_is_replaced_by_its_normal_form(void **state) {
    (void)state;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    r.host = (char *)"ame\u0301";
    assert_int_equal(apply(&r.base, NULL), 0);
    assert_string_equal(r.host, "am\u00e9");
    r.host = (char *)"fiver";
    assert_refused(&r.base, "host", "host must be 1 to 4 characters, this has 5");
}

static void a_text_that_may_be_empty_stays_so(void **state) {
    (void)state;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    assert_int_equal(apply(&r.base, NULL), 0);
    assert_string_equal(r.host, "");
}

static void of_a_oneof_only_what_is_set_counts(void **state) {
    (void)state;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    r.file_by_filename = (char *)"no handle";
    assert_int_equal(apply(&r.base, NULL), 0);
    r.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    assert_int_equal(apply(&r.base, NULL), 0); /* it has no rule */
    r.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
    assert_refused(&r.base, "file_by_filename", "file_by_filename must be 1 to 4 of a-z, 0-9 and _");
    r.file_by_filename = (char *)"";
    assert_refused(&r.base, "file_by_filename", "file_by_filename must be 1 to 4 of a-z, 0-9 and _");
    r.file_by_filename = (char *)"Ada";
    assert_int_equal(apply(&r.base, NULL), 0);
    assert_string_equal(r.file_by_filename, "ada");
}

static void messages_in_messages_are_looked_at(void **state) {
    (void)state;
    Response r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[2] = {GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT,
                                                         GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT};
    Grpc__Reflection__V1__ServiceResponse *both[] = {&services[0], &services[1]};
    Request original = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    list.service = both;
    list.n_service = 2;
    r.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    r.list_services_response = &list;
    services[0].name = services[1].name = (char *)"abc";
    assert_int_equal(apply(&r.base, NULL), 0);
    services[1].name = (char *)"abcd";
    assert_refused(&r.base, "list_services_response.service.name",
                   "list_services_response.service.name must be at most 3 bytes, this has 4");
    r.original_request = &original;
    original.host = (char *)"a\nb";
    assert_refused(&r.base, "original_request.host",
                   "original_request.host must be one line without control characters");
}

static void bytes_have_bounds_too(void **state) {
    (void)state;
    Response r = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse inner = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    uint8_t data[6] = {0};
    ProtobufCBinaryData files[] = {{5, data}, {5, data}};
    inner.file_descriptor_proto = files;
    inner.n_file_descriptor_proto = 2;
    r.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    r.file_descriptor_response = &inner;
    assert_int_equal(apply(&r.base, NULL), 0);
    files[1].len = 6;
    assert_refused(&r.base, "file_descriptor_response.file_descriptor_proto",
                   "file_descriptor_response.file_descriptor_proto must be at most 5 bytes, this has 6");
}

static void types_that_were_not_added_are_let_through(void **state) {
    (void)state;
    struct text_fields f;
    Request r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    r.host = (char *)"fiver";
    text_fields_init(&f, TABLE, sizeof TABLE / sizeof *TABLE);
    assert_int_equal(text_fields_apply(&f, &r.base, &arena, NULL), 0);
    text_fields_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_replaced_by_its_normal_form),
        cmocka_unit_test(a_text_that_may_be_empty_stays_so),
        cmocka_unit_test(of_a_oneof_only_what_is_set_counts),
        cmocka_unit_test(messages_in_messages_are_looked_at),
        cmocka_unit_test(bytes_have_bounds_too),
        cmocka_unit_test(types_that_were_not_added_are_let_through),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
