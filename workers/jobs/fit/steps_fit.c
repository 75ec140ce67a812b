/*
 * steps_fit: the second step of steps.h. The part is read into a batch, which is then fitted as grouped_run fits one.
 * An inconsistent part (a record that ends early, a row before a slice, another hash) is refused.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/steps_internal.h"

#define BUFFER (256u << 10)
#define HEAD (STEPS_MAGIC_LENGTH + 4)
#define RECORD_HEAD 5

/* Bytes of a source, as many at a time as are needed. */
struct part_reader {
    const char *name;
    struct csv_source source;
    char *buffer;
    size_t start, end, room;
    uint64_t hash;
};

/* One record: its bytes are borrowed until the next. */
struct part_record {
    unsigned kind;
    const char *at;
    size_t length;
};

static bool damaged(const struct part_reader *r, const char *why, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "%s: %s; make the parts again", r->name, why);
}

/* Makes n bytes available at start. */
static bool need(struct part_reader *r, size_t n, struct jobs_error *error) {
    if (r->end - r->start >= n) return true;
    if (r->buffer) memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    while (r->end < n) {
        if (r->end == r->room) {
            size_t room = r->room ? r->room * 2 : BUFFER;
            char *bigger = realloc(r->buffer, room);
            if (!bigger) return jobs_fail_memory(error, "a part");
            r->buffer = bigger;
            r->room = room;
        }
        ssize_t got = r->source.read(r->source.context, r->buffer + r->end, r->room - r->end);
        if (got < 0) {
            return jobs_fail(error, JOBS_FAULT_MACHINE, "%s could not be read further: %s", r->name,
                             csv_source_failure(errno));
        }
        if (got == 0) return damaged(r, "the part ends too early", error);
        r->end += (size_t)got;
    }
    assert(r->start + n <= r->end && r->end <= r->room);
    return true;
}

static uint32_t u32_at(const char *at) {
    struct unpack u = {at, at + 4, false};
    return unpack_u32(&u);
}

static bool read_record(struct part_reader *r, struct part_record *record, struct jobs_error *error) {
    if (!need(r, RECORD_HEAD, error)) return false;
    unsigned kind = (unsigned char)r->buffer[r->start];
    uint32_t length = u32_at(r->buffer + r->start + 1);
    if (kind < STEPS_SLICE || kind > STEPS_END || length > STEPS_RECORD_MAX) {
        return damaged(r, "the part holds a record that none can be", error);
    }
    if (!need(r, RECORD_HEAD + (size_t)length, error)) return false;
    *record = (struct part_record){kind, r->buffer + r->start + RECORD_HEAD, length};
    r->start += RECORD_HEAD + (size_t)length;
    if (kind != STEPS_END) r->hash = intern_hash(record->at, length, r->hash ^ kind);
    return true;
}

/* ---- the head ---------------------------------------------------------------------------------------- */

