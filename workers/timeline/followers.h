/* Follower lists: cached with their version in SQL, and never older than the post they are used for.
 *
 * account_stats.follower_version moves in the transaction of every change to an account's followers. One query, sent
 * after the events of a batch were read and thus after their posts' commits, asks for the versions of all its
 * accounts. It says which cached lists may be used; the others are loaded again. A list of more than
 * ROOKERY_CHUNK_AUDIENCE is not kept; it is only known to be *big*.
 *
 * A PostgreSQL that went back may give the same version to a different list, so with a new epoch (core/event/epoch.h)
 * all lists are loaded again. A lane that uses an old list meanwhile delivers in an epoch that its fence does not
 * find any more, and delivers again.
 */
#ifndef ROOKERY_WORKERS_TIMELINE_FOLLOWERS_H
#define ROOKERY_WORKERS_TIMELINE_FOLLOWERS_H

#include "core/base/map.h"
#include "core/domain/domain.h"

struct followers;

/* Returns NULL on allocation failure. d is borrowed. */
struct followers *followers_new(struct domain *d);
void followers_free(struct followers *f);
/* Marks all lists as out of date; held ones stay held. */
void followers_forget(struct followers *f);

/* Brings the lists of these accounts to the current state of the database, and keeps them until they are released,
 * also after an error. accounts: sorted, unique; borrowed until then. */
int followers_hold(struct fiber *self, struct followers *f, const struct ids *accounts, struct fault *fault);
void followers_release(struct followers *f, const struct ids *accounts);

/* The list of an account that is held. *big: it has more followers than are kept here. Valid until the fiber
 * suspends. */
const struct ids *followers_of(const struct followers *f, int64_t account_id, bool *big);

/* The followers of an author who get an entry: those from `first` to `last`. When the entry is a reply to another
 * account (hears_too is not 0), only those of them who also follow that account, or are that account. Read directly
 * from SQL. */
struct audience {
    int64_t author_id, hears_too, first, last;
    const int64_t *ids; /* out: sorted, in the fiber's arena */
    size_t n;
};
int followers_audiences(struct fiber *self, struct followers *f, struct audience *audiences, size_t n,
                        struct fault *fault);

#endif
