/* Fan-out: delivers a post to the home timelines of its author's followers. The story is in fanout.c. */
#ifndef ROOKERY_WORKERS_TIMELINE_FANOUT_H
#define ROOKERY_WORKERS_TIMELINE_FANOUT_H

#include "workers/runtime/runtime.h"

extern const struct role FANOUT_ROLE;

#endif
