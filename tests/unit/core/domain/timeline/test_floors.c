/* The lemma of core/domain/timeline/list.h against a real Redis: entries come late, twice and out of order, lists are
 * rebuilt, trimmed and given floors by readers at any moment; no part of a list ever claims to be complete and is not.
 * And whose mark a rebuild takes over, and whose it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/domain/graph/graph.h"
#include "core/domain/timeline/list.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "tests/unit/support/gateway_world.h"

enum { STEPS = 1500, POSTS = 40, TRIM_AT = 120, TRIM_TO = 70 };

struct story {
    struct domain *d;
    int64_t epoch, viewer;
    struct str key;
    struct ids delivered; /* since the list was built, and what it was built from */
    size_t floors;        /* pushed by readers */
};

#define KEY(s) (int)(s)->key.len, (s)->key.ptr

static int64_t length_of(struct fiber *self, struct story *s) {
    const struct redis_reply *reply;
    return CHECK_INT(redis_call(self, s->d->redis, &reply, "LLEN %.*s", KEY(s)), 0) ? reply->integer : 0;
}

static void trim(struct fiber *self, struct story *s, int to) {
    CHECK_INT(redis_call(self, s->d->redis, NULL, "LTRIM %.*s -%d -1", KEY(s), to), 0);
}

static void deliver(struct fiber *self, struct story *s, int64_t id) {
    CHECK_INT(redis_call(self, s->d->redis, NULL, "RPUSHX %.*s %" PRId64, KEY(s), id), 0);
    ids_push(&s->delivered, id);
    if (length_of(self, s) > TRIM_AT) trim(self, s, TRIM_TO);
}

static void drop(struct fiber *self, struct story *s) {
    CHECK_INT(redis_call(self, s->d->redis, NULL, "DEL %.*s", KEY(s)), 0);
    s->delivered.len = 0;
}

/* Whether it wrote the list. What was delivered since the claim still counts. */
static bool build(struct fiber *self, struct story *s) {
    struct entry *entries;
    size_t n;
    bool written;
    struct fault fault = {0};
    CHECK_INT(timeline_rebuild(self, s->d, s->epoch, s->viewer, &entries, &n, &written, &fault), 0);
    CHECK_INT(n, POSTS);
    for (size_t i = 0; written && i < n; i++) ids_push(&s->delivered, entries[i].id);
    return written;
}

static void rebuild(struct fiber *self, struct story *s) {
    drop(self, s);
    CHECK(build(self, s));
}

static bool holds(const struct timeline_part *p, int64_t id) {
    for (size_t i = 0; i < p->n; i++)
        if (p->ids[i] == id) return true;
    return false;
}

/* Every entry above the bound of a tail of this length is in it. Returns the bound. */
static int64_t check_tail(struct fiber *self, struct story *s, size_t asked) {
    const struct redis_reply *range;
    struct timeline_part part;
    CHECK_INT(redis_call(self, s->d->redis, &range, "LRANGE %.*s -%zu -1", KEY(s), asked), 0);
    timeline_parse(range, asked, false, fiber_arena(self), &part);
    for (size_t i = 0; i < s->delivered.len; i++)
        if (s->delivered.v[i] > part.bound && !CHECK(holds(&part, s->delivered.v[i]))) break;
    return part.bound;
}

static void push_floor(struct fiber *self, struct story *s) {
    int64_t length = length_of(self, s);
    CHECK_INT(timeline_push_floor(self, s->d, s->epoch, s->viewer), 0);
    s->floors += length_of(self, s) > length;
}

static void step(struct fiber *self, struct story *s, int64_t *newest) {
    int what = rand() % 100;
    if (what < 60) {
        *newest += 1 + rand() % 5;
        deliver(self, s, *newest);
    } else if (what < 75) {
        deliver(self, s, *newest - rand() % 400); /* late */
    } else if (what < 85) {
        deliver(self, s, s->delivered.v[(size_t)rand() % s->delivered.len]); /* again */
    } else if (what < 99 || rand() % 10 > 0) {
        push_floor(self, s);
    } else {
        rebuild(self, s);
    }
}

static void begin(struct fiber *self, struct gateway_world *w, struct story *s, char key[static KEY_MAX]) {
    static int64_t next_viewer = 1;
    struct fault fault = {0};
    gateway_world_open(self, w);
    *s = (struct story){.d = &w->gateway.domain, .viewer = next_viewer};
    next_viewer += 2;
    s->epoch = epoch_now(s->d);
    s->key = key_timeline(key, s->epoch, s->viewer);
    ids_init(&s->delivered);
    gateway_world_accounts(w, s->viewer, 2);
    CHECK_INT(graph_follow(self, s->d, s->viewer, s->viewer + 1, &fault), 0);
    for (int i = 0; i < POSTS; i++) gateway_world_post(w, s->viewer + 1, (POSTS - i) * 1000, "hello");
    rebuild(self, s);
}

static void end(struct fiber *self, struct gateway_world *w, struct story *s) {
    ids_free(&s->delivered);
    gateway_world_close(self, w);
}

static void tell_story(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct story s;
    char key[KEY_MAX];
    begin(self, w, &s, key);
    int64_t newest = s.delivered.v[0];
    size_t useful = 0;
    srand(7);
    for (int i = 0; i < STEPS; i++) {
        step(self, &s, &newest);
        useful += check_tail(self, &s, 1 + (size_t)rand() % 60) != INT64_MAX;
        arena_reset(fiber_arena(self));
    }
    CHECK(s.floors > STEPS / 100); /* it would prove nothing otherwise */
    CHECK(useful > STEPS / 4);
    end(self, w, &s);
}

