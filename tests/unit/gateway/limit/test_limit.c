/* Limits: what an account may ask for, and a network, and the /48 around an IPv6 one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "gateway/limit/limit.h"
#include "tests/unit/support/fibers.h"

enum { LOGINS_EACH = 3, AROUND = 10, PUBLISHED_IN_ONE_GO = 10 };

/* As core/http/network.h numbers them: 2001:db8:SITE:NET::/64, and 192.0.2.LAST. */
#define NET(site, net) (UINT64_C(0x20010db800000000) + ((uint64_t)(site) << 16) + (uint64_t)(net))
#define IPV4(last) (UINT64_C(0xffffc0000200) + (uint64_t)(last))

/* A gateway of which there is only what limits need. No time passes for them while the fiber does not suspend. */
struct narrow {
    struct config config;
    struct gateway gateway;
    struct limits *limits;
};

static void narrow_open(struct fiber *self, struct narrow *n) {
    char error[256], logins[] = "ROOKERY_LIMIT_LOGINS=3", publishes[] = "ROOKERY_LIMIT_PUBLISHES=1";
    char *environment[] = {logins, publishes, NULL};
    *n = (struct narrow){0};
    CHECK(config_load(&n->config, environment, error, sizeof error));
    n->gateway.domain.config = &n->config;
    n->gateway.domain.loop = fiber_loop(self);
    n->gateway.domain.log = log_new("test", LOG_ERROR, 2);
    n->gateway.domain.metrics = metrics_new();
    n->limits = limits_new(&n->gateway);
    CHECK(n->limits != NULL);
}

static void narrow_close(struct fiber *self, struct narrow *n) {
    limits_free(self, n->limits);
    metrics_free(n->gateway.domain.metrics);
    log_free(n->gateway.domain.log);
    config_free(&n->config);
}

static int login(struct narrow *n, uint64_t network) {
    struct fault fault = {0};
    return limits_network(n->limits, LIMIT_LOGINS, network, &fault);
}

static int peek(struct narrow *n, uint64_t network) {
    struct fault fault = {0};
    return limits_network_peek(n->limits, LIMIT_LOGINS, network, &fault);
}

/* Takes all that so many networks of a site may. */
static void use_up(struct narrow *n, int site, int networks) {
    for (int net = 0; net < networks; net++)
        for (int i = 0; i < LOGINS_EACH; i++) CHECK_INT(login(n, NET(site, net)), 0);
}

static void a_48_has_ten_times_what_a_64_may(struct fiber *self, void *arg) {
    struct narrow n;
    (void)arg;
    narrow_open(self, &n);
    use_up(&n, 1, AROUND);
    CHECK_INT(peek(&n, NET(1, 99)), ERR_RESOURCE_EXHAUSTED);
    CHECK_INT(login(&n, NET(1, 99)), ERR_RESOURCE_EXHAUSTED);
    CHECK_INT(login(&n, NET(2, 0)), 0);
    CHECK_INT(peek(&n, NET(2, 0)), 0);
    narrow_close(self, &n);
}

static void a_64_does_not_get_the_48_s_share(struct fiber *self, void *arg) {
    struct narrow n;
    (void)arg;
    narrow_open(self, &n);
    use_up(&n, 1, 1);
    for (int i = 0; i < 100; i++) CHECK_INT(login(&n, NET(1, 0)), ERR_RESOURCE_EXHAUSTED);
    CHECK_INT(peek(&n, NET(1, 0)), ERR_RESOURCE_EXHAUSTED);
    /* What it was refused has not been taken from its neighbours. */
    for (int net = 1; net < AROUND; net++)
        for (int i = 0; i < LOGINS_EACH; i++) CHECK_INT(login(&n, NET(1, net)), 0);
    CHECK_INT(login(&n, NET(1, AROUND)), ERR_RESOURCE_EXHAUSTED);
    narrow_close(self, &n);
}

static void what_is_given_back_may_be_taken_by_a_neighbour(struct fiber *self, void *arg) {
    struct narrow n;
    (void)arg;
    narrow_open(self, &n);
    use_up(&n, 1, AROUND);
    limits_network_give_back(n.limits, LIMIT_LOGINS, NET(1, 0));
    CHECK_INT(login(&n, NET(1, 99)), 0);
    CHECK_INT(login(&n, NET(1, 99)), ERR_RESOURCE_EXHAUSTED);
    narrow_close(self, &n);
}

static void ipv4_addresses_share_nothing(struct fiber *self, void *arg) {
    struct narrow n;
    (void)arg;
    narrow_open(self, &n);
    for (int last = 0; last < 2 * AROUND; last++) {
        for (int i = 0; i < LOGINS_EACH; i++) CHECK_INT(login(&n, IPV4(last)), 0);
        CHECK_INT(login(&n, IPV4(last)), ERR_RESOURCE_EXHAUSTED);
    }
    narrow_close(self, &n);
}

static int publish(struct narrow *n, int64_t account, struct fault *fault) {
    return limits_account(n->limits, LIMIT_PUBLISH, account, fault);
}

static void an_account_has_its_own(struct fiber *self, void *arg) {
    struct narrow n;
    struct fault fault = {0};
    (void)arg;
    narrow_open(self, &n);
    for (int i = 0; i < PUBLISHED_IN_ONE_GO; i++) CHECK_INT(publish(&n, 7, &fault), 0);
    CHECK_INT(publish(&n, 7, &fault), ERR_RESOURCE_EXHAUSTED);
    CHECK(strstr(fault.text, "published changes by this account: at most 1 a second"));
    CHECK_INT(publish(&n, 8, &fault), 0);
    limits_account_give_back(n.limits, LIMIT_PUBLISH, 7);
    CHECK_INT(publish(&n, 7, &fault), 0);
    CHECK_INT(publish(&n, 7, &fault), ERR_RESOURCE_EXHAUSTED);
    narrow_close(self, &n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_48_has_ten_times_what_a_64_may),
        IN_FIBER(a_64_does_not_get_the_48_s_share),
        IN_FIBER(what_is_given_back_may_be_taken_by_a_neighbour),
        IN_FIBER(ipv4_addresses_share_nothing),
        IN_FIBER(an_account_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
