/* Epochs: never serve lists from a Redis that may have lost data, nor caches of a PostgreSQL that went back (design 6.4).
 *
 * Home timelines belong to an epoch, which is part of their key. An epoch is one stretch of one Redis process's life,
 * during which it lost nothing, was the only one in use, and PostgreSQL did not go back. redis_epochs has a row for
 * each, with the process's run_id; the key "epoch" of that Redis holds the number. An epoch E is *current* when
 *   its row is max(epoch) in redis_epochs, not superseded, with the run_id of the Redis, and the key "epoch" there is E.
 * Otherwise a new epoch is opened, whose number is greater than both. So timelines start from nothing, are rebuilt
 * from SQL at their next read, and the relay's leader publishes the outbox window again for the other consumers,
 * after
 *   - a restart of Redis, whether it came back empty, older or complete (another run_id);
 *   - a Redis that is used again after another one was (A, B, A: the row of A is not the newest);
 *   - a Redis that was emptied (its key is missing, though the key is set before the row is written);
 *   - a Redis that nobody could reach for a while (below);
 *   - a PostgreSQL that went back (below).
 *
 * Opening: the key is set first, to a number n above max(epoch) and above what the key was, and no less than
 * PostgreSQL's time in seconds; then the row is inserted, if max(epoch) is still what it was, and the newest before
 * is marked as superseded. So a number in SQL is in its Redis; a number is never used twice on one Redis, even if SQL
 * forgets it, since the key does not, nor on two, since time has gone on; and of several openers one wins, the others
 * look again. A run_id that has a row already opens a new epoch only when nobody has used the newest epoch for
 * PULSE_STALE_MS: while some processes are still led to a Redis that others have left, the newest epoch wins.
 *
 * Every process looks, at each new connection to either server and every LOOK_MS; epoch_now() is 0 while it does not
 * know: timelines are then read from SQL, nothing is delivered (workers wait), and relation changes wait.
 *
 * Who looks with a Redis of the newest epoch *beats* (the table pulse) before it adopts the epoch, and then with each
 * look. A process without a Redis watches the beats: when there was none for PULSE_STALE_MS by its own clock, in
 * which PostgreSQL answered it, it abandons the epoch, by marking its row as superseded, if there is no further beat.
 * Then nobody has a Redis, and everybody reads from SQL; and whoever reaches one again opens a new epoch. So an entry
 * whose event is not published can be acknowledged while the newest row is superseded (core/domain/post/announce.c): its commit <
 * that look < the next opening < any claim < any snapshot.
 *
 * Fences. Between an opening and the last process's look, some processes still use the epoch before. On the same
 * Redis: whoever writes or reads timelines of E sends "GET epoch" behind it, and believes it only if the answer is E
 * (epoch_add_fence, epoch_check_fence). Let E' > E be opened on that Redis. A list of E' is claimed after the key
 * became E'. So what a fence found in E was executed before any list of E' began: a delivery's commit < RPUSHX < key
 * E' < claim < snapshot, so the list has the entry; a relation change's commit < DEL < key E' < claim < load, so it
 * is built with it; and who read a list of E missed nothing that was acknowledged before. What a fence did not find
 * in E is done again, in E'. On another Redis, a fence cannot see it: a change whose promise is about the next read, of
 * anybody (relations, deletes, edits) or of its author (posts), is acknowledged only when SQL, asked after its commit, has
 * said that E is the newest (epoch_ask, epoch_confirm). Then its commit < the opening of any later epoch < whatever is
 * read or cached under that. The other way round, who has not looked since E was opened may still read from the Redis of the
 * epoch before: so in an epoch younger than LOOK_WITHIN_MS such a change is acknowledged only when that time is over, in
 * which every process has looked. Events that went to a Redis which is not the newest any more are not marked as published,
 * so the relay publishes them again. (A mark locks its epoch's row, and so does the opening of the next: no mark straddles
 * it.)
 *
 * A batch that was built for epoch E may wait for a new connection and run on another server, where its keys mean
 * nothing: its fence finds another number there (or none).
 *
 * PostgreSQL that goes back: a restore, or a standby that was promoted without the last transactions. The key
 * "database" of the Redis holds the epoch, when the server was started, the highest flushed LSN and the highest beat
 * (the table pulse) that anybody has seen. Each look compares what SQL says now with what that key held *before* SQL
 * was asked, if both are of one epoch: a server that was started at another time, or a lower LSN or beat, may have
 * gone back. Then a new epoch is opened, and whoever adopts it discards its caches: posts that are gone, and relations
 * under tokens that speak of changes which are gone. Other files, and another server, need a start; so this does not
 * depend on how long before the loss somebody looked, and a restart that lost nothing costs a rebuild. LSN and beat
 * tell of what needs no start: a virtual machine set back, and rows restored into the running server, whose log goes
 * on (the beat is a row like any other), up to what was lost since the last look. What is lost is lost;
 * docs/promises.md says how much that can be.
 *
 * Of the events that are told again, most need no delivery. An outbox row whose published_at is before the epoch's
 * opened_at is *settled* in that epoch and all later ones:
 *   - it was published after its commit, and marked by a statement that began after that: commit < published_at;
 *   - nobody knows an epoch, so nobody builds a list of it, before the statement that opened it has committed; a list
 *     is built from a snapshot taken later still: opened_at < snapshot.
 * Both times are when a statement began, by PostgreSQL's own clock; neither ids nor other clocks take part, nor does
 * it matter how long a transaction may take. So the snapshot of every list has the entry: it is on the list, or below
 * its floor, and a delivery would add nothing. Should PostgreSQL's clock step back, or its successor's be behind,
 * that is made good for up to EPOCH_SLACK_S: what was published in the last seconds before the opening counts as not
 * settled, and is delivered.
 *
 * Assumed: a process that PostgreSQL does not answer is not connected to a Redis that others have left or cannot
 * reach (it would read from there for up to STALE_MS; docs/promises.md). A process that was stopped knows nothing
 * when it goes on: its look is too old. tests/models/epochs.pml stands for this file.
 */