static bool read_head(struct part_reader *r, struct steps_job *job, const struct steps_fit_options *options,
                      struct jobs_error *error) {
    if (!need(r, HEAD, error)) return false;
    if (memcmp(r->buffer + r->start, STEPS_MAGIC, STEPS_MAGIC_LENGTH) != 0) {
        return jobs_fail(error, JOBS_FAULT_DATA, "%s is not a part; jobs slice writes them", r->name);
    }
    uint32_t length = u32_at(r->buffer + r->start + STEPS_MAGIC_LENGTH);
    if (length > STEPS_JOB_MAX) return damaged(r, "the head of this part is damaged", error);
    if (!need(r, HEAD + (size_t)length, error)) return false;
    const char *at = r->buffer + r->start + HEAD;
    r->start += HEAD + (size_t)length;
    r->hash = intern_hash(at, length, 0);
    char *bytes = malloc((size_t)length + 1);
    if (!bytes) return jobs_fail_memory(error, "a part");
    memcpy(bytes, at, length);
    return steps_job_open(job, r->name, bytes, length, options, error);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

struct rows_reader {
    struct part_reader part;
    struct steps_job job;
    struct grouped_batch batch;
    struct dataset_cell *cells;
    uint32_t slice; /* SLICE_NONE before the first */
    uint64_t slices;
};

/* Returns true when the bytes are an encoded key of n cells. */
static bool key_is_whole(const char *at, size_t length, size_t n) {
    struct unpack u = {at, at + length, false};
    for (size_t i = 0; i < n && !u.bad; i++) {
        bool missing = unpack_bool(&u);
        uint32_t text = unpack_u32(&u);
        u.bad |= text > (size_t)(u.end - u.at) || (missing && text > 0);
        if (!u.bad) u.at += text;
    }
    return !u.bad && u.at == u.end;
}

static bool take_slice(struct rows_reader *r, const struct part_record *record, struct jobs_error *error) {
    size_t before = slice_keys_count(r->batch.keys);
    if (!key_is_whole(record->at, record->length, r->job.spec.n_slice_by)) {
        return damaged(&r->part, "the part holds a slice key that none can be", error);
    }
    r->slice = slice_keys_add_encoded(r->batch.keys, (struct slice_key){record->at, record->length});
    if (r->slice == SLICE_NONE) return jobs_fail_memory(error, "the slice keys");
    if (slice_keys_count(r->batch.keys) == before) return damaged(&r->part, "a slice comes twice", error);
    r->slices++;
    return true;
}

/* Reads a cell; *filled when its gap has a value of its own, which is then in *fill. */
static void take_cell(struct unpack *u, const struct dataset_column *column, struct dataset_cell *cell,
                      struct intern *spelling, bool *filled, struct missing_cell *fill) {
    unsigned state = unpack_u8(u);
    u->bad |= state > STEPS_FILLED;
    *cell = (struct dataset_cell){.number = NAN, .text = "", .missing = state != STEPS_OBSERVED};
    *filled = state == STEPS_FILLED;
    if (state == STEPS_MISSING || u->bad) return;
    double number = steps_has_number(column) ? unpack_f64(u) : (double)NAN;
    size_t length = 0;
    const char *text = steps_has_text(column) ? unpack_text(u, &length) : "";
    if (!*filled) {
        cell->number = number;
        cell->text = text;
        cell->length = (uint32_t)length;
        return;
    }
    fill->number = number;
    fill->text = spelling ? intern_add(spelling, text, length) : 0;
}

static bool take_row(struct rows_reader *r, const struct part_record *record, struct jobs_error *error) {
    struct unpack u = {record->at, record->at + record->length, false};
    unsigned marks = unpack_u8(&u);
    struct dataset_row row = {.cells = r->cells, .gap = marks & ROW_GAP, .bad = marks & ROW_BAD};
    if (r->slice == SLICE_NONE) return damaged(&r->part, "a row comes before its slice", error);
    for (size_t i = 0; i < r->job.dataset.n_columns && !u.bad; i++) {
        bool filled;
        struct missing_cell fill = {.column = (uint32_t)i, .row = (uint32_t)r->batch.table.n_rows};
        struct intern *spelling = r->batch.table.columns[i].spelling;
        take_cell(&u, &r->job.dataset.columns[i], &r->cells[i], spelling, &filled, &fill);
        if (!filled || u.bad) continue;
        if (fill.text == INTERN_NONE || !missing_add_cell(&r->job.state.fills, fill)) {
            return jobs_fail_memory(error, "a part");
        }
    }
    if (u.bad || u.at != u.end) return damaged(&r->part, "the part holds a row that none can be", error);
    return grouped_batch_add(&r->batch, &row, r->slice, error);
}

static bool check_end(const struct rows_reader *r, const struct part_record *record,
                      struct jobs_error *error) {
    struct unpack u = {record->at, record->at + record->length, false};
    uint64_t slices = unpack_u64(&u), rows = unpack_u64(&u), hash = unpack_u64(&u);
    assert(r->slices == slice_keys_count(r->batch.keys));
    bool good = !u.bad && u.at == u.end && slices == r->slices && rows == r->batch.table.n_rows &&
                hash == r->part.hash;
    return good || damaged(&r->part, "the part was changed after it was written", error);
}

static bool read_rows(struct rows_reader *r, struct jobs_error *error) {
    struct part_record record = {0};
    while (read_record(&r->part, &record, error)) {
        if (record.kind == STEPS_END) return check_end(r, &record, error);
        bool good = record.kind == STEPS_SLICE ? take_slice(r, &record, error) : take_row(r, &record, error);
        if (!good || !grouped_go_on(&r->job.spec, r->batch.table.n_rows, error)) return false;
    }
    return false;
}

bool steps_fit(const char *name, struct csv_source part, const struct steps_fit_options *options, FILE *out,
               struct jobs_error *error) {
    struct rows_reader r = {.part = {.name = name, .source = part}, .slice = SLICE_NONE};
    if (!read_head(&r.part, &r.job, options, error)) {
        free(r.part.buffer);
        return false;
    }
    struct grouped_state *state = &r.job.state;
    r.cells = calloc(r.job.dataset.n_columns + 1, sizeof *r.cells);
    bool good = (r.cells || jobs_fail_memory(error, "a part")) &&
                grouped_batch_open(&r.batch, &r.job.dataset, r.job.spec.n_slice_by, error) &&
                read_rows(&r, error);
    if (good) {
        struct grouped_rows rows = {.batch = r.batch, .n_rows = r.batch.table.n_rows};
        table_finish(&rows.batch.table, &r.job.dataset);
        missing_result_sort(&state->fills);
        good = grouped_number_fill_texts(state, &rows.batch) || jobs_fail_memory(error, "a part");
        good = good && grouped_fit_rows(state, &rows, out, error);
        grouped_rows_close(&rows);
    } else {
        grouped_batch_close(&r.batch);
    }
    free(r.cells);
    free(r.part.buffer);
    steps_job_close(&r.job);
    return good;
}
