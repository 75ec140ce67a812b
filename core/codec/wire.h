/* The protobuf wire format, field by field. The pre-scan of strangers' messages and the index of our own descriptor
 * set read with it. No descriptors, no allocation.
 *
 * Source: the encoding chapter of the Protocol Buffers documentation. Groups, gone from the language since proto3, are
 * read over: a whole one is one field, whose type fits no field of ours.
 */
#ifndef ROOKERY_CORE_CODEC_WIRE_H
#define ROOKERY_CORE_CODEC_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/str.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4, /* never a field's */
    WIRE_FIXED32 = 5
};

/* So deep may groups be nested in one another. */
#define WIRE_MAX_GROUPS 32

struct wire_field {
    uint32_t number; /* 1 .. 2^29-1 */
    enum wire_type type;
    struct str
        payload; /* behind the tag; for WIRE_BYTES behind the length, of WIRE_GROUP with the tag of its end */
    struct str whole; /* the tag too */
};

/* Cuts the next field off *rest. Returns false when *rest is empty or does not begin with a whole field; *rest is
 * then unspecified. */
bool wire_next(struct str *rest, struct wire_field *f);
/* The number in the payload of a WIRE_VARINT field; 0 when it is empty, as for an absent field. */
uint64_t wire_number(struct str payload);

/* ---- writing fields by hand ----
 *
 * The caller computes the size of a message, reserves room for it once, and then writes it. The put functions do not
 * check for the end, and return where they stopped. A number of 0 is not written, as in proto3. */

/* A tag of a field below 2048 and a varint take at most this. */
#define WIRE_FIELD_MAX 12

static inline char *wire_put_varint(char *p, uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static inline size_t wire_varint_size(uint64_t v) {
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

static inline char *wire_put_number(char *p, uint32_t field, int64_t value) {
    return value == 0 ? p : wire_put_varint(wire_put_varint(p, (uint64_t)field << 3), (uint64_t)value);
}

static inline size_t wire_number_size(uint32_t field, int64_t value) {
    return value == 0 ? 0 : wire_varint_size((uint64_t)field << 3) + wire_varint_size((uint64_t)value);
}

static inline char *wire_put_length(char *p, uint32_t field, size_t length) {
    return wire_put_varint(wire_put_varint(p, (uint64_t)field << 3 | 2), length);
}

static inline size_t wire_bytes_size(uint32_t field, size_t length) {
    return wire_varint_size((uint64_t)field << 3) + wire_varint_size(length) + length;
}

char *wire_put_bytes(char *p, uint32_t field, struct str bytes);
/* Appends the field to the buffer. */
void wire_append_bytes(struct buf *out, uint32_t field, struct str bytes);

#endif
