/*
 * steps_job: the job at the head of a part.
 *
 * Its fields, in order: model, flags, numbers; the response's value that counts as 1; slice columns, each with
 * whether some key of it is a text; columns that rows hold, each with use, type, policy and the value that fills its
 * gaps; which columns are x, y and the weights; predictors of policies; and the dataset's name, for sentences.
 *
 * Every index is checked against the number of columns, every enumeration against its range: a part is a file like
 * any other.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/fit/steps_internal.h"

/* ---- packing ----------------------------------------------------------------------------------------- */

static void pack_name(struct text_buffer *b, const char *name) {
    pack_text(b, name, strlen(name));
}

static void pack_spec(struct text_buffer *b, const struct grouped_state *state) {
    const struct grouped_spec *spec = state->job->spec;
    pack_u8(b, spec->model);
    pack_u8(b, spec->wide);
    pack_u8(b, spec->within_slice);
    pack_u8(b, spec->missing == MISSING_DROP_ANY);
    pack_u8(b, spec->linear.no_intercept);
    pack_u8(b, spec->linear.robust);
    pack_u8(b, spec->linear.exact);
    pack_f64(b, spec->linear.confidence);
    pack_f64(b, spec->linear.rank_tolerance);
    pack_u64(b, spec->missing_options.k);
    pack_u8(b, spec->missing_options.distance);
    pack_u8(b, spec->missing_options.standardise);
    pack_u8(b, state->positive != NULL);
    if (state->positive) pack_name(b, state->positive);
    pack_u32(b, (uint32_t)spec->n_slice_by);
    for (size_t i = 0; i < spec->n_slice_by; i++) {
        pack_name(b, spec->slice_by[i]);
        pack_u8(b, state->kinds.text[i]);
    }
}

static void pack_fill(struct text_buffer *b, const struct grouped_state *state, size_t at,
                      const struct table *spelling) {
    const struct missing_fill *fill = state->fills.fills ? &state->fills.fills[at] : NULL;
    bool text = state->job->dataset->columns[at].type == COLUMN_TEXT;
    assert(!fill || !fill->known || !text || spelling || state->fill_texts[at]);
    pack_u8(b, fill && fill->known);
    if (!fill || !fill->known) return;
    if (!text) {
        pack_f64(b, fill->number);
    } else if (spelling) {
        size_t length;
        const char *bytes = intern_text(spelling->columns[at].spelling, fill->text, &length);
        pack_text(b, bytes, length);
    } else {
        pack_name(b, state->fill_texts[at]);
    }
}

/* A dataset column's position among those that a part contains. */
static uint32_t place_of(const struct dataset *d, size_t at) {
    uint32_t place = 0;
    assert(at <= d->n_columns);
    assert(at == d->n_columns || steps_column_travels(&d->columns[at]));
    for (size_t i = 0; i < at; i++) place += steps_column_travels(&d->columns[i]);
    return place;
}

void steps_job_pack(struct text_buffer *b, const struct grouped_state *state, const struct table *spelling) {
    const struct grouped *job = state->job;
    const struct dataset *d = job->dataset;
    pack_spec(b, state);
    pack_u32(b, place_of(d, d->n_columns));
    for (size_t i = 0; i < d->n_columns; i++) {
        if (!steps_column_travels(&d->columns[i])) continue;
        pack_name(b, d->columns[i].name);
        /* Weights were checked when they were read. */
        pack_u8(b, d->columns[i].use & ~(unsigned)(USE_KEY | USE_WEIGHT));
        pack_u8(b, d->columns[i].type);
        pack_u8(b, job->policy[i]);
        pack_fill(b, state, i, spelling);
    }
    pack_u32(b, (uint32_t)job->spec->n_x);
    for (size_t j = 0; j < job->spec->n_x; j++) {
        pack_name(b, job->spec->x[j]);
        pack_u32(b, place_of(d, job->columns.x[j]));
        pack_u8(b, job->columns.x_indicates[j]);
    }
    pack_u32(b, place_of(d, job->columns.y));
    pack_u8(b, job->columns.weights != DATASET_NO_COLUMN);
    if (job->columns.weights != DATASET_NO_COLUMN) pack_u32(b, place_of(d, job->columns.weights));
    pack_u32(b, (uint32_t)state->plan.n_predictors);
    for (size_t i = 0; i < state->plan.n_predictors; i++) pack_u32(b, place_of(d, state->plan.predictors[i]));
    pack_name(b, d->name);
}

/* ---- unpacking --------------------------------------------------------------------------------------- */

