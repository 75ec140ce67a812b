/* Where live feeds stand in the event streams, and the tokens that say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "gateway/answer/lists.h"
#include "gateway/position/places.h"
#include "gateway/position/token.h"

enum { PARTITIONS = 64 };

static const unsigned char KEY[PAGE_TOKEN_KEY_BYTES] = "0123456789abcde";

static struct hub_place place(int64_t ms) {
    return (struct hub_place){.epoch = 7, .id = {ms, ms % 3}, .count = ms / 10};
}

/* ---- positions ----------------------------------------------------------------------------------------- */

enum { KEPT = 1000 };

static void init(struct live_places *p, size_t partitions) {
    places_init(p, partitions, 1 << 20);
    p->capacity = KEPT;
}

static bool hear(struct live_places *p, int partition, int64_t ms, struct change change) {
    struct hub_place at = place(ms);
    return places_hear(p, partition, &at, &change);
}

static struct change nothing(void) {
    return (struct change){.kind = EVENT_UNKNOWN};
}

static struct change post(int64_t event_id, int64_t author_id) {
    return (struct change){
        .kind = EVENT_POST_CREATED, .event_id = event_id, .actor_id = author_id, .post_id = event_id};
}

static void what_has_been_told_follows_what_was_heard(void **state) {
    (void)state;
    struct live_places p;
    init(&p, 2);
    assert_true(hear(&p, 0, 100, post(1, 7)));
    assert_true(hear(&p, 1, 200, post(2, 7)));
    assert_false(hear(&p, 0, 300, nothing()));
    assert_int_equal(p.told[0].id.ms, 0);
    places_tell(&p, 1);
    assert_int_equal(p.told[0].id.ms, 100);
    assert_int_equal(p.told[1].id.ms, 0);
    places_tell(&p, 3);
    assert_int_equal(p.told[0].id.ms, 300);
    assert_int_equal(p.told[1].id.ms, 200);
    places_tell(&p, 2); /* never back */
    assert_int_equal(p.told[0].id.ms, 300);
    int64_t last = 400;
    while (places_have_room(&p)) hear(&p, 1, ++last, nothing());
    assert_int_equal(p.n_heard - p.n_told, KEPT);
    hear(&p, 1, ++last, nothing());
    places_skip(&p); /* however far that is */
    assert_int_equal(p.told[0].id.ms, 300);
    assert_int_equal(p.told[1].id.ms, last);
    hear(&p, 0, ++last, nothing());
    places_tell(&p, p.n_heard); /* on from there */
    assert_int_equal(p.told[0].id.ms, last);
    places_free(&p);
}

static void an_event_that_comes_again_is_known(void **state) {
    (void)state;
    struct live_places p;
    init(&p, 2);
    struct hub_place before = place(50);
    const struct change old = post(4, 7);
    places_remember(&p, 0, &before, &old);
    assert_int_equal(p.heard[0].id.ms, 0);
    assert_true(hear(&p, 0, 100, post(5, 7)));
    assert_false(hear(&p, 0, 200, post(5, 7)));
    assert_false(hear(&p, 0, 300, post(4, 7)));
    assert_int_equal(p.heard[0].id.ms, 300);
    places_free(&p);
}

static void what_was_heard_long_ago_is_forgotten(void **state) {
    (void)state;
    struct live_places p;
    init(&p, 1);
    for (int64_t i = 1; i <= KEPT + 10; i++) assert_true(hear(&p, 0, 1000 + i, post(i, 1 + i % 3)));
    assert_int_equal(p.first.len, KEPT);
    assert_int_equal(p.newest.len, 3);
    assert_null(places_at(&p, 10));
    assert_int_equal(places_at(&p, 11)->change.event_id, 11);
    assert_false(hear(&p, 0, 200000, post(12, 1)));
    assert_true(hear(&p, 0, 200001, post(10, 1)));
    for (int64_t i = 0; i < KEPT; i++) hear(&p, 0, 300000 + i, nothing());
    assert_int_equal(p.first.len, 0);
    assert_int_equal(p.newest.len, 0);
    places_free(&p);
}

/* ---- what was missed ----------------------------------------------------------------------------------- */

