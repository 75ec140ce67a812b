/* dataset: see dataset.h. The hot path is read_number, which recognises a missing cell and a short decimal first. */
#include "workers/jobs/table/dataset.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The maximum length of a value or of a list of names in a sentence. */
#define SHOWN 60
#define SHOWN_NAMES 400

/* ---- missing tokens ---------------------------------------------------------------------------------- */

static bool na_list_add(struct na_list *list, const char *text, size_t length) {
    char **tokens = realloc(list->tokens, (list->n + 1) * sizeof *tokens);
    if (!tokens) return false;
    list->tokens = tokens;
    tokens[list->n] = strndup(text, length);
    if (!tokens[list->n]) return false;
    list->n++;
    list->empty |= length == 0;
    list->numeric |= length > 0 && strchr("+-.,0123456789", text[0]);
    return true;
}

/* Copies the first item of a list, without its quotes if all of it is in quotes; returns how much of the list it is. */
static size_t na_item(const char *list, char *out, size_t *length) {
    size_t plain = strcspn(list, ","), n = 0;
    const char *at = list + 1;
    if (*list == '"') {
        for (; *at && (*at != '"' || at[1] == '"'); at++) {
            if (*at == '"') at++;
            out[n++] = *at;
        }
    }
    bool quoted = *list == '"' && *at == '"' && (at[1] == ',' || at[1] == '\0');
    if (!quoted) memcpy(out, list, plain);
    *length = quoted ? n : plain;
    out[*length] = '\0';
    return quoted ? (size_t)(at + 1 - list) : plain;
}

bool na_list_parse(struct na_list *list, const char *text) {
    char *item = malloc(strlen(text) + 1);
    bool good = item != NULL;
    *list = (struct na_list){0};
    while (*text && good) {
        size_t length, taken = na_item(text, item, &length);
        good = na_list_add(list, item, length);
        text += taken;
        if (*text == ',' && text[1] == '\0' && taken > 0) good = good && na_list_add(list, "", 0);
        text += *text == ',';
    }
    if (!good) na_list_free(list);
    free(item);
    return good;
}

void na_list_free(struct na_list *list) {
    for (size_t i = 0; i < list->n; i++) free(list->tokens[i]);
    free(list->tokens);
    *list = (struct na_list){0};
}

bool na_list_has(const struct na_list *list, const char *text, size_t length) {
    if (length == 0) return list->empty;
    for (size_t i = 0; i < list->n; i++) {
        const char *token = list->tokens[i];
        if (token[0] == text[0] && strncmp(token, text, length) == 0 && token[length] == '\0') return true;
    }
    return false;
}

/* ---- life -------------------------------------------------------------------------------------------- */

static bool csv_failed(const struct dataset *d, struct jobs_error *error) {
    const struct csv_error *e = csv_reader_error(d->csv);
    return jobs_fail(error, JOBS_FAULT_DATA, "%s, line %llu, column %llu: %s", d->name,
                     (unsigned long long)e->line, (unsigned long long)e->column, e->text);
}

static bool is_called(const struct csv_field *field, const char *name) {
    return strlen(name) == field->length && memcmp(name, field->at, field->length) == 0;
}

/* Malloc'd. */
static char *name_column(const struct dataset *d, size_t at, const struct csv_field *field) {
    char number[32];
    for (size_t i = 0; i < d->options.n_renames; i++) {
        if (is_called(field, d->options.rename_from[i])) return strdup(d->options.rename_to[i]);
    }
    if (!d->options.allowed.no_header) return strndup(field->at, field->length);
    snprintf(number, sizeof number, "%zu", at + 1);
    return strdup(number);
}

static bool unknown_column(const struct dataset *d, const char *name, const char *wanted_by,
                           struct jobs_error *error) {
    char names[SHOWN_NAMES] = "";
    size_t used = 0;
    for (size_t i = 0; i < d->n_columns; i++) {
        size_t length = strlen(d->columns[i].name);
        if (used + length + 8 > sizeof names) {
            memcpy(names + used, ", …", sizeof ", …");
            break;
        }
        if (i > 0) memcpy(names + used, ", ", 2), used += 2;
        memcpy(names + used, d->columns[i].name, length + 1);
        used += length;
    }
    return jobs_fail(error, JOBS_FAULT_USAGE, "%s: %s has no column \"%.*s\"; it has %s", wanted_by, d->name,
                     SHOWN, name, names);
}

static bool renamed(const struct dataset *d, const char *name) {
    for (size_t i = 0; i < d->options.n_renames; i++) {
        if (strcmp(d->options.rename_to[i], name) == 0) return true;
    }
    return false;
}

