/* The relay: publishes what crashed or cut-off gateways left in the outbox. Story: relay.c. */
#ifndef ROOKERY_WORKERS_OUTBOX_RELAY_H
#define ROOKERY_WORKERS_OUTBOX_RELAY_H

#include "workers/runtime/runtime.h"

int relay_start(struct worker *w);

#endif
