/* Proxies in front of the server: which are trusted, and what they say of their clients.
 *
 * Off by default: a client's network is that of its connection. A proxy that is trusted says it in one of two ways: in
 * the field X-Forwarded-For of each request (proxies that speak HTTP), or in a PROXY header, version 1 or 2, in front
 * of the connection's first byte (proxies of TCP; haproxy.org, proxy-protocol.txt).
 */
#ifndef ROOKERY_CORE_HTTP_PROXIES_H
#define ROOKERY_CORE_HTTP_PROXIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/str.h"

enum { PROXIES_MAX = 64, PROXY_HEADER_MAX = 536 /* bytes of a PROXY header that is read */ };

struct proxy_prefix {
    uint8_t bytes[16]; /* IPv4 addresses as ::ffff:a.b.c.d */
    unsigned bits;
};

struct proxies {
    struct proxy_prefix prefixes[PROXIES_MAX];
    size_t n;
    bool
        send_header; /* connections of these begin with a PROXY header, and X-Forwarded-For is not looked at */
};

struct fault;
struct http_fields;

/* Reads "ADDR" and "ADDR/BITS", separated by commas; none when text is empty. On failure: false and a sentence. */
bool proxies_parse(const char *text, struct proxies *out, struct fault *fault);
bool proxies_trust(const struct proxies *p, const struct sockaddr_storage *address);

/* The client of a request that came from a trusted proxy: in all X-Forwarded-For fields the last address that is not
 * itself of a trusted proxy. False when they name none; what stands left of something else than an address is not
 * read. */
bool proxies_forwarded_for(const struct proxies *p, const struct http_fields *fields,
                           struct sockaddr_storage *out);

enum proxy_header { PROXY_HEADER_OK, PROXY_HEADER_SHORT, PROXY_HEADER_BAD };
/* Reads the header at the front of bytes: its length in *used, the client in *out, whose family is AF_UNSPEC when the
 * header names none (the proxy itself calls). SHORT: more bytes are needed. */
enum proxy_header proxies_read_header(struct str bytes, size_t *used, struct sockaddr_storage *out);

#endif
