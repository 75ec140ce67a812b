/* Live feeds: push new entries to the streams that wait for them.
 *
 * An inverted index, author -> local subscribers, is matched with what the hub hears. So a post costs one event per
 * gateway and one push per interested stream, not one push per follower. The item is loaded and encoded once per post
 * and shared by reference.
 *
 * Happy path: the hub hears an event -> hear.c queues it, if anybody here cares -> the feeder fiber loads the posts
 * of what is queued in one statement, encodes each once, and pushes it to the subscribers whose relations show it. A
 * subscriber's own follow, block or mute arrives in the same way: its relations are loaded again, and the index is
 * updated.
 * Failures:
 *   - more than LIVE_QUEUE_CAP events wait, or events were missed (a gap): every subscriber is sent "reset", which
 *     means: read again. At a new epoch one reset is sent, when every partition is heard in it.
 *   - a subscriber does not read: when more than 256 KiB are queued for it, its stream ends with RESOURCE_EXHAUSTED;
 *     the client resumes with its token.
 *   - a load fails (SQL is unreachable): the feeder tries again; meanwhile the queue grows up to its cap.
 *   - a session is revoked or expires: its streams end with UNAUTHENTICATED.
 *
 * Positions. Everything the hub hears is numbered (places.h). A stream *joins* at the number n that was heard last:
 * events with a greater number are pushed to it, and no others. Every message has a token (token.h): the place in
 * each event stream up to which the reader has been told. The feeder tells in the order of numbers, so a token covers
 * everything that the feeder has finished, and the message's own event.
 *
 * Resuming (resume.c), from a token T, on any gateway:
 *   1. It waits until this gateway, too, has heard up to T; usually it has.
 *   2. It joins at n; U is the position up to which the gateway has heard then.
 *   3. It reads (T, U] of every partition's stream, in pages, drops events that were met before, and keeps those that
 *      may concern the subscriber by its relations.
 *   4. It sends them in the order of the streams' ids, by the functions that the feeder uses. What the feeder pushes
 *      meanwhile is held.
 *   5. It sends a heartbeat, then what was held; from then on the stream is live.
 * Instead of 3 and 4 it sends "reset" (the client reads its home timeline again) when T is of another epoch, or a
 * token that no stream can resume from; entries are missing from (T, U]; there are more than REPLAY_READ_MAX entries,
 * or more than REPLAY_TELL_MAX of them are to be told; the subscriber's own follows, blocks or mutes are among them;
 * or Redis does not answer.
 *
 * Lemma (neither gap nor repeat). Let a stream resume from T without a reset. It is then told of every event with a
 * place behind T, once.
 *   - Each such event is in its partition either behind U, or at U or before it. Behind U: it has a number above n,
 *     and the feeder pushes it. At U or before it: its number is n or less, or only another gateway heard it; the
 *     feeder does not push it, and 3 reads it. 3 finds all of them: between two places as many entries were added as
 *     their counts differ (gateway/hub/stream.h), so an entry that was trimmed or deleted shows in the count. It
 *     finds those of one Redis only: the epoch is the token's before and after each page.
 *   - In no partition is a place told before a lower one: numbers ascend as places do, and 4 sorts by place. So a
 *     token never covers an event that its reader was not sent: a stream may be cut anywhere, and resumes from there.
 *   - No place is told twice: a message's token has its own place. (But the deletion of a post is sent with those of
 *     its reposts, so all of these have the position before them; and a heartbeat that is sent while the reposters'
 *     followers are told of an edit has the position before that edit. So a deletion or an edit may be sent twice;
 *     the second time it changes nothing.)
 *   - An event may have two places, since the relay may republish it. It is told at its first place only, as long as
 *     that is among the PLACES_KEPT that the gateway remembers, or was among the newest of its partition when the
 *     gateway began. Beyond that an item may come twice; clients recognise an entry by its id.
 * Commits out of order do no harm: an event's place is that of its publication, however long ago its id was made. A
 * message shows what SQL says when it is made: an entry that has been deleted meanwhile is left out, an edited one is
 * sent in its new form. The lemma says nothing of events that were published before a stream first joined, or before
 * a reset: these are on the home timeline, or on their way there.
 */
#ifndef ROOKERY_GATEWAY_LIVE_LIVE_H
#define ROOKERY_GATEWAY_LIVE_LIVE_H

#include "gateway/cache/viewer.h"
#include "gateway/gateway.h"
#include "gateway/hub/stream.h"

struct live;

struct live *live_new(struct gateway *g);
/* Begins to listen to g->hub. Call it before hub_start. */
void live_start(struct live *l);
void live_free(struct fiber *self,
               struct live *l); /* after the server has stopped: no subscriber may be left; NULL is fine */

/* Serves StreamHomeTimeline until its stream is detached from the call. Returns what the handler returns. May
 * suspend. */
int live_subscribe(struct fiber *self, struct gateway *g, struct rpc_call *call, struct str resume_token);

#endif
