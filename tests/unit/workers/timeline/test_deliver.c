/* Rounds of deliveries, against a real Redis: who gets what, in which order and form, and what becomes of lists that
 * are too long, too late or no lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/domain/timeline/list.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/id/snowflake.h"
#include "tests/unit/support/gateway_world.h"
#include "workers/timeline/deliver.h"

#define EPOCH ((int)w->epoch)

static const struct pace PACE = {.commands = 100, .under_way = 2};

struct world {
    struct gateway_world *servers;
    void (*fn)(struct fiber *self, struct world *w);
    struct domain *domain;
    int64_t epoch;
    struct deliverer *deliverer;
};

/* Empties Redis, and waits until that is noticed. */
static void begin_epoch(struct fiber *self, struct world *w) {
    int64_t before = epoch_now(w->domain);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "FLUSHALL"), 0);
    while ((w->epoch = epoch_now(w->domain)) <= before) fiber_sleep_ms(self, 10);
}

static void in_world(struct fiber *self, void *arg) {
    struct world *w = arg;
    gateway_world_open(self, w->servers);
    w->domain = &w->servers->gateway.domain;
    begin_epoch(self, w);
    w->deliverer = deliverer_new(w->domain);
    w->fn(self, w);
    deliverer_free(w->deliverer);
    gateway_world_close(self, w->servers);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct world *w);                                            \
    static void name(void **state) {                                                                         \
        struct world w = {.servers = *state, .fn = name##_body};                                             \
        run_in_fiber(in_world, &w);                                                                          \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct world *w)

static uint64_t counter(const struct world *w, const char *name) {
    return metrics_counter(w->domain->metrics, name, "", "")->value;
}

static void make_list(struct fiber *self, struct world *w, int64_t account) {
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "RPUSH tl:%d:{%lld} f0", EPOCH, (long long)account),
              0);
}

/* The list's elements behind its head, joined by blanks. */
static struct str list_of(struct fiber *self, struct world *w, int64_t account) {
    const struct redis_reply *r;
    struct buf text;
    CHECK_INT(redis_call(self, w->domain->redis, &r, "LRANGE tl:%d:{%lld} 1 -1", EPOCH, (long long)account),
              0);
    buf_init(&text);
    for (size_t i = 0; i < r->elements; i++)
        buf_printf(&text, i ? " " STR_FMT : STR_FMT, STR_ARG(r->element[i].str));
    struct str out = {arena_strndup(fiber_arena(self), text.ptr ? text.ptr : "", text.len), text.len};
    buf_free(&text);
    return out;
}

/* The id of an entry made so long ago. */
static int64_t made_ago(int64_t ms, int64_t number) {
    return snowflake_floor(clock_wall_ms() - ms) + number;
}

/* "1" or "1 2". */
static const char *element(struct fiber *self, int64_t a) {
    return arena_printf(fiber_arena(self), "%lld", (long long)a);
}

static const char *elements(struct fiber *self, int64_t a, int64_t b) {
    return arena_printf(fiber_arena(self), "%lld %lld", (long long)a, (long long)b);
}

TEST(each_recipient_gets_their_entries_in_order) {
    int64_t a = made_ago(100, 1), b = made_ago(100, 2);
    const int64_t both[] = {1, 2}, one[] = {3, 2};
    for (int64_t i = 1; i <= 3; i++) make_list(self, w, i);
    struct round *r = round_open(w->deliverer);
    round_entry(r, a);
    round_deliver(r, both, 2);
    round_entry(r, b);
    round_deliver(r, one, 2);
    CHECK_INT(round_deliveries(r), 4);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    CHECK_INT(round_deliveries(r), 0);
    round_close(r);
    CHECK_STR(list_of(self, w, 1), element(self, a));
    CHECK_STR(list_of(self, w, 2), elements(self, a, b));
    CHECK_STR(list_of(self, w, 3), element(self, b));
    CHECK_INT(counter(w, "rookery_deliveries_total"), 4);
}

