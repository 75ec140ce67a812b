/*
 * grouped: see grouped.h for the story. Here: naming columns, reading rows, deciding what only all rows can tell
 * (types, the response's classes, predictors), and writing the table.
 *
 * What fails: an unknown name or a policy that could do nothing is the request's fault and found before a row is
 * read; a text where a number is wanted, a response of too many values, a column nothing can fill, are the data's.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/grouped_internal.h"
#include "workers/jobs/missing/collector.h"
#include "workers/jobs/table/decimal.h"

/* The number of rows between two checks of the memory in use. */
#define LOOK_EVERY 256
/* Rows between two calls of go_on. */

/* ---- naming columns ---------------------------------------------------------------------------------- */

/* Returns the policy that the spec names for a column of the model. */
static enum missing_policy asked_policy(const struct grouped_spec *spec, const char *name) {
    for (size_t i = 0; i < spec->n_missing_columns; i++) {
        if (strcmp(spec->missing_columns[i], name) == 0) return spec->missing_of[i];
    }
    bool response = strcmp(name, spec->y) == 0, weights = spec->weights && strcmp(name, spec->weights) == 0;
    if ((response && !spec->impute_response) || weights) return MISSING_DROP;
    return spec->missing;
}

static bool named_twice(const char *const *names, size_t n, const char *option, struct jobs_error *error) {
    const char *twice = results_name_twice(names, n);
    if (!twice) return false;
    jobs_fail(error, JOBS_FAULT_USAGE, "%s: \"%s\" is named twice; name every column once", option, twice);
    return true;
}

static bool use_keys(struct grouped *job, struct jobs_error *error) {
    const struct grouped_spec *spec = job->spec;
    if (named_twice(spec->slice_by, spec->n_slice_by, "--slice-by", error)) return false;
    for (size_t i = 0; i < spec->n_slice_by; i++) {
        if (!dataset_use(job->dataset, spec->slice_by[i], USE_KEY, "--slice-by", error)) return false;
        job->columns.keys[i] = dataset_find(job->dataset, spec->slice_by[i]);
    }
    return true;
}

/* A predictor: a column, or "missingindicator_<column>" of a column whose policy is indicator. */
static bool use_x(struct grouped *job, size_t j, struct jobs_error *error) {
    const char *name = job->spec->x[j], *of = name + strlen(MISSING_INDICATOR_PREFIX);
    struct dataset *d = job->dataset;
    bool prefixed = strncmp(name, MISSING_INDICATOR_PREFIX, strlen(MISSING_INDICATOR_PREFIX)) == 0 && *of;
    if (dataset_find(d, name) == DATASET_NO_COLUMN && prefixed && dataset_find(d, of) != DATASET_NO_COLUMN &&
        asked_policy(job->spec, of) == MISSING_INDICATOR) {
        job->columns.x_indicates[j] = true;
        job->columns.x[j] = dataset_find(d, of);
        return dataset_use(d, of, USE_TYPE, "--x", error);
    }
    if (strcmp(name, job->spec->y) == 0) {
        return jobs_fail(error, JOBS_FAULT_USAGE,
                         "--x: \"%s\" is the response (--y); it cannot explain itself", name);
    }
    if (!dataset_use(d, name, USE_NUMBER, "--x", error)) return false;
    job->columns.x[j] = dataset_find(d, name);
    return true;
}

static bool use_columns(struct grouped *job, struct jobs_error *error) {
    const struct grouped_spec *spec = job->spec;
    unsigned response = spec->model == MODEL_LINEAR ? USE_NUMBER : USE_TYPE | USE_SPELL;
    if (!use_keys(job, error) || !dataset_use(job->dataset, spec->y, response, "--y", error)) return false;
    job->columns.y = dataset_find(job->dataset, spec->y);
    if (named_twice(spec->x, spec->n_x, "--x", error)) return false;
    for (size_t j = 0; j < spec->n_x; j++) {
        if (!use_x(job, j, error)) return false;
    }
    assert(job->columns.y < job->dataset->n_columns);
    job->columns.weights = DATASET_NO_COLUMN;
    if (!spec->weights) return true;
    job->columns.weights = dataset_find(job->dataset, spec->weights);
    return dataset_use(job->dataset, spec->weights, USE_NUMBER | USE_WEIGHT, "--weights", error);
}

/* ---- policies ---------------------------------------------------------------------------------------- */

