/* Items put together from encoded parts are the messages they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/codec/codec.h"
#include "core/id/snowflake.h"
#include "gateway/answer/shape.h"

static struct arena arena;

static int64_t id_at(int64_t ms) {
    return snowflake_floor(INT64_C(1750000000000) + ms);
}

static struct post some_post(int64_t id, const char *text) {
    return (struct post){.entry = {.id = id, .author_id = 42}, .text = str_from(text), .thread_id = id};
}

static const Rookery__V1__TimelineItem *only_item(const struct buf *b) {
    const Rookery__V1__GetHomeTimelineResponse *m =
        (const Rookery__V1__GetHomeTimelineResponse *)(const void *)pb_decode(
            &rookery__v1__get_home_timeline_response__descriptor, buf_str(b), &arena, NULL);
    assert_non_null(m);
    assert_int_equal(m->n_items, 1);
    return m->items[0];
}

static void a_post_has_its_text_its_tags_and_its_counts(void **state) {
    (void)state;
    struct post p = some_post(id_at(1234), "Grüße @Ada_1 und #Vögel");
    p.likes = 300;
    p.replies = 1;
    p.edited_ms = INT64_C(1750000009000);
    p.edit_count = 2;
    const struct cached_post *c = post_cache_wrap(&arena, &p);
    struct buf b;
    buf_init(&b);
    shape_append_item(&b, 1, c, c, (struct engaged){{[ENGAGED_LIKED] = true}});
    const Rookery__V1__TimelineItem *item = only_item(&b);
    assert_int_equal(item->id, p.entry.id);
    assert_int_equal(item->reposted_by_id, 0);
    assert_null(item->repost_time);
    const Rookery__V1__Post *m = item->post;
    assert_string_equal(m->text, "Grüße @Ada_1 und #Vögel");
    assert_int_equal(m->author_id, 42);
    assert_int_equal(m->create_time->seconds, 1750000001);
    assert_int_equal(m->create_time->nanos, 234000000);
    assert_int_equal(m->edit_time->seconds, 1750000009);
    assert_int_equal(m->edit_count, 2);
    assert_int_equal(m->n_mentions, 1);
    assert_string_equal(m->mentions[0]->handle, "ada_1");
    assert_int_equal(m->n_hashtags, 1);
    assert_string_equal(m->hashtags[0]->tag, "vögel");
    assert_int_equal(m->like_count, 300);
    assert_int_equal(m->repost_count, 0);
    assert_int_equal(m->reply_count, 1);
    assert_true(m->liked_by_viewer);
    assert_false(m->reposted_by_viewer);
    buf_free(&b);
}

static void a_repost_says_who_and_when(void **state) {
    (void)state;
    struct post original = some_post(id_at(0), "original");
    struct post repost = {.entry = {.id = id_at(60000), .author_id = 7, .repost_of_id = original.entry.id}};
    const struct cached_post *shown = post_cache_wrap(&arena, &original),
                             *entry = post_cache_wrap(&arena, &repost);
    struct buf b;
    buf_init(&b);
    shape_append_item(&b, 1, entry, shown, (struct engaged){0});
    const Rookery__V1__TimelineItem *item = only_item(&b);
    assert_int_equal(item->id, repost.entry.id);
    assert_int_equal(item->post->id, original.entry.id);
    assert_int_equal(item->reposted_by_id, 7);
    assert_int_equal(item->repost_time->seconds, 1750000060);
    buf_free(&b);
}

/* Lengths on both sides of every size of varint. */
static void every_length_is_announced_as_it_is(void **state) {
    (void)state;
    static char text[20000];
    static const size_t lengths[] = {0,   1,   50,  100,   110,   120,   126,   127,
                                     128, 129, 130, 16300, 16383, 16384, 16390, 19999};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(text, 'x', lengths[i]);
        text[lengths[i]] = '\0';
        struct post p = some_post((int64_t)i + 1, text);
        p.likes = INT64_C(1) << (i * 4);
        const struct cached_post *c = post_cache_wrap(&arena, &p);
        struct buf b;
        buf_init(&b);
        shape_append_item(&b, 1, c, c, (struct engaged){{[ENGAGED_REPOSTED] = true}});
        const Rookery__V1__TimelineItem *item = only_item(&b);
        assert_int_equal(strlen(item->post->text), lengths[i]);
        assert_true(item->post->like_count == p.likes);
        assert_true(item->post->reposted_by_viewer);
        buf_free(&b);
    }
}

