/* Live feeds: new entries to the streams that wait for them.
 *
 * An inverted index, author -> local subscribers, is matched against what the hub hears, so a post costs one
 * event per gateway and one push per interested stream, not one per follower. The item is loaded and encoded
 * once per post and shared by reference.
 *
 * Happy path: the hub hears an event -> hear.c queues it, if anybody here cares -> the feeder fiber loads the
 * posts of what is queued in one statement, encodes each once, and pushes it to the subscribers whose
 * relations show it. A subscriber's own follow, block or mute reaches it the same way: its relations are
 * loaded again and the index follows.
 * Failures:
 *   - more than LIVE_QUEUE_CAP events wait, or events were missed (a gap): every subscriber is sent "reset": read
 *     again. Of a new epoch once, when every partition is heard in it.
 *   - a subscriber does not read: beyond 256 KiB queued it is ended with RESOURCE_EXHAUSTED; it resumes with
 *     its token.
 *   - a load fails (SQL is away): it is tried again; the queue grows to its cap meanwhile.
 *
 *   - a session is revoked or expires: its streams are ended with UNAUTHENTICATED.
 *
 * Positions. Everything the hub hears is numbered (places.h). A stream *joins* at the number n that was heard last: it is
 * pushed what has a greater number, and nothing else. Every message has a token (token.h): the place in each
 * event stream up to which the reader has been told. The feeder tells in the order of numbers, so that is: everything
 * that it has done with, and the message's own event.
 *
 * Resuming (resume.c), from a token T, on any gateway:
 *   1. It waits until this gateway has heard up to T, too; usually it has.
 *   2. It joins at n; U is the position that has been heard then.
 *   3. It reads (T, U] of every partition's stream, in pages, drops what was met before, and keeps what the
 *      subscriber's relations let it want.
 *   4. It sends that in the order of the streams' ids, by the functions that the feeder uses. What is fed meanwhile is held.
 *   5. A heartbeat, then what was held; from then on the stream is live.
 * Instead of 3 and 4 it sends "reset" (the client reads its home timeline again) when T is of another epoch, or one that
 * nobody can go on from; entries are missing from (T, U]; they are more than REPLAY_READ_MAX, or what is to be told more than
 * REPLAY_TELL_MAX; the subscriber's own follows, blocks or mutes are among them; or Redis does not answer.
 *
 * Lemma (neither gap nor repeat). Let a stream be resumed from T and not be sent a reset. It is then told of every event with a
 * place behind T, once.
 *   - Each such event is at U or before it in its partition, or behind it. Behind it: it has a number above n, and the feeder
 *     pushes it. Up to it: its number is n or less, or it was heard by another gateway only; the feeder does not push it,
 *     and 3 reads it. 3 finds all of them: between two places as many entries were added as their counts differ
 *     (gateway/hub/stream.h), so an entry that was trimmed or deleted is missed in the count. It finds those of one Redis only: the
 *     epoch is the token's before and after each page.
 *   - In no partition is a place told before a lower one: numbers ascend as places do, 4 sorts by place. So a token never
 *     claims an event that its reader was not sent: cut anywhere, the stream goes on from there.
 *   - No place is told twice: a message's token has its own place. (But the deletion of a post goes with those of its
 *     reposts, so all of these have the position before them; and a heartbeat that comes while the reposters' followers are
 *     told of an edit has the position before that. Deletions and edits may be told again: they change nothing then.)
 *   - An event may have two places, since the relay may publish again what was published. It is told at its first place
 *     only, as long as that is among the PLACES_KEPT that the gateway remembers, or was among the newest of its
 *     partition when the gateway began. Beyond that an item may come twice; entries have ids.
 * Commits out of order do no harm: an event's place is that of its publication, however long ago its id was made.
 * What is told is what SQL says then: an entry that has been deleted meanwhile is left out, an edited one comes as it is.
 * Nothing is said of what was published before a stream first joined, or before a reset: it is on the home timeline, or on its
 * way there.
 */
#ifndef ROOKERY_GATEWAY_LIVE_LIVE_H
#define ROOKERY_GATEWAY_LIVE_LIVE_H

#include "gateway/cache/viewer.h"
#include "gateway/gateway.h"
#include "gateway/hub/stream.h"

struct live;

struct live *live_new(struct gateway *g);
/* Listens to g->hub from now on: before hub_start. */
void live_start(struct live *l);
void live_free(struct fiber *self,
               struct live *l); /* no subscriber may be left: the server has stopped; NULL is fine */

/* StreamHomeTimeline from the first byte to the detached stream; the handler's return value. */
int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token);

#endif
