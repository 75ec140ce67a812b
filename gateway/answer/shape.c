/* Shaping answers. */
#include "gateway/answer/shape.h"

#include <assert.h>
#include <string.h>

#include "core/codec/codec.h"
#include "core/codec/wire.h"
#include "core/id/snowflake.h"

/* ---- protobuf pieces ------------------------------------------------------------------------------------ */

/* Post's fields that are not in the cached encoding. */
enum { FIELD_LIKES = 16, FIELD_REPOSTS = 17, FIELD_REPLIES = 18 };
static const uint32_t ENGAGED_FIELDS[ENGAGEMENT_KINDS] = {
    [ENGAGED_LIKED] = 19, [ENGAGED_REPOSTED] = 20, [ENGAGED_BOOKMARKED] = 21};

static size_t post_size(const struct cached_post *p, struct engaged by) {
    size_t size = p->encoded_len + wire_number_size(FIELD_LIKES, p->likes) +
                  wire_number_size(FIELD_REPOSTS, p->reposts) + wire_number_size(FIELD_REPLIES, p->replies);
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++)
        size += wire_number_size(ENGAGED_FIELDS[kind], by.is[kind]);
    return size;
}

/* A Timestamp as bytes; at most 17. */
static size_t encode_time(char out[static 2 * WIRE_FIELD_MAX], int64_t ms) {
    char *p = wire_put_number(out, 1, ms / 1000);
    return (size_t)(wire_put_number(p, 2, ms % 1000 * 1000000) - out);
}

static char *put_post(char *p, uint32_t field, const struct cached_post *post, size_t size,
                      struct engaged by) {
    p = wire_put_length(p, field, size);
    const char *body = p;
    memcpy(p, post->encoded, post->encoded_len);
    p = wire_put_number(p + post->encoded_len, FIELD_LIKES, post->likes);
    p = wire_put_number(p, FIELD_REPOSTS, post->reposts);
    p = wire_put_number(p, FIELD_REPLIES, post->replies);
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++)
        p = wire_put_number(p, ENGAGED_FIELDS[kind], by.is[kind]);
    assert((size_t)(p - body) == size);
    return p;
}

void shape_append_post(struct buf *out, uint32_t field, const struct cached_post *post, struct engaged by) {
    size_t size = post_size(post, by);
    char *start = buf_reserve(out, size + WIRE_FIELD_MAX);
    out->len += (size_t)(put_post(start, field, post, size, by) - start);
}

enum { ITEM_ID = 1, ITEM_POST = 2, ITEM_REPOSTED_BY = 3, ITEM_REPOST_TIME = 4 };

