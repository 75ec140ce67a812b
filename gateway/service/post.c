/* PostService. */
#include "core/domain/post/post.h"

#include <assert.h>

#include "core/domain/account/account.h"
#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/gateway.h"
#include "gateway/home/pulled.h"
#include "gateway/service/service.h"

/* The maximum number of posts that a thread shows above the requested one. */
#define THREAD_ANCESTORS 100

/* ---- writing ------------------------------------------------------------------------------------------- */

/* CreatePostResponse and EditPostResponse have this one field. */
enum { RESPONSE_POST = 1 };

static void reply_fresh_post(struct rpc_call *call, const struct post *p) {
    const struct cached_post *encoded = post_cache_wrap(rpc_arena(call), p);
    shape_append_post(rpc_reply_open(call), RESPONSE_POST, encoded, (struct engaged){0});
    rpc_reply_close(call);
}

int post_service_create_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__CreatePostRequest *in = REQUEST(CreatePostRequest);
    struct gateway *g = gateway_of(call);
    struct post_draft draft = {
        .author_id = caller_of(call),
        .text = str_from(in->text),
        .reply_to_id = in->reply_to_id,
        .idempotency_key = str_from(in->idempotency_key),
        .author_pulled = pulled_is(g->pulled, caller_of(call)),
    };
    struct post post;
    int e = post_create(self, &g->domain, &draft, &post, rpc_fault(call));
    if (e != 0) return e;
    reply_fresh_post(call, &post);
    return 0;
}

/* This gateway's copy is removed immediately, the others' when their hubs hear of it. */
int post_service_edit_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__EditPostRequest *in = REQUEST(EditPostRequest);
    struct gateway *g = gateway_of(call);
    struct post post;
    int e =
        post_edit(self, &g->domain, caller_of(call), in->post_id, str_from(in->text), &post, rpc_fault(call));
    post_cache_invalidate(g->posts, in->post_id);
    if (e != 0) return e;
    reply_fresh_post(call, &post);
    return 0;
}

int post_service_delete_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int64_t id = REQUEST(DeletePostRequest)->post_id;
    struct gateway *g = gateway_of(call);
    int e = post_delete(self, &g->domain, caller_of(call), id, rpc_fault(call));
    post_cache_invalidate(g->posts, id);
    return rpc_reply_empty(call, e);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* One post that the caller may see, as *post; its author noted. */
static int visible_post(struct fiber *self, struct rpc_call *call, const struct viewer *v, int64_t id,
                        Rookery__V1__Post **post, struct ids *accounts) {
    struct gateway *g = gateway_of(call);
    const struct cached_post *found;
    int e = post_cache_get(self, g, &id, 1, &found, rpc_fault(call));
    if (e != 0) return e;
    if (!found || found->deleted || found->entry.repost_of_id != 0 ||
        !relations_may_see(&v->relations, found->entry.author_id))
        return fault_field(rpc_fault(call), ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    Rookery__V1__Post **one;
    size_t n;
    e = lists_posts(self, g, v, &id, 1, &one, &n, accounts, rpc_fault(call));
    if (e == 0 && n == 0)
        e = fault_field(rpc_fault(call), ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    if (e == 0) *post = one[0];
    return e;
}

/* The same for a post whose thread is read: in place of one that the caller may not see there is its tombstone, if
 * the caller may see something below it. */
static int visible_place(struct fiber *self, struct rpc_call *call, const struct viewer *v, int64_t id,
                         Rookery__V1__Post **post, struct ids *accounts) {
    int e = visible_post(self, call, v, id, post, accounts);
    if (e != ERR_NOT_FOUND) return e;
    Rookery__V1__Post **one;
    size_t n;
    struct fault fault = {0};
    int found = lists_thread(self, gateway_of(call), v, &id, 1, false, &one, &n, accounts, &fault);
    if (found != 0) *rpc_fault(call) = fault;
    if (found != 0 || n == 0) return found != 0 ? found : e;
    *post = one[0];
    return 0;
}

/* Runs a reader with the caller's relations. */
typedef int post_reader(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                        struct ids *accounts, const ProtobufCMessage *request);

static int with_viewer(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request,
                       post_reader *reader) {
    struct viewer *v;
    int e = viewer_find(self, gateway_of(call), caller_of(call), &v, rpc_fault(call));
    if (e != 0) return e;
    struct ids accounts;
    ids_init(&accounts);
    e = reader(self, call, v, &accounts, request);
    ids_free(&accounts);
    viewer_release(v);
    return e;
}

static int read_post(struct fiber *self, struct rpc_call *call, const struct viewer *v, struct ids *accounts,
                     const ProtobufCMessage *request) {
    Rookery__V1__GetPostResponse reply = ROOKERY__V1__GET_POST_RESPONSE__INIT;
    int e = visible_post(self, call, v, REQUEST(GetPostRequest)->post_id, &reply.post, accounts);
    if (e != 0) return e;
    Rookery__V1__AccountSummary **authors;
    size_t n;
    e = lists_accounts(self, gateway_of(call), &reply.post->author_id, 1, &authors, &n, rpc_fault(call));
    if (e != 0) return e;
    reply.author = n > 0 ? authors[0] : NULL;
    rpc_reply(call, &reply.base);
    return 0;
}

int post_service_get_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_post);
}

