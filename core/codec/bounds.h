/* Bounds of texts and bytes in messages from strangers: looked at once, right behind decoding, so that nobody who works with
 * a message need ask whether a text is absurdly long. What is right for a field beyond that is its handler's to say. */
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
/* 0, or ERR_INVALID_ARGUMENT about the first field, of the message and those it holds, that is longer than its bound. A
 * field without a bound may have any length. */
int bounds_check(const struct bounds *b, const ProtobufCMessage *m, struct fault *fault);

#endif
