/* The computations of a job's steps. workers/jobs/fit/steps.h has the steps themselves; this file has their files and
 * limits. */
#include "workers/jobs/role/fit.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/fit/genomics.h"
#include "workers/jobs/fit/steps.h"

/* Memory for the rows of one step; a process runs a few steps concurrently. */
#define STEP_MEMORY ((size_t)512 << 20)

static bool go_on(void *context, uint64_t rows) {
    struct role_run *run = context;
    (void)rows;
    return !run->stop;
}

/* Opens a separate stream on the file, so that closing the stream leaves the file open. */
static FILE *open_out(struct role_run *run) {
    int copy = dup(run->out);
    FILE *file = copy >= 0 ? fdopen(copy, "wb") : NULL;
    if (!file && copy >= 0) close(copy);
    if (!file)
        jobs_fail(&run->error, JOBS_FAULT_MACHINE, "a temporary file cannot be opened: %s", strerror(errno));
    return file;
}

/* Checks that everything was written to the file, and not more than is allowed. */
static bool close_out(struct role_run *run, FILE *file, const char *what) {
    run->out_bytes = (int64_t)ftello(file);
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    if (!good)
        return jobs_fail(&run->error, JOBS_FAULT_MACHINE, "a temporary file cannot be written: %s",
                         strerror(errno));
    if (run->out_bytes > run->max_bytes)
        return jobs_fail(&run->error, JOBS_FAULT_DATA,
                         "%s of %lld bytes is larger than the %lld that are allowed here", what,
                         (long long)run->out_bytes, (long long)run->max_bytes);
    return true;
}

/* ---- planning ------------------------------------------------------------------------------------------ */

static FILE *open_part(void *context, const struct steps_part *part, struct jobs_error *error) {
    struct role_planning *p = context;
    assert(part->number == p->n_parts); /* the parts before it have been closed */
    if (part->number >= p->max_parts) {
        jobs_fail(error, JOBS_FAULT_USAGE, "the job would have more than %zu tasks, which are allowed here",
                  p->max_parts);
        return NULL;
    }
    FILE *file = open_out(&p->run);
    if (!file) *error = p->run.error;
    return file;
}

static bool note_end(struct role_planning *p, int64_t end) {
    if (p->n_parts == p->parts_room) {
        size_t room = 2 * p->parts_room + 64;
        int64_t *bigger = realloc(p->part_ends, room * sizeof *bigger);
        if (!bigger) return false;
        p->part_ends = bigger;
        p->parts_room = room;
    }
    assert(p->n_parts == 0 || p->part_ends[p->n_parts - 1] < end);
    p->part_ends[p->n_parts++] = end;
    return true;
}

static bool close_part(void *context, const struct steps_part *part, FILE *file, bool whole,
                       struct jobs_error *error) {
    struct role_planning *p = context;
    (void)part;
    if (!whole) {
        fclose(file);
        return false;
    }
    bool good = close_out(&p->run, file, "a plan");
    if (!good) *error = p->run.error;
    return good && (note_end(p, p->run.out_bytes) || jobs_fail_memory(error, "planning"));
}

static bool plan_dataset(struct role_planning *p, struct dataset *dataset) {
    struct steps_sink sink = {open_part, close_part, p};
    struct steps_planned planned;
    struct grouped job;
    if (!grouped_open(&job, &p->spec, dataset, &p->run.error)) return false;
    bool good = steps_plan(&job, p->part_rows, &sink, &planned, &p->run.error);
    grouped_close(&job);
    if (good && planned.left_out && p->spec.notes)
        fprintf(p->spec.notes, "%llu rows without a slice key left out\n",
                (unsigned long long)planned.left_out);
    return good;
}

/* Closes the stream of notes. Keeps ROLE_NOTES_MAX bytes at most, cut between two characters. */
static void take_notes(FILE *notes, char **text, const size_t *length, char out[ROLE_NOTES_MAX]) {
    if (!notes || fclose(notes) != 0) return;
    size_t n = *length < ROLE_NOTES_MAX ? *length : ROLE_NOTES_MAX - 1;
    while (n > 0 && ((unsigned char)(*text)[n] & 0xC0) == 0x80) n--;
    memcpy(out, *text, n);
    out[n] = '\0';
    free(*text);
}

