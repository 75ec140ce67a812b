/* Paginated answers. */
#include "gateway/answer/lists.h"

#include <assert.h>

#include "core/codec/codec.h"
#include "gateway/answer/shape.h"
#include "gateway/cache/account.h"
#include "rookery/v1/post.pb-c.h"

int64_t lists_identity(enum list_kind kind, int64_t object_id, int64_t viewer_id) {
    uint64_t h = (uint64_t)kind;
    h = (h ^ (uint64_t)object_id) * UINT64_C(0x9E3779B97F4A7C15);
    h = ((h ^ h >> 29) ^ (uint64_t)viewer_id) * UINT64_C(0xBF58476D1CE4E5B9);
    return (int64_t)(h ^ h >> 32);
}

int lists_page(struct rpc_call *call, enum list_kind kind, int64_t object_id, int32_t page_size,
               const char *page_token, int64_t start, struct page_request *out) {
    *out = (struct page_request){.list = lists_identity(kind, object_id, caller_of(call)),
                                 .position = {.a = start}};
    int e = page_size_check(page_size, &out->size, rpc_fault(call));
    if (e != 0 || page_token[0] == '\0') return e;
    return page_token_decode(gateway_of(call)->page_key, str_from(page_token), out->list, &out->position,
                             rpc_fault(call));
}

char *lists_next(struct rpc_call *call, const struct page_request *page, bool more, int64_t a, int64_t b) {
    if (!more) return "";
    assert(page->size > 0);
    struct page_position p = {.list = page->list, .a = a, .b = b};
    return page_token_encode(rpc_arena(call), gateway_of(call)->page_key, &p);
}

/* The most that a post takes in a reply, with its author: its text has 4 kB at most (post.proto). */
#define LISTED_BYTES ((size_t)5 * 1024)

int lists_await_room(struct fiber *self, struct rpc_call *call, size_t n_posts) {
    size_t bytes = n_posts * LISTED_BYTES;
    return rpc_has_room(call, bytes) ? 0 : rpc_await_room(self, call, bytes);
}

/* The cache keeps summaries encoded: they are decoded again for messages. */
int lists_accounts(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                   Rookery__V1__AccountSummary ***out, size_t *n_out, struct fault *fault) {
    struct buf encoded;
    buf_init(&encoded);
    *n_out = 0;
    *out = NULL;
    int e = account_cache_append(self, g, ids, n, 3, &encoded, fault); /* as ListRepliesResponse.accounts */
    if (e == 0) {
        Rookery__V1__ListRepliesResponse *m = (Rookery__V1__ListRepliesResponse *)(void *)pb_decode(
            &rookery__v1__list_replies_response__descriptor, buf_str(&encoded), fiber_arena(self), NULL);
        *out = m->accounts;
        *n_out = m->n_accounts;
    }
    buf_free(&encoded);
    return e;
}

int lists_accounts_in_order(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                            Rookery__V1__AccountSummary ***out, size_t *n_out, struct fault *fault) {
    Rookery__V1__AccountSummary **found;
    size_t n_found;
    int e = lists_accounts(self, g, ids, n, &found, &n_found, fault);
    if (e != 0) return e;
    *out = ARENA_ARRAY(fiber_arena(self), Rookery__V1__AccountSummary *, n);
    *n_out = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_found; k++)
            if (found[k]->id == ids[i]) {
                assert(*n_out <= i);
                (*out)[(*n_out)++] = found[k];
            }
    return 0;
}

int lists_posts(struct fiber *self, struct gateway *g, const struct viewer *v, const int64_t *ids,
                size_t n_ids, Rookery__V1__Post ***out, size_t *n, struct ids *accounts,
                struct fault *fault) {
    struct arena *a = fiber_arena(self);
    const struct cached_post **found = ARENA_ARRAY(a, const struct cached_post *, n_ids);
    const struct cached_post **kept = ARENA_ARRAY(a, const struct cached_post *, n_ids);
    int e = post_cache_get(self, g, ids, n_ids, found, fault);
    if (e != 0) return e;
    size_t n_kept = 0;
    for (size_t i = 0; i < n_ids; i++)
        if (found[i] && !found[i]->deleted && found[i]->entry.repost_of_id == 0 &&
            relations_may_see(&v->relations, found[i]->entry.author_id))
            kept[n_kept++] = post_cache_copy(a, found[i]);
    struct engaged *by = ARENA_ARRAY(a, struct engaged, n_kept);
    e = shape_engaged(self, g, v, kept, n_kept, by, fault);
    if (e != 0) return e;
    *out = ARENA_ARRAY(a, Rookery__V1__Post *, n_kept);
    *n = n_kept;
    for (size_t i = 0; i < n_kept; i++) {
        (*out)[i] = shape_post(a, kept[i], by[i]);
        shape_note_post_accounts(accounts, kept[i], kept[i]);
    }
    return 0;
}

static bool is_among(const int64_t *ids, size_t n, int64_t id) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

/* Those of the hidden posts that a tombstone stands for; *out[i] is NULL for the others. */
static int find_tombstones(struct fiber *self, struct gateway *g, const struct viewer *v,
                           const int64_t *hidden, size_t n, bool all_over, Rookery__V1__Post **out,
                           struct fault *fault) {
    struct arena *a = fiber_arena(self);
    const struct cached_post **found = ARENA_ARRAY(a, const struct cached_post *, n);
    int64_t *over = NULL;
    size_t n_over = 0;
    int e =
        all_over ? 0 : post_below(self, &g->domain, hidden, n, &v->relations.blocked, &over, &n_over, fault);
    if (e == 0) e = post_cache_get(self, g, hidden, n, found, fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n; i++) {
        bool stands =
            found[i] && found[i]->entry.repost_of_id == 0 && (all_over || is_among(over, n_over, hidden[i]));
        out[i] = stands ? shape_tombstone(a, found[i]) : NULL;
    }
    return 0;
}

int lists_thread(struct fiber *self, struct gateway *g, const struct viewer *v, const int64_t *ids,
                 size_t n_ids, bool all_over, Rookery__V1__Post ***out, size_t *n, struct ids *accounts,
                 struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__Post **shown;
    size_t n_shown, n_hidden = 0, at = 0;
    int e = lists_posts(self, g, v, ids, n_ids, &shown, &n_shown, accounts, fault);
    if (e != 0 || n_shown == n_ids) {
        *out = shown;
        *n = n_shown;
        return e;
    }
    int64_t *hidden = ARENA_ARRAY(a, int64_t, n_ids);
    for (size_t i = 0; i < n_ids; i++) {
        if (at < n_shown && shown[at]->id == ids[i])
            at++;
        else
            hidden[n_hidden++] = ids[i];
    }
    assert(at == n_shown && n_hidden == n_ids - n_shown); /* what is shown is in the order of ids */
    Rookery__V1__Post **tombstones = ARENA_ARRAY(a, Rookery__V1__Post *, n_hidden);
    e = find_tombstones(self, g, v, hidden, n_hidden, all_over, tombstones, fault);
    if (e != 0) return e;
    *out = ARENA_ARRAY(a, Rookery__V1__Post *, n_ids);
    *n = at = 0;
    for (size_t i = 0, h = 0; i < n_ids; i++) {
        bool is_shown = at < n_shown && shown[at]->id == ids[i];
        Rookery__V1__Post *post = is_shown ? shown[at++] : tombstones[h++];
        if (post) (*out)[(*n)++] = post;
    }
    return 0;
}
