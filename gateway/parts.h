/* The parts of a gateway, put together. */
#ifndef ROOKERY_GATEWAY_PARTS_H
#define ROOKERY_GATEWAY_PARTS_H

#include "gateway/gateway.h"

/* Opens the caches and starts the hub; the domain has been started. Aborts on allocation failure: nothing runs yet. */
void gateway_open(struct gateway *g);
/* Call it after the server has stopped. Harmless when nothing was opened. */
void gateway_close(struct fiber *self, struct gateway *g);

#endif
