/* services: the tables of the API's methods and of the rules for texts in requests, from the descriptor set.
 *
 *   services DESCRIPTORS.BIN >services.def
 *   services --headers DESCRIPTORS.BIN >services.pb-c.h
 *
 * Prints a line for each method of each service of rookery.v1, in the order of the .proto files, and one for each text
 * (and bytes) of a message that a request may hold:
 *
 *   METHOD(path, handler, request, reply, kind, no_side_effects, permission, cost)
 *   TEXT(message, field_number, form, min_characters, max_characters, min_bytes, max_bytes, may_be_empty)
 *
 * handler is the C function that serves it, SERVICE_METHOD in snake case: a method without one fails to link. request
 * and reply are messages by the C prefix of the generated code. What a method says of itself is in
 * rookery/v1/options.proto: a method that leaves out its permission or its cost, and a text without a form or a bound,
 * is an error, with its name.
 *
 * --headers prints an #include for each file of rookery.v1 that has messages: what the C of the tables needs. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/wire.h"

/* Field numbers in google/protobuf/descriptor.proto, and in options.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_SERVICE = 6,
    SERVICE_NAME = 1,
    SERVICE_METHOD = 2,
    METHOD_NAME = 1,
    METHOD_REQUEST = 2,
    METHOD_REPLY = 3,
    METHOD_OPTIONS = 4,
    METHOD_TAKES_STREAM = 5,
    METHOD_GIVES_STREAM = 6,
    MESSAGE_NAME = 1,
    MESSAGE_FIELD = 2,
    FIELD_NAME = 1,
    FIELD_NUMBER = 3,
    FIELD_TYPE = 5,
    FIELD_TYPE_NAME = 6,
    FIELD_OPTIONS = 8,
    OPTION_IDEMPOTENCY = 34,
    OPTION_PERMISSION = 50001,
    OPTION_COST = 50002,
    OPTION_MAX_BYTES = 50003,
    OPTION_MIN_BYTES = 50004,
    OPTION_NORMAL_FORM = 50005,
    OPTION_MAX_CHARACTERS = 50006,
    OPTION_MIN_CHARACTERS = 50007,
    OPTION_MAY_BE_EMPTY = 50008,
};
enum { NO_SIDE_EFFECTS = 1, AS_IS = 1, PASSWORD = 6 };
enum { TYPE_STRING = 9, TYPE_MESSAGE = 11, TYPE_BYTES = 12 };
#define MESSAGES_MAX 1000

struct message {
    struct str name, bytes;
    bool in_request;
};
static struct message messages[MESSAGES_MAX];
static size_t n_messages;

static const char *const PERMISSIONS[] = {NULL, "ANYBODY", "ACCOUNT", "ANALYST"};
static const char *const COSTS[] = {NULL,      "LOOKUP",   "PAGE",   "CHANGE",
                                    "PUBLISH", "PASSWORD", "STREAM", "WORK"};
static const char *const FORMS[] = {NULL, "AS_IS", "HANDLE", "LINE", "LINES", "FREE", "PASSWORD"};

static int n_wrong;

static struct str bytes_of(struct str message, uint32_t number) {
    struct wire_field f;
    while (wire_next(&message, &f))
        if (f.number == number) return f.payload;
    return (struct str){"", 0};
}

static uint64_t number_of(struct str message, uint32_t number) {
    return wire_number(bytes_of(message, number));
}

/* As protoc-c does it: ListFollowersRequest is list_followers_request. */
static void print_snake(struct str name) {
    bool was_upper = true;
    for (size_t i = 0; i < name.len; i++) {
        bool is_upper = isupper((unsigned char)name.ptr[i]) != 0;
        if (is_upper && !was_upper) putchar('_');
        putchar(tolower((unsigned char)name.ptr[i]));
        was_upper = is_upper;
    }
}

/* ".rookery.v1.PostService" without its package. */
static struct str short_name(struct str full) {
    for (size_t i = full.len; i-- > 0;)
        if (full.ptr[i] == '.') return (struct str){full.ptr + i + 1, full.len - i - 1};
    return full;
}

