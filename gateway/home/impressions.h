/* Which posts were shown to which viewers, for the engagement data of jobs. The story is in impressions.c. */
#ifndef ROOKERY_GATEWAY_HOME_IMPRESSIONS_H
#define ROOKERY_GATEWAY_HOME_IMPRESSIONS_H

#include "gateway/cache/post.h"

struct impressions *impressions_new(struct gateway *g); /* NULL on allocation failure */
void impressions_stop(struct fiber *self,
                      struct impressions *m); /* writes what is queued, and frees; NULL is fine */

/* To be called when a page of a home timeline is about to be sent. Cheap, never suspends. What the queue cannot hold
 * is dropped and counted. */
void impressions_note(struct impressions *m, int64_t viewer_id, const struct cached_post *const *shown,
                      size_t n);

#endif
