/* What is learned of streams, groups and their members from a real Redis, and of those that do not exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/support/fibers.h"
#include "tests/unit/support/redis_server.h"
#include "workers/runtime/stream_info.h"
#include "workers/runtime/trial.h"

#define KEY STR("{test}:stream")

static void assert_id(struct stream_id id, int64_t ms, int64_t sequence) {
    assert_int_equal(id.ms, ms);
    assert_int_equal(id.sequence, sequence);
}

static void check_id(struct stream_id id, int64_t ms, int64_t sequence) {
    CHECK_INT(id.ms, ms);
    CHECK_INT(id.sequence, sequence);
}

/* ---- ids ----------------------------------------------------------------------------------------------- */

static void an_id_is_two_numbers(void **state) {
    (void)state;
    struct stream_id id;
    assert_true(stream_id_parse(STR("17-4"), &id));
    assert_id(id, 17, 4);
    const char *bad[] = {"", "17", "-4", "17-", "x-4", "17-x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(stream_id_parse(str_from(bad[i]), &id));
}

static void ids_are_ordered_by_time_and_then_by_sequence(void **state) {
    (void)state;
    struct stream_id ids[] = {{1, 7}, {2, 3}, {2, 4}, {3, 0}};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) assert_int_equal(stream_id_before(ids[i], ids[j]), i < j);
}

/* ---- questions ----------------------------------------------------------------------------------------- */

struct body {
    struct redis_server *server;
    void (*fn)(struct fiber *self, struct redis *r);
};

static void do_all(struct fiber *self, struct redis *r, const char *const *commands) {
    for (; *commands; commands++) CHECK_INT(redis_call(self, r, NULL, "%s", *commands), 0);
}
#define DO(...) do_all(self, r, (const char *const[]){__VA_ARGS__, NULL})

