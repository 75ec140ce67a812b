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

static bool hear(struct live_places *p, int partition, int64_t ms, int64_t event_id) {
    struct hub_place at = place(ms);
    return places_hear(p, partition, &at, event_id);
}

static void what_has_been_told_follows_what_was_heard(void **state) {
    (void)state;
    struct live_places p;
    places_init(&p, 2);
    assert_true(hear(&p, 0, 100, 1));
    assert_true(hear(&p, 1, 200, 2));
    assert_true(hear(&p, 0, 300, 0));
    assert_int_equal(p.told[0].id.ms, 0);
    places_tell(&p, 1);
    assert_int_equal(p.told[0].id.ms, 100);
    assert_int_equal(p.told[1].id.ms, 0);
    places_tell(&p, 3);
    assert_int_equal(p.told[0].id.ms, 300);
    assert_int_equal(p.told[1].id.ms, 200);
    places_tell(&p, 2); /* never back */
    assert_int_equal(p.told[0].id.ms, 300);
    for (int64_t i = 0; i <= PLACES_KEPT; i++) hear(&p, 1, 400 + i, 0);
    places_skip(&p); /* however far that is */
    assert_int_equal(p.told[0].id.ms, 300);
    assert_int_equal(p.told[1].id.ms, 400 + PLACES_KEPT);
    places_free(&p);
}

static void an_event_that_comes_again_is_known_by_its_first_place(void **state) {
    (void)state;
    struct live_places p;
    places_init(&p, 2);
    struct hub_place before = place(50), first = place(100), again = place(200);
    places_remember(&p, 0, &before, 4);
    assert_int_equal(p.heard[0].id.ms, 0);
    assert_true(places_hear(&p, 0, &first, 5));
    assert_false(places_hear(&p, 0, &again, 5));
    assert_false(hear(&p, 0, 300, 4));
    assert_int_equal(p.heard[0].id.ms, 300);
    assert_true(places_is_first(&p, 5, &first));
    assert_false(places_is_first(&p, 5, &again));
    assert_true(places_is_first(&p, 6, &again)); /* not known */
    struct hub_place elsewhere = first;
    elsewhere.epoch++;
    assert_false(places_is_first(&p, 5, &elsewhere));
    places_free(&p);
}

static void what_was_heard_long_ago_is_forgotten(void **state) {
    (void)state;
    struct live_places p;
    places_init(&p, 1);
    for (int64_t i = 1; i <= PLACES_KEPT + 10; i++) assert_true(hear(&p, 0, 1000 + i, i));
    assert_int_equal(p.first.len, PLACES_KEPT);
    assert_false(hear(&p, 0, 200000, 12));
    assert_true(hear(&p, 0, 200001, 10));
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
        cmocka_unit_test(an_event_that_comes_again_is_known_by_its_first_place),
        cmocka_unit_test(what_was_heard_long_ago_is_forgotten),
        cmocka_unit_test(a_token_brings_back_every_place),
        cmocka_unit_test(a_token_that_was_altered_is_refused),
        cmocka_unit_test(a_token_that_nobody_can_go_on_from_is_recognised),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
