/* Values of RESP3, for tracking connections: older versions of hiredis cannot read it. A value is taken when all of
 * it has arrived; until then the bytes stay where they are, so replies here are bounded by the link's buffer.
 */
#include <string.h>

#include "core/store/redis/redis_internal.h"

/* Deeper than anything that is asked on such a connection. */
#define DEPTH_MAX 4
#define BROKEN (-1)
#define NOT_ALL_THERE 0

struct cursor {
    struct arena *arena;
    const char *at, *end;
};

/* The rest of the line that begins at the cursor, which moves behind it. */
static int take_line(struct cursor *c, struct str *line) {
    const char *stop = memmem(c->at, (size_t)(c->end - c->at), "\r\n", 2);
    if (!stop) return NOT_ALL_THERE;
    *line = (struct str){c->at, (size_t)(stop - c->at)};
    c->at = stop + 2;
    return 1;
}

static int keep_text(struct cursor *c, struct str s, enum redis_type type, struct redis_reply *out) {
    char *copy = arena_try_alloc(c->arena, s.len + 1);
    if (!copy) return BROKEN;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    *out = (struct redis_reply){.type = type, .str = {copy, s.len}};
    return 1;
}

static int take_blob(struct cursor *c, char kind, int64_t n, struct redis_reply *out) {
    if (n > c->end - c->at - 2) return NOT_ALL_THERE;
    if (c->at[n] != '\r' || c->at[n + 1] != '\n') return BROKEN;
    struct str s = {c->at, (size_t)n};
    c->at += n + 2;
    if (kind == '=' && s.len >= 4) s = (struct str){s.ptr + 4, s.len - 4}; /* its format, "txt:" */
    return keep_text(c, s, kind == '!' ? REDIS_ERROR : REDIS_STRING, out);
}

static int take_value(struct cursor *c, int depth, struct redis_reply *out);

static int take_elements(struct cursor *c, int64_t n, int depth, struct redis_reply *out) {
    /* No element is shorter than "_\r\n": more cannot be there. */
    if (n > (c->end - c->at) / 3) return NOT_ALL_THERE;
    if (depth >= DEPTH_MAX) return BROKEN;
    *out = (struct redis_reply){.type = REDIS_ARRAY, .elements = (size_t)n};
    out->element = arena_try_alloc(c->arena, (size_t)n * sizeof *out->element);
    if (!out->element) return BROKEN;
    for (int64_t i = 0; i < n; i++) {
        int rc = take_value(c, depth + 1, &out->element[i]);
        if (rc <= 0) return rc;
    }
    return 1;
}

/* What begins with a number: of bytes, or of elements. */
static int take_counted(struct cursor *c, char kind, struct str line, int depth, struct redis_reply *out) {
    int64_t n;
    if (!str_to_i64(line, &n) || n < -1 || n > INT32_MAX) return BROKEN;
    if (n == -1) {
        *out = (struct redis_reply){.type = REDIS_NIL};
        return 1;
    }
    if (kind == '$' || kind == '=' || kind == '!') return take_blob(c, kind, n, out);
    return take_elements(c, kind == '%' ? 2 * n : n, depth, out);
}

static int take_value(struct cursor *c, int depth, struct redis_reply *out) {
    struct str line;
    if (c->at == c->end) return NOT_ALL_THERE;
    char kind = *c->at++;
    int rc = take_line(c, &line);
    if (rc <= 0) return rc;
    switch (kind) {
    case '+': return keep_text(c, line, REDIS_STATUS, out);
    case '-': return keep_text(c, line, REDIS_ERROR, out);
    case ',':
    case '(': return keep_text(c, line, REDIS_STRING, out);
    case ':':
        *out = (struct redis_reply){.type = REDIS_INTEGER};
        return str_to_i64(line, &out->integer) ? 1 : BROKEN;
    case '#': *out = (struct redis_reply){.type = REDIS_INTEGER, .integer = str_eq(line, STR("t"))}; return 1;
    case '_': *out = (struct redis_reply){.type = REDIS_NIL}; return 1;
    case '$':
    case '=':
    case '!':
    case '*':
    case '~':
    case '>':
    case '%': return take_counted(c, kind, line, depth, out);
    default: return BROKEN;
    }
}

ssize_t redis_resp3_take(struct arena *a, const char *p, size_t len, struct redis_reply *out) {
    struct cursor c = {a, p, p + len};
    int rc = take_value(&c, 0, out);
    return rc > 0 ? c.at - p : rc;
}
