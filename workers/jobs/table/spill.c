/*
 * spill: see spill.h. A record is
 *
 *   u32 bytes that follow · u8 marks · u32 key length · key · per column: u8 missing · [f64 number] · [u32
 * length · text]
 *
 * in the machine's own byte order: only this process ever reads it.
 */
#include "workers/jobs/table/spill.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/table/text_buffer.h"

#define BUFFER_MIN (4u << 10)
#define BUFFER_MAX (1u << 20)
#define READ_BUFFER (256u << 10)

struct partition {
    int fd;
    struct text_buffer buffer;
    uint64_t rows, bytes;
};

struct spill {
    const struct dataset *d;
    uint64_t seed;
    size_t buffer; /* of one partition */
    struct partition partitions[SPILL_PARTITIONS];
};

struct spill_cursor {
    struct spill *spill;
    const struct partition *partition;
    uint64_t offset; /* of the next read */
    char *buffer;
    size_t room, start, end;
    struct dataset_cell *cells;
};

/* ---- files ------------------------------------------------------------------------------------------- */

static const char *spill_directory(const char *directory) {
    if (directory) return directory;
    const char *tmp = getenv("TMPDIR");
    return tmp && *tmp ? tmp : "/var/tmp";
}

int spill_temporary(const char *directory, struct jobs_error *error) {
    directory = spill_directory(directory);
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s/rookery-jobs-XXXXXX", directory) < sizeof path) {
            fd = mkostemp(path, O_CLOEXEC);
            if (fd >= 0) unlink(path);
        }
    }
    if (fd < 0) {
        jobs_fail(error, JOBS_FAULT_MACHINE,
                  "no temporary file can be made in %s: %s; name another place with "
                  "--scratch-dir",
                  directory, strerror(errno));
    }
    return fd;
}

bool spill_write(int fd, const char *at, size_t n, struct jobs_error *error) {
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            return jobs_fail(error, JOBS_FAULT_MACHINE,
                             "a temporary file could not be written: %s; name a place with "
                             "more room with --scratch-dir, or raise --memory",
                             strerror(errno));
        }
        at += done;
        n -= (size_t)done;
    }
    return true;
}

struct spill *spill_new(const struct dataset *d, const char *directory, uint64_t seed, size_t buffer,
                        struct jobs_error *error) {
    struct spill *s = calloc(1, sizeof *s);
    if (!s) {
        jobs_fail_memory(error, "temporary files");
        return NULL;
    }
    s->d = d;
    s->seed = seed;
    s->buffer = buffer / SPILL_PARTITIONS;
    if (s->buffer < BUFFER_MIN) s->buffer = BUFFER_MIN;
    if (s->buffer > BUFFER_MAX) s->buffer = BUFFER_MAX;
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) s->partitions[i].fd = -1;
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) {
        s->partitions[i].fd = spill_temporary(directory, error);
        if (s->partitions[i].fd >= 0) continue;
        spill_free(s);
        return NULL;
    }
    return s;
}

void spill_discard(struct spill *s, size_t partition) {
    struct partition *p = &s->partitions[partition];
    if (p->fd >= 0) close(p->fd);
    text_buffer_free(&p->buffer);
    p->fd = -1;
}

void spill_free(struct spill *s) {
    if (!s) return;
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) spill_discard(s, i);
    free(s);
}

