/* Resume tokens: version, epoch, number of partitions, newest ms, then of each partition how much older its place is,
 * its sequence and its count, all in varints; MAC. The version differs from page tokens', which have the same key. */
#include "gateway/position/token.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "gateway/answer/lists.h"
#include "gateway/position/places.h"

enum {
    VERSION = 2,
    MAC_BYTES = crypto_shorthash_BYTES,
    VARINT_MAX = 10,
    PARTITIONS_MAX = 1024,
    TOKEN_BYTES_MAX = 1 + 3 * VARINT_MAX + PARTITIONS_MAX * 3 * VARINT_MAX + MAC_BYTES,
};

/* ---- writing ------------------------------------------------------------------------------------------- */

static unsigned char *put(unsigned char *out, int64_t value) {
    uint64_t v = (uint64_t)value;
    for (; v >= 0x80; v >>= 7) *out++ = (unsigned char)(v | 0x80);
    *out++ = (unsigned char)v;
    return out;
}

char *live_token_encode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                        const struct hub_place *places, size_t partitions) {
    unsigned char *bytes = arena_alloc(a, 1 + 3 * VARINT_MAX + partitions * 3 * VARINT_MAX + MAC_BYTES);
    unsigned char *end = bytes;
    int64_t newest = 0;
    for (size_t i = 0; i < partitions; i++)
        if (places[i].id.ms > newest) newest = places[i].id.ms;
    *end++ = VERSION;
    end = put(end, places_epoch(places, partitions));
    end = put(end, (int64_t)partitions);
    end = put(end, newest);
    for (size_t i = 0; i < partitions; i++) {
        end = put(end, newest - places[i].id.ms);
        end = put(end, places[i].id.sequence);
        end = put(end, places[i].count);
    }
    size_t len = (size_t)(end - bytes);
    assert(len <= 1 + 3 * VARINT_MAX + partitions * 3 * VARINT_MAX);
    crypto_shorthash(end, bytes, len, key);
    return (char *)(uintptr_t)base64_encode(a, (struct str){(const char *)bytes, len + MAC_BYTES}, true).ptr;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *at, *end;
    bool bad;
};

static int64_t get(struct reader *r) {
    uint64_t v = 0;
    for (int shift = 0; shift < 63 && r->at < r->end; shift += 7) {
        unsigned char byte = *r->at++;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return (int64_t)v;
    }
    r->bad = true;
    return 0;
}

static bool has_mac(const unsigned char *key, const unsigned char *bytes, size_t len) {
    unsigned char mac[MAC_BYTES];
    if (len <= MAC_BYTES) return false;
    crypto_shorthash(mac, bytes, len - MAC_BYTES, key);
    return sodium_memcmp(mac, bytes + len - MAC_BYTES, MAC_BYTES) == 0;
}

static void read_places(struct arena *a, struct reader *r, size_t partitions, struct live_token *out) {
    int64_t epoch = get(r);
    bool fits = get(r) == (int64_t)partitions && epoch != 0;
    int64_t newest = get(r);
    if (!fits || r->bad) return;
    struct hub_place *places = ARENA_ARRAY(a, struct hub_place, partitions);
    for (size_t i = 0; i < partitions; i++) {
        places[i].epoch = epoch;
        places[i].id.ms = newest - get(r);
        places[i].id.sequence = get(r);
        places[i].count = get(r);
    }
    if (!r->bad) out->places = places;
}

/* In an older version these were page tokens. */
static bool is_of_old(const unsigned char *key, struct str token) {
    struct page_position unused;
    return page_token_decode(key, token, LIST_LIVE, &unused, NULL) == 0;
}

bool live_token_decode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                       struct str token, size_t partitions, struct live_token *out) {
    *out = (struct live_token){0};
    if (token.len > 2 * TOKEN_BYTES_MAX) return false;
    unsigned char *bytes = arena_alloc(a, token.len);
    size_t len;
    if (sodium_base642bin(bytes, token.len, token.ptr, token.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return false;
    if (!has_mac(key, bytes, len) || bytes[0] != VERSION) return is_of_old(key, token);
    struct reader r = {bytes + 1, bytes + len - MAC_BYTES, false};
    read_places(a, &r, partitions, out);
    return true;
}
