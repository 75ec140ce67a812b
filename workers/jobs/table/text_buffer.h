/* text_buffer: text that grows at its end. A lack of memory is remembered, so that a writer asks once, at the
 * end. */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_TEXT_BUFFER_H
#define ROOKERY_WORKERS_JOBS_TABLE_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* All zeros is an empty buffer. */
struct text_buffer {
    char *at;
    size_t length, room;
    bool failed; /* an allocation failed: the text is incomplete */
};

/* Room for n more bytes, where they go; NULL (and failed) when there is none. The caller adds to length. */
char *text_buffer_reserve(struct text_buffer *b, size_t n);
void text_buffer_add(struct text_buffer *b, const char *bytes, size_t n);
void text_buffer_string(struct text_buffer *b, const char *text);
void text_buffer_char(struct text_buffer *b, char c);
void text_buffer_number(struct text_buffer *b, double number); /* finite; shortest decimal */
void text_buffer_count(struct text_buffer *b, unsigned long long number);
/* One CSV field in quotes. */
void text_buffer_quoted(struct text_buffer *b, const char *text, size_t length);
/* One CSV field: quoted when its bytes or the default missing tokens demand it. */
void text_buffer_csv(struct text_buffer *b, const char *text, size_t length);
/* A JSON string with its quotes. */
void text_buffer_json(struct text_buffer *b, const char *text, size_t length);
/* Writes all of it and empties it; whether that worked, the stream knows. */
void text_buffer_write(struct text_buffer *b, FILE *file);
void text_buffer_free(struct text_buffer *b);

#endif
