/* Live feeds: push new entries to the streams that wait for them.
 *
 * An inverted index, author -> local subscribers, is matched with what the hub hears. So a post costs one event per
 * gateway and one push per interested stream, not one push per follower. The item is loaded and encoded once per post
 * and shared by reference.
 *
 * Happy path: the hub hears an event -> hear.c queues it, if anybody here cares -> the feeder fiber loads the posts
 * of what is queued in one statement, encodes each once, and pushes it to the subscribers whose relations show it.
 * Failures:
 *   - a subscriber's own follow, block or mute (or another's block) changes what it may show: it is *reset*, which
 *     means: read again (reset.c).
 *   - more than LIVE_QUEUE_CAP events wait, or events were missed (a gap): every subscriber is reset. At a new epoch
 *     that is done once, when every partition is heard in it.
 *   - a subscriber does not read: when more than 256 KiB are queued for it, its stream ends with RESOURCE_EXHAUSTED;
 *     the client resumes with its token.
 *   - a load fails (SQL is unreachable): the feeder tries again; meanwhile the queue grows up to its cap.
 *   - a session is revoked: its streams end with UNAUTHENTICATED when that is heard. It expires: within a second or
 *     two.
 *
 * Positions (gateway/position/position.h). Everything the hub hears is numbered. A stream *joins* at the number n that
 * was heard last: events with a greater number are pushed to it, and no others. Every message has a token: the place
 * in each event stream up to which the reader has been told. The feeder tells in the order of numbers, each thing in
 * one message, and pushes that to all subscribers that it concerns without suspending; a token covers everything that
 * the feeder has finished, and the message's own event.
 *
 * Resuming (resume.c), from a token T, on any gateway:
 *   1. It waits until this gateway, too, has heard up to T; usually it has. It loads the subscriber's relations.
 *   2. It joins at n; U is the position up to which the gateway has heard then.
 *   3. It finds (T, U] in memory: what may concern the subscriber by its relations, by walking the chains of the
 *      accounts that it follows, and the chains of changes of posts (gateway/position/places.h).
 *   4. It sends them in the order of the streams' ids, by the functions that the feeder uses. What the feeder pushes
 *      meanwhile is held.
 *   5. It sends a heartbeat, then what was held; from then on the stream is live.
 * Instead of 3 to 5 it is reset when T is of another epoch, or a token that no stream can resume from; not all of
 * (T, U] is kept; more than REPLAY_TELL_MAX of it are to be told; or the subscriber's relations have changed in it.
 *
 * Lemma (neither gap nor repeat). Let a stream resume from T without a reset. It is then told of every event with a
 * place behind T, once.
 *   - Each such event is in its partition either behind U, or at U or before it. Behind U: it has a number above n,
 *     and the feeder pushes it. At U or before it: its number is n or less, or it was remembered when the gateway
 *     began; the feeder does not push it, and 3 finds it (gateway/position/places.h).
 *   - In no partition is a place told before a lower one: numbers ascend as places do, and 4 sorts by place. So a
 *     token never covers an event that its reader was not sent: a stream may be cut anywhere, and resumes from there.
 *   - No place is told twice: an event is one message, whose token has its place, and no later token has a lower one.
 *   - An event may have two places, since the relay may republish it. It is told at its first place only, as long as
 *     that is kept (ROOKERY_RESUME_BYTES). Beyond that it may be told twice.
 *
 * Lemma (the picture). Let a client keep a picture of the entries that are newer than the beginning of its stream, by
 * the rules of rookery/v1/timeline.proto: an item is added, a deletion removes the entry and the reposts of it, an
 * edit replaces a post wherever it is shown, a reset replaces the picture by a reading of the home timeline. When the
 * client has been told of everything that was published, its picture is the home timeline.
 *   - Without a reset. An entry on the timeline was published behind the beginning, and its author is one whom the
 *     subscriber hears: relations are those of the joining, since a change of them is a reset. A message shows what
 *     SQL says when it is made. So an entry that was deleted by then is left out rightly; one that is deleted or
 *     edited later has a later event; its message comes behind the item in the same partition, and in any other the
 *     order does not matter: the item shows the edit, or the deletion's event finds nothing.
 *     A repost of what is edited or deleted: either it is committed before the change is told, and its reposter's
 *     audience is told, or its own message is made later and shows the change.
 *   - With a reset, whose token is U. A reading that begins when it has come has everything at U or before it, whether
 *     or not it has been delivered (reset.c), through the same gateway, whose caches have heard up to U (through
 *     another once that has, too). Everything behind U is pushed, and what the reading had already changes nothing.
 * Commits out of order do no harm: an event's place is that of its publication, however long ago its id was made. The
 * lemmas say nothing of entries that were published before a stream first joined: these are on the home timeline, or
 * on their way there. What depends on the viewer (liked, reposted, bookmarked) and counts are as they were when the
 * item was sent. tests/integration/live_model.py is the test of both.
 */
#ifndef ROOKERY_GATEWAY_LIVE_LIVE_H
#define ROOKERY_GATEWAY_LIVE_LIVE_H

#include "gateway/cache/viewer.h"
#include "gateway/gateway.h"

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