static const char *option(const char *const *names, size_t n, uint64_t value, const char *what,
                          struct str service, struct str method) {
    if (value < n && names[value]) return names[value];
    fprintf(stderr, STR_FMT "." STR_FMT " says nothing of its %s, or what this program does not know\n",
            STR_ARG(service), STR_ARG(method), what);
    n_wrong++;
    return "";
}

static const char *kind_of(struct str method) {
    bool takes = number_of(method, METHOD_TAKES_STREAM), gives = number_of(method, METHOD_GIVES_STREAM);
    return takes && gives ? "BIDI" : takes ? "CLIENT_STREAM" : gives ? "SERVER_STREAM" : "UNARY";
}

static void print_method(struct str package, struct str service, struct str method) {
    struct str name = bytes_of(method, METHOD_NAME), options = bytes_of(method, METHOD_OPTIONS);
    printf("METHOD(\"/" STR_FMT "." STR_FMT "/" STR_FMT "\", ", STR_ARG(package), STR_ARG(service),
           STR_ARG(name));
    print_snake(service);
    putchar('_');
    print_snake(name);
    printf(", ");
    print_snake(short_name(bytes_of(method, METHOD_REQUEST)));
    printf(", ");
    print_snake(short_name(bytes_of(method, METHOD_REPLY)));
    printf(
        ", %s, %s, %s, %s)\n", kind_of(method),
        number_of(options, OPTION_IDEMPOTENCY) == NO_SIDE_EFFECTS ? "true" : "false",
        option(PERMISSIONS, sizeof PERMISSIONS / sizeof *PERMISSIONS, number_of(options, OPTION_PERMISSION),
               "permission", service, name),
        option(COSTS, sizeof COSTS / sizeof *COSTS, number_of(options, OPTION_COST), "cost", service, name));
}

static void print_file(struct str file) {
    struct str package = bytes_of(file, FILE_PACKAGE);
    struct wire_field f, m;
    if (!str_eq(package, STR("rookery.v1"))) return;
    while (wire_next(&file, &f)) {
        if (f.number != FILE_SERVICE) continue;
        struct str service = f.payload, rest = service;
        while (wire_next(&rest, &m))
            if (m.number == SERVICE_METHOD) print_method(package, bytes_of(service, SERVICE_NAME), m.payload);
    }
}

static void note_messages(struct str file) {
    struct wire_field f;
    if (!str_eq(bytes_of(file, FILE_PACKAGE), STR("rookery.v1"))) return;
    while (wire_next(&file, &f))
        if (f.number == FILE_MESSAGE && n_messages < MESSAGES_MAX)
            messages[n_messages++] = (struct message){bytes_of(f.payload, MESSAGE_NAME), f.payload, false};
}

static void mark_in_request(struct str name) {
    struct wire_field f;
    for (size_t i = 0; i < n_messages; i++) {
        if (messages[i].in_request || !str_eq(messages[i].name, name)) continue;
        messages[i].in_request = true;
        struct str rest = messages[i].bytes;
        while (wire_next(&rest, &f))
            if (f.number == MESSAGE_FIELD && number_of(f.payload, FIELD_TYPE) == TYPE_MESSAGE)
                mark_in_request(short_name(bytes_of(f.payload, FIELD_TYPE_NAME)));
    }
}

static void mark_requests(struct str file) {
    struct wire_field f, m;
    if (!str_eq(bytes_of(file, FILE_PACKAGE), STR("rookery.v1"))) return;
    while (wire_next(&file, &f)) {
        if (f.number != FILE_SERVICE) continue;
        struct str rest = f.payload;
        while (wire_next(&rest, &m))
            if (m.number == SERVICE_METHOD) mark_in_request(short_name(bytes_of(m.payload, METHOD_REQUEST)));
    }
}

static void complain(struct str message, struct str field, const char *what) {
    fprintf(stderr, STR_FMT "." STR_FMT " may come from anybody, and %s\n", STR_ARG(message), STR_ARG(field),
            what);
    n_wrong++;
}

