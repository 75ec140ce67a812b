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

/* Gaps that stayed. */
struct left_cells {
    uint64_t n;
    uint32_t slice; /* of the first */
};

struct writing {
    const struct grouped_spec *spec;
    struct impute_fills *fills;
    const struct impute_mixed *mixed;
    struct dataset dataset; /* of the second pass */
    char delimiter;
    size_t *keys; /* slice columns */
    struct slice_cell *key_cells;
    const struct impute_column **filled; /* per dataset column; NULL: not filled */
    bool *drops, drops_any;              /* per dataset column: a gap leaves the row out */
    struct results_cells *counts;        /* per filled column */
    struct left_cells *left;             /* per dataset column */
    uint64_t n_dropped;                  /* rows left out */
    bool leaves_out;                     /* the row being written will be */
    struct text_buffer text;
    FILE *out;
};

/* ---- fields ------------------------------------------------------------------------------------------ */

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
        text_buffer_quoted(&w->text, text, length);
    } else {
        text_buffer_add(&w->text, text, length);
    }
}

/* A number as the others of the file are written, without group marks. */
static void put_number(struct writing *w, double number) {
    char text[DECIMAL_PRINT_ROOM];
    size_t length = decimal_print(number, text);
    char point = w->dataset.options.numbers.point, *dot = memchr(text, '.', length);
    if (!point) point = '.';
    if (dot) *dot = point;
    bool cut = dot && point == w->delimiter;
    if (cut) text_buffer_char(&w->text, '"');
    text_buffer_add(&w->text, text, length);
    if (cut) text_buffer_char(&w->text, '"');
}

