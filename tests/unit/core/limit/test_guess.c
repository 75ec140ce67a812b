/* Guessing passwords: how fast a guesser may go on, and what an owner notices of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/id/token.h"
#include "core/limit/guess.h"

#define START_NS (1000 * NS_PER_S)
enum { HOME = 1, ELSEWHERE, BOTNET = 1000 };

static struct guesses *guesses;
static uint64_t ada;

static int set_up(void **state) {
    (void)state;
    guesses = token_init() ? guesses_new(1024) : NULL;
    if (!guesses) return -1;
    ada = guesses_account(guesses, STR("ada"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    guesses_free(guesses);
    return 0;
}

static int64_t begin(struct guess *g, uint64_t network, int64_t now_ns) {
    *g = (struct guess){.account = ada, .network = network};
    return guess_begin(guesses, g, now_ns);
}

/* A wrong guess; returns how long it would have to wait. */
static int64_t wrong(uint64_t network, int64_t now_ns) {
    struct guess g;
    int64_t wait_ns = begin(&g, network, now_ns);
    if (wait_ns == 0) guess_wrong(guesses, &g);
    return wait_ns;
}

static int64_t right(uint64_t network, int64_t now_ns) {
    struct guess g;
    int64_t wait_ns = begin(&g, network, now_ns);
    if (wait_ns == 0) guess_right(guesses, &g);
    return wait_ns;
}

static void a_guesser_waits_longer_each_time(void **state) {
    (void)state;
    int64_t now = START_NS;
    for (int i = 0; i < GUESSES_FREE; i++) assert_int_equal(wrong(ELSEWHERE, now), 0);
    int64_t wait_s = 1;
    for (int i = 0; i < 15; i++) {
        assert_int_equal(wrong(ELSEWHERE, now), wait_s * NS_PER_S);
        assert_true(wrong(ELSEWHERE, now + wait_s * NS_PER_S - 1) > 0);
        now += wait_s * NS_PER_S;
        assert_int_equal(wrong(ELSEWHERE, now), 0);
        wait_s = wait_s * 2 < GUESS_WAIT_MAX_S ? wait_s * 2 : GUESS_WAIT_MAX_S;
    }
}

static void guesses_at_the_same_time_count_each(void **state) {
    (void)state;
    struct guess g[GUESSES_FREE + 1];
    for (int i = 0; i < GUESSES_FREE; i++) assert_int_equal(begin(&g[i], ELSEWHERE, START_NS), 0);
    assert_true(begin(&g[GUESSES_FREE], ELSEWHERE, START_NS) > 0);
}

static void a_right_one_forgets_the_wrong_ones(void **state) {
    (void)state;
    for (int i = 0; i < GUESSES_FREE - 1; i++) wrong(HOME, START_NS);
    assert_int_equal(right(HOME, START_NS), 0);
    for (int i = 0; i < GUESSES_FREE; i++) assert_int_equal(wrong(HOME, START_NS), 0);
}

static void many_right_ones_cost_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) assert_int_equal(right(HOME, START_NS), 0);
    assert_int_equal(right(ELSEWHERE, START_NS), 0);
}

static void a_day_forgets_them_too(void **state) {
    (void)state;
    for (int i = 0; i < GUESSES_FREE; i++) wrong(ELSEWHERE, START_NS);
    int64_t later = START_NS + (GUESSES_FORGOTTEN_S + 1) * NS_PER_S;
    for (int i = 0; i < GUESSES_FREE; i++) assert_int_equal(wrong(ELSEWHERE, later), 0);
}

static void what_was_not_checked_does_not_count(void **state) {
    (void)state;
    struct guess g;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(begin(&g, ELSEWHERE, START_NS), 0);
        guess_void(guesses, &g);
    }
    for (int i = 0; i < GUESSES_FREE; i++) assert_int_equal(wrong(ELSEWHERE, START_NS), 0);
    int64_t now = START_NS + NS_PER_S;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(begin(&g, ELSEWHERE, now), 0);
        guess_void(guesses, &g);
    }
}

