/* What every paginated reply needs: the list that a page token belongs to, pages, and summaries of the accounts
 * mentioned. */
#ifndef ROOKERY_GATEWAY_ANSWER_LISTS_H
#define ROOKERY_GATEWAY_ANSWER_LISTS_H

#include "gateway/cache/post.h"
#include "gateway/cache/viewer.h"
#include "gateway/gateway.h"
#include "rookery/v1/account.pb-c.h"
#include "rookery/v1/post.pb-c.h"

enum list_kind {
    LIST_LIVE = 1,
    LIST_HOME,
    LIST_USER_TIMELINE,
    LIST_REPLIES,
    LIST_LIKES,
    LIST_REPOSTS,
    LIST_EDITS,
    LIST_FOLLOWERS,
    LIST_FOLLOWING,
    LIST_SESSIONS,
    LIST_DATASETS,
    LIST_JOBS,
    LIST_BOOKMARKS,
};

/* Identifies the list that a page token is valid for: a kind of list, of one object, as one viewer sees it. */
int64_t lists_identity(enum list_kind kind, int64_t object_id, int64_t viewer_id);

struct page_request {
    int64_t list;
    int size;
    struct page_position position; /* from the token; without a token: a = start */
};

/* Checks page_size and page_token. Returns 0, or ERR_* and a fault. */
int lists_page(struct rpc_call *call, enum list_kind kind, int64_t object_id, int32_t page_size,
               const char *page_token, int64_t start, struct page_request *out);
/* Returns the token of the next page; "" when `more` is false. */
char *lists_next(struct rpc_call *call, const struct page_request *page, bool more, int64_t a, int64_t b);

/* Nearly all of a list may be hidden from its reader. So a call looks at LISTS_PIECES pieces of a list, of
 * LISTS_PIECE places and more; then its page ends with what was found, and the next one goes on behind. */
enum { LISTS_PIECES = 8, LISTS_PIECE = 50 };

/* Waits until a page of so many posts may be made (rpc_await_room): after what suspends for long, before the posts
 * are copied. Returns 0, ERR_CANCELLED or ERR_DEADLINE_EXCEEDED. */
int lists_await_room(struct fiber *self, struct rpc_call *call, size_t n_posts);

/* Summaries of the accounts with these ids, as messages. */
int lists_accounts(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                   Rookery__V1__AccountSummary ***out, size_t *n_out, struct fault *fault);

/* The same in the order of ids, which must be distinct. */
int lists_accounts_in_order(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                            Rookery__V1__AccountSummary ***out, size_t *n_out, struct fault *fault);

/* Posts as messages for a viewer, in the order of ids. Reposts, posts that are deleted, and those that the viewer may
 * not see, are left out, so *n may be less than n_ids. Adds their accounts to `accounts`. */
int lists_posts(struct fiber *self, struct gateway *g, const struct viewer *v, const int64_t *ids,
                size_t n_ids, Rookery__V1__Post ***out, size_t *n, struct ids *accounts, struct fault *fault);

/* The same for a part of a thread, in which a tombstone stands for a post that is left out if the viewer may see one
 * below it. all_over: the caller knows that for each of them. */
int lists_thread(struct fiber *self, struct gateway *g, const struct viewer *v, const int64_t *ids,
                 size_t n_ids, bool all_over, Rookery__V1__Post ***out, size_t *n, struct ids *accounts,
                 struct fault *fault);

#endif
