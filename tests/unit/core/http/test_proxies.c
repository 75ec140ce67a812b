/* What trusted proxies say of their clients, and what is not taken from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/http/http.h"
#include "core/http/proxies.h"
#include "core/http/socket.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/raw_peer.h"
#include "tests/unit/support/rpc_world.h"

static struct proxies proxies;

static void trust(const char *text) {
    struct fault fault = {0};
    proxies = (struct proxies){0};
    assert_true(proxies_parse(text, &proxies, &fault));
}

static bool trusts(const char *address) {
    char text[80];
    struct sockaddr_storage a;
    snprintf(text, sizeof text, strchr(address, ':') ? "[%s]:1" : "%s:1", address);
    assert_true(socket_parse_address(text, &a));
    return proxies_trust(&proxies, &a);
}

/* ---- which are trusted --------------------------------------------------------------------------------- */

static void nobody_is_trusted_by_default(void **state) {
    (void)state;
    trust("");
    assert_false(trusts("127.0.0.1"));
    assert_false(trusts("::1"));
}

static void addresses_and_prefixes_are_trusted(void **state) {
    (void)state;
    trust("10.1.0.0/20, 192.0.2.7 ,2001:db8::/33,fe80::1");
    assert_true(trusts("10.1.15.255") && trusts("10.1.0.0") && trusts("::ffff:10.1.2.3"));
    assert_false(trusts("10.1.16.0") || trusts("10.0.255.255"));
    assert_true(trusts("192.0.2.7"));
    assert_false(trusts("192.0.2.6") || trusts("::c000:207"));
    assert_true(trusts("2001:db8:7fff::1"));
    assert_false(trusts("2001:db8:8000::1"));
    assert_true(trusts("fe80::1"));
    trust("0.0.0.0/0");
    assert_true(trusts("203.0.113.9"));
    assert_false(trusts("2001:db8::1"));
}

static void what_is_no_address_is_refused(void **state) {
    (void)state;
    const char *const bad[] = {"proxy.example", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", ",",
                               "::/129",        "1.2.3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault fault = {0};
        assert_false(proxies_parse(bad[i], &proxies, &fault));
        assert_non_null(
            strstr(fault.text, "is not the address of a proxy: give at most 64 of ADDR or ADDR/BITS"));
    }
}

/* ---- X-Forwarded-For ----------------------------------------------------------------------------------- */

/* The client that the fields name, as "ADDR:0"; "" when they name none. */
static const char *client_of(const char *first, const char *second) {
    static char name[80];
    struct http_fields f = {0};
    struct sockaddr_storage a;
    http_fields_add(&f, STR("x-forwarded-for"), str_from(first));
    http_fields_add(&f, STR("host"), STR("x"));
    if (second) http_fields_add(&f, STR("x-forwarded-for"), str_from(second));
    name[0] = '\0';
    if (proxies_forwarded_for(&proxies, &f, &a)) socket_address_name(&a, name, sizeof name);
    http_fields_free(&f);
    return name;
}

static void the_last_address_that_is_no_proxy_s_is_the_client(void **state) {
    (void)state;
    trust("10.0.0.0/8");
    assert_string_equal(client_of("192.0.2.1", NULL), "192.0.2.1:0");
    assert_string_equal(client_of("192.0.2.9, 192.0.2.1", NULL), "192.0.2.1:0");
    assert_string_equal(client_of("192.0.2.9,192.0.2.1, 10.0.0.2 ,10.0.0.3", NULL), "192.0.2.1:0");
    assert_string_equal(client_of("192.0.2.9", "192.0.2.1, 10.0.0.2"), "192.0.2.1:0");
    assert_string_equal(client_of("192.0.2.9", "10.0.0.2"), "192.0.2.9:0");
    assert_string_equal(client_of("10.0.0.2", NULL), "10.0.0.2:0");
    assert_string_equal(client_of("[2001:db8::5]:4711", NULL), "2001:db8::5:0");
    assert_string_equal(client_of("2001:db8::5", NULL), "2001:db8::5:0");
    assert_string_equal(client_of("192.0.2.1:4711", NULL), "192.0.2.1:0");
}

static void what_is_no_address_ends_the_reading(void **state) {
    (void)state;
    trust("10.0.0.0/8");
    assert_string_equal(client_of("", NULL), "");
    assert_string_equal(client_of("unknown", NULL), "");
    assert_string_equal(client_of("192.0.2.1, unknown, 10.0.0.2", NULL), "10.0.0.2:0");
    assert_string_equal(client_of("192.0.2.1,", NULL), "");
    assert_string_equal(client_of("[2001:db8::5", NULL), "");
}

/* ---- PROXY headers ------------------------------------------------------------------------------------- */

static enum proxy_header read_header(struct str bytes, size_t *used, char name[static 80]) {
    struct sockaddr_storage a;
    enum proxy_header e = proxies_read_header(bytes, used, &a);
    socket_address_name(&a, name, 80);
    return e;
}

/* Each shorter prefix wants more. */
static void check_header(struct str bytes, const char *client) {
    size_t used = 0;
    char name[80];
    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(read_header((struct str){bytes.ptr, n}, &used, name), PROXY_HEADER_SHORT);
    assert_int_equal(read_header(bytes, &used, name), PROXY_HEADER_OK);
    assert_int_equal(used, bytes.len);
    assert_string_equal(name, client);
}