/* Every name is a column's, once, and no two columns have one name now. */
static bool check_renames(const struct dataset *d, const struct csv_field *fields, struct jobs_error *error) {
    for (size_t r = 0; r < d->options.n_renames; r++) {
        const char *from = d->options.rename_from[r];
        size_t at = 0;
        while (at < d->n_columns && !is_called(&fields[at], from)) at++;
        if (at == d->n_columns) return unknown_column(d, from, "--rename", error);
        if (strcmp(d->columns[at].name, d->options.rename_to[r]) != 0)
            return jobs_fail(error, JOBS_FAULT_USAGE, "--rename: \"%.60s\" is renamed twice", from);
    }
    for (size_t i = 0; i < d->n_columns && d->options.n_renames > 0; i++) {
        size_t other = dataset_find(d, d->columns[i].name);
        if (other == i || !renamed(d, d->columns[i].name)) continue;
        return jobs_fail(error, JOBS_FAULT_USAGE, "--rename: %s would have two columns called \"%.60s\"",
                         d->name, d->columns[i].name);
    }
    return true;
}

static bool read_header(struct dataset *d, struct jobs_error *error) {
    const struct csv_field *fields;
    size_t n;
    if (csv_reader_read(d->csv, &d->source, &fields, &n) != CSV_RECORD) return csv_failed(d, error);
    d->columns = calloc(n, sizeof *d->columns);
    d->cells = calloc(n, sizeof *d->cells);
    d->used = calloc(n, sizeof *d->used);
    if (!d->columns || !d->cells || !d->used) return jobs_fail_memory(error, "the header");
    d->n_columns = n;
    d->first = fields;
    for (size_t i = 0; i < n; i++) {
        d->columns[i].name = name_column(d, i, &fields[i]);
        if (!d->columns[i].name ||
            !na_list_parse(&d->columns[i].na, d->options.na ? d->options.na : NA_DEFAULT)) {
            return jobs_fail_memory(error, "the header");
        }
        d->columns[i].label = d->columns[i].no_gap = d->columns[i].name[0] == '\0';
    }
    return check_renames(d, fields, error);
}

static bool set_column_tokens(struct dataset *d, struct jobs_error *error) {
    for (size_t i = 0; i < d->options.n_na_columns; i++) {
        size_t at = dataset_find(d, d->options.na_columns[i]);
        if (at == DATASET_NO_COLUMN) return unknown_column(d, d->options.na_columns[i], "--na-column", error);
        na_list_free(&d->columns[at].na);
        if (!na_list_parse(&d->columns[at].na, d->options.na_of[i]))
            return jobs_fail_memory(error, "the header");
    }
    return true;
}

/* A mark inside numbers that also ends them would cut them. */
static bool check_style(const struct dataset *d, char delimiter, struct jobs_error *error) {
    const struct decimal_style *style = &d->options.numbers;
    if (!delimiter) delimiter = ',';
    if ((style->point != delimiter && style->group != delimiter) || d->options.quoted_numbers) return true;
    return jobs_fail(
        error, JOBS_FAULT_USAGE,
        "%s: %s is separated by \"%c\" too; name its delimiter (--delimiter), or, if such numbers stand in "
        "quotes, add --quoted-numbers",
        style->point == delimiter ? "--decimal" : "--thousands", d->name, delimiter);
}

static bool open_reader(struct dataset *d, char delimiter) {
    struct csv_reader *reader = csv_reader_new(delimiter);
    if (!reader) return false;
    csv_reader_allow(reader, &d->options.allowed);
    csv_reader_free(d->csv);
    d->csv = reader;
    return true;
}

bool dataset_open(struct dataset *d, const char *name, struct csv_source source,
                  const struct dataset_options *options, struct jobs_error *error) {
    *d = (struct dataset){.name = name, .first_name = name, .source = source, .options = *options};
    d->styled = !decimal_style_is_plain(&options->numbers);
    if (!check_style(d, options->delimiter, error)) return false;
    if (!open_reader(d, options->delimiter)) return jobs_fail_memory(error, "reading the file");
    if (read_header(d, error) && set_column_tokens(d, error)) return true;
    dataset_close(d);
    return false;
}

void dataset_close(struct dataset *d) {
    for (size_t i = 0; d->columns && i < d->n_columns; i++) {
        free(d->columns[i].name);
        na_list_free(&d->columns[i].na);
    }
    free(d->used);
    free(d->cells);
    free(d->columns);
    csv_reader_free(d->csv);
    *d = (struct dataset){0};
}

/* ---- columns ----------------------------------------------------------------------------------------- */

size_t dataset_find(const struct dataset *d, const char *name) {
    for (size_t i = 0; i < d->n_columns; i++) {
        if (strcmp(d->columns[i].name, name) == 0) return i;
    }
    return DATASET_NO_COLUMN;
}

