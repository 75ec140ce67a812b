/* The relay, against a real PostgreSQL and Redis: which rows of the outbox it publishes, in which order and form, and
 * what it republishes to a new Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "tests/unit/support/worker_world.h"
#include "workers/outbox/outbox.h"

enum { AUTHOR = 5, SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS };

#define TEST(name) WORKER_TEST(name, NULL)

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* Writes the row of an event, in partition 0. */
static void write_row(struct fiber *self, struct worker_world *w, Event *e) {
    e->actor_id = AUTHOR;
    struct event_record r = event_encode(fiber_arena(self), e, 1);
    char *hex = arena_alloc(fiber_arena(self), 2 * r.payload.len + 1);
    for (size_t i = 0; i < r.payload.len; i++) snprintf(hex + 2 * i, 3, "%02x", (uint8_t)r.payload.ptr[i]);
    worker_world_do(w, "INSERT INTO outbox (id, partition, payload) VALUES (%lld, 0, '\\x%s')",
                    (long long)e->id, hex);
}

static int64_t write_like(struct fiber *self, struct worker_world *w, int64_t id) {
    Rookery__Events__V1__Liked like = ROOKERY__EVENTS__V1__LIKED__INIT;
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    like.post_id = 1;
    e.id = id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_LIKED;
    e.liked = &like;
    write_row(self, w, &e);
    return id;
}

/* Of a post, whose id is the event's. */
static int64_t write_post(struct fiber *self, struct worker_world *w, int64_t id) {
    Rookery__Events__V1__PostCreated post = ROOKERY__EVENTS__V1__POST_CREATED__INIT;
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    post.post_id = e.id = id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED;
    e.post_created = &post;
    write_row(self, w, &e);
    return id;
}

static void await_marked(struct fiber *self, struct worker_world *w, int64_t id) {
    worker_world_await(self, w, "EXISTS (SELECT FROM outbox WHERE id = %lld AND published_at IS NOT NULL)",
                       (long long)id);
}

static bool is_marked(struct worker_world *w, int64_t id) {
    return worker_world_number(w, "SELECT count(published_at) FROM outbox WHERE id = %lld", (long long)id) >
           0;
}

/* ---- the stream ---------------------------------------------------------------------------------------- */

static const struct redis_reply *entries(struct fiber *self, struct worker_world *w) {
    const struct redis_reply *r;
    CHECK_INT(redis_call(self, w->worker.domain.redis, &r, "XRANGE events:{0} - +"), 0);
    return r;
}

/* The value of a field of the i-th entry; empty when it has none. */
static struct str field(const struct redis_reply *stream, size_t i, const char *name) {
    if (!CHECK(i < stream->elements)) return (struct str){0};
    const struct redis_reply *fields = &stream->element[i].element[1];
    for (size_t f = 0; f + 1 < fields->elements; f += 2)
        if (str_eq(fields->element[f].str, str_from(name))) return fields->element[f + 1].str;
    return (struct str){0};
}

static int64_t event_id(const struct redis_reply *stream, size_t i) {
    struct str payload = field(stream, i, "e");
    Event *e = rookery__events__v1__event__unpack(NULL, payload.len, (const uint8_t *)payload.ptr);
    int64_t id = e ? e->id : 0;
    if (e) rookery__events__v1__event__free_unpacked(e, NULL);
    return id;
}

static int64_t list_length(struct fiber *self, struct worker_world *w, int64_t epoch) {
    const struct redis_reply *r;
    CHECK_INT(redis_call(self, w->worker.domain.redis, &r, "LLEN tl:%lld:{%d}", (long long)epoch, AUTHOR), 0);
    return r->integer;
}

