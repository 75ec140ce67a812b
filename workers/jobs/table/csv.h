/*
 * csv: a strict RFC 4180 reader.
 *
 * Bytes go in as they arrive (csv_reader_room, csv_reader_commit), or from a file descriptor
 * (csv_reader_read); records come out one at a time. A record may be cut anywhere between two reads, inside
 * quotes too. Memory is one buffer that holds at least one record, whatever the size of the input.
 *
 * The dialect: fields are separated by the delimiter (by default a comma) and records by LF or CRLF; the last newline
 * may be missing; a leading UTF-8 byte order mark is skipped; spaces belong to the field; a field that starts with a
 * quote ends with one, quotes inside are doubled, and it may hold delimiters and newlines. The first record is the
 * header; its first name may be empty, as row labels have none in what R and pandas write. Everything else is an error
 * that names line and column and says what would be right, never a guess: a row of another length than the header,
 * another empty name or a repeated one, NUL, bad UTF-8, a quote inside an unquoted field,
 * text behind a closing quote, a quote that is never closed, a lone carriage return.
 */
#ifndef ROOKERY_WORKERS_JOBS_TABLE_CSV_H
#define ROOKERY_WORKERS_JOBS_TABLE_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A longer record is refused: otherwise a quote that is never closed would read the whole file into memory. */
#define CSV_RECORD_MAX (16u << 20)
/* The maximum number of fields in a record. Wide genomics tables have about twenty thousand. */
#define CSV_COLUMNS_MAX 65536
/* The size of a read, and of the buffer at first. */
#define CSV_BUFFER (256u << 10)

/* One cell, unquoted and undoubled: bytes, not a string. Valid until the next call on the reader. */
struct csv_field {
    const char *at;
    uint32_t length;
    bool quoted;  /* it was quoted, so it is text whatever it says ("NA" is Namibia) */
    bool doubled; /* private: quotes inside are still doubled */
};

/* The error and its place: line and column count from 1, columns in bytes from the start of the line. */
struct csv_error {
    uint64_t line, column;
    char text[240];
};

enum csv_status {
    CSV_RECORD, /* *fields holds a record */
    CSV_MORE,   /* more bytes are needed */
    CSV_END,    /* the input ended after the last record */
    CSV_ERROR   /* csv_reader_error says what; every later call returns CSV_ERROR again */
};

struct csv_reader;

/* What a reader takes that the dialect does not; all zeros: nothing. */
struct csv_allowed {
    bool no_header;   /* the first record is not a header, but has the width of all others */
    char comment;     /* lines that begin with it are left out, also before the header; 0: no line is */
    bool blank_lines; /* lines of nothing, or of spaces, are left out */
    bool trim;        /* spaces and tabs around a field, and around its quotes, do not belong to it */
};

/* delimiter: one ASCII byte other than a quote, CR or LF; 0 means a comma. Returns NULL on allocation failure. */
struct csv_reader *csv_reader_new(char delimiter);
void csv_reader_free(struct csv_reader *reader);
/* Call it before any input is committed. */
void csv_reader_allow(struct csv_reader *reader, const struct csv_allowed *allowed);

/* Returns the address where the next input goes, with room for *room bytes (at least 1); then commit what was written
 * there. Returns NULL (and later calls CSV_ERROR) when the record would exceed CSV_RECORD_MAX, or on allocation
 * failure. Invalidates the fields of the last record. Committing 0 bytes says that the input has ended. */
char *csv_reader_room(struct csv_reader *reader, size_t *room);
void csv_reader_commit(struct csv_reader *reader, size_t n);

/* Finds the next record of the committed bytes. The header comes first and has been checked. */
enum csv_status csv_reader_next(struct csv_reader *reader, const struct csv_field **fields, size_t *n);

/* Where input comes from. `read` fills at most `room` bytes (at least 1) and returns their number, 0 at the end, or
 * -1 with errno set: also to EBADMSG or ENODATA when packed data are damaged or end too early, and to EILSEQ when text
 * is not in its encoding. */
struct csv_source {
    ssize_t (*read)(void *context, char *at, size_t room);
    void *context;
};
/* Why `read` failed, to go behind "could not be read: ". */
const char *csv_source_failure(int number);

/* The same, reading from a source as needed: never returns CSV_MORE. A read error is CSV_ERROR. */
enum csv_status csv_reader_read(struct csv_reader *reader, const struct csv_source *source,
                                const struct csv_field **fields, size_t *n);

/* The line on which the last record began, counting from 1. */
uint64_t csv_reader_line(const struct csv_reader *reader);
/* Meaningful after CSV_ERROR. Borrowed; lives as long as the reader. */
const struct csv_error *csv_reader_error(const struct csv_reader *reader);

/* Returns true when the bytes are well-formed UTF-8 (no surrogates, no overlong forms); otherwise *bad is the offset
 * of the first malformed ones. */
bool csv_utf8_valid(const char *bytes, size_t length, size_t *bad);

#endif
