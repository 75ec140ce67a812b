/* What the roles that deliver to home timelines share: follower lists and rounds. */
#ifndef ROOKERY_WORKERS_TIMELINE_DELIVERY_H
#define ROOKERY_WORKERS_TIMELINE_DELIVERY_H

#include "workers/runtime/runtime.h"
#include "workers/timeline/deliver.h"
#include "workers/timeline/followers.h"

struct delivery {
    struct followers *followers;
    struct deliverer *deliverer;
};

extern const struct role_state DELIVERY;

static inline struct delivery *delivery_of(const struct worker *w) {
    return runtime_state(w, &DELIVERY);
}

#endif
