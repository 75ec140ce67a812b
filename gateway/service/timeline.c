/* TimelineService. Replies are assembled from encoded parts, not built as messages. */
#include <assert.h>

#include "core/codec/wire.h"
#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/cache/account.h"
#include "gateway/home/home.h"
#include "gateway/home/impressions.h"
#include "gateway/live/live.h"
#include "gateway/service/service.h"

/* GetHomeTimelineResponse and GetUserTimelineResponse have the same fields. */
enum { RESPONSE_ITEMS = 1, RESPONSE_NEXT = 2, RESPONSE_ACCOUNTS = 3 };
enum { AROUND_POST_BYTES = 512 };

/* Writes items, token and accounts into the reply. The posts are used before anything suspends, unless the
 * viewer's likes must be asked for: then they are copied first. */
static int reply_items(struct fiber *self, struct rpc_call *call, const struct viewer *v,
                       const struct cached_post **entries, const struct cached_post **shown, size_t n,
                       char *next) {
    struct gateway *g = gateway_of(call);
    struct arena *a = rpc_arena(call);
    struct engaged *by = ARENA_ARRAY(a, struct engaged, n);
    if (!shape_engaged_known(v, shown, n, by)) {
        post_cache_copy_shown(a, entries, shown, n);
        int e = shape_engaged(self, g, v, shown, n, by, rpc_fault(call));
        if (e != 0) return e;
    }
    struct buf *out = rpc_reply_open(call);
    struct ids accounts = {.v = ARENA_ARRAY(a, int64_t, 3 * n),
                           .cap = 3 * n}; /* an item notes three at most */
    for (size_t i = 0; i < n; i++) {
        assert(accounts.len + 3 <= accounts.cap);
        shape_append_item(out, RESPONSE_ITEMS, entries[i], shown[i], by[i]);
        shape_note_post_accounts(&accounts, entries[i], shown[i]);
    }
    if (next[0] != '\0') wire_append_bytes(out, RESPONSE_NEXT, str_from(next));
    int e = account_cache_append(self, g, accounts.v, accounts.len, RESPONSE_ACCOUNTS, out, rpc_fault(call));
    if (e == 0) rpc_reply_close(call);
    return e;
}

/* The bytes of the posts, and some for what stands around them. */
static size_t page_bytes(const struct home_page *page) {
    size_t bytes = 0;
    for (size_t i = 0; i < page->n; i++) bytes += page->shown[i]->encoded_len + AROUND_POST_BYTES;
    return bytes;
}

/* The page is read again if it may be made only later: what was read is not kept while the call waits. */
static int read_home(struct fiber *self, struct rpc_call *call, const struct home_request *r,
                     struct home_page *page) {
    for (;;) {
        int e = home_read(self, gateway_of(call), r, page, rpc_fault(call));
        size_t bytes = e == 0 ? page_bytes(page) : 0;
        if (e != 0 || rpc_has_room(call, bytes)) return e;
        viewer_release(page->viewer);
        e = rpc_await_room(self, call, bytes);
        if (e != 0) return e;
    }
}

int timeline_service_get_home_timeline(struct fiber *self, struct rpc_call *call,
                                       const ProtobufCMessage *request) {
    const Rookery__V1__GetHomeTimelineRequest *in = REQUEST(GetHomeTimelineRequest);
    struct page_request page;
    int e = lists_page(call, LIST_HOME, 0, in->page_size, in->page_token, INT64_MAX, &page);
    if (e != 0) return e;
    struct home_request r = {
        .viewer_id = caller_of(call),
        .before = page.position.a,
        .served = (size_t)page.position.b,
        .limit = (size_t)page.size,
    };
    struct home_page found;
    e = read_home(self, call, &r, &found);
    if (e != 0) return e;
    impressions_note(gateway_of(call)->impressions, caller_of(call), found.shown, found.n);
    int64_t last = found.n > 0 ? found.entries[found.n - 1]->lru.id : 0;
    char *next = lists_next(call, &page, found.more && found.n > 0, last, page.position.b + (int64_t)found.n);
    assert(home_page_is_current(self, &found));
    e = reply_items(self, call, found.viewer, found.entries, found.shown, found.n, next);
    viewer_release(found.viewer);
    return e;
}

