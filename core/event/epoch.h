/* Epochs: never serve lists from a Redis that may have lost data, nor caches of a PostgreSQL that went back.
 *
 * Home timelines belong to an epoch, which is part of their key. An epoch is one stretch of one Redis process's life,
 * during which it lost nothing, was the only one in use, and PostgreSQL did not go back. redis_epochs has a row for
 * each, with the process's run_id; the key "epoch" of that Redis holds the number. An epoch E is *current* when
 *   - its row is max(epoch) in redis_epochs, not superseded, with the run_id of the Redis, and
 *   - the key "epoch" there is E.
 * Otherwise a process opens a new epoch, whose number is greater than both. So timelines start empty and are rebuilt
 * from SQL at their next read, and the relay's leader republishes the outbox window for the other consumers, after
 *   - a restart of Redis, whether it came back empty, older or complete (another run_id);
 *   - a Redis that is used again after another one was (A, B, A: the row of A is not the newest);
 *   - a Redis that was emptied (its key is missing, though the key is set before the row is written);
 *   - a Redis that no process could reach for a while (below);
 *   - a PostgreSQL that went back (below).
 *
 * Opening: the key is set first, to a number n above max(epoch) and above what the key was, and no less than
 * PostgreSQL's time in seconds. Then, if max(epoch) is still what it was, the row is inserted and the newest before
 * it is marked as superseded. So a number in SQL is in its Redis. A number is never used twice on one Redis, even if
 * SQL forgets it, since the key does not; nor on two, since time has gone on. Of several openers one wins, and the
 * others look again. If the run_id already has a row, a new epoch is opened only when no process has used the newest
 * epoch for PULSE_STALE_MS: while some processes are still connected to a Redis that others have left, the newest
 * epoch wins.
 *
 * Every process looks, at each new connection to either server and every LOOK_MS. While it does not know the epoch,
 * epoch_now() is 0: timelines are then read from SQL, nothing is delivered (workers wait), and relation changes wait.
 *
 * A process that looks and has a Redis of the newest epoch *beats* (the table pulse) before it adopts the epoch, and
 * again with each look. A process without a Redis watches the beats. When there was none for PULSE_STALE_MS by its
 * own clock, in which PostgreSQL answered it, it abandons the epoch: it marks the epoch's row as superseded, unless
 * there has been a further beat. (Both lock the pulse, and a look sees what was committed before its beat had the lock.
 * So of an abandonment and a look that beats one comes first: the abandonment finds the beat, or the look sees the
 * mark. A look that finds a beat of the last 400 ms does without; its next one comes long before silence.)
 * Then no process has a Redis, and all read from SQL; the first that reaches a Redis
 * again opens a new epoch. So an entry whose event is not published can be acknowledged while the newest row is
 * superseded (core/domain/post/announce.c): its commit < that look < the next opening < any claim < any snapshot.
 * Fences. Between an opening and the last process's look, some processes still use the epoch before. On the same
 * Redis: a process that writes or reads timelines of E sends "GET epoch" behind the commands, and trusts them only
 * if the answer is E (epoch_add_fence, epoch_check_fence). Let E' > E be opened on that Redis. A list of E' is
 * claimed after the key became E'. So what a fence found in E was executed before any list of E' began:
 *   - a delivery's commit < RPUSHX < key E' < claim < snapshot, so the list has the entry;
 *   - a relation change's commit < DEL < key E' < claim < load, so the list is built with it;
 *   - a reader of a list of E missed nothing that was acknowledged before.
 * What a fence did not find in E is done again, in E'.
 *
 * On another Redis, a fence cannot see E'. Some changes promise something about the next read, of any account
 * (relations, deletes, edits) or of the author (posts). Such a change is acknowledged only when SQL, asked after the
 * change's commit, has said that E is the newest (epoch_ask, epoch_confirm). Then its commit < the opening of any
 * later epoch < all that is read or cached under that. Conversely, a process that has not looked since E was opened
 * may still read from the Redis of the epoch before. So in an epoch younger than LOOK_WITHIN_MS such a change is
 * acknowledged only when that time is over, in which every process has looked. Events that went to a Redis which is
 * no longer the newest are not marked as published, so the relay republishes them. (A mark locks its epoch's row, and
 * so does the opening of the next: no mark straddles it.)
 *
 * A batch that was built for epoch E may wait for a new connection and run on another server, where its keys mean
 * nothing. Its fence finds another number there, or none.
 *
 * PostgreSQL that goes back: a restore, or a standby that was promoted without the last transactions. The key
 * "database" of the Redis holds the epoch, when the server was started, the highest flushed LSN and the highest beat
 * (the table pulse) that any process has seen. Each look compares what SQL says now with what that key held *before*
 * SQL was asked, if both are of one epoch: a server that was started at another time, or a lower LSN or beat, may
 * have gone back. Then a new epoch is opened, and every process that adopts it discards its caches: posts that are
 * lost, and relations under tokens of changes that are lost. Other files, and another server, need a start; so this
 * does not depend on how long before the loss some process looked, and a restart that lost nothing costs a rebuild.
 * A dump that takes the database's place in a running server is a database with another OID: the epoch's row says in
 * which it was opened, and when its server had been started (NULL, of an older release, counts as another). LSN and
 * beat reveal the rest: a virtual machine set back, and rows restored into the database,
 * whose log goes on (the beat is a row like any other); they do so up to what was lost since the last look. What is
 * lost stays lost; docs/promises.md says how much that can be.
 *
 * Of the events that are republished, most need no delivery. An outbox row whose published_at is before the epoch's
 * opened_at is *settled* in that epoch and all later ones:
 *   - it was published after its commit, and marked by a statement that began after that: commit < published_at;
 *   - no process knows an epoch, so none builds a list of it, before the statement that opened it has committed; a
 *     list is built from a snapshot taken later still: opened_at < snapshot.
 * Both times are when a statement began, by PostgreSQL's own clock; neither ids nor other clocks take part, nor does
 * it matter how long a transaction may take. So the snapshot of every list has the entry: it is on the list, or below
 * its floor, and a delivery would add nothing. If PostgreSQL's clock steps back, or its successor's is behind,
 * EPOCH_SLACK_S compensates for up to as much: what was published in the last seconds before the opening counts as
 * not settled, and is delivered.
 *
 * Assumed: a process that PostgreSQL does not answer is not connected to a Redis that others have left or cannot
 * reach (it would read from there for up to STALE_MS; docs/promises.md). A process that was stopped does not know the
 * epoch when it goes on: its look is too old. (Where it was stopped while a look waited for PostgreSQL, it may believe
 * the epoch until the next turn of its loop, which hears the answer.) tests/models/epochs.pml stands for this file.
 */
