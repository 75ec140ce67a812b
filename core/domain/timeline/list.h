/* The materialised home timeline: a Redis list of entry ids, its elements, and why reading its tail is exact.
 *
 * Workers deliver with RPUSHX (nothing happens when the list does not exist), trim blindly with LTRIM, and may
 * deliver twice, late, or after others have taken them for dead. Gateways read the tail, sort, drop duplicates,
 * filter. Elements:
 *   "123"    entry 123 ("-123", which older workers wrote, is the same)
 *   "f123"   a floor: every entry with id > 123 that belongs on the list so far stands to the right of it
 *   "bT:N"   building, only ever the head: a rebuild began at Redis's time T (ms), with nonce N. Not readable.
 *
 * What follows depends on no clock, nor on how long anything takes: a command that a stalled connection delivers
 * minutes late is as good as any other.
 *
 * The lemma. Let L be one life of the list, from the claim that created it to its end; S what the rebuild read from
 * SQL; D(t) the entries that Redis has been told to append to L by the moment t. A floor f at a place p is *true*
 * when every entry of S and of D(t) with id > f stands right of p, at every moment t from its making on. Claim: every
 * floor is true.
 *   - An append goes to the right end, so it cannot make a floor untrue; a trim removes from the left, so what stands
 *     right of a floor stays while the floor does.
 *   - A rebuild writes S, newest entry rightmost, to the left of everything appended since the claim, and between any
 *     two of its entries x < y it may write the floor x: entries of S above x stand right of it, and all of D does.
 *     The lowest one, at the head, is 0 when S is the whole timeline, else just below S's oldest entry.
 *   - A reader's floor is pushed by a script, which Redis executes as one step: it walks from the right end to the
 *     nearest floor f, and pushes m, the greatest of f and of the ids it met. Let e be an entry of S or D at that
 *     moment, with e > m. Then e > f, and f is true, so e stands right of f: the script met it, and m >= e. So there
 *     is none, and m is true.
 * Hence a part of the list, read from its tail, is complete for ids above its *leftmost* floor, however long it is:
 *   - A page whose entries are all above it can be served from the part alone.
 *   - Else a longer part is read, up to the whole list.
 *   - Below the whole list's leftmost floor the entries come from SQL (home.h). A list whose floors have all been
 *     trimmed away, because it was not read for hundreds of entries, is discarded and rebuilt.
 * So a blind LTRIM loses nothing, and a list may be deleted at any time.
 *
 * Rebuild (by a gateway, at a read that finds no list):
 *   1. Claim: a script pushes "bT:N" if the key does not exist. From now on deliveries land behind it.
 *   2. Load the viewer's relations, then the newest entries that they show. Each statement's snapshot is later than 1.
 *   3. Fill: a script replaces the head if it still is "bT:N" by S with its floors. If the head is another's, or the
 *      list is gone (deleted because relations changed), it writes nothing: the page is served from what was read,
 *      and the next read tries again.
 * Why the entries are all there. An entry is either committed before the snapshot that looks for it, so in S, or its
 * fan-out runs after its commit, so after 1, so it lands in D. (Both may happen: readers drop duplicates.) Why they
 * are the right ones. A change of relations by which more is shown commits, then deletes the list, then moves the
 * viewer's token (tokens.h), then is acknowledged. If the claim comes before that DEL, the DEL removes the filled
 * list, or the fill finds no head. If it comes after, then commit < DEL < claim < load: the relations loaded in 2
 * have the change. Relations that were loaded before the claim would not suffice: therefore they are not a parameter.
 * (A change by which less is shown need not delete: readers filter.)
 * Failures:
 *   - the builder dies after 1: the head stays "bT:N"; a reader's claim finds it older than BUILD_STALE_MS, by
 *     Redis's time, and takes it over (its own "bT':N'" becomes the head; deliveries since are kept). A step of that
 *     clock only makes this earlier or later: a builder that was taken for dead finds another head.
 * Assumed: an event is delivered after its commit, to every account that SQL names then
 * (workers/timeline/followers.h); a list of an epoch is on that epoch's server only (epoch.h).
 * tests/models/rebuild.pml and floors.pml stand for this file.
 */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_LIST_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_LIST_H

#include "core/domain/timeline/home.h"

#define BUILD_STALE_MS 10000
/* Entries from one floor to the next: in what a rebuild writes, and at least that many when a reader pushes one. */
#define FLOOR_EVERY 16
#define LIST_TRIM_AT 1100 /* a list longer than this is trimmed ... */
#define LIST_TRIM_TO 920  /* ... to this: 800 entries, their floors, and some for what filters take out */

struct timeline_part {
    int64_t *ids; /* newest first, no duplicates */
    size_t n;
    int64_t bound;  /* entries with id > bound are complete; INT64_MAX when unknown */
    size_t unbound; /* elements right of the last floor */
    bool whole;     /* it reaches the head */
    bool building;  /* a rebuild is under way: bound is INT64_MAX */
};

/* Adds the command that reads the last `asked` elements; 0: all. */
void timeline_add_range(struct redis_batch *b, struct str key, size_t asked);
/* Parses the elements of an LRANGE -asked -1 (whole: of 0 -1) into the arena. An unknown element makes the bound
 * INT64_MAX. */
void timeline_parse(const struct redis_reply *range, size_t asked, bool whole, struct arena *a,
                    struct timeline_part *out);

/* Rebuilds the viewer's list unless another caller is doing so. Returns 0 and in *written whether it wrote one.
 * Either way *entries are the newest HOME_LENGTH from SQL, by the current relations, so that the caller can serve
 * from them. */
int timeline_rebuild(struct fiber *self, struct domain *d, int64_t epoch, int64_t viewer_id,
                     struct entry **entries, size_t *n, bool *written, struct fault *fault);

/* Pushes a floor when at least FLOOR_EVERY ids stand right of the last one. Returns 0, or redis_eval's error, which
 * is harmless. */
int timeline_push_floor(struct fiber *self, struct domain *d, int64_t epoch, int64_t viewer_id);

#endif