/* ---- an account's own ---------------------------------------------------------------------------------- */

struct user_page {
    const struct cached_post **entries, **shown;
    size_t n;
    int64_t last; /* id of the last entry considered */
    bool more;
};

/* Adds what may be shown of these entries. */
static int add_entries(struct fiber *self, struct gateway *g, const struct viewer *v, const int64_t *ids,
                       size_t n, size_t limit, struct user_page *page, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    for (size_t i = 0; i < n; i++) {
        const struct cached_post *entry, *shown;
        int e = post_cache_get(self, g, &ids[i], 1, &entry, fault);
        if (e != 0) return e;
        if (!entry || entry->deleted) continue;
        entry = shown = post_cache_copy(a, entry);
        if (entry->entry.repost_of_id != 0)
            e = post_cache_get(self, g, &entry->entry.repost_of_id, 1, &shown, fault);
        if (e != 0) return e;
        if (!shown || shown->deleted || !relations_may_see(&v->relations, shown->entry.author_id)) continue;
        if (page->n == limit) {
            page->more = true;
            return 0;
        }
        assert(page->n < limit && (page->n == 0 || ids[i] < page->last));
        page->entries[page->n] = entry;
        page->shown[page->n++] = shown == entry ? entry : post_cache_copy(a, shown);
        page->last = ids[i];
    }
    return 0;
}

static int fill_user_page(struct fiber *self, struct gateway *g, const struct viewer *v, int64_t author_id,
                          int64_t before, size_t limit, struct user_page *page, struct fault *fault) {
    page->entries = ARENA_ARRAY(fiber_arena(self), const struct cached_post *, limit);
    page->shown = ARENA_ARRAY(fiber_arena(self), const struct cached_post *, limit);
    size_t piece = limit + 1;
    for (int pieces = 0; pieces < LISTS_PIECES; pieces++) {
        int64_t *ids;
        size_t n;
        int e = post_by_author(self, &g->domain, author_id, before, (int)piece, &ids, &n, fault);
        const struct cached_post **warm = ARENA_ARRAY(fiber_arena(self), const struct cached_post *, piece);
        if (e == 0)
            e = post_cache_get(self, g, ids, n, warm,
                               fault); /* all in one statement; then one by one from the cache */
        if (e == 0) e = add_entries(self, g, v, ids, n, limit, page, fault);
        if (e != 0 || page->more || n < piece) return e;
        before = ids[n - 1];
        if (piece < LISTS_PIECE) piece = LISTS_PIECE;
    }
    page->more = true;
    page->last = before;
    return 0;
}

int timeline_service_get_user_timeline(struct fiber *self, struct rpc_call *call,
                                       const ProtobufCMessage *request) {
    const Rookery__V1__GetUserTimelineRequest *in = REQUEST(GetUserTimelineRequest);
    struct gateway *g = gateway_of(call);
    struct page_request page;
    struct account owner;
    struct viewer *v;
    int e =
        lists_page(call, LIST_USER_TIMELINE, in->account_id, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = account_get(self, &g->domain, in->account_id, &owner, rpc_fault(call));
    if (e == 0) e = viewer_find(self, g, caller_of(call), &v, rpc_fault(call));
    if (e != 0) return e;
    struct user_page found = {0};
    e = lists_await_room(self, call, (size_t)page.size);
    if (e == 0 && !relations_may_see(&v->relations, in->account_id))
        e = fault_set(rpc_fault(call), ERR_PERMISSION_DENIED,
                      "one of the two accounts has blocked the other");
    if (e == 0)
        e = fill_user_page(self, g, v, in->account_id, page.position.a, (size_t)page.size, &found,
                           rpc_fault(call));
    if (e == 0) {
        char *next = lists_next(call, &page, found.more, found.last, 0);
        e = reply_items(self, call, v, found.entries, found.shown, found.n, next);
    }
    viewer_release(v);
    return e;
}

int timeline_service_stream_home_timeline(struct fiber *self, struct rpc_call *call,
                                          const ProtobufCMessage *request) {
    return live_subscribe(self, gateway_of(call), call,
                          str_from(REQUEST(StreamHomeTimelineRequest)->resume_token));
}
