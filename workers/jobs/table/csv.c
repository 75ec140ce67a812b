/*
 * csv: see csv.h. How a record is found:
 *
 * 1. The buffer is scanned in blocks of 64 bytes. Each block yields a bit mask of the bytes that can end a field
 *    (delimiter, LF, CR, quote), and a flag when it contains a NUL or a byte above 127.
 * 2. next_mark walks the set bits. Ordinary fields are the spans between them. Inside quotes only quotes count.
 * 3. When the buffer ends before the record does, the result is CSV_MORE. The record's bytes are moved to the front,
 *    more are read behind them, and the record is scanned again from its start. That is safe, because nothing in the
 *    buffer is changed before a record is complete; doubled quotes are undoubled last. For a record longer than the
 *    buffer the buffer is doubled, so scanning again costs a constant factor.
 * 4. NUL and UTF-8 are checked once per record, and only if one of its blocks was flagged.
 */
#include "workers/jobs/table/csv.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

struct csv_reader {
    char *buffer; /* capacity + BLOCK bytes: a block may be loaded past the end */
    size_t capacity;
    size_t start;  /* of the record being looked for */
    size_t end;    /* of the bytes committed */
    size_t block;  /* offset of the block that mask describes; BLOCK-aligned from where scanning last began */
    uint64_t mask; /* marks of that block not yet visited */
    bool loaded;   /* mask belongs to block; if false, mask is 0 and scanning begins at start */
    bool block_suspicious; /* that block holds a NUL or a byte above 127 */
    bool suspicious;       /* a block under this record does */
    bool unpolished;       /* fields of this record hold doubled quotes, or blanks around them */
    bool ended;            /* no more input */
    bool failed;
    bool begun;  /* the byte order mark has been skipped */
    bool unsure; /* something may stand before the next record: the mark, or lines that are left out */
    bool header; /* the header has been read: width holds */
    char delimiter;
    struct csv_allowed allowed;
    uint64_t inner_lines; /* newlines inside this record's quotes */
    uint64_t line;        /* of start */
    uint64_t record_line; /* of the last record returned */
    struct csv_field *fields;
    size_t n_fields, fields_room;
    size_t width;
    struct csv_error error;
};

/* ---- life -------------------------------------------------------------------------------------------- */

struct csv_reader *csv_reader_new(char delimiter) {
    struct csv_reader *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->capacity = CSV_BUFFER;
    r->buffer = calloc(1, r->capacity + BLOCK);
    r->fields_room = 64;
    r->fields = calloc(r->fields_room, sizeof *r->fields);
    r->delimiter = delimiter ? delimiter : ',';
    r->unsure = true;
    r->line = r->record_line = 1;
    if (!r->buffer || !r->fields) {
        csv_reader_free(r);
        return NULL;
    }
    return r;
}

void csv_reader_free(struct csv_reader *r) {
    if (!r) return;
    free(r->fields);
    free(r->buffer);
    free(r);
}

void csv_reader_allow(struct csv_reader *r, const struct csv_allowed *allowed) {
    assert(!r->begun && r->end == 0);
    r->allowed = *allowed;
}

uint64_t csv_reader_line(const struct csv_reader *r) {
    return r->record_line;
}

const struct csv_error *csv_reader_error(const struct csv_reader *r) {
    return &r->error;
}

/* ---- errors ------------------------------------------------------------------------------------------ */

/* Records an error at a byte of the buffer; the position is counted from the record's start. */
__attribute__((format(printf, 3, 4))) static enum csv_status fail(struct csv_reader *r, size_t at,
                                                                  const char *format, ...) {
    uint64_t line = r->line;
    size_t line_start = r->start;
    for (size_t i = r->start; i < at && i < r->end; i++) {
        if (r->buffer[i] != '\n') continue;
        line++;
        line_start = i + 1;
    }
    r->failed = true;
    r->error.line = line;
    r->error.column = at - line_start + 1;
    va_list list;
    va_start(list, format);
    vsnprintf(r->error.text, sizeof r->error.text, format, list);
    va_end(list);
    return CSV_ERROR;
}

/* ---- input ------------------------------------------------------------------------------------------- */

static void rewind_scan(struct csv_reader *r) {
    r->mask = 0;
    r->loaded = false;
    r->block_suspicious = false;
}

