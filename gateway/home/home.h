/* Reading home timelines: the code that runs most often.
 *
 * One round trip to Redis brings the viewer's tokens and the tail of the list, or the answer that these have not
 * changed (tail.h). The rest is local. The page is filled in stages. Each goes deeper than the one before, and each
 * is exact down to its bound (core/domain/timeline/list.h):
 *   1. tail:  the last elements, enough for the page in the usual case
 *   2. deep:  more of them, up to the whole list
 *   3. SQL:   below what the list covers; also when Redis is unreachable
 * A missing list is rebuilt, and the page is served from what the rebuild read. Entries that may not be shown
 * (deleted, no longer followed, muted, blocked, ...) are skipped, and older entries fill the page: only the last page
 * of a timeline is short.
 */
#ifndef ROOKERY_GATEWAY_HOME_HOME_H
#define ROOKERY_GATEWAY_HOME_HOME_H

#include "gateway/cache/post.h"
#include "gateway/cache/viewer.h"

struct home_request {
    int64_t viewer_id;
    int64_t before; /* entries with id < before; INT64_MAX from the newest */
    size_t served;  /* entries on earlier pages: a timeline ends after HOME_LENGTH entries */
    size_t limit;
};

struct home_page {
    struct viewer *viewer; /* release it with viewer_release */
    /* Valid until the fiber suspends. entries[i] is shown as shown[i] (itself, or the original of a repost). */
    const struct cached_post **entries, **shown;
    size_t n;
    uint64_t suspensions; /* the fiber's, when the page was handed out */
    bool more;            /* there is at least one older entry, within HOME_LENGTH */
};

/* Returns 0 and a page, whose viewer the caller releases; or ERR_*, with nothing to release. May suspend. */
int home_read(struct fiber *self, struct gateway *g, const struct home_request *r, struct home_page *out,
              struct fault *fault);

/* Returns true while the page's posts are valid: the fiber has not suspended since. */
static inline bool home_page_is_current(const struct fiber *self, const struct home_page *p) {
    return p->n == 0 || p->suspensions == fiber_suspensions(self);
}

#endif
