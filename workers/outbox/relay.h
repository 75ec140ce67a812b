/* The relay: publishes events that crashed or cut-off gateways left in the outbox. The story is in relay.c. */
#ifndef ROOKERY_WORKERS_OUTBOX_RELAY_H
#define ROOKERY_WORKERS_OUTBOX_RELAY_H

#include "workers/runtime/runtime.h"

int relay_start(struct worker *w);

#endif
