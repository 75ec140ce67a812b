/* text_buffer: see text_buffer.h. */
#include "workers/jobs/table/text_buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/table/decimal.h"

char *text_buffer_reserve(struct text_buffer *b, size_t n) {
    assert(b->length <= b->room);
    if (b->room - b->length < n) {
        size_t room = b->room * 2 > b->length + n ? b->room * 2 : b->length + n + 256;
        char *bigger = realloc(b->at, room);
        if (!bigger) {
            b->failed = true;
            return NULL;
        }
        b->at = bigger;
        b->room = room;
    }
    return b->at + b->length;
}

void text_buffer_add(struct text_buffer *b, const char *bytes, size_t n) {
    char *at = text_buffer_reserve(b, n);
    if (!at || n == 0) return;
    memcpy(at, bytes, n);
    b->length += n;
}

void text_buffer_string(struct text_buffer *b, const char *text) {
    text_buffer_add(b, text, strlen(text));
}

void text_buffer_char(struct text_buffer *b, char c) {
    char *at = text_buffer_reserve(b, 1);
    if (!at) return;
    *at = c;
    b->length++;
}

void text_buffer_number(struct text_buffer *b, double number) {
    char *at = text_buffer_reserve(b, DECIMAL_PRINT_ROOM);
    if (at) b->length += decimal_print(number, at);
    assert(b->length <= b->room);
}

/* Counts are many and small, and printf is slow. */
void text_buffer_count(struct text_buffer *b, unsigned long long number) {
    char digits[24];
    if (number < 1ull << 53) {
        text_buffer_number(b, (double)number);
        return;
    }
    text_buffer_add(b, digits, (size_t)snprintf(digits, sizeof digits, "%llu", number));
}

/* Bytes that need quotes, and texts that a reader would otherwise take for a missing cell. */
static bool needs_quotes(const char *text, size_t length) {
    if (length == 0 || (length == 2 && memcmp(text, "NA", 2) == 0)) return true;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r') return true;
    }
    return false;
}

void text_buffer_quoted(struct text_buffer *b, const char *text, size_t length) {
    text_buffer_char(b, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') text_buffer_char(b, '"');
        text_buffer_char(b, text[i]);
    }
    text_buffer_char(b, '"');
}

void text_buffer_csv(struct text_buffer *b, const char *text, size_t length) {
    if (needs_quotes(text, length))
        text_buffer_quoted(b, text, length);
    else
        text_buffer_add(b, text, length);
}

void text_buffer_json(struct text_buffer *b, const char *text, size_t length) {
    text_buffer_char(b, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        char escaped[8];
        if (c == '"' || c == '\\') {
            text_buffer_char(b, '\\');
            text_buffer_char(b, text[i]);
        } else if (c < 0x20) {
            text_buffer_add(b, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c));
        } else {
            text_buffer_char(b, text[i]);
        }
    }
    text_buffer_char(b, '"');
}

void text_buffer_write(struct text_buffer *b, FILE *file) {
    assert(!b->failed); /* the writer asks before it writes: an incomplete text is not written */
    if (b->length > 0) fwrite(b->at, 1, b->length, file);
    b->length = 0;
}

void text_buffer_free(struct text_buffer *b) {
    free(b->at);
    *b = (struct text_buffer){0};
}