#ifndef ROOKERY_CORE_EVENT_EPOCH_H
#define ROOKERY_CORE_EVENT_EPOCH_H

#include "core/domain/domain.h"

/* How far PostgreSQL's clock may step back around the opening of an epoch. */
#define EPOCH_SLACK_S 10
/* Each process looks this often. */
#define LOOK_MS 500
/* The epoch is unknown this long after the last look was sent that confirmed it, */
#define LOOK_WITHIN_MS 2000
/* or this long, if it is PostgreSQL that does not answer. */
#define STALE_MS 10000
/* After this long without a beat no process uses the newest epoch. */
#define PULSE_STALE_MS 2500

/* Starts the watcher fiber, which keeps epoch_now up to date. */
void epoch_watch_start(struct domain *d);
void epoch_watch_stop(struct fiber *self, struct domain *d);
/* The epoch the current connections belong to, or 0 when it is not known (yet). The check is local and
 * cheap: call it before every use of timelines. */
int64_t epoch_now(const struct domain *d);
/* Waits until the epoch is known, a second at most. Returns 0, or ERR_UNAVAILABLE, ERR_DEADLINE_EXCEEDED,
 * ERR_CANCELLED. */
int epoch_wait(struct fiber *self, struct domain *d, int64_t *epoch);

/* Ends a batch: adds the command that shows in which epoch those before it were executed. */
void epoch_add_fence(struct redis_batch *b);
/* Whether the batch, which ends with a fence, was executed in this epoch. If not, the epoch counts as unknown until
 * the next look. */
bool epoch_check_fence(struct domain *d, const struct redis_batch *b, int64_t epoch);
/* Sends the batch with a fence, on the shared connection, and waits. Takes b. Returns 0 when every command succeeded
 * in this epoch; ERR_ABORTED when that is not known: do it again in the next epoch. */
int epoch_send(struct fiber *self, struct domain *d, struct redis_batch *b, int64_t epoch);
/* Asks SQL which epoch is the newest (newest.h). Call it after the commit of the change to be confirmed. */
uint64_t epoch_ask(struct domain *d);
/* Waits for the answer. Returns 0 when this is still the newest epoch, and every process knows it; ERR_ABORTED when
 * it is not; or pg_exec's error. */
int epoch_confirm(struct fiber *self, struct domain *d, uint64_t question, int64_t epoch);
/* Waits until every process knows the newest epoch, or that there is none. Returns 0, or an error as above. */
int epoch_wait_known(struct fiber *self, struct domain *d);
#endif