struct listed {
    Rookery__V1__Post **posts;
    size_t n;
    bool more;
    int64_t last; /* the place of the last one */
};

/* What may be shown of a part of a list; in a thread, with tombstones. */
static int shown_of(struct fiber *self, struct rpc_call *call, const struct viewer *v, post_list_fn *list,
                    const int64_t *ids, size_t n, Rookery__V1__Post ***posts, size_t *n_posts,
                    struct ids *accounts) {
    struct gateway *g = gateway_of(call);
    if (list == post_replies)
        return lists_thread(self, g, v, ids, n, false, posts, n_posts, accounts, rpc_fault(call));
    return lists_posts(self, g, v, ids, n, posts, n_posts, accounts, rpc_fault(call));
}

/* What the caller may see of a list, filled to the limit, or less (LISTS_PIECES). */
static int fill(struct fiber *self, struct rpc_call *call, const struct viewer *v, post_list_fn *list,
                int64_t owner_id, int64_t from, int limit, struct listed *out, struct ids *accounts) {
    struct gateway *g = gateway_of(call);
    int piece = limit + 1;
    *out = (struct listed){.last = from};
    out->posts = ARENA_ARRAY(rpc_arena(call), Rookery__V1__Post *, (size_t)limit);
    for (int pieces = 0; pieces < LISTS_PIECES; pieces++) {
        struct post_place *found;
        size_t n, n_posts, at = 0;
        Rookery__V1__Post **posts;
        int e = list(self, &g->domain, owner_id, out->last, piece, &found, &n, rpc_fault(call));
        if (e != 0) return e;
        int64_t *ids = ARENA_ARRAY(rpc_arena(call), int64_t, n);
        for (size_t i = 0; i < n; i++) ids[i] = found[i].post_id;
        e = lists_await_room(self, call, n);
        if (e != 0) return e;
        e = shown_of(self, call, v, list, ids, n, &posts, &n_posts, accounts);
        if (e != 0) return e;
        for (size_t i = 0; i < n_posts; i++) {
            if (out->n == (size_t)limit) {
                out->more = true;
                return 0;
            }
            while (at < n && found[at].post_id != posts[i]->id) at++;
            assert(at < n); /* posts are in the order of the list */
            out->posts[out->n++] = posts[i];
            out->last = found[at].place;
        }
        if (n < (size_t)piece) return 0;
        out->last = found[n - 1].place;
        if (piece < LISTS_PIECE) piece = LISTS_PIECE;
    }
    out->more = true;
    return 0;
}

static int read_replies(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                        struct ids *accounts, const ProtobufCMessage *request) {
    const Rookery__V1__ListRepliesRequest *in = REQUEST(ListRepliesRequest);
    struct page_request page;
    struct listed found;
    Rookery__V1__Post *parent;
    int e = lists_page(call, LIST_REPLIES, in->post_id, in->page_size, in->page_token, 0, &page);
    if (e == 0) e = visible_place(self, call, v, in->post_id, &parent, accounts);
    if (e == 0)
        e = fill(self, call, v, post_replies, in->post_id, page.position.a, page.size, &found, accounts);
    if (e != 0) return e;
    Rookery__V1__ListRepliesResponse reply = ROOKERY__V1__LIST_REPLIES_RESPONSE__INIT;
    reply.posts = found.posts;
    reply.n_posts = found.n;
    reply.next_page_token = lists_next(call, &page, found.more, found.last, 0);
    e = lists_accounts(self, gateway_of(call), accounts->v, accounts->len, &reply.accounts, &reply.n_accounts,
                       rpc_fault(call));
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int post_service_list_replies(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_replies);
}

