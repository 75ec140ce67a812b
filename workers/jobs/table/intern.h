/*
 * intern: numbers byte strings 0, 1, 2, … in the order in which they were first seen. Only one thread may add; when
 * none adds any more, any number of threads may read.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_INTERN_H
#define ROOKERY_WORKERS_JOBS_TABLE_INTERN_H

#include <stddef.h>
#include <stdint.h>

#define INTERN_NONE UINT32_MAX

struct intern;

struct intern *intern_new(void); /* NULL on allocation failure */
void intern_free(struct intern *in);

/* Returns the number of these bytes; a new number if they are new (they are copied). INTERN_NONE on allocation
 * failure, or when no number is left. */
uint32_t intern_add(struct intern *in, const char *bytes, size_t length);
/* The same in steps, for a caller that looks up many texts. A large table is mostly not in the processor's cache, so
 * each step prefetches the memory of the next, and the caller works on other texts meanwhile. The hash is valid for
 * this table only. All steps except the last may be left out. */
uint32_t intern_hash_of(const struct intern *in, const char *bytes, size_t length);
void intern_fetch_slot(const struct intern *in, uint32_t hash);
void intern_fetch_entry(const struct intern *in, uint32_t hash);
void intern_fetch_text(const struct intern *in, uint32_t hash);
uint32_t intern_add_hashed(struct intern *in, const char *bytes, size_t length, uint32_t hash);
/* Like intern_add, but does not add: returns INTERN_NONE when they were never seen. */
uint32_t intern_find(const struct intern *in, const char *bytes, size_t length);

/* Returns the bytes with this number, NUL-terminated for convenience (bytes from a CSV contain no NUL). The address
 * is valid until intern_free. */
const char *intern_text(const struct intern *in, uint32_t id, size_t *length);
uint32_t intern_count(const struct intern *in);
/* The number of bytes in memory. */
size_t intern_size(const struct intern *in);

/* Orders two byte strings as unsigned bytes, a prefix before a longer string. */
int intern_compare(const char *a, size_t a_length, const char *b, size_t b_length);
/* A 64-bit hash of bytes: seeds give independent hashes. */
uint64_t intern_hash(const char *bytes, size_t length, uint64_t seed);

#endif
