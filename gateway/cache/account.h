/* Encoded account summaries, by id. They are correct for the same reasons as in post.h; account_updated events remove
 * them. A summary is kept for a minute at most: if its event is lost, it is wrong for no longer than that. */
#ifndef ROOKERY_GATEWAY_CACHE_ACCOUNT_H
#define ROOKERY_GATEWAY_CACHE_ACCOUNT_H

#include "gateway/gateway.h"

struct account_cache *
account_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void account_cache_free(struct account_cache *c);
/* Appends field `field` (a repeated AccountSummary) for each id that exists. The ids must be unique. May suspend. */
int account_cache_append(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n, uint32_t field,
                         struct buf *out, struct fault *fault);
void account_cache_invalidate(struct account_cache *c, int64_t id);

#endif
