/* pack: see pack.h. */
#include "workers/jobs/table/pack.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

void pack_u8(struct text_buffer *b, unsigned number) {
    text_buffer_char(b, (char)number);
}

void pack_u32(struct text_buffer *b, uint32_t number) {
    number = htole32(number);
    text_buffer_add(b, (const char *)&number, sizeof number);
}

void pack_u64(struct text_buffer *b, uint64_t number) {
    number = htole64(number);
    text_buffer_add(b, (const char *)&number, sizeof number);
}

void pack_f64(struct text_buffer *b, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    pack_u64(b, bits);
}

void pack_text(struct text_buffer *b, const char *text, size_t length) {
    assert(length <= UINT32_MAX);
    pack_u32(b, (uint32_t)length);
    text_buffer_add(b, text, length);
    text_buffer_char(b, '\0');
}

/* The next n bytes; NULL (and bad) when they are not there. */
static const char *take(struct unpack *u, size_t n) {
    assert(u->at <= u->end);
    if (u->bad || (size_t)(u->end - u->at) < n) {
        u->bad = true;
        return NULL;
    }
    const char *at = u->at;
    u->at += n;
    return at;
}

unsigned unpack_u8(struct unpack *u) {
    const char *at = take(u, 1);
    return at ? (unsigned char)*at : 0;
}

bool unpack_bool(struct unpack *u) {
    unsigned value = unpack_u8(u);
    u->bad |= value > 1;
    return value == 1;
}

uint32_t unpack_u32(struct unpack *u) {
    uint32_t number = 0;
    const char *at = take(u, sizeof number);
    if (at) memcpy(&number, at, sizeof number);
    return le32toh(number);
}

uint64_t unpack_u64(struct unpack *u) {
    uint64_t number = 0;
    const char *at = take(u, sizeof number);
    if (at) memcpy(&number, at, sizeof number);
    return le64toh(number);
}

double unpack_f64(struct unpack *u) {
    uint64_t bits = unpack_u64(u);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

const char *unpack_text(struct unpack *u, size_t *length) {
    uint32_t n = unpack_u32(u);
    const char *at = take(u, (size_t)n + 1);
    if (at && at[n] != '\0') u->bad = true;
    *length = at && !u->bad ? n : 0;
    return at && !u->bad ? at : "";
}

const char *unpack_name(struct unpack *u) {
    size_t length;
    const char *name = unpack_text(u, &length);
    u->bad |= strlen(name) != length;
    return u->bad ? "" : name;
}

uint32_t unpack_count(struct unpack *u, size_t item) {
    assert(item > 0);
    uint32_t n = unpack_u32(u);
    if (n <= (size_t)(u->end - u->at) / item) return n;
    u->bad = true;
    return 0;
}
