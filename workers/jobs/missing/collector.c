/*
 * collector: see collector.h.
 *
 * 1. collector_put numbers the key, notes where its text goes (an offset that counts from the first text of all)
 *    and appends the text to the buffer; a full buffer is written to the temporary file.
 * 2. collector_write sorts the keys and reads each text back from where it is: the file, or the buffer behind it.
 */
#include "workers/jobs/missing/collector.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/table/spill.h"
#include "workers/jobs/table/text_buffer.h"

#define BUFFER_MIN (64u << 10)

struct place {
    uint64_t offset;
    size_t length;
};

struct collector {
    const char *directory;
    size_t memory, n_key_columns;
    struct slice_keys *keys;
    struct place *places; /* by key number */
    size_t places_room;
    struct text_buffer buffer;
    uint64_t in_file; /* bytes written to it: the offset of the buffer's first */
    int fd;
    struct text_buffer back; /* a text read back */
};

struct collector *collector_new(size_t n_key_columns, const char *directory, size_t memory,
                                struct jobs_error *error) {
    struct collector *c = calloc(1, sizeof *c);
    if (c) {
        c->fd = -1;
        c->directory = directory;
        c->n_key_columns = n_key_columns;
        c->memory = memory < BUFFER_MIN ? BUFFER_MIN : memory;
        c->keys = slice_keys_new(n_key_columns);
        if (c->keys) return c;
    }
    free(c);
    jobs_fail_memory(error, "the table");
    return NULL;
}

void collector_free(struct collector *c) {
    if (!c) return;
    if (c->fd >= 0) close(c->fd);
    slice_keys_free(c->keys);
    free(c->places);
    text_buffer_free(&c->buffer);
    text_buffer_free(&c->back);
    free(c);
}

/* ---- taking ------------------------------------------------------------------------------------------ */

static bool write_buffer(struct collector *c, struct jobs_error *error) {
    if (c->fd < 0 && (c->fd = spill_temporary(c->directory, error)) < 0) return false;
    if (!spill_write(c->fd, c->buffer.at, c->buffer.length, error)) return false;
    c->in_file += c->buffer.length;
    c->buffer.length = 0;
    return true;
}

static bool note_place(struct collector *c, uint32_t id, struct place place) {
    if (id >= c->places_room) {
        size_t room = c->places_room ? c->places_room * 2 : 256;
        struct place *bigger = realloc(c->places, room * sizeof *bigger);
        if (!bigger) return false;
        c->places = bigger;
        c->places_room = room;
    }
    assert(id < c->places_room);
    c->places[id] = place;
    return true;
}

bool collector_put(struct collector *c, struct slice_key key, const char *text, size_t length, bool *twice,
                   struct jobs_error *error) {
    size_t before = slice_keys_count(c->keys);
    uint32_t id = slice_keys_add_encoded(c->keys, key);
    *twice = id != SLICE_NONE && id < before;
    if (*twice) return false;
    struct place place = {c->in_file + c->buffer.length, length};
    if (id == SLICE_NONE || !note_place(c, id, place)) return jobs_fail_memory(error, "the table");
    text_buffer_add(&c->buffer, text, length);
    if (c->buffer.failed) return jobs_fail_memory(error, "the table");
    return c->buffer.length < c->memory || write_buffer(c, error);
}

/* ---- giving back ------------------------------------------------------------------------------------- */

static bool read_back(struct collector *c, struct place place, struct jobs_error *error) {
    c->back.length = 0;
    char *at = text_buffer_reserve(&c->back, place.length + 1);
    if (!at) return jobs_fail_memory(error, "the table");
    for (size_t done = 0; done < place.length;) {
        ssize_t got = pread(c->fd, at + done, place.length - done, (off_t)(place.offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return jobs_fail(error, JOBS_FAULT_MACHINE, "a temporary file could not be read back: %s",
                             got < 0 ? strerror(errno) : "it is shorter than what was written");
        }
        done += (size_t)got;
    }
    return true;
}

/* The text at a place; NULL with *error set. */
static const char *text_at(struct collector *c, struct place place, struct jobs_error *error) {
    bool in_buffer = place.offset >= c->in_file;
    assert(place.offset + place.length <= c->in_file + (in_buffer ? c->buffer.length : 0));
    if (in_buffer) return c->buffer.at + (place.offset - c->in_file);
    return read_back(c, place, error) ? c->back.at : NULL;
}

bool collector_write(struct collector *c, const struct slice_kinds *kinds,
                     bool (*put)(void *context, struct slice_key key, const char *text, size_t length,
                                 struct jobs_error *error),
                     void *context, struct jobs_error *error) {
    struct slice_index index;
    if (!slice_index_build(&index, c->keys, kinds, NULL, 0)) return jobs_fail_memory(error, "the table");
    bool good = true;
    for (size_t i = 0; i < index.n_slices && good; i++) {
        struct place place = c->places[index.ids[i]];
        const char *text = place.length ? text_at(c, place, error) : "";
        good = text && put(context, slice_keys_key(c->keys, index.ids[i]), text, place.length, error);
    }
    slice_index_free(&index);
    return good;
}
