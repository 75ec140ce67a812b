/* The index of the embedded descriptor set.
 *
 * A FileDescriptorSet is read with wire.h by the field numbers of google/protobuf/descriptor.proto. The set is our
 * own, so a malformed one is a broken build and asserted. protoc writes each file after those it imports.
 */
#include "core/codec/descriptors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/map.h"
#include "core/codec/wire.h"

__asm__(".pushsection .rodata\n"
        "descriptors_bin:\n"
        ".incbin \"" DESCRIPTORS_BIN "\"\n"
        "descriptors_bin_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const char descriptors_bin[], descriptors_bin_end[];

/* Field numbers in descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    FIELD_EXTENDEE = 2,
    FIELD_NUMBER = 3,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2,
    ANY_NAME = 1 /* of messages, enums, services and methods */
};

struct file {
    struct str name, bytes;
};

struct extension {
    struct str type; /* the extended one, without the dot in front */
    int32_t number;
    const struct file *file;
};

struct descriptors {
    struct arena arena; /* everything below, and the names */
    struct file *files; /* dependencies first */
    size_t n_files;
    struct str *services;
    size_t n_services;
    struct extension *extensions;
    size_t n_extensions;
    struct strmap by_name, by_symbol; /* -> struct file */
};

/* ---- reading */

static bool next(struct str *rest, struct wire_field *f) {
    if (rest->len == 0) return false;
    bool whole = wire_next(rest, f);
    assert(whole);
    return whole;
}

static size_t count(struct str bytes, uint32_t number) {
    struct wire_field f;
    size_t n = 0;
    while (next(&bytes, &f)) n += f.number == number;
    return n;
}

static struct str text_of(struct str bytes, uint32_t number) {
    struct wire_field f;
    while (next(&bytes, &f))
        if (f.number == number) return f.payload;
    return STR("");
}

/* ---- indexing */

static struct str join(struct descriptors *d, struct str scope, struct str name) {
    if (scope.len == 0) return name;
    const char *full = arena_printf(&d->arena, STR_FMT "." STR_FMT, STR_ARG(scope), STR_ARG(name));
    return str_from(full);
}

/* Enters the symbol that `bytes` defines and returns its full name. */
static struct str add_symbol(struct descriptors *d, struct file *file, struct str scope, struct str bytes) {
    struct str full = join(d, scope, text_of(bytes, ANY_NAME));
    strmap_put(&d->by_symbol, full, file);
    return full;
}

static void add_service(struct descriptors *d, struct file *file, struct str package, struct str bytes) {
    struct wire_field f;
    struct str full = add_symbol(d, file, package, bytes);
    d->services[d->n_services++] = full;
    while (next(&bytes, &f))
        if (f.number == SERVICE_METHOD) add_symbol(d, file, full, f.payload);
}

static void add_message(struct descriptors *d, struct file *file, struct str scope, struct str bytes) {
    struct wire_field f;
    struct str full = add_symbol(d, file, scope, bytes);
    while (next(&bytes, &f)) {
        if (f.number == MESSAGE_ENUM) add_symbol(d, file, full, f.payload);
        if (f.number == MESSAGE_NESTED) add_message(d, file, full, f.payload);
    }
}

static void add_extension(struct descriptors *d, const struct file *file, struct str bytes) {
    struct str type = text_of(bytes, FIELD_EXTENDEE);
    int32_t number = (int32_t)wire_number(text_of(bytes, FIELD_NUMBER));
    str_cut(&type, '.'); /* fully qualified: it begins with one */
    d->extensions[d->n_extensions++] = (struct extension){type, number, file};
}

static void add_file(struct descriptors *d, struct file *file, struct str bytes) {
    struct wire_field f;
    struct str package = text_of(bytes, FILE_PACKAGE);
    *file = (struct file){text_of(bytes, FILE_NAME), bytes};
    strmap_put(&d->by_name, file->name, file);
    while (next(&bytes, &f)) {
        if (f.number == FILE_MESSAGE) add_message(d, file, package, f.payload);
        if (f.number == FILE_ENUM) add_symbol(d, file, package, f.payload);
        if (f.number == FILE_SERVICE) add_service(d, file, package, f.payload);
        if (f.number == FILE_EXTENSION) add_extension(d, file, f.payload);
    }
}

static size_t count_in_files(struct str set, uint32_t number) {
    struct wire_field f;
    size_t n = 0;
    while (next(&set, &f)) n += count(f.payload, number);
    return n;
}

struct descriptors *descriptors_load(void) {
    struct str set = {descriptors_bin, (size_t)(descriptors_bin_end - descriptors_bin)};
    struct descriptors *d = calloc(1, sizeof *d);
    struct wire_field f;
    if (d == NULL) return NULL;
    arena_init(&d->arena, 0);
    strmap_init(&d->by_name);
    strmap_init(&d->by_symbol);
    d->files = ARENA_ARRAY(&d->arena, struct file, count(set, SET_FILE));
    d->services = ARENA_ARRAY(&d->arena, struct str, count_in_files(set, FILE_SERVICE));
    d->extensions = ARENA_ARRAY(&d->arena, struct extension, count_in_files(set, FILE_EXTENSION));
    while (next(&set, &f)) add_file(d, &d->files[d->n_files++], f.payload);
    return d;
}

void descriptors_free(struct descriptors *d) {
    if (d == NULL) return;
    strmap_free(&d->by_name);
    strmap_free(&d->by_symbol);
    arena_free(&d->arena);
    free(d);
}

/* ---- asking */

bool descriptors_file(const struct descriptors *d, struct str filename, struct str *out) {
    const struct file *file = strmap_get(&d->by_name, filename);
    if (file) *out = file->bytes;
    return file != NULL;
}

bool descriptors_file_of_symbol(const struct descriptors *d, struct str symbol, struct str *filename) {
    const struct file *file = strmap_get(&d->by_symbol, symbol);
    if (file) *filename = file->name;
    return file != NULL;
}

static void mark_imports(const struct descriptors *d, const struct file *file, bool *wanted) {
    struct str bytes = file->bytes;
    struct wire_field f;
    while (next(&bytes, &f)) {
        if (f.number != FILE_DEPENDENCY) continue;
        const struct file *import = strmap_get(&d->by_name, f.payload);
        assert(import && import < file);
        wanted[import - d->files] = true;
    }
}

size_t descriptors_closure(const struct descriptors *d, struct str filename, struct arena *a,
                           struct str **out) {
    const struct file *file = strmap_get(&d->by_name, filename);
    if (file == NULL) return 0;
    bool *wanted = ARENA_ARRAY(a, bool, d->n_files);
    size_t n = 0;
    wanted[file - d->files] = true;
    for (size_t i = d->n_files; i-- > 0;)
        if (wanted[i]) mark_imports(d, &d->files[i], wanted);
    *out = ARENA_ARRAY(a, struct str, d->n_files);
    for (size_t i = 0; i < d->n_files; i++)
        if (wanted[i]) (*out)[n++] = d->files[i].bytes;
    return n;
}

bool descriptors_service(const struct descriptors *d, size_t i, struct str *name) {
    if (i >= d->n_services) return false;
    *name = d->services[i];
    return true;
}

bool descriptors_extension(const struct descriptors *d, size_t i, struct str *type, int32_t *number,
                           struct str *filename) {
    if (i >= d->n_extensions) return false;
    *type = d->extensions[i].type;
    *number = d->extensions[i].number;
    *filename = d->extensions[i].file->name;
    return true;
}
