/* Shaping replies from cached parts. Protobuf is written by hand where it must be fast. */
#ifndef ROOKERY_GATEWAY_ANSWER_SHAPE_H
#define ROOKERY_GATEWAY_ANSWER_SHAPE_H

#include "gateway/cache/message.h"
#include "gateway/cache/post.h"
#include "gateway/cache/viewer.h"
#include "rookery/v1/timeline.pb-c.h"

/* What the viewer has done with posts, decided before encoding. */
struct engaged {
    bool is[ENGAGEMENT_KINDS];
};

/* What these lists say of a post. */
struct engaged shape_engaged_in(const struct ids of[static ENGAGEMENT_KINDS], int64_t post_id);

/* Appends Post as field `field`. */
void shape_append_post(struct buf *out, uint32_t field, const struct cached_post *p,
                       struct engaged by_viewer);
/* Appends TimelineItem as field `field`: an entry and the post it shows (the same, or the original of a
 * repost). */
void shape_append_item(struct buf *out, uint32_t field, const struct cached_post *entry,
                       const struct cached_post *shown, struct engaged by_viewer);

/* What the viewer has done with the shown posts, as far as the viewer's cache knows; true when that is all. */
bool shape_engaged_known(const struct viewer *v, const struct cached_post *const *posts, size_t n,
                         struct engaged *out);
/* The same, and asks SQL for posts below the cache's floors. May suspend, so the posts must be copies. */
int shape_engaged(struct fiber *self, struct gateway *g, const struct viewer *v,
                  const struct cached_post *const *posts, size_t n, struct engaged *out, struct fault *fault);

/* Returns a Post message, in the arena, for replies that are not assembled from parts. */
Rookery__V1__Post *shape_post(struct arena *a, const struct cached_post *p, struct engaged by_viewer);

/* The same for one that may not be shown: where it stands in its thread, and nothing else of it. */
Rookery__V1__Post *shape_tombstone(struct arena *a, const struct cached_post *p);

/* Adds account ids, each once: the accounts that a page mentions. */
void shape_note_account(struct ids *accounts, int64_t id);
void shape_note_post_accounts(struct ids *accounts, const struct cached_post *entry,
                              const struct cached_post *shown);

#endif
