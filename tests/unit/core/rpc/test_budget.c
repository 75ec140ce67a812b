/* Whose the bytes of requests are, and who gives way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/rpc/budget.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/raw_peer.h"
#include "tests/unit/support/rpc_world.h"

/* ---- shares -------------------------------------------------------------------------------------------- */

#define KB ((size_t)1000)

struct request {
    struct budget_request r;
    bool evicted;
};

static struct budgets budget;
static struct request requests[8];

static void evict(struct budget_request *r) {
    struct request *q = (struct request *)(void *)r;
    assert_false(q->evicted);
    q->evicted = true;
    budget_close(r);
}

static void begin(struct budget_limits limits) {
    memset(requests, 0, sizeof requests);
    budget_init(&budget, &limits, evict);
}

static void end(void) {
    for (size_t i = 0; i < 8; i++) budget_close(&requests[i].r);
    assert_int_equal(budget_bytes(&budget), 0);
    assert_int_equal(budget.connections.len + budget.networks.len + budget.accounts.len, budget.idle.n);
    budget_free(&budget);
}

static struct budget_request *anonymous(int i, int connection, uint64_t network, size_t bytes) {
    budget_open_anonymous(&budget, &requests[i].r, (uintptr_t)connection + 1, network);
    assert_true(budget_add(&budget, &requests[i].r, bytes));
    return &requests[i].r;
}

static struct budget_request *known(int i, int64_t account, size_t bytes) {
    budget_open_known(&budget, &requests[i].r, account);
    assert_true(budget_add(&budget, &requests[i].r, bytes));
    return &requests[i].r;
}

static int n_evicted(void) {
    int n = 0;
    for (size_t i = 0; i < 8; i++) n += requests[i].evicted;
    return n;
}

static void the_oldest_of_a_connection_gives_way(void **state) {
    (void)state;
    begin((struct budget_limits){.connection = 10 * KB});
    anonymous(0, 0, 7, 4 * KB);
    anonymous(1, 0, 7, 4 * KB);
    anonymous(2, 1, 7, 9 * KB);
    assert_int_equal(n_evicted(), 0);
    anonymous(3, 0, 7, 4 * KB);
    assert_true(requests[0].evicted);
    assert_int_equal(n_evicted(), 1);
    assert_int_equal(budget_bytes(&budget), 17 * KB);
    end();
}

static void a_network_takes_from_itself_only(void **state) {
    (void)state;
    begin((struct budget_limits){.network = 10 * KB});
    anonymous(0, 0, 7, 6 * KB);
    anonymous(1, 1, 8, 9 * KB);
    anonymous(2, 2, 7, 6 * KB);
    assert_true(requests[0].evicted);
    assert_int_equal(n_evicted(), 1);
    end();
}

static void networks_of_a_48_share_ten_times_as_much(void **state) {
    (void)state;
    const uint64_t prefix = UINT64_C(0x20010db800010000);
    static struct budget_request more[12];
    begin((struct budget_limits){.network = 1 * KB});
    for (int i = 0; i < 2; i++) anonymous(i, 0, prefix + (uint64_t)i, 1 * KB);
    for (uint64_t i = 0; i < 8; i++) {
        budget_open_anonymous(&budget, &more[i], 2, prefix + 10 + i);
        assert_true(budget_add(&budget, &more[i], 1 * KB));
    }
    assert_int_equal(n_evicted(), 0);
    anonymous(2, 0, prefix + 20, 1);
    assert_true(requests[0].evicted);
    assert_int_equal(n_evicted(), 1);
    for (int i = 0; i < 8; i++) budget_close(&more[i]);
    end();
}

static void what_has_arrived_does_not_give_way(void **state) {
    (void)state;
    begin((struct budget_limits){.network = 10 * KB});
    budget_complete(anonymous(0, 0, 7, 6 * KB));
    anonymous(1, 0, 7, 4 * KB);
    anonymous(2, 0, 7, 4 * KB);
    assert_true(requests[1].evicted);
    assert_false(requests[0].evicted);
    assert_false(budget_add(&budget, &requests[2].r, 1 * KB));
    assert_int_equal(budget_bytes(&budget), 10 * KB);
    end();
}

static void all_strangers_together_have_a_share(void **state) {
    (void)state;
    begin((struct budget_limits){.anonymous = 10 * KB});
    anonymous(0, 0, 7, 5 * KB);
    anonymous(1, 1, 8, 5 * KB);
    known(2, 1, 50 * KB);
    assert_int_equal(n_evicted(), 0);
    anonymous(3, 2, 9, 1);
    assert_true(requests[0].evicted);
    end();
}

