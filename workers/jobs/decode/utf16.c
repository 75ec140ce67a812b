/* utf16: see utf16.h. A character whose bytes do not fit into the caller's room waits in `out`. */
#include "workers/jobs/decode/utf16.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER (64u << 10)

struct utf16 {
    struct csv_source from;
    bool big, ended;
    char out[4]; /* of the last character: out[at_out..n_out) */
    size_t n_out, at_out;
    size_t at, end; /* of what the buffer has */
    unsigned char buffer[BUFFER];
};

struct utf16 *utf16_new(struct csv_source from, bool big) {
    struct utf16 *u = calloc(1, sizeof *u);
    if (!u) return NULL;
    u->from = from;
    u->big = big;
    return u;
}

void utf16_free(struct utf16 *u) {
    free(u);
}

/* Makes n bytes available, unless the input ends before. */
static bool need(struct utf16 *u, size_t n) {
    if (u->end - u->at >= n) return true;
    memmove(u->buffer, u->buffer + u->at, u->end - u->at);
    u->end -= u->at;
    u->at = 0;
    while (u->end < n && !u->ended) {
        ssize_t got = u->from.read(u->from.context, (char *)u->buffer + u->end, sizeof u->buffer - u->end);
        if (got < 0) return false;
        u->end += (size_t)got;
        u->ended = got == 0;
    }
    return true;
}

static unsigned unit_at(const struct utf16 *u, size_t at) {
    unsigned first = u->buffer[at], second = u->buffer[at + 1];
    return u->big ? first << 8 | second : second << 8 | first;
}

/* Encodes a character into out. */
static void put(struct utf16 *u, unsigned c) {
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) u->out[i] = (char)(0x80 | (c & 0x3F));
    u->out[0] = (char)(n == 1 ? c : lead[n] | c);
    u->n_out = n;
    u->at_out = 0;
}

/* Reads the next character into out, which stays empty at the end. Returns false with errno set. */
static bool next(struct utf16 *u) {
    u->n_out = u->at_out = 0;
    if (!need(u, 4)) return false;
    size_t have = u->end - u->at;
    if (have == 0) return true;
    unsigned c = have >= 2 ? unit_at(u, u->at) : 0xDC00, low = have >= 4 ? unit_at(u, u->at + 2) : 0;
    bool pair = c >= 0xD800 && c < 0xDC00 && low >= 0xDC00 && low < 0xE000;
    if (c >= 0xD800 && c < 0xE000 && !pair) {
        errno = EILSEQ;
        return false;
    }
    put(u, pair ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : c);
    u->at += pair ? 4 : 2;
    return true;
}

ssize_t utf16_read(void *utf16, char *at, size_t room) {
    struct utf16 *u = utf16;
    size_t done = 0;
    assert(room > 0);
    while (done < room) {
        /* What was read is returned first; the failure comes again. */
        if (u->at_out == u->n_out && !next(u)) return done > 0 ? (ssize_t)done : -1;
        size_t n = u->n_out - u->at_out;
        if (n == 0) break;
        if (n > room - done) n = room - done;
        memcpy(at + done, u->out + u->at_out, n);
        u->at_out += n;
        done += n;
    }
    return (ssize_t)done;
}
