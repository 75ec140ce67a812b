/* The relations of one viewer, as sorted id arrays. */
#ifndef ROOKERY_CORE_DOMAIN_GRAPH_RELATIONS_H
#define ROOKERY_CORE_DOMAIN_GRAPH_RELATIONS_H

#include "core/base/map.h"
#include "core/domain/domain.h"

/* All sorted, unique. Memory is malloc'ed and owned by the struct. */
struct relations {
    int64_t viewer_id;
    struct ids followed; /* at most MAX_FOLLOWING */
    struct ids blocked;  /* in either direction */
    struct ids muted;
};

/* Maximum accounts that an account may follow: it bounds what a gateway loads for a viewer and the cost of a
 * rebuild. */
#define MAX_FOLLOWING 10000

int relations_load(struct fiber *self, struct domain *d, int64_t viewer_id, struct relations *out,
                   struct fault *fault);
/* Of several viewers, in one statement: out[i] of viewers[i]. */
int relations_load_many(struct fiber *self, struct domain *d, const int64_t *viewers, size_t n,
                        struct relations *out, struct fault *fault);
void relations_free(struct relations *r);
void relations_copy(struct relations *to, const struct relations *from); /* to is uninitialised memory */

/* The parts of an entry that the rules use. For a repost, original_author_id is the author of the reposted post. */
struct entry {
    int64_t id;
    int64_t author_id;
    int64_t reply_to_account_id; /* 0: not a reply */
    int64_t repost_of_id;        /* 0: not a repost */
    int64_t original_author_id;  /* 0: not a repost */
};

/* The rule of the home timeline (its only definition in C; the SQL definition that audit compares with is in
 * workers/audit/truth.c, written independently). Shown when
 *   - the author is followed or is the viewer; and neither blocked nor muted;
 *   - a reply: the author is the viewer, or the one replied to is the author, the viewer or followed, and not
 *     blocked or muted;
 *   - a repost: the original's author is not blocked or muted. */
bool relations_shows_at_home(const struct relations *r, const struct entry *e);
/* Whether the viewer may see posts of this author at all: not when either has blocked the other. */
bool relations_may_see(const struct relations *r, int64_t author_id);

#endif
