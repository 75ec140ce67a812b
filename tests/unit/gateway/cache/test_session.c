/* Sessions that a gateway keeps: when what was found is good for longer, and which tokens are doubted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cache/session.h"
#include "tests/unit/support/gateway_world.h"

#define LEFT_MS 3600000

static void keep(struct session_cache *c, int64_t id, struct str token) {
    struct session_fill fill = session_cache_fill(c);
    const struct session s = {.id = id, .account_id = 100 + id, .left_ms = LEFT_MS};
    session_cache_store(c, &fill, &s, token);
}

static void hold_sessions(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct rpc_identity a, b, unkept;
    gateway_world_open(self, w);
    struct session_cache *c = w->gateway.sessions;
    /* Nothing was dropped yet. What SQL alone says is not held: who revokes it finds nothing to drop. */
    struct session_fill fill = session_cache_fill(c);
    unkept = session_identity(&(struct session){.id = 7, .account_id = 8, .left_ms = LEFT_MS}, &fill);
    CHECK(!session_cache_holds(c, &unkept));
    session_cache_revoke(c, 7);
    CHECK(!session_cache_holds(c, &unkept));
    keep(c, 1, STR("one"));
    keep(c, 2, STR("two"));
    CHECK(session_cache_find(c, STR("one"), &a) && a.account_id == 101);
    CHECK(session_cache_find(c, STR("two"), &b));
    CHECK(session_cache_holds(c, &a) && session_cache_holds(c, &b));
    session_cache_revoke(c, 2);
    CHECK(!session_cache_holds(c, &b) && !session_cache_find(c, STR("two"), &b));
    CHECK(!session_cache_holds(c, &a)); /* it must be looked up again, */
    CHECK(session_cache_find(c, STR("one"), &a) && session_cache_holds(c, &a));
    a.sure_ns = 0; /* as a minute later */
    CHECK(!session_cache_holds(c, &a));
    session_cache_drop(c, STR("one"));
    session_cache_drop(c, STR("one"));
    CHECK(!session_cache_find(c, STR("one"), &a) && !session_cache_knew(c, STR("one")));
    gateway_world_close(self, w);
}

static void what_was_found_is_good_until_a_session_leaves(void **state) {
    run_in_fiber(hold_sessions, *state);
}

static void doubt_tokens(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    gateway_world_open(self, w);
    struct session_cache *c = w->gateway.sessions;
    session_cache_doubt(c, 0, true);
    CHECK(!session_cache_doubts(c, 0));
    session_cache_doubt(c, -5, true);
    session_cache_doubt(c, -5, true);
    session_cache_doubt(c, 6, true);
    CHECK(session_cache_doubts(c, -5) && session_cache_doubts(c, 6) && !session_cache_doubts(c, 5));
    session_cache_doubt(c, -5, false);
    CHECK(!session_cache_doubts(c, -5) && session_cache_doubts(c, 6));
    for (int64_t mark = 1000; mark < 101000; mark++) session_cache_doubt(c, mark, true);
    CHECK(!session_cache_doubts(c, 6) && session_cache_doubts(c, 100999) && session_cache_doubts(c, 70000));
    gateway_world_close(self, w);
}

static void doubts_are_remembered_for_so_many_and_end_with_success(void **state) {
    run_in_fiber(doubt_tokens, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_found_is_good_until_a_session_leaves),
        cmocka_unit_test(doubts_are_remembered_for_so_many_and_end_with_success),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
