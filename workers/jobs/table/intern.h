/*
 * intern: byte strings numbered 0, 1, 2, … in the order they were first seen. Not safe for two threads that
 * add; any number may read what is no longer added to.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_INTERN_H
#define ROOKERY_WORKERS_JOBS_TABLE_INTERN_H

#include <stddef.h>
#include <stdint.h>

#define INTERN_NONE UINT32_MAX

struct intern;

struct intern *intern_new(void); /* NULL when there is no memory */
void intern_free(struct intern *in);

/* The number of these bytes, a new one when they are new (they are copied). INTERN_NONE when there is no
 * memory or no number left. */
uint32_t intern_add(struct intern *in, const char *bytes, size_t length);
/* The same in steps, for who has many texts to look up: a table of many texts is mostly not in the processor's cache,
 * so each step asks for the memory of the next, and others are looked at meanwhile. The hash is of this table; the
 * steps but the last may be left out. */
uint32_t intern_hash_of(const struct intern *in, const char *bytes, size_t length);
void intern_fetch_slot(const struct intern *in, uint32_t hash);
void intern_fetch_entry(const struct intern *in, uint32_t hash);
void intern_fetch_text(const struct intern *in, uint32_t hash);
uint32_t intern_add_hashed(struct intern *in, const char *bytes, size_t length, uint32_t hash);
/* As intern_add without adding: INTERN_NONE when they were never seen. */
uint32_t intern_find(const struct intern *in, const char *bytes, size_t length);

/* The bytes of a number that was given out, NUL-terminated for convenience (they may hold no NUL themselves
 * when they come from a CSV). The address stays good until intern_free. */
const char *intern_text(const struct intern *in, uint32_t id, size_t *length);
uint32_t intern_count(const struct intern *in);
/* Bytes held. */
size_t intern_size(const struct intern *in);

/* Orders two byte strings as unsigned bytes, a prefix before what it begins. */
int intern_compare(const char *a, size_t a_length, const char *b, size_t b_length);
/* A 64-bit hash of bytes: seeds give independent hashes. */
uint64_t intern_hash(const char *bytes, size_t length, uint64_t seed);

#endif
