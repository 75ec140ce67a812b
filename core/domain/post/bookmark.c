/* Bookmarks: posts that an account has marked for itself.
 *
 * Nobody else sees them, so there is no event: one statement stores the bookmark, then the account's engagement token
 * moves (core/event/tokens.h), so that every gateway shows the mark at the next read (P6). Both are idempotent; a
 * token that cannot be moved is UNAVAILABLE, and the same request again moves it.
 */
#include "core/domain/post/bookmark.sql.h"
#include "core/domain/post/post_internal.h"

int post_bookmark(struct fiber *self, struct domain *d, int64_t account_id, int64_t post_id,
                  struct fault *fault) {
    struct pg_result *r;
    int64_t id;
    int e = domain_next_id(d, &id, fault);
    if (e == 0)
        e = pg_ask(self, d->pg, &POST_BOOKMARK, &r, fault, pg_i64(account_id), pg_i64(post_id), pg_i64(id));
    if (e != 0) return e;
    bool changed;
    e = post_read_engagement(r, &changed, fault);
    return e != 0 ? e : post_move_engagement_token(self, d, account_id, fault);
}

int post_unbookmark(struct fiber *self, struct domain *d, int64_t account_id, int64_t post_id,
                    struct fault *fault) {
    int e = pg_ask(self, d->pg, &POST_UNBOOKMARK, NULL, fault, pg_i64(account_id), pg_i64(post_id));
    return e != 0 ? e : post_move_engagement_token(self, d, account_id, fault);
}

int post_bookmarks(struct fiber *self, struct domain *d, int64_t account_id, int64_t before, int limit,
                   struct post_place **out, size_t *n, struct fault *fault) {
    return post_list_places(self, d, &POST_BOOKMARKS, account_id, before, limit, out, n, fault);
}
