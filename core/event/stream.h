/* Streams: what travels through Redis, one stream of a kind per partition. The table is stream.def. */
#ifndef ROOKERY_CORE_EVENT_STREAM_H
#define ROOKERY_CORE_EVENT_STREAM_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "core/event/keys.h"

enum stream_number {
#define STREAM(NAME, name, message, in_outbox) STREAM_##NAME,
#include "core/event/stream.def"
#undef STREAM
    N_STREAMS
};

struct stream {
    const char *name;
    const ProtobufCMessageDescriptor *message;         /* of an entry's field "e" */
    bool (*is_sound)(const ProtobufCMessage *message); /* whether it holds something to do; NULL: always */
    bool in_outbox;
};

extern const struct stream STREAMS[N_STREAMS];

/* Writes the key of a partition's stream. */
struct str stream_key(char out[static KEY_MAX], const struct stream *s, int partition);

#endif
