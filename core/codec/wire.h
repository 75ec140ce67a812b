/* The protobuf wire format, field by field: what the pre-scan of strangers' messages and the index of our own
 * descriptor set read with. No descriptors, no allocation.
 *
 * Source: the encoding chapter of the Protocol Buffers documentation. Groups (wire types 3 and 4), gone from
 * the language since proto3, are refused.
 */
#ifndef ROOKERY_CORE_CODEC_WIRE_H
#define ROOKERY_CORE_CODEC_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/str.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number; /* 1 .. 2^29-1 */
    enum wire_type type;
    struct str payload; /* behind the tag; for WIRE_BYTES behind the length */
    struct str whole;   /* the tag too */
};

/* Cuts the next field off *rest. False when *rest does not begin with a whole field (an empty *rest does
 * not): *rest is then unspecified. */
bool wire_next(struct str *rest, struct wire_field *f);
/* What the payload of a WIRE_VARINT field says; 0 when it is empty, as a field that is not there. */
uint64_t wire_number(struct str payload);

/* ---- writing fields by hand ----
 *
 * Room is reserved once for a message whose size is known before it is written; the put functions then write without
 * looking at the end, and return where they stopped. A number of 0 is not written, as proto3 has it. */

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