TEST(a_round_that_was_not_sent_leaves_nothing_for_the_next) {
    const int64_t account = 1;
    make_list(self, w, account);
    for (int sent = 0; sent < 2; sent++) {
        struct round *r = round_open(w->deliverer);
        CHECK_INT(round_deliveries(r), 0);
        round_entry(r, made_ago(0, sent));
        round_deliver(r, &account, 1);
        if (sent) CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
        round_close(r);
    }
    CHECK_INT(counter(w, "rookery_deliveries_total"), 1);
}

TEST(a_timeline_that_is_not_kept_stays_so) {
    const int64_t nobody = 4;
    struct round *r = round_open(w->deliverer);
    round_entry(r, made_ago(0, 1));
    round_deliver(r, &nobody, 1);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    round_close(r);
    CHECK_STR(list_of(self, w, nobody), "");
    CHECK_INT(counter(w, "rookery_deliveries_dropped_total"), 1);
}

TEST(a_list_that_grew_too_long_is_trimmed) {
    const int64_t account = 1;
    make_list(self, w, account);
    struct round *r = round_open(w->deliverer);
    for (int64_t i = 0; i < LIST_TRIM_AT; i++) {
        round_entry(r, made_ago(1000, i));
        round_deliver(r, &account, 1);
    }
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    round_close(r);
    const struct redis_reply *length;
    CHECK_INT(redis_call(self, w->domain->redis, &length, "LLEN tl:%d:{1}", EPOCH), 0);
    CHECK_INT(length->integer, LIST_TRIM_TO);
}

TEST(a_key_that_is_no_list_is_deleted_and_its_neighbours_are_unharmed) {
    const int64_t accounts[] = {1, 2};
    make_list(self, w, 1);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "SET tl:%d:{2} nolist", EPOCH), 0);
    struct round *r = round_open(w->deliverer);
    round_entry(r, made_ago(0, 1));
    round_deliver(r, accounts, 2);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    const struct redis_reply *there;
    CHECK_INT(redis_call(self, w->domain->redis, &there, "EXISTS tl:%d:{2}", EPOCH), 0);
    CHECK_INT(there->integer, 0);
    round_close(r);
    CHECK(list_of(self, w, 1).len > 0);
}

TEST(a_redis_without_memory_fails_the_round_and_the_next_one_works) {
    const int64_t accounts[] = {1};
    make_list(self, w, 1);
    struct round *r = round_open(w->deliverer);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "CONFIG SET maxmemory 1"), 0);
    int64_t again = made_ago(0, 5);
    round_entry(r, again);
    round_deliver(r, accounts, 1);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), ERR_UNAVAILABLE);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "CONFIG SET maxmemory 0"), 0);
    round_entry(r, again);
    round_deliver(r, accounts, 1);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    round_close(r);
    CHECK(strstr(list_of(self, w, 1).ptr, element(self, again)) != NULL);
}

/* Against a model: many entries to random recipients, so that pieces end anywhere, tables grow, and rounds that were
 * closed are used again. */
TEST(nothing_is_lost_or_doubled_among_many) {
    enum { ACCOUNTS = 3000, ENTRIES = 40 };
    uint8_t *gets = calloc(ACCOUNTS, ENTRIES);
    int64_t *ids = calloc(ENTRIES, sizeof *ids);
    uint64_t seed = 12345;
    for (int64_t a = 0; a < ACCOUNTS; a++) make_list(self, w, 1 + a);
    for (int part = 0; part < 2; part++) {
        struct round *r = round_open(w->deliverer);
        for (int e = part * ENTRIES / 2; e < (part + 1) * ENTRIES / 2; e++) {
            ids[e] = made_ago(500, e);
            round_entry(r, ids[e]);
            for (int64_t a = 0; a < ACCOUNTS; a++) {
                seed = seed * UINT64_C(6364136223846793005) + 1;
                if ((seed >> 33) % 3 != 0) continue;
                gets[a * ENTRIES + e] = 1;
                round_deliver(r, &(int64_t){1 + a}, 1);
            }
        }
        CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
        round_close(r);
    }
    for (int64_t a = 0; a < ACCOUNTS; a++) {
        struct str rest = list_of(self, w, 1 + a);
        for (int e = 0; e < ENTRIES; e++)
            if (gets[a * ENTRIES + e]) CHECK_STR(str_cut(&rest, ' '), element(self, ids[e]));
        CHECK_INT(rest.len, 0);
        if (a % 100 == 0) arena_reset(fiber_arena(self));
    }
    free(gets);
    free(ids);
}

