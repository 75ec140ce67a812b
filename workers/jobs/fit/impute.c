/*
 * impute: see impute.h. This file has the order of the two passes, and the second pass, which writes.
 *
 * A cell that is not filled is written as it was read, in quotes if it was quoted. A filled text is quoted when it
 * would otherwise be read as something else.
 */
#include "workers/jobs/fit/impute.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/impute_internal.h"
#include "workers/jobs/table/decimal.h"

#define BUFFER (256u << 10)

struct writing {
    const struct grouped_spec *spec;
    struct impute_fills *fills;
    struct dataset dataset; /* of the second pass */
    char delimiter;
    size_t *keys; /* slice columns */
    struct slice_cell *key_cells;
    const struct impute_column **filled; /* per dataset column; NULL: not filled */
    bool *drops, drops_any;              /* per dataset column: a gap leaves the row out */
    uint64_t *counts;                    /* cells filled, per filled column */
    uint64_t n_left, n_dropped;          /* gaps that no policy could fill; rows left out */
    uint32_t first_slice;                /* where the first such gap was */
    size_t first_column;
    struct text_buffer text;
    FILE *out;
};

/* ---- fields ------------------------------------------------------------------------------------------ */

static void put_quoted(struct text_buffer *b, const char *text, size_t length) {
    text_buffer_char(b, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') text_buffer_char(b, '"');
        text_buffer_char(b, text[i]);
    }
    text_buffer_char(b, '"');
}

/* Returns true when a text must be quoted to be read as that text. */
static bool needs_quotes(const struct writing *w, const struct na_list *na, const char *text, size_t length) {
    double number;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == w->delimiter || text[i] == '"' || text[i] == '\n' || text[i] == '\r') return true;
    }
    return na_list_has(na, text, length) ||
           decimal_parse_styled(&w->dataset.options.numbers, text, length, &number) != DECIMAL_NOT;
}

static void put_text(struct writing *w, const struct na_list *na, const char *text, size_t length) {
    if (needs_quotes(w, na, text, length)) {
        put_quoted(&w->text, text, length);
    } else {
        text_buffer_add(&w->text, text, length);
    }
}

/* A number as the others of the file are written, without group marks. */
static void put_number(struct writing *w, double number) {
    char text[DECIMAL_PRINT_ROOM];
    size_t length = decimal_print(number, text);
    char point = w->dataset.options.numbers.point, *dot = point ? memchr(text, '.', length) : NULL;
    if (dot) *dot = point;
    bool cut = dot && point == w->delimiter;
    if (cut) text_buffer_char(&w->text, '"');
    text_buffer_add(&w->text, text, length);
    if (cut) text_buffer_char(&w->text, '"');
}

