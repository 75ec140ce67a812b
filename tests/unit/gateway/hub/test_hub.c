/* The hub notices every entry that it has missed, however that came; and what a lost event costs even so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/outbox.h"
#include "gateway/cache/post.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/stream.h"
#include "tests/unit/support/gateway_world.h"

#define PATIENCE_MS 30000
#define PARTITION 1

static struct counter *gaps, *heard;

static void open_world(struct fiber *self, struct gateway_world *w) {
    gateway_world_open(self, w);
    struct metrics *m = w->gateway.domain.metrics;
    gaps = metrics_counter(m, "rookery_hub_gaps_total", "Times the hub may have missed events", "");
    heard = metrics_counter(m, "rookery_hub_events_total", "Events read by the hub", "");
}

/* Waits until the counter has come so far; false when it never does. */
static bool reaches(struct fiber *self, const struct counter *c, uint64_t value) {
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (c->value < value && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    return c->value >= value;
}

static bool turns_fresh(struct fiber *self, const struct gateway *g) {
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (!hub_fresh(g->hub) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    return hub_fresh(g->hub);
}

/* Several looks long. */
static void let_look(struct fiber *self) {
    fiber_sleep_ms(self, 2500);
}

static const char *stream(void) {
    static char key[KEY_MAX];
    return stream_key(key, &STREAMS[STREAM_EVENTS], PARTITION).ptr;
}

static void add_event(struct redis_batch *b, int64_t id) {
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    Rookery__Events__V1__Liked liked = ROOKERY__EVENTS__V1__LIKED__INIT;
    char payload[64];
    e.id = e.actor_id = id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_LIKED;
    e.liked = &liked;
    size_t n = rookery__events__v1__event__pack(&e, (uint8_t *)payload);
    struct event_record record = {.id = id, .partition = PARTITION, .payload = {payload, n}};
    outbox_add_command(b, &record, false);
}

static void add_command(struct redis_batch *b, const char *verb, const char *a, const char *c) {
    redis_cmd(b, a ? c ? 4 : 3 : 2);
    redis_arg_cstr(b, verb);
    redis_arg_cstr(b, stream());
    if (a) redis_arg_cstr(b, a);
    if (c) redis_arg_cstr(b, c);
}

static void run(struct fiber *self, struct gateway *g, const char *verb, const char *a, const char *c) {
    struct redis_batch *b = redis_batch_new();
    add_command(b, verb, a, c);
    CHECK_INT(domain_send(self, &g->domain, b), 0);
}

/* Adds n events, then removes what the command says, before anybody can have read them. */
static void add_and_remove(struct fiber *self, struct gateway *g, int n, const char *verb, const char *a,
                           const char *c) {
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 1);
    redis_arg_cstr(b, "MULTI");
    for (int i = 0; i < n; i++) add_event(b, 100 + i);
    if (verb) add_command(b, verb, a, c);
    redis_cmd(b, 1);
    redis_arg_cstr(b, "EXEC");
    CHECK_INT(domain_send(self, &g->domain, b), 0);
}

/* ---- what is not missed -------------------------------------------------------------------------------- */

static void hear_everything(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    uint64_t before = gaps->value, so_far = heard->value;
    add_and_remove(self, g, 2000, NULL, NULL, NULL); /* more than a read holds */
    CHECK(reaches(self, heard, so_far + 2000));
    run(self, g, "XTRIM", "MAXLEN", "3"); /* all of it has been heard */
    add_and_remove(self, g, 5, NULL, NULL, NULL);
    run(self, g, "XTRIM", "MAXLEN", "5");
    CHECK(reaches(self, heard, so_far + 2005));
    run(self, g, "XTRIM", "MAXLEN", "0");
    let_look(self);
    CHECK_INT(gaps->value, before);
    CHECK(hub_fresh(g->hub));
    gateway_world_close(self, w);
}

static void trimming_what_has_been_heard_is_no_gap(void **state) {
    run_in_fiber(hear_everything, *state);
}

/* ---- what is missed ------------------------------------------------------------------------------------ */

struct removal {
    const char *name;
    int added;
    const char *verb, *a, *c;
};

static const struct removal REMOVALS[] = {
    {"all trimmed", 3, "XTRIM", "MAXLEN", "0"},
    {"the oldest trimmed", 3, "XTRIM", "MAXLEN", "1"},
    {"the stream deleted", 3, "DEL", NULL, NULL},
    {"the stream deleted that had nothing new", 0, "DEL", NULL, NULL},
};

static void miss(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    for (size_t i = 0; i < sizeof REMOVALS / sizeof *REMOVALS; i++) {
        const struct removal *r = &REMOVALS[i];
        uint64_t before = gaps->value, so_far = heard->value;
        add_and_remove(self, g, 1, NULL, NULL, NULL); /* there is a stream, and it has been heard */
        CHECK(reaches(self, heard, so_far + 1));
        add_and_remove(self, g, r->added, r->verb, r->a, r->c);
        if (!reaches(self, gaps, before + 1)) {
            print_message("# not noticed: %s\n", r->name);
            CHECK(false);
        }
        CHECK(turns_fresh(self, g));
        let_look(self);
        CHECK_INT(gaps->value, before + 1); /* once */
    }
    gateway_world_close(self, w);
}

static void whatever_removes_entries_unheard_is_noticed(void **state) {
    run_in_fiber(miss, *state);
}

/* One entry from the middle, while others stand before and behind it. */
static void miss_in_the_middle(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    uint64_t before = gaps->value;
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 1);
    redis_arg_cstr(b, "MULTI");
    for (int i = 0; i < 3; i++) {
        redis_cmd(b, 5);
        redis_arg_cstr(b, "XADD");
        redis_arg_cstr(b, stream());
        redis_arg_printf(b, "99999999999999-%d", i + 1);
        redis_arg_cstr(b, "e");
        redis_arg_cstr(b, "x");
    }
    add_command(b, "XDEL", "99999999999999-2", NULL);
    redis_cmd(b, 1);
    redis_arg_cstr(b, "EXEC");
    CHECK_INT(domain_send(self, &g->domain, b), 0);
    CHECK(reaches(self, gaps, before + 1));
    run(self, g, "XDEL", "99999999999999-3", NULL); /* that has been heard */
    let_look(self);
    CHECK_INT(gaps->value, before + 1);
    run(self, g, "DEL", NULL, NULL); /* ids go on from the clock again */
    CHECK(reaches(self, gaps, before + 2));
    gateway_world_close(self, w);
}

