/* Bounds of texts, by field. */
#include "core/codec/bounds.h"

#include <string.h>

/* Descriptors are few and stay where they are. */
static int64_t key_of(const ProtobufCMessageDescriptor *message, uint32_t field) {
    return (int64_t)((uint64_t)(uintptr_t)message * 4096 + field);
}

void bounds_init(struct bounds *b, const struct bound *table, size_t n) {
    idmap_init(&b->by_field);
    for (size_t i = 0; i < n; i++)
        idmap_put(&b->by_field, key_of(table[i].message, table[i].field), (void *)(uintptr_t)&table[i]);
}

void bounds_free(struct bounds *b) {
    idmap_free(&b->by_field);
}

static const void *at(const ProtobufCMessage *m, size_t offset) {
    return (const char *)(const void *)m + offset;
}

/* How many values the field has: 0, 1 or, when it is repeated, many; they begin at *first. */
static size_t elements(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const void **first) {
    const void *place = at(m, f->offset);
    *first = place;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(first, place, sizeof *first);
        return *(const size_t *)at(m, f->quantifier_offset);
    }
    bool in_oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    return !in_oneof || *(const uint32_t *)at(m, f->quantifier_offset) == f->id;
}

static int check_length(const struct bounds *b, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                        size_t bytes, struct fault *fault) {
    const struct bound *bound = idmap_get(&b->by_field, key_of(m->descriptor, f->id));
    if (!bound || bytes <= bound->max_bytes) return 0;
    return fault_field(fault, ERR_INVALID_ARGUMENT, f->name, "%s must be at most %zu bytes, this has %zu",
                       f->name, bound->max_bytes, bytes);
}

static int check_field(const struct bounds *b, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                       struct fault *fault) {
    const void *first;
    size_t n = elements(m, f, &first);
    int e = 0;
    for (size_t i = 0; i < n && e == 0; i++) {
        if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
            const ProtobufCMessage *inner = ((const ProtobufCMessage *const *)first)[i];
            e = inner ? bounds_check(b, inner, fault) : 0;
        } else if (f->type == PROTOBUF_C_TYPE_STRING) {
            const char *text = ((const char *const *)first)[i];
            e = text ? check_length(b, m, f, strlen(text), fault) : 0;
        } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
            e = check_length(b, m, f, ((const ProtobufCBinaryData *)first)[i].len, fault);
        }
    }
    return e;
}

int bounds_check(const struct bounds *b, const ProtobufCMessage *m, struct fault *fault) {
    int e = 0;
    for (unsigned i = 0; i < m->descriptor->n_fields && e == 0; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING ||
            f->type == PROTOBUF_C_TYPE_BYTES)
            e = check_field(b, m, f, fault);
    }
    return e;
}