static bool in_model(const struct grouped *job, size_t column) {
    bool found = column == job->columns.y || column == job->columns.weights;
    for (size_t j = 0; j < job->spec->n_x && !found; j++) found = job->columns.x[j] == column;
    return found;
}

static bool check_missing_column(const struct grouped *job, size_t i, struct jobs_error *error) {
    const char *name = job->spec->missing_columns[i];
    size_t at = dataset_find(job->dataset, name);
    if (job->spec->missing_of[i] == MISSING_DROP_ANY) {
        return jobs_fail(error, JOBS_FAULT_USAGE,
                         "--missing-column %s: drop_any is about whole rows; give it with --missing", name);
    }
    for (size_t k = 0; k < job->spec->n_slice_by; k++) {
        if (job->columns.keys[k] != at || at == DATASET_NO_COLUMN) continue;
        return jobs_fail(error, JOBS_FAULT_USAGE,
                         "--missing-column %s: it is a slice column; fill it beforehand with jobs impute",
                         name);
    }
    if (at != DATASET_NO_COLUMN && in_model(job, at)) return true;
    return jobs_fail(error, JOBS_FAULT_USAGE,
                     "--missing-column %s: the model has no such column; it has %s%s and what --x names",
                     name, job->spec->y, job->spec->weights ? ", the weights" : "");
}

static void set_policy(struct grouped *job, size_t column) {
    enum missing_policy policy = asked_policy(job->spec, job->dataset->columns[column].name);
    job->policy[column] = policy == MISSING_DROP_ANY ? MISSING_DROP : policy;
}

static bool set_policies(struct grouped *job, struct jobs_error *error) {
    const struct grouped_spec *spec = job->spec;
    if (named_twice(spec->missing_columns, spec->n_missing_columns, "--missing-column", error)) return false;
    for (size_t i = 0; i < spec->n_missing_columns; i++) {
        if (!check_missing_column(job, i, error)) return false;
        size_t at = dataset_find(job->dataset, spec->missing_columns[i]);
        job->dataset->columns[at].no_gap = spec->missing_of[i] != MISSING_DROP;
    }
    set_policy(job, job->columns.y);
    if (job->columns.weights != DATASET_NO_COLUMN) set_policy(job, job->columns.weights);
    for (size_t j = 0; j < spec->n_x; j++) {
        if (!job->columns.x_indicates[j]) set_policy(job, job->columns.x[j]);
    }
    return true;
}

static bool any_policy(const struct grouped *job, bool (*is)(enum missing_policy)) {
    for (size_t i = 0; i < job->dataset->n_columns; i++) {
        if (is(job->policy[i])) return true;
    }
    return false;
}

static bool has_predictors(enum missing_policy policy) {
    return policy == MISSING_KNN || policy == MISSING_LOGISTIC;
}

bool grouped_use_predictors(struct grouped *job, struct jobs_error *error) {
    const struct grouped_spec *spec = job->spec;
    if (named_twice(spec->predictors, spec->n_predictors, "--predictors", error)) return false;
    unsigned use = any_policy(job, has_predictors) ? USE_NUMBER : 0;
    for (size_t i = 0; i < spec->n_predictors; i++) {
        if (!dataset_use(job->dataset, spec->predictors[i], use, "--predictors", error)) return false;
    }
    return true;
}

/* ---- life -------------------------------------------------------------------------------------------- */

bool grouped_shape(struct grouped *job, struct jobs_error *error) {
    const struct grouped_spec *spec = job->spec;
    job->shape = (struct results_shape){
        .format = spec->format,
        .wide = spec->wide,
        .robust = spec->linear.robust && spec->model == MODEL_LINEAR,
        .logistic = spec->model == MODEL_LOGISTIC,
        .intercept = !spec->linear.no_intercept,
        .imputed = any_policy(job, missing_is_fill),
        .falls_back = any_policy(job, has_predictors),
        .slice_names = spec->slice_by,
        .n_slice_names = spec->n_slice_by,
        .x_names = spec->x,
        .n_x = spec->n_x,
    };
    job->names = results_names(&job->shape, &job->n_names);
    if (!job->names) return jobs_fail_memory(error, "the table's header");
    for (size_t i = 0; i < spec->n_x && job->shape.intercept; i++)
        if (strcmp(spec->x[i], "intercept") == 0)
            return jobs_fail(error, JOBS_FAULT_USAGE,
                             "the table would have two terms called \"intercept\"; rename the column of the "
                             "data, or fit without an intercept of its own (--no-intercept)");
    const char *twice = results_name_twice(job->names, job->n_names);
    if (!twice) return true;
    return jobs_fail(
        error, JOBS_FAULT_USAGE,
        "the table would have two columns called \"%s\"; rename the column of the data (--rename "
        "%s=NEW)%s",
        twice, twice, spec->wide ? ", or ask for the long table" : "");
}

