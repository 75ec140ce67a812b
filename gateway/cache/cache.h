/* What a gateway remembers. Each cache bounds how much it holds and for how long, listens to the hub, and is bypassed
 * while the hub is not fresh. A fill that raced with an invalidation is not stored (fill_guard.h).
 *
 *   post.h     encoded posts                    account.h  encoded account summaries
 *   viewer.h   relations and likes of viewers   session.h  sessions by token
 *   message.h  what is encoded                  lru.h      how the least used leave
 */
#ifndef ROOKERY_GATEWAY_CACHE_CACHE_H
#define ROOKERY_GATEWAY_CACHE_CACHE_H

#include "gateway/cache/account.h"
#include "gateway/cache/message.h"
#include "gateway/cache/post.h"
#include "gateway/cache/session.h"
#include "gateway/cache/viewer.h"

#endif