#ifndef ROOKERY_CORE_EVENT_EPOCH_H
#define ROOKERY_CORE_EVENT_EPOCH_H

#include "core/domain/domain.h"

/* How far PostgreSQL's clock may step back just when an epoch opens. */
#define EPOCH_SLACK_S 10
/* Each process looks so often; */
#define LOOK_MS 500
/* what it knew is unknown so long after the look was sent that told it, */
#define LOOK_WITHIN_MS 2000
/* unless it is PostgreSQL that does not answer: then so long after. */
#define STALE_MS 10000
/* After so long without a beat nobody uses the newest epoch. */
#define PULSE_STALE_MS 2500

/* Starts the watcher fiber, which keeps what epoch_now returns true. */
void epoch_watch_start(struct domain *d);
void epoch_watch_stop(struct fiber *self, struct domain *d);
/* The epoch the current connections belong to, or 0 when it is not known (yet). The check is local and
 * cheap: call it before every use of timelines. */
int64_t epoch_now(const struct domain *d);
/* Waits until it is known, a second at most. 0, or ERR_UNAVAILABLE, ERR_DEADLINE_EXCEEDED, ERR_CANCELLED. */
int epoch_wait(struct fiber *self, struct domain *d, int64_t *epoch);

/* Ends a batch: adds the command that speaks for those before it. */
void epoch_add_fence(struct redis_batch *b);
/* Was the batch, which ends with a fence, executed in this epoch? If not, the epoch counts as unknown until the next look. */
bool epoch_check_fence(struct domain *d, const struct redis_batch *b, int64_t epoch);
/* Sends the batch with a fence, on the shared connection, and waits. Takes b. 0 when every command succeeded, in this
 * epoch;
 * ERR_ABORTED when it is not known that they did: do it again in the next. */
int epoch_send(struct fiber *self, struct domain *d, struct redis_batch *b, int64_t epoch);
/* Has SQL asked which epoch is the newest (newest.h): after the commit of what the answer is to speak for. */
uint64_t epoch_ask(struct domain *d);
/* Waits for the answer. 0 when this is still the newest epoch, and everybody knows it; ERR_ABORTED when it is not; or
 * pg_exec's error. */
int epoch_confirm(struct fiber *self, struct domain *d, uint64_t question, int64_t epoch);
/* Waits until everybody knows the newest epoch, or that there is none. 0, or an error as above. */
int epoch_wait_known(struct fiber *self, struct domain *d);
#endif
