/*
 * display: see display.h.
 *
 * 1. The cells are read into an array in the form in which they are shown: numbers are rounded, and control characters
 *    are removed from texts. Keys stay as they were written.
 * 2. Each group of rows (terms, slices; or all) has its own columns, without empty ones, each as wide as its widest
 *    cell.
 * 3. Blocks of these columns are shown, as many columns in each as fit beside those of the key.
 */
#include "workers/jobs/report/display.h"

#include <stdlib.h>
#include <string.h>

#include "workers/jobs/report/glyph.h"
#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/decimal.h"

/* A longer text is cut: one runaway cell must not push the others off the screen. */
#define WIDTH_MAX 40
/* Keys are cut to this, if need be, so that at least half of the terminal is left for what they are about. */
#define KEY_WIDTH_MIN 8
#define GAP 2

struct cell {
    size_t at; /* in texts */
    uint32_t bytes, width;
    uint32_t whole; /* of a number: the width of what stands before its point */
    bool number;
};

struct display {
    struct text_buffer texts;
    struct cell *cells; /* row by row, the names first */
    size_t n_cells, room, n_columns;
    size_t term;   /* the column "term"; n_columns: there is none */
    size_t n_keys; /* the first columns, which say what a row is about */
    bool wide;
};

enum group { ALL, TERMS, SLICES };

/* A column as a group shows it. */
struct column {
    size_t at;
    uint32_t width;
    uint32_t whole, fraction; /* of numbers: the widest parts before the point, and from it on */
    bool number, key;
};

struct layout {
    struct column *columns;
    size_t n;
};

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Adds a text without characters that move the cursor. */
static void add_shown(struct text_buffer *b, const char *text, size_t length) {
    struct glyph g;
    for (size_t i = 0; i < length; i += g.bytes) {
        g = glyph_at(text + i, length - i);
        if (g.control)
            text_buffer_char(b, ' ');
        else
            text_buffer_add(b, text + i, g.bytes);
    }
}

static bool add_text(struct text_buffer *b, const char *text, size_t length) {
    struct text_buffer plain = {0};
    add_shown(&plain, text, length);
    if (!plain.failed && plain.length) glyph_shorten(b, plain.at, plain.length, WIDTH_MAX, glyph_columns);
    bool good = !plain.failed && !b->failed;
    text_buffer_free(&plain);
    return good;
}

static struct cell *new_cell(struct display *d) {
    if (d->n_cells == d->room) {
        size_t room = d->room ? d->room * 2 : 1024;
        struct cell *bigger = realloc(d->cells, room * sizeof *bigger);
        if (!bigger) return NULL;
        d->cells = bigger;
        d->room = room;
    }
    return &d->cells[d->n_cells++];
}

static bool add_cell(struct display *d, const struct csv_field *field, bool header, bool key) {
    struct cell *cell = new_cell(d);
    char rounded[40];
    double number;
    if (!cell) return false;
    enum decimal_kind kind =
        header || field->quoted ? DECIMAL_NOT : decimal_parse(field->at, field->length, &number);
    *cell = (struct cell){.at = d->texts.length, .number = kind != DECIMAL_NOT};
    if (kind == DECIMAL_REAL && !key) {
        int length = snprintf(rounded, sizeof rounded, "%.6g", number);
        text_buffer_add(&d->texts, rounded, (size_t)length);
    } else if (!add_text(&d->texts, field->at, field->length)) {
        return false;
    }
    if (d->texts.failed) return false;
    const char *text = d->texts.at + cell->at;
    cell->bytes = (uint32_t)(d->texts.length - cell->at);
    cell->width = cell->bytes ? (uint32_t)glyph_width(text, cell->bytes, glyph_columns) : 0;
    while (cell->number && cell->whole < cell->bytes && !strchr(".eE", text[cell->whole])) cell->whole++;
    return true;
}

static const struct cell *cell_at(const struct display *d, size_t row, size_t column) {
    return &d->cells[row * d->n_columns + column];
}

static bool is_named(const struct display *d, size_t column, const char *name) {
    if (column >= d->n_columns) return false;
    const struct cell *cell = cell_at(d, 0, column);
    return strlen(name) == cell->bytes && memcmp(d->texts.at + cell->at, name, cell->bytes) == 0;
}

/* The first column of that name; n_columns: there is none. */
static size_t find(const struct display *d, const char *name) {
    size_t i = 0;
    while (i < d->n_columns && !is_named(d, i, name)) i++;
    return i;
}