/* An array of a packed count. Sets `bad` when it is NULL, also on allocation failure. */
static void *unpack_array(struct unpack *u, uint32_t n, size_t item) {
    void *array = calloc((size_t)n + 1, item);
    u->bad |= !array;
    return array;
}

static void unpack_spec(struct unpack *u, struct steps_job *s) {
    struct grouped_spec *spec = &s->spec;
    unsigned model = unpack_u8(u);
    u->bad |= model > MODEL_LOGISTIC;
    spec->model = model == MODEL_LOGISTIC ? MODEL_LOGISTIC : MODEL_LINEAR;
    spec->wide = unpack_bool(u);
    spec->within_slice = unpack_bool(u);
    spec->missing = unpack_bool(u) ? MISSING_DROP_ANY : MISSING_DROP;
    spec->linear.no_intercept = unpack_bool(u);
    spec->linear.robust = unpack_bool(u);
    spec->linear.exact = unpack_bool(u);
    spec->linear.confidence = unpack_f64(u);
    spec->linear.rank_tolerance = unpack_f64(u);
    u->bad |= !(spec->linear.confidence >= 0 && spec->linear.confidence < 1) ||
              !(spec->linear.rank_tolerance >= 0 && spec->linear.rank_tolerance < 1);
    spec->missing_options.k = unpack_u64(u);
    u->bad |= spec->missing_options.k > MISSING_K_MAX;
    spec->missing_options.distance = unpack_bool(u);
    spec->missing_options.standardise = unpack_bool(u);
    if (unpack_bool(u)) s->positive = unpack_name(u);
    uint32_t n = unpack_count(u, 6);
    spec->n_slice_by = n;
    const char **names = unpack_array(u, n, sizeof *names);
    spec->slice_by = names;
    u->bad |= !slice_kinds_open(&s->kinds, n);
    for (uint32_t i = 0; i < n && !u->bad; i++) {
        names[i] = unpack_name(u);
        s->kinds.text[i] = unpack_bool(u);
    }
}

static void unpack_column(struct unpack *u, struct steps_job *s, uint32_t at) {
    struct dataset_column *column = &s->dataset.columns[at];
    const char *name = unpack_name(u);
    unsigned use = unpack_u8(u), type = unpack_u8(u), policy = unpack_u8(u);
    u->bad |= use == 0 || use > (USE_NUMBER | USE_TYPE | USE_SPELL) || type > COLUMN_TEXT ||
              policy > MISSING_INDICATOR || policy == MISSING_DROP_ANY;
    if (u->bad) return;
    /* A column is a number, or a text that is spelled. */
    bool text = type == COLUMN_TEXT;
    u->bad |= text ? use == USE_NUMBER : !(use & (USE_NUMBER | USE_TYPE));
    column->name = (char *)(uintptr_t)name;
    column->use = use;
    column->type = (enum column_type)type;
    s->job.policy[at] = (enum missing_policy)policy;
    s->dataset.used[s->dataset.n_used++] = at;
    if (!unpack_bool(u)) return;
    struct missing_fill *fill = &s->state.fills.fills[at];
    fill->known = true;
    if (!text) {
        fill->number = unpack_f64(u);
        return;
    }
    s->state.fill_texts[at] = strdup(unpack_name(u));
    u->bad |= !s->state.fill_texts[at] || !(use & USE_SPELL);
}

static void unpack_columns(struct unpack *u, struct steps_job *s) {
    uint32_t n = unpack_count(u, 9);
    s->dataset.n_columns = n;
    s->dataset.columns = unpack_array(u, n, sizeof *s->dataset.columns);
    s->dataset.used = unpack_array(u, n, sizeof *s->dataset.used);
    s->job.policy = unpack_array(u, n, sizeof *s->job.policy);
    s->state.fills = (struct missing_result){.n_columns = n};
    s->state.fills.fills = unpack_array(u, n, sizeof *s->state.fills.fills);
    s->state.fill_texts = unpack_array(u, n, sizeof *s->state.fill_texts);
    s->state.plan = (struct missing_plan){.n_columns = n, .options = s->spec.missing_options};
    if (s->state.plan.options.k == 0) s->state.plan.options.k = MISSING_K;
    for (uint32_t i = 0; i < n && !u->bad; i++) unpack_column(u, s, i);
}

/* An index of a column that is a number; text: or, with a response, a text. */
static size_t unpack_place(struct unpack *u, const struct steps_job *s, bool text) {
    uint32_t at = unpack_u32(u);
    u->bad |= at >= s->dataset.n_columns;
    if (u->bad) return 0;
    u->bad |= text ? !steps_has_text(&s->dataset.columns[at]) || s->dataset.columns[at].type != COLUMN_TEXT
                   : !steps_has_number(&s->dataset.columns[at]);
    return at;
}

