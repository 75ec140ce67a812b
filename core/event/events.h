/* The kinds of events. The table is events.def.
 *
 * An entry of the event streams holds, beside the event itself, its kind and its interests: which consumers it is
 * for. So a role, or a gateway's hub, passes over other events without decoding them, also when it is older than their
 * kind.
 */
#ifndef ROOKERY_CORE_EVENT_EVENTS_H
#define ROOKERY_CORE_EVENT_EVENTS_H

#include "core/base/str.h"
#include "rookery/events/v1/event.pb-c.h"

typedef Rookery__Events__V1__Event Event; /* the generated names are long and used everywhere */

enum event_kind {
    EVENT_UNKNOWN = 0, /* newer than this program */
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs)                                      \
    EVENT_##NAME = ROOKERY__EVENTS__V1__EVENT__WHAT_##NAME,
#include "core/event/events.def"
#undef EVENT
};

/* Bits. */
enum interest {
    INTEREST_TIMELINES = 1, /* the role fanout */
    INTEREST_COUNTS = 2,    /* the role counts */
    INTEREST_CACHES = 4,    /* gateways: what an event invalidates */
    INTEREST_HOME = 8,      /* gateways: entries that are merged at read */
    INTEREST_LIVE = 16,     /* gateways: streams */
    INTEREST_JOBS = 32,     /* gateways: watchers of a job */
};
#define INTEREST_ALL UINT32_MAX

static inline enum event_kind event_kind(const Event *e) {
    return (enum event_kind)e->what_case;
}
/* The kind's interests; 0 for a kind that this program does not know. */
uint32_t event_interests(enum event_kind kind);
/* The kind of an encoded event, also one that this program does not know. 0 when it has none. */
int event_payload_kind(struct str payload);

/* In a switch over kinds, for the kinds that a consumer does not get, with events.def included:
 *   #define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##counts(NAME)
 * So the compiler names a kind that events.def gives to the consumer and the switch leaves out, and one that the
 * switch has but events.def does not give. */
#define EVENT_UNLESS_0(NAME) case EVENT_##NAME:
#define EVENT_UNLESS_1(NAME)

#endif
