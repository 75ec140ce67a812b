/* Secrets: session tokens and password hashes (libsodium). Pure CPU, no loop: hashing is for a thread pool.
 */
#ifndef ROOKERY_CORE_BASE_TOKEN_H
#define ROOKERY_CORE_BASE_TOKEN_H

#include "core/base/arena.h"
#include "core/base/str.h"

#define TOKEN_HASH_BYTES 32
#define PASSWORD_MIN_BYTES 8
#define PASSWORD_MAX_BYTES 256
#define PASSWORD_HASH_MAX 128 /* crypto_pwhash_STRBYTES */

/* Once at start, before the others; false when libsodium cannot be initialised. */
bool token_init(void);

/* 32 random bytes as unpadded URL-safe base64 (43 characters). */
struct str token_new(struct arena *a);
/* SHA-256 of the token's text: what is stored. */
void token_hash(unsigned char out[static TOKEN_HASH_BYTES], struct str token);

/* argon2id as a PHC string. False only when memory_kib cannot be had. */
bool password_hash(char out[static PASSWORD_HASH_MAX], struct str password, int64_t memory_kib,
                   int64_t passes);
/* hash: a NUL-terminated PHC string. */
bool password_verify(const char *hash, struct str password);

#endif