void dataset_use_at(struct dataset *d, size_t at, unsigned use) {
    if (!d->columns[at].use && use) {
        assert(d->n_used < d->n_columns);
        d->used[d->n_used++] = at;
    }
    d->columns[at].use |= use;
}

bool dataset_use(struct dataset *d, const char *name, unsigned use, const char *wanted_by,
                 struct jobs_error *error) {
    size_t at = dataset_find(d, name);
    if (at == DATASET_NO_COLUMN) return unknown_column(d, name, wanted_by, error);
    dataset_use_at(d, at, use);
    return true;
}

void dataset_use_all(struct dataset *d, unsigned use) {
    for (size_t i = 0; i < d->n_columns; i++) dataset_use_at(d, i, use);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

/* The cell is not what its column needs: stops, or sets it as the options say. */
static bool is_unfit(const struct dataset *d, const struct dataset_column *column,
                     const struct csv_field *field, struct dataset_cell *cell, struct jobs_error *error) {
    if (d->options.text != TEXT_IS_ERROR) {
        cell->number = NAN;
        cell->missing = true;
        cell->bad = d->options.text == TEXT_IS_MARKED;
        return true;
    }
    double value;
    const struct decimal_style *style = &d->options.numbers;
    bool number = decimal_parse_styled(style, field->at, field->length, &value) != DECIMAL_NOT;
    bool unread = field->quoted && !d->options.quoted_numbers;
    int shown = field->length < SHOWN ? (int)field->length : SHOWN;
    const char *why =
        !number && style->point == ','
            ? "is not a number; write a decimal such as -12,5, or name it as a missing-value text"
        : !number ? "is not a number; write a decimal such as -12.5, or name it as a missing-value text"
        : unread  ? "is in quotes, and a quoted cell is text; drop the quotes or allow quoted numbers"
                  : "is negative; a weight is 0 or more";
    return jobs_fail(error, JOBS_FAULT_DATA, "%s, line %llu, column \"%s\": \"%.*s%s\" %s", d->name,
                     (unsigned long long)csv_reader_line(d->csv), column->name, shown, field->at,
                     field->length > SHOWN ? "…" : "", why);
}

static void note_kind(struct dataset *d, struct dataset_column *column, enum decimal_kind kind) {
    if (kind == DECIMAL_INTEGER) return;
    if (kind == DECIMAL_BIG_INTEGER && !column->big_line) {
        column->big_line = csv_reader_line(d->csv);
        column->big_file = d->name;
    }
    if (kind == DECIMAL_NOT && column->n_text++ == 0) {
        column->text_line = csv_reader_line(d->csv);
        column->text_file = d->name;
    }
    enum column_type type = kind == DECIMAL_NOT    ? COLUMN_TEXT
                            : kind == DECIMAL_REAL ? COLUMN_DOUBLE
                                                   : COLUMN_INTEGER;
    if (type > column->type) column->type = type;
}

/* Sets the number of a cell whose column needs one. Compiled twice: numbers that are written plainly must not pay for
 * those that are not. */
static inline __attribute__((always_inline)) bool
read_number(struct dataset *d, struct dataset_column *column, const struct csv_field *field,
            struct dataset_cell *cell, bool styled, struct jobs_error *error) {
    bool may_parse = !field->quoted || d->options.quoted_numbers;
    bool may_miss = !field->quoted || (d->options.quoted_numbers && (column->use & USE_NUMBER));
    enum decimal_kind kind = DECIMAL_NOT;
    /* A missing text may be a number in either style. */
    if (may_miss && (styled || column->na.numeric))
        cell->missing = na_list_has(&column->na, field->at, field->length);
    if (may_parse && !cell->missing) {
        kind = styled ? decimal_parse_styled(&d->options.numbers, field->at, field->length, &cell->number)
                      : decimal_parse(field->at, field->length, &cell->number);
    }
    if (kind == DECIMAL_NOT) {
        cell->number = NAN;
        if (may_miss && !cell->missing) cell->missing = na_list_has(&column->na, field->at, field->length);
        if (cell->missing) return true;
        if (column->use & USE_NUMBER) return is_unfit(d, column, field, cell, error);
    }
    if ((column->use & USE_WEIGHT) && cell->number < 0) return is_unfit(d, column, field, cell, error);
    note_kind(d, column, kind);
    return true;
}

static bool row_has_gap(const struct dataset *d, const struct csv_field *fields) {
    for (size_t i = 0; i < d->n_columns; i++) {
        if (!fields[i].quoted && !d->columns[i].no_gap &&
            na_list_has(&d->columns[i].na, fields[i].at, fields[i].length))
            return true;
    }
    return false;
}

static inline __attribute__((always_inline)) bool read_cells(struct dataset *d,
                                                             const struct csv_field *fields,
                                                             struct dataset_row *row, bool styled,
                                                             struct jobs_error *error) {
    for (size_t u = 0; u < d->n_used; u++) {
        size_t at = d->used[u];
        const struct csv_field *field = &fields[at];
        struct dataset_column *column = &d->columns[at];
        struct dataset_cell *cell = &d->cells[at];
        cell->text = field->at;
        cell->length = field->length;
        cell->quoted = field->quoted;
        cell->missing = cell->bad = false;
        if (column->use & (USE_NUMBER | USE_TYPE)) {
            if (!read_number(d, column, field, cell, styled, error)) return false;
            row->bad |= cell->bad;
        } else {
            cell->missing = !field->quoted && na_list_has(&column->na, field->at, field->length);
        }
        column->n_missing += cell->missing;
    }
    return true;
}

static bool read_styled_cells(struct dataset *d, const struct csv_field *fields, struct dataset_row *row,
                              struct jobs_error *error) {
    return read_cells(d, fields, row, true, error);
}

static enum dataset_status take_record(struct dataset *d, const struct csv_field *fields,
                                       struct dataset_row *row, struct jobs_error *error) {
    *row = (struct dataset_row){.cells = d->cells, .line = csv_reader_line(d->csv)};
    bool good =
        d->styled ? read_styled_cells(d, fields, row, error) : read_cells(d, fields, row, false, error);
    if (!good) return DATASET_ERROR;
    row->gap = (d->options.want_gaps && row_has_gap(d, fields)) || row->bad;
    d->n_rows++;
    return DATASET_ROW;
}

enum dataset_status dataset_first(struct dataset *d, struct dataset_row *row, struct jobs_error *error) {
    assert(d->options.allowed.no_header && d->first && d->n_rows == 0);
    return take_record(d, d->first, row, error);
}

/* ---- further files ----------------------------------------------------------------------------------- */

/* Their names are shown whole, and where they differ. */
static bool check_same_header(const struct dataset *d, const struct csv_field *fields, size_t n,
                              struct jobs_error *error) {
    if (n != d->n_columns) {
        return jobs_fail(
            error, JOBS_FAULT_DATA,
            "%s has %zu column%s, but %s has %zu; files that are read together have the same header", d->name,
            n, n == 1 ? "" : "s", d->first_name, d->n_columns);
    }
    for (size_t i = 0; i < n; i++) {
        char *name = name_column(d, i, &fields[i]);
        if (!name) return jobs_fail_memory(error, "the header");
        bool same = strcmp(name, d->columns[i].name) == 0;
        if (!same) {
            jobs_fail(error, JOBS_FAULT_DATA,
                      "%s, line %llu: column %zu is \"%.*s\", but in %s it is \"%.*s\"; files that are read "
                      "together have the same header",
                      d->name, (unsigned long long)csv_reader_line(d->csv), i + 1, SHOWN, name, d->first_name,
                      SHOWN, d->columns[i].name);
        }
        free(name);
        if (!same) return false;
    }
    return true;
}

/* Goes on with the next file, up to its first row. DATASET_END: there is none. */
static enum dataset_status open_next(struct dataset *d, struct jobs_error *error) {
    const struct csv_field *fields;
    struct dataset_file file = {0};
    size_t n;
    if (d->options.more) d->options.more->next(d->options.more->context, &file);
    if (!file.name) {
        if (d->options.more) d->name = d->options.more->together;
        return DATASET_END;
    }
    d->name = file.name;
    d->source = file.source;
    if (!check_style(d, file.delimiter, error)) return DATASET_ERROR;
    if (!open_reader(d, file.delimiter)) {
        jobs_fail_memory(error, "reading the file");
        return DATASET_ERROR;
    }
    if (csv_reader_read(d->csv, &d->source, &fields, &n) != CSV_RECORD) {
        csv_failed(d, error);
        return DATASET_ERROR;
    }
    return check_same_header(d, fields, n, error) ? DATASET_ROW : DATASET_ERROR;
}

enum dataset_status dataset_next(struct dataset *d, struct dataset_row *row, struct jobs_error *error) {
    const struct csv_field *fields;
    size_t n;
    enum csv_status status;
    while ((status = csv_reader_read(d->csv, &d->source, &fields, &n)) == CSV_END) {
        enum dataset_status next = open_next(d, error);
        if (next != DATASET_ROW) return next;
    }
    if (status != CSV_RECORD) {
        csv_failed(d, error);
        return DATASET_ERROR;
    }
    assert(n == d->n_columns);
    return take_record(d, fields, row, error);
}