static void with_client(struct fiber *self, void *arg) {
    struct body *b = arg;
    struct redis *r = redis_open(fiber_loop(self), b->server->url, "test", NULL, NULL);
    CHECK_INT(redis_wait_ready(self, r), 0);
    DO("DEL {test}:stream");
    b->fn(self, r);
    redis_close(self, r);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct redis *r);                                            \
    static void name(void **state) {                                                                         \
        struct body b = {*state, name##_body};                                                               \
        run_in_fiber(with_client, &b);                                                                       \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct redis *r)

#define FOUR_ENTRIES                                                                                         \
    "XADD {test}:stream 10-1 e x", "XADD {test}:stream 20-2 e x", "XADD {test}:stream 30-3 e x",             \
        "XADD {test}:stream 40-4 e x"

/* What was in *out before must not show. */
TEST(of_a_stream_that_does_not_exist_all_is_nothing) {
    struct stream_info s = {.exists = true, .length = 5, .added = 5};
    struct group_info g = {.exists = true, .pending = 5};
    struct str *names;
    struct consumer_info *members;
    size_t n = 5;
    CHECK_INT(stream_info_read(self, r, KEY, &s), 0);
    CHECK(!s.exists && s.length == 0 && s.added == 0);
    CHECK_INT(group_info_read(self, r, KEY, STR("fanout"), &g), 0);
    CHECK(!g.exists && g.pending == 0 && g.entries_read == -1 && g.lag == -1);
    CHECK_INT(groups_read(self, r, KEY, &names, &n), 0);
    CHECK_INT(n, 0);
    n = 5;
    CHECK_INT(consumers_info_read(self, r, KEY, STR("fanout"), &members, &n), 0);
    CHECK_INT(n, 0);
}

TEST(a_key_that_is_no_stream_is_an_error) {
    struct stream_info s;
    struct group_info g;
    struct str *names;
    struct consumer_info *members;
    size_t n;
    DO("SET {test}:stream text");
    CHECK_INT(stream_info_read(self, r, KEY, &s), ERR_REDIS);
    CHECK_INT(group_info_read(self, r, KEY, STR("fanout"), &g), ERR_REDIS);
    CHECK_INT(groups_read(self, r, KEY, &names, &n), ERR_REDIS);
    CHECK_INT(consumers_info_read(self, r, KEY, STR("fanout"), &members, &n), ERR_REDIS);
}

TEST(a_stream_has_its_first_and_last_entry_and_those_trimmed_are_counted) {
    struct stream_info s;
    DO(FOUR_ENTRIES, "XTRIM {test}:stream MAXLEN 3");
    CHECK_INT(stream_info_read(self, r, KEY, &s), 0);
    CHECK(s.exists);
    CHECK_INT(s.length, 3);
    CHECK_INT(s.added, 4);
    check_id(s.first, 20, 2);
    check_id(s.last, 40, 4);
    DO("XTRIM {test}:stream MAXLEN 0");
    CHECK_INT(stream_info_read(self, r, KEY, &s), 0);
    CHECK(s.exists);
    CHECK_INT(s.length, 0);
    CHECK_INT(s.added, 4);
    check_id(s.first, 0, 0);
    check_id(s.last, 40, 4);
}

/* One group has the name of one of the fields that Redis tells. */
#define TWO_GROUPS "XGROUP CREATE {test}:stream fanout 0", "XGROUP CREATE {test}:stream lag 0"

TEST(the_groups_of_a_stream_are_told_apart) {
    struct group_info g;
    struct str *names;
    size_t n;
    DO(FOUR_ENTRIES, TWO_GROUPS);
    CHECK_INT(groups_read(self, r, KEY, &names, &n), 0);
    if (CHECK_INT(n, 2)) {
        CHECK_STR(names[0], "fanout");
        CHECK_STR(names[1], "lag");
    }
    DO("XREADGROUP GROUP lag w COUNT 3 STREAMS {test}:stream >");
    CHECK_INT(group_info_read(self, r, KEY, STR("fanout"), &g), 0);
    CHECK(g.exists);
    CHECK_INT(g.pending, 0);
    CHECK_INT(g.entries_read, -1); /* Redis counts from the first delivery on */
    CHECK_INT(g.lag, 4);
    check_id(g.last_delivered, 0, 0);
    CHECK_INT(group_info_read(self, r, KEY, STR("lag"), &g), 0);
    CHECK(g.exists);
    CHECK_INT(g.pending, 3);
    CHECK_INT(g.entries_read, 3);
    CHECK_INT(g.lag, 1);
    check_id(g.last_delivered, 30, 3);
    CHECK_INT(group_info_read(self, r, KEY, STR("nobody"), &g), 0);
    CHECK(!g.exists && g.pending == 0 && g.entries_read == -1 && g.lag == -1);
}

TEST(a_group_needs_the_stream_from_its_oldest_pending_entry_or_behind_the_last_delivered) {
    struct group_info g;
    DO(FOUR_ENTRIES, TWO_GROUPS, "XREADGROUP GROUP lag w COUNT 3 STREAMS {test}:stream >",
       "XACK {test}:stream lag 10-1");
    CHECK_INT(group_info_read(self, r, KEY, STR("lag"), &g), 0);
    CHECK_INT(g.pending, 2);
    check_id(g.oldest_pending, 20, 2);
    check_id(group_info_needs(&g), 20, 2);
    DO("XACK {test}:stream lag 20-2");
    CHECK_INT(group_info_read(self, r, KEY, STR("lag"), &g), 0);
    CHECK_INT(g.pending, 1);
    check_id(group_info_needs(&g), 30, 3);
    DO("XACK {test}:stream lag 30-3");
    CHECK_INT(group_info_read(self, r, KEY, STR("lag"), &g), 0);
    CHECK_INT(g.pending, 0);
    check_id(group_info_needs(&g), 30, 4);
}

TEST(a_groups_members_are_told_with_what_they_have_in_hand) {
    struct consumer_info *members;
    size_t n;
    DO(FOUR_ENTRIES, TWO_GROUPS, "XREADGROUP GROUP lag busy COUNT 3 STREAMS {test}:stream >",
       "XGROUP CREATECONSUMER {test}:stream lag idle");
    CHECK_INT(consumers_info_read(self, r, KEY, STR("lag"), &members, &n), 0);
    if (CHECK_INT(n, 2)) {
        CHECK_STR(members[0].name, "busy");
        CHECK_INT(members[0].pending, 3);
        CHECK(members[0].idle_ms >= 0);
        CHECK_STR(members[1].name, "idle");
        CHECK_INT(members[1].pending, 0);
    }
    n = 5;
    CHECK_INT(consumers_info_read(self, r, KEY, STR("nobody"), &members, &n), 0);
    CHECK_INT(n, 0);
}

/* Entries 20 and 30 are acknowledged; 40 is pending. */
TEST(evidence_is_an_entry_of_the_role_that_was_settled) {
    struct domain d = {.loop = fiber_loop(self), .redis = r};
    struct worker w = {.domain = d};
    const struct item first = {.stream_id = STR("10-1")}, third = {.stream_id = STR("30-3")};
    struct role role = {.name = "fanout", .interests = 4};
    const struct str add[] = {STR("XADD"), KEY, STR("20-2"), STR("e"), STR("x"), STR("k"), STR("7 3")};
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 7);
    for (size_t i = 0; i < 7; i++) redis_arg(b, add[i]);
    DO("XADD {test}:stream 10-1 e x");
    CHECK_INT(redis_exchange(self, r, b), 0);
    redis_batch_give_back(r, b);
    DO("XADD {test}:stream 30-3 e x to counts", "XADD {test}:stream 40-4 e x",
       "XGROUP CREATE {test}:stream fanout 0", "XREADGROUP GROUP fanout one STREAMS {test}:stream >",
       "XACK {test}:stream fanout 20-2 30-3");
    CHECK(!trial_has_evidence(self, &w, KEY, &role, &first));
    role.interests = 6;
    CHECK(trial_has_evidence(self, &w, KEY, &role, &first));
    role.interests = 0; /* all */
    CHECK(trial_has_evidence(self, &w, KEY, &role, &first));
    CHECK(!trial_has_evidence(self, &w, KEY, &role, &third));
    role.interests = 4;
    DO("XACK {test}:stream fanout 40-4");
    CHECK(trial_has_evidence(self, &w, KEY, &role, &first) &&
          trial_has_evidence(self, &w, KEY, &role, &third));
}

