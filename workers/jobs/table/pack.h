/*
 * pack: numbers and texts as bytes, for data that is sent between processes. Numbers are little-endian, of fixed
 * width; a text is its length in 32 bits, its bytes and a NUL.
 *
 * Packing writes into a text_buffer, which is checked for failure once, at the end. Unpacking never reads beyond the
 * end: missing data is read as 0 or "", and `bad` stays set.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_PACK_H
#define ROOKERY_WORKERS_JOBS_TABLE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/jobs/table/text_buffer.h"

void pack_u8(struct text_buffer *b, unsigned number);
void pack_u32(struct text_buffer *b, uint32_t number);
void pack_u64(struct text_buffer *b, uint64_t number);
void pack_f64(struct text_buffer *b, double number);
void pack_text(struct text_buffer *b, const char *text, size_t length);

struct unpack {
    const char *at, *end;
    bool bad;
};

unsigned unpack_u8(struct unpack *u);
bool unpack_bool(struct unpack *u); /* anything but 0 and 1 is bad */
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
double unpack_f64(struct unpack *u);
/* Borrowed from the packed bytes, NUL-terminated. */
const char *unpack_text(struct unpack *u, size_t *length);
/* The same for a text without NUL bytes, such as a name. */
const char *unpack_name(struct unpack *u);
/* A count of items that take at least `item` bytes each. A count that does not fit into the remaining bytes is bad,
 * and read as 0. */
uint32_t unpack_count(struct unpack *u, size_t item);

#endif
