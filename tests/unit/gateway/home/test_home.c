/* Reading home timelines: pages are filled whatever happens meanwhile, and follow relations, lists and SQL alike. */
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
#include "core/domain/graph/graph.h"
#include "core/domain/post/post.h"
#include "core/domain/timeline/home.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/tokens.h"
#include "gateway/home/home.h"
#include "gateway/hub/hub.h"
#include "tests/unit/support/gateway_world.h"

enum { AUTHORS = 5, POSTS = 60 };

/* Each test has accounts of its own: viewer, then the authors. */
static int64_t next_account = 1;

struct scene {
    struct gateway_world *world;
    int64_t viewer, author; /* the first of AUTHORS */
    int64_t posts[POSTS];   /* oldest first, a minute apart */
};

static void set_scene(struct fiber *self, struct gateway_world *w, struct scene *s) {
    struct fault fault = {0};
    s->world = w;
    s->viewer = next_account;
    s->author = next_account + 1;
    next_account += AUTHORS + 1;
    gateway_world_accounts(w, s->viewer, AUTHORS + 1);
    for (int i = 0; i < AUTHORS; i++)
        CHECK_INT(graph_follow(self, &w->gateway.domain, s->viewer, s->author + i, &fault), 0);
    for (int i = 0; i < POSTS; i++)
        s->posts[i] = gateway_world_post(w, s->author + i % AUTHORS, (POSTS - i) * 60000, "hello");
}

static void read_page(struct fiber *self, const struct scene *s, int64_t before, size_t served, size_t limit,
                      struct home_page *page) {
    struct fault fault = {0};
    struct home_request r = {.viewer_id = s->viewer, .before = before, .served = served, .limit = limit};
    *page = (struct home_page){0};
    CHECK_INT(home_read(self, &s->world->gateway, &r, page, &fault), 0);
    viewer_release(page->viewer);
}

/* Reads everything, a page at a time; checks that it is what it must be. */
static void check_all(struct fiber *self, const struct scene *s, const int64_t *want, size_t n,
                      size_t limit) {
    int64_t before = INT64_MAX;
    size_t seen = 0;
    struct home_page page;
    do {
        read_page(self, s, before, seen, limit, &page);
        CHECK(page.n == limit || !page.more);
        for (size_t i = 0; i < page.n && seen < n; i++)
            if (!CHECK_INT(page.entries[i]->lru.id, want[seen++])) return;
        if (page.n > 0) before = page.entries[page.n - 1]->lru.id;
    } while (page.more && seen < n);
    CHECK_INT(seen, n);
}

static void newest_first(const struct scene *s, int64_t *out) {
    for (int i = 0; i < POSTS; i++) out[i] = s->posts[POSTS - 1 - i];
}

/* ---- what is read -------------------------------------------------------------------------------------- */

static void read_all_ways(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    int64_t want[POSTS];
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    newest_first(&s, want);
    struct gateway *g = &w->gateway;
    check_all(self, &s, want, POSTS, 7); /* builds the list */
    uint64_t sql = g->timeline_sql->value, hits = g->timeline_hits->value;
    check_all(self, &s, want, POSTS, 7); /* reads it */
    CHECK_INT(g->timeline_sql->value, sql);
    CHECK(g->timeline_hits->value > hits);
    char key[KEY_MAX];
    struct str name = key_timeline(key, epoch_now(&g->domain), s.viewer);
    /* Trimmed until it covers too little to be of use: it is built anew. */
    uint64_t rebuilds = g->timeline_rebuilds->value;
    CHECK_INT(redis_call(self, g->domain.redis, NULL, "LTRIM %.*s -30 -1", (int)name.len, name.ptr), 0);
    check_all(self, &s, want, POSTS, 7);
    CHECK_INT(g->timeline_rebuilds->value, rebuilds + 1);
    CHECK_INT(g->timeline_sql->value, sql);
    gateway_world_close(self, w);
}

static void every_way_of_reading_gives_the_same(void **state) {
    run_in_fiber(read_all_ways, *state);
}