static int read_thread(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                       struct ids *accounts, const ProtobufCMessage *request) {
    const Rookery__V1__GetThreadRequest *in = REQUEST(GetThreadRequest);
    struct gateway *g = gateway_of(call);
    Rookery__V1__GetThreadResponse reply = ROOKERY__V1__GET_THREAD_RESPONSE__INIT;
    struct page_request page;
    struct listed below;
    int64_t *above;
    size_t n_above;
    int e = lists_page(call, LIST_REPLIES, in->post_id, in->page_size, "", 0, &page);
    if (e == 0) e = visible_place(self, call, v, in->post_id, &reply.post, accounts);
    if (e == 0)
        e = post_ancestors(self, &g->domain, in->post_id, THREAD_ANCESTORS, &above, &n_above,
                           rpc_fault(call));
    if (e == 0) e = lists_await_room(self, call, n_above);
    if (e == 0)
        e = lists_thread(self, g, v, above, n_above, true, &reply.ancestors, &reply.n_ancestors, accounts,
                         rpc_fault(call));
    if (e == 0) e = fill(self, call, v, post_replies, in->post_id, 0, page.size, &below, accounts);
    if (e != 0) return e;
    reply.replies = below.posts;
    reply.n_replies = below.n;
    reply.next_page_token = lists_next(call, &page, below.more, below.last, 0);
    e = lists_accounts(self, g, accounts->v, accounts->len, &reply.accounts, &reply.n_accounts,
                       rpc_fault(call));
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int post_service_get_thread(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_thread);
}

static int read_edits(struct fiber *self, struct rpc_call *call, const struct viewer *v, struct ids *accounts,
                      const ProtobufCMessage *request) {
    const Rookery__V1__ListEditsRequest *in = REQUEST(ListEditsRequest);
    struct arena *a = rpc_arena(call);
    struct page_request page;
    Rookery__V1__Post *post;
    struct post_edit_row *rows;
    size_t n;
    int e = lists_page(call, LIST_EDITS, in->post_id, in->page_size, in->page_token, INT32_MAX, &page);
    if (e == 0) e = visible_post(self, call, v, in->post_id, &post, accounts);
    if (e == 0) e = lists_await_room(self, call, (size_t)page.size);
    if (e == 0)
        e = post_edits(self, &gateway_of(call)->domain, in->post_id, (int32_t)page.position.a, page.size + 1,
                       &rows, &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page.size;
    Rookery__V1__ListEditsResponse reply = ROOKERY__V1__LIST_EDITS_RESPONSE__INIT;
    reply.n_edits = more ? (size_t)page.size : n;
    reply.edits = ARENA_ARRAY(a, Rookery__V1__PostEdit *, reply.n_edits);
    for (size_t i = 0; i < reply.n_edits; i++) {
        reply.edits[i] = ARENA_NEW(a, Rookery__V1__PostEdit);
        rookery__v1__post_edit__init(reply.edits[i]);
        reply.edits[i]->text = str_to_cstr(a, rows[i].text);
        reply.edits[i]->edit_time = message_time(a, rows[i].edited_ms);
    }
    reply.next_page_token = lists_next(call, &page, more, more ? rows[reply.n_edits - 1].edit : 0, 0);
    rpc_reply(call, &reply.base);
    return 0;
}

int post_service_list_edits(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_edits);
}

/* ---- likes and reposts --------------------------------------------------------------------------------- */

int post_service_like(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = post_like(self, &gateway_of(call)->domain, caller_of(call), REQUEST(LikeRequest)->post_id,
                      rpc_fault(call));
    return rpc_reply_empty(call, e);
}

int post_service_unlike(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = post_unlike(self, &gateway_of(call)->domain, caller_of(call), REQUEST(UnlikeRequest)->post_id,
                        rpc_fault(call));
    return rpc_reply_empty(call, e);
}

int post_service_repost(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct gateway *g = gateway_of(call);
    Rookery__V1__RepostResponse reply = ROOKERY__V1__REPOST_RESPONSE__INIT;
    int e = post_repost(self, &g->domain, caller_of(call), REQUEST(RepostRequest)->post_id,
                        pulled_is(g->pulled, caller_of(call)), &reply.repost_id, rpc_fault(call));
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int post_service_unrepost(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    struct gateway *g = gateway_of(call);
    int64_t repost_id;
    int e = post_unrepost(self, &g->domain, caller_of(call), REQUEST(UnrepostRequest)->post_id, &repost_id,
                          rpc_fault(call));
    if (repost_id != 0) post_cache_invalidate(g->posts, repost_id);
    return rpc_reply_empty(call, e);
}

/* ---- bookmarks ----------------------------------------------------------------------------------------- */

int post_service_bookmark_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = post_bookmark(self, &gateway_of(call)->domain, caller_of(call),
                          REQUEST(BookmarkPostRequest)->post_id, rpc_fault(call));
    return rpc_reply_empty(call, e);
}

