/* The structured log.
 *
 * A line is put together in a buffer on the stack and written with one write(2). What does not fit is left
 * out and the line says so ("cut":true), so that it is always one whole JSON object.
 *
 * Repeats are counted per level and message in a small table of fixed size. At the first line after a second has
 * passed, and when the log is freed, the lines that were left out are reported:
 *   {...,"message":"lines left out","of":"peer sent nonsense","count":80321}
 * Every line is either written or counted. When the table is full, the other messages of that second share one count,
 * so that no mix of messages evades the limit.
 */
#include "core/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

enum {
    LINE_MAX_BYTES = 4096,
    TAIL_BYTES = sizeof(",\"cut\":true}\n") - 1, /* always kept free for the end of the line */
    REPEATS_PER_S = 20,
    REPEAT_SLOTS = 256, /* a program has about as many different messages */
    REPEAT_NAME_BYTES = 64,
};

struct repeat {
    char message[REPEAT_NAME_BYTES]; /* its beginning */
    uint64_t hash;                   /* of level and whole message; 0 marks a free slot */
    enum log_level level;
    unsigned written;
    int64_t left_out;
};

struct log {
    const char *service;
    enum log_level level;
    int fd;
    int64_t (*wall_ms)(void);
    pthread_mutex_t lock;
    int64_t window;                      /* the second in which the repeats were counted */
    struct repeat repeats[REPEAT_SLOTS]; /* open addressing, linear probing */
    struct repeat others;                /* for which the table had no room */
};

/* --- a line ------------------------------------------------------------------------------------------ */

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
    bool cut;
};

static size_t line_room(const struct line *l) {
    return LINE_MAX_BYTES - TAIL_BYTES - l->len;
}

static bool line_add(struct line *l, const char *p, size_t len) {
    if (line_room(l) < len) {
        l->cut = true;
        return false;
    }
    memcpy(l->bytes + l->len, p, len);
    l->len += len;
    return true;
}

static bool line_add_str(struct line *l, struct str s) {
    return line_add(l, s.ptr, s.len);
}

/* Bytes of the character at the start of s; 0 when they are not UTF-8. */
static size_t character_len(struct str s) {
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (len == 1) return 1;
    return len <= s.len && str_is_utf8((struct str){s.ptr, len}) ? len : 0;
}

/* Appends the first character of *s as JSON writes it, and moves *s on. */
static bool line_add_character(struct line *l, struct str *s) {
    static const char hex[] = "0123456789abcdef";
    size_t len = character_len(*s);
    unsigned char c = (unsigned char)s->ptr[0];
    struct str out = {s->ptr, len};
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (len == 0) {
        out = STR("\xEF\xBF\xBD"); /* U+FFFD for a byte that is not UTF-8 */
        len = 1;
    } else if (c == '"' || c == '\\') {
        escape[1] = (char)c;
        out = (struct str){escape, 2};
    } else if (c == '\n') {
        out = STR("\\n");
    } else if (c < 0x20 || c == 0x7F) {
        out = (struct str){escape, 6};
    }
    *s = (struct str){s->ptr + len, s->len - len};
    return line_add_str(l, out);
}

/* A quoted text; what does not fit is cut off between characters. */
static void line_add_text(struct line *l, struct str s) {
    if (line_room(l) < 2) {
        l->cut = true;
        return;
    }
    l->bytes[l->len++] = '"';
    while (s.len) {
        size_t before = l->len;
        if (line_add_character(l, &s) && line_room(l) >= 1) continue;
        l->len = before; /* the closing quote needs its room */
        l->cut = true;
        break;
    }
    l->bytes[l->len++] = '"';
}

static bool is_number(double v) {
    return v - v == 0; /* neither an infinity nor NaN */
}

static void line_add_value(struct line *l, const struct log_field *f) {
    char digits[32];
    switch (f->kind) {
    case LOG_FIELD_STR: line_add_text(l, f->s); return;
    case LOG_FIELD_I64: line_add(l, digits, format_i64(digits, f->i)); return;
    case LOG_FIELD_F64:
        if (is_number(f->d)) {
            line_add(l, digits, format_f64(digits, f->d));
        } else {
            line_add_str(l, STR("null"));
        }
        return;
    case LOG_FIELD_END: return;
    }
}

/* Either the key with at least the beginning of its value, or nothing. */
static void line_add_field(struct line *l, const struct log_field *f) {
    size_t before = l->len;
    if (line_add_str(l, STR(",\"")) && line_add_str(l, str_from(f->key)) && line_add_str(l, STR("\":"))) {
        size_t value = l->len;
        line_add_value(l, f);
        if (l->len > value) return;
    }
    l->len = before;
}