static void follow_tokens(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct fault fault = {0};
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct domain *d = &w->gateway.domain;
    struct home_page page;
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(page.n, 20);
    CHECK_INT(graph_mute(self, d, s.viewer, s.author, &fault), 0);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(page.n, 20);
    for (size_t i = 0; i < page.n; i++) CHECK(page.entries[i]->entry.author_id != s.author);
    CHECK_INT(graph_unfollow(self, d, s.viewer, s.author + 1, &fault), 0);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    for (size_t i = 0; i < page.n; i++) CHECK(page.entries[i]->entry.author_id > s.author + 1);
    CHECK_INT(graph_unmute(self, d, s.viewer, s.author, &fault), 0);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    bool back = false;
    for (size_t i = 0; i < page.n; i++) back |= page.entries[i]->entry.author_id == s.author;
    CHECK(back);
    gateway_world_close(self, w);
}

static void the_next_read_shows_what_relations_became(void **state) {
    run_in_fiber(follow_tokens, *state);
}

/* A change that another process committed, and of which this one knows by the token alone. */
static void heed_foreign_token(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    char sql[128];
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct home_page page;
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    snprintf(sql, sizeof sql,
             "DELETE FROM follows WHERE follower_id = %" PRId64 " AND followee_id > %" PRId64, s.viewer,
             s.author);
    CHECK(postgres_try(&w->postgres, sql));
    CHECK_INT(tokens_relations_changed(self, &w->gateway.domain, &s.viewer, 1, NULL, 0), 0);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(page.n, POSTS / AUTHORS);
    for (size_t i = 0; i < page.n; i++) CHECK_INT(page.entries[i]->entry.author_id, s.author);
    gateway_world_close(self, w);
}

static void a_token_that_moved_is_heeded(void **state) {
    run_in_fiber(heed_foreign_token, *state);
}

/* Tokens are ours, and have one length; what else may be there is as good as nothing. */
static void read_with_long_tokens(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    struct viewer *v;
    struct fault fault = {0};
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct redis *redis = w->gateway.domain.redis;
    CHECK_INT(redis_call(self, redis, NULL, "SET rv:{%" PRId64 "} %060d", s.viewer, 1), 0);
    if (CHECK_INT(viewer_find(self, &w->gateway, s.viewer, &v, &fault), 0)) viewer_release(v);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(page.n, 20);
    gateway_world_close(self, w);
}

static void a_token_that_is_too_long_is_none(void **state) {
    run_in_fiber(read_with_long_tokens, *state);
}

static void read_to_the_end(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    char sql[256];
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    int64_t first = s.posts[0] - HOME_LENGTH - 100;
    snprintf(sql, sizeof sql,
             "INSERT INTO posts (id, author_id, text, thread_id) SELECT i, %" PRId64 ", 'old', i"
             " FROM generate_series(%" PRId64 "::bigint, %" PRId64 "::bigint) i",
             s.author, first, s.posts[0] - 1);
    CHECK(postgres_try(&w->postgres, sql));
    for (int round = 0; round < 2; round++) { /* builds the list, and reads it */
        struct home_page page = {.more = true};
        int64_t before = INT64_MAX;
        size_t n = 0;
        for (; page.more; n += page.n) {
            read_page(self, &s, before, n, 100, &page);
            if (!CHECK(page.n > 0)) break;
            before = page.entries[page.n - 1]->lru.id;
        }
        CHECK_INT(n, HOME_LENGTH);
    }
    gateway_world_close(self, w);
}

static void a_timeline_has_an_end(void **state) {
    run_in_fiber(read_to_the_end, *state);
}

/* ---- while posts go ------------------------------------------------------------------------------------ */

struct deleting {
    struct scene *scene;
    struct latch done;
    int round;
    bool stop;
};

/* Deletes and brings back what the first pages show, behind the caches' backs. */
static void delete_and_restore(struct fiber *self, void *arg) {
    static const struct pg_stmt change = {
        "test_toggle", "UPDATE posts SET deleted = $2 WHERE id = ANY($1::bigint[])", false};
    struct deleting *d = arg;
    for (; !d->stop; d->round++) {
        int64_t ids[10];
        for (int i = 0; i < 10; i++) ids[i] = d->scene->posts[POSTS - 1 - (i * 3 + d->round) % 30];
        CHECK_INT(pg_ask(self, d->scene->world->gateway.domain.pg, &change, NULL, NULL, pg_i64_array(ids, 10),
                         pg_bool(d->round % 2 == 0)),
                  0);
        if (d->round % 2) fiber_sleep_ms(self, 0);
        arena_reset(fiber_arena(self));
    }
    latch_done(&d->done);
}

