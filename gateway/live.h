/* Live feeds: new entries to the streams that wait for them.
 *
 * An inverted index, author -> local subscribers, is matched against what the hub hears, so a post costs one
 * event per gateway and one push per interested stream, not one per follower. The item is loaded and encoded
 * once per post and shared by reference.
 *
 * Happy path: hub hears an event -> live_heard queues it, if anybody here cares -> the feeder fiber loads the
 * posts of what is queued in one statement, encodes each once, and pushes it to the subscribers whose
 * relations show it. A subscriber's own follow, block or mute reaches it the same way: its relations are
 * loaded again and the index follows.
 * Failures:
 *   - more than QUEUE_CAP events wait, or events were missed (a gap): every subscriber is sent "reset": read
 *     again.
 *   - a subscriber does not read: beyond 256 KiB queued it is ended with RESOURCE_EXHAUSTED; it resumes with
 *     its token.
 *   - a load fails (SQL is away): it is tried again; the queue grows to its cap meanwhile.
 *
 *   - a session is revoked or expires: its streams are ended with UNAUTHENTICATED.
 *
 * Resume token: the newest entry id sent, or the time up to which the hub has heard everything when that is earlier. On
 * resume the stream first brings, from SQL, the home timeline's entries above it, and those made in the 10 s before it
 * once more, for what was under way out of order: entries have ids.
 */
#ifndef ROOKERY_GATEWAY_LIVE_H
#define ROOKERY_GATEWAY_LIVE_H

#include "core/domain/outbox.h"
#include "gateway/gateway.h"
#include "gateway/viewer_cache.h"

struct live;

struct live *live_new(struct gateway *g);
void live_start(struct live *l);
void live_free(struct fiber *self, struct live *l); /* no subscriber may be left: the server has stopped */
/* From the hub; never suspends. */
void live_heard(struct live *l, const Event *e);
/* Events were missed: everybody is told to read again. */
void live_reset_all(struct live *l);

/* StreamHomeTimeline from the first byte to the detached stream; the handler's return value. */
int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token);

#endif
