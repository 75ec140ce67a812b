/* The hub notices every entry that it has missed, however that came; what a lost event costs even so; and who hears
 * what. */
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
#include "core/codec/wire.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/outbox.h"
#include "gateway/cache/post.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/stream.h"
#include "tests/unit/support/gateway_world.h"

#define PATIENCE_MS 30000
#define PARTITION 1

static struct counter *gaps, *heard, *bad;

static void open_world(struct fiber *self, struct gateway_world *w) {
    gateway_world_open(self, w);
    struct metrics *m = w->gateway.domain.metrics;
    gaps = metrics_counter(m, "rookery_hub_gaps_total", "Times the hub may have missed events", "");
    heard = metrics_counter(m, "rookery_hub_events_total", "Events read by the hub", "");
    bad = metrics_counter(m, "rookery_hub_bad_events_total", "Stream entries that are not events", "");
}

/* Waits until the counter has come so far; false when it never does. */
static bool reaches(struct fiber *self, const struct counter *c, uint64_t value) {
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (c->value < value && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    return c->value >= value;
}

static bool is_fresh_in_time(struct fiber *self, const struct hub *h) {
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (!hub_fresh(h) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    return hub_fresh(h);
}

static bool turns_fresh(struct fiber *self, const struct gateway *g) {
    return is_fresh_in_time(self, g->hub);
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
    uint64_t all = gaps->value + (uint64_t)w->config.partitions;
    int64_t other = g->domain.epoch + 1000, give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (gaps->value < all && clock_mono_ns() < give_up) {
        g->domain.epoch = other; /* again and again: the watch looks the right one up */
        fiber_sleep_ms(self, 5);
    }
    CHECK(gaps->value >= all);
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

/* ---- who hears what ------------------------------------------------------------------------------------ */

enum { NEWER = 200, NOTHING = 0, NEWER_INTEREST = 1 << 30 };

static const struct sent {
    int kind;         /* the field of an empty message; NOTHING: the entry is not an event */
    const char *mark; /* NULL: none */
    uint32_t is_for;
    bool addressed;
} SENT[] = {
    {EVENT_SESSIONS_REVOKED, "16 20", INTEREST_CACHES | INTEREST_LIVE, false},
    {EVENT_LIKED, "6 2", INTEREST_COUNTS, false},
    {EVENT_ACCOUNT_UPDATED, "15 4", INTEREST_CACHES, false},
    {EVENT_JOB_CHANGED, "19 32", INTEREST_JOBS, false},
    /* Without a mark. */
    {EVENT_LIKED, NULL, INTEREST_COUNTS, false},
    {EVENT_ACCOUNT_CREATED, NULL, 0, false},
    /* Another release gives the kind to others. */
    {EVENT_LIKED, "6 6", INTEREST_COUNTS | INTEREST_CACHES, false},
    {EVENT_ACCOUNT_UPDATED, "15 2", INTEREST_COUNTS | INTEREST_CACHES, false},
    {EVENT_ACCOUNT_UPDATED, "15 1073741824", NEWER_INTEREST | INTEREST_CACHES, false},
    /* A newer release's kind. */
    {NEWER, "200 4", INTEREST_CACHES, false},
    {NEWER, "200 18", INTEREST_COUNTS | INTEREST_LIVE, false},
    {NEWER, "200 1073741824", NEWER_INTEREST, false},
    {NEWER, NULL, INTEREST_ALL, false},
    /* What is not a mark. */
    {NEWER, "caches", INTEREST_ALL, false},
    {NEWER, "200 -1", INTEREST_ALL, false},
    {EVENT_SESSIONS_REVOKED, "16", INTEREST_CACHES | INTEREST_LIVE, false},
    {EVENT_SESSIONS_REVOKED, "4294967311 2", INTEREST_CACHES | INTEREST_LIVE, false},
    /* Nobody hears these. */
    {NOTHING, "15 4", 0, false},
    {NOTHING, NULL, 0, false},
    {EVENT_ACCOUNT_UPDATED, "15 4", 0, true},
    /* The order at the end. */
    {EVENT_ACCOUNT_UPDATED, "15 4", INTEREST_CACHES, false},
    {EVENT_SESSIONS_REVOKED, "16 20", INTEREST_CACHES | INTEREST_LIVE, false},
};
enum { N_SENT = sizeof SENT / sizeof *SENT };

static int64_t event_id(size_t i) {
    return 100 + (int64_t)i;
}

static struct str encoded(const struct sent *s, size_t i, char out[static 64]) {
    if (s->kind == NOTHING) return STR("x");
    char *p = wire_put_number(out, 1, event_id(i));
    p = wire_put_number(p, 2, 7);
    p = wire_put_length(p, (uint32_t)s->kind, 0);
    return (struct str){out, (size_t)(p - out)};
}

static void add_sent(struct redis_batch *b, const struct sent *s, size_t i) {
    char payload[64];
    redis_cmd(b, 5 + 2 * (s->mark != NULL) + 2 * s->addressed);
    redis_arg_cstr(b, "XADD");
    redis_arg_cstr(b, stream());
    redis_arg_cstr(b, "*");
    redis_arg_cstr(b, "e");
    redis_arg(b, encoded(s, i, payload));
    if (s->mark) {
        redis_arg_cstr(b, OUTBOX_KIND);
        redis_arg_cstr(b, s->mark);
    }
    if (!s->addressed) return;
    redis_arg_cstr(b, OUTBOX_ADDRESSED);
    redis_arg_cstr(b, "fanout");
}

static void publish(struct fiber *self, struct gateway *g, const struct sent *sent, size_t n) {
    struct redis_batch *b = redis_batch_new();
    for (size_t i = 0; i < n; i++) add_sent(b, &sent[i], i);
    CHECK_INT(domain_send(self, &g->domain, b), 0);
}

/* A listener that writes down what it hears. */
struct recorder {
    struct hub_listener listener;
    struct record {
        int64_t id; /* 0: without an event */
        int kind;
        int64_t count;
    } heard[N_SENT], remembered[N_SENT];
    size_t n_heard, n_remembered;
};

static struct record record_of(const struct hub_heard *h) {
    return (struct record){h->event ? h->event->id : 0, h->event ? (int)event_kind(h->event) : 0,
                           h->place->count};
}

static void write_down(void *context, const struct hub_heard *h) {
    struct recorder *r = context;
    if (h->partition == PARTITION && r->n_heard < N_SENT) r->heard[r->n_heard++] = record_of(h);
}

static void write_down_remembered(void *context, const struct hub_heard *h) {
    struct recorder *r = context;
    if (h->partition == PARTITION && r->n_remembered < N_SENT)
        r->remembered[r->n_remembered++] = record_of(h);
}

static void listen_with(struct hub *h, struct recorder *r, uint32_t interests, bool every_entry) {
    *r = (struct recorder){.listener = {.context = r,
                                        .interests = interests,
                                        .every_entry = every_entry,
                                        .heard = write_down,
                                        .remember = write_down_remembered,
                                        .memory = N_SENT}};
    hub_listen(h, &r->listener);
}

/* Of all that was sent, behind this count, it has heard what it must, in order. */
static void check_records(const struct recorder *r, const struct record *records, size_t n, int64_t count) {
    size_t at = 0;
    for (size_t i = 0; i < N_SENT; i++) {
        bool wanted = (SENT[i].is_for & r->listener.interests) != 0;
        if (!wanted && !r->listener.every_entry) continue;
        CHECK(at < n);
        if (at >= n) return;
        CHECK_INT(records[at].id, wanted ? event_id(i) : 0);
        CHECK_INT(records[at].kind, wanted && SENT[i].kind != NEWER ? SENT[i].kind : EVENT_UNKNOWN);
        CHECK_INT(records[at].count, count + (int64_t)i + 1);
        at++;
    }
    CHECK_INT(at, n);
}

/* A hub beside the gateway's own, whose listeners are ours. */
static struct hub *open_hub(struct gateway *g) {
    struct hub *h = hub_new(&g->domain);
    if (!h) abort();
    return h;
}

static void hear_interests(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    static struct recorder recorders[4];
    const struct recorder *counting = &recorders[2];
    open_world(self, w);
    struct gateway *g = &w->gateway;
    run(self, g, "DEL", NULL, NULL);
    publish(self, g, SENT, N_SENT);
    struct hub *h = open_hub(g);
    listen_with(h, &recorders[0], INTEREST_CACHES, false);
    listen_with(h, &recorders[1], INTEREST_COUNTS | INTEREST_JOBS, false);
    listen_with(h, &recorders[2], INTEREST_LIVE, true);
    listen_with(h, &recorders[3], INTEREST_ALL, false);
    hub_start(h);
    CHECK(is_fresh_in_time(self, h));
    publish(self, g, SENT, N_SENT);
    int64_t give_up = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    while (counting->n_heard < N_SENT && clock_mono_ns() < give_up) fiber_sleep_ms(self, 5);
    for (size_t i = 0; i < 4; i++) {
        check_records(&recorders[i], recorders[i].remembered, recorders[i].n_remembered, 0);
        check_records(&recorders[i], recorders[i].heard, recorders[i].n_heard, N_SENT);
    }
    hub_stop(self, h);
    hub_free(h);
    gateway_world_close(self, w);
}

static void a_listener_hears_its_interest_in_order(void **state) {
    run_in_fiber(hear_interests, *state);
}

static void hear_little(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    static struct recorder caches, counting;
    static const struct sent UNWANTED[] = {{NOTHING, "6 2", 0, false},
                                           {EVENT_ACCOUNT_UPDATED, "15 4", 0, false}};
    static const struct sent WANTED[] = {{NOTHING, "15 4", 0, false}};
    open_world(self, w);
    struct gateway *g = &w->gateway;
    struct hub *h = open_hub(g);
    listen_with(h, &caches, INTEREST_CACHES, false);
    listen_with(h, &counting, INTEREST_LIVE, true);
    hub_start(h);
    CHECK(is_fresh_in_time(self, h));
    uint64_t before = bad->value, so_far = heard->value;
    publish(self, g, UNWANTED, 2);
    CHECK(reaches(self, heard, so_far + 4)); /* by both hubs */
    CHECK_INT(bad->value, before);
    CHECK_INT(caches.n_heard, 1);
    CHECK_INT(counting.n_heard, 2);
    publish(self, g, WANTED, 1);
    CHECK(reaches(self, heard, so_far + 6));
    CHECK_INT(bad->value, before + 2);
    CHECK_INT(caches.n_heard, 1);
    CHECK_INT(counting.n_heard, 3);
    hub_stop(self, h);
    hub_free(h);
    gateway_world_close(self, w);
}

static void what_no_listener_hears_is_not_decoded_but_counted(void **state) {
    run_in_fiber(hear_little, *state);
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
        cmocka_unit_test(a_listener_hears_its_interest_in_order),
        cmocka_unit_test(what_no_listener_hears_is_not_decoded_but_counted),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
