/* Networks as numbers: see network.h. No IPv6 network that is in use looks like the number of an IPv4 address. */
#include "core/http/network.h"

#include <netinet/in.h>
#include <string.h>

/* 0000:0000:ffff... in front of the four bytes of an IPv4 address: no IPv6 network in use begins so. */
#define IPV4_NETWORKS ((uint64_t)0xffff << 32)

static uint64_t bytes_to_number(const uint8_t *bytes, size_t n) {
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++) number = number << 8 | bytes[i];
    return number;
}

uint64_t network_of(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
        return IPV4_NETWORKS | ntohl(in4->sin_addr.s_addr);
    }
    if (address->ss_family != AF_INET6) return 0;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const uint8_t *bytes = in6->sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) return IPV4_NETWORKS | bytes_to_number(bytes + 12, 4);
    uint64_t network = bytes_to_number(bytes, 8);
    return network ? network : IPV4_NETWORKS; /* ::1 and its neighbours are a network, too */
}

bool network_around(uint64_t network, uint64_t *around) {
    if (network >> 32 == 0xffff) return false;
    *around = network >> 16;
    return true;
}
