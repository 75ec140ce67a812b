/*
 * grouped_fit: fits the slices of a batch, on one thread or several.
 *
 * Blocks of consecutive slices are the unit of work. A thread takes the next block, gathers and fits its slices and
 * formats their rows; the caller's thread puts finished blocks into the sink in order. At most WINDOW blocks per
 * thread are ahead of the writer, so that results waiting for their turn stay few. An allocation failure is kept with
 * its block and reported when the block's turn comes: so the first failure in the order of blocks is reported, not
 * the first in time.
 */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/fit/grouped_internal.h"

/* A block ends when it has this many rows or slices: so big that handing it out costs nothing, so small that threads
 * share the work evenly. */
#define BLOCK_ROWS 16384
#define BLOCK_SLICES 256
#define WINDOW 4

/* One array the model reads: a column, or whether it is missing, or whether it has the positive text. */
struct input_column {
    const struct table_column *column;
    size_t at; /* in the table */
    bool indicates;
    bool is_text;
    bool wanted;       /* a policy is to fill its gaps */
    bool fill;         /* and it does, for a column of this type */
    bool falls_back;   /* with the mean, when it has no value of its own */
    uint32_t positive; /* of text */
    double *values;    /* gathered */
};

struct block {
    size_t first, count; /* slices */
};

struct block_result {
    struct results_out out;
    size_t ends[BLOCK_SLICES]; /* of each slice's text */
    uint64_t statuses[GROUPED_STATUSES], dropped;
    struct results_cells *cells; /* as in grouped_state */
    struct jobs_error error;
    bool done;
};

struct fit_run {
    struct grouped_state *state;
    struct grouped_batch *batch;
    struct block *blocks;
    size_t n_blocks;
    size_t largest; /* rows of a slice */

    pthread_mutex_t lock;
    pthread_cond_t change;
    size_t next, written; /* blocks */
    struct block_result *ring;
    size_t ring_size;
    bool stop;
};

struct fit_worker {
    struct fit_run *run;
    struct fit_scratch *scratch;
    struct input_column *inputs; /* x, then y, then the weights */
    size_t n_inputs;
    const double **x;
    uint32_t *kept; /* rows of the slice that are used */
    size_t n_kept;
    struct fit_term *terms;
    struct results_cells *cells; /* of the slice; as in grouped_state */
};

/* ---- a worker ---------------------------------------------------------------------------------------- */

static void worker_free(struct fit_worker *w) {
    for (size_t i = 0; w->inputs && i < w->n_inputs; i++) free(w->inputs[i].values);
    fit_scratch_free(w->scratch);
    free(w->inputs);
    free(w->x);
    free(w->kept);
    free(w->terms);
    free(w->cells);
}

static struct input_column describe_input(const struct fit_run *run, size_t at, bool indicates,
                                          bool response) {
    assert(at < run->batch->table.n_columns);
    const struct table_column *column = &run->batch->table.columns[at];
    struct input_column input = {.column = column, .at = at, .indicates = indicates};
    input.is_text = response && run->state->positive;
    input.wanted = run->state->plan.policy[at] != MISSING_DROP;
    input.fill = !indicates && missing_fills(run->state->plan.policy[at], column->type);
    input.falls_back = missing_falls_back(run->state->plan.policy[at], column->type);
    if (input.is_text) {
        input.positive = intern_find(column->spelling, run->state->positive, strlen(run->state->positive));
    }
    return input;
}

