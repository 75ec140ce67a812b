/* Reading home timelines: the hottest code of the product.
 *
 * One round trip to Redis brings the viewer's tokens and the tail of the list, or, while these have not changed, word of that
 * (tail.h); the rest is local. The page is
 * filled in stages, each going deeper than the one before and each exact down to its bound
 * (core/domain/timeline/list.h):
 *   1. tail:  the last elements, enough for the page in the usual case
 *   2. deep:  more of them, up to the whole list
 *   3. SQL:   below what the list covers; also when Redis is away
 * A missing list is rebuilt, and the page served from what the rebuild read. Entries that may not be shown
 * (deleted, no longer followed, muted, blocked, ...) are passed over, and the page is filled from behind: a
 * page is short only at the end.
 */
#ifndef ROOKERY_GATEWAY_HOME_HOME_H
#define ROOKERY_GATEWAY_HOME_HOME_H

#include "gateway/cache/post.h"
#include "gateway/cache/viewer.h"

struct home_request {
    int64_t viewer_id;
    int64_t before; /* entries with id < before; INT64_MAX from the newest */
    size_t served;  /* entries of earlier pages: the timeline ends after HOME_LENGTH in all */
    size_t limit;
};

struct home_page {
    struct viewer *viewer; /* release it with viewer_release */
    /* Good until the fiber suspends. entries[i] is shown as shown[i] (itself, or the original of a repost).
     */
    const struct cached_post **entries, **shown;
    size_t n;
    uint64_t suspensions; /* the fiber's, when entries and shown were made good */
    bool more;            /* there is at least one entry behind the last, within HOME_LENGTH */
};

/* 0 and a page whose viewer the caller releases; or ERR_* and nothing to release. */
int home_read(struct fiber *self, struct gateway *g, const struct home_request *r, struct home_page *out,
              struct fault *fault);

#endif
