/* results: see results.h. A cell's name is found by its position, so slice_cells and term_cells have the same order
 * as results_names. */
#include "workers/jobs/report/results.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const hc_names[FIT_HC_COUNT] = {"se_hc0", "se_hc1", "se_hc2", "se_hc3"};

/* ---- cells ------------------------------------------------------------------------------------------- */

void results_out_free(struct results_out *out) {
    text_buffer_free(&out->text);
}

/* Writes what comes before a cell. */
static void open_cell(struct results_out *out) {
    assert(out->at < out->n_names);
    struct text_buffer *text = &out->text;
    if (out->format == RESULTS_CSV) {
        if (out->at > 0) text_buffer_char(text, ',');
        return;
    }
    if (out->at == 0) {
        text_buffer_string(text, out->continued ? ",\n{" : "\n{");
        out->continued = true;
    } else {
        text_buffer_char(text, ',');
    }
    text_buffer_json(text, out->names[out->at], strlen(out->names[out->at]));
    text_buffer_char(text, ':');
}

static void close_cell(struct results_out *out) {
    if (++out->at < out->n_names) return;
    out->at = 0;
    text_buffer_char(&out->text, out->format == RESULTS_CSV ? '\n' : '}');
}

void results_empty(struct results_out *out) {
    open_cell(out);
    if (out->format == RESULTS_JSON) text_buffer_string(&out->text, "null");
    close_cell(out);
}

void results_number(struct results_out *out, double number) {
    if (!isfinite(number)) {
        results_empty(out);
        return;
    }
    open_cell(out);
    text_buffer_number(&out->text, number);
    close_cell(out);
}

void results_count(struct results_out *out, uint64_t count) {
    open_cell(out);
    text_buffer_count(&out->text, count);
    close_cell(out);
}

void results_text(struct results_out *out, const char *text, size_t length) {
    open_cell(out);
    if (out->format == RESULTS_CSV) {
        text_buffer_csv(&out->text, text, length);
    } else {
        text_buffer_json(&out->text, text, length);
    }
    close_cell(out);
}

void results_verbatim(struct results_out *out, const char *number, size_t length) {
    open_cell(out);
    text_buffer_add(&out->text, number, length);
    close_cell(out);
}

void results_begin(struct results_out *out) {
    if (out->format == RESULTS_JSON) {
        text_buffer_char(&out->text, '[');
        return;
    }
    for (size_t i = 0; i < out->n_names; i++) {
        if (i > 0) text_buffer_char(&out->text, ',');
        text_buffer_csv(&out->text, out->names[i], strlen(out->names[i]));
    }
    text_buffer_char(&out->text, '\n');
}

void results_end(struct results_out *out) {
    if (out->format == RESULTS_JSON) text_buffer_string(&out->text, "\n]\n");
}

/* ---- names ------------------------------------------------------------------------------------------- */

static const char *const counts_names[] = {"df_residual", "rank", "dropped_terms"};
static const char *const term_names[] = {"term",    "estimate", "std_error", "statistic",
                                         "p_value", "conf_low", "conf_high"};
static const char *const fit_names[] = {"r_squared", "adj_r_squared", "sigma",     "rmse",
                                        "rss",       "f_statistic",   "f_p_value", "log_lik",
                                        "aic",       "bic",           "condition", "digits_estimate"};
static const char *const logistic_names[] = {"events", "deviance", "null_deviance", "steps"};
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct name_list {
    const char **names;
    size_t n, room;
};

static void add_names(struct name_list *list, const char *const *names, size_t n) {
    assert(list->n + n <= list->room);
    for (size_t i = 0; i < n; i++) list->names[list->n++] = names[i];
}

static void add_name(struct name_list *list, const char *name) {
    add_names(list, &name, 1);
}

static void wide_names(const struct results_shape *shape, struct name_list *list) {
    add_name(list, "n");
    add_name(list, "n_dropped");
    if (shape->intercept) add_name(list, "intercept");
    add_names(list, shape->x_names, shape->n_x);
    add_name(list, "r_squared");
    add_name(list, "status");
}

