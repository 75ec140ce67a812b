/*
 * grouped_spilled: rows that are in spill files.
 *
 * Batches: a partition is read back into memory. When it does not fit, it is split repeatedly by other hashes of the
 * slice keys, until its slices fit. When a single slice does not fit, the job ends with a sentence that says so.
 *
 * Fills over the whole table: means come from the sums taken while reading, in the same order and precision as in
 * memory. Medians are found digit by digit: each pass over the rows counts the next 16 bits of the numbers that
 * share the digits found so far. Modes are counted in as many passes as memory asks for, each over the values
 * whose hash falls to it. Every one gives the number that memory would have given, to the last bit.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/grouped_internal.h"

/* Each split is by 64: no disk has enough rows for a greater depth. */
#define DEPTH_MAX 8
#define LOOK_EVERY 256
/* The number of columns whose medians are found in the same passes; each takes a megabyte. */
#define MEDIANS_AT_ONCE 16
#define DIGIT_BITS 16
#define DIGITS (1u << DIGIT_BITS)
#define PASSES (64 / DIGIT_BITS)

static size_t memory_of(const struct grouped_state *state) {
    return state->job->spec->memory ? state->job->spec->memory : GROUPED_MEMORY;
}

/* ---- batches ----------------------------------------------------------------------------------------- */

struct each_run {
    struct grouped_state *state;
    grouped_batch_fn *each;
    void *context;
};

static bool too_large(const struct each_run *run, const struct grouped_batch *batch,
                      struct jobs_error *error) {
    const struct grouped_spec *spec = run->state->job->spec;
    char title[SLICE_TITLE_ROOM];
    slice_key_title(slice_keys_key(batch->keys, 0), spec->slice_by, spec->n_slice_by, title);
    return jobs_fail(error, JOBS_FAULT_DATA,
                     "the slice %s alone does not fit in %zu MiB; a slice must, so give more with --memory",
                     title, memory_of(run->state) >> 20);
}

/* Reads a partition into a batch. *full: it does not fit, and the batch has the rows that do. */
static bool load(const struct each_run *run, struct spill *spill, size_t partition,
                 struct grouped_batch *batch, bool *full, struct jobs_error *error) {
    struct spill_cursor *cursor = spill_cursor_new(spill, partition);
    enum dataset_status status = DATASET_ERROR;
    struct slice_key key;
    struct dataset_row row;
    struct slice_queue queue = {.keys = batch->keys, .row_slice = &batch->row_slice};
    *full = false;
    if (!cursor) return jobs_fail_memory(error, "the rows");
    while (!*full && (status = spill_cursor_next(cursor, &key, &row, error)) == DATASET_ROW) {
        bool good = grouped_batch_add(batch, &row, SLICE_NONE, error);
        if (good && !slice_queue_push_encoded(&queue, key, batch->table.n_rows - 1))
            good = jobs_fail_memory(error, "the slice keys");
        if (!good) break;
        *full = batch->table.n_rows % LOOK_EVERY == 0 && grouped_batch_size(batch) > memory_of(run->state);
    }
    spill_cursor_free(cursor);
    if (!slice_queue_settle(&queue)) return jobs_fail_memory(error, "the slice keys");
    return *full || status == DATASET_END;
}

bool grouped_number_fill_texts(struct grouped_state *state, struct grouped_batch *batch) {
    for (size_t i = 0; i < state->plan.n_columns; i++) {
        if (!state->fill_texts[i] || !state->fills.fills) continue;
        struct intern *spelling = batch->table.columns[i].spelling;
        state->fills.fills[i].text = intern_add(spelling, state->fill_texts[i], strlen(state->fill_texts[i]));
        if (state->fills.fills[i].text == INTERN_NONE) return false;
    }
    return true;
}

static bool each_partition(const struct each_run *run, struct spill *spill, size_t partition, unsigned depth,
                           struct jobs_error *error);

static bool copy_rows(struct spill *from, size_t partition, struct spill *to, struct jobs_error *error) {
    struct spill_cursor *cursor = spill_cursor_new(from, partition);
    enum dataset_status status;
    struct slice_key key;
    struct dataset_row row;
    if (!cursor) return jobs_fail_memory(error, "the rows");
    while ((status = spill_cursor_next(cursor, &key, &row, error)) == DATASET_ROW) {
        if (!spill_append(to, key, &row, error)) break;
    }
    spill_cursor_free(cursor);
    return status == DATASET_END && spill_flush(to, error);
}

