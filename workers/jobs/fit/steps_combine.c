/*
 * steps_combine: the third step of steps.h.
 *
 * 1. Each table's header is read; all must be the same. The slice columns are those before the first of the fixed
 *    ones, whose names no slice column may have (grouped_open checks that).
 * 2. The rows of one slice are adjacent; their cells are copied unchanged into the collector.
 * 3. The collector gives the slices back in the order of their keys.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/steps_internal.h"
#include "workers/jobs/missing/collector.h"
#include "workers/jobs/table/decimal.h"

struct combining {
    const struct steps_combine_options *options;
    const struct steps_table *table; /* the current one */
    char **names;                    /* of the first table's columns */
    size_t n_names, n_keys;
    bool *is_text; /* per column: in JSON a string */
    struct slice_kinds kinds;
    struct collector *collector;
    struct slice_cell *cells; /* of the current key */
    char *room, *last;
    size_t room_size, last_size, last_length;
    bool open; /* a slice is being assembled: its key is in `last` */
    struct results_out out;
    FILE *file;
    bool any;
    struct summary summary;
};

static bool not_a_table(const struct combining *c, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "%s is not a table of jobs fit; give what jobs fit wrote as CSV",
                     c->table->name);
}

/* ---- headers ----------------------------------------------------------------------------------------- */

/* The first fixed column ends the slice columns: "status" of a long table, "n" of a wide one. Which columns hold
 * texts follows from it. */
static bool describe(struct combining *c, struct jobs_error *error) {
    size_t k = 0;
    while (k < c->n_names && strcmp(c->names[k], "status") != 0 && strcmp(c->names[k], "n") != 0) k++;
    if (k == c->n_names) return not_a_table(c, error);
    bool wide = strcmp(c->names[k], "n") == 0;
    c->n_keys = k;
    c->is_text = calloc(c->n_names + 1, sizeof *c->is_text);
    c->cells = calloc(k + 1, sizeof *c->cells);
    if (!c->is_text || !c->cells || !slice_kinds_open(&c->kinds, k))
        return jobs_fail_memory(error, "the table");
    for (size_t i = 0; i < c->n_names; i++) {
        const char *name = c->names[i];
        bool said =
            strcmp(name, "status") == 0 || strcmp(name, "dropped_terms") == 0 || strcmp(name, "term") == 0;
        c->is_text[i] = i < k || (wide ? i + 1 == c->n_names : said);
    }
    size_t memory = c->options->memory ? c->options->memory : GROUPED_MEMORY / 8;
    c->collector = collector_new(k, c->options->scratch_dir, memory, error);
    return c->collector != NULL;
}

static bool take_first_header(struct combining *c, const struct csv_field *fields, size_t n,
                              struct jobs_error *error) {
    c->names = calloc(n + 1, sizeof *c->names);
    if (!c->names) return jobs_fail_memory(error, "the table");
    for (size_t i = 0; i < n; i++) {
        c->names[i] = strndup(fields[i].at, fields[i].length);
        if (!c->names[i]) return jobs_fail_memory(error, "the table");
        c->n_names++;
    }
    c->out = (struct results_out){.format = c->options->format,
                                  .names = (const char *const *)c->names,
                                  .n_names = n,
                                  .continued = true};
    return describe(c, error);
}

