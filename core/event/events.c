/* The table of events. */
#include "core/event/events.h"

#include "core/codec/wire.h"

uint32_t event_interests(enum event_kind kind) {
    switch (kind) {
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs)                                      \
    case EVENT_##NAME:                                                                                       \
        return (timelines)*INTEREST_TIMELINES + (counts)*INTEREST_COUNTS + (caches)*INTEREST_CACHES +        \
               (home)*INTEREST_HOME + (live)*INTEREST_LIVE + (jobs)*INTEREST_JOBS;
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: break;
    }
    return 0;
}

/* Fields of rookery.events.v1.Event that are not a kind. */
enum { EVENT_ID = 1, EVENT_ACTOR_ID = 2, EVENT_REPEAT = 18 };

int event_payload_kind(struct str payload) {
    struct wire_field f;
    while (wire_next(&payload, &f))
        if (f.type == WIRE_BYTES && f.number != EVENT_ID && f.number != EVENT_ACTOR_ID &&
            f.number != EVENT_REPEAT)
            return (int)f.number;
    return 0;
}