static void check_bad(struct str bytes) {
    size_t used = 0;
    char name[80];
    assert_int_equal(read_header(bytes, &used, name), PROXY_HEADER_BAD);
}

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static void headers_of_both_versions_are_read(void **state) {
    (void)state;
    check_header(STR("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"), "192.0.2.1:0");
    check_header(STR("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"), "2001:db8::1:0");
    check_header(STR("PROXY UNKNOWN\r\n"), "?:0");
    check_header(STR("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), "?:0");
    check_header(STR(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb"), "192.0.2.1:0");
    check_header(
        STR(V2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
               "\x12\x67\1\xbb"),
        "2001:db8::1:0");
    check_header(STR(V2 "\x20\0\0\0"), "?:0");
    check_header(STR(V2 "\x21\x31\0\2ab"), "?:0");
}

static void bad_headers_are_refused(void **state) {
    (void)state;
    char line[200];
    check_bad(STR("GET / HTTP/1.1\r\n"));
    check_bad(STR("PROXX"));
    check_bad(STR("PROXY TCP4 2001:db8::1 192.0.2.2 4711 443\r\n"));
    check_bad(STR("PROXY TCP5 192.0.2.1 192.0.2.2 4711 443\r\n"));
    check_bad(STR("PROXY TCP4\r\n"));
    check_bad(STR(V2 "\x11\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb"));
    check_bad(STR(V2 "\x21\x11\x7f\xff"));
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY TCP4 ", 11);
    check_bad((struct str){line, sizeof line});
}

/* ---- on the wire --------------------------------------------------------------------------------------- */

static void post_part(struct raw_peer *p, const char *forwarded) {
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "POST " TEST_SERVICE "Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     "X-Forwarded-For: %s\r\nContent-Length: 2000\r\n\r\n%1000s",
                     forwarded, "");
    raw_send(p, text, (size_t)n);
}

/* Three requests, of which there is room for one of each network. */
static void send_three(struct fiber *self, struct rpc_world *w, struct raw_peer peers[static 3]) {
    static const char *const from[] = {"192.0.2.1", "192.0.2.2", "192.0.2.1"};
    w->options.budget.network = 5000;
    world_start(self, w);
    for (int i = 0; i < 3; i++) {
        raw_open(self, &peers[i], w->address);
        post_part(&peers[i], from[i]);
        fiber_sleep_ms(self, 10);
    }
}

static void end_three(struct fiber *self, struct rpc_world *w, struct raw_peer peers[static 3]) {
    for (int i = 0; i < 3; i++) raw_close(self, &peers[i]);
    world_stop(self, w, 1000);
}

static void a_request_counts_for_the_client_that_the_proxy_names(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct raw_peer peers[3];
    (void)arg;
    world_init(&w);
    w.options.trusted_proxies = "127.0.0.1";
    send_three(self, &w, peers);
    CHECK(raw_wait_text(self, &peers[0], "gave way to newer ones"));
    CHECK_INT(raw_count(&peers[1], "HTTP/1.1"), 0);
    end_three(self, &w, peers);
}

static void without_trust_the_field_says_nothing(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct raw_peer peers[3];
    (void)arg;
    world_init(&w);
    w.options.trusted_proxies = "127.0.0.2";
    send_three(self, &w, peers);
    CHECK(raw_wait_text(self, &peers[0], "gave way to newer ones"));
    CHECK(raw_wait_text(self, &peers[1], "gave way to newer ones"));
    end_three(self, &w, peers);
}

static void a_connection_is_of_the_client_that_the_header_names(struct fiber *self, void *arg) {
    static const char *const headers[] = {"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
                                          "PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n",
                                          "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\nGET /healthz HTTP/1.1\r\n"};
    struct rpc_world w;
    struct raw_peer peers[4];
    (void)arg;
    world_init(&w);
    w.options.trusted_proxies = "127.0.0.0/8";
    w.options.proxy_headers = true;
    w.options.peers.per_network = 1;
    world_start(self, &w);
    for (int i = 0; i < 3; i++) {
        raw_open(self, &peers[i], w.address);
        raw_send_text(&peers[i], headers[i]);
        fiber_sleep_ms(self, 30);
    }
    CHECK(raw_wait_end(self, &peers[0])); /* in its second second */
    raw_send_text(&peers[2], "Host: x\r\n\r\n");
    CHECK(raw_wait_text(self, &peers[2], "ok\n"));
    raw_send_text(&peers[1], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_text(self, &peers[1], "ok\n"));
    raw_open(self, &peers[3], w.address);
    raw_send_text(&peers[3], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(raw_wait_end(self, &peers[3]));
    CHECK_INT(raw_count(&peers[3], "HTTP"), 0);
    for (int i = 0; i < 4; i++) raw_close(self, &peers[i]);
    world_stop(self, &w, 1000);
}

static void a_bad_setting_is_a_sentence(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct fault fault = {0};
    (void)arg;
    world_init(&w);
    w.options.trusted_proxies = "localhost";
    struct metrics *m = metrics_new();
    CHECK(rpc_server_start(fiber_loop(self), &w.options, NULL, m, &fault) == NULL);
    CHECK(strstr(fault.text, "\"localhost\" is not the address of a proxy") != NULL);
    metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_trusted_by_default),
        cmocka_unit_test(addresses_and_prefixes_are_trusted),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(the_last_address_that_is_no_proxy_s_is_the_client),
        cmocka_unit_test(what_is_no_address_ends_the_reading),
        cmocka_unit_test(headers_of_both_versions_are_read),
        cmocka_unit_test(bad_headers_are_refused),
        IN_FIBER(a_request_counts_for_the_client_that_the_proxy_names),
        IN_FIBER(without_trust_the_field_says_nothing),
        IN_FIBER(a_connection_is_of_the_client_that_the_header_names),
        IN_FIBER(a_bad_setting_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
