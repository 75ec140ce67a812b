/* Page tokens: version, three numbers, MAC; 33 bytes, 44 characters. The MAC covers the list as well, so a token does
 * not reveal its list and still fits no other. */
#include "core/id/page_token.h"

#include <sodium.h>
#include <string.h>

enum {
    VERSION = 1,
    NUMBERS_BYTES = 3 * sizeof(int64_t),
    MAC_BYTES = crypto_shorthash_BYTES,
    TOKEN_BYTES = 1 + NUMBERS_BYTES + MAC_BYTES,
    TOKEN_CHARACTERS = sodium_base64_ENCODED_LEN(TOKEN_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) - 1,
    PAGE_SIZE_DEFAULT = 20,
    PAGE_SIZE_MAX = 100,
};

_Static_assert(PAGE_TOKEN_KEY_BYTES == crypto_shorthash_KEYBYTES, "the key is SipHash's");

static void put_i64(unsigned char *out, int64_t v) {
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)v >> (8 * i));
}

static int64_t get_i64(const unsigned char *in) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | in[i];
    return (int64_t)v;
}

/* MAC of version, numbers and list. */
static void page_token_mac(unsigned char out[static MAC_BYTES], const unsigned char *key,
                           const unsigned char body[static 1 + NUMBERS_BYTES], int64_t list) {
    unsigned char covered[1 + NUMBERS_BYTES + 8];
    memcpy(covered, body, 1 + NUMBERS_BYTES);
    put_i64(covered + 1 + NUMBERS_BYTES, list);
    crypto_shorthash(out, covered, sizeof(covered), key);
}

char *page_token_encode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                        const struct page_position *p) {
    unsigned char bytes[TOKEN_BYTES] = {VERSION};
    put_i64(bytes + 1, p->a);
    put_i64(bytes + 9, p->b);
    put_i64(bytes + 17, p->c);
    page_token_mac(bytes + 1 + NUMBERS_BYTES, key, bytes, p->list);
    /* Not libsodium's, which hides the bytes by a constant time five times as long: these are not secret. */
    return (char *)(uintptr_t)base64_encode(a, (struct str){(const char *)bytes, sizeof(bytes)}, true).ptr;
}

static bool page_token_read(const unsigned char *key, struct str token, int64_t list,
                            struct page_position *out) {
    unsigned char bytes[TOKEN_BYTES], mac[MAC_BYTES];
    size_t len;
    if (token.len != TOKEN_CHARACTERS) return false;
    if (sodium_base642bin(bytes, sizeof(bytes), token.ptr, token.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return false;
    }
    if (len != TOKEN_BYTES || bytes[0] != VERSION) return false;
    page_token_mac(mac, key, bytes, list);
    if (sodium_memcmp(mac, bytes + 1 + NUMBERS_BYTES, MAC_BYTES) != 0) return false;
    *out = (struct page_position){list, get_i64(bytes + 1), get_i64(bytes + 9), get_i64(bytes + 17)};
    return true;
}

int page_token_decode(const unsigned char key[static PAGE_TOKEN_KEY_BYTES], struct str token, int64_t list,
                      struct page_position *out, struct fault *fault) {
    if (page_token_read(key, token, list, out)) return ERR_OK;
    return fault_field(fault, ERR_INVALID_ARGUMENT, "page_token",
                       "page_token must be a next_page_token that this very list has given out");
}

int page_size_check(int64_t asked, int *out, struct fault *fault) {
    if (asked < 0 || asked > PAGE_SIZE_MAX) {
        return fault_field(fault, ERR_INVALID_ARGUMENT, "page_size",
                           "page_size must be 0 to %d, this is %lld", PAGE_SIZE_MAX, (long long)asked);
    }
    *out = asked ? (int)asked : PAGE_SIZE_DEFAULT;
    return ERR_OK;
}