static void read_while_deleting(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct deleting d = {.scene = &s};
    latch_init(&d.done, 1);
    start_fiber(self, delete_and_restore, &d);
    /* Nothing is cached, so that every look is at what SQL has just then. 30 posts are never touched. */
    for (int i = 0; i < 200; i++) {
        struct home_page page;
        hub_forget(w->gateway.hub);
        read_page(self, &s, INT64_MAX, 0, 20, &page);
        if (!CHECK_INT(page.n, 20)) break;
        CHECK(page.more);
    }
    d.stop = true;
    latch_wait(self, &d.done);
    CHECK(d.round > 10);
    gateway_world_close(self, w);
}

static void a_page_is_full_though_posts_go_while_it_is_made(void **state) {
    run_in_fiber(read_while_deleting, *state);
}

/* The newest post becomes a repost of the oldest, which then goes. */
static void read_a_repost(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    char sql[256];
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    snprintf(sql, sizeof sql, "UPDATE posts SET repost_of_id = %" PRId64 ", text = '' WHERE id = %" PRId64,
             s.posts[0], s.posts[POSTS - 1]);
    CHECK(postgres_try(&w->postgres, sql));
    read_page(self, &s, INT64_MAX, 0, 3, &page);
    CHECK_INT(page.n, 3);
    CHECK_INT(page.entries[0]->lru.id, s.posts[POSTS - 1]);
    CHECK_INT(page.shown[0]->lru.id, s.posts[0]);
    CHECK_INT(page.shown[1]->lru.id, s.posts[POSTS - 2]);
    snprintf(sql, sizeof sql, "UPDATE posts SET deleted = true WHERE id = %" PRId64, s.posts[0]);
    CHECK(postgres_try(&w->postgres, sql));
    for (int i = 0; i < 2; i++) { /* with SQL's help, then from the cache */
        if (i == 0) hub_forget(w->gateway.hub);
        read_page(self, &s, INT64_MAX, 0, 3, &page);
        CHECK_INT(page.n, 3);
        CHECK_INT(page.entries[0]->lru.id, s.posts[POSTS - 2]);
    }
    gateway_world_close(self, w);
}

static void a_repost_is_shown_as_its_original_and_goes_with_it(void **state) {
    run_in_fiber(read_a_repost, *state);
}

/* The pointers are into the cache, where others may remove what they point to as soon as the fiber waits. */
static void read_and_wait(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK(page.n > 0 && home_page_is_current(self, &page));
    fiber_sleep_ms(self, 0);
    CHECK(!home_page_is_current(self, &page));
    gateway_world_close(self, w);
}

static void a_page_is_current_until_the_fiber_waits(void **state) {
    run_in_fiber(read_and_wait, *state);
}

/* ---- a bound on time ----------------------------------------------------------------------------------- */

static void read_late(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct home_request r = {.viewer_id = s.viewer, .before = INT64_MAX, .limit = 20};
    struct home_page page = {0};
    struct fault fault = {0};
    fiber_set_deadline_ns(self, clock_mono_ns() - 1);
    int e = home_read(self, &w->gateway, &r, &page, &fault);
    fiber_set_deadline_ns(self, 0);
    CHECK_INT(e, ERR_DEADLINE_EXCEEDED);
    CHECK(page.viewer == NULL);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(page.n, 20);
    gateway_world_close(self, w);
}

static void a_deadline_that_has_passed_ends_the_read(void **state) {
    run_in_fiber(read_late, *state);
}

/* What was kept of a list is used, and no longer once the list has changed, whoever changed it. */
static struct counter *kept_reads(struct gateway *g) {
    return metrics_counter(g->domain.metrics, "rookery_home_tails_total", "", "from=\"kept\"");
}

static int64_t deliver_new(struct fiber *self, const struct scene *s) {
    struct domain *d = &s->world->gateway.domain;
    char key[KEY_MAX];
    int64_t id = gateway_world_post(s->world, s->author, 0, "news");
    struct str name = key_timeline(key, epoch_now(d), s->viewer);
    CHECK_INT(redis_call(self, d->redis, NULL, "RPUSHX %.*s %" PRId64, (int)name.len, name.ptr, id), 0);
    return id;
}

