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

#endif
