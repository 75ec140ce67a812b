/* The models of genes. Both read identifiers, number them, and hand arrays to their models (association.h, log2sum.h);
 * what those say goes out in names again.
 *
 * Identifiers are ordered as numbers when all of them are numbers, else by bytes. A row without a patient is an
 * error: its patient would be counted wrongly.
 */
#include "workers/jobs/fit/genomics.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/model/association.h"
#include "workers/jobs/model/log2sum.h"
#include "workers/jobs/table/decimal.h"
#include "workers/jobs/table/intern.h"

/* ---- arrays and names -------------------------------------------------------------------------------- */

/* Grows an array to hold one item more than n. */
static bool grow(void *array, size_t item, size_t n, size_t *room) {
    void **slot = array;
    if (n < *room) return true;
    assert(n == *room);
    size_t bigger = *room ? *room * 2 : 1024;
    void *moved = realloc(*slot, item * bigger);
    if (!moved) return false;
    *slot = moved;
    *room = bigger;
    return true;
}

struct names {
    struct intern *intern;
    uint32_t *rank;   /* by number in order of appearance: the place in order */
    uint32_t *sorted; /* and back */
};

static void names_free(struct names *names) {
    intern_free(names->intern);
    free(names->rank);
    free(names->sorted);
}

struct order {
    const struct intern *intern;
    bool numbers;
};

static int compare_names(const void *a, const void *b, void *context) {
    const struct order *order = context;
    size_t x_length, y_length;
    const char *x = intern_text(order->intern, *(const uint32_t *)a, &x_length);
    const char *y = intern_text(order->intern, *(const uint32_t *)b, &y_length);
    double p = 0, q = 0;
    if (order->numbers) {
        decimal_parse(x, x_length, &p);
        decimal_parse(y, y_length, &q);
        if (p != q) return p < q ? -1 : 1;
    }
    return intern_compare(x, x_length, y, y_length);
}

static bool names_sort(struct names *names) {
    uint32_t n = intern_count(names->intern);
    struct order order = {names->intern, true};
    assert(!names->rank && !names->sorted); /* once, when all names are there: ranks would change */
    names->rank = malloc((n + 1) * sizeof *names->rank);
    names->sorted = malloc((n + 1) * sizeof *names->sorted);
    if (!names->rank || !names->sorted) return false;
    for (uint32_t id = 0; id < n; id++) {
        size_t length;
        double value;
        const char *text = intern_text(names->intern, id, &length);
        order.numbers &= decimal_parse(text, length, &value) != DECIMAL_NOT;
        names->sorted[id] = id;
    }
    qsort_r(names->sorted, n, sizeof *names->sorted, compare_names, &order);
    for (uint32_t i = 0; i < n; i++) names->rank[names->sorted[i]] = i;
    return true;
}

static void put_name(struct results_out *out, const struct names *names, uint32_t place) {
    size_t length;
    assert(place < intern_count(names->intern));
    const char *text = intern_text(names->intern, names->sorted[place], &length);
    results_text(out, text, length);
}

static bool missing_name(const struct dataset *d, const struct dataset_row *row, size_t column,
                         struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA,
                     "%s, line %llu, column \"%s\": the cell is missing; every row needs one", d->name,
                     (unsigned long long)row->line, d->columns[column].name);
}

static bool no_memory(struct jobs_error *error) {
    return jobs_fail_memory(error, "the rows");
}

/* Writes the buffered rows and empties the buffer. */
static bool write_rows(struct results_out *out, FILE *file, struct jobs_error *error) {
    assert(out->at == 0); /* whole ones */
    if (out->text.failed) return no_memory(error);
    text_buffer_write(&out->text, file);
    if (!ferror(file)) return true;
    return jobs_fail(error, JOBS_FAULT_MACHINE, "the table could not be written: %s", strerror(errno));
}

/* ---- associate --------------------------------------------------------------------------------------- */

static const char *const ASSOCIATION_NAMES[] = {
    "variant_id",        "diseased_frequency", "healthy_frequency", "frequency_difference",
    "diseased_carriers", "diseased_patients",  "healthy_carriers",  "healthy_patients",
    "odds_ratio",        "conf_low",           "conf_high",         "p_value"};

struct carriers {
    struct dataset dataset;
    size_t columns[3]; /* variant, status, patient */
    const char *diseased, *healthy;
    uint32_t *variant, *patient;
    uint8_t *status;
    size_t rows, room[3];
    struct names variants, patients;
    struct intern *statuses; /* seen */
};

