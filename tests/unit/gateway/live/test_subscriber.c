/* A subscriber of live feeds before its stream is live: what it is pushed is held, up to a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "gateway/live/live_internal.h"

enum { ADA = 7, BOB, CEM };

/* Of live feeds only what subscribers need. */
struct feed {
    struct live live;
    struct subscriber *bob;
    struct rpc_shared *message;
};

static void feed_open(struct feed *f) {
    const struct rpc_identity bob = {.account_id = BOB, .session_id = 1};
    Rookery__V1__Heartbeat beat = ROOKERY__V1__HEARTBEAT__INIT;
    *f = (struct feed){0};
    list_init(&f->live.all);
    list_init(&f->live.due);
    list_init(&f->live.resetting);
    idmap_init(&f->live.by_author);
    idmap_init(&f->live.by_account);
    places_init(&f->live.places, 1, 1 << 16);
    f->message = rpc_shared_new(&beat.base);
    f->bob = subscriber_new(&f->live, &bob);
    assert_non_null(f->bob);
}

static void feed_close(struct feed *f) {
    subscriber_free(f->bob);
    assert_true(list_empty(&f->live.all));
    assert_int_equal(f->live.by_author.len + f->live.by_account.len, 0);
    rpc_shared_unref(f->message);
    places_free(&f->live.places);
    idmap_free(&f->live.by_author);
    idmap_free(&f->live.by_account);
}

static void follow_ada_and_cem(struct subscriber *s) {
    struct relations r = {.viewer_id = s->account_id};
    ids_init(&r.followed);
    ids_init(&r.blocked);
    ids_init(&r.muted);
    ids_push(&r.followed, ADA);
    ids_push(&r.followed, CEM);
    audience_index(s, &r);
}

static bool wants(const struct subscriber *s, const struct tell *t) {
    (void)s;
    (void)t;
    return true;
}

/* Something that these have posted or reposted. */
static void push(struct feed *f, uint64_t number, const int64_t *authors, size_t n) {
    struct tell t = {.number = number};
    push_to(&f->live, authors, n, &t, f->message, wants);
}

static void what_is_new_to_it_is_held_once(void **state) {
    (void)state;
    struct feed f;
    const int64_t both[] = {ADA, CEM, BOB}, stranger[] = {CEM + 1};
    feed_open(&f);
    push(&f, 1, both, 3); /* nobody knows yet whom he follows */
    follow_ada_and_cem(f.bob);
    push(&f, 2, both, 3); /* he has not joined */
    f.live.places.n_heard = 3;
    subscriber_join(f.bob);
    push(&f, 3, both, 3); /* heard when he joined */
    push(&f, 4, stranger, 1);
    assert_int_equal(f.bob->n_held, 0);
    push(&f, 4, both, 3);
    assert_int_equal(f.bob->n_held, 1);
    push(&f, 5, both, 1);
    assert_int_equal(f.bob->n_held, 2);
    follow_ada_and_cem(f.bob); /* again */
    push(&f, 6, both, 1);
    assert_int_equal(f.bob->n_held, 3);
    feed_close(&f);
}

static void who_would_hold_too_much_reads_again(void **state) {
    (void)state;
    struct feed f;
    const int64_t ada[] = {ADA};
    uint64_t number = 0;
    feed_open(&f);
    follow_ada_and_cem(f.bob);
    subscriber_join(f.bob);
    while (number < LIVE_HELD_CAP) push(&f, ++number, ada, 1);
    assert_int_equal(f.bob->n_held, LIVE_HELD_CAP);
    assert_false(f.bob->must_reset);
    for (int i = 0; i < 2; i++) push(&f, ++number, ada, 1);
    assert_true(f.bob->must_reset);
    assert_int_equal(f.bob->n_held, 0);
    assert_true(list_empty(&f.live.due)); /* the fiber that serves him finds out */
    feed_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_to_it_is_held_once),
        cmocka_unit_test(who_would_hold_too_much_reads_again),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
