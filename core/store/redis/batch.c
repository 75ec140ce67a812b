/* A batch: commands written as RESP into one buffer, and the replies.
 *
 * Most replies are a string or an array of strings that has arrived in full. These are read straight from the
 * socket's buffer: one copy of its bytes, and the elements point into it. Everything else goes through hiredis's
 * reader.
 *
 * Replies are built by hiredis's reader through our own object functions, which put every struct redis_reply
 * and every byte into the batch's arena: the root of the i-th reply into replies[i], an element into its
 * array. The reader hands each task the batch as privdata and its parent's object, so nothing is searched.
 *
 * Batches that keep only integers bypass all that: their replies are nearly always lines ":123\r\n", which
 * redis_batch_take_lines reads straight from the socket's buffer.
 */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/redis/redis_internal.h"

/* What the replies of one batch may take: a server may announce an array of a billion elements. */
#define REPLIES_LIMIT ((size_t)256 * 1024 * 1024)
/* A batch that is reset frees buffers beyond this. */
#define KEEP_BYTES ((size_t)8 * 1024 * 1024)
/* Maximum of each kind of memory in a batch that is kept for reuse. */
#define SPARE_BYTES ((size_t)8 * 1024)
/* ':', 19 digits and a sign fit in this; longer ones are left to the reader. */
#define INTEGER_MAX_DIGITS 18

/* ---- building ---------------------------------------------------------------------------------------- */

struct redis_batch *redis_batch_new(void) {
    struct redis_batch *b = calloc(1, sizeof *b);
    if (!b) abort(); /* as struct buf does */
    list_init(&b->node);
    buf_init(&b->out);
    arena_init(&b->arena, REPLIES_LIMIT);
    return b;
}

void redis_batch_free(struct redis_batch *b) {
    if (!b) return;
    assert(b->state == BATCH_BUILDING || b->state == BATCH_DONE);
    buf_free(&b->out);
    arena_free(&b->arena);
    free(b->replies);
    free(b->integers);
    free(b);
}

void redis_batch_reset(struct redis_batch *b) {
    assert(b->state == BATCH_BUILDING || b->state == BATCH_DONE);
    struct redis_batch fresh = {.out = b->out, .arena = b->arena};
    fresh.replies = b->replies;
    fresh.replies_cap = b->replies_cap;
    fresh.integers = b->integers;
    fresh.integers_cap = b->integers_cap;
    *b = fresh;
    list_init(&b->node);
    if (b->out.cap > KEEP_BYTES) buf_free(&b->out);
    buf_clear(&b->out);
    arena_reset(&b->arena);
}

bool redis_batch_is_small(const struct redis_batch *b) {
    return b->out.cap <= SPARE_BYTES && b->arena.used <= SPARE_BYTES &&
           b->replies_cap * sizeof *b->replies <= SPARE_BYTES &&
           b->integers_cap * sizeof *b->integers <= SPARE_BYTES;
}

void redis_batch_integers_only(struct redis_batch *b) {
    assert(b->state == BATCH_BUILDING);
    b->integers_only = true;
}

size_t redis_batch_commands(const struct redis_batch *b) {
    return b->commands;
}

size_t redis_batch_bytes(const struct redis_batch *b) {
    return b->out.len;
}