static bool worker_new(struct fit_worker *w, struct fit_run *run) {
    const struct grouped *job = run->state->job;
    size_t p = job->spec->n_x, most = run->largest;
    *w = (struct fit_worker){.run = run, .n_inputs = p + 1 + (job->columns.weights != DATASET_NO_COLUMN)};
    w->scratch = fit_scratch_new();
    w->inputs = calloc(w->n_inputs, sizeof *w->inputs);
    w->x = calloc(p + 1, sizeof *w->x);
    w->kept = malloc((most + 1) * sizeof *w->kept);
    w->terms = calloc(p + 1, sizeof *w->terms);
    w->cells = calloc(grouped_n_cells(job->spec), sizeof *w->cells);
    if (!w->scratch || !w->inputs || !w->x || !w->kept || !w->terms || !w->cells) return false;
    for (size_t j = 0; j < p; j++) {
        w->inputs[j] = describe_input(run, job->columns.x[j], job->columns.x_indicates[j], false);
    }
    w->inputs[p] = describe_input(run, job->columns.y, false, true);
    if (w->n_inputs > p + 1) w->inputs[p + 1] = describe_input(run, job->columns.weights, false, false);
    for (size_t i = 0; i < w->n_inputs; i++) {
        w->inputs[i].values = malloc((most + 1) * sizeof(double));
        if (!w->inputs[i].values) return false;
        if (i < p) w->x[i] = w->inputs[i].values;
    }
    return true;
}

/* ---- gathering one slice ----------------------------------------------------------------------------- */

/* Finds the value that fills a gap, if there is one. */
static bool find_fill(const struct input_column *input, const struct missing_result *fills, size_t row,
                      struct missing_fill *fill, bool *own) {
    if (!input->fill || !fills->fills) return false;
    const struct missing_cell *cell = missing_result_cell(fills, input->at, row);
    *own = cell != NULL;
    *fill = cell ? (struct missing_fill){true, cell->number, cell->text} : fills->fills[input->at];
    return fill->known;
}

/* Counts the gaps that a policy was to fill, and could not. */
static bool row_is_complete(struct fit_worker *w, const struct missing_result *fills, size_t row) {
    struct missing_fill fill;
    bool own, complete = true;
    for (size_t i = 0; i < w->n_inputs; i++) {
        const struct input_column *input = &w->inputs[i];
        if (input->indicates || !table_is_missing(input->column, row)) continue;
        if (find_fill(input, fills, row, &fill, &own)) continue;
        w->cells[i].left += input->wanted;
        complete = false;
    }
    return complete;
}

/* Lists the rows the model can use. */
static void keep_rows(struct fit_worker *w, const struct missing_result *fills, const uint32_t *rows,
                      size_t n) {
    const struct table *t = &w->run->batch->table;
    bool drop_any = w->run->state->job->spec->missing == MISSING_DROP_ANY, gaps = drop_any && t->marks;
    for (size_t i = 0; i < w->n_inputs; i++) gaps |= w->inputs[i].column->missing != NULL;
    assert(n <= w->run->largest);
    w->n_kept = n;
    memcpy(w->kept, rows, n * sizeof *rows);
    if (!gaps) return;
    w->n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (drop_any && t->marks && (t->marks[rows[i]] & ROW_GAP)) continue;
        if (row_is_complete(w, fills, rows[i])) w->kept[w->n_kept++] = rows[i];
    }
}

static double input_value(const struct input_column *input, const struct missing_result *fills, size_t row,
                          struct results_cells *cells) {
    bool missing = table_is_missing(input->column, row), own = false;
    if (input->indicates) return missing;
    struct missing_fill fill = {0};
    if (missing && find_fill(input, fills, row, &fill, &own)) {
        cells->filled++;
        cells->by_mean += input->falls_back && !own;
    }
    if (input->is_text) return (missing ? fill.text : input->column->text[row]) == input->positive;
    return missing ? fill.number : table_number(input->column, row);
}

static void gather_column(const struct fit_worker *w, const struct input_column *input,
                          const struct missing_result *fills, struct results_cells *cells) {
    if (!input->column->missing && !input->indicates && !input->is_text) {
        const double *from = input->column->number;
        size_t stride = input->column->stride;
        for (size_t i = 0; i < w->n_kept; i++) input->values[i] = from[w->kept[i] * stride];
        return;
    }
    for (size_t i = 0; i < w->n_kept; i++) input->values[i] = input_value(input, fills, w->kept[i], cells);
}

static void gather(struct fit_worker *w, const struct missing_result *fills, const uint32_t *rows, size_t n) {
    assert(w->n_inputs <= grouped_n_cells(w->run->state->job->spec));
    keep_rows(w, fills, rows, n);
    for (size_t i = 0; i < w->n_inputs; i++) gather_column(w, &w->inputs[i], fills, &w->cells[i]);
}

