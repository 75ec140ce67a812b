/*
 * steps_plan: the first step of steps.h.
 *
 * Rows are read as grouped_run reads them, in memory or in spill files. Each batch is indexed by slice; consecutive
 * slices go into one part as long as its rows stay within part_rows. A part that cannot be finished is closed with
 * `whole` false, and the plan ends.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/steps_internal.h"

/* Records are assembled here before they go to the stream. */
#define BUFFER (64u << 10)

struct planning {
    struct grouped_state *state;
    size_t part_rows;
    const struct steps_sink *sink;
    struct steps_planned *planned;
};

/* The part being written. */
struct writing {
    const struct grouped_state *state;
    const struct grouped_batch *batch;
    FILE *file;
    struct text_buffer buffer;
    uint64_t hash;
};

/* ---- records ----------------------------------------------------------------------------------------- */

static size_t open_record(struct writing *w, enum steps_record kind) {
    size_t start = w->buffer.length;
    pack_u8(&w->buffer, kind);
    pack_u32(&w->buffer, 0);
    return start;
}

static void close_record(struct writing *w, size_t start) {
    struct text_buffer *b = &w->buffer;
    if (b->failed) return;
    assert(b->length >= start + 5);
    size_t length = b->length - start - 5;
    uint32_t packed = htole32((uint32_t)length);
    memcpy(b->at + start + 1, &packed, sizeof packed);
    w->hash = intern_hash(b->at + start + 5, length, w->hash ^ (unsigned char)b->at[start]);
    if (b->length >= BUFFER) text_buffer_write(b, w->file);
}

static void pack_text_of(struct text_buffer *b, const struct table_column *column, uint32_t id) {
    size_t length;
    const char *text = intern_text(column->spelling, id, &length);
    pack_text(b, text, length);
}

static void pack_cell(struct writing *w, size_t at, size_t row) {
    const struct dataset_column *described = &w->state->job->dataset->columns[at];
    const struct table_column *column = &w->batch->table.columns[at];
    struct text_buffer *b = &w->buffer;
    bool missing = table_is_missing(column, row);
    const struct missing_cell *cell = missing ? missing_result_cell(&w->state->fills, at, row) : NULL;
    if (missing && !cell) {
        pack_u8(b, STEPS_MISSING);
        return;
    }
    pack_u8(b, cell ? STEPS_FILLED : STEPS_OBSERVED);
    if (steps_has_number(described)) pack_f64(b, cell ? cell->number : table_number(column, row));
    if (!steps_has_text(described)) return;
    if (cell && described->type != COLUMN_TEXT) {
        pack_text(b, "", 0);
    } else {
        pack_text_of(b, column, cell ? cell->text : column->text[row]);
    }
}

static void write_row(struct writing *w, size_t row) {
    const struct dataset *d = w->state->job->dataset;
    const struct table *t = &w->batch->table;
    size_t start = open_record(w, STEPS_ROW);
    pack_u8(&w->buffer, t->marks ? t->marks[row] : 0);
    for (size_t i = 0; i < d->n_columns; i++) {
        if (steps_column_travels(&d->columns[i])) pack_cell(w, i, row);
    }
    close_record(w, start);
}

static void write_slice(struct writing *w, size_t at) {
    const struct slice_index *index = &w->batch->index;
    struct slice_key key = slice_keys_key(w->batch->keys, index->ids[at]);
    size_t start = open_record(w, STEPS_SLICE);
    text_buffer_add(&w->buffer, key.bytes, key.length);
    close_record(w, start);
    for (size_t i = index->start[at]; i < index->start[at + 1]; i++) write_row(w, index->rows[i]);
}

/* ---- parts ------------------------------------------------------------------------------------------- */

static void write_head(struct writing *w, const struct table *spelling) {
    struct text_buffer *b = &w->buffer;
    text_buffer_add(b, STEPS_MAGIC, STEPS_MAGIC_LENGTH);
    pack_u32(b, 0);
    steps_job_pack(b, w->state, spelling);
    if (b->failed) return;
    size_t length = b->length - STEPS_MAGIC_LENGTH - 4;
    uint32_t packed = htole32((uint32_t)length);
    memcpy(b->at + STEPS_MAGIC_LENGTH, &packed, sizeof packed);
    w->hash = intern_hash(b->at + STEPS_MAGIC_LENGTH + 4, length, 0);
}

