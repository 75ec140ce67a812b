/* The table of streams. */
#include "core/event/stream.h"

#include "rookery/events/v1/chunk.pb-c.h"
#include "rookery/events/v1/event.pb-c.h"
#include "rookery/events/v1/job.pb-c.h"

static bool event_is_sound(const ProtobufCMessage *message) {
    return ((const Rookery__Events__V1__Event *)(const void *)message)->what_case !=
           ROOKERY__EVENTS__V1__EVENT__WHAT__NOT_SET;
}

static bool job_message_is_sound(const ProtobufCMessage *message) {
    return ((const Rookery__Events__V1__JobMessage *)(const void *)message)->what_case !=
           ROOKERY__EVENTS__V1__JOB_MESSAGE__WHAT__NOT_SET;
}

static bool chunk_is_sound(const ProtobufCMessage *message) {
    const Rookery__Events__V1__Chunk *c = (const Rookery__Events__V1__Chunk *)(const void *)message;
    return c->epoch > 0 && c->entry_id > 0 && c->author_id > 0 && c->first_follower_id <= c->last_follower_id;
}

const struct stream STREAMS[N_STREAMS] = {
#define STREAM(NAME, name_, message_, in_outbox_)                                                            \
    [STREAM_##NAME] = {.name = #name_,                                                                       \
                       .message = &rookery__events__v1__##message_##__descriptor,                            \
                       .is_sound = message_##_is_sound,                                                      \
                       .in_outbox = in_outbox_},
#include "core/event/stream.def"
#undef STREAM
};

struct str stream_key(char out[static KEY_MAX], const struct stream *s, int partition) {
    return key_of_partition(out, s->name, partition);
}