static bool has_bad_row(const struct table *t, const uint32_t *rows, size_t n) {
    for (size_t i = 0; t->marks && i < n; i++) {
        if (t->marks[rows[i]] & ROW_BAD) return true;
    }
    return false;
}

/* Gathers a slice, its gaps filled from where the job says. */
static bool gather_slice(struct fit_worker *w, const uint32_t *rows, size_t n, struct jobs_error *error) {
    const struct grouped_state *state = w->run->state;
    if (!state->job->spec->within_slice || !state->fills_any) {
        gather(w, &state->fills, rows, n);
        return true;
    }
    struct missing_result own;
    if (!missing_run(&w->run->batch->table, &state->plan, rows, n, "", true, w->scratch, &own, error))
        return false;
    gather(w, &own, rows, n);
    missing_result_free(&own);
    return true;
}

/* ---- fitting one slice ------------------------------------------------------------------------------- */

struct slice_fit {
    struct linear_result linear;
    struct logistic_result logistic;
};

static bool fit_model(struct fit_worker *w, const struct linear_input *input, struct slice_fit *fit) {
    const struct grouped_spec *spec = w->run->state->job->spec;
    if (spec->model == MODEL_LINEAR)
        return linear_fit(input, &spec->linear, w->scratch, &fit->linear, w->terms);
    return logistic_fit(input, &spec->linear, w->scratch, &fit->logistic, w->terms);
}

static void add_cells(struct results_cells *to, const struct results_cells *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i].filled += from[i].filled;
        to[i].by_mean += from[i].by_mean;
        to[i].left += from[i].left;
    }
}

static bool fit_slice(struct fit_worker *w, size_t at, struct block_result *result) {
    struct grouped_state *state = w->run->state;
    const struct grouped_spec *spec = state->job->spec;
    const struct grouped_batch *batch = w->run->batch;
    const uint32_t *rows = batch->index.rows + batch->index.start[at];
    size_t n = batch->index.start[at + 1] - batch->index.start[at], p = spec->n_x;
    bool linear = spec->model == MODEL_LINEAR;
    struct slice_fit fit;
    struct linear_input input = {w->inputs[p].values, w->x,
                                 w->n_inputs > p + 1 ? w->inputs[p + 1].values : NULL, 0, p};
    memset(w->cells, 0, grouped_n_cells(spec) * sizeof *w->cells);
    if (has_bad_row(&batch->table, rows, n)) {
        results_undefined(FIT_PARSE_ERROR, p + !spec->linear.no_intercept, linear ? &fit.linear : NULL,
                          linear ? NULL : &fit.logistic, w->terms);
    } else {
        if (!gather_slice(w, rows, n, &result->error)) return false;
        input.n = w->n_kept;
        if (!fit_model(w, &input, &fit)) return jobs_fail_memory(&result->error, "fitting a slice");
    }
    struct results_slice slice = {.key = slice_keys_key(batch->keys, batch->index.ids[at]),
                                  .n_rows = n,
                                  .cells = w->cells,
                                  .terms = w->terms,
                                  .linear = linear ? &fit.linear : NULL,
                                  .logistic = linear ? NULL : &fit.logistic};
    add_cells(result->cells, w->cells, grouped_n_cells(spec));
    result->statuses[linear ? fit.linear.status : fit.logistic.status]++;
    result->dropped += n - (linear ? fit.linear.n : fit.logistic.n);
    if (!results_add_slice(&result->out, &state->job->shape, &slice)) {
        return jobs_fail_memory(&result->error, "the results");
    }
    return !state->plots || grouped_plots_add(state->plots, slice.key, &input, w->terms, slice.linear,
                                              slice.logistic, &result->error);
}

static void fit_block(struct fit_worker *w, const struct block *block, struct block_result *result) {
    result->out.text.length = 0;
    result->out.continued = true; /* the sink's owner removes the first comma */
    memset(result->statuses, 0, sizeof result->statuses);
    result->dropped = 0;
    memset(result->cells, 0, grouped_n_cells(w->run->state->job->spec) * sizeof *result->cells);
    assert(block->count > 0 && block->count <= BLOCK_SLICES);
    for (size_t i = 0; i < block->count; i++) {
        if (!fit_slice(w, block->first + i, result)) return;
        result->ends[i] = result->out.text.length;
    }
}

