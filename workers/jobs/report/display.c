/*
 * display: see display.h.
 *
 * 1. The cells are read into an array in the form in which they are shown: numbers are rounded, control characters
 *    are removed from texts.
 * 2. Each group of rows (terms, slices; or all) has its own columns, without empty ones, each as wide as its widest
 *    cell.
 */
#include "workers/jobs/report/display.h"

#include <stdlib.h>
#include <string.h>

#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/decimal.h"
#include "workers/jobs/table/text_buffer.h"

/* A longer text is cut: one runaway cell must not push the others off the screen. */
#define WIDTH_MAX 40
#define GAP "  "

struct cell {
    size_t at; /* in texts */
    uint32_t bytes, width;
    bool number;
};

struct display {
    struct text_buffer texts;
    struct cell *cells; /* row by row, the names first */
    size_t n_cells, room, n_columns;
    size_t term; /* the column "term"; n_columns: there is none */
    FILE *out;
};

enum group { ALL, TERMS, SLICES };

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Adds a text without characters that move the cursor. Returns its width in characters. */
static uint32_t add_text(struct text_buffer *b, const char *text, size_t length) {
    uint32_t width = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        bool starts = (c & 0xC0) != 0x80;
        if (starts && width == WIDTH_MAX - 1 && length - i > 4) {
            text_buffer_string(b, "…");
            return width + 1;
        }
        width += starts;
        text_buffer_char(b, c < 0x20 || c == 0x7F ? ' ' : text[i]);
    }
    return width;
}

static bool add_cell(struct display *d, const struct csv_field *field, bool header) {
    if (d->n_cells == d->room) {
        size_t room = d->room ? d->room * 2 : 1024;
        struct cell *bigger = realloc(d->cells, room * sizeof *bigger);
        if (!bigger) return false;
        d->cells = bigger;
        d->room = room;
    }
    struct cell *cell = &d->cells[d->n_cells++];
    char rounded[40];
    double number;
    enum decimal_kind kind =
        header || field->quoted ? DECIMAL_NOT : decimal_parse(field->at, field->length, &number);
    *cell = (struct cell){.at = d->texts.length, .number = kind != DECIMAL_NOT};
    if (kind == DECIMAL_REAL) {
        size_t length = (size_t)snprintf(rounded, sizeof rounded, "%.6g", number);
        cell->width = add_text(&d->texts, rounded, length);
    } else {
        cell->width = add_text(&d->texts, field->at, field->length);
    }
    cell->bytes = (uint32_t)(d->texts.length - cell->at);
    return true;
}

static bool read_cells(struct display *d, struct csv_reader *reader, const char *csv, size_t length) {
    const struct csv_field *fields;
    size_t n;
    for (;;) {
        enum csv_status status = csv_reader_next(reader, &fields, &n);
        if (status == CSV_END || status == CSV_ERROR) return status == CSV_END && !d->texts.failed;
        if (status == CSV_MORE) {
            size_t room;
            char *at = csv_reader_room(reader, &room);
            if (!at) return false;
            size_t now = length < room ? length : room;
            memcpy(at, csv, now);
            csv_reader_commit(reader, now);
            csv += now;
            length -= now;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (!add_cell(d, &fields[i], d->n_columns == 0)) return false;
        }
        d->n_columns = n;
    }
}

/* ---- showing ----------------------------------------------------------------------------------------- */

static const struct cell *cell_at(const struct display *d, size_t row, size_t column) {
    return &d->cells[row * d->n_columns + column];
}

static bool is_named(const struct display *d, size_t column, const char *name) {
    const struct cell *cell = cell_at(d, 0, column);
    return strlen(name) == cell->bytes && memcmp(d->texts.at + cell->at, name, cell->bytes) == 0;
}

static bool in_group(const struct display *d, size_t row, enum group group) {
    if (group == ALL) return true;
    return (cell_at(d, row, d->term)->bytes > 0) == (group == TERMS);
}

/* Cells of terms that describe the slice are shown with the slices; the slice columns come before the status. */
static bool shows(const struct display *d, size_t column, enum group group, bool *of_slice) {
    *of_slice &= !is_named(d, column, "status");
    return group != TERMS || *of_slice || column >= d->term || is_named(d, column, "n_imputed");
}

/* The width of a column in a group; 0: it is not shown. */
static uint32_t width_of(const struct display *d, size_t rows, size_t column, enum group group) {
    uint32_t width = 0;
    for (size_t row = 1; row < rows; row++) {
        if (in_group(d, row, group) && cell_at(d, row, column)->width > width)
            width = cell_at(d, row, column)->width;
    }
    if (width == 0 && rows > 1) return 0;
    return cell_at(d, 0, column)->width > width ? cell_at(d, 0, column)->width : width;
}

/* Numbers are aligned to the right; a header like the cell below it. */
static void show_cell(const struct display *d, const struct cell *cell, bool right, uint32_t width,
                      bool last) {
    int pad = (int)(width - cell->width);
    fprintf(d->out, "%*s%.*s", right ? pad : 0, "", (int)cell->bytes, d->texts.at + cell->at);
    if (!right && !last) fprintf(d->out, "%*s", pad, "");
}

static bool column_is_number(const struct display *d, size_t rows, size_t column, enum group group) {
    for (size_t row = 1; row < rows; row++) {
        const struct cell *cell = cell_at(d, row, column);
        if (in_group(d, row, group) && cell->bytes > 0) return cell->number;
    }
    return false;
}

static bool show_group(const struct display *d, enum group group) {
    size_t rows = d->n_cells / d->n_columns, last = 0;
    uint32_t *widths = calloc(d->n_columns, sizeof *widths);
    bool *right = calloc(d->n_columns, sizeof *right), of_slice = true, good = widths && right;
    for (size_t c = 0; c < d->n_columns && good; c++) {
        widths[c] = shows(d, c, group, &of_slice) ? width_of(d, rows, c, group) : 0;
        right[c] = column_is_number(d, rows, c, group);
        if (widths[c]) last = c;
    }
    for (size_t row = 0; row < rows && good; row++) {
        if (row > 0 && !in_group(d, row, group)) continue;
        bool first = true;
        for (size_t c = 0; c < d->n_columns; c++) {
            if (!widths[c]) continue;
            if (!first) fputs(GAP, d->out);
            first = false;
            show_cell(d, cell_at(d, row, c), right[c], widths[c], c == last);
        }
        fputc('\n', d->out);
    }
    free(widths);
    free(right);
    return good;
}

bool display_table(const char *csv, size_t length, FILE *out, struct jobs_error *error) {
    struct display d = {.out = out};
    struct csv_reader *reader = csv_reader_new(',');
    bool good = reader && read_cells(&d, reader, csv, length) && d.n_columns > 0;
    for (d.term = 0; good && d.term < d.n_columns && !is_named(&d, d.term, "term");) d.term++;
    bool terms = good && d.term < d.n_columns && d.n_cells > d.n_columns;
    if (terms) {
        good = show_group(&d, TERMS);
        fputc('\n', out);
    }
    good = good && show_group(&d, terms ? SLICES : ALL);
    csv_reader_free(reader);
    free(d.cells);
    text_buffer_free(&d.texts);
    return good || jobs_fail_memory(error, "showing the table");
}