static void line_add_time(struct line *l, int64_t wall_ms) {
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[32];
    gmtime_r(&s, &tm);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", &tm);
    int ms = (int)(wall_ms % 1000);
    text[len++] = (char)('0' + ms / 100);
    text[len++] = (char)('0' + ms / 10 % 10);
    text[len++] = (char)('0' + ms % 10);
    text[len++] = 'Z';
    line_add(l, text, len);
}

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_DEBUG: return "debug";
    case LOG_INFO: return "info";
    case LOG_WARN: return "warn";
    case LOG_ERROR: return "error";
    }
    return "error";
}

/* A full pipe or disk loses the line: there is nowhere to report that. */
static void write_whole(int fd, const char *p, size_t len) {
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        p += n;
        len -= (size_t)n;
    }
}

static void write_line(struct log *l, int64_t now_ms, enum log_level level, const char *message,
                       const struct log_field *fields) {
    struct line line;
    line.len = 0;
    line.cut = false;
    line_add_str(&line, STR("{\"time\":\""));
    line_add_time(&line, now_ms);
    line_add_str(&line, STR("\",\"level\":\""));
    line_add_str(&line, str_from(level_name(level)));
    line_add_str(&line, STR("\""));
    line_add_field(&line, &LOG_S("service", l->service));
    line_add_field(&line, &LOG_S("message", message));
    for (; fields && fields->kind != LOG_FIELD_END; fields++) line_add_field(&line, fields);
    struct str tail = line.cut ? STR(",\"cut\":true}\n") : STR("}\n");
    memcpy(line.bytes + line.len, tail.ptr, tail.len);
    write_whole(l->fd, line.bytes, line.len + tail.len);
}

/* --- repeats ----------------------------------------------------------------------------------------- */

/* FNV-1a. A peer that made two messages collide would only have them counted together. */
static uint64_t repeat_hash(enum log_level level, const char *message) {
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)level;
    for (; *message; message++) h = (h ^ (unsigned char)*message) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

static void report_left_out(struct log *l, int64_t now_ms, struct repeat *r) {
    if (r->left_out) {
        write_line(l, now_ms, r->level, "lines left out",
                   LOG_FIELDS(LOG_S("of", r->message), LOG_I("count", r->left_out)));
    }
    *r = (struct repeat){0};
}

static void report_all_left_out(struct log *l, int64_t now_ms) {
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        if (l->repeats[i].hash) report_left_out(l, now_ms, &l->repeats[i]);
    }
    report_left_out(l, now_ms, &l->others);
}

static void repeat_begin(struct repeat *r, uint64_t hash, enum log_level level, const char *message) {
    *r = (struct repeat){.hash = hash, .level = level};
    memcpy(r->message, message, strnlen(message, sizeof(r->message) - 1));
}

static struct repeat *repeat_find(struct log *l, enum log_level level, const char *message) {
    uint64_t hash = repeat_hash(level, message);
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct repeat *r = &l->repeats[(hash + i) % REPEAT_SLOTS];
        if (!r->hash) repeat_begin(r, hash, level, message);
        if (r->hash == hash) return r;
    }
    if (!l->others.hash) repeat_begin(&l->others, hash, LOG_WARN, "other messages");
    return &l->others;
}

/* May this line be written? If not it is counted. */
static bool repeat_allows(struct log *l, int64_t now_ms, enum log_level level, const char *message) {
    if (now_ms / 1000 != l->window) {
        report_all_left_out(l, now_ms);
        l->window = now_ms / 1000;
    }
    struct repeat *r = repeat_find(l, level, message);
    if (r->written < REPEATS_PER_S) {
        r->written++;
        return true;
    }
    r->left_out++;
    return false;
}

/* ---------------------------------------------------------------------------------------------------- */

struct log *log_new(const char *service, enum log_level level, int fd) {
    struct log *l = calloc(1, sizeof(*l));
    if (!l) return NULL;
    l->service = service;
    l->level = level;
    l->fd = fd;
    l->wall_ms = clock_wall_ms;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void log_use_clock(struct log *l, int64_t (*wall_ms)(void)) {
    l->wall_ms = wall_ms;
}

void log_free(struct log *l) {
    if (!l) return;
    report_all_left_out(l, l->wall_ms());
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool log_level_from(struct str name, enum log_level *out) {
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (!str_eq(name, str_from(level_name(level)))) continue;
        *out = level;
        return true;
    }
    return false;
}

void log_write(struct log *l, enum log_level level, const char *message, const struct log_field *fields) {
    if (!l || level < l->level) return;
    pthread_mutex_lock(&l->lock);
    int64_t now_ms = l->wall_ms();
    if (repeat_allows(l, now_ms, level, message)) write_line(l, now_ms, level, message, fields);
    pthread_mutex_unlock(&l->lock);
}
