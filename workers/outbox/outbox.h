/* What workers do with the outbox: the relay publishes events that gateways could not, upkeep removes rows that are
 * no longer needed. */
#ifndef ROOKERY_WORKERS_OUTBOX_OUTBOX_H
#define ROOKERY_WORKERS_OUTBOX_OUTBOX_H

#include "workers/outbox/relay.h"
#include "workers/outbox/upkeep.h"

#endif
