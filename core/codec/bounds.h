/* Bounds of texts and bytes in messages from strangers. They are checked right after decoding, so that no handler
 * need check for absurd lengths. Any tighter rule for a field is its handler's. */
#ifndef ROOKERY_CORE_CODEC_BOUNDS_H
#define ROOKERY_CORE_CODEC_BOUNDS_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/error.h"
#include "core/base/map.h"

struct bound {
    const ProtobufCMessageDescriptor *message;
    uint32_t field;
    size_t max_bytes;
};

struct bounds {
    struct idmap by_field;
};

void bounds_init(struct bounds *b, const struct bound *table, size_t n);
void bounds_free(struct bounds *b);
/* Returns 0, or ERR_INVALID_ARGUMENT about the first field, of the message or a submessage, that is longer than its
 * bound. A field without a bound may have any length. */
int bounds_check(const struct bounds *b, const ProtobufCMessage *m, struct fault *fault);

#endif
