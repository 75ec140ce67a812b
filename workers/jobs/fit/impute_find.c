/*
 * impute_find: the first pass of impute.h. It is a grouped read (grouped_internal.h) of a job without a model: the
 * policies are those of all columns, and fills over the whole table come with it. Within slices each batch is indexed
 * and its slices are filled one by one. Either way the fills end up by slice, gaps with values of their own by row.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/impute_internal.h"

struct finding {
    struct impute_fills *fills;
    struct grouped_state *state;
    struct fit_scratch *scratch;
    struct impute_mixed *mixed;
    uint32_t *place; /* dataset column → place in columns; SLICE_NONE: not filled */
};

void impute_fills_free(struct impute_fills *f) {
    free(f->columns);
    free(f->left);
    slice_keys_free(f->keys);
    free(f->values);
    free(f->slices);
    free(f->cells);
    intern_free(f->texts);
    *f = (struct impute_fills){0};
}

/* ---- what the request says of columns ---------------------------------------------------------------- */

enum missing_policy impute_policy(const struct grouped_spec *spec, const struct dataset_column *column) {
    for (size_t i = 0; i < spec->n_missing_columns; i++) {
        if (strcmp(spec->missing_columns[i], column->name) == 0) return spec->missing_of[i];
    }
    for (size_t i = 0; i < spec->n_slice_by; i++) {
        if (strcmp(spec->slice_by[i], column->name) == 0) return MISSING_DROP_ANY;
    }
    if (column->label) return MISSING_DROP_ANY;
    return spec->missing == MISSING_DROP ? MISSING_DROP_ANY : spec->missing;
}

static unsigned use_for(enum missing_policy policy) {
    if (policy == MISSING_MODE || policy == MISSING_LOGISTIC) return USE_TYPE | USE_SPELL;
    return missing_is_fill(policy) ? USE_TYPE : 0;
}

/* ---- columns of numbers and text ---------------------------------------------------------------------- */

void impute_use_mixed(const struct impute_mixed *mixed, struct dataset *d) {
    for (size_t i = 0; i < d->n_columns && mixed->any; i++) {
        if (mixed->is[i]) dataset_use_at(d, i, USE_NUMBER);
    }
}

static bool is_mixed(const struct grouped_spec *spec, const struct dataset *d, size_t at) {
    const struct dataset_column *column = &d->columns[at];
    if (column->n_text == 0 || !missing_is_fill(impute_policy(spec, column))) return false;
    assert(column->n_missing + column->n_text <= d->n_rows);
    return d->n_rows - column->n_missing - column->n_text > column->n_text;
}

/* Of a dataset that has been read to its end. */
static bool note_mixed(struct impute_mixed *mixed, const struct grouped_spec *spec, const struct dataset *d) {
    mixed->any = false;
    mixed->is = calloc(d->n_columns + 1, sizeof *mixed->is);
    for (size_t i = 0; i < d->n_columns && mixed->is; i++) {
        mixed->is[i] = is_mixed(spec, d, i);
        mixed->any |= mixed->is[i];
    }
    return mixed->is != NULL;
}

bool impute_find_mixed(struct impute_mixed *mixed, const struct grouped_spec *spec, struct dataset *d,
                       struct jobs_error *error) {
    enum dataset_status status;
    struct dataset_row row;
    for (size_t i = 0; i < d->n_columns; i++) {
        dataset_use_at(d, i, missing_is_fill(impute_policy(spec, &d->columns[i])) ? USE_TYPE : 0);
    }
    while ((status = dataset_next(d, &row, error)) == DATASET_ROW) {
        if (!grouped_go_on(spec, d->n_rows, error)) return false;
    }
    return status == DATASET_END && (note_mixed(mixed, spec, d) || jobs_fail_memory(error, "the columns"));
}

/* Ends the first pass when there are mixed columns: impute_run says which cell is meant. */
static bool refuse_mixed(void *context, struct jobs_error *error) {
    struct finding *f = context;
    const struct grouped *job = f->state->job;
    if (f->mixed->is || job->spec->mixed_is_text) return true;
    if (!note_mixed(f->mixed, job->spec, job->dataset)) return jobs_fail_memory(error, "the columns");
    return !f->mixed->any ||
           jobs_fail(error, JOBS_FAULT_DATA, "%s holds text in a column of numbers", job->dataset->name);
}