static void see_deliveries(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    struct gateway *g = &w->gateway;
    struct counter *kept = kept_reads(g);
    read_page(self, &s, INT64_MAX, 0, 20, &page); /* builds the list */
    for (int i = 0; i < 100; i++) {
        int64_t id = deliver_new(self, &s);
        uint64_t before = kept->value;
        read_page(self, &s, INT64_MAX, 0, 20, &page);
        if (!CHECK_INT(page.entries[0]->lru.id, id) || !CHECK_INT(kept->value, before)) break;
        for (int again = 0; again < 3; again++) {
            read_page(self, &s, INT64_MAX, 0, 20, &page);
            CHECK_INT(page.entries[0]->lru.id, id);
        }
    }
    CHECK(kept->value > 200); /* some reads ask again, to move the list's end of life */
    CHECK_INT(redis_call(self, g->domain.redis, NULL, "FLUSHALL"), 0);
    uint64_t rebuilds = g->timeline_rebuilds->value;
    read_page(self, &s, INT64_MAX, 0, 20, &page); /* from SQL: nothing is believed */
    CHECK_INT(page.n, 20);
    CHECK_INT(g->timeline_rebuilds->value, rebuilds);
    while (epoch_now(&g->domain) == 0) fiber_sleep_ms(self, 10);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    CHECK_INT(g->timeline_rebuilds->value, rebuilds + 1);
    gateway_world_close(self, w);
}

static void a_read_sees_what_was_delivered_before(void **state) {
    run_in_fiber(see_deliveries, *state);
}

/* Many read while deliveries go on: each sees at least what had been delivered when it began. */
enum { READERS = 8, DELIVERIES = 150 };

struct racing {
    struct scene *scene;
    struct latch done;
    int64_t delivered; /* the newest whose delivery has been answered */
    bool stop;
};

static void read_racing(struct fiber *self, void *arg) {
    struct racing *r = arg;
    while (!r->stop) {
        struct home_page page;
        int64_t at_least = r->delivered;
        read_page(self, r->scene, INT64_MAX, 0, 20, &page);
        if (!CHECK(page.n == 20 && page.entries[0]->lru.id >= at_least)) break;
        arena_reset(fiber_arena(self));
    }
    latch_done(&r->done);
}

static void race_deliveries(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    read_page(self, &s, INT64_MAX, 0, 20, &page);
    uint64_t kept = kept_reads(&w->gateway)->value;
    struct racing r = {.scene = &s};
    latch_init(&r.done, READERS);
    for (int i = 0; i < READERS; i++) start_fiber(self, read_racing, &r);
    for (int i = 0; i < DELIVERIES; i++) {
        r.delivered = deliver_new(self, &s);
        if (i % 3 == 0) fiber_sleep_ms(self, 1);
    }
    r.stop = true;
    latch_wait(self, &r.done);
    CHECK(kept_reads(&w->gateway)->value > kept);
    gateway_world_close(self, w);
}

static void no_reader_misses_what_is_delivered_meanwhile(void **state) {
    run_in_fiber(race_deliveries, *state);
}

/* Redis dies and is back, with an older list, before the gateway notices: its look waits for the new connection, and
 * runs there. The list says that it is complete and holds nothing. */
static void read_across_a_restart(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct scene s;
    struct home_page page;
    char key[KEY_MAX], command[1024];
    gateway_world_open(self, w);
    set_scene(self, w, &s);
    read_page(self, &s, INT64_MAX, 0, 7, &page);
    key_timeline(key, epoch_now(&w->gateway.domain), s.viewer);
    redis_server_kill(&w->redis);
    redis_server_restart(&w->redis);
    snprintf(command, sizeof command, "redis-cli -s %s RPUSH '%s' f0 >/dev/null",
             w->redis.url + strlen("unix://"), key);
    CHECK_INT(system(command), 0);
    read_page(self, &s, INT64_MAX, 0, 7, &page);
    CHECK_INT(page.n, 7);
    gateway_world_close(self, w);
}

static void a_list_of_another_server_is_not_believed(void **state) {
    run_in_fiber(read_across_a_restart, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_reading_gives_the_same),
        cmocka_unit_test(the_next_read_shows_what_relations_became),
        cmocka_unit_test(a_token_that_moved_is_heeded),
        cmocka_unit_test(a_token_that_is_too_long_is_none),
        cmocka_unit_test(a_timeline_has_an_end),
        cmocka_unit_test(a_page_is_full_though_posts_go_while_it_is_made),
        cmocka_unit_test(a_repost_is_shown_as_its_original_and_goes_with_it),
        cmocka_unit_test(a_page_is_current_until_the_fiber_waits),
        cmocka_unit_test(a_deadline_that_has_passed_ends_the_read),
        cmocka_unit_test(a_read_sees_what_was_delivered_before),
        cmocka_unit_test(no_reader_misses_what_is_delivered_meanwhile),
        cmocka_unit_test(a_list_of_another_server_is_not_believed),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