/* Bytes are taken as they are. */
static uint64_t form_of(struct str field, struct str options) {
    return number_of(field, FIELD_TYPE) == TYPE_BYTES ? AS_IS : number_of(options, OPTION_NORMAL_FORM);
}

/* Whether its bounds are in bytes: nobody counts the characters of a password. */
static bool is_in_bytes(uint64_t form) {
    return form == AS_IS || form == PASSWORD;
}

static void check_text(struct str message, struct str field, struct str options) {
    struct str name = bytes_of(field, FIELD_NAME);
    uint64_t form = form_of(field, options);
    bool in_bytes = number_of(options, OPTION_MAX_BYTES) > 0;
    bool in_characters = number_of(options, OPTION_MAX_CHARACTERS) > 0;
    if (form == 0 || form >= sizeof FORMS / sizeof *FORMS)
        complain(message, name, "says nothing of its normal_form");
    else if (is_in_bytes(form) && (!in_bytes || in_characters))
        complain(message, name, "must have max_bytes and no max_characters, since it is taken as it is");
    else if (!is_in_bytes(form) && (!in_characters || number_of(options, OPTION_MIN_BYTES) > 0))
        complain(message, name, "must have max_characters and no min_bytes, since it has a form");
}

static void print_text(struct str message, struct str field) {
    uint64_t type = number_of(field, FIELD_TYPE);
    if (type != TYPE_STRING && type != TYPE_BYTES) return;
    struct str options = bytes_of(field, FIELD_OPTIONS);
    int before = n_wrong;
    check_text(message, field, options);
    if (n_wrong > before) return;
    printf("TEXT(");
    print_snake(message);
    printf(", %d, %s, %d, %d, %d, %d, %s)\n", (int)number_of(field, FIELD_NUMBER),
           FORMS[form_of(field, options)], (int)number_of(options, OPTION_MIN_CHARACTERS),
           (int)number_of(options, OPTION_MAX_CHARACTERS), (int)number_of(options, OPTION_MIN_BYTES),
           (int)number_of(options, OPTION_MAX_BYTES),
           number_of(options, OPTION_MAY_BE_EMPTY) ? "true" : "false");
}

static void print_texts(void) {
    struct wire_field f;
    for (const struct message *m = messages; m < messages + n_messages; m++) {
        struct str rest = m->bytes;
        while (m->in_request && wire_next(&rest, &f))
            if (f.number == MESSAGE_FIELD) print_text(m->name, f.payload);
    }
}

/* The header that protoc-c makes of "rookery/v1/post.proto". */
static void print_header(struct str file) {
    struct str name = bytes_of(file, FILE_NAME), suffix = STR(".proto");
    if (!str_eq(bytes_of(file, FILE_PACKAGE), STR("rookery.v1"))) return;
    if (bytes_of(file, FILE_MESSAGE).len == 0 || name.len <= suffix.len) return;
    name.len -= suffix.len;
    printf("#include \"" STR_FMT ".pb-c.h\"\n", STR_ARG(name));
}

static void each_file(struct str set, void (*fn)(struct str file)) {
    struct wire_field f;
    while (wire_next(&set, &f))
        if (f.number == SET_FILE) fn(f.payload);
}

int main(int argc, char **argv) {
    bool headers = argc == 3 && strcmp(argv[1], "--headers") == 0;
    FILE *in = headers || argc == 2 ? fopen(argv[argc - 1], "rb") : NULL;
    if (!in) {
        fprintf(stderr, "usage: services [--headers] DESCRIPTORS.BIN\n");
        return 2;
    }
    struct buf bytes;
    buf_init(&bytes);
    size_t got;
    do {
        char *room = buf_reserve(&bytes, 65536);
        got = fread(room, 1, 65536, in);
        bytes.len += got;
    } while (got > 0);
    fclose(in);
    if (headers) {
        each_file(buf_str(&bytes), print_header);
    } else {
        each_file(buf_str(&bytes), note_messages);
        each_file(buf_str(&bytes), mark_requests);
        each_file(buf_str(&bytes), print_file);
        print_texts();
    }
    buf_free(&bytes);
    return n_wrong > 0;
}