static bool grow_buffer(struct csv_reader *r) {
    if (r->capacity >= CSV_RECORD_MAX) {
        fail(r, r->start, "the record that begins here is longer than %u bytes; is a closing quote missing?",
             CSV_RECORD_MAX);
        return false;
    }
    char *bigger = realloc(r->buffer, r->capacity * 2 + BLOCK);
    if (!bigger) {
        fail(r, r->start, "there is no memory for the record that begins here");
        return false;
    }
    r->buffer = bigger;
    r->capacity *= 2;
    return true;
}

char *csv_reader_room(struct csv_reader *r, size_t *room) {
    if (r->failed) return NULL;
    if (r->start > 0) {
        memmove(r->buffer, r->buffer + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    rewind_scan(r);
    if (r->end == r->capacity && !grow_buffer(r)) return NULL;
    *room = r->capacity - r->end;
    return r->buffer + r->end;
}

void csv_reader_commit(struct csv_reader *r, size_t n) {
    assert(r->end + n <= r->capacity);
    r->end += n;
    if (n == 0) r->ended = true;
}

/* ---- scanning ---------------------------------------------------------------------------------------- */

struct block_marks {
    uint64_t marks;
    bool suspicious;
};

#ifdef __SSE2__
static struct block_marks scan_block(const char *at, char delimiter) {
    const __m128i delimiters = _mm_set1_epi8(delimiter), lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r'),
                  quote = _mm_set1_epi8('"'), one = _mm_set1_epi8(1);
    struct block_marks result = {0, false};
    int suspicious = 0;
    for (int i = 0; i < BLOCK; i += 16) {
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(b, delimiters), _mm_cmpeq_epi8(b, lf)),
                                   _mm_or_si128(_mm_cmpeq_epi8(b, cr), _mm_cmpeq_epi8(b, quote)));
        result.marks |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << i;
        suspicious |= _mm_movemask_epi8(_mm_cmplt_epi8(b, one)); /* signed: 0 and everything above 127 */
    }
    result.suspicious = suspicious != 0;
    return result;
}
#else
static struct block_marks scan_block(const char *at, char delimiter) {
    struct block_marks result = {0, false};
    for (int i = 0; i < BLOCK; i++) {
        unsigned char c = (unsigned char)at[i];
        bool hit = at[i] == delimiter || c == '\n' || c == '\r' || c == '"';
        result.marks |= (uint64_t)hit << i;
        result.suspicious |= c == 0 || c > 127;
    }
    return result;
}
#endif

/* Marks the block at offset as the current one. Bytes past the end of input are masked away. */
static void load_block(struct csv_reader *r, size_t offset) {
    struct block_marks found = scan_block(r->buffer + offset, r->delimiter);
    size_t left = r->end - offset;
    if (left < BLOCK) {
        found.marks &= (1ull << left) - 1;
        found.suspicious = true; /* bytes behind the end may have been counted: check the record */
    }
    r->block = offset;
    r->mask = found.marks;
    r->block_suspicious = found.suspicious;
    r->suspicious |= found.suspicious;
    r->loaded = true;
}

/* The offset of the next mark, or SIZE_MAX when the bytes ran out. */
static inline size_t next_mark(struct csv_reader *r) {
    while (r->mask == 0) {
        size_t next = r->loaded ? r->block + BLOCK : r->start;
        if (next >= r->end) return SIZE_MAX;
        load_block(r, next);
    }
    size_t at = r->block + (size_t)__builtin_ctzll(r->mask);
    r->mask &= r->mask - 1;
    return at;
}

static bool grow_fields(struct csv_reader *r) {
    if (r->n_fields >= CSV_COLUMNS_MAX) return false;
    size_t room = r->fields_room * 2;
    struct csv_field *bigger = realloc(r->fields, room * sizeof *bigger);
    if (!bigger) return false;
    r->fields = bigger;
    r->fields_room = room;
    return true;
}

static inline bool add_field(struct csv_reader *r, size_t from, size_t to, bool quoted, bool doubled) {
    if (r->n_fields == r->fields_room && !grow_fields(r)) {
        fail(r, from, "the row has more than %d fields; that is the limit", CSV_COLUMNS_MAX);
        return false;
    }
    r->fields[r->n_fields++] = (struct csv_field){r->buffer + from, (uint32_t)(to - from), quoted, doubled};
    return true;
}

/* The offset of the quote that closes the field whose opening quote is at open; SIZE_MAX when it is not in the buffer
 * yet (or ever). *doubled is set when quotes inside are doubled. */