static void long_names(const struct results_shape *shape, struct name_list *list) {
    add_name(list, "status");
    add_name(list, "n_rows");
    add_name(list, "n");
    add_name(list, "n_dropped");
    if (shape->imputed) add_name(list, "n_imputed");
    if (shape->falls_back) add_name(list, "n_imputed_by_mean");
    add_names(list, counts_names, COUNT_OF(counts_names));
    add_names(list, term_names, COUNT_OF(term_names));
    if (shape->robust) add_names(list, hc_names, FIT_HC_COUNT);
    add_names(list, fit_names, COUNT_OF(fit_names));
    if (shape->logistic) add_names(list, logistic_names, COUNT_OF(logistic_names));
}

const char **results_names(const struct results_shape *shape, size_t *n) {
    struct name_list list = {.room = shape->n_slice_names + shape->n_x + 64};
    list.names = calloc(list.room, sizeof *list.names);
    if (!list.names) return NULL;
    add_names(&list, shape->slice_names, shape->n_slice_names);
    if (shape->wide) {
        wide_names(shape, &list);
    } else {
        long_names(shape, &list);
    }
    *n = list.n;
    return list.names;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *results_name_twice(const char *const *names, size_t n) {
    const char **sorted = malloc((n + 1) * sizeof *sorted), *twice = NULL;
    if (!sorted) return NULL;
    if (n > 0) memcpy(sorted, names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_names);
    for (size_t i = 1; i < n && !twice; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) twice = sorted[i];
    }
    free(sorted);
    return twice;
}

/* ---- slices ------------------------------------------------------------------------------------------ */

/* The numbers that linear and logistic results share, and those that only one has (NAN for the other). */
struct fit_facts {
    enum fit_status status;
    size_t n, n_terms, rank, df_residual;
    double fit[COUNT_OF(fit_names)];
};

static struct fit_facts facts_of(const struct results_slice *slice) {
    const struct linear_result *a = slice->linear;
    if (a) {
        return (struct fit_facts){a->status,
                                  a->n,
                                  a->n_terms,
                                  a->rank,
                                  a->df_residual,
                                  {a->r_squared, a->adj_r_squared, a->sigma, a->rmse, a->rss, a->f_statistic,
                                   a->f_p_value, a->log_lik, a->aic, a->bic, a->condition,
                                   a->digits_estimate}};
    }
    const struct logistic_result *b = slice->logistic;
    return (struct fit_facts){
        b->status,
        b->n,
        b->n_terms,
        b->rank,
        b->df_residual,
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, b->log_lik, b->aic, b->bic, b->condition, b->digits_estimate}};
}

static void key_cells(struct results_out *out, const struct results_shape *shape, struct slice_key key) {
    const char *at = key.bytes;
    for (size_t i = 0; i < shape->n_slice_names; i++) {
        struct slice_cell cell;
        at = slice_key_next(at, &cell);
        if (cell.missing) {
            results_empty(out);
        } else {
            results_text(out, cell.text, cell.length);
        }
    }
}

static const char *term_name(const struct results_shape *shape, size_t term) {
    if (shape->intercept) return term == 0 ? "intercept" : shape->x_names[term - 1];
    return shape->x_names[term];
}

static struct results_cells cells_of_slice(const struct results_shape *shape,
                                           const struct results_slice *slice) {
    struct results_cells sum = {0};
    for (size_t i = 0; i <= shape->n_x; i++) {
        sum.filled += slice->cells[i].filled;
        sum.by_mean += slice->cells[i].by_mean;
    }
    return sum;
}

static void dropped_terms(struct results_out *out, const struct results_shape *shape,
                          const struct results_slice *slice, size_t n_terms) {
    struct text_buffer names = {0};
    for (size_t i = 0; i < n_terms; i++) {
        if (!slice->terms[i].dropped) continue;
        if (names.length) text_buffer_char(&names, '|');
        text_buffer_string(&names, term_name(shape, i));
    }
    if (names.length) {
        results_text(out, names.at, names.length);
    } else {
        results_empty(out);
    }
    out->text.failed |= names.failed;
    text_buffer_free(&names);
}

static void count_or_empty(struct results_out *out, const uint64_t *count) {
    if (count) {
        results_count(out, *count);
    } else {
        results_empty(out);
    }
}