static void unpack_model(struct unpack *u, struct steps_job *s) {
    uint32_t n = unpack_count(u, 10);
    s->spec.n_x = n;
    const char **names = unpack_array(u, n, sizeof *names);
    s->spec.x = names;
    s->job.columns.x = unpack_array(u, n, sizeof *s->job.columns.x);
    s->job.columns.x_indicates = unpack_array(u, n, sizeof *s->job.columns.x_indicates);
    s->state.cells = unpack_array(u, n + 1, sizeof *s->state.cells);
    for (uint32_t j = 0; j < n && !u->bad; j++) {
        names[j] = unpack_name(u);
        uint32_t at = unpack_u32(u);
        s->job.columns.x[j] = at;
        s->job.columns.x_indicates[j] = unpack_bool(u);
        u->bad |= at >= s->dataset.n_columns;
        u->bad |= !u->bad && !s->job.columns.x_indicates[j] && !steps_has_number(&s->dataset.columns[at]);
    }
    s->job.columns.y = unpack_place(u, s, s->positive != NULL);
    s->job.columns.weights = DATASET_NO_COLUMN;
    if (unpack_bool(u)) s->job.columns.weights = unpack_place(u, s, false);
}

static void unpack_predictors(struct unpack *u, struct steps_job *s) {
    uint32_t n = unpack_count(u, sizeof(uint32_t));
    s->state.plan.predictors = unpack_array(u, n, sizeof *s->state.plan.predictors);
    for (uint32_t i = 0; i < n && !u->bad; i++) {
        s->state.plan.predictors[s->state.plan.n_predictors++] = unpack_place(u, s, false);
    }
}

/* Assembles the job as grouped_open and grouped_read would have. */
static bool assemble(struct steps_job *s, const struct steps_fit_options *options, struct jobs_error *error) {
    struct grouped_spec *spec = &s->spec;
    assert(s->state.plan.n_columns == s->dataset.n_columns);
    spec->y = s->dataset.columns[s->job.columns.y].name;
    if (s->job.columns.weights != DATASET_NO_COLUMN)
        spec->weights = s->dataset.columns[s->job.columns.weights].name;
    spec->threads = options->threads;
    spec->plot_dir = options->plot_dir;
    spec->notes = options->notes;
    spec->go_on = options->go_on;
    spec->fitted = options->fitted;
    spec->context = options->context;
    spec->format = options->format;
    s->job.spec = spec;
    s->job.dataset = &s->dataset;
    s->state.job = &s->job;
    s->state.kinds = s->kinds;
    s->state.positive = s->positive;
    s->state.plan.policy = calloc(s->dataset.n_columns + 1, sizeof *s->state.plan.policy);
    if (!s->state.plan.policy) return jobs_fail_memory(error, "the job");
    for (size_t i = 0; i < s->dataset.n_columns; i++) {
        s->state.plan.policy[i] = s->job.policy[i];
        s->state.fills_any |= missing_fills(s->job.policy[i], s->dataset.columns[i].type);
    }
    return grouped_shape(&s->job, error);
}

bool steps_job_open(struct steps_job *s, const char *name, char *bytes, size_t length,
                    const struct steps_fit_options *options, struct jobs_error *error) {
    *s = (struct steps_job){.bytes = bytes};
    struct unpack u = {bytes, bytes + length, false};
    unpack_spec(&u, s);
    unpack_columns(&u, s);
    unpack_model(&u, s);
    unpack_predictors(&u, s);
    s->dataset.name = unpack_name(&u);
    bool good = !u.bad && u.at == u.end && (s->spec.n_x > 0 || !s->spec.linear.no_intercept);
    if (!good)
        jobs_fail(error, JOBS_FAULT_DATA, "%s: the head of this part is damaged; make the parts again", name);
    good = good && assemble(s, options, error);
    if (!good) steps_job_close(s);
    return good;
}

void steps_job_close(struct steps_job *s) {
    /* state owns kinds, once it has been assembled. */
    if (!s->state.job) slice_kinds_close(&s->kinds);
    s->state.plan.n_columns = s->dataset.n_columns;
    grouped_state_close(&s->state);
    grouped_close(&s->job);
    free(s->dataset.columns);
    free(s->dataset.used);
    free((void *)(uintptr_t)s->spec.slice_by);
    free((void *)(uintptr_t)s->spec.x);
    free(s->bytes);
    *s = (struct steps_job){0};
}