static size_t find_closing_quote(struct csv_reader *r, bool *doubled) {
    for (;;) {
        size_t at = next_mark(r);
        if (at == SIZE_MAX) return SIZE_MAX;
        if (r->buffer[at] != '"') {
            r->inner_lines += r->buffer[at] == '\n';
            continue;
        }
        if (at + 1 == r->end) return r->ended ? at : SIZE_MAX;
        if (r->buffer[at + 1] != '"') return at;
        *doubled = true;
        next_mark(r); /* the second of the pair */
    }
}

static bool is_blank(const struct csv_reader *r, size_t at) {
    char c = r->buffer[at];
    return (c == ' ' || c == '\t') && c != r->delimiter;
}

static bool only_blanks(const struct csv_reader *r, size_t from, size_t to) {
    while (from < to && is_blank(r, from)) from++;
    return from == to;
}

/* Leaves the blanks around a field out. */
static void trim(struct csv_field *field) {
    const char *end = field->at + field->length;
    while (field->at < end && (*field->at == ' ' || *field->at == '\t')) field->at++;
    while (end > field->at && (end[-1] == ' ' || end[-1] == '\t')) end--;
    field->length = (uint32_t)(end - field->at);
}

/* Turns "" into " in place, now that the record is complete. */
static void undouble(struct csv_field *field) {
    char *to = (char *)(uintptr_t)field->at;
    const char *from = field->at, *end = field->at + field->length;
    while (from < end) {
        if (*from == '"') from++;
        *to++ = *from++;
    }
    field->length = (uint32_t)(to - field->at);
    field->doubled = false;
}

/* How a field ended. */
enum stop { STOP_FIELD, STOP_RECORD, STOP_MORE, STOP_ERROR };

/* The mark at `at` follows a field's last byte: returns what it ends. *next is where scanning continues. */
static inline enum stop classify(struct csv_reader *r, size_t at, size_t *next) {
    *next = at + 1;
    if (r->buffer[at] == r->delimiter) return STOP_FIELD;
    if (r->buffer[at] == '\n') return STOP_RECORD;
    if (r->buffer[at] == '\r') {
        if (at + 1 == r->end && !r->ended) return STOP_MORE;
        if (at + 1 == r->end || r->buffer[at + 1] != '\n') {
            fail(r, at,
                 "a carriage return without a line feed; end lines with LF or CRLF, or quote the field");
            return STOP_ERROR;
        }
        next_mark(r); /* its line feed */
        *next = at + 2;
        return STOP_RECORD;
    }
    fail(r, at, "a quote inside an unquoted field; quote the whole field and double the quotes in it");
    return STOP_ERROR;
}

/* A field that began with a quote at open; the mark of that quote has been taken. */
static enum stop quoted_field(struct csv_reader *r, size_t open, size_t *next) {
    bool doubled = false;
    size_t close = find_closing_quote(r, &doubled);
    r->unpolished |= doubled;
    if (close == SIZE_MAX) {
        if (!r->ended) return STOP_MORE;
        fail(r, open, "the quote that opens here is never closed");
        return STOP_ERROR;
    }
    if (!add_field(r, open + 1, close, true, doubled)) return STOP_ERROR;
    *next = close + 1;
    while (r->allowed.trim && *next < r->end && is_blank(r, *next)) ++*next;
    if (*next == r->end) return r->ended ? STOP_RECORD : STOP_MORE;
    char c = r->buffer[*next];
    if (c != r->delimiter && c != '\n' && c != '\r') {
        fail(r, *next, "text after a closing quote; a quote inside a quoted field is written twice");
        return STOP_ERROR;
    }
    size_t at = next_mark(r);
    return classify(r, at, next);
}

/* Scans the record at start into fields. On STOP_RECORD *next is where the following record begins. */
static enum stop scan_record(struct csv_reader *r, size_t *next) {
    size_t from = r->start;
    r->n_fields = 0;
    r->inner_lines = 0;
    r->unpolished = r->allowed.trim;
    r->suspicious = r->block_suspicious;
    for (;;) {
        size_t at = next_mark(r);
        if (at == SIZE_MAX) {
            if (!r->ended) return STOP_MORE;
            *next = r->end;
            return add_field(r, from, r->end, false, false) ? STOP_RECORD : STOP_ERROR;
        }
        enum stop stop;
        if (r->buffer[at] == '"' && (at == from || (r->allowed.trim && only_blanks(r, from, at)))) {
            stop = quoted_field(r, at, next);
        } else {
            stop = classify(r, at, next);
            if (stop <= STOP_RECORD && !add_field(r, from, at, false, false)) return STOP_ERROR;
        }
        if (stop != STOP_FIELD) return stop;
        from = *next;
    }
}

/* ---- checks ------------------------------------------------------------------------------------------ */