static void levels_free(struct grouped_levels *levels) {
    if (levels) intern_free(levels->texts);
    free(levels);
}

static struct grouped_levels *levels_new(const struct grouped_spec *spec, const struct decimal_style *style) {
    struct grouped_levels *levels = calloc(1, sizeof *levels);
    if (!levels) return NULL;
    levels->texts = intern_new();
    const char *positive = spec->positive ? spec->positive : "";
    enum decimal_kind kind = decimal_parse_styled(style, positive, strlen(positive), &levels->positive);
    if (kind == DECIMAL_NOT) levels->positive = NAN;
    if (levels->texts) return levels;
    free(levels);
    return NULL;
}

bool grouped_open(struct grouped *job, const struct grouped_spec *spec, struct dataset *dataset,
                  struct jobs_error *error) {
    *job = (struct grouped){.spec = spec, .dataset = dataset};
    job->columns.keys = calloc(spec->n_slice_by + 1, sizeof *job->columns.keys);
    job->columns.x = calloc(spec->n_x + 1, sizeof *job->columns.x);
    job->columns.x_indicates = calloc(spec->n_x + 1, sizeof *job->columns.x_indicates);
    job->policy = calloc(dataset->n_columns + 1, sizeof *job->policy);
    job->levels = levels_new(spec, &dataset->options.numbers);
    bool good = job->columns.keys && job->columns.x && job->columns.x_indicates && job->policy && job->levels;
    if (!good) jobs_fail_memory(error, "the job");
    if (good && spec->n_x == 0 && spec->linear.no_intercept) {
        good = jobs_fail(error, JOBS_FAULT_USAGE, "--no-intercept: without --x no term is left to fit");
    }
    good = good && use_columns(job, error) && set_policies(job, error) &&
           grouped_use_predictors(job, error) && grouped_shape(job, error);
    if (!good) grouped_close(job);
    return good;
}

void grouped_close(struct grouped *job) {
    free(job->columns.keys);
    free(job->columns.x);
    free(job->columns.x_indicates);
    free(job->policy);
    free(job->names);
    levels_free(job->levels);
    *job = (struct grouped){0};
}

void grouped_dataset_options(const struct grouped_spec *spec, struct dataset_options *options) {
    options->want_gaps |= spec->missing == MISSING_DROP_ANY;
}

/* ---- state ------------------------------------------------------------------------------------------- */

bool grouped_state_open(struct grouped_state *state, const struct grouped *job, struct jobs_error *error) {
    *state = (struct grouped_state){.job = job};
    state->cells = calloc(grouped_n_cells(job->spec), sizeof *state->cells);
    state->fill_texts = calloc(job->dataset->n_columns + 1, sizeof *state->fill_texts);
    if (state->cells && state->fill_texts && slice_kinds_open(&state->kinds, job->spec->n_slice_by) &&
        missing_plan_open(&state->plan, job->dataset->n_columns, &job->spec->missing_options)) {
        memcpy(state->plan.policy, job->policy, job->dataset->n_columns * sizeof *job->policy);
        return true;
    }
    grouped_state_close(state);
    return jobs_fail_memory(error, "the job");
}

void grouped_state_close(struct grouped_state *state) {
    for (size_t i = 0; state->fill_texts && i < state->plan.n_columns; i++) free(state->fill_texts[i]);
    free(state->fill_texts);
    free(state->cells);
    slice_kinds_close(&state->kinds);
    missing_result_free(&state->fills);
    missing_plan_close(&state->plan);
    grouped_plots_free(state->plots);
    *state = (struct grouped_state){0};
}

/* ---- a response of two values ------------------------------------------------------------------------ */

static void note_number(struct grouped_levels *levels, double number) {
    levels->positive_seen_as_number |= number == levels->positive;
    for (size_t i = 0; i < levels->n_numbers; i++) {
        if (levels->numbers[i] == number) return;
    }
    if (levels->n_numbers < GROUPED_LEVELS) levels->numbers[levels->n_numbers++] = number;
}