static bool take_header(struct combining *c, const struct csv_field *fields, size_t n,
                        struct jobs_error *error) {
    if (!c->names) return take_first_header(c, fields, n, error);
    bool same = n == c->n_names;
    for (size_t i = 0; i < n && same; i++) {
        same = strlen(c->names[i]) == fields[i].length &&
               memcmp(c->names[i], fields[i].at, fields[i].length) == 0;
    }
    return same || jobs_fail(error, JOBS_FAULT_DATA,
                             "%s has other columns than the tables before it; combine tables of one job",
                             c->table->name);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static bool put_slice(struct combining *c, struct jobs_error *error) {
    bool twice = false;
    struct slice_key key = {c->last, c->last_length};
    if (!c->open) return true;
    assert(c->out.at == 0);
    c->open = false;
    if (c->out.text.failed) return jobs_fail_memory(error, "the table");
    bool good = collector_put(c->collector, key, c->out.text.at, c->out.text.length, &twice, error);
    c->out.text.length = 0;
    if (!twice) return good;
    char title[SLICE_TITLE_ROOM];
    slice_key_title(key, (const char *const *)c->names, c->n_keys, title);
    return jobs_fail(error, JOBS_FAULT_DATA, "%s: the slice %s has come before; give every part's table once",
                     c->table->name, title);
}

/* Begins a new slice when the row's key is another one. */
static bool take_key(struct combining *c, const struct csv_field *fields, bool *is_new,
                     struct jobs_error *error) {
    struct slice_key key;
    *is_new = false;
    for (size_t i = 0; i < c->n_keys; i++) {
        bool missing = fields[i].length == 0 && !fields[i].quoted;
        c->cells[i] = (struct slice_cell){fields[i].at, fields[i].length, missing};
    }
    if (!slice_key_encode(c->cells, c->n_keys, &c->room, &c->room_size, &key)) {
        return jobs_fail_memory(error, "the slice keys");
    }
    if (c->open && key.length == c->last_length && memcmp(key.bytes, c->last, key.length) == 0) return true;
    if (!put_slice(c, error)) return false;
    slice_kinds_note(&c->kinds, c->cells);
    char *room = c->last;
    size_t size = c->last_size;
    c->last = c->room;
    c->last_size = c->room_size;
    c->last_length = key.length;
    c->room = room;
    c->room_size = size;
    c->open = *is_new = true;
    return true;
}

/* ---- what the tables say ------------------------------------------------------------------------------ */

static size_t find_name(const struct combining *c, const char *name) {
    size_t at = c->n_keys;
    while (at < c->n_names && strcmp(c->names[at], name) != 0) at++;
    return at;
}

/* The number in a cell of a row; 0 when there is no such column, or the cell is empty. */
static uint64_t count_in(const struct combining *c, const struct csv_field *fields, const char *name) {
    size_t at = find_name(c, name);
    double value;
    if (at == c->n_names || decimal_parse(fields[at].at, fields[at].length, &value) == DECIMAL_NOT) return 0;
    return value > 0 && value < 0x1p53 ? (uint64_t)value : 0;
}

static const char *status_in(const struct combining *c, const struct csv_field *fields) {
    size_t at = find_name(c, "status");
    for (int i = 0; at < c->n_names && i < GROUPED_STATUSES; i++) {
        const char *name = fit_status_name((enum fit_status)i);
        if (strlen(name) == fields[at].length && memcmp(name, fields[at].at, fields[at].length) == 0)
            return name;
    }
    return "of another status";
}

/* Adds a slice, whose first row this is. */
static void sum_up(struct combining *c, const struct csv_field *fields) {
    struct summary *s = &c->summary;
    uint64_t dropped = count_in(c, fields, "n_dropped"), by_mean = count_in(c, fields, "n_imputed_by_mean");
    s->slices++;
    s->rows += count_in(c, fields, "n") + dropped;
    s->dropped += dropped;
    s->fills |= find_name(c, "n_imputed") < c->n_names;
    summary_add(&s->filled, "", count_in(c, fields, "n_imputed") - by_mean);
    summary_add(&s->filled, SUMMARY_BY_MEAN, by_mean);
    summary_add(&s->statuses, status_in(c, fields), 1);
}

/* Copies a cell unchanged. */
static bool take_cell(struct combining *c, size_t at, const struct csv_field *field) {
    double value;
    if (field->length == 0 && !field->quoted) {
        results_empty(&c->out);
    } else if (c->is_text[at]) {
        results_text(&c->out, field->at, field->length);
    } else {
        if (decimal_parse(field->at, field->length, &value) == DECIMAL_NOT) return false;
        results_verbatim(&c->out, field->at, field->length);
    }
    return true;
}

static bool take_row(struct combining *c, const struct csv_field *fields, struct jobs_error *error) {
    bool is_new;
    if (!take_key(c, fields, &is_new, error)) return false;
    if (is_new) sum_up(c, fields);
    for (size_t i = 0; i < c->n_names; i++) {
        if (!take_cell(c, i, &fields[i])) return not_a_table(c, error);
    }
    return true;
}

static bool read_table(struct combining *c, struct jobs_error *error) {
    struct csv_reader *reader = csv_reader_new(',');
    const struct csv_field *fields;
    enum csv_status status = CSV_ERROR;
    size_t n;
    bool good = reader != NULL, header = true;
    if (!reader) return jobs_fail_memory(error, "the table");
    while (good && (status = csv_reader_read(reader, &c->table->source, &fields, &n)) == CSV_RECORD) {
        assert(header || n == c->n_names); /* the reader refuses rows of another width than the header's */
        good = header ? take_header(c, fields, n, error) : take_row(c, fields, error);
        header = false;
    }
    if (good && status == CSV_ERROR) {
        const struct csv_error *e = csv_reader_error(reader);
        good = jobs_fail(error, JOBS_FAULT_DATA, "%s, line %llu, column %llu: %s", c->table->name,
                         (unsigned long long)e->line, (unsigned long long)e->column, e->text);
    }
    csv_reader_free(reader);
    return good && put_slice(c, error);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static bool write_slice(void *context, struct slice_key key, const char *text, size_t length,
                        struct jobs_error *error) {
    struct combining *c = context;
    (void)key;
    bool comma = c->options->format == RESULTS_JSON && !c->any && length > 0;
    c->any = true;
    fwrite(text + comma, 1, length - comma, c->file);
    return !ferror(c->file) || grouped_write_failed(error);
}

static bool write_frame(struct combining *c, void (*frame)(struct results_out *), struct jobs_error *error) {
    c->out.text.length = 0;
    frame(&c->out);
    if (c->out.text.failed) return jobs_fail_memory(error, "the table");
    text_buffer_write(&c->out.text, c->file);
    return !ferror(c->file) || grouped_write_failed(error);
}

static void combining_free(struct combining *c) {
    for (size_t i = 0; i < c->n_names; i++) free(c->names[i]);
    free(c->names);
    free(c->is_text);
    free(c->cells);
    free(c->room);
    free(c->last);
    slice_kinds_close(&c->kinds);
    collector_free(c->collector);
    results_out_free(&c->out);
}

bool steps_combine(const struct steps_table *tables, size_t n, const struct steps_combine_options *options,
                   FILE *out, struct jobs_error *error) {
    struct combining c = {.options = options, .file = out, .summary = {.tables = n}};
    bool good = n > 0 || jobs_fail(error, JOBS_FAULT_USAGE, "there is no table to combine");
    for (size_t i = 0; i < n && good; i++) {
        c.table = &tables[i];
        good = read_table(&c, error);
    }
    good = good && write_frame(&c, results_begin, error) &&
           collector_write(c.collector, &c.kinds, write_slice, &c, error) &&
           write_frame(&c, results_end, error) && (fflush(out) == 0 || grouped_write_failed(error));
    if (good && options->notes) summary_write(&c.summary, options->notes);
    combining_free(&c);
    return good;
}