/* Tells by its names what table it is, and which columns are its key. */
static void read_names(struct display *d) {
    static const char *const after_key[] = {"diseased_frequency", "log2_tpm"};
    d->term = find(d, "term");
    d->n_keys = find(d, "status");
    if (d->term < d->n_columns) return;
    for (size_t i = 0; i < d->n_columns && !d->wide; i++) {
        d->wide = is_named(d, i, "n") && is_named(d, i + 1, "n_dropped");
        if (d->wide) d->n_keys = i;
    }
    if (d->wide) return;
    d->n_keys = 1;
    for (size_t i = 0; i < sizeof after_key / sizeof *after_key; i++) {
        size_t at = find(d, after_key[i]);
        if (at < d->n_columns) d->n_keys = at;
    }
}

static bool add_record(struct display *d, const struct csv_field *fields, size_t n) {
    bool header = d->n_columns == 0;
    for (size_t i = 0; i < n; i++) {
        if (!add_cell(d, &fields[i], header, header || i < d->n_keys || i == d->term)) return false;
    }
    d->n_columns = n;
    if (header) read_names(d);
    return true;
}

static bool read_cells(struct display *d, struct csv_reader *reader, const char *csv, size_t length) {
    const struct csv_field *fields;
    size_t n;
    for (;;) {
        enum csv_status status = csv_reader_next(reader, &fields, &n);
        if (status == CSV_END || status == CSV_ERROR) return status == CSV_END && !d->texts.failed;
        if (status == CSV_RECORD) {
            if (!add_record(d, fields, n)) return false;
            continue;
        }
        size_t room;
        char *at = csv_reader_room(reader, &room);
        if (!at) return false;
        size_t now = length < room ? length : room;
        memcpy(at, csv, now);
        csv_reader_commit(reader, now);
        csv += now;
        length -= now;
    }
}

/* ---- columns ----------------------------------------------------------------------------------------- */

static size_t rows_of(const struct display *d) {
    return d->n_cells / d->n_columns;
}

static bool in_group(const struct display *d, size_t row, enum group group) {
    if (group == ALL) return true;
    return (cell_at(d, row, d->term)->bytes > 0) == (group == TERMS);
}

/* Cells of terms that describe the slice are shown with the slices. */
static bool shows(const struct display *d, size_t column, enum group group) {
    return group != TERMS || column < d->n_keys || column >= d->term || is_named(d, column, "n_imputed");
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* Fits the column to the cells of a group. Its width is 0 when it is empty in all of many rows. */
static struct column measure(const struct display *d, size_t at, enum group group) {
    struct column c = {.at = at, .number = true, .key = at < d->n_keys || (group == TERMS && at == d->term)};
    size_t filled = 0;
    for (size_t row = 1; row < rows_of(d); row++) {
        const struct cell *cell = cell_at(d, row, at);
        if (!in_group(d, row, group) || cell->bytes == 0) continue;
        filled++;
        c.width = larger(c.width, cell->width);
        c.number &= cell->number;
        c.whole = larger(c.whole, cell->whole);
        c.fraction = larger(c.fraction, cell->width - cell->whole);
    }
    c.number &= filled > 0;
    if (filled == 0 && rows_of(d) > 1) return c;
    if (c.number) c.width = c.whole + c.fraction;
    c.width = larger(c.width, cell_at(d, 0, at)->width);
    return c;
}

static bool layout_make(struct layout *l, const struct display *d, enum group group) {
    *l = (struct layout){.columns = calloc(d->n_columns, sizeof *l->columns)};
    for (size_t i = 0; i < d->n_columns && l->columns; i++) {
        if (!shows(d, i, group)) continue;
        struct column c = measure(d, i, group);
        if (c.width) l->columns[l->n++] = c;
    }
    return l->columns != NULL;
}

static size_t width_of(const struct layout *l, bool keys_only) {
    size_t width = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->columns[i].key || !keys_only) width += l->columns[i].width + GAP;
    }
    return width;
}

/* Makes the widest keys narrower until half of the terminal is left for the rest. */
static void narrow_keys(struct layout *l, size_t columns) {
    for (uint32_t most = WIDTH_MAX; most >= KEY_WIDTH_MIN && width_of(l, true) > columns / 2; most--) {
        for (size_t i = 0; i < l->n; i++) {
            struct column *c = &l->columns[i];
            if (!c->key || c->width <= most) continue;
            c->width = most;
            c->number = false; /* what is cut has no point to be aligned by */
        }
    }
}

/* ---- showing ----------------------------------------------------------------------------------------- */