void shape_append_item(struct buf *out, uint32_t field, const struct cached_post *entry,
                       const struct cached_post *shown, struct engaged by) {
    size_t shown_size = post_size(shown, by);
    size_t size = wire_number_size(ITEM_ID, entry->lru.id) + wire_bytes_size(ITEM_POST, shown_size);
    char time[2 * WIRE_FIELD_MAX];
    size_t time_len = 0;
    bool is_repost = entry != shown;
    assert(entry->entry.repost_of_id == (is_repost ? shown->lru.id : 0));
    if (is_repost) {
        time_len = encode_time(time, snowflake_time_ms(entry->lru.id));
        size += wire_number_size(ITEM_REPOSTED_BY, entry->entry.author_id) +
                wire_bytes_size(ITEM_REPOST_TIME, time_len);
    }
    char *start = buf_reserve(out, size + WIRE_FIELD_MAX);
    char *body = wire_put_length(start, field, size), *p = wire_put_number(body, ITEM_ID, entry->lru.id);
    p = put_post(p, ITEM_POST, shown, shown_size, by);
    if (is_repost) {
        p = wire_put_number(p, ITEM_REPOSTED_BY, entry->entry.author_id);
        p = wire_put_bytes(p, ITEM_REPOST_TIME, (struct str){time, time_len});
    }
    assert((size_t)(p - body) == size);
    out->len += (size_t)(p - start);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

Rookery__V1__Post *shape_post(struct arena *a, const struct cached_post *p, struct engaged by) {
    assert(p->entry.repost_of_id == 0); /* of a repost, what it shows is shaped */
    struct str encoded = {p->encoded, p->encoded_len};
    Rookery__V1__Post *m =
        (Rookery__V1__Post *)(void *)pb_decode(&rookery__v1__post__descriptor, encoded, a, NULL);
    m->like_count = p->likes;
    m->repost_count = p->reposts;
    m->reply_count = p->replies;
    m->liked_by_viewer = by.is[ENGAGED_LIKED];
    m->reposted_by_viewer = by.is[ENGAGED_REPOSTED];
    m->bookmarked_by_viewer = by.is[ENGAGED_BOOKMARKED];
    return m;
}

Rookery__V1__Post *shape_tombstone(struct arena *a, const struct cached_post *p) {
    const Rookery__V1__Post *whole = shape_post(a, p, (struct engaged){0});
    Rookery__V1__Post *m = ARENA_NEW(a, Rookery__V1__Post);
    rookery__v1__post__init(m);
    m->id = whole->id;
    m->reply_to_id = whole->reply_to_id;
    m->thread_id = whole->thread_id;
    m->reply_count = whole->reply_count;
    m->deleted = true;
    return m;
}

/* ---- what the viewer has done -------------------------------------------------------------------------- */

/* Adds what the lists say of a post. */
static void note_engaged(struct engaged *by, const struct ids of[static ENGAGEMENT_KINDS], int64_t id) {
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++)
        by->is[kind] |= ids_contains(of[kind].v, of[kind].len, id);
}

struct engaged shape_engaged_in(const struct ids of[static ENGAGEMENT_KINDS], int64_t id) {
    struct engaged by = {0};
    note_engaged(&by, of, id);
    return by;
}

static int64_t highest_floor(const struct engagements *e) {
    int64_t highest = 0;
    for (int kind = 0; kind < ENGAGEMENT_KINDS; kind++)
        if (e->floor[kind] > highest) highest = e->floor[kind];
    return highest;
}

bool shape_engaged_known(const struct viewer *v, const struct cached_post *const *posts, size_t n,
                         struct engaged *out) {
    const struct engagements *known = &v->engagements;
    int64_t floor = highest_floor(known);
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        int64_t id = posts[i]->lru.id;
        out[i] = engagements_may_have(known, id) ? shape_engaged_in(known->of, id) : (struct engaged){0};
        if (id < floor) all = false;
    }
    return all;
}

int shape_engaged(struct fiber *self, struct gateway *g, const struct viewer *v,
                  const struct cached_post *const *posts, size_t n, struct engaged *out,
                  struct fault *fault) {
    if (shape_engaged_known(v, posts, n, out)) return 0;
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    for (size_t i = 0; i < n; i++) ids[i] = posts[i]->lru.id;
    struct ids engaged[ENGAGEMENT_KINDS];
    int e = post_engaged_in(self, &g->domain, v->relations.viewer_id, ids, n, engaged, fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n; i++) note_engaged(&out[i], engaged, ids[i]);
    engaged_free(engaged);
    return 0;
}

/* ---- accounts mentioned -------------------------------------------------------------------------------- */

void shape_note_account(struct ids *accounts, int64_t id) {
    if (id == 0) return;
    for (size_t i = 0; i < accounts->len; i++)
        if (accounts->v[i] == id) return;
    ids_push(accounts, id);
}

void shape_note_post_accounts(struct ids *accounts, const struct cached_post *entry,
                              const struct cached_post *shown) {
    shape_note_account(accounts, entry->entry.author_id);
    shape_note_account(accounts, shown->entry.author_id);
    shape_note_account(accounts, shown->entry.reply_to_account_id);
}