/* Splits a partition by another hash, and processes the pieces. */
static bool split(const struct each_run *run, struct spill *spill, size_t partition, unsigned depth,
                  struct jobs_error *error) {
    const struct grouped *job = run->state->job;
    assert(depth > 0 && depth <= DEPTH_MAX); /* another hash than the one before */
    struct spill *finer =
        spill_new(job->dataset, job->spec->scratch_dir, depth, memory_of(run->state) / 8, error);
    if (!finer) return false;
    bool good = copy_rows(spill, partition, finer, error);
    spill_discard(spill, partition);
    for (size_t i = 0; i < SPILL_PARTITIONS && good; i++) good = each_partition(run, finer, i, depth, error);
    spill_free(finer);
    return good;
}

static bool each_partition(const struct each_run *run, struct spill *spill, size_t partition, unsigned depth,
                           struct jobs_error *error) {
    const struct grouped *job = run->state->job;
    struct grouped_batch batch;
    bool full = false;
    if (spill_rows(spill, partition) == 0) return true;
    if (!grouped_batch_open(&batch, job->dataset, job->spec->n_slice_by, error)) return false;
    bool good = load(run, spill, partition, &batch, &full, error);
    if (good && full && (slice_keys_count(batch.keys) == 1 || depth == DEPTH_MAX)) {
        good = too_large(run, &batch, error);
    }
    if (good && !full) {
        assert(batch.table.n_rows == spill_rows(spill, partition));
        spill_discard(spill, partition);
        table_finish(&batch.table, job->dataset);
        good = (grouped_respell(run->state, &batch) && grouped_number_fill_texts(run->state, &batch)) ||
               jobs_fail_memory(error, "the rows");
        good = good && run->each(run->context, &batch, error);
    }
    grouped_batch_close(&batch);
    return good && full ? split(run, spill, partition, depth + 1, error) : good;
}

static uint64_t all_rows(const struct spill *spill) {
    uint64_t n = 0;
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) n += spill_rows(spill, i);
    return n;
}

bool grouped_spilled_each(struct grouped_state *state, struct spill *spill, uint64_t n_rows,
                          grouped_batch_fn *each, void *context, struct jobs_error *error) {
    struct each_run run = {state, each, context};
    assert(all_rows(spill) == n_rows);
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) {
        if (!each_partition(&run, spill, i, 0, error)) return false;
    }
    return true;
}

/* ---- passes ------------------------------------------------------------------------------------------ */

typedef bool row_fn(void *context, const struct dataset_row *row);

/* Passes every row to fn, partition by partition. fn returns false on allocation failure. */
static bool each_row(struct spill *spill, row_fn *fn, void *context, struct jobs_error *error) {
    for (size_t i = 0; i < SPILL_PARTITIONS; i++) {
        struct spill_cursor *cursor = spill_cursor_new(spill, i);
        enum dataset_status status = DATASET_ERROR;
        struct slice_key key;
        struct dataset_row row;
        if (!cursor) return jobs_fail_memory(error, "filling missing values");
        while ((status = spill_cursor_next(cursor, &key, &row, error)) == DATASET_ROW) {
            if (!fn(context, &row)) break;
        }
        spill_cursor_free(cursor);
        if (status == DATASET_ROW) jobs_fail_memory(error, "filling missing values");
        if (status != DATASET_END) return false;
    }
    return true;
}