/* A cell of another file may hold the first file's delimiter. */
static void put_as_written(struct writing *w, const struct dataset_cell *cell) {
    bool cut = w->dataset.options.more && memchr(cell->text, w->delimiter, cell->length);
    if (cell->quoted || cut) {
        text_buffer_quoted(&w->text, cell->text, cell->length);
    } else {
        text_buffer_add(&w->text, cell->text, cell->length);
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

static void keep_gap(struct writing *w, const struct dataset_cell *cell, size_t at, uint32_t id) {
    struct left_cells *left = &w->left[at];
    if (!w->leaves_out && left->n++ == 0) left->slice = id;
    put_as_written(w, cell);
}

static void put_gap(struct writing *w, const struct dataset_cell *cell, size_t at, struct impute_slice *slice,
                    uint32_t id) {
    const struct impute_column *column = w->filled[at];
    size_t place = (size_t)(column - w->fills->columns), length;
    assert(place < w->fills->n_columns);
    struct impute_value value = value_of(w, slice, id, place);
    if (!value.known) {
        keep_gap(w, cell, at, id);
        return;
    }
    bool by_mean =
        !value.own && missing_falls_back(column->policy, column->text ? COLUMN_TEXT : COLUMN_DOUBLE);
    w->counts[place].filled += !w->leaves_out;
    w->counts[place].by_mean += by_mean && !w->leaves_out;
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
    w->leaves_out = is_dropped(w, row);
    for (size_t i = 0; i < w->dataset.n_columns; i++) {
        if (i > 0) text_buffer_char(&w->text, w->delimiter);
        if (row->cells[i].missing && w->filled[i]) {
            put_gap(w, &row->cells[i], i, slice, id);
        } else if (row->cells[i].missing) {
            keep_gap(w, &row->cells[i], i, id);
        } else {
            put_as_written(w, &row->cells[i]);
        }
    }
    put_indicators(w, row);
    text_buffer_char(&w->text, '\n');
    slice->rows++;
    if (w->leaves_out) {
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
    w->left = calloc(d->n_columns + 1, sizeof *w->left);
    if (!w->keys || !w->key_cells || !w->filled || !w->drops || !w->counts || !w->left) {
        return jobs_fail_memory(error, "the table");
    }
    dataset_use_all(d, USE_KEY);
    impute_use_mixed(w->mixed, d);
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
    free(w->left);
    text_buffer_free(&w->text);
    dataset_close(&w->dataset);
}

/* ---- notes ------------------------------------------------------------------------------------------- */

static const struct impute_left *text_left(const struct writing *w, size_t at) {
    for (size_t i = 0; i < w->fills->n_left; i++) {
        if (w->fills->left[i].at == at) return &w->fills->left[i];
    }
    return NULL;
}

static bool is_key(const struct writing *w, size_t at) {
    for (size_t i = 0; i < w->spec->n_slice_by; i++) {
        if (w->keys[i] == at) return true;
    }
    return false;
}

/* Why gaps of a column stayed. */
static void say_left(const struct writing *w, size_t at) {
    FILE *notes = w->spec->notes;
    const struct left_cells *left = &w->left[at];
    const struct impute_left *text = text_left(w, at);
    if (left->n == 0) return;
    fprintf(notes, "%s: %llu cell%s left missing: ", w->dataset.columns[at].name, (unsigned long long)left->n,
            left->n == 1 ? "" : "s");
    if (text) {
        fprintf(notes,
                "the column holds text (%s%sline %llu), which %s does not fill; name that text with --na, or "
                "choose "
                "mode for the column\n",
                text->text_file ? text->text_file : "", text->text_file ? ", " : "",
                (unsigned long long)text->text_line, missing_policy_name(text->policy));
    } else if (w->filled[at]) {
        char title[SLICE_TITLE_ROOM];
        struct slice_key key = slice_keys_key(w->fills->keys, left->slice);
        slice_key_title(key, w->spec->slice_by, w->spec->within_slice ? w->spec->n_slice_by : 0, title);
        fprintf(notes, "no value is observed; the first in %s\n", title);
    } else {
        fputs(is_key(w, at) ? "slice columns are not filled\n" : "no policy is for the column\n", notes);
    }
}

static void say(const struct writing *w) {
    FILE *notes = w->spec->notes;
    struct summary summary = {
        .rows = w->dataset.n_rows, .dropped = w->n_dropped, .fills = true, .knows_left = true};
    if (!notes) return;
    for (size_t c = 0; c < w->fills->n_columns; c++) {
        const struct impute_column *column = &w->fills->columns[c];
        const char *name = w->dataset.columns[column->at].name;
        grouped_say_filled(notes, &summary, name, column->policy, column->text, w->counts[c]);
    }
    for (size_t i = 0; i < w->dataset.n_columns; i++) {
        say_left(w, i);
        summary.left += w->left[i].n;
    }
    if (w->n_dropped) {
        fprintf(notes, "%llu row%s with gaps left out\n", (unsigned long long)w->n_dropped,
                w->n_dropped == 1 ? "" : "s");
    }
    summary_write(&summary, notes);
}

/* ---- the passes --------------------------------------------------------------------------------------- */

/* Where text is a gap in a column of numbers, a pass before the first finds those columns. */
static bool find_mixed(struct impute_mixed *mixed, const struct grouped_spec *spec,
                       const struct impute_input *input, const struct dataset_options *options,
                       struct csv_source *source, struct jobs_error *error) {
    struct dataset dataset;
    *source = input->source;
    if (options->text != TEXT_IS_MISSING) return true;
    if (!dataset_open(&dataset, input->name, input->source, options, error)) return false;
    bool good = impute_find_mixed(mixed, spec, &dataset, error);
    dataset_close(&dataset);
    if (good) *source = input->again(input->context);
    return good;
}

static bool find_once(struct impute_fills *fills, struct impute_mixed *mixed, uint64_t *rows,
                      const struct grouped_spec *spec, const struct impute_input *input,
                      const struct dataset_options *options, struct csv_source source,
                      struct jobs_error *error) {
    struct dataset first;
    struct grouped_spec quiet = *spec;
    quiet.notes = NULL; /* notes of a fit about numbers do not concern cells that stay as they are */
    if (!dataset_open(&first, input->name, source, options, error)) return false;
    bool good = impute_find(fills, &quiet, &first, mixed, error);
    *rows = first.n_rows;
    dataset_close(&first);
    return good;
}

/* The sentence about a cell is that of a fit; here there are more ways out. */
static void advise(struct jobs_error *error) {
    struct jobs_error cell = *error;
    *error = (struct jobs_error){0};
    jobs_fail(error, cell.fault,
              "%.480s (--na); or let --bad-text say that such a cell is missing, or that the column is text",
              cell.text);
}

/* When a pass finds mixed columns, another reads them as a fit reads its own: up to the cell that is not a number, or
 * to the end, where all of them are quoted and missing. */
static bool find(struct impute_fills *fills, struct impute_mixed *mixed, uint64_t *rows,
                 const struct grouped_spec *spec, const struct impute_input *input,
                 const struct dataset_options *options, struct jobs_error *error) {
    struct csv_source source;
    uint64_t all;
    if (!find_mixed(mixed, spec, input, options, &source, error)) return false;
    bool known = mixed->is;
    if (find_once(fills, mixed, rows, spec, input, options, source, error)) return true;
    if (known || !mixed->any) return false;
    *error = (struct jobs_error){0};
    all = *rows;
    source = input->again(input->context);
    bool good = find_once(fills, mixed, rows, spec, input, options, source, error);
    if (!good && *rows < all) advise(error);
    return good;
}

static bool write_filled(struct writing *w, const struct impute_input *input,
                         const struct dataset_options *options, uint64_t rows, struct jobs_error *error) {
    if (!dataset_open(&w->dataset, input->name, input->again(input->context), options, error)) return false;
    bool good = writing_open(w, error) && put_rows(w, error);
    if (good && w->dataset.n_rows != rows) {
        good = jobs_fail(error, JOBS_FAULT_DATA, "%s changed while it was read; try again", input->name);
    }
    if (good) say(w);
    writing_close(w);
    return good;
}

bool impute_run(const struct grouped_spec *spec, const struct impute_input *input,
                const struct dataset_options *options, FILE *out, struct jobs_error *error) {
    struct impute_fills fills;
    struct impute_mixed mixed = {0};
    uint64_t rows;
    bool good = find(&fills, &mixed, &rows, spec, input, options, error);
    if (good) {
        struct writing w = {.spec = spec, .fills = &fills, .mixed = &mixed, .out = out};
        w.delimiter = options->delimiter ? options->delimiter : ',';
        good = write_filled(&w, input, options, rows, error);
        impute_fills_free(&fills);
    }
    free(mixed.is);
    return good;
}