/* The length of the well-formed UTF-8 sequence at s (n > 0 bytes are there), or 0. Unicode 15, table 3-7. */
static size_t utf8_sequence(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n < length) return 0;
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if (s[i] < 0x80 || s[i] > 0xBF) return 0;
    }
    return length;
}

bool csv_utf8_valid(const char *bytes, size_t length, size_t *bad) {
    const unsigned char *s = (const unsigned char *)bytes;
    for (size_t i = 0; i < length;) {
        size_t step = utf8_sequence(s + i, length - i);
        if (step == 0) {
            *bad = i;
            return false;
        }
        i += step;
    }
    return true;
}

static bool check_bytes(struct csv_reader *r, size_t next) {
    size_t length = next - r->start, bad;
    const char *nul = memchr(r->buffer + r->start, 0, length);
    if (nul) {
        fail(r, (size_t)(nul - r->buffer), "a NUL byte; the file must be UTF-8 text");
        return false;
    }
    if (!csv_utf8_valid(r->buffer + r->start, length, &bad)) {
        fail(r, r->start + bad, "the byte 0x%02X is not valid UTF-8 here; save the file as UTF-8",
             (unsigned char)r->buffer[r->start + bad]);
        return false;
    }
    return true;
}

static bool check_width(struct csv_reader *r, size_t next) {
    if (r->n_fields == r->width) return true;
    size_t at = next;
    if (r->n_fields > r->width) {
        const struct csv_field *extra = &r->fields[r->width];
        at = (size_t)(extra->at - r->buffer) - extra->quoted;
    } else if (at > r->start && r->buffer[at - 1] == '\n') {
        at -= at - 1 > r->start && r->buffer[at - 2] == '\r' ? 2 : 1;
    }
    bool empty = r->n_fields == 1 && r->fields[0].length == 0 && !r->fields[0].quoted;
    if (empty) {
        fail(r, at, "the line is empty; the header has %zu fields, so every row must have %zu", r->width,
             r->width);
    } else {
        fail(r, at, "the row has %zu field%s; the header has %zu, so every row must have %zu", r->n_fields,
             r->n_fields == 1 ? "" : "s", r->width, r->width);
    }
    return false;
}

static int compare_fields(const void *a, const void *b) {
    const struct csv_field *x = *(const struct csv_field *const *)a, *y = *(const struct csv_field *const *)b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->at, y->at, shorter);
    if (order) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->at < y->at ? -1 : 1; /* of two equal names the earlier comes first */
}

static bool check_header_names(struct csv_reader *r, const struct csv_field **sorted) {
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct csv_field *name = sorted[i] = &r->fields[i];
        if (name->length > 0 || (i == 0 && r->n_fields > 1)) continue;
        fail(r, (size_t)(name->at - r->buffer) - name->quoted,
             "the header's field %zu is empty; every column needs a name", i + 1);
        return false;
    }
    qsort(sorted, r->n_fields, sizeof *sorted, compare_fields);
    for (size_t i = 1; i < r->n_fields; i++) {
        const struct csv_field *a = sorted[i - 1], *b = sorted[i];
        if (a->length != b->length || memcmp(a->at, b->at, a->length) != 0) continue;
        int shown = b->length < 100 ? (int)b->length : 100;
        fail(r, (size_t)(b->at - r->buffer) - b->quoted,
             "the header names \"%.*s\" twice (fields %zu and %zu); every column needs a name of its own",
             shown, b->at, (size_t)(a - r->fields) + 1, (size_t)(b - r->fields) + 1);
        return false;
    }
    return true;
}

static bool check_header(struct csv_reader *r) {
    const struct csv_field **sorted = r->allowed.no_header ? NULL : calloc(r->n_fields, sizeof *sorted);
    if (!sorted && !r->allowed.no_header) {
        fail(r, r->start, "there is no memory for a header of %zu names", r->n_fields);
        return false;
    }
    bool good = r->allowed.no_header || check_header_names(r, sorted);
    free(sorted);
    if (good) {
        r->header = true;
        r->width = r->n_fields;
    }
    return good;
}

/* ---- records ----------------------------------------------------------------------------------------- */

/* Skips a byte order mark. Returns false when there are too few bytes to decide. */
static bool begin(struct csv_reader *r) {
    static const char mark[3] = "\xEF\xBB\xBF";
    size_t have = r->end - r->start;
    size_t same = have < 3 ? have : 3;
    bool maybe = memcmp(r->buffer + r->start, mark, same) == 0;
    if (maybe && have < 3 && !r->ended) return false;
    if (maybe && have >= 3) r->start += 3;
    r->begun = true;
    return true;
}