static void carriers_free(struct carriers *c) {
    free(c->variant);
    free(c->patient);
    free(c->status);
    names_free(&c->variants);
    names_free(&c->patients);
    intern_free(c->statuses);
}

static uint8_t status_of(const struct carriers *c, const struct dataset_cell *cell) {
    if (cell->missing) return ASSOCIATION_UNKNOWN;
    if (strlen(c->diseased) == cell->length && memcmp(c->diseased, cell->text, cell->length) == 0)
        return ASSOCIATION_DISEASED;
    if (strlen(c->healthy) == cell->length && memcmp(c->healthy, cell->text, cell->length) == 0)
        return ASSOCIATION_HEALTHY;
    return ASSOCIATION_UNKNOWN;
}

static bool add_carrier(struct carriers *c, const struct dataset_row *row, struct jobs_error *error) {
    const struct dataset_cell *variant = &row->cells[c->columns[0]], *status = &row->cells[c->columns[1]],
                              *patient = &row->cells[c->columns[2]];
    if (patient->missing) return missing_name(&c->dataset, row, c->columns[2], error);
    if (!grow(&c->variant, sizeof *c->variant, c->rows, &c->room[0]) ||
        !grow(&c->patient, sizeof *c->patient, c->rows, &c->room[1]) ||
        !grow(&c->status, sizeof *c->status, c->rows, &c->room[2])) {
        return no_memory(error);
    }
    uint32_t v = ASSOCIATION_NO_VARIANT;
    if (!variant->missing) v = intern_add(c->variants.intern, variant->text, variant->length);
    uint32_t p = intern_add(c->patients.intern, patient->text, patient->length);
    if ((!variant->missing && v == INTERN_NONE) || p == INTERN_NONE) return no_memory(error);
    if (!status->missing && intern_count(c->statuses) < 8)
        intern_add(c->statuses, status->text, status->length);
    c->variant[c->rows] = v;
    c->patient[c->rows] = p;
    c->status[c->rows++] = status_of(c, status);
    return true;
}

/* A status that no row has is most likely a misspelling. */
static bool check_sides(const struct carriers *c, struct jobs_error *error) {
    bool diseased = false, healthy = false;
    for (size_t i = 0; i < c->rows; i++) {
        diseased |= c->status[i] == ASSOCIATION_DISEASED;
        healthy |= c->status[i] == ASSOCIATION_HEALTHY;
    }
    if (c->rows == 0 || (diseased && healthy)) return true;
    char shown[200] = "";
    size_t used = 0, length;
    for (uint32_t id = 0; id < intern_count(c->statuses) && used + 48 < sizeof shown; id++) {
        const char *text = intern_text(c->statuses, id, &length);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s\"%.*s\"", id ? ", " : "",
                                 length < 40 ? (int)length : 40, text);
    }
    return jobs_fail(error, JOBS_FAULT_DATA,
                     "%s, column \"%s\": no row says \"%.60s\"; name the value with --%s; there is %s",
                     c->dataset.name, c->dataset.columns[c->columns[1]].name,
                     diseased ? c->healthy : c->diseased, diseased ? "healthy" : "diseased",
                     used ? shown : "none but missing ones");
}

static bool read_carriers(struct carriers *c, struct jobs_error *error) {
    enum dataset_status status;
    struct dataset_row row;
    c->variants.intern = intern_new();
    c->patients.intern = intern_new();
    c->statuses = intern_new();
    if (!c->variants.intern || !c->patients.intern || !c->statuses) return no_memory(error);
    while ((status = dataset_next(&c->dataset, &row, error)) == DATASET_ROW) {
        if (!add_carrier(c, &row, error)) return false;
    }
    if (status != DATASET_END || !check_sides(c, error)) return false;
    if (!names_sort(&c->variants)) return no_memory(error);
    for (size_t i = 0; i < c->rows; i++) {
        if (c->variant[i] != ASSOCIATION_NO_VARIANT) c->variant[i] = c->variants.rank[c->variant[i]];
    }
    return true;
}

static void put_milli(struct results_out *out, int32_t milli) {
    char text[16];
    results_verbatim(out, text, association_format_milli(text, milli));
}

static void put_association(struct results_out *out, const struct carriers *c,
                            const struct association_result *result, const struct association_row *row) {
    put_name(out, &c->variants, row->variant);
    put_milli(out, row->diseased_milli);
    put_milli(out, row->healthy_milli);
    put_milli(out, row->difference_milli);
    results_count(out, row->diseased_carriers);
    results_count(out, result->diseased);
    results_count(out, row->healthy_carriers);
    results_count(out, result->healthy);
    results_number(out, row->fisher.odds_ratio);
    results_number(out, row->fisher.conf_low);
    results_number(out, row->fisher.conf_high);
    results_number(out, row->fisher.p.p);
    assert(out->at == 0);
}