/* ---- columns of the job ------------------------------------------------------------------------------- */

/* knn and logistic go by all numbers when no column is named: types are needed of all. */
static bool use_columns(struct grouped *job, struct jobs_error *error) {
    struct dataset *d = job->dataset;
    bool go_by = false;
    for (size_t i = 0; i < job->spec->n_slice_by; i++) {
        if (!dataset_use(d, job->spec->slice_by[i], USE_KEY, "--slice-by", error)) return false;
        job->columns.keys[i] = dataset_find(d, job->spec->slice_by[i]);
    }
    for (size_t i = 0; i < job->spec->n_missing_columns; i++) {
        if (!dataset_use(d, job->spec->missing_columns[i], 0, "--missing-column", error)) return false;
    }
    for (size_t i = 0; i < d->n_columns; i++) {
        enum missing_policy policy = impute_policy(job->spec, &d->columns[i]);
        job->policy[i] = missing_is_fill(policy) ? policy : MISSING_DROP;
        go_by |= policy == MISSING_KNN || policy == MISSING_LOGISTIC;
        dataset_use_at(d, i, use_for(policy));
    }
    if (!grouped_use_predictors(job, error)) return false;
    for (size_t i = 0; i < d->n_columns && go_by && job->spec->n_predictors == 0; i++) {
        if (!(d->columns[i].use & USE_KEY) && !d->columns[i].label) dataset_use_at(d, i, USE_TYPE);
    }
    return true;
}

/* Refuses a policy for numbers that was named for a column of text, since it would have no effect. */
static bool check_types(const struct grouped *job, struct jobs_error *error) {
    for (size_t i = 0; i < job->spec->n_missing_columns; i++) {
        const char *name = job->spec->missing_columns[i];
        enum missing_policy policy = job->spec->missing_of[i];
        size_t at = dataset_find(job->dataset, name);
        if (!missing_is_fill(policy) || missing_fills(policy, job->dataset->columns[at].type)) continue;
        return jobs_fail(
            error, JOBS_FAULT_DATA,
            "--missing-column %s=%s: that is for numbers, and the column holds text; choose mode, logistic "
            "or indicator",
            name, missing_policy_name(policy));
    }
    return true;
}

/* ---- keeping fills ----------------------------------------------------------------------------------- */

static bool keep_columns(struct finding *f) {
    const struct grouped *job = f->state->job;
    struct impute_fills *fills = f->fills;
    fills->columns = calloc(job->dataset->n_columns + 1, sizeof *fills->columns);
    fills->left = calloc(job->dataset->n_columns + 1, sizeof *fills->left);
    f->place = malloc((job->dataset->n_columns + 1) * sizeof *f->place);
    if (!fills->columns || !fills->left || !f->place) return false;
    for (size_t i = 0; i < job->dataset->n_columns; i++) {
        const struct dataset_column *column = &job->dataset->columns[i];
        f->place[i] = SLICE_NONE;
        if (!missing_fills(job->policy[i], column->type)) {
            if (missing_is_fill(job->policy[i]) && column->n_missing > 0)
                fills->left[fills->n_left++] =
                    (struct impute_left){i, job->policy[i], column->text_line,
                                         job->dataset->options.more ? column->text_file : NULL};
            continue;
        }
        f->place[i] = (uint32_t)fills->n_columns;
        fills->columns[fills->n_columns++] =
            (struct impute_column){i, job->policy[i], column->type == COLUMN_TEXT, column->n_missing > 0};
    }
    return true;
}

/* Room for the fills of a new slice, which is the last. */
static bool grow_slices(struct impute_fills *f) {
    size_t n = slice_keys_count(f->keys);
    if (n > f->slices_room) {
        size_t room = f->slices_room ? f->slices_room * 2 : 64;
        struct impute_slice *slices = realloc(f->slices, room * sizeof *slices);
        if (slices) f->slices = slices;
        struct impute_value *values = realloc(f->values, (room * f->n_columns + 1) * sizeof *values);
        if (values) f->values = values;
        if (!slices || !values) return false;
        f->slices_room = room;
    }
    assert(n > 0 && n <= f->slices_room);
    f->slices[n - 1] = (struct impute_slice){f->n_cells, f->n_cells, 0};
    return true;
}