static void an_entry_deleted_from_the_middle_is_noticed(void **state) {
    run_in_fiber(miss_in_the_middle, *state);
}

/* ---- whose word is believed ---------------------------------------------------------------------------- */

/* Away for a time, with everything still there: it goes on where it stopped. */
static void be_away(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    uint64_t before = gaps->value;
    redis_server_pause(&w->redis);
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (hub_fresh(g->hub) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    CHECK(!hub_fresh(g->hub));
    redis_server_resume(&w->redis);
    CHECK(turns_fresh(self, g));
    CHECK_INT(gaps->value, before);
    gateway_world_close(self, w);
}

static void a_hub_that_was_away_goes_on_where_it_stopped(void **state) {
    run_in_fiber(be_away, *state);
}

/* The process was stopped: the loop's time is the one from before, the clock is not. */
static void be_stopped(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    CHECK(hub_fresh(g->hub));
    int64_t until_ns = clock_mono_ns() + NS_PER_S;
    while (clock_mono_ns() < until_ns) {
    }
    CHECK(!hub_fresh(g->hub));
    CHECK(turns_fresh(self, g));
    g->domain.epoch = 0;
    CHECK(!hub_fresh(g->hub));
    gateway_world_close(self, w);
}

static void a_process_that_was_stopped_or_has_no_epoch_believes_nothing(void **state) {
    run_in_fiber(be_stopped, *state);
}

/* The same server in another epoch: what it holds is not what it held. */
static void change_epoch(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    open_world(self, w);
    struct gateway *g = &w->gateway;
    uint64_t before = gaps->value;
    g->domain.epoch += 1000;
    CHECK(reaches(self, gaps, before + (uint64_t)w->config.partitions));
    CHECK(turns_fresh(self, g));
    gateway_world_close(self, w);
}

static void a_new_epoch_of_the_same_server_is_a_new_beginning(void **state) {
    run_in_fiber(change_epoch, *state);
}

/* ---- events that are lost ------------------------------------------------------------------------------ */

/* A post whose edit or deletion nobody hears of, read all the time. */
static bool becomes(struct fiber *self, struct gateway *g, int64_t id, bool deleted, int32_t edit_count) {
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    const struct cached_post *p = NULL;
    for (;;) {
        CHECK_INT(post_cache_get(self, g, &id, 1, &p, NULL), 0);
        if (p && p->deleted == deleted && p->edit_count == edit_count) return true;
        if (clock_mono_ns() > give_up) return false;
        fiber_sleep_ms(self, 20);
        arena_reset(fiber_arena(self));
    }
}

static void lose_events(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    char sql[256];
    open_world(self, w);
    struct gateway *g = &w->gateway;
    gateway_world_accounts(w, 1, 1);
    int64_t id = gateway_world_post(w, 1, 1000, "first");
    CHECK(becomes(self, g, id, false, 0));
    snprintf(sql, sizeof sql, "UPDATE posts SET text = 'second', edit_count = 1 WHERE id = %" PRId64, id);
    CHECK(postgres_try(&w->postgres, sql));
    CHECK(becomes(self, g, id, false, 1));
    snprintf(sql, sizeof sql, "UPDATE posts SET deleted = true WHERE id = %" PRId64, id);
    CHECK(postgres_try(&w->postgres, sql));
    CHECK(becomes(self, g, id, true, 1));
    gateway_world_close(self, w);
}

static void a_lost_edit_or_deletion_shows_after_seconds(void **state) {
    run_in_fiber(lose_events, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trimming_what_has_been_heard_is_no_gap),
        cmocka_unit_test(whatever_removes_entries_unheard_is_noticed),
        cmocka_unit_test(an_entry_deleted_from_the_middle_is_noticed),
        cmocka_unit_test(a_hub_that_was_away_goes_on_where_it_stopped),
        cmocka_unit_test(a_process_that_was_stopped_or_has_no_epoch_believes_nothing),
        cmocka_unit_test(a_new_epoch_of_the_same_server_is_a_new_beginning),
        cmocka_unit_test(a_lost_edit_or_deletion_shows_after_seconds),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
