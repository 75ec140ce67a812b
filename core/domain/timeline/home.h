/* Home timelines from SQL: the truth, the fallback and the rebuild.
 *
 * The newest entries of a viewer's sources are a k-way merge over the authors' own lists. Instead of asking for the
 * limit from every author (400 x 800 rows) or scanning all posts newest first (cost grows with the system), rounds of
 * LATERAL queries take a few entries per author: 8, then 4 times more, but only for authors whose entries so far all
 * lie above the merge's current cut. So the cost grows with sources + limit.
 */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_HOME_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_HOME_H

#include "core/domain/graph/relations.h"

/* A home timeline has at most this many entries, the newest. */
#define HOME_LENGTH 800

/* Entries with id < before (INT64_MAX: from the newest), newest first, filtered by the rule; at most limit. Deleted
 * ones and reposts of deleted posts are left out. In the fiber's arena. Returns 0 or ERR_*. */
int home_from_sql(struct fiber *self, struct domain *d, const struct relations *r, int64_t before,
                  size_t limit, struct entry **out, size_t *n, struct fault *fault);

#endif