static void everybody_spoken_of_is_noted_once(void **state) {
    (void)state;
    struct post original = some_post(5, "x"),
                repost = {.entry = {.id = 9, .author_id = 7, .repost_of_id = 5}};
    original.entry.reply_to_account_id = 7;
    const struct cached_post *shown = post_cache_wrap(&arena, &original),
                             *entry = post_cache_wrap(&arena, &repost);
    struct ids accounts;
    ids_init(&accounts);
    shape_note_post_accounts(&accounts, entry, shown);
    shape_note_post_accounts(&accounts, entry, shown);
    assert_int_equal(accounts.len, 2);
    assert_int_equal(accounts.v[0], 7);
    assert_int_equal(accounts.v[1], 42);
    ids_free(&accounts);
}

static void likes_below_the_floor_must_be_asked_for(void **state) {
    (void)state;
    struct viewer v = {0};
    int64_t liked[] = {10, 20}, reposted[] = {20};
    v.engagements.of[ENGAGED_LIKED] = (struct ids){.v = liked, .len = 2};
    v.engagements.of[ENGAGED_REPOSTED] = (struct ids){.v = reposted, .len = 1};
    engagements_index(&v.engagements);
    struct post a = some_post(20, "a"), b = some_post(10, "b"), c = some_post(5, "c");
    const struct cached_post *posts[] = {post_cache_wrap(&arena, &a), post_cache_wrap(&arena, &b),
                                         post_cache_wrap(&arena, &c)};
    struct engaged by[3];
    assert_true(shape_engaged_known(&v, posts, 3, by));
    assert_true(by[0].is[ENGAGED_LIKED] && by[0].is[ENGAGED_REPOSTED] && by[1].is[ENGAGED_LIKED] &&
                !by[1].is[ENGAGED_REPOSTED] && !by[2].is[ENGAGED_LIKED]);
    v.engagements.floor[ENGAGED_LIKED] = 10;
    assert_true(shape_engaged_known(&v, posts, 2, by));
    assert_false(shape_engaged_known(&v, posts, 3, by));
}

static void no_engagement_is_passed_over_by_the_filter(void **state) {
    enum { N = 2000 };
    static int64_t liked[N], reposted[N];
    struct engagements e = {.of = {{.v = liked, .len = 0}, {.v = reposted, .len = 0}}};
    (void)state;
    for (size_t n = 0; n <= N; n = n * 3 + 1) {
        e.of[ENGAGED_LIKED].len = e.of[ENGAGED_REPOSTED].len = n;
        for (size_t i = 0; i < n; i++) {
            liked[i] = (int64_t)(i * i * 40503) << 10;
            reposted[i] = liked[i] + 1;
        }
        engagements_index(&e);
        for (size_t i = 0; i < n; i++)
            assert_true(engagements_may_have(&e, liked[i]) && engagements_may_have(&e, reposted[i]));
    }
    e.of[ENGAGED_LIKED].len = e.of[ENGAGED_REPOSTED].len = 10;
    engagements_index(&e);
    size_t passed = 0;
    for (int64_t id = 0; id < 1000; id++) passed += engagements_may_have(&e, id * 4194304 + 7);
    assert_true(passed < 100); /* 20 bits of 1,024 are set */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_has_its_text_its_tags_and_its_counts),
        cmocka_unit_test(a_repost_says_who_and_when),
        cmocka_unit_test(every_length_is_announced_as_it_is),
        cmocka_unit_test(everybody_spoken_of_is_noted_once),
        cmocka_unit_test(likes_below_the_floor_must_be_asked_for),
        cmocka_unit_test(no_engagement_is_passed_over_by_the_filter),
    };
    arena_init(&arena, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