static void an_account_takes_from_itself_only(void **state) {
    (void)state;
    begin((struct budget_limits){.account = 10 * KB, .accounts = 100 * KB, .network = 1 * KB});
    known(0, 1, 6 * KB);
    known(1, 2, 6 * KB);
    known(2, 2, 6 * KB);
    assert_true(requests[1].evicted);
    assert_int_equal(n_evicted(), 1);
    end();
}

static void who_has_nothing_open_is_forgotten_after_many_others(void **state) {
    (void)state;
    begin((struct budget_limits){.account = KB});
    for (int64_t account = 1; account <= 20000; account++) {
        budget_open_known(&budget, &requests[0].r, account);
        assert_true(budget_add(&budget, &requests[0].r, KB));
        budget_close(&requests[0].r);
        assert_true(budget.accounts.len < 5000);
    }
    end();
}

static void who_becomes_known_leaves_the_strangers(void **state) {
    (void)state;
    begin((struct budget_limits){.network = 10 * KB, .account = 20 * KB});
    struct budget_request *r = anonymous(0, 0, 7, 6 * KB);
    budget_known(&budget, r, 1);
    anonymous(1, 0, 7, 6 * KB);
    assert_int_equal(n_evicted(), 0);
    assert_true(budget_add(&budget, r, 14 * KB));
    assert_false(budget_add(&budget, r, 1));
    budget_known(&budget, r, 1);
    assert_int_equal(budget_bytes(&budget), 26 * KB);
    end();
}

/* ---- on the wire --------------------------------------------------------------------------------------- */

static void post_part(struct raw_peer *p, const char *method, const char *more, size_t length, size_t sent) {
    char head[512];
    int n = snprintf(head, sizeof head,
                     "POST " TEST_SERVICE "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
                     "Content-Length: %zu\r\n\r\n",
                     method, more, length);
    raw_send(p, head, (size_t)n);
    for (size_t i = 0; i < sent; i++) raw_send_text(p, " ");
}

static void the_oldest_incomplete_request_is_answered(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct raw_peer peers[3];
    (void)arg;
    world_init(&w);
    w.options.budget.network = 8 * KB; /* two open calls and a little */
    world_start(self, &w);
    for (int i = 0; i < 3; i++) {
        raw_open(self, &peers[i], w.address);
        post_part(&peers[i], "Echo", "", 2000, 1000);
        fiber_sleep_ms(self, 10);
    }
    CHECK(raw_wait_text(self, &peers[0], "HTTP/1.1 429"));
    CHECK(raw_wait_text(self, &peers[0], "gave way to newer ones"));
    for (int i = 0; i < 998; i++) raw_send_text(&peers[2], " ");
    raw_send_text(&peers[2], "{}");
    CHECK(raw_wait_text(self, &peers[2], "HTTP/1.1 200"));
    for (int i = 0; i < 3; i++) raw_close(self, &peers[i]);
    world_stop(self, &w, 1000);
}

static void without_a_right_token_no_body_is_waited_for(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct raw_peer peer;
    (void)arg;
    world_init(&w);
    world_start(self, &w);
    raw_open(self, &peer, w.address);
    post_part(&peer, "Private", "Authorization: Bearer abracadabra\r\n", 1000000, 10);
    CHECK(raw_wait_text(self, &peer, "HTTP/1.1 401"));
    raw_close(self, &peer);
    world_stop(self, &w, 1000);
}

static void a_large_body_comes_in_once_its_sender_is_known(struct fiber *self, void *arg) {
    enum { SIZE = 900 * 1000 };
    static char spaces[SIZE];
    struct rpc_world w;
    struct raw_peer peer;
    (void)arg;
    memset(spaces, ' ', sizeof spaces);
    world_init(&w);
    w.options.budget = (struct budget_limits){.connection = 200 * KB, .account = 2000 * KB};
    world_start(self, &w);
    raw_open(self, &peer, w.address);
    post_part(&peer, "Private", "Authorization: Bearer sesame\r\n", SIZE + 2, 0);
    raw_send(&peer, spaces, SIZE);
    raw_send_text(&peer, "{}");
    CHECK(raw_wait_text(self, &peer, "HTTP/1.1 200"));
    raw_close(self, &peer);
    world_stop(self, &w, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_of_a_connection_gives_way),
        cmocka_unit_test(a_network_takes_from_itself_only),
        cmocka_unit_test(networks_of_a_48_share_ten_times_as_much),
        cmocka_unit_test(what_has_arrived_does_not_give_way),
        cmocka_unit_test(all_strangers_together_have_a_share),
        cmocka_unit_test(an_account_takes_from_itself_only),
        cmocka_unit_test(who_has_nothing_open_is_forgotten_after_many_others),
        cmocka_unit_test(who_becomes_known_leaves_the_strangers),
        IN_FIBER(the_oldest_incomplete_request_is_answered),
        IN_FIBER(without_a_right_token_no_body_is_waited_for),
        IN_FIBER(a_large_body_comes_in_once_its_sender_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
