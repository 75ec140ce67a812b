/* Trusted proxies: see proxies.h.
 *
 * A connection comes from a trusted address -> with X-Forwarded-For: it belongs to many clients, so it counts for no
 * network; each of its requests has the network of its client -> with a PROXY header: the header is read before
 * anything else, and the connection is its client's from then on.
 *
 * Failures: a header is missing, malformed or longer than PROXY_HEADER_MAX -> the connection is closed. A field names
 * no address -> the request counts for the proxy's network.
 *
 * Assumptions. Only what a trusted proxy appended is read: X-Forwarded-For from its end, as far as addresses are of
 * trusted proxies, since a client may send the field, too. A proxy of TCP passes on whatever fields its client sends:
 * so with PROXY headers the field is not looked at.
 */
#include "core/http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/http/http.h"

enum { V4_BITS = 96 /* in front of an IPv4 address */, TEXT_MAX = 64 };

/* ---- addresses ----------------------------------------------------------------------------------------- */

static bool bytes_of(const struct sockaddr_storage *a, uint8_t out[static 16]) {
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    if (a->ss_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
        return true;
    }
    if (a->ss_family != AF_INET) return false;
    memcpy(out, v4, 12);
    memcpy(out + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
    return true;
}

/* "192.0.2.1" or "2001:db8::1". */
static bool parse_address(struct str text, struct sockaddr_storage *out) {
    char copy[TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *out = (struct sockaddr_storage){.ss_family = AF_INET};
    if (inet_pton(AF_INET, copy, &((struct sockaddr_in *)out)->sin_addr) == 1) return true;
    out->ss_family = AF_INET6;
    return inet_pton(AF_INET6, copy, &((struct sockaddr_in6 *)out)->sin6_addr) == 1;
}

/* The same with a port behind it, as some proxies write it: "192.0.2.1:4711", "[2001:db8::1]:4711". */
static bool parse_with_port(struct str text, struct sockaddr_storage *out) {
    const char *end;
    if (text.len && text.ptr[0] == '[') {
        end = memchr(text.ptr, ']', text.len);
        return end && parse_address((struct str){text.ptr + 1, (size_t)(end - text.ptr) - 1}, out);
    }
    if (parse_address(text, out)) return true;
    end = memchr(text.ptr, ':', text.len);
    return end && parse_address((struct str){text.ptr, (size_t)(end - text.ptr)}, out);
}

/* ---- which are trusted --------------------------------------------------------------------------------- */

static bool parse_prefix(struct str text, struct proxy_prefix *out) {
    struct sockaddr_storage a;
    struct str rest = text, address = str_cut(&rest, '/');
    int64_t bits;
    if (!parse_address(address, &a) || !bytes_of(&a, out->bytes)) return false;
    int64_t most = a.ss_family == AF_INET ? 32 : 128;
    if (address.len == text.len)
        bits = most;
    else if (!str_to_i64(rest, &bits) || bits < 0 || bits > most)
        return false;
    out->bits = (unsigned)(bits + 128 - most);
    return true;
}

bool proxies_parse(const char *text, struct proxies *out, struct fault *fault) {
    struct str rest = str_from(text);
    out->n = 0;
    while (rest.len) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (out->n < PROXIES_MAX && parse_prefix(one, &out->prefixes[out->n])) {
            out->n++;
            continue;
        }
        fault_set(
            fault, ERR_INVALID_ARGUMENT,
            "\"" STR_FMT
            "\" is not the address of a proxy: give at most %d of ADDR or ADDR/BITS, separated by commas",
            STR_ARG(one), PROXIES_MAX);
        return false;
    }
    return true;
}

static bool is_in(const struct proxy_prefix *p, const uint8_t bytes[static 16]) {
    unsigned whole = p->bits / 8, left = p->bits % 8;
    if (memcmp(p->bytes, bytes, whole) != 0) return false;
    return left == 0 || (p->bytes[whole] ^ bytes[whole]) >> (8 - left) == 0;
}

bool proxies_trust(const struct proxies *p, const struct sockaddr_storage *address) {
    uint8_t bytes[16];
    if (p->n == 0 || !bytes_of(address, bytes)) return false;
    for (size_t i = 0; i < p->n; i++)
        if (is_in(&p->prefixes[i], bytes)) return true;
    return false;
}

/* ---- X-Forwarded-For ----------------------------------------------------------------------------------- */

/* Takes what stands behind the last comma. */
static struct str take_last(struct str *list) {
    size_t at = list->len;
    while (at > 0 && list->ptr[at - 1] != ',') at--;
    struct str last = {list->ptr + at, list->len - at};
    list->len = at > 0 ? at - 1 : 0;
    return str_trim(last);
}

/* Reads a field from its end. Returns true when there is no need to read further. */
static bool read_field(const struct proxies *p, struct str list, struct sockaddr_storage *out, bool *found) {
    while (list.len) {
        struct sockaddr_storage a;
        if (!parse_with_port(take_last(&list), &a)) return true;
        *out = a;
        *found = true;
        if (!proxies_trust(p, &a)) return true;
    }
    return false;
}

bool proxies_forwarded_for(const struct proxies *p, const struct http_fields *fields,
                           struct sockaddr_storage *out) {
    bool found = false;
    for (size_t i = fields->n; i-- > 0;) {
        if (!str_eq(http_fields_name(fields, i), STR("x-forwarded-for"))) continue;
        if (read_field(p, http_fields_value(fields, i), out, &found)) break;
    }
    return found;
}

/* ---- PROXY headers ------------------------------------------------------------------------------------- */

static const char V2_SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";
enum { V1_MAX = 107, V2_HEAD = 16, V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

/* "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443" without its line's end. */
static bool read_line(struct str line, struct sockaddr_storage *out) {
    str_cut(&line, ' ');
    struct str family = str_cut(&line, ' ');
    if (str_eq(family, STR("UNKNOWN"))) return true;
    bool is_tcp4 = str_eq(family, STR("TCP4"));
    if (!is_tcp4 && !str_eq(family, STR("TCP6"))) return false;
    return parse_address(str_cut(&line, ' '), out) && (out->ss_family == AF_INET) == is_tcp4;
}

static enum proxy_header read_v1(struct str bytes, size_t *used, struct sockaddr_storage *out) {
    size_t most = bytes.len < V1_MAX ? bytes.len : V1_MAX;
    const char *end = memmem(bytes.ptr, most, "\r\n", 2);
    if (!end) return bytes.len < V1_MAX ? PROXY_HEADER_SHORT : PROXY_HEADER_BAD;
    *used = (size_t)(end - bytes.ptr) + 2;
    return read_line((struct str){bytes.ptr, *used - 2}, out) ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
}

static bool read_v2_address(const uint8_t *p, size_t len, struct sockaddr_storage *out) {
    if (p[12] == V2_LOCAL) return true;
    if (p[12] != V2_PROXY) return false;
    if (p[13] == V2_TCP4 && len >= 12) {
        out->ss_family = AF_INET;
        memcpy(&((struct sockaddr_in *)out)->sin_addr, p + V2_HEAD, 4);
    } else if (p[13] == V2_TCP6 && len >= 36) {
        out->ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, p + V2_HEAD, 16);
    }
    return true; /* of another family: it names nobody */
}

static enum proxy_header read_v2(struct str bytes, size_t *used, struct sockaddr_storage *out) {
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    if (bytes.len < V2_HEAD) return PROXY_HEADER_SHORT;
    size_t len = (size_t)p[14] << 8 | p[15];
    if (V2_HEAD + len > PROXY_HEADER_MAX) return PROXY_HEADER_BAD;
    if (bytes.len < V2_HEAD + len) return PROXY_HEADER_SHORT;
    *used = V2_HEAD + len;
    return read_v2_address(p, len, out) ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
}

static bool begins(struct str bytes, const char *with, size_t n) {
    return memcmp(bytes.ptr, with, bytes.len < n ? bytes.len : n) == 0;
}

enum proxy_header proxies_read_header(struct str bytes, size_t *used, struct sockaddr_storage *out) {
    *out = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (bytes.len == 0) return PROXY_HEADER_SHORT;
    if (begins(bytes, V2_SIGNATURE, sizeof V2_SIGNATURE)) return read_v2(bytes, used, out);
    return begins(bytes, "PROXY ", 6) ? read_v1(bytes, used, out) : PROXY_HEADER_BAD;
}
