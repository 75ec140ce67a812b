/* The network that a client calls from, as one number: what limits by address count by. An IPv4 address is a network of
 * its own; of an IPv6 address it is the /64, since a client that has one address of a /64 has them all. An IPv4 address
 * inside IPv6 (::ffff:0:0/96) is the same network as the IPv4 address. */
#ifndef ROOKERY_CORE_HTTP_NETWORK_H
#define ROOKERY_CORE_HTTP_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* 0 for an address of another family. */
uint64_t network_of(const struct sockaddr_storage *address);

/* The /48 around an IPv6 network, for limits that are ten times as high; false for an IPv4 one. The number of
 * a /48 is never one that network_of returns: its first 16 bits are 0, as of no IPv6 network in use. */
bool network_around(uint64_t network, uint64_t *around);

#endif