/* The cells every row of a slice begins with, up to and without the term. filled: of the slice or the term, or NULL. */
static void common_cells(struct results_out *out, const struct results_shape *shape,
                         const struct results_slice *slice, const struct fit_facts *facts,
                         const struct results_cells *filled) {
    key_cells(out, shape, slice->key);
    results_text(out, fit_status_name(facts->status), strlen(fit_status_name(facts->status)));
    results_count(out, slice->n_rows);
    results_count(out, facts->n);
    results_count(out, slice->n_rows - facts->n);
    if (shape->imputed) count_or_empty(out, filled ? &filled->filled : NULL);
    if (shape->falls_back) count_or_empty(out, filled ? &filled->by_mean : NULL);
    results_count(out, facts->df_residual);
    results_count(out, facts->rank);
    dropped_terms(out, shape, slice, facts->n_terms);
}

static void empty_cells(struct results_out *out, size_t n) {
    for (size_t i = 0; i < n; i++) results_empty(out);
}

static void slice_row(struct results_out *out, const struct results_shape *shape,
                      const struct results_slice *slice, const struct fit_facts *facts) {
    struct results_cells filled = {0};
    if (shape->imputed) filled = cells_of_slice(shape, slice);
    common_cells(out, shape, slice, facts, &filled);
    empty_cells(out, COUNT_OF(term_names) + (shape->robust ? FIT_HC_COUNT : 0));
    for (size_t i = 0; i < COUNT_OF(fit_names); i++) results_number(out, facts->fit[i]);
    if (!shape->logistic) return;
    results_count(out, slice->logistic->events);
    results_number(out, slice->logistic->deviance);
    results_number(out, slice->logistic->null_deviance);
    results_count(out, (uint64_t)slice->logistic->steps);
}

static void term_row(struct results_out *out, const struct results_shape *shape,
                     const struct results_slice *slice, const struct fit_facts *facts, size_t at) {
    const struct fit_term *term = &slice->terms[at];
    bool of_x = !shape->intercept || at > 0;
    const struct results_cells *filled = shape->imputed && of_x ? &slice->cells[at - shape->intercept] : NULL;
    common_cells(out, shape, slice, facts, filled);
    results_text(out, term_name(shape, at), strlen(term_name(shape, at)));
    const double numbers[] = {term->estimate, term->std_error, term->statistic,
                              term->p_value,  term->conf_low,  term->conf_high};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) results_number(out, numbers[i]);
    for (size_t i = 0; i < FIT_HC_COUNT && shape->robust; i++) results_number(out, term->se_hc[i]);
    empty_cells(out, COUNT_OF(fit_names) + (shape->logistic ? COUNT_OF(logistic_names) : 0));
}

static void wide_row(struct results_out *out, const struct results_shape *shape,
                     const struct results_slice *slice, const struct fit_facts *facts) {
    key_cells(out, shape, slice->key);
    results_count(out, facts->n);
    results_count(out, slice->n_rows - facts->n);
    for (size_t i = 0; i < facts->n_terms; i++) results_number(out, slice->terms[i].estimate);
    results_number(out, facts->fit[0]);
    results_text(out, fit_status_name(facts->status), strlen(fit_status_name(facts->status)));
}

bool results_add_slice(struct results_out *out, const struct results_shape *shape,
                       const struct results_slice *slice) {
    struct fit_facts facts = facts_of(slice);
    assert(out->at == 0 && facts.n <= slice->n_rows && facts.n_terms == shape->n_x + shape->intercept);
    if (shape->wide) {
        wide_row(out, shape, slice, &facts);
    } else {
        slice_row(out, shape, slice, &facts);
        for (size_t i = 0; i < facts.n_terms; i++) term_row(out, shape, slice, &facts, i);
    }
    assert(out->at == 0); /* as many cells as names, in each row */
    return !out->text.failed;
}

void results_undefined(enum fit_status status, size_t n_terms, struct linear_result *linear,
                       struct logistic_result *logistic, struct fit_term *terms) {
    if (linear) {
        *linear = linear_result_undefined;
        linear->status = status;
        linear->n_terms = n_terms;
    }
    if (logistic) {
        *logistic = logistic_result_undefined;
        logistic->status = status;
        logistic->n_terms = n_terms;
    }
    for (size_t i = 0; i < n_terms; i++) terms[i] = fit_term_undefined;
}
