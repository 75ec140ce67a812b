/* Who gives way when connections are many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/support/fibers.h"
#include "tests/unit/support/raw_peer.h"
#include "tests/unit/support/rpc_world.h"

enum { PEERS = 14 };

struct crowd {
    struct rpc_world w;
    struct raw_peer peers[PEERS];
    int n;
};

static void crowd_init(struct crowd *c, struct peer_limits limits, size_t max) {
    world_init(&c->w);
    c->w.options.peers = limits;
    c->w.options.max_connections = max;
    c->n = 0;
}

static void crowd_begin(struct fiber *self, struct crowd *c, struct peer_limits limits, size_t max) {
    crowd_init(c, limits, max);
    world_start(self, &c->w);
}

/* Each connection begins with a PROXY header. */
static void crowd_begin_behind_proxy(struct fiber *self, struct crowd *c, struct peer_limits limits,
                                     size_t max) {
    crowd_init(c, limits, max);
    c->w.options.trusted_proxies = "127.0.0.1";
    c->w.options.proxy_headers = true;
    world_start(self, &c->w);
}

static struct raw_peer *another(struct fiber *self, struct crowd *c) {
    struct raw_peer *p = &c->peers[c->n++];
    raw_open(self, p, c->w.address);
    fiber_sleep_ms(self, 30); /* activity is told apart by 20 ms */
    return p;
}

static void crowd_end(struct fiber *self, struct crowd *c) {
    for (int i = 0; i < c->n; i++) raw_close(self, &c->peers[i]);
    world_stop(self, &c->w, 1000);
}

static void post(struct raw_peer *p, const char *method, const char *authorization, const char *body) {
    char text[512];
    snprintf(text, sizeof text,
             "POST " TEST_SERVICE "%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
             "Content-Length: %zu\r\n\r\n%s",
             method, authorization, strlen(body), body);
    raw_send_text(p, text);
}

/* An answer to one more request has come. */
static bool is_served(struct fiber *self, struct raw_peer *p, bool known) {
    size_t before = raw_count(p, "HTTP/1.1 200 OK");
    if (known)
        post(p, "Private", "Authorization: Bearer sesame\r\n", "{\"service\":\"x\"}");
    else
        raw_send_text(p, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    while (raw_count(p, "HTTP/1.1 200 OK") == before)
        if (!raw_wait_more(self, p)) return false;
    return true;
}

static void the_idlest_of_a_network_gives_way(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.per_network = 2}, 100);
    struct raw_peer *first = another(self, &c), *second = another(self, &c);
    CHECK(is_served(self, first, false));
    struct raw_peer *third = another(self, &c);
    CHECK(raw_wait_end(self, second));
    CHECK(is_served(self, first, false));
    CHECK(is_served(self, third, false));
    CHECK_INT(world_counter(&c.w, "rookery_http_drops_total", "reason=\"anonymous_network\""), 1);
    crowd_end(self, &c);
}

static void the_idlest_of_all_strangers_gives_way(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.anonymous = 2}, 100);
    struct raw_peer *first = another(self, &c), *second = another(self, &c);
    CHECK(is_served(self, first, false));
    another(self, &c);
    CHECK(raw_wait_end(self, second));
    CHECK(is_served(self, first, false));
    crowd_end(self, &c);
}

/* A connection whose PROXY header says that it comes from there. */
static struct raw_peer *another_from(struct fiber *self, struct crowd *c, const char *address) {
    struct raw_peer *p = another(self, c);
    char header[128];
    snprintf(header, sizeof header, "PROXY TCP6 %s 2001:db8::1 1234 8080\r\n", address);
    raw_send_text(p, header);
    CHECK(is_served(self, p, false));
    return p;
}

static void a_48_has_ten_times_what_a_64_may(struct fiber *self, void *arg) {
    struct crowd c;
    char address[64];
    (void)arg;
    crowd_begin_behind_proxy(self, &c, (struct peer_limits){.per_network = 1}, 100);
    for (int i = 0; i < 10; i++) {
        snprintf(address, sizeof address, "2001:db8:1:%x::1", (unsigned)i);
        another_from(self, &c, address);
    }
    another_from(self, &c, "2001:db8:2::1");
    fiber_sleep_ms(self, 2500); /* they are young no more, and have been swept */
    CHECK_INT(world_counter(&c.w, "rookery_http_drops_total", "reason=\"anonymous_network\""), 0);
    struct raw_peer *eleventh = another_from(self, &c, "2001:db8:1:ff::1");
    CHECK(raw_wait_end(self, &c.peers[0]));
    for (int i = 1; i < c.n; i++) CHECK(is_served(self, &c.peers[i], false));
    CHECK(is_served(self, eleventh, false));
    CHECK_INT(world_counter(&c.w, "rookery_http_drops_total", "reason=\"anonymous_network\""), 1);
    crowd_end(self, &c);
}