/* Writes kind, n and the line's end; at most 24 bytes. */
static char *put_header(char *p, char kind, size_t n) {
    *p++ = kind;
    if (n < 10)
        *p++ = (char)('0' + n);
    else
        p += format_i64(p, (int64_t)n);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

void redis_cmd(struct redis_batch *b, int argc) {
    assert(b->state == BATCH_BUILDING && b->args_due == 0 && argc > 0);
    char *p = buf_reserve(&b->out, 24);
    b->out.len += (size_t)(put_header(p, '*', (size_t)argc) - p);
    b->args_due = argc;
    b->commands++;
}

void redis_arg(struct redis_batch *b, struct str s) {
    assert(b->args_due > 0);
    char *start = buf_reserve(&b->out, s.len + 26), *p = put_header(start, '$', s.len);
    if (s.len) memcpy(p, s.ptr, s.len);
    p += s.len;
    *p++ = '\r';
    *p++ = '\n';
    b->out.len += (size_t)(p - start);
    b->args_due--;
}

void redis_arg_cstr(struct redis_batch *b, const char *s) {
    redis_arg(b, str_from(s));
}

void redis_arg_i64(struct redis_batch *b, int64_t v) {
    char text[20];
    redis_arg(b, (struct str){text, format_i64(text, v)});
}

char *redis_batch_room(struct redis_batch *b, size_t bytes) {
    assert(b->state == BATCH_BUILDING && b->args_due == 0);
    return buf_reserve(&b->out, bytes);
}

void redis_batch_wrote(struct redis_batch *b, size_t bytes, size_t commands) {
    assert(b->out.cap - b->out.len >= bytes);
    b->out.len += bytes;
    b->commands += commands;
}

struct str redis_format(char *room, size_t size, struct arena *a, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(room, size, format, args);
    assert(n >= 0);
    struct str s = {(size_t)n < size ? room : arena_vprintf(a, format, again), (size_t)n};
    va_end(again);
    return s;
}

void redis_arg_printf(struct redis_batch *b, const char *format, ...) {
    char room[256];
    va_list args;
    va_start(args, format);
    redis_arg(b, redis_format(room, sizeof room, &b->arena, format, args));
    va_end(args);
}

/* ---- replies ----------------------------------------------------------------------------------------- */

bool redis_batch_complete(const struct redis_batch *b) {
    return b->received == b->commands;
}

/* Grows *v to n items of size each; they are not zeroed. */
static bool make_room(void **v, size_t *cap, size_t n, size_t size) {
    if (*cap >= n && *cap * size <= KEEP_BYTES) return true;
    free(*v);
    *v = malloc((n ? n : 1) * size);
    *cap = *v ? n : 0;
    return *v != NULL;
}

bool redis_batch_prepare(struct redis_batch *b) {
    void *v = b->integers_only ? (void *)b->integers : b->replies;
    bool made = b->integers_only ? make_room(&v, &b->integers_cap, b->commands, sizeof *b->integers)
                                 : make_room(&v, &b->replies_cap, b->commands, sizeof *b->replies);
    if (b->integers_only)
        b->integers = v;
    else
        b->replies = v;
    return made;
}

static void note_error(struct redis_batch *b, struct str text) {
    if (b->failed) return;
    b->failed = true;
    b->first_error = text;
}

/* The text is in the socket's buffer: it is copied, or left out when the arena is full. */
static void note_error_line(struct redis_batch *b, const char *text, size_t len) {
    char *copy = b->failed ? NULL : arena_try_alloc(&b->arena, len);
    if (copy) memcpy(copy, text, len);
    note_error(b, (struct str){copy, copy ? len : 0});
}

static void keep_integer(struct redis_batch *b, int64_t v) {
    b->integers[b->received++] = v;
}

/* Reads ":[-]digits\r\n". Returns the bytes it takes, and *v; 0 when it is incomplete or something else. */
static size_t scan_integer(const char *p, const char *end, int64_t *v) {
    /* Two digits: the length of most elements. */
    unsigned tens, ones;
    if (end - p >= 5 && p[3] == '\r' && p[4] == '\n' && (tens = (unsigned)(p[1] - '0')) <= 9 &&
        (ones = (unsigned)(p[2] - '0')) <= 9) {
        *v = (int64_t)(tens * 10 + ones);
        return 5;
    }
    const char *at = p + 1;
    bool negative = at < end && *at == '-';
    at += negative;
    const char *digits = at;
    uint64_t n = 0;
    for (unsigned d; at < end && (d = (unsigned)(*at - '0')) <= 9 && at - digits < INTEGER_MAX_DIGITS; at++)
        n = n * 10 + d;
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n' || at == digits) return 0;
    *v = negative ? -(int64_t)n : (int64_t)n;
    return (size_t)(at + 2 - p);
}

/* Reads a line that is not an integer. Returns the bytes it takes; 0 when it is incomplete. */
static size_t scan_line(const char *p, const char *end) {
    const char *stop = memmem(p, (size_t)(end - p), "\r\n", 2);
    return stop ? (size_t)(stop + 2 - p) : 0;
}

size_t redis_batch_take_lines(struct redis_batch *b, const char *p, size_t len, bool *other) {
    const char *at = p, *end = p + len;
    int64_t v;
    for (size_t n; b->received < b->commands && at < end; at += n) {
        if (*at == ':' && (n = scan_integer(at, end, &v)) > 0) {
            keep_integer(b, v);
            continue;
        }
        n = scan_line(at, end);
        if (n == 0) break;
        if (*at != '-' && *at != '+') {
            *other = true;
            break;
        }
        if (*at == '-') note_error_line(b, at + 1, n - 3);
        keep_integer(b, INT64_MIN);
    }
    return (size_t)(at - p);
}

/* A bulk string or nil in full; its text points to where it was read. */
static size_t scan_string(const char *p, const char *end, struct redis_reply *out) {
    int64_t n;
    size_t head = p < end && *p == '$' ? scan_integer(p, end, &n) : 0;
    if (head == 0 || n < -1) return 0;
    *out = (struct redis_reply){.type = REDIS_NIL};
    if (n == -1) return head;
    size_t left = (size_t)(end - p) - head;
    if (left < 2 || (size_t)n > left - 2 || p[head + (size_t)n] != '\r') return 0;
    out->type = REDIS_STRING;
    out->str = (struct str){p + head, (size_t)n};
    return head + (size_t)n + 2;
}

/* The texts move into the copy, and end with a NUL where they ended with "\r". */
static void move_texts(struct redis_reply *v, size_t n, const char *from, char *to) {
    for (size_t i = 0; i < n; i++) {
        if (v[i].type != REDIS_STRING) continue;
        char *text = to + (v[i].str.ptr - from);
        text[v[i].str.len] = '\0';
        v[i].str.ptr = text;
    }
}

static size_t scan_array(struct redis_batch *b, const char *p, const char *end, struct redis_reply *out) {
    int64_t n;
    size_t at = scan_integer(p, end, &n);
    /* No element is shorter than "$-1\r\n", which bounds their number. */
    if (at == 0 || n < 0 || n > (end - p) / 5) return 0;
    *out = (struct redis_reply){.type = REDIS_ARRAY, .elements = (size_t)n};
    out->element = arena_try_alloc(&b->arena, (size_t)n * sizeof *out->element);
    if (!out->element) return 0;
    for (int64_t i = 0; i < n; i++) {
        size_t took = scan_string(p + at, end, &out->element[i]);
        if (took == 0) return 0;
        at += took;
    }
    return at;
}

size_t redis_batch_take_strings(struct redis_batch *b, const char *p, size_t len) {
    struct redis_reply root;
    size_t n = 0;
    if (len > 0 && *p == '$') n = scan_string(p, p + len, &root);
    if (len > 0 && *p == '*') n = scan_array(b, p, p + len, &root);
    char *copy = n > 0 ? arena_try_alloc(&b->arena, n) : NULL;
    if (!copy) return 0;
    memcpy(copy, p, n);
    if (root.type == REDIS_ARRAY)
        move_texts(root.element, root.elements, p, copy);
    else
        move_texts(&root, 1, p, copy);
    b->replies[b->received++] = root;
    return n;
}

void redis_batch_take_reply(struct redis_batch *b) {
    struct redis_reply *root = b->integers_only ? &b->passing : &b->replies[b->received];
    if (root->type == REDIS_ERROR) note_error(b, root->str);
    if (b->integers_only)
        keep_integer(b, root->type == REDIS_INTEGER ? root->integer : INT64_MIN);
    else
        b->received++;
}

const struct redis_reply *redis_batch_reply(const struct redis_batch *b, size_t i) {
    assert(b->state == BATCH_DONE && b->result == 0 && !b->integers_only && i < b->commands);
    return &b->replies[i];
}

const int64_t *redis_batch_integers(const struct redis_batch *b) {
    assert(b->state == BATCH_DONE && b->result == 0 && b->integers_only);
    return b->integers;
}

enum error redis_reply_error(struct str reply) {
    static const char *const passing[] = {"OOM",        "LOADING",    "BUSY",        "MISCONF", "READONLY",
                                          "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"};
    struct str word = str_cut(&reply, ' ');
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (str_eq(word, str_from(passing[i]))) return ERR_REDIS_STATE;
    return ERR_REDIS;
}

int redis_batch_check(const struct redis_batch *b, struct fault *fault) {
    if (!b->failed) return 0;
    return (int)fault_set(fault, redis_reply_error(b->first_error), STR_FMT, STR_ARG(b->first_error));
}

static bool copy_inside(struct arena *a, struct redis_reply *r);

static bool copy_elements(struct arena *a, struct redis_reply *r) {
    const struct redis_reply *from = r->element;
    r->element = arena_try_alloc(a, r->elements * sizeof *from);
    if (!r->element) return false;
    memcpy(r->element, from, r->elements * sizeof *from);
    for (size_t i = 0; i < r->elements; i++) {
        if (!copy_inside(a, &r->element[i])) return false;
    }
    return true;
}

/* *r points into another arena; afterwards into this one. */
static bool copy_inside(struct arena *a, struct redis_reply *r) {
    if (r->type == REDIS_ARRAY) return copy_elements(a, r);
    if (!r->str.ptr) return true;
    char *copy = arena_try_alloc(a, r->str.len + 1);
    if (!copy) return false;
    memcpy(copy, r->str.ptr, r->str.len + 1);
    r->str.ptr = copy;
    return true;
}

struct redis_reply *redis_reply_copy(struct arena *a, const struct redis_reply *from) {
    struct redis_reply *to = arena_try_alloc(a, sizeof *to);
    if (!to) return NULL;
    *to = *from;
    return copy_inside(a, to) ? to : NULL;
}

/* ---- hiredis's reader -------------------------------------------------------------------------------- */

static struct redis_batch *batch_of(const redisReadTask *task) {
    return task->privdata;
}

/* Where the object of a task goes, filled with v. */
static void *put(const redisReadTask *task, struct redis_reply v) {
    struct redis_batch *b = batch_of(task);
    struct redis_reply *slot;
    if (task->parent)
        slot = &((struct redis_reply *)task->parent->obj)->element[task->idx];
    else
        slot = b->integers_only ? &b->passing : &b->replies[b->received];
    *slot = v;
    return slot;
}

/* NULL is "out of memory" to the reader: the connection is then given up. */
static void *create_text(const redisReadTask *task, enum redis_type type, const char *s, size_t len) {
    char *copy = arena_try_alloc(&batch_of(task)->arena, len + 1);
    if (!copy) return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return put(task, (struct redis_reply){.type = type, .str = {copy, len}});
}

static void *create_string(const redisReadTask *task, char *s, size_t len) {
    enum redis_type type = REDIS_STRING;
    if (task->type == REDIS_REPLY_STATUS) type = REDIS_STATUS;
    if (task->type == REDIS_REPLY_ERROR) type = REDIS_ERROR;
    return create_text(task, type, s, len);
}

static void *create_elements(const redisReadTask *task, size_t n) {
    struct redis_reply v = {.type = REDIS_ARRAY, .elements = n};
    if (n > REPLIES_LIMIT / sizeof v) return NULL;
    v.element = arena_try_alloc(&batch_of(task)->arena, n * sizeof v);
    return v.element ? put(task, v) : NULL;
}

static void *create_integer(const redisReadTask *task, long long n) {
    return put(task, (struct redis_reply){.type = REDIS_INTEGER, .integer = n});
}

static void *create_nil(const redisReadTask *task) {
    return put(task, (struct redis_reply){.type = REDIS_NIL});
}

static void free_object(void *object) {
    (void)object; /* the arena's */
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t n) {
    return create_elements(task, n);
}

/* RESP3 is not requested here; if a server sends its types anyway, they become the plain form of each. */
static void *create_double(const redisReadTask *task, double d, char *s, size_t len) {
    (void)d;
    return create_text(task, REDIS_STRING, s, len);
}

static void *create_bool(const redisReadTask *task, int v) {
    return create_integer(task, v);
}
#else
static void *create_array(const redisReadTask *task, int n) {
    return n < 0 ? NULL : create_elements(task, (size_t)n);
}
#endif

/* Not const, since hiredis takes a plain pointer; never written to. */
static redisReplyObjectFunctions object_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .freeObject = free_object,
};

struct redisReader *redis_reader_new(void) {
    return redisReaderCreateWithFunctions(&object_functions);
}
