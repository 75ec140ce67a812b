/* Reposts taken back while Redis is away: what was not heard the first time is told when it is asked for again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/domain/post/post.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"
#include "core/event/outbox.h"
#include "tests/unit/support/gateway_world.h"

enum { ADA = 1, BOB = 2 };

/* Events on the stream of an account's partition. */
static int64_t heard_of(struct fiber *self, struct domain *d, int64_t account) {
    const struct redis_reply *reply;
    char space[KEY_MAX];
    struct str key =
        stream_key(space, &STREAMS[STREAM_EVENTS], event_partition(account, d->config->partitions));
    if (!CHECK_INT(redis_call(self, d->redis, &reply, "XLEN %.*s", (int)key.len, key.ptr), 0)) return -1;
    return reply->integer;
}

static void take_back_without_redis(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct domain *d = &w->gateway.domain;
    struct fault fault = {0};
    int64_t repost = 0, gone = 0;
    gateway_world_open(self, w);
    gateway_world_accounts(w, ADA, 2);
    int64_t post = gateway_world_post(w, ADA, 1000, "hello");
    CHECK_INT(post_repost(self, d, BOB, post, false, &repost, &fault), 0);
    redis_server_kill(&w->redis);
    CHECK_INT(post_unrepost(self, d, BOB, post, &gone, &fault), ERR_UNAVAILABLE);
    CHECK_INT(gone, repost);
    redis_server_restart(&w->redis); /* empty */
    while (epoch_now(d) == 0 && fiber_sleep_ms(self, 10) == 0) {
    }
    CHECK_INT(heard_of(self, d, BOB), 0);
    CHECK_INT(post_unrepost(self, d, BOB, post, &gone, &fault), 0);
    CHECK_INT(gone, repost);
    CHECK_INT(heard_of(self, d, BOB), 1);
    /* It may be reposted again, which is another entry, and what stands is what goes. */
    int64_t second = 0;
    CHECK_INT(post_repost(self, d, BOB, post, false, &second, &fault), 0);
    CHECK(second > repost);
    CHECK_INT(post_unrepost(self, d, BOB, post, &gone, &fault), 0);
    CHECK_INT(gone, second);
    CHECK_INT(post_unrepost(self, d, ADA, post, &gone, &fault), 0);
    CHECK_INT(gone, 0);
    gateway_world_close(self, w);
}

static void a_repost_taken_back_is_told_at_the_next_try(void **state) {
    run_in_fiber(take_back_without_redis, *state);
}

/* What is kept of an account's likes ends somewhere; for older posts SQL is asked. */
static void like_many(struct fiber *self, void *arg) {
    enum { LIKES = 2100, KEPT = 2000, CEM = 3 };
    struct gateway_world *w = arg;
    struct domain *d = &w->gateway.domain;
    struct engagements known;
    struct ids asked[ENGAGEMENT_KINDS];
    struct fault fault = {0};
    const int64_t posts[] = {1, LIKES + 1};
    gateway_world_open(self, w);
    gateway_world_accounts(w, CEM, 1);
    CHECK(postgres_try(&w->postgres, "INSERT INTO likes (post_id, account_id, id)"
                                     " SELECT i, 3, i FROM generate_series(1, 2100) i"));
    CHECK_INT(post_engagements(self, d, CEM, &known, &fault), 0);
    CHECK_INT(known.of[ENGAGED_LIKED].len, KEPT);
    CHECK_INT(known.floor[ENGAGED_LIKED], LIKES - KEPT + 1);
    CHECK(engagements_may_have(&known, LIKES));
    engagements_free(&known);
    CHECK_INT(post_engaged_in(self, d, CEM, posts, 2, asked, &fault), 0);
    CHECK_INT(asked[ENGAGED_LIKED].len, 1);
    engaged_free(asked);
    gateway_world_close(self, w);
}

static void of_many_likes_the_newest_are_known_and_the_others_asked_for(void **state) {
    run_in_fiber(like_many, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_likes_the_newest_are_known_and_the_others_asked_for),
        cmocka_unit_test(a_repost_taken_back_is_told_at_the_next_try),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
