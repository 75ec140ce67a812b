/* The materialised home timeline: a Redis list of entry ids, its elements, and why reading its tail is exact.
 *
 * Workers deliver with RPUSHX (nothing happens when the list does not exist), trim blindly with LTRIM, and
 * may deliver twice or late. Gateways read the tail, sort, drop duplicates, filter. Elements:
 *   "123"    entry 123, delivered promptly: executed by Redis at most PROMPT_MS after the id was made
 *   "-123"   entry 123, delivered late (a backlog, a retry, a relayed event)
 *   "f123"   floor, only ever the head: put there by a rebuild. Every entry of the viewer with id > 123 that
 *            had been committed when the rebuild read SQL is in the list behind it; older ones are in SQL only.
 *            "f0": complete.
 *   "bT:N"   building, only ever the head: a rebuild began at wall ms T with nonce N. Not readable.
 *
 * The lemma. Let s be a prompt element of the list. Every delivery that Redis executed before s's, whether it
 * is in the list, was trimmed, or fell on a list that did not exist yet, is of an entry made no later than
 * made(s) + PROMPT_MS: it was made before it was delivered, delivered before s, and s was delivered by
 * made(s) + PROMPT_MS. Hence: of the entries made after B = min over prompt elements s of the part read
 * (made(s) + PROMPT_MS), everything delivered so far is in the part read (what came before it in the list was
 * made by B; what comes after is in it).
 *   - A page whose entries were all made after B can be served from the tail alone, however short.
 *   - Else read the whole list: its bound is the floor when the head is "f", else B over the whole list.
 *   - Below that bound SQL is asked (home.h).
 * So a blind LTRIM loses nothing, and a list may be deleted at any time. Late elements take no part in B. A
 * worker that finds, when the reply comes, that a delivery it called prompt took longer than PROMPT_MS deletes
 * that list. Clock skew between machines must stay below PROMPT_SLACK_MS.
 *
 * Rebuild (by a gateway, at a read that finds no list):
 *   1. RPUSH tl "bT:N" by a script that does nothing if the key exists. From now on deliveries land behind it.
 *   2. Read SQL (a snapshot taken after 1): any entry is either committed before the snapshot, so read here, or
 *      its fan-out runs after its commit, so after 1, so lands. (Both may happen: readers drop duplicates.)
 *   3. A script replaces the head if it still is "bT:N": LPUSH of the ids and "f<oldest or 0>", and sets the
 *      TTL. If the head is another's, or the list is gone (deleted because relations changed), nothing is
 *      written: the page is served from SQL and the next read tries again.
 * Failures:
 *   - the builder dies after 1: the head stays "bT:N"; a reader that finds it older than BUILD_STALE_MS takes
 *     it over (script: replace head by its own "bT':N'"; deliveries since are kept).
 * Invalidation is DEL, always after the commit that made it necessary: a list built from an older snapshot was
 * created before the DEL and dies by it, or its step 3 finds another head.
 */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_LIST_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_LIST_H

#include "core/domain/home.h"

#define PROMPT_MS 10000 /* see the lemma */
/* A delivery is sent as prompt only while it is younger than PROMPT_MS - 2 * this. */
#define PROMPT_SLACK_MS 2000
#define BUILD_STALE_MS 10000
#define LIST_TRIM_AT 1000 /* a list longer than this is trimmed ... */
#define LIST_TRIM_TO 850  /* ... to this: 800 and some for what filters take out */

/* ---- what workers use ---- */
/* May a delivery of this entry go out as prompt now? By its id, or by when that was made. */
bool timeline_is_prompt(int64_t entry_id, int64_t wall_ms);
bool timeline_is_prompt_at(int64_t made_ms, int64_t wall_ms);

/* ---- what readers use ---- */
enum timeline_head { HEAD_UNSEEN, HEAD_FLOOR, HEAD_BUILDING, HEAD_TRIMMED };

struct timeline_part {
    int64_t *ids; /* newest first, no duplicates */
    size_t n;
    int64_t bound;           /* entries with id > bound are complete; INT64_MAX when nothing can be said */
    enum timeline_head head; /* UNSEEN: the part may not reach the head */
    int64_t building_since_ms;
};

/* Parses the elements of an LRANGE -count -1 (or 0 -1 when whole) into the arena. Elements that are no such
 * thing are ignored (and make the bound INT64_MAX). */
void timeline_parse(const struct redis_reply *range, size_t asked, bool whole, struct arena *a,
                    struct timeline_part *out);

/* Rebuilds the list of a viewer if nobody else is: returns 0 and whether it wrote one. entries are filled
 * with the newest HOME_LENGTH from SQL either way, so that the caller can serve from them. */
int timeline_rebuild(struct fiber *self, struct domain *d, int64_t epoch, const struct relations *r,
                     struct entry **entries, size_t *n, bool *written, struct fault *fault);

#endif
