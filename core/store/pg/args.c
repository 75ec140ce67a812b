/* Parameters in PostgreSQL's binary format: network byte order, arrays with a header of 20 bytes. */
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <string.h>

#include "core/store/pg/pg_internal.h"

void pg_args_init(struct pg_args *a, struct arena *arena) {
    a->arena = arena;
    a->n = 0;
}

static void push(struct pg_args *a, unsigned type, const char *value, size_t length) {
    assert(a->n < PG_MAX_PARAMS && length <= INT_MAX);
    a->value[a->n] = value;
    a->length[a->n] = (int)length;
    a->type[a->n] = type;
    a->n++;
}

static void push_copy(struct pg_args *a, unsigned type, const void *value, size_t length) {
    push(a, type, arena_memdup(a->arena, value, length), length);
}

static void push_i64(struct pg_args *a, int64_t v) {
    uint64_t wire = htobe64((uint64_t)v);
    push_copy(a, PG_OID_INT8, &wire, sizeof wire);
}

static void push_i32(struct pg_args *a, int32_t v) {
    uint32_t wire = htonl((uint32_t)v);
    push_copy(a, PG_OID_INT4, &wire, sizeof wire);
}

static void push_f64(struct pg_args *a, double v) {
    uint64_t wire;
    memcpy(&wire, &v, sizeof wire);
    wire = htobe64(wire);
    push_copy(a, PG_OID_FLOAT8, &wire, sizeof wire);
}

/* An empty slice may have no address, which libpq would take for NULL. */
static void push_bytes(struct pg_args *a, unsigned type, const struct pg_value *v) {
    push(a, type, v->ptr ? v->ptr : "", v->n);
}

/* ---- arrays: dimensions, has NULLs, element type, then for the one dimension its length and lower bound;
 * then each element as a length (-1 for NULL) and its bytes ---- */

#define ARRAY_HEADER 20

static char *put_u32(char *p, uint32_t v) {
    v = htonl(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static char *array_header(char *p, size_t n, bool nulls, unsigned element) {
    p = put_u32(p, n > 0);
    p = put_u32(p, nulls);
    p = put_u32(p, element);
    if (n == 0) return p;
    p = put_u32(p, (uint32_t)n);
    return put_u32(p, 1);
}

/* Room for an array of n elements of `bytes` in all, with its header written; *at is where they go. */
static char *array_begin(struct pg_args *a, size_t n, size_t bytes, bool nulls, unsigned element, char **at) {
    assert(n <= INT_MAX / 4 && bytes <= INT_MAX / 2);
    char *p = arena_alloc(a->arena, ARRAY_HEADER + n * 4 + bytes);
    *at = array_header(p, n, nulls, element);
    return p;
}

static void push_i64_array(struct pg_args *a, const int64_t *v, size_t n) {
    char *at, *p = array_begin(a, n, n * 8, false, PG_OID_INT8, &at);
    for (size_t i = 0; i < n; i++) {
        uint64_t wire = htobe64((uint64_t)v[i]);
        at = put_u32(at, sizeof wire);
        memcpy(at, &wire, sizeof wire);
        at += sizeof wire;
    }
    push(a, PG_OID_INT8_ARRAY, p, (size_t)(at - p));
}

static void push_i32_array(struct pg_args *a, const int32_t *v, size_t n) {
    char *at, *p = array_begin(a, n, n * 4, false, PG_OID_INT4, &at);
    for (size_t i = 0; i < n; i++) {
        at = put_u32(at, 4);
        at = put_u32(at, (uint32_t)v[i]);
    }
    push(a, PG_OID_INT4_ARRAY, p, (size_t)(at - p));
}

static void push_bool_array(struct pg_args *a, const bool *v, size_t n) {
    char *at, *p = array_begin(a, n, n, false, PG_OID_BOOL, &at);
    for (size_t i = 0; i < n; i++) {
        at = put_u32(at, 1);
        *at++ = v[i];
    }
    push(a, PG_OID_BOOL_ARRAY, p, (size_t)(at - p));
}

static void push_str_array(struct pg_args *a, unsigned type, unsigned element, const struct str *v,
                           size_t n) {
    size_t bytes = 0;
    bool nulls = false;
    for (size_t i = 0; i < n; i++) {
        bytes += v[i].len;
        nulls |= !v[i].ptr;
    }
    char *at, *p = array_begin(a, n, bytes, nulls, element, &at);
    for (size_t i = 0; i < n; i++) {
        at = put_u32(at, v[i].ptr ? (uint32_t)v[i].len : UINT32_MAX);
        if (v[i].len > 0) memcpy(at, v[i].ptr, v[i].len);
        at += v[i].len;
    }
    push(a, type, p, (size_t)(at - p));
}

static void push_value(struct pg_args *a, const struct pg_value *v) {
    switch (v->kind) {
    case PG_VALUE_NULL: push(a, 0, NULL, 0); break;
    case PG_VALUE_I64: push_i64(a, v->i64); break;
    case PG_VALUE_I32: push_i32(a, v->i32); break;
    case PG_VALUE_BOOL: push(a, PG_OID_BOOL, v->boolean ? "\1" : "\0", 1); break;
    case PG_VALUE_F64: push_f64(a, v->f64); break;
    case PG_VALUE_TEXT: push_bytes(a, PG_OID_TEXT, v); break;
    case PG_VALUE_BYTES: push_bytes(a, PG_OID_BYTEA, v); break;
    case PG_VALUE_I64_ARRAY: push_i64_array(a, v->ptr, v->n); break;
    case PG_VALUE_I32_ARRAY: push_i32_array(a, v->ptr, v->n); break;
    case PG_VALUE_BOOL_ARRAY: push_bool_array(a, v->ptr, v->n); break;
    case PG_VALUE_TEXT_ARRAY: push_str_array(a, PG_OID_TEXT_ARRAY, PG_OID_TEXT, v->ptr, v->n); break;
    case PG_VALUE_BYTES_ARRAY: push_str_array(a, PG_OID_BYTEA_ARRAY, PG_OID_BYTEA, v->ptr, v->n); break;
    }
}

void pg_args_add_values(struct pg_args *a, const struct pg_value *values, size_t n) {
    for (size_t i = 0; i < n; i++) push_value(a, &values[i]);
}
