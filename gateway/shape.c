/* Shaping answers. */
#include "gateway/shape.h"

#include <string.h>

#include "core/base/snowflake.h"
#include "core/base/text.h"
#include "core/net/codec.h"

/* ---- protobuf pieces
 * ------------------------------------------------------------------------------------------------- */

static void append_raw_varint(struct buf *out, uint64_t v) {
    while (v >= 0x80) {
        buf_append_char(out, (char)(v | 0x80));
        v >>= 7;
    }
    buf_append_char(out, (char)v);
}

static size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

void shape_append_varint(struct buf *out, uint32_t field, int64_t value) {
    if (value == 0) return;
    append_raw_varint(out, (uint64_t)field << 3);
    append_raw_varint(out, (uint64_t)value);
}

static size_t field_size(uint32_t field, int64_t value) {
    return value == 0 ? 0 : varint_size((uint64_t)field << 3) + varint_size((uint64_t)value);
}

static void append_length(struct buf *out, uint32_t field, size_t length) {
    append_raw_varint(out, (uint64_t)field << 3 | 2);
    append_raw_varint(out, length);
}

void shape_append_bytes(struct buf *out, uint32_t field, struct str bytes) {
    append_length(out, field, bytes.len);
    buf_append_str(out, bytes);
}

/* Post's fields that are not in the cached encoding. */
enum { FIELD_LIKES = 16, FIELD_REPOSTS = 17, FIELD_REPLIES = 18, FIELD_LIKED = 19, FIELD_REPOSTED = 20 };

static size_t dynamic_size(const struct cached_post *p, struct engaged by) {
    return field_size(FIELD_LIKES, p->likes) + field_size(FIELD_REPOSTS, p->reposts) +
           field_size(FIELD_REPLIES, p->replies) + field_size(FIELD_LIKED, by.liked) +
           field_size(FIELD_REPOSTED, by.reposted);
}

void shape_append_post(struct buf *out, uint32_t field, const struct cached_post *p, struct engaged by) {
    append_length(out, field, p->encoded_len + dynamic_size(p, by));
    buf_append(out, p->encoded, p->encoded_len);
    shape_append_varint(out, FIELD_LIKES, p->likes);
    shape_append_varint(out, FIELD_REPOSTS, p->reposts);
    shape_append_varint(out, FIELD_REPLIES, p->replies);
    shape_append_varint(out, FIELD_LIKED, by.liked);
    shape_append_varint(out, FIELD_REPOSTED, by.reposted);
}

/* A Timestamp as bytes; at most 17. */
static size_t encode_time(char out[static 20], int64_t ms) {
    struct buf b = {.ptr = out, .cap = 20};
    shape_append_varint(&b, 1, ms / 1000);
    shape_append_varint(&b, 2, ms % 1000 * 1000000);
    return b.len;
}

enum { ITEM_ID = 1, ITEM_POST = 2, ITEM_REPOSTED_BY = 3, ITEM_REPOST_TIME = 4 };

void shape_append_item(struct buf *out, uint32_t field, const struct cached_post *entry,
                       const struct cached_post *shown, struct engaged by) {
    size_t post_len = shown->encoded_len + dynamic_size(shown, by);
    size_t size = field_size(ITEM_ID, entry->lru.id) + 1 + varint_size(post_len) + post_len;
    char time[20];
    size_t time_len = 0;
    bool is_repost = entry != shown;
    if (is_repost) {
        time_len = encode_time(time, snowflake_time_ms(entry->lru.id));
        size += field_size(ITEM_REPOSTED_BY, entry->entry.author_id) + 1 + varint_size(time_len) + time_len;
    }
    append_length(out, field, size);
    shape_append_varint(out, ITEM_ID, entry->lru.id);
    shape_append_post(out, ITEM_POST, shown, by);
    if (!is_repost) return;
    shape_append_varint(out, ITEM_REPOSTED_BY, entry->entry.author_id);
    shape_append_bytes(out, ITEM_REPOST_TIME, (struct str){time, time_len});
}

/* ---- messages
 * -------------------------------------------------------------------------------------------------------- */

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

/* ---- what the viewer has done
 * ---------------------------------------------------------------------------------------- */

static bool has(const struct ids *s, int64_t id) {
    return ids_contains(s->v, s->len, id);
}

int shape_engaged(struct fiber *self, struct gateway *g, const struct viewer *v,
                  const struct cached_post *const *posts, size_t n, struct engaged *out,
                  struct fault *fault) {
    const struct engagements *known = &v->engagements;
    int64_t *unknown = ARENA_ARRAY(fiber_arena(self), int64_t, n),
            *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    size_t n_unknown = 0;
    for (size_t i = 0; i < n; i++) {
        ids[i] = posts[i]->lru.id;
        out[i] = (struct engaged){has(&known->liked, ids[i]), has(&known->reposted, ids[i])};
        if (ids[i] < known->liked_floor || ids[i] < known->reposted_floor) unknown[n_unknown++] = ids[i];
    }
    if (n_unknown == 0) return 0;
    struct ids liked, reposted;
    int e = post_engaged_in(self, &g->domain, v->relations.viewer_id, unknown, n_unknown, &liked, &reposted,
                            fault);
    if (e != 0) return e;
    for (size_t i = 0; i < n; i++) {
        out[i].liked = out[i].liked || has(&liked, ids[i]);
        out[i].reposted = out[i].reposted || has(&reposted, ids[i]);
    }
    ids_free(&liked);
    ids_free(&reposted);
    return 0;
}

/* ---- accounts spoken of
 * ---------------------------------------------------------------------------------------------- */

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