static bool write_association(const struct genomics_spec *spec, const struct carriers *c, FILE *file,
                              struct jobs_error *error) {
    struct association_input input = {.variant = c->variant,
                                      .patient = c->patient,
                                      .status = c->status,
                                      .rows = c->rows,
                                      .n_variants = intern_count(c->variants.intern),
                                      .n_patients = intern_count(c->patients.intern)};
    struct association_options options = {.min_patients = (uint32_t)spec->min_patients, .top = spec->top};
    struct association_result result;
    struct results_out out = {.format = spec->format,
                              .names = ASSOCIATION_NAMES,
                              .n_names = sizeof ASSOCIATION_NAMES / sizeof *ASSOCIATION_NAMES};
    if (!association_run(&input, &options, &result)) return no_memory(error);
    results_begin(&out);
    bool good = write_rows(&out, file, error);
    for (size_t i = 0; i < result.count && good; i++) {
        put_association(&out, c, &result, &result.rows[i]);
        good = write_rows(&out, file, error);
    }
    results_end(&out);
    good = good && write_rows(&out, file, error);
    results_out_free(&out);
    association_free(&result);
    return good;
}

/* Opens the input's dataset with columns for text; wanted[i] names the option of names[i]. */
static bool open_texts(struct dataset *d, const struct genomics_file *file, const char *const *names,
                       const char *const *wanted, size_t *columns, size_t n, struct jobs_error *error) {
    if (!dataset_open(d, file->name, file->source, &file->options, error)) return false;
    for (size_t i = 0; i < n; i++) {
        if (!dataset_use(d, names[i], USE_KEY, wanted[i], error)) {
            dataset_close(d);
            return false;
        }
        columns[i] = dataset_find(d, names[i]);
    }
    return true;
}

bool genomics_associate(const struct genomics_spec *spec, const struct genomics_file *rows, FILE *out,
                        struct jobs_error *error) {
    static const char *const wanted[] = {"--variant", "--status", "--patient"};
    const char *names[] = {spec->variant ? spec->variant : "variant_id",
                           spec->status ? spec->status : "disease_status",
                           spec->patient ? spec->patient : "patient_id"};
    struct carriers c = {.diseased = spec->diseased ? spec->diseased : "diseased",
                         .healthy = spec->healthy ? spec->healthy : "healthy"};
    if (!open_texts(&c.dataset, rows, names, wanted, c.columns, 3, error)) return false;
    bool good = read_carriers(&c, error) && write_association(spec, &c, out, error);
    carriers_free(&c);
    dataset_close(&c.dataset);
    return good;
}

/* ---- expression -------------------------------------------------------------------------------------- */

struct expression {
    struct names patients, transcripts, genes;
    struct intern *symbols;
    uint32_t *symbol_of; /* by gene number: a symbol, or INTERN_NONE */
    size_t symbols_room;
    uint32_t *pair_transcript, *pair_gene;
    size_t pairs, pairs_room[2];
    uint32_t *patient, *transcript;
    double *tpm;
    size_t rows, room[3];
};

static void expression_free(struct expression *e) {
    names_free(&e->patients);
    names_free(&e->transcripts);
    names_free(&e->genes);
    intern_free(e->symbols);
    free(e->symbol_of);
    free(e->pair_transcript);
    free(e->pair_gene);
    free(e->patient);
    free(e->transcript);
    free(e->tpm);
}

/* Reads a file of two columns, by position. A row where either is missing is left out. */
static bool read_pairs(const struct genomics_file *file, const char *option,
                       bool (*take)(struct expression *e, const struct dataset *d,
                                    const struct dataset_row *row, struct jobs_error *error),
                       struct expression *e, struct jobs_error *error) {
    struct dataset d;
    enum dataset_status status = DATASET_ERROR;
    struct dataset_row row;
    if (!dataset_open(&d, file->name, file->source, &file->options, error)) return false;
    bool good = d.n_columns == 2 ||
                jobs_fail(error, JOBS_FAULT_DATA, "%s has %zu columns; the file of %s has two, with a header",
                          file->name, d.n_columns, option);
    dataset_use_all(&d, USE_KEY);
    while (good && (status = dataset_next(&d, &row, error)) == DATASET_ROW) {
        if (!row.cells[0].missing && !row.cells[1].missing) good = take(e, &d, &row, error);
    }
    dataset_close(&d);
    return good && status == DATASET_END;
}