static void note_level(const struct grouped *job, const struct dataset_cell *cell) {
    struct grouped_levels *levels = job->levels;
    const char *positive = job->spec->positive;
    if (job->spec->model == MODEL_LINEAR || cell->missing) return;
    if (intern_count(levels->texts) < GROUPED_LEVELS) intern_add(levels->texts, cell->text, cell->length);
    if (!isnan(cell->number)) note_number(levels, cell->number);
    levels->positive_seen_as_text |= positive && !levels->positive_seen_as_text &&
                                     strlen(positive) == cell->length &&
                                     memcmp(positive, cell->text, cell->length) == 0;
}

static bool are_0_and_1(const struct grouped_levels *levels) {
    for (size_t i = 0; i < levels->n_numbers; i++) {
        if (levels->numbers[i] != 0 && levels->numbers[i] != 1) return false;
    }
    return true;
}

static double greater_number(const struct grouped_levels *levels) {
    double best = levels->numbers[0];
    for (size_t i = 1; i < levels->n_numbers; i++) best = fmax(best, levels->numbers[i]);
    return best;
}

static const char *greater_text(const struct intern *texts) {
    size_t length, best_length;
    uint32_t n = intern_count(texts), best = 0;
    if (n == 0) return "";
    for (uint32_t id = 1; id < n; id++) {
        const char *a = intern_text(texts, id, &length), *b = intern_text(texts, best, &best_length);
        if (intern_compare(a, length, b, best_length) > 0) best = id;
    }
    return intern_text(texts, best, &length);
}

static bool bad_levels(const struct grouped *job, const char *why, struct jobs_error *error) {
    const struct intern *texts = job->levels->texts;
    char shown[200] = "";
    size_t used = 0, length;
    for (uint32_t id = 0; id < intern_count(texts) && used + 48 < sizeof shown; id++) {
        const char *text = intern_text(texts, id, &length);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s\"%.*s\"", id ? ", " : "",
                                 length < 40 ? (int)length : 40, text);
    }
    bool more = intern_count(texts) == GROUPED_LEVELS;
    return jobs_fail(error, JOBS_FAULT_DATA, "%s, column \"%s\": %s; it says %s%s", job->dataset->name,
                     job->spec->y, why, shown, more ? ", …" : "");
}

/* The value that counts as 1 is a number: it and the response are compared in one spelling. */
static void choose_number(struct grouped_state *state, double number) {
    grouped_spell(number, state->positive_number);
    state->positive = state->positive_number;
    state->respells = true;
}

static bool choose_named(struct grouped_state *state, bool numbers, struct jobs_error *error) {
    const struct grouped *job = state->job;
    const struct grouped_levels *levels = job->levels;
    bool seen = numbers ? levels->positive_seen_as_number : levels->positive_seen_as_text;
    if (!seen && intern_count(levels->texts) > 0) {
        char why[160];
        snprintf(why, sizeof why, "no cell says \"%.60s\", which is to count as 1 (--positive)",
                 job->spec->positive);
        return bad_levels(job, why, error);
    }
    state->positive = job->spec->positive;
    if (numbers && seen) choose_number(state, levels->positive);
    return true;
}

