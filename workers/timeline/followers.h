/* Follower lists: cached with the version they had in SQL, and never older than the post they are used for.
 *
 * account_stats.follower_version moves in the transaction of every change to an account's followers. So one
 * query for the versions of all accounts of a batch, sent after its events were read and thus after their
 * posts' commits, says which cached lists may be used; the others are loaded again. An audience of more than
 * ROOKERY_CHUNK_AUDIENCE is not kept: its list is only known to be *big*.
 *
 * A PostgreSQL that went back gives the same versions to other lists: so with a new epoch (core/event/epoch.h) all are
 * loaded again. Who uses one meanwhile delivers in an epoch that its fence does not find any more, and does it again.
 */
#ifndef ROOKERY_WORKERS_TIMELINE_FOLLOWERS_H
#define ROOKERY_WORKERS_TIMELINE_FOLLOWERS_H

#include "core/base/map.h"
#include "core/domain/domain.h"

struct followers;

/* NULL without memory. d is borrowed. */
struct followers *followers_new(struct domain *d);
void followers_free(struct followers *f);
/* No list is as new as anything any more; held ones stay held. */
void followers_forget(struct followers *f);

/* Makes the lists of these accounts as new as the database is now, and keeps them until they are released,
 * also after an error. accounts: ascending, none twice; memory of the caller's until then. */
int followers_hold(struct fiber *self, struct followers *f, const struct ids *accounts, struct fault *fault);
void followers_release(struct followers *f, const struct ids *accounts);

/* Of an account that is held. *big: it now has more than are kept here. Good until the fiber
 * suspends. */
const struct ids *followers_of(const struct followers *f, int64_t account_id, bool *big);

/* Who of an author's followers hears an entry: those from first to last and, when it answers somebody else
 * (hears_too is not 0), only those who follow that account too, or are it. Straight from SQL. */
struct audience {
    int64_t author_id, hears_too, first, last;
    const int64_t *ids; /* filled in: ascending, in the fiber's arena */
    size_t n;
};
int followers_audiences(struct fiber *self, struct followers *f, struct audience *audiences, size_t n,
                        struct fault *fault);

#endif