/* ---- handing out and putting in order ---------------------------------------------------------------- */

static void say_fitted(const struct fit_run *run, const struct block *block) {
    const struct grouped_spec *spec = run->state->job->spec;
    const size_t *start = run->batch->index.start + block->first;
    run->state->n_fitted += start[block->count] - start[0];
    if (spec->fitted) spec->fitted(spec->context, run->state->n_fitted, run->state->n_rows);
}

static bool put_block(struct fit_run *run, const struct block *block, const struct block_result *result,
                      struct grouped_sink sink, struct jobs_error *error) {
    const struct grouped_batch *batch = run->batch;
    if (result->error.fault) {
        *error = result->error;
        return false;
    }
    assert(result->ends[block->count - 1] == result->out.text.length);
    for (size_t i = 0, start = 0; i < block->count; start = result->ends[i++]) {
        struct slice_key key = slice_keys_key(batch->keys, batch->index.ids[block->first + i]);
        if (!sink.put(sink.context, key, result->out.text.at + start, result->ends[i] - start, error))
            return false;
    }
    if (!grouped_go_on(run->state->job->spec, 0, error)) return false;
    say_fitted(run, block);
    for (size_t i = 0; i < GROUPED_STATUSES; i++) run->state->statuses[i] += result->statuses[i];
    run->state->dropped += result->dropped;
    add_cells(run->state->cells, result->cells, grouped_n_cells(run->state->job->spec));
    return true;
}

/* Takes the next block's number, waiting while too many are ahead of the writer; n_blocks when there is none. */
static size_t take_block(struct fit_run *run) {
    pthread_mutex_lock(&run->lock);
    assert(run->written <= run->next && run->next <= run->n_blocks);
    while (!run->stop && run->next < run->n_blocks && run->next >= run->written + run->ring_size) {
        pthread_cond_wait(&run->change, &run->lock);
    }
    size_t at = run->stop || run->next == run->n_blocks ? run->n_blocks : run->next++;
    pthread_mutex_unlock(&run->lock);
    return at;
}

static void *work(void *argument) {
    struct fit_worker *w = argument;
    struct fit_run *run = w->run;
    for (size_t at; (at = take_block(run)) < run->n_blocks;) {
        struct block_result *result = &run->ring[at % run->ring_size];
        fit_block(w, &run->blocks[at], result);
        pthread_mutex_lock(&run->lock);
        result->done = true;
        pthread_cond_broadcast(&run->change);
        pthread_mutex_unlock(&run->lock);
    }
    return NULL;
}

static bool put_in_order(struct fit_run *run, struct grouped_sink sink, struct jobs_error *error) {
    bool good = true;
    for (size_t at = 0; at < run->n_blocks && good; at++) {
        struct block_result *result = &run->ring[at % run->ring_size];
        pthread_mutex_lock(&run->lock);
        while (!result->done) pthread_cond_wait(&run->change, &run->lock);
        pthread_mutex_unlock(&run->lock);
        good = put_block(run, &run->blocks[at], result, sink, error);
        pthread_mutex_lock(&run->lock);
        result->done = false;
        run->written++;
        run->stop |= !good;
        pthread_cond_broadcast(&run->change);
        pthread_mutex_unlock(&run->lock);
    }
    assert(!good || run->written == run->n_blocks);
    return good;
}

static bool fit_alone(struct fit_run *run, struct fit_worker *w, struct grouped_sink sink,
                      struct jobs_error *error) {
    for (size_t at = 0; at < run->n_blocks; at++) {
        fit_block(w, &run->blocks[at], run->ring);
        if (!put_block(run, &run->blocks[at], run->ring, sink, error)) return false;
    }
    return true;
}

