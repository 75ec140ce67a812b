/* The operator's server of a daemon, and the replies of plain routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/process/monitor.h"
#include "core/process/routes.h"
#include "core/rpc/probe.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/raw_peer.h"

struct daemon_of_test {
    struct config config;
    struct domain domain;
    struct metrics *counts;
    bool is_ready;
};

static bool ready(void *context) {
    return ((const struct daemon_of_test *)context)->is_ready;
}

static void greet(struct fiber *self, void *context, struct str path, struct str query,
                  struct http_reply *out) {
    (void)self, (void)path, (void)query;
    route_text(out, 418, ((const struct daemon_of_test *)context)->is_ready ? "well\n" : "unwell\n");
}

static const struct http_route ROUTES[] = {{"/greeting", greet}};

static void open_daemon(struct fiber *self, struct daemon_of_test *d, char *listen) {
    *d = (struct daemon_of_test){.config = {.metrics_listen = listen, .request_timeout_ms = 10000}};
    d->domain = (struct domain){.loop = fiber_loop(self), .config = &d->config, .metrics = metrics_new()};
    d->domain.log = log_new("test", LOG_ERROR, 2);
    d->counts = metrics_new();
}

static void close_daemon(struct daemon_of_test *d) {
    metrics_free(d->counts);
    metrics_free(d->domain.metrics);
    log_free(d->domain.log);
}

static int start(struct daemon_of_test *d, struct rpc_server **out, struct fault *fault) {
    const struct monitor_options o = {
        .routes = ROUTES, .n_routes = 1, .context = d, .ready = ready, .counts = d->counts};
    return monitor_start(&d->domain, &o, out, fault);
}

/* ---- the server ---------------------------------------------------------------------------------------- */

static void without_an_address_nothing_is_served(struct fiber *self, void *arg) {
    struct daemon_of_test d;
    struct fault fault = {0};
    char nothing[] = "";
    struct rpc_server *server = (void *)&d;
    (void)arg;
    open_daemon(self, &d, nothing);
    CHECK_INT(start(&d, &server, &fault), 0);
    CHECK(server == NULL);
    close_daemon(&d);
}

static void an_address_that_is_none_is_named(struct fiber *self, void *arg) {
    struct daemon_of_test d;
    struct fault fault = {0};
    char nonsense[] = "nonsense";
    struct rpc_server *server = (void *)&d;
    (void)arg;
    open_daemon(self, &d, nonsense);
    int e = start(&d, &server, &fault);
    CHECK(e != 0);
    CHECK_INT(fault.error, e);
    CHECK(server == NULL);
    CHECK(strstr(fault.text, "nonsense") != NULL);
    close_daemon(&d);
}

static bool counts_something(struct metrics *m) {
    struct buf page;
    buf_init(&page);
    metrics_write(m, &page);
    bool some = page.len > 0;
    buf_free(&page);
    return some;
}

static void it_answers_at_its_routes_and_to_health_checks(struct fiber *self, void *arg) {
    struct daemon_of_test d;
    struct fault fault = {0};
    char any[] = "127.0.0.1:0", address[32];
    struct rpc_server *server;
    struct raw_peer peer = {0};
    (void)arg;
    open_daemon(self, &d, any);
    d.is_ready = true;
    CHECK_INT(start(&d, &server, &fault), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", rpc_server_port(server));
    CHECK_INT(probe_ask(self, address, &fault), 0);
    d.is_ready = false;
    CHECK_INT(probe_ask(self, address, &fault), ERR_UNAVAILABLE);
    raw_open(self, &peer, address);
    raw_send_text(&peer, "GET /greeting HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &peer, "unwell\n"));
    CHECK(raw_count(&peer, "HTTP/1.1 418") == 1);
    raw_close(self, &peer);
    rpc_server_stop(self, server, 1000);
    CHECK(counts_something(d.counts));
    CHECK(!counts_something(d.domain.metrics));
    close_daemon(&d);
}

/* ---- replies ------------------------------------------------------------------------------------------- */

static void a_text_is_for_people(void **state) {
    struct http_reply r = {0};
    (void)state;
    buf_init(&r.body);
    route_text(&r, 503, "draining");
    assert_int_equal(r.status, 503);
    assert_string_equal(r.content_type, "text/plain; charset=utf-8");
    assert_true(str_eq(buf_str(&r.body), STR("draining")));
    buf_free(&r.body);
}

static void metrics_are_for_prometheus(void **state) {
    struct http_reply r = {0};
    struct metrics *m = metrics_new();
    (void)state;
    buf_init(&r.body);
    metrics_counter(m, "eggs_total", "Eggs", "")->value = 3;
    route_metrics(&r, m);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.content_type, "text/plain; version=0.0.4; charset=utf-8");
    buf_append_char(&r.body, '\0');
    assert_non_null(strstr(r.body.ptr, "\neggs_total 3\n"));
    buf_free(&r.body);
    metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(without_an_address_nothing_is_served),
        IN_FIBER(an_address_that_is_none_is_named),
        IN_FIBER(it_answers_at_its_routes_and_to_health_checks),
        cmocka_unit_test(a_text_is_for_people),
        cmocka_unit_test(metrics_are_for_prometheus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
