/* The outbox's second life: the relay publishes what gateways could not, upkeep removes what nobody needs any more. */
#ifndef ROOKERY_WORKERS_OUTBOX_OUTBOX_H
#define ROOKERY_WORKERS_OUTBOX_OUTBOX_H

#include "workers/outbox/relay.h"
#include "workers/outbox/upkeep.h"

#endif