uint64_t spill_rows(const struct spill *s, size_t partition) {
    assert(partition < SPILL_PARTITIONS);
    return s->partitions[partition].rows;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static bool flush_partition(struct partition *p, struct jobs_error *error) {
    if (!spill_write(p->fd, p->buffer.at, p->buffer.length, error)) return false;
    p->buffer.length = 0;
    return true;
}

static void add_u32(struct text_buffer *b, uint32_t number) {
    text_buffer_add(b, (const char *)&number, sizeof number);
}

static void add_cells(struct text_buffer *b, const struct dataset *d, const struct dataset_row *row) {
    for (size_t u = 0; u < d->n_used; u++) {
        unsigned use = d->columns[d->used[u]].use;
        const struct dataset_cell *cell = &row->cells[d->used[u]];
        if (!(use & ~(unsigned)USE_KEY)) continue;
        text_buffer_char(b, (char)cell->missing);
        if (use & (USE_NUMBER | USE_TYPE))
            text_buffer_add(b, (const char *)&cell->number, sizeof cell->number);
        if (!(use & USE_SPELL)) continue;
        add_u32(b, cell->length);
        text_buffer_add(b, cell->text, cell->length);
    }
}

bool spill_append(struct spill *s, struct slice_key key, const struct dataset_row *row,
                  struct jobs_error *error) {
    uint64_t hash = intern_hash(key.bytes, key.length, s->seed);
    struct partition *p = &s->partitions[hash % SPILL_PARTITIONS];
    struct text_buffer *b = &p->buffer;
    size_t start = b->length;
    assert(p->fd >= 0);
    add_u32(b, 0);
    text_buffer_char(b, (char)((row->gap ? ROW_GAP : 0) | (row->bad ? ROW_BAD : 0)));
    add_u32(b, (uint32_t)key.length);
    text_buffer_add(b, key.bytes, key.length);
    add_cells(b, s->d, row);
    if (b->failed) return jobs_fail_memory(error, "temporary files");
    uint32_t length = (uint32_t)(b->length - start - sizeof length);
    memcpy(b->at + start, &length, sizeof length);
    p->rows++;
    p->bytes += b->length - start;
    return b->length < s->buffer || flush_partition(p, error);
}

bool spill_flush(struct spill *s, struct jobs_error *error) {
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) {
        if (!flush_partition(&s->partitions[i], error)) return false;
        text_buffer_free(&s->partitions[i].buffer);
    }
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

struct spill_cursor *spill_cursor_new(struct spill *s, size_t partition) {
    struct spill_cursor *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->spill = s;
    c->partition = &s->partitions[partition];
    assert(c->partition->fd >= 0 && c->partition->buffer.length == 0);
    c->room = READ_BUFFER;
    c->buffer = malloc(c->room);
    c->cells = calloc(s->d->n_columns, sizeof *c->cells);
    if (c->buffer && c->cells) return c;
    spill_cursor_free(c);
    return NULL;
}

void spill_cursor_free(struct spill_cursor *c) {
    if (!c) return;
    free(c->buffer);
    free(c->cells);
    free(c);
}

/* Makes n bytes available from start on, reading more behind what is there. */
static bool need(struct spill_cursor *c, size_t n, struct jobs_error *error) {
    assert(c->start <= c->end && c->end <= c->room);
    if (c->end - c->start >= n) return true;
    memmove(c->buffer, c->buffer + c->start, c->end - c->start);
    c->end -= c->start;
    c->start = 0;
    if (n > c->room) {
        char *bigger = realloc(c->buffer, n * 2);
        if (!bigger) return jobs_fail_memory(error, "a row of a temporary file");
        c->buffer = bigger;
        c->room = n * 2;
    }
    while (c->end < n) {
        ssize_t got = pread(c->partition->fd, c->buffer + c->end, c->room - c->end, (off_t)c->offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return jobs_fail(error, JOBS_FAULT_MACHINE, "a temporary file could not be read back: %s",
                             got < 0 ? strerror(errno) : "it is shorter than what was written");
        }
        c->end += (size_t)got;
        c->offset += (uint64_t)got;
    }
    return true;
}

static uint32_t take_u32(const char **at) {
    uint32_t number;
    memcpy(&number, *at, sizeof number);
    *at += sizeof number;
    return number;
}

/* Returns the end of the record. */
static const char *take_cells(struct spill_cursor *c, const char *at) {
    const struct dataset *d = c->spill->d;
    for (size_t u = 0; u < d->n_used; u++) {
        unsigned use = d->columns[d->used[u]].use;
        struct dataset_cell *cell = &c->cells[d->used[u]];
        if (!(use & ~(unsigned)USE_KEY)) continue;
        *cell = (struct dataset_cell){.missing = *at++ != 0, .number = NAN};
        if (use & (USE_NUMBER | USE_TYPE)) {
            memcpy(&cell->number, at, sizeof cell->number);
            at += sizeof cell->number;
        }
        if (!(use & USE_SPELL)) continue;
        cell->length = take_u32(&at);
        cell->text = at;
        at += cell->length;
    }
    return at;
}

enum dataset_status spill_cursor_next(struct spill_cursor *c, struct slice_key *key, struct dataset_row *row,
                                      struct jobs_error *error) {
    uint32_t length;
    if (c->start == c->end && c->offset >= c->partition->bytes) return DATASET_END;
    if (!need(c, sizeof length, error)) return DATASET_ERROR;
    memcpy(&length, c->buffer + c->start, sizeof length);
    if (!need(c, sizeof length + length, error)) return DATASET_ERROR;
    const char *at = c->buffer + c->start + sizeof length;
    c->start += sizeof length + length;
    int marks = *at++;
    key->length = take_u32(&at);
    key->bytes = at;
    at = take_cells(c, at + key->length);
    assert(at == c->buffer + c->start);
    *row = (struct dataset_row){.cells = c->cells, .gap = marks & ROW_GAP, .bad = marks & ROW_BAD};
    return DATASET_ROW;
}
