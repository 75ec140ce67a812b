/* Secrets: session tokens and password hashes (libsodium). Pure CPU, no loop: hashing is for a thread pool. */
#ifndef ROOKERY_CORE_ID_TOKEN_H
#define ROOKERY_CORE_ID_TOKEN_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"

#define TOKEN_HASH_BYTES 32
#define TOKEN_KEY_BYTES 16
#define PASSWORD_MIN_BYTES 8
#define PASSWORD_MAX_BYTES 256
#define PASSWORD_HASH_MAX 128 /* crypto_pwhash_STRBYTES */

/* Call once at start, before the others. Returns false when libsodium cannot be initialised. */
bool token_init(void);

/* 43 characters: 16 random bytes and a mark of 16, as unpadded URL-safe base64. The mark is a MAC with the key, so that
 * a token which was never given out is told without asking anybody. NULL: 32 random bytes, unmarked. Both are tokens:
 * the mark lets nobody in. */
struct str token_new(struct arena *a, const unsigned char *key);
/* The first eight bytes of the token's mark, which nobody can choose; 0 unless this key made it. A token keeps it when
 * its session has ended. */
int64_t token_mark(struct str token, const unsigned char key[static TOKEN_KEY_BYTES]);
/* SHA-256 of the token's text: what is stored. */
void token_hash(unsigned char out[static TOKEN_HASH_BYTES], struct str token);

/* Whether they are the same bytes, in constant time. */
bool token_hash_equal(const unsigned char a[static TOKEN_HASH_BYTES],
                      const unsigned char b[static TOKEN_HASH_BYTES]);

/* Returns 0, or ERR_INVALID_ARGUMENT about the field unless it is 8 to 256 bytes of UTF-8 without U+0000. */
int password_check(struct str password, const char *field, struct fault *fault);
/* argon2id as a PHC string, NUL-terminated. Takes tens of milliseconds and memory_kib. Returns false when that memory
 * cannot be allocated. */
bool password_hash(char out[static PASSWORD_HASH_MAX], struct str password, int64_t memory_kib,
                   int64_t passes);
/* hash: a NUL-terminated PHC string; any other text gives false. Takes as long as making the hash. */
bool password_verify(const char *hash, struct str password);
/* Whether it cost less (memory times passes) than a hash with these costs, or is not an argon2id hash: then hash again
 * at the next login. A hash that cost more is kept: two processes with different settings never replace each
 * other's. */
bool password_needs_rehash(const char *hash, int64_t memory_kib, int64_t passes);

#endif
