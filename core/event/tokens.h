/* Version tokens: how a gateway knows that what it has cached of an account is still valid (P3).
 *
 * rv:{A} and lv:{A} hold a random token. A change to A's relations commits in SQL, then sets a new token, then is
 * acknowledged. A reader fetches the token in the same round trip as the timeline; if its cached relations were
 * loaded under that very token (token fetched BEFORE the load), they contain every acknowledged change:
 * commit(change) < set(token') < ack; a cache valid under token' was loaded after token' was seen, so after commit.
 * If the token is missing (Redis was wiped, or the key expired), the reader sets a fresh one and loads again. A Redis
 * that went back in time could show an old token again: therefore gateways discard their caches whenever the
 * connection is new. A PostgreSQL that went back makes the opposite possible, relations under the token of a change
 * that is lost: gateways discard their caches with the new epoch (epoch.h).
 *
 * Assumed: the token that was set is the one that others read: both are in the Redis that all processes use. A change
 * is therefore acknowledged only when SQL has said, after its commit, that its epoch is the newest (epoch_confirm).
 * tests/models/rebuild.pml has tokens in it, and epochs.pml this assumption.
 */
#ifndef ROOKERY_CORE_EVENT_TOKENS_H
#define ROOKERY_CORE_EVENT_TOKENS_H

#include "core/domain/domain.h"

/* A day; refreshed when set. */
#define TOKEN_TTL_S 86400

/* Sets new relation tokens for accounts whose relations changed. Deletes the home timelines in `rebuild`, whose sets
 * of sources grew: they are rebuilt at the next read. Called after the commit, before the acknowledgement.
 * Retries until the fiber's deadline. An error means that the change is committed but not yet visible everywhere:
 * answer UNAVAILABLE. */
int tokens_relations_changed(struct fiber *self, struct domain *d, const int64_t *accounts, size_t n,
                             const int64_t *rebuild, size_t n_rebuild);
int tokens_likes_changed(struct fiber *self, struct domain *d, int64_t account);

#endif