static void write_end(struct writing *w, const struct steps_part *part) {
    struct text_buffer *b = &w->buffer;
    uint64_t hash = w->hash;
    size_t start = open_record(w, STEPS_END);
    pack_u64(b, part->slices);
    pack_u64(b, part->rows);
    pack_u64(b, hash);
    close_record(w, start);
    if (!b->failed) text_buffer_write(b, w->file);
}

/* Writes slices first .. first+part->slices of the batch's index. */
static bool write_part(const struct planning *p, const struct grouped_batch *batch, size_t first,
                       const struct steps_part *part, struct jobs_error *error) {
    struct writing w = {.state = p->state, .batch = batch};
    w.file = p->sink->open(p->sink->context, part, error);
    if (!w.file) return false;
    /* Fills name their texts by number where the whole table is in memory. */
    bool texts = false;
    for (size_t i = 0; i < p->state->plan.n_columns; i++) texts |= p->state->fill_texts[i] != NULL;
    write_head(&w, texts ? NULL : &batch->table);
    bool good = true;
    for (size_t i = 0; i < part->slices && good; i++) {
        write_slice(&w, first + i);
        good = !w.buffer.failed && !ferror(w.file);
        good = good && grouped_go_on(p->state->job->spec, 0, error);
    }
    write_end(&w, part);
    int why = errno;
    if (w.buffer.failed) good = jobs_fail_memory(error, "a part");
    if (good && ferror(w.file)) {
        good = jobs_fail(error, JOBS_FAULT_MACHINE, "the part %s could not be written: %s", part->name,
                         strerror(why));
    }
    text_buffer_free(&w.buffer);
    return p->sink->close(p->sink->context, part, w.file, good, error) && good;
}

static void name_part(const struct planning *p, const struct grouped_batch *batch, size_t first,
                      struct steps_part *part, char *name, size_t room) {
    char slice[SLICE_FILE_ROOM] = "";
    size_t used = (size_t)snprintf(name, room, "part-%05zu", part->number);
    if (part->slices == 1) {
        struct slice_key key = slice_keys_key(batch->keys, batch->index.ids[first]);
        slice_key_file_name(key, p->state->job->spec->n_slice_by, slice);
        snprintf(name + used, room - used, "-%s", slice);
    }
    part->name = name;
}

/* Writes slices first to end (not included) of a batch as the next part. */
static bool add_part(struct planning *p, const struct grouped_batch *batch, size_t first, size_t end,
                     struct jobs_error *error) {
    const struct slice_index *index = &batch->index;
    char name[SLICE_FILE_ROOM + 32];
    assert(first <= end && end <= index->n_slices);
    struct steps_part part = {.number = p->planned->parts++,
                              .slices = end - first,
                              .rows = index->start[end] - index->start[first]};
    assert(part.slices <= 1 || part.rows <= p->part_rows);
    name_part(p, batch, first, &part, name, sizeof name);
    if (!write_part(p, batch, first, &part, error)) return false;
    p->planned->slices += part.slices;
    p->planned->rows += part.rows;
    return true;
}

/* A table without a slice is a part too: its table has a header. */
static bool plan_batch(void *context, struct grouped_batch *batch, struct jobs_error *error) {
    struct planning *p = context;
    struct slice_index *index = &batch->index;
    if (!slice_index_build(index, batch->keys, &p->state->kinds, batch->row_slice, batch->table.n_rows)) {
        return jobs_fail_memory(error, "the slices");
    }
    if (index->n_slices == 0) return add_part(p, batch, 0, 0, error);
    for (size_t first = 0, end; first < index->n_slices; first = end) {
        for (end = first + 1; end < index->n_slices; end++) {
            if (index->start[end + 1] - index->start[first] > p->part_rows) break;
        }
        if (!add_part(p, batch, first, end, error)) return false;
    }
    return true;
}

bool steps_plan(struct grouped *job, size_t part_rows, const struct steps_sink *sink,
                struct steps_planned *planned, struct jobs_error *error) {
    struct grouped_state state;
    struct grouped_rows rows = {0};
    *planned = (struct steps_planned){0};
    struct planning p = {&state, part_rows ? part_rows : STEPS_PART_ROWS, sink, planned};
    if (!grouped_state_open(&state, job, error)) return false;
    bool good = grouped_read(&state, &rows, error);
    planned->left_out = rows.n_left_out;
    good = good && grouped_each_batch(&state, &rows, plan_batch, &p, error);
    assert(!good || planned->rows == rows.n_rows);
    grouped_rows_close(&rows);
    grouped_state_close(&state);
    return good;
}
