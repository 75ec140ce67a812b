/* How a change becomes known: from the transaction that makes it to the processes that act on it.
 *
 *   outbox.h   an event is published because its transaction committed
 *   stream.h   the streams it travels on       keys.h    the names of all keys in Redis
 *   epoch.h    when a Redis can be trusted     tokens.h  when cached data of an account can be
 */
#ifndef ROOKERY_CORE_EVENT_EVENT_H
#define ROOKERY_CORE_EVENT_EVENT_H

#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/outbox.h"
#include "core/event/stream.h"
#include "core/event/tokens.h"

#endif
