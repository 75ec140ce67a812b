/* The hub: a gateway's ear on every event stream (without a consumer group, so every gateway hears
 * everything).
 *
 * It does two things with an event: keeps the caches true (at once), and feeds the live streams (live.h).
 *
 * Happy path, one fiber per partition on a connection of its own:
 *   1. XREAD BLOCK 200 from the last id seen.
 *   2. Each event's invalidations are applied, and the event is handed to live.c.
 *   3. When the read came back with less than it could hold, everything published before it was sent has been
 *      seen: the partition is confirmed as of that time. hub_fresh() is true while every partition was
 *      confirmed less than 700 ms ago. So what a cache guarded by the hub shows is at most 700 ms older than
 *      what was acknowledged (P3 allows 1 s), and usually as old as the event is on its way: about 1 ms.
 * Failures:
 *   - the connection is lost, Redis is away: nothing is confirmed, hub_fresh() turns false, caches are
 *     bypassed.
 *   - the server is another one (run_id), or nothing could be read for 45 s (streams keep at least 60 s):
 *     events may have been missed: gateway_forget() drops all caches, live streams are told to read again,
 *     reading starts at the end.
 */
#ifndef ROOKERY_GATEWAY_HUB_H
#define ROOKERY_GATEWAY_HUB_H

#include "core/domain/outbox.h"
#include "gateway/gateway.h"

struct live;

struct hub *hub_new(struct gateway *g);
void hub_start(struct hub *h);
void hub_stop(struct fiber *self, struct hub *h);
/* May what the hub guards be believed? Cheap. */
bool hub_fresh(const struct hub *h);
/* The wall time up to which everything published has been heard. Unlike freshness it does not go back: after a gap it is
 * what it was before. */
int64_t hub_heard_until_ms(const struct hub *h);
struct live *hub_live(struct hub *h);

#endif