static struct hub_place counted(int64_t count) {
    return (struct hub_place){.epoch = 7, .id = {1000 + count, 0}, .count = count};
}

static int add_id(void *context, const struct place_heard *heard) {
    ids_push(context, heard->change.event_id);
    return heard->change.event_id == 99 ? ERR_ABORTED : 0;
}

static void check_walk(const struct live_places *p, int64_t chain, int64_t from, size_t n,
                       const int64_t *expected) {
    struct ids found;
    const struct hub_place position[] = {counted(from), counted(from)};
    ids_init(&found);
    assert_int_equal(places_walk(p, chain, position, add_id, &found), 0);
    assert_int_equal(found.len, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(found.v[i], expected[i]);
    ids_free(&found);
}

static void hear_counted(struct live_places *p, int partition, int64_t count, struct change change) {
    struct hub_place at = counted(count);
    places_hear(p, partition, &at, &change);
}

static void what_was_missed_is_on_chains(void **state) {
    (void)state;
    struct live_places p;
    const struct change edit = {.kind = EVENT_POST_EDITED, .event_id = 30, .actor_id = 8, .post_id = 2},
                        block = {.kind = EVENT_BLOCKED, .event_id = 31, .actor_id = 8, .target_id = 7};
    init(&p, 2);
    hear_counted(&p, 0, 1, post(1, 7));
    hear_counted(&p, 1, 1, post(2, 8));
    hear_counted(&p, 0, 2, post(3, 9));
    hear_counted(&p, 0, 3, post(4, 7));
    hear_counted(&p, 1, 2, edit);
    hear_counted(&p, 1, 3, block);
    hear_counted(&p, 0, 4, post(1, 7)); /* again */
    check_walk(&p, chain_of_actor(7), 0, 2, (int64_t[]){4, 1});
    check_walk(&p, chain_of_actor(7), 1, 1, (int64_t[]){4});
    check_walk(&p, chain_of_actor(7), 3, 0, NULL);
    check_walk(&p, chain_of_actor(8), 0, 2, (int64_t[]){31, 2});
    check_walk(&p, chain_of_posts(1), 0, 1, (int64_t[]){30});
    check_walk(&p, chain_of_posts(0), 0, 0, NULL);
    check_walk(&p, chain_of_target(7), 2, 1, (int64_t[]){31});
    check_walk(&p, chain_of_target(7), 3, 0, NULL);
    hear_counted(&p, 0, 5, post(99, 7));
    const struct hub_place position[] = {counted(0), counted(0)};
    struct ids found;
    ids_init(&found);
    assert_int_equal(places_walk(&p, chain_of_actor(7), position, add_id, &found), ERR_ABORTED);
    assert_int_equal(found.len, 1);
    ids_free(&found);
    places_free(&p);
}

static void a_position_is_reached_while_all_behind_it_is_kept(void **state) {
    (void)state;
    struct live_places p;
    const struct change old = post(1, 7);
    struct hub_place oldest = counted(5), end = counted(6), position = counted(4);
    init(&p, 1);
    places_remember(&p, 0, &oldest, &old);
    places_begin(&p, 0, &end);
    assert_true(places_reach(&p, &position));
    position = counted(3);
    assert_false(places_reach(&p, &position));
    position = counted(6);
    for (int64_t i = 7; i < 7 + KEPT; i++) hear_counted(&p, 0, i, nothing());
    assert_true(places_reach(&p, &position));
    hear_counted(&p, 0, 7 + KEPT, nothing());
    assert_false(places_reach(&p, &position));
    end = counted(9000);
    places_begin(&p, 0, &end);
    position = counted(8999);
    assert_false(places_reach(&p, &position));
    position.count = 9000;
    assert_true(places_reach(&p, &position));
    position.epoch++;
    assert_false(places_reach(&p, &position));
    places_free(&p);
}

static void what_a_change_concerns_is_kept_with_it(void **state) {
    (void)state;
    struct live_places p;
    struct ids many = {0};
    init(&p, 1);
    for (int64_t i = 1; i <= 900; i++) ids_push(&many, i);
    for (int64_t i = 1; i <= KEPT; i++) {
        hear_counted(&p, 0, i, post(i, 7));
        places_note(&p, p.n_heard, &many);
    }
    assert_int_equal(places_at(&p, 1)->concerns.len, 900);
    assert_int_equal(places_at(&p, 5)->concerns.len, 0); /* there is no room */
    places_note(&p, KEPT + 1, &many);                    /* not heard yet */
    places_note(&p, 0, &many);
    for (int64_t i = 1; i <= KEPT; i++) hear_counted(&p, 0, KEPT + i, nothing());
    assert_int_equal(p.noted, 0);
    ids_free(&many);
    places_free(&p);
}

/* ---- tokens -------------------------------------------------------------------------------------------- */

static void fill(struct hub_place *places) {
    for (int i = 0; i < PARTITIONS; i++) places[i] = place(i == 5 ? 0 : 1800000000000 - i * i * 977);
    places[6].id.sequence = INT64_MAX;
    places[7].count = INT64_MAX;
}

static void a_token_brings_back_every_place(void **state) {
    (void)state;
    struct arena a;
    struct hub_place places[PARTITIONS];
    struct live_token read;
    arena_init(&a, 0);
    fill(places);
    char *token = live_token_encode(&a, KEY, places, PARTITIONS);
    assert_true(strlen(token) < 1000);
    assert_true(live_token_decode(&a, KEY, str_from(token), PARTITIONS, &read));
    assert_non_null(read.places);
    for (int i = 0; i < PARTITIONS; i++) {
        assert_int_equal(read.places[i].epoch, places[i].epoch);
        assert_true(stream_id_same(read.places[i].id, places[i].id));
        assert_int_equal(read.places[i].count, places[i].count);
    }
    arena_free(&a);
}

static void a_token_that_was_altered_is_refused(void **state) {
    (void)state;
    struct arena a;
    struct hub_place places[PARTITIONS];
    struct live_token read;
    arena_init(&a, 0);
    fill(places);
    char *token = live_token_encode(&a, KEY, places, 2);
    size_t len = strlen(token);
    for (size_t i = 0; i + 1 < len; i++) {
        char *other = arena_strdup(&a, token);
        other[i] = other[i] == 'A' ? 'B' : 'A';
        assert_false(live_token_decode(&a, KEY, str_from(other), 2, &read));
        assert_false(live_token_decode(&a, KEY, (struct str){token, i}, 2, &read));
    }
    assert_false(live_token_decode(&a, KEY, STR("!"), 2, &read));
    struct page_position of_home = {.list = LIST_HOME};
    assert_false(live_token_decode(&a, KEY, str_from(page_token_encode(&a, KEY, &of_home)), 2, &read));
    arena_free(&a);
}

static void a_token_that_nobody_can_go_on_from_is_recognised(void **state) {
    (void)state;
    struct arena a;
    struct hub_place places[PARTITIONS];
    struct live_token read;
    arena_init(&a, 0);
    fill(places);
    char *token = live_token_encode(&a, KEY, places, 2);
    assert_true(live_token_decode(&a, KEY, str_from(token), 3, &read));
    assert_null(read.places);
    places[1].epoch++;
    token = live_token_encode(&a, KEY, places, 2);
    assert_true(live_token_decode(&a, KEY, str_from(token), 2, &read));
    assert_null(read.places);
    struct page_position of_old = {.list = LIST_LIVE, .a = 1};
    assert_true(live_token_decode(&a, KEY, str_from(page_token_encode(&a, KEY, &of_old)), 2, &read));
    assert_null(read.places);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_been_told_follows_what_was_heard),
        cmocka_unit_test(an_event_that_comes_again_is_known),
        cmocka_unit_test(what_was_heard_long_ago_is_forgotten),
        cmocka_unit_test(what_was_missed_is_on_chains),
        cmocka_unit_test(a_position_is_reached_while_all_behind_it_is_kept),
        cmocka_unit_test(what_a_change_concerns_is_kept_with_it),
        cmocka_unit_test(a_token_brings_back_every_place),
        cmocka_unit_test(a_token_that_was_altered_is_refused),
        cmocka_unit_test(a_token_that_nobody_can_go_on_from_is_recognised),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
