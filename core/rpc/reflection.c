/* Server reflection: a bidirectional stream of questions and answers.
 *
 * For each request: look up in the descriptors that the server keeps, answer, reset the scratch arena. The client
 * half-closes or disconnects: the call ends.
 */
#include "core/rpc/reflection.h"

#include "core/rpc/rpc_internal.h"

#include "core/base/arena.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

static void answer_error(Response *r, struct arena *a, enum error e, const char *text) {
    Grpc__Reflection__V1__ErrorResponse *error = ARENA_NEW(a, Grpc__Reflection__V1__ErrorResponse);
    grpc__reflection__v1__error_response__init(error);
    error->error_code = error_grpc_status(e);
    error->error_message = arena_strdup(a, text);
    r->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    r->error_response = error;
}

static void answer_files(Response *r, const struct descriptors *d, struct str filename, struct arena *a) {
    struct str *files;
    size_t n = descriptors_closure(d, filename, a, &files);
    if (n == 0) {
        answer_error(r, a, ERR_NOT_FOUND, "unknown file or symbol");
        return;
    }
    Grpc__Reflection__V1__FileDescriptorResponse *reply =
        ARENA_NEW(a, Grpc__Reflection__V1__FileDescriptorResponse);
    grpc__reflection__v1__file_descriptor_response__init(reply);
    reply->file_descriptor_proto = ARENA_ARRAY(a, ProtobufCBinaryData, n);
    /* The requested file comes first: some clients read only that one. */
    for (size_t i = 0; i < n; i++) {
        struct str file = files[n - 1 - i];
        reply->file_descriptor_proto[i] = (ProtobufCBinaryData){file.len, (uint8_t *)(uintptr_t)file.ptr};
    }
    reply->n_file_descriptor_proto = n;
    r->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    r->file_descriptor_response = reply;
}

static void answer_services(Response *r, const struct descriptors *d, struct arena *a) {
    Grpc__Reflection__V1__ListServiceResponse *reply =
        ARENA_NEW(a, Grpc__Reflection__V1__ListServiceResponse);
    struct str name;
    size_t n = 0;
    grpc__reflection__v1__list_service_response__init(reply);
    while (descriptors_service(d, n, &name)) n++;
    reply->service = ARENA_ARRAY(a, Grpc__Reflection__V1__ServiceResponse *, n);
    for (size_t i = 0; descriptors_service(d, i, &name); i++) {
        reply->service[i] = ARENA_NEW(a, Grpc__Reflection__V1__ServiceResponse);
        grpc__reflection__v1__service_response__init(reply->service[i]);
        reply->service[i]->name = str_to_cstr(a, name);
    }
    reply->n_service = n;
    r->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    r->list_services_response = reply;
}

static void answer_extension_numbers(Response *r, const struct descriptors *d, char *type, struct arena *a) {
    struct str filename, extended;
    int32_t number;
    size_t n = 0;
    if (!descriptors_file_of_symbol(d, str_from(type), &filename)) {
        answer_error(r, a, ERR_NOT_FOUND, "unknown type");
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse *reply =
        ARENA_NEW(a, Grpc__Reflection__V1__ExtensionNumberResponse);
    grpc__reflection__v1__extension_number_response__init(reply);
    reply->base_type_name = type;
    while (descriptors_extension(d, n, &extended, &number, &filename)) n++;
    reply->extension_number = ARENA_ARRAY(a, int32_t, n);
    for (size_t i = 0; i < n && descriptors_extension(d, i, &extended, &number, &filename); i++)
        if (str_eq(extended, str_from(type))) reply->extension_number[reply->n_extension_number++] = number;
    r->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    r->all_extension_numbers_response = reply;
}

static void answer_extension(Response *r, const struct descriptors *d,
                             const Grpc__Reflection__V1__ExtensionRequest *wanted, struct arena *a) {
    struct str type, filename;
    int32_t number;
    for (size_t i = 0; descriptors_extension(d, i, &type, &number, &filename); i++) {
        if (number != wanted->extension_number || !str_eq(type, str_from(wanted->containing_type))) continue;
        answer_files(r, d, filename, a);
        return;
    }
    answer_error(r, a, ERR_NOT_FOUND, "unknown extension");
}

Response *reflection_answer(const struct descriptors *d, Request *request, struct arena *a) {
    struct str filename = STR("");
    Response *r = ARENA_NEW(a, Response);
    grpc__reflection__v1__server_reflection_response__init(r);
    r->valid_host = request->host;
    r->original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_files(r, d, str_from(request->file_by_filename), a);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        descriptors_file_of_symbol(d, str_from(request->file_containing_symbol), &filename);
        answer_files(r, d, filename, a);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        answer_extension(r, d, request->file_containing_extension, a);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        answer_extension_numbers(r, d, request->all_extension_numbers_of_type, a);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(r, d, a);
        break;
    default: answer_error(r, a, ERR_INVALID_ARGUMENT, "unknown kind of reflection request");
    }
    return r;
}

static int serve(struct fiber *self, struct rpc_call *call, const struct descriptors *d) {
    struct arena scratch;
    const ProtobufCMessage *request;
    int e;
    arena_init(&scratch, 0);
    while ((e = rpc_receive(self, call, &request)) == 0 && request) {
        Response *r = reflection_answer(d, (Request *)(uintptr_t)request, &scratch);
        e = rpc_send(self, call, &r->base);
        arena_reset(&scratch);
        if (e) break;
    }
    arena_free(&scratch);
    return e;
}

static int handle_server_reflection_info(struct fiber *self, struct rpc_call *call,
                                         const ProtobufCMessage *request) {
    (void)request; /* a client stream has none */
    const struct descriptors *d = rpc_descriptors(call);
    if (d == NULL) return fault_set(rpc_fault(call), ERR_RESOURCE_EXHAUSTED, "no memory for the descriptors");
    return serve(self, call, d);
}

#define REFLECTION_METHOD(version)                                                                           \
    {                                                                                                        \
        .path = "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo", .kind = RPC_BIDI,      \
        .request = &grpc__reflection__v1__server_reflection_request__descriptor,                             \
        .reply = &grpc__reflection__v1__server_reflection_response__descriptor,                              \
        .handler = handle_server_reflection_info, .is_public = true, .max_message_bytes = 4096,              \
    }

static const struct rpc_method methods[] = {REFLECTION_METHOD("v1"), REFLECTION_METHOD("v1alpha")};

const struct rpc_method *reflection_methods(size_t *n) {
    *n = sizeof methods / sizeof *methods;
    return methods;
}
