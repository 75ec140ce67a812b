/* Account summaries, encoded, by id. True for the same reasons as post.h; removed by account_updated
 * events. A summary is kept for a minute at most: that bounds how long it is wrong should its event be lost. */
#ifndef ROOKERY_GATEWAY_CACHE_ACCOUNT_H
#define ROOKERY_GATEWAY_CACHE_ACCOUNT_H

#include "gateway/gateway.h"

struct account_cache *
account_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void account_cache_free(struct account_cache *c);
/* Appends field `tag` (a repeated AccountSummary) for each id that exists; ids distinct. */
int account_cache_append(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n, uint32_t field,
                         struct buf *out, struct fault *fault);
void account_cache_invalidate(struct account_cache *c, int64_t id);

#endif