/* The same Redis, of which another process has begun to use a later epoch. */
TEST(a_round_that_ends_in_another_epoch_says_so) {
    const int64_t account = 1;
    make_list(self, w, account);
    struct round *r = round_open(w->deliverer);
    round_entry(r, made_ago(0, 1));
    round_deliver(r, &account, 1);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "SET epoch %d", EPOCH + 1), 0);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), ERR_ABORTED);
    CHECK_INT(epoch_now(w->domain), 0);
    int64_t next;
    while ((next = epoch_now(w->domain)) == 0) fiber_sleep_ms(self, 10);
    CHECK(next > EPOCH + 1); /* nobody has a row for the other one */
    round_close(r);
}

/* What of it is read goes on being read, and what would free memory can be done. */
TEST(a_redis_without_memory_keeps_its_epoch) {
    int64_t until = in_ms(LOOK_WITHIN_MS + 4 * LOOK_MS);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "CONFIG SET maxmemory 1"), 0);
    while (clock_mono_ns() < until && CHECK_INT(epoch_now(w->domain), EPOCH)) fiber_sleep_ms(self, 20);
    CHECK_INT(redis_call(self, w->domain->redis, NULL, "CONFIG SET maxmemory 0"), 0);
}

TEST(an_interrupted_round_gives_way_and_the_next_one_works) {
    const int64_t account = 1;
    make_list(self, w, account);
    struct round *r = round_open(w->deliverer);
    round_entry(r, made_ago(0, 1));
    round_deliver(r, &account, 1);
    redis_server_pause(&w->servers->redis);
    fiber_set_deadline_ns(self, in_ms(50));
    CHECK_INT(round_send(self, r, EPOCH, &PACE), ERR_DEADLINE_EXCEEDED);
    fiber_set_deadline_ns(self, 0);
    redis_server_resume(&w->servers->redis);
    int64_t next = made_ago(0, 9);
    round_entry(r, next);
    round_deliver(r, &account, 1);
    CHECK_INT(round_send(self, r, EPOCH, &PACE), 0);
    round_close(r);
    CHECK(strstr(list_of(self, w, account).ptr, element(self, next)) != NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recipient_gets_their_entries_in_order),
        cmocka_unit_test(a_round_that_was_not_sent_leaves_nothing_for_the_next),
        cmocka_unit_test(a_timeline_that_is_not_kept_stays_so),
        cmocka_unit_test(a_list_that_grew_too_long_is_trimmed),
        cmocka_unit_test(a_key_that_is_no_list_is_deleted_and_its_neighbours_are_unharmed),
        cmocka_unit_test(a_redis_without_memory_fails_the_round_and_the_next_one_works),
        cmocka_unit_test(nothing_is_lost_or_doubled_among_many),
        cmocka_unit_test(a_round_that_ends_in_another_epoch_says_so),
        cmocka_unit_test(a_redis_without_memory_keeps_its_epoch),
        cmocka_unit_test(an_interrupted_round_gives_way_and_the_next_one_works),
    };
    return cmocka_run_group_tests_name("deliver", tests, gateway_world_setup, gateway_world_teardown);
}
