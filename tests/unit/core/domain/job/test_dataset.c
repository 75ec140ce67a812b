/* Datasets begun: what goes on the streams without a relay, and which uploads are given up for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <inttypes.h>

#include "core/domain/job/dataset.h"
#include "core/event/stream.h"
#include "tests/unit/support/gateway_world.h"

enum { ADA = 1, BOB = 2 };
#define SHA256 STR("0123456789abcdef0123456789abcdef")

static int upload(struct fiber *self, struct gateway_world *w, int64_t owner, const char *key,
                  struct dataset_record *out) {
    struct fault fault = {0};
    struct dataset_draft draft = {.owner_id = owner,
                                  .name = STR("an upload"),
                                  .idempotency_key = str_from(key),
                                  .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD,
                                  .size_bytes = 10,
                                  .sha256 = SHA256};
    return dataset_create(self, &w->gateway.domain, &draft, out, &fault);
}

static bool is_there(struct fiber *self, struct gateway_world *w, int64_t owner, const char *key) {
    struct dataset_record found;
    struct fault fault = {0};
    int e = dataset_upload_find(self, &w->gateway.domain, owner, str_from(key), &found, &fault);
    CHECK(e == 0 || e == ERR_NOT_FOUND);
    return e == 0;
}

/* As if it had been begun so long before. */
static void make_older(struct gateway_world *w, const char *key, int64_t hours) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "UPDATE datasets SET id = id - (%" PRId64 "::bigint << 22) WHERE idempotency_key = '%s'",
             hours * 3600 * 1000, key);
    CHECK(postgres_try(&w->postgres, sql));
}

static void begin_another(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct dataset_record made;
    gateway_world_open(self, w);
    gateway_world_accounts(w, ADA, 2);
    CHECK_INT(upload(self, w, ADA, "of today", &made), 0);
    CHECK_INT(upload(self, w, ADA, "of yesterday", &made), 0);
    CHECK_INT(upload(self, w, BOB, "of another", &made), 0);
    make_older(w, "of today", 22);
    make_older(w, "of yesterday", 26);
    make_older(w, "of another", 26);
    CHECK_INT(upload(self, w, ADA, "next", &made), 0);
    CHECK(is_there(self, w, ADA, "of today"));
    CHECK(!is_there(self, w, ADA, "of yesterday"));
    CHECK(is_there(self, w, BOB, "of another"));
    CHECK(is_there(self, w, ADA, "next"));
    gateway_world_close(self, w);
}

static void an_upload_begun_more_than_a_day_ago_is_given_up_for_the_next(void **state) {
    run_in_fiber(begin_another, *state);
}

static int64_t steps_on_streams(struct fiber *self, struct domain *d) {
    int64_t n = 0;
    for (int p = 0; p < d->config->partitions; p++) {
        const struct redis_reply *reply;
        char space[KEY_MAX];
        struct str key = stream_key(space, &STREAMS[STREAM_JOBS], p);
        if (CHECK_INT(redis_call(self, d->redis, &reply, "XLEN " STR_FMT, STR_ARG(key)), 0))
            n += reply->integer;
    }
    return n;
}

static void ask_a_query(struct fiber *self, void *arg) {
    struct gateway_world *w = arg;
    struct dataset_record made, again;
    struct fault fault = {0};
    gateway_world_open(self, w);
    CHECK(postgres_try(&w->postgres, "UPDATE accounts SET analyst = true WHERE id = 1"));
    struct dataset_draft draft = {.owner_id = ADA,
                                  .name = STR("a query"),
                                  .idempotency_key = STR("query"),
                                  .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_QUERY,
                                  .query = STR("SELECT 1 AS one")};
    int64_t before = steps_on_streams(self, &w->gateway.domain);
    CHECK_INT(dataset_create(self, &w->gateway.domain, &draft, &made, &fault), 0);
    CHECK_INT(steps_on_streams(self, &w->gateway.domain), before + 1);
    CHECK_INT(dataset_create(self, &w->gateway.domain, &draft, &again, &fault), 0);
    CHECK_INT(again.id, made.id);
    CHECK_INT(steps_on_streams(self, &w->gateway.domain), before + 1);
    gateway_world_close(self, w);
}

static void the_first_step_of_a_query_is_published_once_and_waits_for_no_relay(void **state) {
    run_in_fiber(ask_a_query, *state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_begun_more_than_a_day_ago_is_given_up_for_the_next),
        cmocka_unit_test(the_first_step_of_a_query_is_published_once_and_waits_for_no_relay),
    };
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