/* Many networks use up what the account allows. */
static void attack_from_everywhere(int64_t now_ns) {
    for (int round = 0; round < GUESSES_FREE; round++)
        for (uint64_t n = 0; n < 2 * GUESSES_PER_HOUR; n++) wrong(BOTNET + n, now_ns);
}

static void guesses_from_many_networks_are_bounded_together(void **state) {
    (void)state;
    attack_from_everywhere(START_NS);
    int allowed = 0;
    for (uint64_t n = 0; n < 2 * GUESSES_PER_HOUR; n++) allowed += wrong(BOTNET + n, START_NS) == 0;
    assert_int_equal(allowed, 0);
    for (uint64_t n = 0; n < 2 * GUESSES_PER_HOUR; n++)
        allowed += wrong(BOTNET + n, START_NS + 3600 * NS_PER_S) == 0;
    assert_int_equal(allowed, GUESSES_PER_HOUR);
}

static void an_owner_at_home_is_not_slowed_by_others(void **state) {
    (void)state;
    assert_int_equal(right(HOME, START_NS), 0);
    attack_from_everywhere(START_NS);
    for (int i = 0; i < GUESSES_FREE - 1; i++) assert_int_equal(wrong(HOME, START_NS), 0);
    assert_int_equal(right(HOME, START_NS), 0);
}

static void an_owner_on_a_journey_is_let_in(void **state) {
    (void)state;
    attack_from_everywhere(START_NS);
    for (int slip = 0; slip < GUESSES_FREE - 1; slip++) assert_int_equal(wrong(ELSEWHERE, START_NS), 0);
    assert_int_equal(right(ELSEWHERE, START_NS), 0);
}

static void a_neighbour_of_the_owner_delays_them_a_little(void **state) {
    (void)state;
    assert_int_equal(right(HOME, START_NS), 0);
    int64_t now = START_NS;
    for (int i = 0; i < 1000; i++) {
        int64_t wait_ns = wrong(HOME, now);
        assert_true(wait_ns <= GUESS_WAIT_KNOWN_S * NS_PER_S);
        now += wait_ns;
    }
}

static void a_new_account_knows_where_it_was_made(void **state) {
    (void)state;
    struct guess g = {.account = ada, .network = HOME};
    assert_false(guess_is_known(guesses, &g));
    guess_note_known(guesses, ada, HOME);
    assert_true(guess_is_known(guesses, &g));
    g.network = ELSEWHERE;
    assert_false(guess_is_known(guesses, &g));
}

static void accounts_are_told_apart(void **state) {
    (void)state;
    for (int i = 0; i < GUESSES_FREE; i++) wrong(ELSEWHERE, START_NS);
    assert_true(wrong(ELSEWHERE, START_NS) > 0);
    ada = guesses_account(guesses, STR("bob"));
    assert_int_equal(wrong(ELSEWHERE, START_NS), 0);
    assert_true(guesses_account(guesses, STR("")) != ada);
}

#define WITH_GUESSES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_GUESSES(a_guesser_waits_longer_each_time),
        WITH_GUESSES(guesses_at_the_same_time_count_each),
        WITH_GUESSES(a_right_one_forgets_the_wrong_ones),
        WITH_GUESSES(many_right_ones_cost_nothing),
        WITH_GUESSES(a_day_forgets_them_too),
        WITH_GUESSES(what_was_not_checked_does_not_count),
        WITH_GUESSES(guesses_from_many_networks_are_bounded_together),
        WITH_GUESSES(an_owner_at_home_is_not_slowed_by_others),
        WITH_GUESSES(an_owner_on_a_journey_is_let_in),
        WITH_GUESSES(a_neighbour_of_the_owner_delays_them_a_little),
        WITH_GUESSES(a_new_account_knows_where_it_was_made),
        WITH_GUESSES(accounts_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
