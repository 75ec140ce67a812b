/* Messages of domain rows. */
#include "gateway/cache/message.h"

#include "core/codec/codec.h"
#include "core/id/snowflake.h"
#include "core/text/text.h"

Google__Protobuf__Timestamp *message_time(struct arena *a, int64_t ms) {
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

struct str message_encode_post(struct arena *a, const struct post *p) {
    if (p->entry.repost_of_id != 0) return (struct str){"", 0};
    Rookery__V1__Post m = ROOKERY__V1__POST__INIT;
    m.id = p->entry.id;
    m.author_id = p->entry.author_id;
    m.text = str_to_cstr(a, p->text);
    m.reply_to_id = p->reply_to_id;
    m.reply_to_account_id = p->entry.reply_to_account_id;
    m.thread_id = p->thread_id;
    m.create_time = message_time(a, snowflake_time_ms(p->entry.id));
    if (p->edited_ms != 0) m.edit_time = message_time(a, p->edited_ms);
    m.edit_count = p->edit_count;
    set_entities(a, p->text, &m);
    return pb_encode_arena(&m.base, a);
}

Rookery__V1__AccountSummary *message_summary(struct arena *a, const struct account_summary *s) {
    Rookery__V1__AccountSummary *m = ARENA_NEW(a, Rookery__V1__AccountSummary);
    rookery__v1__account_summary__init(m);
    m->id = s->id;
    m->handle = str_to_cstr(a, s->handle);
    m->display_name = str_to_cstr(a, s->display_name);
    return m;
}

struct str message_encode_summary(struct arena *a, const struct account_summary *s) {
    return pb_encode_arena(&message_summary(a, s)->base, a);
}

Rookery__V1__Account *message_account(struct arena *a, const struct account *account) {
    Rookery__V1__Account *m = ARENA_NEW(a, Rookery__V1__Account);
    rookery__v1__account__init(m);
    m->id = account->id;
    m->handle = str_to_cstr(a, account->handle);
    m->display_name = str_to_cstr(a, account->display_name);
    m->bio = str_to_cstr(a, account->bio);
    m->create_time = message_time(a, snowflake_time_ms(account->id));
    m->follower_count = account->follower_count;
    m->following_count = account->following_count;
    m->post_count = account->post_count;
    return m;
}