/* Returns our own number of a text of the table; INTERN_NONE on allocation failure. */
static uint32_t keep_text(struct impute_fills *f, const struct table_column *column, uint32_t id) {
    size_t length;
    const char *text = intern_text(column->spelling, id, &length);
    return intern_add(f->texts, text, length);
}

static bool keep_value(struct finding *f, const struct table *t, size_t at, const struct missing_fill *fill,
                       struct impute_value *value) {
    assert(f->place[at] < f->fills->n_columns);
    const struct impute_column *column = &f->fills->columns[f->place[at]];
    *value = (struct impute_value){.known = fill->known, .number = fill->number};
    if (!fill->known || !column->text) return true;
    if (fill->text == INTERN_NONE) {
        value->text = intern_add(f->fills->texts, MISSING_LEVEL, strlen(MISSING_LEVEL));
    } else if (f->state->fill_texts[at]) {
        value->text = intern_add(f->fills->texts, f->state->fill_texts[at], strlen(f->state->fill_texts[at]));
    } else {
        value->text = keep_text(f->fills, &t->columns[at], fill->text);
    }
    return value->text != INTERN_NONE;
}

static int compare_cells(const void *a, const void *b) {
    const struct impute_cell *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return (x->column > y->column) - (x->column < y->column);
}

/* As value_of (impute.c) needs them: it only looks at the next one. */
static bool cells_are_sorted_unique(const struct impute_cell *cells, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (compare_cells(&cells[i - 1], &cells[i]) >= 0) return false;
    return true;
}

/* A row's place among the sorted rows of its slice. */
static uint32_t row_in_slice(const uint32_t *rows, size_t n, uint32_t row) {
    size_t low = 0, high = n;
    while (rows && low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle] < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert(!rows || (low < n && rows[low] == row));
    return rows ? (uint32_t)low : row;
}

static bool keep_cells(struct finding *f, const struct table *t, const struct missing_result *result,
                       const uint32_t *rows, size_t n_rows, struct impute_slice *slice) {
    struct impute_fills *fills = f->fills;
    if (fills->n_cells + result->n_cells > fills->cells_room) {
        size_t room = (fills->n_cells + result->n_cells) * 2;
        struct impute_cell *bigger = realloc(fills->cells, room * sizeof *bigger);
        if (!bigger) return false;
        fills->cells = bigger;
        fills->cells_room = room;
    }
    for (size_t i = 0; i < result->n_cells; i++) {
        const struct missing_cell *from = &result->cells[i];
        struct missing_fill fill = {true, from->number, from->text};
        assert(fills->n_cells < fills->cells_room);
        struct impute_cell *cell = &fills->cells[fills->n_cells];
        *cell = (struct impute_cell){.row = row_in_slice(rows, n_rows, from->row),
                                     .column = f->place[from->column]};
        if (!keep_value(f, t, from->column, &fill, &cell->value)) return false;
        cell->value.own = true;
        fills->n_cells++;
    }
    slice->end_cell = fills->n_cells;
    if (result->n_cells)
        qsort(fills->cells + slice->next_cell, result->n_cells, sizeof *fills->cells, compare_cells);
    assert(cells_are_sorted_unique(fills->cells + slice->next_cell, result->n_cells));
    return true;
}

/* Keeps the fills of a slice's gaps. `result` is empty when there are no gaps. */
static bool keep_slice(struct finding *f, const struct table *t, struct slice_key key,
                       const struct missing_result *result, const uint32_t *rows, size_t n_rows) {
    struct impute_fills *fills = f->fills;
    size_t slice = slice_keys_count(fills->keys);
    uint32_t id = slice_keys_add_encoded(fills->keys, key);
    assert(id == slice || id == SLICE_NONE); /* all rows of a slice come together, so each comes once */
    if (id == SLICE_NONE || !grow_slices(fills)) return false;
    for (size_t c = 0; c < fills->n_columns; c++) {
        const struct missing_fill none = {0};
        const struct missing_fill *fill = result->fills ? &result->fills[fills->columns[c].at] : &none;
        struct impute_value *value = &fills->values[slice * fills->n_columns + c];
        if (!keep_value(f, t, fills->columns[c].at, fill, value)) return false;
    }
    return !result->fills || keep_cells(f, t, result, rows, n_rows, &fills->slices[slice]);
}