int post_service_unbookmark_post(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    int e = post_unbookmark(self, &gateway_of(call)->domain, caller_of(call),
                            REQUEST(UnbookmarkPostRequest)->post_id, rpc_fault(call));
    return rpc_reply_empty(call, e);
}

static int read_bookmarks(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                          struct ids *accounts, const ProtobufCMessage *request) {
    const Rookery__V1__ListBookmarksRequest *in = REQUEST(ListBookmarksRequest);
    int64_t me = caller_of(call);
    struct page_request page;
    struct listed found;
    int e = lists_page(call, LIST_BOOKMARKS, me, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = fill(self, call, v, post_bookmarks, me, page.position.a, page.size, &found, accounts);
    if (e != 0) return e;
    Rookery__V1__ListBookmarksResponse reply = ROOKERY__V1__LIST_BOOKMARKS_RESPONSE__INIT;
    reply.posts = found.posts;
    reply.n_posts = found.n;
    reply.next_page_token = lists_next(call, &page, found.more, found.last, 0);
    e = lists_accounts(self, gateway_of(call), accounts->v, accounts->len, &reply.accounts, &reply.n_accounts,
                       rpc_fault(call));
    if (e == 0) rpc_reply(call, &reply.base);
    return e;
}

int post_service_list_bookmarks(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_bookmarks);
}

/* ---- who liked, who reposted --------------------------------------------------------------------------- */

struct actor_page {
    Rookery__V1__AccountSummary **accounts;
    size_t n;
    char *next;
};

static int list_actors(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                       enum post_list which, int64_t post_id, const struct page_request *page,
                       struct actor_page *out) {
    struct gateway *g = gateway_of(call);
    struct ids accounts;
    Rookery__V1__Post *post;
    struct post_actor *actors;
    size_t n;
    ids_init(&accounts);
    int e = visible_post(self, call, v, post_id, &post, &accounts);
    ids_free(&accounts);
    if (e == 0)
        e = post_actors(self, &g->domain, which, post_id, caller_of(call), page->position.a, page->size + 1,
                        &actors, &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page->size;
    if (more) n = (size_t)page->size;
    int64_t *ids = ARENA_ARRAY(rpc_arena(call), int64_t, n);
    for (size_t i = 0; i < n; i++) ids[i] = actors[i].account_id;
    out->next = lists_next(call, page, more, more ? actors[n - 1].id : 0, 0);
    return lists_accounts_in_order(self, g, ids, n, &out->accounts, &out->n, rpc_fault(call));
}

static int read_likes(struct fiber *self, struct rpc_call *call, const struct viewer *v, struct ids *accounts,
                      const ProtobufCMessage *request) {
    (void)accounts;
    const Rookery__V1__ListLikesRequest *in = REQUEST(ListLikesRequest);
    Rookery__V1__ListLikesResponse reply = ROOKERY__V1__LIST_LIKES_RESPONSE__INIT;
    struct page_request page;
    struct actor_page found;
    int e = lists_page(call, LIST_LIKES, in->post_id, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = list_actors(self, call, v, POST_LIST_LIKES, in->post_id, &page, &found);
    if (e != 0) return e;
    reply.accounts = found.accounts;
    reply.n_accounts = found.n;
    reply.next_page_token = found.next;
    rpc_reply(call, &reply.base);
    return 0;
}

int post_service_list_likes(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_likes);
}

static int read_reposts(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                        struct ids *accounts, const ProtobufCMessage *request) {
    (void)accounts;
    const Rookery__V1__ListRepostsRequest *in = REQUEST(ListRepostsRequest);
    Rookery__V1__ListRepostsResponse reply = ROOKERY__V1__LIST_REPOSTS_RESPONSE__INIT;
    struct page_request page;
    struct actor_page found;
    int e = lists_page(call, LIST_REPOSTS, in->post_id, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = list_actors(self, call, v, POST_LIST_REPOSTS, in->post_id, &page, &found);
    if (e != 0) return e;
    reply.accounts = found.accounts;
    reply.n_accounts = found.n;
    reply.next_page_token = found.next;
    rpc_reply(call, &reply.base);
    return 0;
}

int post_service_list_reposts(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    return with_viewer(self, call, request, read_reposts);
}
