/* What was shown to whom, for the jobs lane's engagement data. Story: impressions.c. */
#ifndef ROOKERY_GATEWAY_HOME_IMPRESSIONS_H
#define ROOKERY_GATEWAY_HOME_IMPRESSIONS_H

#include "gateway/cache/post.h"

struct impressions *impressions_new(struct gateway *g); /* NULL without memory */
void impressions_stop(struct fiber *self,
                      struct impressions *m); /* writes what waits, and frees; NULL is fine */

/* A page of a home timeline is about to go out. Cheap, never suspends; what finds no room is dropped and counted. */
void impressions_note(struct impressions *m, int64_t viewer_id, const struct cached_post *const *shown,
                      size_t n);

#endif
