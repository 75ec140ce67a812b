/* Session tokens and password hashes. */
#include "core/id/token.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { RANDOM_BYTES = 16, MARK_BYTES = 16, TOKEN_BYTES = RANDOM_BYTES + MARK_BYTES, TOKEN_CHARACTERS = 43 };
#define PURPOSE "session" /* what else has a MAC with this key begins with a number */

_Static_assert(TOKEN_HASH_BYTES == crypto_hash_sha256_BYTES, "the hash is SHA-256");
_Static_assert(PASSWORD_HASH_MAX == crypto_pwhash_STRBYTES, "libsodium's strings fit");

bool token_init(void) {
    return sodium_init() >= 0;
}

static void mark(unsigned char out[static MARK_BYTES], const unsigned char random[static RANDOM_BYTES],
                 const unsigned char key[static TOKEN_KEY_BYTES]) {
    unsigned char text[sizeof PURPOSE + RANDOM_BYTES];
    memcpy(text, PURPOSE, sizeof PURPOSE);
    memcpy(text + sizeof PURPOSE, random, RANDOM_BYTES);
    crypto_generichash(out, MARK_BYTES, text, sizeof text, key, TOKEN_KEY_BYTES);
}

struct str token_new(struct arena *a, const unsigned char *key) {
    unsigned char bytes[TOKEN_BYTES];
    randombytes_buf(bytes, sizeof(bytes));
    if (key) mark(bytes + RANDOM_BYTES, bytes, key);
    struct str token = base64_encode(a, (struct str){(const char *)bytes, sizeof(bytes)}, true);
    sodium_memzero(bytes, sizeof(bytes));
    return token;
}

int64_t token_mark(struct str token, const unsigned char key[static TOKEN_KEY_BYTES]) {
    unsigned char bytes[TOKEN_BYTES], right[MARK_BYTES];
    int64_t begins;
    size_t n = 0;
    if (token.len != TOKEN_CHARACTERS ||
        sodium_base642bin(bytes, sizeof bytes, token.ptr, token.len, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return 0;
    assert(n == TOKEN_BYTES);
    mark(right, bytes, key);
    memcpy(&begins, right, sizeof begins);
    return sodium_memcmp(right, bytes + RANDOM_BYTES, MARK_BYTES) == 0 ? begins : 0;
}

void token_hash(unsigned char out[static TOKEN_HASH_BYTES], struct str token) {
    crypto_hash_sha256(out, (const unsigned char *)token.ptr, token.len);
}

bool token_hash_equal(const unsigned char a[static TOKEN_HASH_BYTES],
                      const unsigned char b[static TOKEN_HASH_BYTES]) {
    return sodium_memcmp(a, b, TOKEN_HASH_BYTES) == 0;
}

int password_check(struct str password, const char *field, struct fault *fault) {
    if (password.len < PASSWORD_MIN_BYTES || password.len > PASSWORD_MAX_BYTES) {
        return fault_field(fault, ERR_INVALID_ARGUMENT, field, "%s must be %d to %d bytes", field,
                           PASSWORD_MIN_BYTES, PASSWORD_MAX_BYTES);
    }
    if (!str_is_utf8(password)) {
        return fault_field(fault, ERR_INVALID_ARGUMENT, field, "%s must be UTF-8 without U+0000", field);
    }
    return ERR_OK;
}

static size_t memory_bytes(int64_t memory_kib) {
    return (size_t)memory_kib * 1024;
}

bool password_hash(char out[static PASSWORD_HASH_MAX], struct str password, int64_t memory_kib,
                   int64_t passes) {
    return crypto_pwhash_str_alg(out, password.ptr ? password.ptr : "", password.len,
                                 (unsigned long long)passes, memory_bytes(memory_kib),
                                 crypto_pwhash_ALG_ARGON2ID13) == 0;
}

/* libsodium reads PASSWORD_HASH_MAX bytes whatever the string's length. False when it is longer. */
static bool pad_hash(char out[static PASSWORD_HASH_MAX], const char *hash) {
    size_t len = strnlen(hash, PASSWORD_HASH_MAX);
    if (len == PASSWORD_HASH_MAX) return false;
    memset(out, 0, PASSWORD_HASH_MAX);
    memcpy(out, hash, len);
    return true;
}

bool password_verify(const char *hash, struct str password) {
    char padded[PASSWORD_HASH_MAX];
    return pad_hash(padded, hash) &&
           crypto_pwhash_str_verify(padded, password.ptr ? password.ptr : "", password.len) == 0;
}

/* "$argon2id$v=19$m=65536,t=2,p=1$..." */
bool password_needs_rehash(const char *hash, int64_t memory_kib, int64_t passes) {
    struct str rest = str_from(hash);
    str_cut(&rest, '$');
    if (!str_eq(str_cut(&rest, '$'), STR("argon2id"))) return true;
    str_cut(&rest, '$');
    struct str costs = str_cut(&rest, '$');
    int64_t memory, times;
    struct str m = str_cut(&costs, ','), t = str_cut(&costs, ',');
    if (!str_starts_with(m, STR("m=")) || !str_starts_with(t, STR("t="))) return true;
    if (!str_to_i64((struct str){m.ptr + 2, m.len - 2}, &memory)) return true;
    if (!str_to_i64((struct str){t.ptr + 2, t.len - 2}, &times)) return true;
    return (double)memory * (double)times < (double)memory_kib * (double)passes;
}