/* The line at start is one that is left out, up to the offset *next; or it is not. */
enum line { LINE_STAYS, LINE_LEFT_OUT, LINE_UNKNOWN };

static enum line find_comment(const struct csv_reader *r, size_t *next) {
    const char *lf = memchr(r->buffer + r->start, '\n', r->end - r->start);
    if (!lf && !r->ended) return LINE_UNKNOWN;
    *next = lf ? (size_t)(lf - r->buffer) + 1 : r->end;
    return LINE_LEFT_OUT;
}

static enum line find_blank_line(const struct csv_reader *r, size_t *next) {
    size_t at = r->start;
    while (at < r->end && r->buffer[at] == ' ' && is_blank(r, at)) at++;
    bool cr = at < r->end && r->buffer[at] == '\r';
    at += cr;
    if (at == r->end && !r->ended) return LINE_UNKNOWN;
    *next = at == r->end ? at : at + 1;
    return at == r->end            ? (cr ? LINE_STAYS : LINE_LEFT_OUT)
           : r->buffer[at] == '\n' ? LINE_LEFT_OUT
                                   : LINE_STAYS;
}

static enum line find_line(const struct csv_reader *r, size_t *next) {
    if (r->start == r->end) return r->ended ? LINE_STAYS : LINE_UNKNOWN;
    if (r->allowed.comment && r->buffer[r->start] == r->allowed.comment) return find_comment(r, next);
    return r->allowed.blank_lines ? find_blank_line(r, next) : LINE_STAYS;
}

/* Skips what may stand before a record. Returns false when there are too few bytes to decide. */
static bool skip(struct csv_reader *r) {
    size_t next = 0;
    enum line line;
    if (!r->begun && !begin(r)) return false;
    while ((line = find_line(r, &next)) == LINE_LEFT_OUT) {
        assert(r->start < next && next <= r->end);
        r->start = next;
        r->line++;
        rewind_scan(r);
    }
    r->unsure = r->allowed.comment || r->allowed.blank_lines;
    return line == LINE_STAYS;
}

/* The record at start is complete and ends at next: checks it, and prepares its fields for the caller. */
static bool finish_record(struct csv_reader *r, size_t next) {
    if (r->suspicious && !check_bytes(r, next)) return false;
    if (r->header && !check_width(r, next)) return false;
    for (size_t i = 0; i < r->n_fields && r->unpolished; i++) {
        if (r->fields[i].doubled) undouble(&r->fields[i]);
        if (r->allowed.trim && !r->fields[i].quoted) trim(&r->fields[i]);
    }
    return r->header || check_header(r);
}

enum csv_status csv_reader_next(struct csv_reader *r, const struct csv_field **fields, size_t *n) {
    if (r->failed) return CSV_ERROR;
    if (r->unsure && !skip(r)) return CSV_MORE;
    if (r->ended && r->start == r->end) {
        if (r->header) return CSV_END;
        return fail(r, r->start, "the input is empty; its first line must name the columns");
    }
    size_t next = r->start;
    enum stop stop = scan_record(r, &next);
    if (stop == STOP_MORE) {
        rewind_scan(r);
        return CSV_MORE;
    }
    if (stop == STOP_ERROR || !finish_record(r, next)) return CSV_ERROR;
    assert(r->start <= next && next <= r->end);
    r->start = next;
    r->record_line = r->line;
    r->line += 1 + r->inner_lines;
    *fields = r->fields;
    *n = r->n_fields;
    return CSV_RECORD;
}

const char *csv_source_failure(int number) {
    switch (number) {
    case EBADMSG: return "its gzip data are damaged from here on";
    case ENODATA: return "its gzip data end too early; the file was cut short";
    case EILSEQ: return "it is not UTF-16 from here on, as its byte order mark says";
    default: return strerror(number);
    }
}

enum csv_status csv_reader_read(struct csv_reader *r, const struct csv_source *source,
                                const struct csv_field **fields, size_t *n) {
    for (;;) {
        enum csv_status status = csv_reader_next(r, fields, n);
        if (status != CSV_MORE) return status;
        size_t room;
        char *at = csv_reader_room(r, &room);
        if (!at) return CSV_ERROR;
        ssize_t got = source->read(source->context, at, room);
        if (got < 0)
            return fail(r, r->end, "the input could not be read further: %s", csv_source_failure(errno));
        csv_reader_commit(r, (size_t)got);
    }
}