/* Runs on the workers' threads. If no thread could be started, it runs on the caller's. */
static bool fit_together(struct fit_run *run, struct fit_worker *workers, size_t n, struct grouped_sink sink,
                         struct jobs_error *error) {
    pthread_t threads[GROUPED_THREADS_MAX];
    size_t started = 0;
    while (started < n && pthread_create(&threads[started], NULL, work, &workers[started]) == 0) started++;
    bool good = started ? put_in_order(run, sink, error) : fit_alone(run, workers, sink, error);
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    return good;
}

/* ---- a batch ----------------------------------------------------------------------------------------- */

static bool plan_blocks(struct fit_run *run) {
    const struct slice_index *index = &run->batch->index;
    run->blocks = malloc((index->n_slices + 1) * sizeof *run->blocks);
    if (!run->blocks) return false;
    for (size_t i = 0, rows = 0; i < index->n_slices; i++) {
        size_t n = index->start[i + 1] - index->start[i];
        if (n > run->largest) run->largest = n;
        struct block *last = run->n_blocks ? &run->blocks[run->n_blocks - 1] : NULL;
        if (!last || last->count == BLOCK_SLICES || rows + n > BLOCK_ROWS) {
            run->blocks[run->n_blocks++] = (struct block){i, 1};
            rows = n;
        } else {
            last->count++;
            rows += n;
        }
    }
    size_t covered = 0;
    for (size_t i = 0; i < run->n_blocks; i++) covered += run->blocks[i].count;
    assert(covered == index->n_slices);
    return true;
}

static size_t choose_threads(const struct fit_run *run) {
    const struct grouped_spec *spec = run->state->job->spec;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = spec->threads ? spec->threads : cores > 0 ? (size_t)cores : 1;
    if (n > GROUPED_THREADS_MAX) n = GROUPED_THREADS_MAX;
    if (n > run->n_blocks) n = run->n_blocks;
    return spec->plot_dir || n == 0 ? 1 : n; /* pictures are drawn in order */
}

static bool open_ring(struct fit_run *run, size_t threads) {
    const struct grouped *job = run->state->job;
    run->ring_size = threads > 1 ? threads * WINDOW : 1;
    run->ring = calloc(run->ring_size, sizeof *run->ring);
    for (size_t i = 0; run->ring && i < run->ring_size; i++) {
        run->ring[i].out =
            (struct results_out){.format = job->shape.format, .names = job->names, .n_names = job->n_names};
        run->ring[i].cells = calloc(grouped_n_cells(job->spec), sizeof *run->ring[i].cells);
        if (!run->ring[i].cells) return false;
    }
    return run->ring != NULL;
}

static void close_ring(struct fit_run *run) {
    for (size_t i = 0; run->ring && i < run->ring_size; i++) {
        results_out_free(&run->ring[i].out);
        free(run->ring[i].cells);
    }
    free(run->ring);
    free(run->blocks);
}

static bool run_workers(struct fit_run *run, struct grouped_sink sink, struct jobs_error *error) {
    size_t n = choose_threads(run);
    struct fit_worker *workers = calloc(n, sizeof *workers);
    bool good = workers && open_ring(run, n);
    for (size_t i = 0; i < n && good; i++) good = worker_new(&workers[i], run);
    if (!good) {
        jobs_fail_memory(error, "fitting the slices");
    } else if (n > 1) {
        good = fit_together(run, workers, n, sink, error);
    } else {
        good = fit_alone(run, workers, sink, error);
    }
    for (size_t i = 0; workers && i < n; i++) worker_free(&workers[i]);
    free(workers);
    return good;
}

bool grouped_fit_batch(struct grouped_state *state, struct grouped_batch *batch, struct grouped_sink sink,
                       struct jobs_error *error) {
    if (!slice_index_build(&batch->index, batch->keys, &state->kinds, batch->row_slice,
                           batch->table.n_rows)) {
        return jobs_fail_memory(error, "the slices");
    }
    struct fit_run run = {.state = state, .batch = batch};
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.change, NULL);
    bool good = plan_blocks(&run) ? run_workers(&run, sink, error) : jobs_fail_memory(error, "the slices");
    close_ring(&run);
    pthread_cond_destroy(&run.change);
    pthread_mutex_destroy(&run.lock);
    return good;
}