/* Bits that order as the numbers do; -0 and 0 are one number. */
static uint64_t ordered_bits(double number) {
    uint64_t bits;
    number += 0.0;
    memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

static double number_of_bits(uint64_t bits) {
    double number;
    bits = bits >> 63 ? bits & ~(1ull << 63) : ~bits;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* ---- medians ----------------------------------------------------------------------------------------- */

/* The number of a rank among a column's: the digits known so far, and the rank among those that share them. */
struct rank_search {
    size_t column;
    uint64_t rank, prefix;
    uint64_t *counts; /* DIGITS */
};

struct median_search {
    struct rank_search ranks[2 * MEDIANS_AT_ONCE]; /* two middles per column */
    size_t n;
    unsigned pass;
};

static bool count_digits(void *context, const struct dataset_row *row) {
    struct median_search *s = context;
    unsigned known = s->pass * DIGIT_BITS;
    for (size_t i = 0; i < s->n; i++) {
        struct rank_search *r = &s->ranks[i];
        double number = row->cells[r->column].number;
        if (isnan(number)) continue;
        uint64_t bits = ordered_bits(number);
        if (known && bits >> (64 - known) != r->prefix) continue;
        r->counts[bits >> (64 - known - DIGIT_BITS) & (DIGITS - 1)]++;
    }
    return true;
}

static void take_digit(struct rank_search *r) {
    uint64_t digit = 0;
    while (r->rank >= r->counts[digit]) {
        r->rank -= r->counts[digit++];
        assert(digit < DIGITS);
    }
    r->prefix = r->prefix << DIGIT_BITS | digit;
    memset(r->counts, 0, DIGITS * sizeof *r->counts);
}

static void add_median(struct median_search *s, size_t column, uint64_t n) {
    assert(n > 0 && s->n + 2 <= 2 * MEDIANS_AT_ONCE);
    s->ranks[s->n].column = s->ranks[s->n + 1].column = column;
    s->ranks[s->n].rank = (n - 1) / 2;
    s->ranks[s->n + 1].rank = n / 2;
    s->n += 2;
}

static bool find_medians(struct median_search *s, struct spill *spill, struct missing_result *fills,
                         struct jobs_error *error) {
    bool good = true;
    for (size_t i = 0; i < s->n && good; i++) {
        s->ranks[i].counts = calloc(DIGITS, sizeof *s->ranks[i].counts);
        good = s->ranks[i].counts || jobs_fail_memory(error, "filling missing values");
    }
    for (s->pass = 0; s->pass < PASSES && good; s->pass++) {
        good = each_row(spill, count_digits, s, error);
        for (size_t i = 0; i < s->n && good; i++) take_digit(&s->ranks[i]);
    }
    for (size_t i = 0; i < s->n && good; i += 2) {
        double low = number_of_bits(s->ranks[i].prefix), high = number_of_bits(s->ranks[i + 1].prefix);
        assert(low <= high);
        fills->fills[s->ranks[i].column] =
            (struct missing_fill){.known = true, .number = missing_midpoint(low, high)};
    }
    for (size_t i = 0; i < s->n; i++) free(s->ranks[i].counts);
    return good;
}

/* ---- modes ------------------------------------------------------------------------------------------- */

/* Counting the values whose hash falls to this pass of several. */
struct mode_search {
    size_t column, memory;
    bool text, respells; /* the texts are numbers, as grouped_respell spells them */
    uint64_t pass, passes;
    struct intern *values; /* eight bytes of ordered bits, or a text */
    uint64_t *counts;
    size_t room;
    bool full;
};

static bool count_value(void *context, const struct dataset_row *row) {
    struct mode_search *s = context;
    const struct dataset_cell *cell = &row->cells[s->column];
    if (cell->missing || s->full) return true;
    uint64_t bits = s->text ? 0 : ordered_bits(cell->number);
    const char *bytes = s->text ? cell->text : (const char *)&bits;
    size_t length = s->text ? cell->length : sizeof bits;
    char spelled[DECIMAL_PRINT_ROOM];
    if (s->respells) {
        length = grouped_spell(cell->number, spelled);
        bytes = spelled;
    }
    if (intern_hash(bytes, length, 1) % s->passes != s->pass) return true;
    uint32_t id = intern_add(s->values, bytes, length);
    if (id == INTERN_NONE) return false;
    if (id >= s->room) {
        size_t room = s->room ? s->room * 2 : 256;
        uint64_t *bigger = realloc(s->counts, room * sizeof *bigger);
        if (!bigger) return false;
        memset(bigger + s->room, 0, (room - s->room) * sizeof *bigger);
        s->counts = bigger;
        s->room = room;
    }
    assert(id < s->room);
    s->counts[id]++;
    s->full = intern_size(s->values) + s->room * sizeof *s->counts > s->memory;
    return true;
}

struct mode_best {
    uint64_t count;
    char *text; /* or ordered bits */
    size_t length;
};

static bool is_smaller(const struct mode_search *s, const char *a, size_t a_length,
                       const struct mode_best *b) {
    uint64_t x, y;
    if (s->text) return intern_compare(a, a_length, b->text, b->length) < 0;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b->text, sizeof y);
    return x < y;
}

static bool take_best(const struct mode_search *s, struct mode_best *best) {
    for (uint32_t id = 0; id < intern_count(s->values); id++) {
        size_t length;
        const char *value = intern_text(s->values, id, &length);
        if (s->counts[id] < best->count) continue;
        if (s->counts[id] == best->count && !is_smaller(s, value, length, best)) continue;
        char *copy = malloc(length + 1);
        if (!copy) return false;
        memcpy(copy, value, length);
        copy[length] = '\0';
        free(best->text);
        *best = (struct mode_best){s->counts[id], copy, length};
    }
    return true;
}

/* Runs all passes. Sets *full when even so many are not enough. */
static bool count_passes(struct mode_search *s, struct spill *spill, struct mode_best *best,
                         struct jobs_error *error) {
    bool good = true;
    for (s->pass = 0; s->pass < s->passes && good && !s->full; s->pass++) {
        s->counts = NULL;
        s->room = 0;
        s->values = intern_new();
        good = (s->values || jobs_fail_memory(error, "filling missing values")) &&
               each_row(spill, count_value, s, error);
        good = good && (s->full || take_best(s, best) || jobs_fail_memory(error, "filling missing values"));
        intern_free(s->values);
        free(s->counts);
    }
    return good;
}

static bool find_mode(struct grouped_state *state, struct spill *spill, size_t column,
                      struct jobs_error *error) {
    struct mode_search s = {.column = column, .memory = memory_of(state) / 2, .passes = 1};
    struct mode_best best = {0};
    s.text = state->job->dataset->columns[column].type == COLUMN_TEXT;
    s.respells = state->respells && column == state->job->columns.y;
    bool good;
    do {
        free(best.text);
        best = (struct mode_best){0};
        s.full = false;
        good = count_passes(&s, spill, &best, error);
        s.passes *= 4;
    } while (good && s.full);
    if (good && best.text) {
        struct missing_fill *fill = &state->fills.fills[column];
        uint64_t bits = 0;
        if (!s.text) memcpy(&bits, best.text, sizeof bits);
        *fill = (struct missing_fill){.known = true, .number = s.text ? (double)NAN : number_of_bits(bits)};
        if (s.text) {
            state->fill_texts[column] = best.text;
            best.text = NULL;
        }
    }
    free(best.text);
    return good;
}

/* ---- fills over the whole table ---------------------------------------------------------------------- */

static bool needs_fill(const struct grouped_state *state, size_t at) {
    const struct dataset_column *column = &state->job->dataset->columns[at];
    return column->n_missing > 0 && missing_fills(state->job->policy[at], column->type);
}

/* knn, and logistic of a text, need all rows together. */
static bool refuse_whole_tables(const struct grouped_state *state, struct jobs_error *error) {
    for (size_t i = 0; i < state->plan.n_columns; i++) {
        const struct dataset_column *column = &state->job->dataset->columns[i];
        enum missing_policy policy = state->job->policy[i];
        bool whole = policy == MISSING_KNN || (policy == MISSING_LOGISTIC && column->type == COLUMN_TEXT);
        if (!whole || !needs_fill(state, i)) continue;
        return jobs_fail(
            error, JOBS_FAULT_DATA,
            "column \"%s\": %s over the whole table needs the table in memory, and it does not fit in "
            "%zu MiB; give more with --memory, or fill within slices (--impute-scope slice)",
            column->name, missing_policy_name(policy), memory_of(state) >> 20);
    }
    return true;
}

static bool fill_medians(struct grouped_state *state, struct spill *spill, const struct grouped_sums *sums,
                         struct jobs_error *error) {
    for (size_t at = 0; at < state->plan.n_columns;) {
        struct median_search search = {.n = 0};
        for (; at < state->plan.n_columns && search.n < 2 * MEDIANS_AT_ONCE; at++) {
            bool wanted =
                needs_fill(state, at) && state->job->policy[at] == MISSING_MEDIAN && sums->n[at] > 0;
            if (wanted) add_median(&search, at, sums->n[at]);
        }
        if (search.n > 0 && !find_medians(&search, spill, &state->fills, error)) return false;
    }
    return true;
}

static bool fill_others(struct grouped_state *state, struct spill *spill, const struct grouped_sums *sums,
                        struct jobs_error *error) {
    for (size_t i = 0; i < state->plan.n_columns; i++) {
        struct missing_fill *fill = &state->fills.fills[i];
        if (!needs_fill(state, i)) continue;
        if (state->job->policy[i] == MISSING_MODE) {
            if (!find_mode(state, spill, i, error)) return false;
        } else if (state->job->dataset->columns[i].type == COLUMN_TEXT) {
            *fill = (struct missing_fill){.known = true, .text = INTERN_NONE}; /* indicator */
        } else if (state->job->policy[i] != MISSING_MEDIAN && sums->n[i] > 0) {
            *fill = (struct missing_fill){.known = true, .number = (double)(sums->sum[i] / sums->n[i])};
        }
        if (!fill->known)
            return missing_unfillable(state->job->dataset->columns[i].name, "", state->job->policy[i], error);
    }
    return true;
}

bool grouped_spilled_fills(struct grouped_state *state, struct spill *spill, const struct grouped_sums *sums,
                           struct jobs_error *error) {
    if (!refuse_whole_tables(state, error)) return false;
    state->fills = (struct missing_result){.n_columns = state->plan.n_columns};
    state->fills.fills = calloc(state->plan.n_columns + 1, sizeof *state->fills.fills);
    if (!state->fills.fills) return jobs_fail_memory(error, "filling missing values");
    return fill_medians(state, spill, sums, error) && fill_others(state, spill, sums, error);
}
