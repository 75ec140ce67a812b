/* Strings as slices, and a growable byte buffer.
 *
 * struct str points into memory that it does not own and is not NUL-terminated. struct buf owns its bytes
 * (malloc) and grows; it aborts when the machine has no memory, so callers cap what peers can put in it.
 */
#ifndef ROOKERY_CORE_BASE_STR_H
#define ROOKERY_CORE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

struct str str_from(const char *cstr); /* NULL gives the empty slice */
bool str_eq(struct str a, struct str b);
bool str_eq_ci(struct str a, struct str b); /* ASCII letters without case */
bool str_starts_with(struct str s, struct str prefix);
/* Cuts *rest at the first sep: returns what stands before it and moves *rest behind it. Returns all of *rest when
 * there is no sep. */
struct str str_cut(struct str *rest, char sep);
struct str str_trim(struct str s); /* ASCII blanks at both ends */
/* Reads a decimal with optional '-', nothing around it, in range. Returns true and sets *out; else returns false and
 * leaves *out. */
bool str_to_i64(struct str s, int64_t *out);
char *str_to_cstr(struct arena *a, struct str s);
/* Whether s is well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without U+0000. */
bool str_is_utf8(struct str s);

struct buf {
    char *ptr;
    size_t len, cap;
};

void buf_init(struct buf *b); /* empty, owns nothing */
void buf_free(struct buf *b); /* and makes it empty again */
void buf_clear(struct buf *b);
char *buf_reserve(struct buf *b, size_t more); /* room for more bytes behind len; returns where they go */
void buf_append(struct buf *b, const void *p, size_t len);
void buf_append_str(struct buf *b, struct str s);
void buf_append_cstr(struct buf *b, const char *s);
void buf_append_char(struct buf *b, char c);
void buf_append_i64(struct buf *b, int64_t v); /* decimal */
void buf_append_f64(struct buf *b, double v);  /* as format_f64 */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes and moves the others to the front: consume in large steps, not byte by byte. */
void buf_consume(struct buf *b, size_t n);
struct str buf_str(const struct buf *b);

/* Writes v in decimal, no NUL; returns the length, at most 20. */
size_t format_i64(char out[static 20], int64_t v);
/* The fewest digits of C's %g that read back as the same number, and a NUL; returns the length, at most 24. "inf",
 * "-inf" or "nan" when v is one: writers of formats without these must check first. */
size_t format_f64(char out[static 32], double v);

/* Base64 (RFC 4648). Encoding allocates from the arena, NUL-terminated, unpadded; url selects the URL-safe
 * alphabet. Decoding accepts either alphabet, padded or not, and ignores the unused bits of the last
 * character (as ProtoJSON asks); false on anything else, or when the result would pass the arena's limit. */
struct str base64_encode(struct arena *a, struct str in, bool url);
bool base64_decode(struct arena *a, struct str in, struct str *out);

#endif
