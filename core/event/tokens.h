/* Version tokens: how a gateway knows that what it has cached of an account is still true (P3).
 *
 * rv:{A} and lv:{A} hold a random token. A change to A's relations commits in SQL, then sets a new token, then is
 * acknowledged. A reader fetches the token in the same round trip as the timeline; if its cached relations were
 * loaded under that very token (token fetched BEFORE the load), they contain every acknowledged change:
 * commit(change) < set(token') < ack; a cache valid under token' was loaded after token' was seen, so after commit. A
 * missing token (Redis was wiped, or the key expired) makes the reader set a fresh one and load again. A Redis that
 * went back in time could show an old token again: caches are therefore dropped whenever the connection is new. A
 * PostgreSQL that went back makes the opposite possible, relations under a token that speaks of a change which is
 * lost: caches are dropped with the new epoch (epoch.h).
 *
 * Assumed: the token that was set is the one that others read: both are of the Redis that everybody uses. A change is
 * therefore acknowledged only when SQL has said, after its commit, that its epoch is the newest (epoch_confirm).
 * tests/models/rebuild.pml has tokens in it, and epochs.pml this assumption.
 */
#ifndef ROOKERY_CORE_EVENT_TOKENS_H
#define ROOKERY_CORE_EVENT_TOKENS_H

#include "core/domain/domain.h"

/* A day; refreshed when set. */
#define TOKEN_TTL_S 86400

/* Sets new relation tokens for accounts whose relations changed; deletes the home timelines named in rebuild
 * (their set of sources grew or shrank: they are rebuilt at the next read). After commit, before the
 * acknowledgement. Retries until the fiber's deadline; an error means the change is committed but not yet
 * visible everywhere: answer UNAVAILABLE. */
int tokens_relations_changed(struct fiber *self, struct domain *d, const int64_t *accounts, size_t n,
                             const int64_t *rebuild, size_t n_rebuild);
int tokens_likes_changed(struct fiber *self, struct domain *d, int64_t account);

#endif