static bool take_map(struct expression *e, const struct dataset *d, const struct dataset_row *row,
                     struct jobs_error *error) {
    (void)d;
    uint32_t t = intern_add(e->transcripts.intern, row->cells[0].text, row->cells[0].length);
    uint32_t g = intern_add(e->genes.intern, row->cells[1].text, row->cells[1].length);
    if (t == INTERN_NONE || g == INTERN_NONE ||
        !grow(&e->pair_transcript, sizeof *e->pair_transcript, e->pairs, &e->pairs_room[0]) ||
        !grow(&e->pair_gene, sizeof *e->pair_gene, e->pairs, &e->pairs_room[1])) {
        return no_memory(error);
    }
    e->pair_transcript[e->pairs] = t;
    e->pair_gene[e->pairs++] = g;
    return true;
}

/* Symbols of genes without a transcript are not needed. */
static bool take_symbol(struct expression *e, const struct dataset *d, const struct dataset_row *row,
                        struct jobs_error *error) {
    uint32_t gene = intern_find(e->genes.intern, row->cells[0].text, row->cells[0].length);
    if (gene == INTERN_NONE) return true;
    uint32_t symbol = intern_add(e->symbols, row->cells[1].text, row->cells[1].length);
    if (symbol == INTERN_NONE) return no_memory(error);
    if (e->symbol_of[gene] != INTERN_NONE && e->symbol_of[gene] != symbol) {
        return jobs_fail(error, JOBS_FAULT_DATA, "%s, line %llu: the gene \"%.*s\" has two symbols; keep one",
                         d->name, (unsigned long long)row->line,
                         row->cells[0].length < 60 ? (int)row->cells[0].length : 60, row->cells[0].text);
    }
    e->symbol_of[gene] = symbol;
    return true;
}

static bool read_maps(struct expression *e, const struct genomics_file *map,
                      const struct genomics_file *symbols, struct jobs_error *error) {
    e->patients.intern = intern_new();
    e->transcripts.intern = intern_new();
    e->genes.intern = intern_new();
    e->symbols = intern_new();
    if (!e->patients.intern || !e->transcripts.intern || !e->genes.intern || !e->symbols)
        return no_memory(error);
    if (!read_pairs(map, "--map", take_map, e, error)) return false;
    uint32_t n = intern_count(e->genes.intern);
    e->symbol_of = malloc((n + 1) * sizeof *e->symbol_of);
    if (!e->symbol_of) return no_memory(error);
    for (uint32_t g = 0; g < n; g++) e->symbol_of[g] = INTERN_NONE;
    return !symbols->name || read_pairs(symbols, "--symbols", take_symbol, e, error);
}

static bool add_expression(struct expression *e, const struct dataset *d, const struct dataset_row *row,
                           const size_t *columns, struct jobs_error *error) {
    const struct dataset_cell *patient = &row->cells[columns[0]], *transcript = &row->cells[columns[1]],
                              *tpm = &row->cells[columns[2]];
    if (patient->missing) return missing_name(d, row, columns[0], error);
    if (transcript->missing) return missing_name(d, row, columns[1], error);
    if (tpm->number < 0) {
        return jobs_fail(
            error, JOBS_FAULT_DATA, "%s, line %llu, column \"%s\": %.*s is negative; a TPM is 0 or more",
            d->name, (unsigned long long)row->line, d->columns[columns[2]].name, (int)tpm->length, tpm->text);
    }
    if (!grow(&e->patient, sizeof *e->patient, e->rows, &e->room[0]) ||
        !grow(&e->transcript, sizeof *e->transcript, e->rows, &e->room[1]) ||
        !grow(&e->tpm, sizeof *e->tpm, e->rows, &e->room[2])) {
        return no_memory(error);
    }
    e->patient[e->rows] = intern_add(e->patients.intern, patient->text, patient->length);
    e->transcript[e->rows] = intern_add(e->transcripts.intern, transcript->text, transcript->length);
    if (e->patient[e->rows] == INTERN_NONE || e->transcript[e->rows] == INTERN_NONE) return no_memory(error);
    e->tpm[e->rows++] = tpm->missing ? (double)NAN : tpm->number;
    return true;
}