static void no_entry_above_the_bound_is_missed(void **state) {
    run_in_fiber(tell_story, *state);
}

static void push_floors(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct story s;
    char key[KEY_MAX];
    begin(self, w, &s, key);
    int64_t newest = s.delivered.v[0];
    push_floor(self, &s);
    CHECK_INT(s.floors, 0); /* the rebuild's is near enough */
    for (int i = 0; i < FLOOR_EVERY; i++) deliver(self, &s, newest + 1000 - i);
    push_floor(self, &s);
    push_floor(self, &s);
    CHECK_INT(s.floors, 1); /* one is enough */
    CHECK_INT(check_tail(self, &s, 1), newest + 1000);
    deliver(self, &s, newest + 1); /* late: the floor does not claim it */
    CHECK_INT(check_tail(self, &s, 2), newest + 1000);
    CHECK(check_tail(self, &s, 60) <= newest);
    /* Without a floor to begin with there is none to be had. */
    trim(self, &s, 1);
    for (int i = 0; i < 2 * FLOOR_EVERY; i++) deliver(self, &s, newest + 2000 + i);
    push_floor(self, &s);
    CHECK_INT(s.floors, 1);
    CHECK_INT(check_tail(self, &s, 60), INT64_MAX);
    end(self, w, &s);
}

static void a_reader_pushes_a_floor_that_claims_what_it_saw(void **state) {
    run_in_fiber(push_floors, *state);
}

/* ---- marks of building --------------------------------------------------------------------------------- */

/* Of somebody else, who began a minute from now by Redis's clock: not stale, however slow this machine is. */
static const char *fresh_mark(struct fiber *self, struct story *s) {
    const struct redis_reply *now;
    int64_t seconds = 0;
    CHECK_INT(redis_call(self, s->d->redis, &now, "TIME"), 0);
    CHECK(str_to_i64(now->element[0].str, &seconds));
    return arena_printf(fiber_arena(self), "b%" PRId64 ":other", (seconds + 60) * 1000);
}

static void check_head(struct fiber *self, struct story *s, const char *mark) {
    const struct redis_reply *head;
    CHECK_INT(redis_call(self, s->d->redis, &head, "LINDEX %.*s 0", KEY(s)), 0);
    CHECK_STR(head->str, mark);
}

static void meet_marks(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct story s;
    char key[KEY_MAX];
    begin(self, w, &s, key);
    int64_t newest = s.delivered.v[0];
    drop(self, &s);
    CHECK_INT(redis_call(self, s.d->redis, NULL, "RPUSH %.*s b1:dead", KEY(&s)), 0);
    deliver(self, &s, newest + 1);
    CHECK(build(self, &s));
    deliver(self, &s, newest + 2);
    check_head(self, &s, "f0");
    CHECK_INT(check_tail(self, &s, TRIM_AT), 0);

    const char *mark = fresh_mark(self, &s);
    drop(self, &s);
    CHECK_INT(redis_call(self, s.d->redis, NULL, "RPUSH %.*s %s", KEY(&s), mark), 0);
    deliver(self, &s, newest + 1);
    CHECK(!build(self, &s));
    check_head(self, &s, mark);
    CHECK_INT(length_of(self, &s), 2);
    end(self, w, &s);
}

static void a_stale_mark_is_taken_over_and_a_fresh_one_is_not(void **state) {
    run_in_fiber(meet_marks, *state);
}

struct builder {
    struct story *s;
    bool done, written;
};

static void build_in_fiber(struct fiber *self, void *arg) {
    struct builder *b = arg;
    b->written = build(self, b->s);
    b->done = true;
}

/* A rebuild has claimed the list and waits for SQL: meanwhile `command` is done to it. Whether it wrote the list. */
static bool written_despite(struct fiber *self, struct gateway_world *w, struct story *s,
                            const char *command) {
    struct builder b = {.s = s};
    drop(self, s);
    PGconn *locker = PQconnectdb(w->postgres.url);
    PQclear(PQexec(locker, "BEGIN; LOCK TABLE posts IN ACCESS EXCLUSIVE MODE"));
    CHECK_INT(PQtransactionStatus(locker), PQTRANS_INTRANS);
    start_fiber(self, build_in_fiber, &b);
    while (length_of(self, s) == 0 && !b.done) fiber_sleep_ms(self, 5);
    CHECK(!b.done);
    CHECK_INT(redis_call(self, s->d->redis, NULL, "%s", command), 0);
    PQfinish(locker);
    while (!b.done) fiber_sleep_ms(self, 5);
    return b.written;
}

static void lose_claims(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct story s;
    char key[KEY_MAX];
    begin(self, w, &s, key);
    const char *mark = fresh_mark(self, &s);
    struct arena *a = fiber_arena(self);
    CHECK(written_despite(self, w, &s, "PING"));
    CHECK(!written_despite(self, w, &s, arena_printf(a, "LSET %.*s 0 %s", KEY(&s), mark)));
    check_head(self, &s, mark);
    CHECK_INT(length_of(self, &s), 1);
    CHECK(!written_despite(self, w, &s, arena_printf(a, "DEL %.*s", KEY(&s))));
    CHECK_INT(length_of(self, &s), 0);
    end(self, w, &s);
}

static void a_builder_whose_claim_is_gone_writes_nothing(void **state) {
    run_in_fiber(lose_claims, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_entry_above_the_bound_is_missed),
        cmocka_unit_test(a_reader_pushes_a_floor_that_claims_what_it_saw),
        cmocka_unit_test(a_stale_mark_is_taken_over_and_a_fresh_one_is_not),
        cmocka_unit_test(a_builder_whose_claim_is_gone_writes_nothing),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