bool role_plan_on_thread(void *arg) {
    struct role_planning *p = arg;
    char *notes = NULL;
    size_t length = 0;
    struct dataset dataset;
    p->spec.memory = STEP_MEMORY;
    p->spec.go_on = go_on;
    p->spec.context = &p->run;
    p->spec.notes = open_memstream(&notes, &length);
    if (dataset_open(&dataset, p->name, role_range_source(&p->dataset), &p->options, &p->run.error)) {
        plan_dataset(p, &dataset);
        dataset_close(&dataset);
    }
    take_notes(p->spec.notes, &notes, &length, p->notes);
    return false;
}

void role_plan_free(struct role_planning *p) {
    free(p->part_ends);
    p->part_ends = NULL;
}

/* ---- fitting and combining ----------------------------------------------------------------------------- */

bool role_fit_on_thread(void *arg) {
    struct role_fitting *f = arg;
    struct steps_fit_options options = {.threads = 1, .go_on = go_on, .context = &f->run};
    FILE *out = open_out(&f->run);
    if (!out) return false;
    bool good = steps_fit(f->name, role_range_source(&f->part), &options, out, &f->run.error);
    if (good)
        close_out(&f->run, out, "a table");
    else
        fclose(out);
    return false;
}

bool role_combine_on_thread(void *arg) {
    struct role_combining *c = arg;
    struct steps_combine_options options = {.format = c->format};
    struct steps_table *tables = calloc(c->n_tables + 1, sizeof *tables);
    FILE *out = tables ? open_out(&c->run) : NULL;
    if (!tables) jobs_fail_memory(&c->run.error, "combining the results");
    for (size_t i = 0; out && i < c->n_tables; i++)
        tables[i] = (struct steps_table){"a task's result", role_range_source(&c->tables[i])};
    bool good = out && steps_combine(tables, c->n_tables, &options, out, &c->run.error);
    if (good)
        close_out(&c->run, out, "a table");
    else if (out)
        fclose(out);
    free(tables);
    return false;
}

/* ---- association and log2_sum -------------------------------------------------------------------------- */

static const char *or_none(const char *text) {
    return text[0] ? text : NULL;
}

static void set_association(const Rookery__V1__AssociationModel *m, struct genomics_spec *spec) {
    spec->variant = m->variant;
    spec->status = m->status;
    spec->patient = m->patient;
    spec->diseased = or_none(m->diseased);
    spec->healthy = or_none(m->healthy);
    spec->top = (size_t)m->top;
    spec->min_patients = (size_t)m->min_patients;
}

static void set_log2_sum(const Rookery__V1__Log2SumModel *m, struct genomics_spec *spec) {
    spec->patient = m->patient;
    spec->transcript = m->transcript;
    spec->tpm = m->tpm;
    spec->null_as_zero = m->null_as_zero;
}

static ssize_t read_file(void *context, char *at, size_t room) {
    const struct role_table_file *file = context;
    ssize_t got;
    do got = read(file->fd, at, room);
    while (got < 0 && errno == EINTR);
    return got;
}

static struct genomics_file file_of(struct role_table_file *file) {
    return (struct genomics_file){file->fd >= 0 ? file->name : NULL, {read_file, file}, file->options};
}

static bool run_genomics(struct role_genomics *g, FILE *out, FILE *notes) {
    struct genomics_spec spec = {.format = g->format};
    struct genomics_file rows = file_of(&g->rows), map = file_of(&g->map), symbols = file_of(&g->symbols);
    if (g->spec->model_case == ROOKERY__V1__JOB_SPEC__MODEL_ASSOCIATION) {
        set_association(g->spec->association, &spec);
        return genomics_associate(&spec, &rows, out, notes, &g->run.error);
    }
    set_log2_sum(g->spec->log2_sum, &spec);
    return genomics_express(&spec, &rows, &map, &symbols, out, notes, &g->run.error);
}

bool role_genomics_on_thread(void *arg) {
    struct role_genomics *g = arg;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_out(&g->run), *notes = open_memstream(&text, &length);
    bool good = out && run_genomics(g, out, notes);
    if (good)
        close_out(&g->run, out, "a table");
    else if (out)
        fclose(out);
    take_notes(notes, &text, &length, g->notes);
    return false;
}