static bool read_expression(struct expression *e, const struct genomics_spec *spec,
                            const struct genomics_file *rows, struct jobs_error *error) {
    static const char *const wanted[] = {"--patient", "--transcript", "--tpm"};
    const char *names[] = {spec->patient ? spec->patient : "patient_id",
                           spec->transcript ? spec->transcript : "transcript_id",
                           spec->tpm ? spec->tpm : "tpm"};
    struct dataset d;
    size_t columns[3];
    enum dataset_status status = DATASET_ERROR;
    struct dataset_row row;
    if (!open_texts(&d, rows, names, wanted, columns, 3, error)) return false;
    bool good = dataset_use(&d, names[2], USE_NUMBER, wanted[2], error);
    while (good && (status = dataset_next(&d, &row, error)) == DATASET_ROW) {
        good = add_expression(e, &d, &row, columns, error);
    }
    dataset_close(&d);
    return good && status == DATASET_END;
}

/* Numbers patients and genes in the order of the output. */
static bool renumber(struct expression *e, struct jobs_error *error) {
    if (!names_sort(&e->patients) || !names_sort(&e->genes)) return no_memory(error);
    for (size_t i = 0; i < e->rows; i++) e->patient[i] = e->patients.rank[e->patient[i]];
    for (size_t i = 0; i < e->pairs; i++) e->pair_gene[i] = e->genes.rank[e->pair_gene[i]];
    return true;
}

static bool write_expression(const struct genomics_spec *spec, bool symbols, const struct expression *e,
                             const struct log2sum_result *result, FILE *file, struct jobs_error *error) {
    static const char *const names[] = {"patient_id", "gene", "log2_tpm", "symbol"};
    struct results_out out = {.format = spec->format, .names = names, .n_names = symbols ? 4 : 3};
    results_begin(&out);
    bool good = true;
    for (size_t i = 0; i < result->count && good; i++) {
        const struct log2sum_row *row = &result->rows[i];
        put_name(&out, &e->patients, row->patient);
        put_name(&out, &e->genes, row->gene);
        results_number(&out, row->log2_tpm);
        uint32_t symbol = e->symbol_of[e->genes.sorted[row->gene]];
        if (symbols && symbol == INTERN_NONE) {
            results_empty(&out);
        } else if (symbols) {
            size_t length;
            const char *text = intern_text(e->symbols, symbol, &length);
            results_text(&out, text, length);
        }
        if (out.text.length > 1 << 16) good = write_rows(&out, file, error);
    }
    results_end(&out);
    good = good && write_rows(&out, file, error);
    results_out_free(&out);
    return good;
}

static void say_left_out(const struct log2sum_result *result, FILE *notes) {
    if (result->unmapped_rows) {
        fprintf(notes, "%zu row%s of %zu transcript%s without a gene left out\n", result->unmapped_rows,
                result->unmapped_rows == 1 ? "" : "s", result->unmapped_transcripts,
                result->unmapped_transcripts == 1 ? "" : "s");
    }
    if (result->missing_rows) {
        fprintf(notes, "%zu row%s without a TPM ignored\n", result->missing_rows,
                result->missing_rows == 1 ? "" : "s");
    }
}

static bool sum_expression(const struct genomics_spec *spec, bool symbols, const struct expression *e,
                           FILE *out, FILE *notes, struct jobs_error *error) {
    struct log2sum_map map;
    struct log2sum_result result;
    if (!log2sum_map_build(&map, e->pair_transcript, e->pair_gene, e->pairs,
                           intern_count(e->transcripts.intern), intern_count(e->genes.intern))) {
        return no_memory(error);
    }
    struct log2sum_input input = {.patient = e->patient,
                                  .transcript = e->transcript,
                                  .tpm = e->tpm,
                                  .rows = e->rows,
                                  .n_patients = intern_count(e->patients.intern),
                                  .null_as_zero = spec->null_as_zero};
    bool good = log2sum_run(&map, &input, &result) == LOG2SUM_OK || no_memory(error);
    if (good) {
        good = write_expression(spec, symbols, e, &result, out, error);
        if (good && notes) say_left_out(&result, notes);
        log2sum_free(&result);
    }
    log2sum_map_free(&map);
    return good;
}

bool genomics_express(const struct genomics_spec *spec, const struct genomics_file *rows,
                      const struct genomics_file *map, const struct genomics_file *symbols, FILE *out,
                      FILE *notes, struct jobs_error *error) {
    struct expression e = {0};
    bool good = read_maps(&e, map, symbols, error) && read_expression(&e, spec, rows, error) &&
                renumber(&e, error) && sum_expression(spec, symbols->name != NULL, &e, out, notes, error);
    expression_free(&e);
    return good;
}