static void ask_nobody(struct fiber *self, void *arg) {
    struct redis_server *server = arg;
    struct redis *r = redis_open(fiber_loop(self), server->url, "test", NULL, NULL);
    struct stream_info s;
    struct group_info g;
    struct str *names;
    struct consumer_info *members;
    size_t n;
    CHECK_INT(redis_wait_ready(self, r), 0);
    redis_server_kill(server);
    CHECK(stream_info_read(self, r, KEY, &s) != 0);
    CHECK(group_info_read(self, r, KEY, STR("fanout"), &g) != 0);
    CHECK(groups_read(self, r, KEY, &names, &n) != 0);
    CHECK(consumers_info_read(self, r, KEY, STR("fanout"), &members, &n) != 0);
    redis_close(self, r);
}

static void without_a_server_nothing_is_taken_for_missing(void **state) {
    (void)state;
    struct redis_server own;
    redis_server_start(&own, NULL);
    run_in_fiber(ask_nobody, &own);
    redis_server_remove(&own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_two_numbers),
        cmocka_unit_test(ids_are_ordered_by_time_and_then_by_sequence),
        cmocka_unit_test(of_a_stream_that_does_not_exist_all_is_nothing),
        cmocka_unit_test(a_key_that_is_no_stream_is_an_error),
        cmocka_unit_test(a_stream_has_its_first_and_last_entry_and_those_trimmed_are_counted),
        cmocka_unit_test(the_groups_of_a_stream_are_told_apart),
        cmocka_unit_test(a_group_needs_the_stream_from_its_oldest_pending_entry_or_behind_the_last_delivered),
        cmocka_unit_test(a_groups_members_are_told_with_what_they_have_in_hand),
        cmocka_unit_test(evidence_is_an_entry_of_the_role_that_was_settled),
        cmocka_unit_test(without_a_server_nothing_is_taken_for_missing),
    };
    return cmocka_run_group_tests(tests, redis_server_setup, redis_server_teardown);
}
