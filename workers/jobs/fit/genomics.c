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
#include "workers/jobs/report/summary.h"
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

/* A status's value; where it is a number, cells that say that number in another way are meant too. */
struct side {
    const char *text;
    double number; /* NAN: it is none */
};

struct carriers {
    struct dataset dataset;
    size_t columns[3]; /* variant, status, patient */
    struct side diseased, healthy;
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

static struct side side_of(const char *text, const struct decimal_style *style) {
    struct side side = {text, NAN};
    if (decimal_parse_styled(style, text, strlen(text), &side.number) == DECIMAL_NOT) side.number = NAN;
    return side;
}

static bool is_side(const struct side *side, const struct dataset_cell *cell,
                    const struct decimal_style *style) {
    double number;
    if (strlen(side->text) == cell->length && memcmp(side->text, cell->text, cell->length) == 0) return true;
    if (isnan(side->number) || cell->quoted) return false;
    return decimal_parse_styled(style, cell->text, cell->length, &number) != DECIMAL_NOT &&
           number == side->number;
}

static uint8_t status_of(const struct carriers *c, const struct dataset_cell *cell) {
    if (cell->missing) return ASSOCIATION_UNKNOWN;
    const struct decimal_style *style = &c->dataset.options.numbers;
    if (is_side(&c->diseased, cell, style)) return ASSOCIATION_DISEASED;
    return is_side(&c->healthy, cell, style) ? ASSOCIATION_HEALTHY : ASSOCIATION_UNKNOWN;
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
                     diseased ? c->healthy.text : c->diseased.text, diseased ? "healthy" : "diseased",
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

static void sum_up_association(const struct carriers *c, const struct association_result *result,
                               FILE *notes) {
    struct summary summary = {.rows = c->rows};
    for (size_t i = 0; i < c->rows; i++) summary.dropped += c->status[i] == ASSOCIATION_UNKNOWN;
    uint32_t variants = intern_count(c->variants.intern);
    snprintf(summary.results, sizeof summary.results,
             "%u variant%s of %u diseased and %u healthy patients, %zu shown", variants,
             variants == 1 ? "" : "s", result->diseased, result->healthy, result->count);
    summary_write(&summary, notes);
}

static bool write_association(const struct genomics_spec *spec, const struct carriers *c, FILE *file,
                              FILE *notes, struct jobs_error *error) {
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
    if (good && notes) sum_up_association(c, &result, notes);
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
                        FILE *notes, struct jobs_error *error) {
    static const char *const wanted[] = {"--variant", "--status", "--patient"};
    const char *names[] = {spec->variant ? spec->variant : "variant_id",
                           spec->status ? spec->status : "disease_status",
                           spec->patient ? spec->patient : "patient_id"};
    const struct decimal_style *style = &rows->options.numbers;
    struct carriers c = {.diseased = side_of(spec->diseased ? spec->diseased : "diseased", style),
                         .healthy = side_of(spec->healthy ? spec->healthy : "healthy", style)};
    if (c.diseased.number == c.healthy.number)
        return jobs_fail(error, JOBS_FAULT_USAGE, "--diseased and --healthy name the same number");
    if (!open_texts(&c.dataset, rows, names, wanted, c.columns, 3, error)) return false;
    bool good = read_carriers(&c, error) && write_association(spec, &c, out, notes, error);
    carriers_free(&c);
    dataset_close(&c.dataset);
    return good;
}

/* ---- expression -------------------------------------------------------------------------------------- */

struct expression {
    bool ignore_version;
    /* The map's transcripts come first: those below n_mapped have a gene. */
    struct names patients, transcripts, genes;
    uint32_t n_mapped;
    char *header;         /* what the map's header calls the transcripts; NULL: it has none */
    struct intern *bases; /* names of genes by which symbols are found */
    struct intern *symbols;
    uint32_t *symbol_of; /* by base: a symbol, or INTERN_NONE */
    size_t n_symbol_of, symbols_room;
    uint32_t *pair_transcript, *pair_gene;
    size_t pairs, pairs_room[2];
    uint32_t *patient, *transcript;
    double *tpm;
    size_t rows, room[3];
    size_t mapped_rows;
};

static void expression_free(struct expression *e) {
    names_free(&e->patients);
    names_free(&e->transcripts);
    names_free(&e->genes);
    intern_free(e->bases);
    intern_free(e->symbols);
    free(e->header);
    free(e->symbol_of);
    free(e->pair_transcript);
    free(e->pair_gene);
    free(e->patient);
    free(e->transcript);
    free(e->tpm);
}

/* The length of an identifier without its version: of ENST00000456328.2 the part before the point. */
static size_t bare_length(const struct expression *e, const char *text, size_t length) {
    size_t end = length;
    if (!e->ignore_version) return length;
    while (end > 0 && text[end - 1] >= '0' && text[end - 1] <= '9') end--;
    return end > 1 && end < length && text[end - 1] == '.' ? end - 1 : length;
}

static uint32_t add_bare(const struct expression *e, struct intern *in, const struct dataset_cell *cell) {
    return intern_add(in, cell->text, bare_length(e, cell->text, cell->length));
}

static uint32_t find_bare(const struct expression *e, const struct intern *in, const char *text,
                          size_t length) {
    return intern_find(in, text, bare_length(e, text, length));
}

/* ---- maps -------------------------------------------------------------------------------------------- */

/* A row of a file of pairs; `third` is NULL in a file of two columns. */
struct pair {
    const struct dataset *d;
    uint64_t line;
    const struct dataset_cell *first, *second, *third;
};
typedef bool take_pair(struct expression *e, const struct pair *pair, struct jobs_error *error);

/* Its columns, by position, row labels aside. */
static bool find_columns(const struct dataset *d, const char *option, size_t most, size_t columns[3],
                         size_t *n, struct jobs_error *error) {
    size_t all = 0;
    for (size_t i = 0; i < d->n_columns; i++) {
        if (d->columns[i].label) continue;
        if (all < 3) columns[all] = i;
        all++;
    }
    *n = all;
    if (all >= 2 && all <= most) return true;
    return jobs_fail(
        error, JOBS_FAULT_DATA,
        "%s has %zu column%s; the file of %s has two%s; is it separated by something else (%s-delimiter)?",
        d->name, all, all == 1 ? "" : "s", option,
        most > 2 ? ", transcript and gene, or three, with the symbol" : ", gene and symbol", option);
}

static bool read_rows_of_pairs(struct expression *e, struct dataset *d, const size_t columns[3], size_t n,
                               bool no_header, take_pair *take, struct jobs_error *error) {
    struct dataset_row row;
    enum dataset_status status = no_header ? dataset_first(d, &row, error) : dataset_next(d, &row, error);
    for (; status == DATASET_ROW; status = dataset_next(d, &row, error)) {
        struct pair pair = {d, row.line, &row.cells[columns[0]], &row.cells[columns[1]],
                            n > 2 ? &row.cells[columns[2]] : NULL};
        if (!pair.first->missing && !pair.second->missing && !take(e, &pair, error)) return false;
    }
    return status == DATASET_END;
}

/* Reads a file of pairs. A row where either is missing is left out. header is set to what the first column is called;
 * it is malloc'd, and NULL in a file without a header. */
static bool read_pairs(const struct genomics_file *file, const char *option, size_t most, take_pair *take,
                       struct expression *e, char **header, size_t *n, struct jobs_error *error) {
    struct dataset d;
    size_t columns[3];
    if (!dataset_open(&d, file->name, file->source, &file->options, error)) return false;
    bool good = find_columns(&d, option, most, columns, n, error);
    if (good && !file->options.allowed.no_header) {
        *header = strdup(d.columns[columns[0]].name);
        good = *header || no_memory(error);
    }
    dataset_use_all(&d, USE_KEY);
    good = good && read_rows_of_pairs(e, &d, columns, *n, file->options.allowed.no_header, take, error);
    dataset_close(&d);
    return good;
}

/* Of the header of a file of pairs that is none. */
static bool is_data(const struct genomics_file *file, const char *header, const char *what, const char *where,
                    const char *option, struct jobs_error *error) {
    return jobs_fail(
        error, JOBS_FAULT_DATA,
        "%s, line 1: \"%.60s\" is a %s of %s, so this line is data and not a header; say so with %s",
        file->name, header, what, where, option);
}

static bool set_symbol(struct expression *e, const struct pair *pair, uint32_t base,
                       const struct dataset_cell *gene, const struct dataset_cell *cell,
                       struct jobs_error *error) {
    uint32_t symbol = intern_add(e->symbols, cell->text, cell->length);
    if (symbol == INTERN_NONE) return no_memory(error);
    while (e->n_symbol_of <= base) {
        if (!grow(&e->symbol_of, sizeof *e->symbol_of, e->n_symbol_of, &e->symbols_room))
            return no_memory(error);
        e->symbol_of[e->n_symbol_of++] = INTERN_NONE;
    }
    if (e->symbol_of[base] != INTERN_NONE && e->symbol_of[base] != symbol) {
        return jobs_fail(error, JOBS_FAULT_DATA, "%s, line %llu: the gene \"%.*s\" has two symbols; keep one",
                         pair->d->name, (unsigned long long)pair->line,
                         gene->length < 60 ? (int)gene->length : 60, gene->text);
    }
    e->symbol_of[base] = symbol;
    return true;
}

static bool take_map(struct expression *e, const struct pair *pair, struct jobs_error *error) {
    uint32_t t = add_bare(e, e->transcripts.intern, pair->first);
    uint32_t g = intern_add(e->genes.intern, pair->second->text, pair->second->length);
    uint32_t base = add_bare(e, e->bases, pair->second);
    if (t == INTERN_NONE || g == INTERN_NONE || base == INTERN_NONE ||
        !grow(&e->pair_transcript, sizeof *e->pair_transcript, e->pairs, &e->pairs_room[0]) ||
        !grow(&e->pair_gene, sizeof *e->pair_gene, e->pairs, &e->pairs_room[1])) {
        return no_memory(error);
    }
    e->pair_transcript[e->pairs] = t;
    e->pair_gene[e->pairs++] = g;
    if (!pair->third || pair->third->missing) return true;
    return set_symbol(e, pair, base, pair->second, pair->third, error);
}

/* Symbols of genes without a transcript are not needed. */
static bool take_symbol(struct expression *e, const struct pair *pair, struct jobs_error *error) {
    uint32_t base = find_bare(e, e->bases, pair->first->text, pair->first->length);
    return base == INTERN_NONE || set_symbol(e, pair, base, pair->first, pair->second, error);
}

static bool read_symbols(struct expression *e, const struct genomics_file *symbols,
                         const struct genomics_file *map, struct jobs_error *error) {
    char *header = NULL;
    size_t n;
    bool good = read_pairs(symbols, "--symbols", 2, take_symbol, e, &header, &n, error);
    if (good && header && find_bare(e, e->bases, header, strlen(header)) != INTERN_NONE)
        good = is_data(symbols, header, "gene", map->name, "--no-symbols-header", error);
    free(header);
    return good;
}

/* *named: there are symbols. */
static bool read_maps(struct expression *e, const struct genomics_file *map,
                      const struct genomics_file *symbols, bool *named, struct jobs_error *error) {
    size_t n;
    e->patients.intern = intern_new();
    e->transcripts.intern = intern_new();
    e->genes.intern = intern_new();
    e->bases = intern_new();
    e->symbols = intern_new();
    if (!e->patients.intern || !e->transcripts.intern || !e->genes.intern || !e->bases || !e->symbols)
        return no_memory(error);
    if (!read_pairs(map, "--map", 3, take_map, e, &e->header, &n, error)) return false;
    e->n_mapped = intern_count(e->transcripts.intern);
    *named = n > 2 || symbols->name;
    if (n > 2 && symbols->name) {
        return jobs_fail(error, JOBS_FAULT_USAGE,
                         "--symbols: the third column of %s has symbols already; leave one out", map->name);
    }
    return !symbols->name || read_symbols(e, symbols, map, error);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

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
    e->transcript[e->rows] = add_bare(e, e->transcripts.intern, transcript);
    if (e->patient[e->rows] == INTERN_NONE || e->transcript[e->rows] == INTERN_NONE) return no_memory(error);
    e->mapped_rows += e->transcript[e->rows] < e->n_mapped;
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

/* A map that has a row's transcript for its header has no header. */
static bool check_header(const struct expression *e, const struct genomics_file *map,
                         const struct genomics_file *rows, struct jobs_error *error) {
    uint32_t id = e->header ? find_bare(e, e->transcripts.intern, e->header, strlen(e->header)) : INTERN_NONE;
    for (size_t i = 0; i < e->rows && id != INTERN_NONE; i++) {
        if (e->transcript[i] == id)
            return is_data(map, e->header, "transcript", rows->name, "--no-map-header", error);
    }
    return true;
}

static bool has_version(const char *text, size_t length) {
    return bare_length(&(struct expression){.ignore_version = true}, text, length) < length;
}

/* Rows of which none has a gene are most likely a map of other identifiers. */
static bool check_mapped(const struct expression *e, const struct genomics_file *map,
                         const struct genomics_file *rows, struct jobs_error *error) {
    size_t ours_length, theirs_length;
    if (e->mapped_rows > 0 || e->rows == 0) return true;
    if (e->pairs == 0) {
        return jobs_fail(error, JOBS_FAULT_DATA,
                         "%s has no row of a transcript and a gene, so nothing can be summed", map->name);
    }
    const char *ours = intern_text(e->transcripts.intern, e->transcript[0], &ours_length);
    const char *theirs = intern_text(e->transcripts.intern, e->pair_transcript[0], &theirs_length);
    bool versions = has_version(ours, ours_length) || has_version(theirs, theirs_length);
    return jobs_fail(
        error, JOBS_FAULT_DATA,
        "no transcript of %s is in %s: there is \"%.60s\" in the one and \"%.60s\" in the other%s",
        rows->name, map->name, ours, theirs,
        versions ? "; --ignore-version takes ENST1.2 for ENST1" : "; give a map of the same identifiers");
}

/* Numbers patients and genes in the order of the output. */
static bool renumber(struct expression *e, struct jobs_error *error) {
    if (!names_sort(&e->patients) || !names_sort(&e->genes)) return no_memory(error);
    for (size_t i = 0; i < e->rows; i++) e->patient[i] = e->patients.rank[e->patient[i]];
    for (size_t i = 0; i < e->pairs; i++) e->pair_gene[i] = e->genes.rank[e->pair_gene[i]];
    return true;
}

static void put_symbol(struct results_out *out, const struct expression *e, uint32_t gene) {
    size_t length;
    const char *text = intern_text(e->genes.intern, e->genes.sorted[gene], &length);
    uint32_t base = find_bare(e, e->bases, text, length);
    uint32_t symbol = base < e->n_symbol_of ? e->symbol_of[base] : INTERN_NONE;
    if (symbol == INTERN_NONE) {
        results_empty(out);
        return;
    }
    text = intern_text(e->symbols, symbol, &length);
    results_text(out, text, length);
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
        if (symbols) put_symbol(&out, e, row->gene);
        if (out.text.length > 1 << 16) good = write_rows(&out, file, error);
    }
    results_end(&out);
    good = good && write_rows(&out, file, error);
    results_out_free(&out);
    return good;
}

static void say_left_out(const struct expression *e, const struct log2sum_result *result, FILE *notes) {
    struct summary summary = {.rows = e->rows, .dropped = result->unmapped_rows};
    if (result->unmapped_rows) {
        fprintf(notes, "%zu row%s of %zu transcript%s without a gene left out\n", result->unmapped_rows,
                result->unmapped_rows == 1 ? "" : "s", result->unmapped_transcripts,
                result->unmapped_transcripts == 1 ? "" : "s");
    }
    if (result->missing_rows) {
        fprintf(notes, "%zu row%s without a TPM ignored\n", result->missing_rows,
                result->missing_rows == 1 ? "" : "s");
    }
    summary_add(&summary.more, "without a TPM", result->missing_rows);
    uint32_t patients = intern_count(e->patients.intern);
    snprintf(summary.results, sizeof summary.results, "%zu value%s of %u patient%s", result->count,
             result->count == 1 ? "" : "s", patients, patients == 1 ? "" : "s");
    summary_write(&summary, notes);
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
        if (good && notes) say_left_out(e, &result, notes);
        log2sum_free(&result);
    }
    log2sum_map_free(&map);
    return good;
}

bool genomics_express(const struct genomics_spec *spec, const struct genomics_file *rows,
                      const struct genomics_file *map, const struct genomics_file *symbols, FILE *out,
                      FILE *notes, struct jobs_error *error) {
    struct expression e = {.ignore_version = spec->ignore_version};
    bool named = false;
    bool good = read_maps(&e, map, symbols, &named, error) && read_expression(&e, spec, rows, error) &&
                check_header(&e, map, rows, error) && check_mapped(&e, map, rows, error) &&
                renumber(&e, error) && sum_expression(spec, named, &e, out, notes, error);
    expression_free(&e);
    return good;
}