static void make_list(struct fiber *self, struct worker_world *w, int64_t epoch) {
    CHECK_INT(
        redis_call(self, w->worker.domain.redis, NULL, "RPUSH tl:%lld:{%d} f0", (long long)epoch, AUTHOR), 0);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

TEST(what_its_gateway_has_left_is_published_and_marked) {
    int64_t id = write_like(self, w, worker_world_id(3 * SECOND_MS));
    CHECK_INT(relay_start(&w->worker), 0);
    await_marked(self, w, id);
    const struct redis_reply *stream = entries(self, w);
    CHECK_INT(stream->elements, 1);
    CHECK_INT(event_id(stream, 0), id);
    CHECK_STR(field(stream, 0, OUTBOX_RELAYED), "1");
    CHECK(field(stream, 0, OUTBOX_KIND).len > 0);
    CHECK_INT(field(stream, 0, OUTBOX_SETTLED).len, 0);
    CHECK_INT(worker_world_counter(w, "rookery_events_relayed_total"), 1);
}

TEST(the_oldest_come_first) {
    int64_t oldest = worker_world_id(9 * SECOND_MS), middle = worker_world_id(6 * SECOND_MS),
            newest = worker_world_id(3 * SECOND_MS);
    write_like(self, w, middle);
    write_like(self, w, newest);
    write_like(self, w, oldest);
    CHECK_INT(relay_start(&w->worker), 0);
    await_marked(self, w, newest);
    const struct redis_reply *stream = entries(self, w);
    CHECK_INT(stream->elements, 3);
    CHECK_INT(event_id(stream, 0), oldest);
    CHECK_INT(event_id(stream, 1), middle);
    CHECK_INT(event_id(stream, 2), newest);
}

TEST(more_than_one_batch_is_published) {
    enum { ROWS = 1200 };
    int64_t first = worker_world_id(HOUR_MS), last = write_like(self, w, worker_world_id(3 * SECOND_MS));
    worker_world_do(w,
                    "INSERT INTO outbox (id, partition, payload)"
                    " SELECT %lld + i, 0, payload FROM outbox, generate_series(2, %d) i",
                    (long long)first, ROWS);
    CHECK_INT(relay_start(&w->worker), 0);
    worker_world_await(self, w, "NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)");
    const struct redis_reply *length;
    CHECK(is_marked(w, last));
    CHECK_INT(redis_call(self, w->worker.domain.redis, &length, "XLEN events:{0}"), 0);
    CHECK_INT(length->integer, ROWS);
}

/* A gateway that lives publishes it in a moment; a stream that this release does not know is for a newer relay. */
TEST(what_is_not_its_own_is_left) {
    int64_t young = write_like(self, w, worker_world_id(-HOUR_MS)),
            strange = write_like(self, w, worker_world_id(4 * SECOND_MS));
    worker_world_do(w, "UPDATE outbox SET stream = 1000 WHERE id = %lld", (long long)strange);
    int64_t id = write_like(self, w, worker_world_id(3 * SECOND_MS));
    CHECK_INT(relay_start(&w->worker), 0);
    await_marked(self, w, id);
    CHECK(!is_marked(w, young));
    CHECK(!is_marked(w, strange));
    CHECK_INT(entries(self, w)->elements, 1);
}

TEST(a_post_is_put_on_its_author_s_own_timeline) {
    int64_t epoch = epoch_now(&w->worker.domain);
    make_list(self, w, epoch);
    write_like(self, w, worker_world_id(4 * SECOND_MS));
    int64_t id = write_post(self, w, worker_world_id(3 * SECOND_MS));
    CHECK_INT(relay_start(&w->worker), 0);
    await_marked(self, w, id);
    const struct redis_reply *list;
    CHECK_INT(
        redis_call(self, w->worker.domain.redis, &list, "LRANGE tl:%lld:{%d} 0 -1", (long long)epoch, AUTHOR),
        0);
    CHECK_INT(list->elements, 2);
    CHECK_STR(list->element[1].str, arena_printf(fiber_arena(self), "%lld", (long long)id));
}

/* Lists of this epoch are built with it. */
TEST(but_not_one_that_is_settled) {
    int64_t epoch = epoch_now(&w->worker.domain), id = write_post(self, w, worker_world_id(4 * SECOND_MS));
    int64_t later = write_post(self, w, worker_world_id(3 * SECOND_MS));
    make_list(self, w, epoch);
    worker_world_do(w, "UPDATE outbox SET settled_epoch = %lld WHERE id = %lld", (long long)epoch,
                    (long long)id);
    worker_world_do(w, "UPDATE outbox SET settled_epoch = %lld WHERE id = %lld", (long long)epoch + 1,
                    (long long)later);
    CHECK_INT(relay_start(&w->worker), 0);
    await_marked(self, w, later);
    CHECK_INT(list_length(self, w, epoch), 2);
    CHECK_STR(field(entries(self, w), 0, OUTBOX_SETTLED),
              arena_printf(fiber_arena(self), "%lld", (long long)epoch));
}

/* Three rounds pass in the meantime, or fewer on a machine that is slow. */
TEST(only_the_leader_publishes) {
    int64_t id = write_like(self, w, worker_world_id(3 * SECOND_MS));
    worker_world_do(w, "INSERT INTO role_leases VALUES ('relay', 'another', now() + interval '1 hour')");
    CHECK_INT(relay_start(&w->worker), 0);
    fiber_sleep_ms(self, 1000);
    CHECK(!is_marked(w, id));
    CHECK_INT(entries(self, w)->elements, 0);
    worker_world_do(w, "UPDATE role_leases SET expires_at = now() - interval '1 s' WHERE name = 'relay'");
    await_marked(self, w, id);
}

/* ---- a new Redis --------------------------------------------------------------------------------------- */

static int64_t next_epoch(struct fiber *self, struct worker_world *w, int64_t before) {
    int64_t epoch, give_up = in_ms(60000);
    while ((epoch = epoch_now(&w->worker.domain)) <= before && clock_mono_ns() < give_up)
        fiber_sleep_ms(self, 10);
    CHECK(epoch > before);
    return epoch;
}

/* It was published so long before the epoch was opened. */
static void publish_before(struct worker_world *w, int64_t id, int64_t epoch, int64_t s) {
    worker_world_do(w,
                    "UPDATE outbox SET published_at = opened_at - interval '1 s' * %lld"
                    " FROM redis_epochs WHERE id = %lld AND epoch = %lld",
                    (long long)s, (long long)id, (long long)epoch);
}

/* What was published a moment before the epoch began may be missing on its lists, so it is not settled. */
TEST(a_new_redis_gets_what_was_published_in_the_window) {
    int64_t before = epoch_now(&w->worker.domain);
    int64_t old = write_like(self, w, worker_world_id(3 * HOUR_MS)),
            settled = write_like(self, w, worker_world_id(HOUR_MS / 2));
    int64_t recent = write_like(self, w, worker_world_id(3 * SECOND_MS));
    worker_world_do(w, "UPDATE upkeep SET processed_until = now()");
    redis_server_kill(&w->servers->redis);
    redis_server_restart(&w->servers->redis);
    int64_t epoch = next_epoch(self, w, before);
    publish_before(w, old, epoch, 3 * 3600);
    publish_before(w, settled, epoch, 1800);
    publish_before(w, recent, epoch, EPOCH_SLACK_S / 2);
    CHECK_INT(relay_start(&w->worker), 0);
    worker_world_await(self, w,
                       "(SELECT republished FROM redis_epochs ORDER BY epoch DESC LIMIT 1)"
                       " AND NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)");
    const struct redis_reply *stream = entries(self, w);
    CHECK_INT(stream->elements, 2);
    CHECK_INT(event_id(stream, 0), settled);
    CHECK_STR(field(stream, 0, OUTBOX_SETTLED), arena_printf(fiber_arena(self), "%lld", (long long)epoch));
    CHECK_INT(event_id(stream, 1), recent);
    CHECK_INT(field(stream, 1, OUTBOX_SETTLED).len, 0);
}

TEST(and_older_ones_that_some_role_has_not_processed) {
    int64_t before = epoch_now(&w->worker.domain), old = write_like(self, w, worker_world_id(3 * HOUR_MS));
    worker_world_do(w, "UPDATE upkeep SET processed_until = '-infinity'");
    redis_server_kill(&w->servers->redis);
    redis_server_restart(&w->servers->redis);
    publish_before(w, old, next_epoch(self, w, before), 3 * 3600);
    CHECK_INT(relay_start(&w->worker), 0);
    worker_world_await(self, w,
                       "(SELECT republished FROM redis_epochs ORDER BY epoch DESC LIMIT 1)"
                       " AND NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)");
    CHECK_INT(event_id(entries(self, w), 0), old);
}

/* There is nothing that an earlier one could have had. */
TEST(the_first_redis_of_all_gets_nothing_again) {
    int64_t id = write_like(self, w, worker_world_id(3 * SECOND_MS));
    publish_before(w, id, epoch_now(&w->worker.domain), 1);
    CHECK_INT(relay_start(&w->worker), 0);
    worker_world_await(self, w, "(SELECT republished FROM redis_epochs)");
    CHECK_INT(entries(self, w)->elements, 0);
    CHECK(is_marked(w, id));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_its_gateway_has_left_is_published_and_marked),
        cmocka_unit_test(the_oldest_come_first),
        cmocka_unit_test(more_than_one_batch_is_published),
        cmocka_unit_test(what_is_not_its_own_is_left),
        cmocka_unit_test(a_post_is_put_on_its_author_s_own_timeline),
        cmocka_unit_test(but_not_one_that_is_settled),
        cmocka_unit_test(only_the_leader_publishes),
        cmocka_unit_test(a_new_redis_gets_what_was_published_in_the_window),
        cmocka_unit_test(and_older_ones_that_some_role_has_not_processed),
        cmocka_unit_test(the_first_redis_of_all_gets_nothing_again),
    };
    return cmocka_run_group_tests_name("relay", tests, gateway_world_setup, gateway_world_teardown);
}