/* Decides how a logistic response is read: as the numbers 0 and 1, or as a text that counts as 1. */
static bool decide_positive(struct grouped_state *state, struct jobs_error *error) {
    const struct grouped *job = state->job;
    const struct grouped_levels *levels = job->levels;
    if (job->spec->model == MODEL_LINEAR) return true;
    struct dataset_column *column = &job->dataset->columns[job->columns.y];
    bool numbers = column->type != COLUMN_TEXT;
    if (job->spec->positive) {
        if (!choose_named(state, numbers, error)) return false;
    } else if (numbers && are_0_and_1(levels)) {
        return true;
    } else if ((numbers ? levels->n_numbers : intern_count(levels->texts)) > 2) {
        return bad_levels(
            job, "a logistic response has two values; name the one that counts as 1 (--positive)", error);
    } else if (numbers) {
        choose_number(state, greater_number(levels));
    } else {
        state->positive = greater_text(levels->texts);
    }
    column->type = COLUMN_TEXT;
    if (job->policy[job->columns.y] != MISSING_INDICATOR) return true;
    return jobs_fail(
        error, JOBS_FAULT_USAGE,
        "--missing-column %s=indicator: a response of two values cannot have a third; choose mode or "
        "drop for it",
        job->spec->y);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

struct reading {
    struct grouped_state *state;
    struct grouped_rows *rows;
    struct slice_cell *cells; /* of the current key */
    struct slice_queue queue; /* numbers them, in memory */
    struct slice_key key;     /* encoded, when spilling */
    char *room;
    size_t room_size;
    size_t memory;
};

static bool rows_open(struct grouped_rows *rows, const struct grouped *job, struct jobs_error *error) {
    size_t n = job->dataset->n_columns;
    *rows = (struct grouped_rows){0};
    rows->sums.sum = calloc(n + 1, sizeof *rows->sums.sum);
    rows->sums.n = calloc(n + 1, sizeof *rows->sums.n);
    if (!rows->sums.sum || !rows->sums.n) {
        grouped_rows_close(rows);
        return jobs_fail_memory(error, "reading the rows");
    }
    return grouped_batch_open(&rows->batch, job->dataset, job->spec->n_slice_by, error);
}

void grouped_rows_close(struct grouped_rows *rows) {
    grouped_batch_close(&rows->batch);
    spill_free(rows->spill);
    free(rows->sums.sum);
    free(rows->sums.n);
    *rows = (struct grouped_rows){0};
}

/* Moves what has been read into spill files. */
static bool start_spilling(struct reading *r, struct jobs_error *error) {
    struct grouped_rows *rows = r->rows;
    const struct grouped *job = r->state->job;
    struct grouped_batch *batch = &rows->batch;
    if (!slice_queue_settle(&r->queue)) return jobs_fail_memory(error, "the slice keys");
    assert(r->queue.settled == r->queue.pushed); /* each row's slice is known */
    struct dataset_cell *cells = calloc(job->dataset->n_columns + 1, sizeof *cells);
    if (!cells) return jobs_fail_memory(error, "temporary files");
    rows->spill = spill_new(job->dataset, job->spec->scratch_dir, 0, r->memory / 8, error);
    bool good = rows->spill != NULL;
    for (size_t i = 0; i < batch->table.n_rows && good; i++) {
        struct dataset_row row;
        table_row_cells(&batch->table, i, cells, &row);
        good = spill_append(rows->spill, slice_keys_key(batch->keys, batch->row_slice[i]), &row, error);
    }
    free(cells);
    grouped_batch_close(batch);
    return good;
}

static bool read_key(struct reading *r, const struct dataset_row *row) {
    const struct grouped *job = r->state->job;
    bool missing = false;
    for (size_t k = 0; k < job->spec->n_slice_by; k++) {
        const struct dataset_cell *cell = &row->cells[job->columns.keys[k]];
        r->cells[k] = (struct slice_cell){cell->text, cell->length, cell->missing};
        missing |= cell->missing;
    }
    return !missing || !job->spec->drop_missing_keys;
}

/* For means of rows that do not stay in memory, added in row order as in missing_mean. */
static void add_sums(struct reading *r, const struct dataset_row *row) {
    const struct dataset *d = r->state->job->dataset;
    for (size_t u = 0; u < d->n_used; u++) {
        size_t at = d->used[u];
        if (!missing_is_fill(r->state->job->policy[at]) || isnan(row->cells[at].number)) continue;
        r->rows->sums.sum[at] += row->cells[at].number;
        r->rows->sums.n[at]++;
    }
}

static bool add_in_memory(struct reading *r, const struct dataset_row *row, struct jobs_error *error) {
    struct grouped_batch *batch = &r->rows->batch;
    if (!grouped_batch_add(batch, row, SLICE_NONE, error)) return false;
    if (!slice_queue_push(&r->queue, r->cells, batch->table.n_rows - 1))
        return jobs_fail_memory(error, "the slice keys");
    bool look = batch->table.n_rows % LOOK_EVERY == 0;
    return !look || grouped_batch_size(batch) <= r->memory || start_spilling(r, error);
}

static bool add_to_spill(struct reading *r, const struct dataset_row *row, struct jobs_error *error) {
    slice_kinds_note(&r->state->kinds, r->cells);
    if (!slice_key_encode(r->cells, r->state->job->spec->n_slice_by, &r->room, &r->room_size, &r->key)) {
        return jobs_fail_memory(error, "the slice keys");
    }
    return spill_append(r->rows->spill, r->key, row, error);
}

static bool keep_row(struct reading *r, const struct dataset_row *row, struct jobs_error *error) {
    if (r->state->job->sums_only) return true;
    return r->rows->spill ? add_to_spill(r, row, error) : add_in_memory(r, row, error);
}

static bool read_rows(struct reading *r, struct jobs_error *error) {
    const struct grouped *job = r->state->job;
    enum dataset_status status;
    struct dataset_row row;
    while ((status = dataset_next(job->dataset, &row, error)) == DATASET_ROW) {
        if (!read_key(r, &row)) {
            r->rows->n_left_out++;
            continue;
        }
        note_level(job, &row.cells[job->columns.y]);
        if (job->shape.imputed) add_sums(r, &row);
        if (!keep_row(r, &row, error)) return false;
        r->rows->n_rows++;
        if (!grouped_go_on(job->spec, r->rows->n_rows, error)) return false;
    }
    if (status != DATASET_END) return false;
    if (r->rows->spill) return spill_flush(r->rows->spill, error);
    if (!slice_queue_settle(&r->queue)) return jobs_fail_memory(error, "the slice keys");
    assert(job->sums_only || r->rows->batch.table.n_rows == r->rows->n_rows);
    /* No slice columns: the whole file is one slice, even when it has no row. */
    bool whole = job->spec->n_slice_by > 0 || slice_keys_add(r->rows->batch.keys, r->cells) != SLICE_NONE;
    return whole || jobs_fail_memory(error, "the slice keys");
}

static void say_big_integers(const struct grouped *job) {
    const struct dataset *d = job->dataset;
    for (size_t i = 0; i < d->n_columns && job->spec->notes; i++) {
        if (!d->columns[i].big_line || !d->columns[i].use || d->columns[i].type == COLUMN_TEXT) continue;
        fprintf(job->spec->notes,
                "%s, line %llu, column \"%s\": integers past 2^53 were rounded to the nearest number a "
                "double holds\n",
                d->columns[i].big_file, (unsigned long long)d->columns[i].big_line, d->columns[i].name);
    }
}

static bool take_named_predictors(struct grouped_state *state, struct jobs_error *error) {
    const struct grouped_spec *spec = state->job->spec;
    for (size_t i = 0; i < spec->n_predictors; i++) {
        size_t at = dataset_find(state->job->dataset, spec->predictors[i]);
        /* Every other text was refused when it was read. */
        if (state->job->dataset->columns[at].type == COLUMN_TEXT) {
            return jobs_fail(error, JOBS_FAULT_USAGE,
                             "--predictors: \"%s\" is a response of two values, not a number; leave it out",
                             spec->predictors[i]);
        }
        state->plan.predictors[state->plan.n_predictors++] = at;
    }
    return true;
}

/* The columns that knn and logistic go by: see missing.h. */
static bool take_predictors(struct grouped_state *state, struct jobs_error *error) {
    const struct grouped *job = state->job;
    struct missing_plan *plan = &state->plan;
    if (!any_policy(job, has_predictors)) return true;
    if (job->spec->n_predictors > 0) return take_named_predictors(state, error);
    if (job->without_model) missing_plan_predict_by_all(plan, job->dataset);
    for (size_t j = 0; j < job->spec->n_x && !job->without_model; j++) {
        size_t at = job->columns.x[j];
        if (job->columns.x_indicates[j] || !missing_may_predict(job->dataset, at)) continue;
        plan->predictors[plan->n_predictors++] = at;
    }
    assert(plan->n_predictors <= plan->n_columns);
    return true;
}

/* Determines what depends on all rows. */
static bool settle(struct grouped_state *state, struct grouped_rows *rows, struct jobs_error *error) {
    const struct grouped *job = state->job;
    assert(state->plan.n_columns == job->dataset->n_columns);
    if (job->settled && !job->settled(job->context, error)) return false;
    if (!decide_positive(state, error)) return false;
    if (!rows->spill) {
        table_finish(&rows->batch.table, job->dataset);
        if (!grouped_respell(state, &rows->batch)) return jobs_fail_memory(error, "the rows");
    }
    for (size_t i = 0; i < job->dataset->n_columns; i++) {
        state->fills_any |= missing_fills(job->policy[i], job->dataset->columns[i].type);
    }
    say_big_integers(job);
    return take_predictors(state, error);
}

/* Computes fills over the whole table, if the job has any. */
static bool fill_table(struct grouped_state *state, struct grouped_rows *rows, struct jobs_error *error) {
    if (!state->fills_any || state->job->spec->within_slice) return true;
    if (rows->spill || state->job->sums_only)
        return grouped_spilled_fills(state, rows->spill, &rows->sums, error);
    struct fit_scratch *scratch = fit_scratch_new();
    if (!scratch) return jobs_fail_memory(error, "filling missing values");
    bool good = missing_run(&rows->batch.table, &state->plan, NULL, rows->batch.table.n_rows, "", false,
                            scratch, &state->fills, error);
    fit_scratch_free(scratch);
    return good;
}

bool grouped_read(struct grouped_state *state, struct grouped_rows *rows, struct jobs_error *error) {
    const struct grouped_spec *spec = state->job->spec;
    struct reading r = {.state = state, .rows = rows, .memory = spec->memory ? spec->memory : GROUPED_MEMORY};
    if (!rows_open(rows, state->job, error)) return false;
    r.queue.keys = rows->batch.keys;
    r.queue.kinds = &state->kinds;
    r.queue.row_slice = &rows->batch.row_slice;
    r.cells = calloc(spec->n_slice_by + 1, sizeof *r.cells);
    bool good = r.cells || jobs_fail_memory(error, "the slice keys");
    good = good && read_rows(&r, error) && settle(state, rows, error) && fill_table(state, rows, error);
    free(r.cells);
    free(r.room);
    if (!good) grouped_rows_close(rows);
    return good;
}

bool grouped_each_batch(struct grouped_state *state, struct grouped_rows *rows, grouped_batch_fn *each,
                        void *context, struct jobs_error *error) {
    if (rows->spill) return grouped_spilled_each(state, rows->spill, rows->n_rows, each, context, error);
    return each(context, &rows->batch, error);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

struct table_out {
    struct grouped_state *state;
    FILE *file;
    struct collector *collector; /* when slices do not come in order; else NULL */
    bool any;
};

static bool write_slice(struct table_out *out, const char *text, size_t length) {
    bool comma = out->state->job->spec->format == RESULTS_JSON && !out->any && length > 0;
    out->any = true;
    fwrite(text + comma, 1, length - comma, out->file);
    return !ferror(out->file);
}

static bool put_slice(void *context, struct slice_key key, const char *text, size_t length,
                      struct jobs_error *error) {
    struct table_out *out = context;
    if (out->collector) {
        bool twice, good = collector_put(out->collector, key, text, length, &twice, error);
        assert(!twice); /* a slice is in one partition */
        return good;
    }
    return write_slice(out, text, length) || grouped_write_failed(error);
}

bool grouped_write_failed(struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_MACHINE, "the table could not be written: %s", strerror(errno));
}

static bool put_collected(void *context, struct slice_key key, const char *text, size_t length,
                          struct jobs_error *error) {
    (void)key;
    return write_slice(context, text, length) || grouped_write_failed(error);
}

static bool fit_batch(void *context, struct grouped_batch *batch, struct jobs_error *error) {
    struct table_out *out = context;
    return grouped_fit_batch(out->state, batch, (struct grouped_sink){put_slice, out}, error);
}

/* The header or the bracket, before or after all rows. */
static bool write_frame(const struct grouped *job, FILE *file, void (*frame)(struct results_out *),
                        struct jobs_error *error) {
    struct results_out out = {.format = job->spec->format, .names = job->names, .n_names = job->n_names};
    frame(&out);
    bool good = !out.text.failed || jobs_fail_memory(error, "the table's header");
    if (good) text_buffer_write(&out.text, file);
    results_out_free(&out);
    return good && (!ferror(file) || grouped_write_failed(error));
}

void grouped_say_filled(FILE *notes, struct summary *summary, const char *name, enum missing_policy policy,
                        bool text, struct results_cells cells) {
    bool mean = policy == MISSING_LOGISTIC && !text;
    summary_add(&summary->filled, missing_policy_name(policy), cells.filled - cells.by_mean);
    summary_add(&summary->filled, SUMMARY_BY_MEAN, cells.by_mean);
    if (!cells.filled) return;
    fprintf(notes, "%s: %llu cell%s filled by %s", name, (unsigned long long)cells.filled,
            cells.filled == 1 ? "" : "s", mean ? "mean (logistic is for text)" : missing_policy_name(policy));
    if (cells.by_mean > 0 && !mean) {
        fprintf(
            notes,
            ", %llu of them with the mean of the column: no row that has a value there shares a predictor "
            "with theirs (--predictors)",
            (unsigned long long)cells.by_mean);
    }
    fputc('\n', notes);
}

/* What became of a column's gaps, when a policy was to fill them. */
static void say_cells(const struct grouped_state *state, struct summary *summary, const char *name,
                      size_t column, struct results_cells cells) {
    FILE *notes = state->job->spec->notes;
    enum column_type type = state->job->dataset->columns[column].type;
    enum missing_policy policy = state->job->policy[column];
    grouped_say_filled(notes, summary, name, policy, type == COLUMN_TEXT, cells);
    summary->left += cells.left;
    if (!cells.left) return;
    fprintf(notes, "%s: %llu cell%s left missing, and their rows left out: ", name,
            (unsigned long long)cells.left, cells.left == 1 ? "" : "s");
    if (missing_fills(policy, type)) {
        fputs("no value is observed in their slice\n", notes);
    } else {
        fprintf(notes, "the column holds text, which %s does not fill\n", missing_policy_name(policy));
    }
}

static void say_results(const struct grouped_state *state, const struct grouped_rows *rows) {
    const struct grouped *job = state->job;
    struct summary summary = {.rows = rows->n_rows + rows->n_left_out,
                              .dropped = state->dropped + rows->n_left_out,
                              .fills = job->shape.imputed,
                              .knows_left = job->shape.imputed};
    if (!job->spec->notes) return;
    if (rows->n_left_out) {
        fprintf(job->spec->notes, "%llu row%s without a slice key left out\n",
                (unsigned long long)rows->n_left_out, rows->n_left_out == 1 ? "" : "s");
    }
    for (size_t j = 0; j < job->spec->n_x; j++) {
        if (!job->columns.x_indicates[j])
            say_cells(state, &summary, job->spec->x[j], job->columns.x[j], state->cells[j]);
    }
    say_cells(state, &summary, job->spec->y, job->columns.y, state->cells[job->spec->n_x]);
    if (job->columns.weights != DATASET_NO_COLUMN)
        say_cells(state, &summary, job->spec->weights, job->columns.weights,
                  state->cells[job->spec->n_x + 1]);
    for (size_t i = 0; i < GROUPED_STATUSES; i++) {
        summary.slices += state->statuses[i];
        summary_add(&summary.statuses, fit_status_name((enum fit_status)i), state->statuses[i]);
    }
    summary_write(&summary, job->spec->notes);
}

static bool open_out(struct table_out *out, const struct grouped_rows *rows, struct jobs_error *error) {
    const struct grouped_spec *spec = out->state->job->spec;
    if (spec->plot_dir && !(out->state->plots = grouped_plots_new(out->state, error))) return false;
    if (!rows->spill) return true;
    size_t memory = (spec->memory ? spec->memory : GROUPED_MEMORY) / 8;
    out->collector = collector_new(spec->n_slice_by, spec->scratch_dir, memory, error);
    return out->collector != NULL;
}

static bool write_table(struct grouped_state *state, struct grouped_rows *rows, FILE *file,
                        struct jobs_error *error) {
    struct table_out out = {.state = state, .file = file};
    bool good = open_out(&out, rows, error);
    /* Slices that are collected are all fitted before anything is written. */
    if (good && out.collector) {
        good = grouped_each_batch(state, rows, fit_batch, &out, error) &&
               write_frame(state->job, file, results_begin, error) &&
               collector_write(out.collector, &state->kinds, put_collected, &out, error);
    } else if (good) {
        good = write_frame(state->job, file, results_begin, error) &&
               grouped_each_batch(state, rows, fit_batch, &out, error);
    }
    good = good && write_frame(state->job, file, results_end, error);
    good = good && (fflush(file) == 0 || grouped_write_failed(error));
    good = good && (!state->plots || grouped_plots_finish(state->plots, error));
    collector_free(out.collector);
    return good;
}

bool grouped_fit_rows(struct grouped_state *state, struct grouped_rows *rows, FILE *out,
                      struct jobs_error *error) {
    state->n_rows = rows->n_rows;
    if (!write_table(state, rows, out, error)) return false;
    say_results(state, rows);
    return true;
}

bool grouped_run(struct grouped *job, FILE *out, struct jobs_error *error) {
    struct grouped_state state;
    struct grouped_rows rows = {0};
    if (!grouped_state_open(&state, job, error)) return false;
    bool good = grouped_read(&state, &rows, error) && grouped_fit_rows(&state, &rows, out, error);
    grouped_rows_close(&rows);
    grouped_state_close(&state);
    return good;
}
