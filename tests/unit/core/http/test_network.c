/* Networks of clients: one number for an IPv4 address and for the /64 of an IPv6 one. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/http/network.h"

static uint64_t of(const char *text) {
    struct sockaddr_storage a = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        a.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        a.ss_family = AF_INET6;
    }
    return network_of(&a);
}

static void an_ipv4_address_is_a_network(void **state) {
    (void)state;
    assert_int_equal(of("192.0.2.1"), 0xffffc0000201);
    assert_int_not_equal(of("192.0.2.1"), of("192.0.2.2"));
    assert_int_equal(of("::ffff:192.0.2.1"), of("192.0.2.1"));
}

static void an_ipv6_network_is_a_64(void **state) {
    (void)state;
    assert_int_equal(of("2001:db8:1:2::1"), 0x20010db800010002);
    assert_int_equal(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_int_not_equal(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
}

static void around_it_is_a_48(void **state) {
    uint64_t one, same, other;
    (void)state;
    assert_false(network_around(of("192.0.2.1"), &one));
    assert_true(network_around(of("2001:db8:1:2::1"), &one));
    assert_true(network_around(of("2001:db8:1:ffff::1"), &same));
    assert_true(network_around(of("2001:db8:2:2::1"), &other));
    assert_int_equal(one, 0x20010db80001);
    assert_int_equal(one, same);
    assert_int_not_equal(one, other);
}

static void what_is_no_address_has_none(void **state) {
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    (void)state;
    assert_int_equal(network_of(&local), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_address_is_a_network),
        cmocka_unit_test(an_ipv6_network_is_a_64),
        cmocka_unit_test(around_it_is_a_48),
        cmocka_unit_test(what_is_no_address_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