/* Blanks are written when something comes after them: no line ends with one. */
struct line {
    FILE *out;
    size_t blanks;
};

static void put(struct line *line, const char *text, size_t length) {
    if (length == 0) return;
    fprintf(line->out, "%*s", (int)line->blanks, "");
    fwrite(text, 1, length, line->out);
    line->blanks = 0;
}

static bool show_cell(struct line *line, const struct display *d, const struct column *c, size_t row) {
    const struct cell *cell = cell_at(d, row, c->at);
    size_t before = 0, width = cell->width;
    struct text_buffer cut = {0};
    const char *text = cell->bytes ? d->texts.at + cell->at : "";
    if (c->number && row == 0) before = c->width - cell->width;
    if (c->number && row > 0) before = c->width - c->fraction - cell->whole;
    if (cell->bytes == 0) before = 0;
    line->blanks += before;
    if (width <= c->width) {
        put(line, text, cell->bytes);
    } else {
        glyph_shorten(&cut, text, cell->bytes, c->width, glyph_columns);
        if (!cut.failed) put(line, cut.at, cut.length);
        if (!cut.failed) width = (size_t)glyph_width(cut.at, cut.length, glyph_columns);
    }
    bool good = !cut.failed;
    text_buffer_free(&cut);
    line->blanks += c->width - before - width + GAP;
    return good;
}

/* The keys, and the columns from `first` up to `end`. */
static bool show_block(const struct display *d, const struct layout *l, enum group group, size_t first,
                       size_t end, FILE *out) {
    for (size_t row = 0; row < rows_of(d); row++) {
        struct line line = {out, 0};
        if (row > 0 && !in_group(d, row, group)) continue;
        for (size_t i = 0; i < l->n; i++) {
            const struct column *c = &l->columns[i];
            if (!c->key && (i < first || i >= end)) continue;
            if (!show_cell(&line, d, c, row)) return false;
        }
        fputc('\n', out);
    }
    return true;
}

static bool show_blocks(const struct display *d, struct layout *l, enum group group, size_t columns,
                        FILE *out) {
    if (width_of(l, false) - GAP > columns) narrow_keys(l, columns);
    size_t end = 0;
    do {
        while (end < l->n && l->columns[end].key) end++;
        size_t first = end, width = width_of(l, true);
        /* At least one, however wide it is. The last gap is not written. */
        for (; end < l->n; end++) {
            if (l->columns[end].key) continue;
            width += l->columns[end].width + GAP;
            if (width - GAP > columns && end > first) break;
        }
        if (!show_block(d, l, group, first, end, out)) return false;
        if (end < l->n) fputc('\n', out);
    } while (end < l->n);
    return true;
}

static bool show_group(const struct display *d, enum group group, size_t columns, FILE *out) {
    struct layout l;
    bool good = layout_make(&l, d, group) && show_blocks(d, &l, group, columns, out);
    free(l.columns);
    return good;
}

static bool has_terms(const struct display *d) {
    return d->term < d->n_columns && d->n_cells > d->n_columns;
}

bool display_show(const struct display *d, size_t columns, FILE *out) {
    if (!has_terms(d)) return show_group(d, ALL, columns, out);
    if (!show_group(d, TERMS, columns, out)) return false;
    fputc('\n', out);
    return show_group(d, SLICES, columns, out);
}

/* ---- the whole --------------------------------------------------------------------------------------- */

struct display *display_new(const char *csv, size_t length, struct jobs_error *error) {
    struct display *d = calloc(1, sizeof *d);
    struct csv_reader *reader = csv_reader_new(',');
    bool good = d && reader && read_cells(d, reader, csv, length) && d->n_columns > 0;
    csv_reader_free(reader);
    if (good) return d;
    display_free(d);
    jobs_fail_memory(error, "showing the table");
    return NULL;
}

void display_free(struct display *d) {
    if (!d) return;
    free(d->cells);
    text_buffer_free(&d->texts);
    free(d);
}

bool display_is_wide(const struct display *d) {
    return d->wide;
}

static size_t group_columns(const struct display *d, enum group group) {
    struct layout l;
    size_t width = layout_make(&l, d, group) ? width_of(&l, false) : 0;
    free(l.columns);
    return width > GAP ? width - GAP : 0;
}

size_t display_columns(const struct display *d) {
    if (!has_terms(d)) return group_columns(d, ALL);
    size_t terms = group_columns(d, TERMS), slices = group_columns(d, SLICES);
    return terms > slices ? terms : slices;
}