static void who_waits_for_an_answer_is_passed_over(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.per_network = 2}, 100);
    struct raw_peer *waiting = another(self, &c);
    post(waiting, "Sleep", "", "\"3000s\"");
    for (int i = 0; i < 5000 && c.w.handlers_running == 0; i++) fiber_sleep_ms(self, 1);
    struct raw_peer *idle = another(self, &c);
    another(self, &c);
    CHECK(raw_wait_end(self, idle));
    CHECK(raw_wait_text(self, waiting, "3000s"));
    crowd_end(self, &c);
}

static void an_authenticated_connection_stays(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.per_network = 1, .anonymous = 1}, 100);
    struct raw_peer *known = another(self, &c);
    CHECK(is_served(self, known, true));
    for (int i = 0; i < 3; i++) another(self, &c);
    CHECK(raw_wait_end(self, &c.peers[1]));
    CHECK(raw_wait_end(self, &c.peers[2]));
    CHECK(is_served(self, known, true));
    crowd_end(self, &c);
}

static void an_account_s_idlest_gives_way_to_its_newest(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.per_account = 2}, 100);
    for (int i = 0; i < 3; i++) CHECK(is_served(self, another(self, &c), true));
    CHECK(raw_wait_end(self, &c.peers[0]));
    CHECK(is_served(self, &c.peers[1], true));
    CHECK(is_served(self, &c.peers[2], true));
    crowd_end(self, &c);
}

static void a_full_server_gives_way_to_newcomers_unless_all_are_known(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){0}, 2);
    struct raw_peer *stranger = another(self, &c), *known = another(self, &c);
    CHECK(is_served(self, known, true));
    struct raw_peer *newcomer = another(self, &c);
    CHECK(raw_wait_end(self, stranger));
    CHECK(is_served(self, newcomer, true));
    CHECK(raw_wait_end(self, another(self, &c)));
    CHECK(is_served(self, known, true));
    CHECK(is_served(self, newcomer, true));
    crowd_end(self, &c);
}

/* Whoever has so many accounts that they fill the server does not shut it for others. */
static void a_server_full_of_one_s_connections_gives_way(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){0}, 6);
    for (int i = 0; i < 6; i++) CHECK(is_served(self, another(self, &c), true));
    for (int i = 0; i < 2; i++) {
        struct raw_peer *newcomer = another(self, &c);
        CHECK(raw_wait_end(self, &c.peers[i]));
        CHECK(is_served(self, newcomer, true));
    }
    CHECK(is_served(self, &c.peers[2], true));
    crowd_end(self, &c);
}

static void strangers_may_be_idle_only_briefly(struct fiber *self, void *arg) {
    struct crowd c;
    (void)arg;
    crowd_begin(self, &c, (struct peer_limits){.anonymous_idle_ms = 100}, 100);
    struct raw_peer *known = another(self, &c), *stranger = another(self, &c);
    CHECK(is_served(self, known, true));
    CHECK(is_served(self, stranger, false));
    CHECK(raw_wait_end(self, stranger));
    CHECK(is_served(self, known, true));
    crowd_end(self, &c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(the_idlest_of_a_network_gives_way),
        IN_FIBER(the_idlest_of_all_strangers_gives_way),
        IN_FIBER(a_48_has_ten_times_what_a_64_may),
        IN_FIBER(who_waits_for_an_answer_is_passed_over),
        IN_FIBER(an_authenticated_connection_stays),
        IN_FIBER(an_account_s_idlest_gives_way_to_its_newest),
        IN_FIBER(a_full_server_gives_way_to_newcomers_unless_all_are_known),
        IN_FIBER(a_server_full_of_one_s_connections_gives_way),
        IN_FIBER(strangers_may_be_idle_only_briefly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
