/* Shaping answers. */
#include "gateway/answer/shape.h"

#include <string.h>

#include "core/codec/codec.h"
#include "core/id/snowflake.h"
#include "core/text/text.h"

/* ---- protobuf pieces
 * -------------------------------------------------------------------------------------------------
 *
 * Room is reserved once for an item, whose size is known before it is written; the put functions then write without
 * looking at the end, and return where they stopped. */

/* A tag of a field below 2048 and a varint take at most this. */
#define VARINT_FIELD_MAX 12

static char *put_varint(char *p, uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static size_t varint_size(uint64_t v) {
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

static char *put_number(char *p, uint32_t field, int64_t value) {
    return value == 0 ? p : put_varint(put_varint(p, (uint64_t)field << 3), (uint64_t)value);
}

static size_t number_size(uint32_t field, int64_t value) {
    return value == 0 ? 0 : varint_size((uint64_t)field << 3) + varint_size((uint64_t)value);
}

static char *put_length(char *p, uint32_t field, size_t length) {
    return put_varint(put_varint(p, (uint64_t)field << 3 | 2), length);
}

static size_t bytes_size(uint32_t field, size_t length) {
    return varint_size((uint64_t)field << 3) + varint_size(length) + length;
}

static char *put_bytes(char *p, uint32_t field, struct str bytes) {
    p = put_length(p, field, bytes.len);
    if (bytes.len > 0) memcpy(p, bytes.ptr, bytes.len);
    return p + bytes.len;
}

void shape_append_bytes(struct buf *out, uint32_t field, struct str bytes) {
    char *start = buf_reserve(out, bytes.len + 2 * VARINT_FIELD_MAX);
    out->len += (size_t)(put_bytes(start, field, bytes) - start);
}

/* Post's fields that are not in the cached encoding. */
enum { FIELD_LIKES = 16, FIELD_REPOSTS = 17, FIELD_REPLIES = 18, FIELD_LIKED = 19, FIELD_REPOSTED = 20 };

static size_t post_size(const struct cached_post *p, struct engaged by) {
    return p->encoded_len + number_size(FIELD_LIKES, p->likes) + number_size(FIELD_REPOSTS, p->reposts) +
           number_size(FIELD_REPLIES, p->replies) + number_size(FIELD_LIKED, by.liked) +
           number_size(FIELD_REPOSTED, by.reposted);
}

/* A Timestamp as bytes; at most 17. */
static size_t encode_time(char out[static 2 * VARINT_FIELD_MAX], int64_t ms) {
    char *p = put_number(out, 1, ms / 1000);
    return (size_t)(put_number(p, 2, ms % 1000 * 1000000) - out);
}

static char *put_post(char *p, uint32_t field, const struct cached_post *post, size_t size,
                      struct engaged by) {
    p = put_length(p, field, size);
    memcpy(p, post->encoded, post->encoded_len);
    p = put_number(p + post->encoded_len, FIELD_LIKES, post->likes);
    p = put_number(p, FIELD_REPOSTS, post->reposts);
    p = put_number(p, FIELD_REPLIES, post->replies);
    p = put_number(p, FIELD_LIKED, by.liked);
    return put_number(p, FIELD_REPOSTED, by.reposted);
}

void shape_append_post(struct buf *out, uint32_t field, const struct cached_post *post, struct engaged by) {
    size_t size = post_size(post, by);
    char *start = buf_reserve(out, size + VARINT_FIELD_MAX);
    out->len += (size_t)(put_post(start, field, post, size, by) - start);
}

enum { ITEM_ID = 1, ITEM_POST = 2, ITEM_REPOSTED_BY = 3, ITEM_REPOST_TIME = 4 };

void shape_append_item(struct buf *out, uint32_t field, const struct cached_post *entry,
                       const struct cached_post *shown, struct engaged by) {
    size_t shown_size = post_size(shown, by);
    size_t size = number_size(ITEM_ID, entry->lru.id) + bytes_size(ITEM_POST, shown_size);
    char time[2 * VARINT_FIELD_MAX];
    size_t time_len = 0;
    bool is_repost = entry != shown;
    if (is_repost) {
        time_len = encode_time(time, snowflake_time_ms(entry->lru.id));
        size +=
            number_size(ITEM_REPOSTED_BY, entry->entry.author_id) + bytes_size(ITEM_REPOST_TIME, time_len);
    }
    char *start = buf_reserve(out, size + VARINT_FIELD_MAX);
    char *p = put_number(put_length(start, field, size), ITEM_ID, entry->lru.id);
    p = put_post(p, ITEM_POST, shown, shown_size, by);
    if (is_repost) {
        p = put_number(p, ITEM_REPOSTED_BY, entry->entry.author_id);
        p = put_bytes(p, ITEM_REPOST_TIME, (struct str){time, time_len});
    }
    out->len += (size_t)(p - start);
}

/* ---- messages ------------------------------------------------------------------------------------------ */

Google__Protobuf__Timestamp *shape_time(struct arena *a, int64_t ms) {
    Google__Protobuf__Timestamp *t = ARENA_NEW(a, Google__Protobuf__Timestamp);
    google__protobuf__timestamp__init(t);
    t->seconds = ms / 1000;
    t->nanos = (int32_t)(ms % 1000 * 1000000);
    return t;
}

static Rookery__V1__Mention *mention(struct arena *a, const struct text_entity *e) {
    Rookery__V1__Mention *m = ARENA_NEW(a, Rookery__V1__Mention);
    rookery__v1__mention__init(m);
    m->start = (int32_t)e->start;
    m->end = (int32_t)e->end;
    m->handle = (char *)(uintptr_t)e->value.ptr;
    return m;
}

static Rookery__V1__Hashtag *hashtag(struct arena *a, const struct text_entity *e) {
    Rookery__V1__Hashtag *h = ARENA_NEW(a, Rookery__V1__Hashtag);
    rookery__v1__hashtag__init(h);
    h->start = (int32_t)e->start;
    h->end = (int32_t)e->end;
    h->tag = (char *)(uintptr_t)e->value.ptr;
    return h;
}

static void set_entities(struct arena *a, struct str text, Rookery__V1__Post *m) {
    struct text_entities found;
    text_parse_entities(a, text, &found);
    m->mentions = ARENA_ARRAY(a, Rookery__V1__Mention *, found.n_mentions);
    m->hashtags = ARENA_ARRAY(a, Rookery__V1__Hashtag *, found.n_hashtags);
    for (size_t i = 0; i < found.n_mentions; i++)
        m->mentions[m->n_mentions++] = mention(a, &found.mentions[i]);
    for (size_t i = 0; i < found.n_hashtags; i++)
        m->hashtags[m->n_hashtags++] = hashtag(a, &found.hashtags[i]);
}

struct str shape_encode_static(struct arena *a, const struct post *p) {
    if (p->entry.repost_of_id != 0) return (struct str){"", 0};
    Rookery__V1__Post m = ROOKERY__V1__POST__INIT;
    m.id = p->entry.id;
    m.author_id = p->entry.author_id;
    m.text = str_to_cstr(a, p->text);
    m.reply_to_id = p->reply_to_id;
    m.reply_to_account_id = p->entry.reply_to_account_id;
    m.thread_id = p->thread_id;
    m.create_time = shape_time(a, snowflake_time_ms(p->entry.id));
    if (p->edited_ms != 0) m.edit_time = shape_time(a, p->edited_ms);
    m.edit_count = p->edit_count;
    set_entities(a, p->text, &m);
    return pb_encode_arena(&m.base, a);
}

Rookery__V1__AccountSummary *shape_summary(struct arena *a, const struct account_summary *s) {
    Rookery__V1__AccountSummary *m = ARENA_NEW(a, Rookery__V1__AccountSummary);
    rookery__v1__account_summary__init(m);
    m->id = s->id;
    m->handle = str_to_cstr(a, s->handle);
    m->display_name = str_to_cstr(a, s->display_name);
    return m;
}

struct str shape_encode_summary(struct arena *a, const struct account_summary *s) {
    return pb_encode_arena(&shape_summary(a, s)->base, a);
}

Rookery__V1__Post *shape_post(struct arena *a, const struct cached_post *p, struct engaged by) {
    struct str encoded = {p->encoded, p->encoded_len};
    Rookery__V1__Post *m =
        (Rookery__V1__Post *)(void *)pb_decode(&rookery__v1__post__descriptor, encoded, a, NULL);
    m->like_count = p->likes;
    m->repost_count = p->reposts;
    m->reply_count = p->replies;
    m->liked_by_viewer = by.liked;
    m->reposted_by_viewer = by.reposted;
    return m;
}

Rookery__V1__Account *shape_account(struct arena *a, const struct account *account) {
    Rookery__V1__Account *m = ARENA_NEW(a, Rookery__V1__Account);
    rookery__v1__account__init(m);
    m->id = account->id;
    m->handle = str_to_cstr(a, account->handle);
    m->display_name = str_to_cstr(a, account->display_name);
    m->bio = str_to_cstr(a, account->bio);
    m->create_time = shape_time(a, snowflake_time_ms(account->id));
    m->follower_count = account->follower_count;
    m->following_count = account->following_count;
    m->post_count = account->post_count;
    return m;
}

/* ---- what the viewer has done -------------------------------------------------------------------------- */

static bool has(const struct ids *s, int64_t id) {
    return ids_contains(s->v, s->len, id);
}

bool shape_engaged_known(const struct viewer *v, const struct cached_post *const *posts, size_t n,
                         struct engaged *out) {
    const struct engagements *known = &v->engagements;
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        int64_t id = posts[i]->lru.id;
        out[i] = engagements_may_have(known, id)
                     ? (struct engaged){has(&known->liked, id), has(&known->reposted, id)}
                     : (struct engaged){false, false};
        if (id < known->liked_floor || id < known->reposted_floor) all = false;
    }
    return all;
}

int shape_engaged(struct fiber *self, struct gateway *g, const struct viewer *v,
                  const struct cached_post *const *posts, size_t n, struct engaged *out,
                  struct fault *fault) {
    if (shape_engaged_known(v, posts, n, out)) return 0;
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    for (size_t i = 0; i < n; i++) ids[i] = posts[i]->lru.id;
    struct ids liked, reposted;
    int e = post_engaged_in(self, &g->domain, v->relations.viewer_id, ids, n, &liked, &reposted, fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n; i++) {
        out[i].liked = out[i].liked || has(&liked, ids[i]);
        out[i].reposted = out[i].reposted || has(&reposted, ids[i]);
    }
    ids_free(&liked);
    ids_free(&reposted);
    return 0;
}

/* ---- accounts spoken of -------------------------------------------------------------------------------- */

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