static void put_as_written(struct text_buffer *b, const struct dataset_cell *cell) {
    if (cell->quoted) {
        put_quoted(b, cell->text, cell->length);
    } else {
        text_buffer_add(b, cell->text, cell->length);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------- */

/* Finds the value that fills a gap of this row in this slice. Cells come in the order of rows and columns. */
static struct impute_value value_of(struct writing *w, struct impute_slice *slice, size_t id, size_t place) {
    assert(slice->next_cell <= slice->end_cell && slice->end_cell <= w->fills->n_cells);
    const struct impute_cell *cell = &w->fills->cells[slice->next_cell];
    if (slice->next_cell < slice->end_cell && cell->row == slice->rows && cell->column == place) {
        slice->next_cell++;
        return cell->value;
    }
    return w->fills->values[id * w->fills->n_columns + place];
}

static void put_gap(struct writing *w, const struct dataset_cell *cell, size_t at, struct impute_slice *slice,
                    uint32_t id) {
    const struct impute_column *column = w->filled[at];
    size_t place = (size_t)(column - w->fills->columns), length;
    assert(place < w->fills->n_columns);
    struct impute_value value = value_of(w, slice, id, place);
    if (!value.known) {
        if (w->n_left++ == 0) w->first_slice = id, w->first_column = at;
        put_as_written(&w->text, cell);
        return;
    }
    w->counts[place]++;
    if (!column->text) {
        put_number(w, value.number);
    } else {
        const char *text = intern_text(w->fills->texts, value.text, &length);
        put_text(w, &w->dataset.columns[at].na, text, length);
    }
}

static bool is_dropped(const struct writing *w, const struct dataset_row *row) {
    for (size_t i = 0; i < w->dataset.n_columns && w->drops_any; i++) {
        if (w->drops[i] && row->cells[i].missing) return true;
    }
    return false;
}

/* The slice of a row, by number; SLICE_NONE: the file changed between the passes. */
static uint32_t slice_of(struct writing *w, const struct dataset_row *row) {
    if (!w->spec->within_slice) return 0;
    size_t before = slice_keys_count(w->fills->keys);
    for (size_t i = 0; i < w->spec->n_slice_by; i++) {
        const struct dataset_cell *cell = &row->cells[w->keys[i]];
        w->key_cells[i] = (struct slice_cell){cell->text, cell->length, cell->missing};
    }
    uint32_t id = slice_keys_add(w->fills->keys, w->key_cells);
    return id < before ? id : SLICE_NONE;
}

static void put_indicators(struct writing *w, const struct dataset_row *row) {
    for (size_t c = 0; c < w->fills->n_columns; c++) {
        const struct impute_column *column = &w->fills->columns[c];
        if (column->policy != MISSING_INDICATOR || column->text || !column->has_gaps) continue;
        text_buffer_char(&w->text, w->delimiter);
        text_buffer_char(&w->text, row->cells[column->at].missing ? '1' : '0');
    }
}

static bool put_row(struct writing *w, const struct dataset_row *row, struct jobs_error *error) {
    uint32_t id = slice_of(w, row);
    if (id == SLICE_NONE) {
        return jobs_fail(error, JOBS_FAULT_DATA, "%s changed while it was read; try again", w->dataset.name);
    }
    assert(id < slice_keys_count(w->fills->keys));
    struct impute_slice *slice = &w->fills->slices[id];
    size_t start = w->text.length;
    for (size_t i = 0; i < w->dataset.n_columns; i++) {
        if (i > 0) text_buffer_char(&w->text, w->delimiter);
        if (row->cells[i].missing && w->filled[i]) {
            put_gap(w, &row->cells[i], i, slice, id);
        } else {
            put_as_written(&w->text, &row->cells[i]);
        }
    }
    put_indicators(w, row);
    text_buffer_char(&w->text, '\n');
    slice->rows++;
    if (is_dropped(w, row)) {
        w->text.length = start;
        w->n_dropped++;
    }
    return true;
}

static bool flush(struct writing *w, struct jobs_error *error) {
    if (w->text.failed) return jobs_fail_memory(error, "the table");
    text_buffer_write(&w->text, w->out);
    return !ferror(w->out) || grouped_write_failed(error);
}

static bool put_rows(struct writing *w, struct jobs_error *error) {
    enum dataset_status status;
    struct dataset_row row;
    while ((status = dataset_next(&w->dataset, &row, error)) == DATASET_ROW) {
        if (!put_row(w, &row, error)) return false;
        if (w->text.length >= BUFFER && !flush(w, error)) return false;
        if (!grouped_go_on(w->spec, w->dataset.n_rows, error)) return false;
    }
    return status == DATASET_END && flush(w, error) && (fflush(w->out) == 0 || grouped_write_failed(error));
}

/* ---- the header -------------------------------------------------------------------------------------- */

static bool put_header(struct writing *w, struct jobs_error *error) {
    static const struct na_list nothing = {0};
    const struct dataset *d = &w->dataset;
    for (size_t i = 0; i < d->n_columns; i++) {
        if (i > 0) text_buffer_char(&w->text, w->delimiter);
        put_text(w, &nothing, d->columns[i].name, strlen(d->columns[i].name));
    }
    for (size_t c = 0; c < w->fills->n_columns; c++) {
        const struct impute_column *column = &w->fills->columns[c];
        if (column->policy != MISSING_INDICATOR || column->text || !column->has_gaps) continue;
        struct text_buffer name = {0};
        text_buffer_string(&name, MISSING_INDICATOR_PREFIX);
        text_buffer_string(&name, d->columns[column->at].name);
        text_buffer_add(&name, "", 1);
        bool taken = !name.failed && dataset_find(d, name.at) != DATASET_NO_COLUMN;
        if (taken) jobs_fail(error, JOBS_FAULT_DATA, "there is a column \"%s\" already; rename it", name.at);
        text_buffer_char(&w->text, w->delimiter);
        if (!name.failed) put_text(w, &nothing, name.at, name.length - 1);
        w->text.failed |= name.failed;
        text_buffer_free(&name);
        if (taken) return false;
    }
    text_buffer_char(&w->text, '\n');
    return true;
}

static bool writing_open(struct writing *w, struct jobs_error *error) {
    struct dataset *d = &w->dataset;
    w->keys = calloc(w->spec->n_slice_by + 1, sizeof *w->keys);
    w->key_cells = calloc(w->spec->n_slice_by + 1, sizeof *w->key_cells);
    w->filled = calloc(d->n_columns + 1, sizeof *w->filled);
    w->drops = calloc(d->n_columns + 1, sizeof *w->drops);
    w->counts = calloc(w->fills->n_columns + 1, sizeof *w->counts);
    if (!w->keys || !w->key_cells || !w->filled || !w->drops || !w->counts) {
        return jobs_fail_memory(error, "the table");
    }
    dataset_use_all(d, USE_KEY);
    for (size_t i = 0; i < w->spec->n_slice_by; i++) w->keys[i] = dataset_find(d, w->spec->slice_by[i]);
    for (size_t c = 0; c < w->fills->n_columns; c++) {
        if (w->fills->columns[c].at >= d->n_columns) {
            return jobs_fail(error, JOBS_FAULT_DATA, "%s changed while it was read; try again", d->name);
        }
        w->filled[w->fills->columns[c].at] = &w->fills->columns[c];
    }
    for (size_t i = 0; i < d->n_columns; i++) {
        enum missing_policy policy = impute_policy(w->spec, &d->columns[i]);
        w->drops[i] =
            policy == MISSING_DROP ||
            (policy == MISSING_DROP_ANY && w->spec->missing == MISSING_DROP_ANY && !d->columns[i].label);
        w->drops_any |= w->drops[i];
    }
    return put_header(w, error);
}

static void writing_close(struct writing *w) {
    free(w->keys);
    free(w->key_cells);
    free(w->filled);
    free(w->drops);
    free(w->counts);
    text_buffer_free(&w->text);
    dataset_close(&w->dataset);
}

/* ---- notes ------------------------------------------------------------------------------------------- */

static void say_left(const struct writing *w) {
    char title[SLICE_TITLE_ROOM];
    struct slice_key key = slice_keys_key(w->fills->keys, w->first_slice);
    slice_key_title(key, w->spec->slice_by, w->spec->within_slice ? w->spec->n_slice_by : 0, title);
    fprintf(w->spec->notes, "%llu cell%s left missing: no value is observed; the first in column %s of %s\n",
            (unsigned long long)w->n_left, w->n_left == 1 ? "" : "s",
            w->dataset.columns[w->first_column].name, title);
}

static void say_text(const struct writing *w, const struct impute_left *left) {
    fprintf(w->spec->notes,
            "%s: %llu cell%s left missing: the column holds text (%s%sline %llu), which %s does not fill; "
            "name that "
            "text with --na, or choose mode for the column\n",
            w->dataset.columns[left->at].name, (unsigned long long)left->n_cells,
            left->n_cells == 1 ? "" : "s", left->text_file ? left->text_file : "",
            left->text_file ? ", " : "", (unsigned long long)left->text_line,
            missing_policy_name(left->policy));
}

static void say(const struct writing *w) {
    FILE *notes = w->spec->notes;
    if (!notes) return;
    for (size_t c = 0; c < w->fills->n_columns; c++) {
        const struct impute_column *column = &w->fills->columns[c];
        bool mean = column->policy == MISSING_LOGISTIC && !column->text;
        if (!w->counts[c]) continue;
        fprintf(notes, "%s: %llu cell%s filled by %s\n", w->dataset.columns[column->at].name,
                (unsigned long long)w->counts[c], w->counts[c] == 1 ? "" : "s",
                mean ? "mean (logistic is for text)" : missing_policy_name(column->policy));
    }
    for (size_t i = 0; i < w->fills->n_left; i++) say_text(w, &w->fills->left[i]);
    if (w->n_left) say_left(w);
    if (w->n_dropped) {
        fprintf(notes, "%llu row%s with gaps left out\n", (unsigned long long)w->n_dropped,
                w->n_dropped == 1 ? "" : "s");
    }
}

bool impute_run(const struct grouped_spec *spec, const struct impute_input *input,
                const struct dataset_options *options, FILE *out, struct jobs_error *error) {
    struct impute_fills fills;
    struct dataset first;
    if (!dataset_open(&first, input->name, input->source, options, error)) return false;
    struct grouped_spec find = *spec;
    find.notes = NULL; /* notes of a fit about numbers do not concern cells that stay as they are */
    bool good = impute_find(&fills, &find, &first, error);
    uint64_t rows = first.n_rows;
    dataset_close(&first);
    if (!good) return false;
    struct writing w = {.spec = spec, .fills = &fills, .out = out};
    w.delimiter = options->delimiter ? options->delimiter : ',';
    good = dataset_open(&w.dataset, input->name, input->again(input->context), options, error);
    if (good) {
        good = writing_open(&w, error) && put_rows(&w, error);
        if (good && w.dataset.n_rows != rows) {
            good = jobs_fail(error, JOBS_FAULT_DATA, "%s changed while it was read; try again", input->name);
        }
        if (good) say(&w);
        writing_close(&w);
    }
    impute_fills_free(&fills);
    return good;
}