/* ---- the pass ---------------------------------------------------------------------------------------- */

/* Fills slice by slice. */
static bool find_in_batch(void *context, struct grouped_batch *batch, struct jobs_error *error) {
    struct finding *f = context;
    struct slice_index *index = &batch->index;
    const struct grouped_state *state = f->state;
    if (!slice_index_build(index, batch->keys, &state->kinds, batch->row_slice, batch->table.n_rows)) {
        return jobs_fail_memory(error, "the slices");
    }
    for (size_t i = 0; i < index->n_slices; i++) {
        const uint32_t *rows = index->rows + index->start[i];
        size_t n = index->start[i + 1] - index->start[i];
        struct missing_result result;
        if (!missing_run(&batch->table, &state->plan, rows, n, "", true, f->scratch, &result, error))
            return false;
        bool good =
            keep_slice(f, &batch->table, slice_keys_key(batch->keys, index->ids[i]), &result, rows, n);
        missing_result_free(&result);
        if (!good) return jobs_fail_memory(error, "the fills");
        if (!grouped_go_on(state->job->spec, 0, error)) return false;
    }
    return true;
}

static bool find_fills(struct finding *f, struct grouped_rows *rows, struct jobs_error *error) {
    const struct grouped_spec *spec = f->state->job->spec;
    if (!check_types(f->state->job, error)) return false;
    f->fills->keys = slice_keys_new(spec->n_slice_by);
    f->fills->texts = intern_new();
    if (!f->fills->keys || !f->fills->texts || !keep_columns(f)) return jobs_fail_memory(error, "the fills");
    if (spec->within_slice) return grouped_each_batch(f->state, rows, find_in_batch, f, error);
    struct slice_key all = {"", 0};
    return keep_slice(f, &rows->batch.table, all, &f->state->fills, NULL, 0) ||
           jobs_fail_memory(error, "the fills");
}

static bool job_open(struct grouped *job, const struct grouped_spec *spec, struct dataset *dataset,
                     struct jobs_error *error) {
    *job = (struct grouped){.spec = spec, .dataset = dataset, .without_model = true};
    job->columns.keys = calloc(spec->n_slice_by + 1, sizeof *job->columns.keys);
    job->policy = calloc(dataset->n_columns + 1, sizeof *job->policy);
    job->shape.imputed = true; /* sums are wanted */
    if (!job->columns.keys || !job->policy) return jobs_fail_memory(error, "the job");
    if (!use_columns(job, error)) return false;
    job->sums_only = !spec->within_slice;
    for (size_t i = 0; i < dataset->n_columns; i++) {
        enum missing_policy policy = job->policy[i];
        job->sums_only &= policy == MISSING_DROP || policy == MISSING_MEAN || policy == MISSING_INDICATOR;
    }
    return true;
}

bool impute_find(struct impute_fills *fills, const struct grouped_spec *spec, struct dataset *dataset,
                 struct impute_mixed *mixed, struct jobs_error *error) {
    struct grouped_state state = {0};
    struct grouped_rows rows = {0};
    struct grouped job;
    struct finding f = {.fills = fills, .state = &state, .scratch = fit_scratch_new(), .mixed = mixed};
    *fills = (struct impute_fills){0};
    bool good = f.scratch || jobs_fail_memory(error, "the fills");
    good = good && job_open(&job, spec, dataset, error);
    if (good) {
        impute_use_mixed(mixed, dataset);
        job.settled = refuse_mixed;
        job.context = &f;
    }
    good = good && grouped_state_open(&state, &job, error) && grouped_read(&state, &rows, error) &&
           find_fills(&f, &rows, error);
    if (f.scratch) {
        grouped_rows_close(&rows);
        if (state.job) grouped_state_close(&state);
        grouped_close(&job);
    }
    fit_scratch_free(f.scratch);
    free(f.place);
    if (!good) impute_fills_free(fills);
    return good;
}
