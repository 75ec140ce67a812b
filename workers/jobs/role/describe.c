/* Describing a dataset: the first reading, which finds out whether it is a CSV at all.
 *
 *   1. The dataset, if it still waits to be described, is fetched into a file.
 *   2. describe.h reads all of it, some tens of milliseconds at a time, on the thread pool.
 *   3. The description is stored, and the dataset is ready.
 * Failures: when it is not a CSV, the dataset has failed, with the sentence that says where. When the dataset was
 * deleted, nothing is left to do.
 */
#include <assert.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "workers/jobs/model/describe.h"
#include "workers/jobs/role/describe.sql.h"
#include "workers/jobs/role/files.h"
#include "workers/jobs/role/role.h"

#define PIECE_NS (50 * NS_PER_MS)
#define PIECE_ROWS 1000

int role_dataset_fail(struct fiber *self, struct worker *w, int64_t dataset_id, const char *sentence,
                      struct fault *fault) {
    return pg_ask(self, w->domain.pg, &ROLE_DATASET_FAIL, NULL, fault, pg_i64(dataset_id),
                  pg_text(role_clean_text(fiber_arena(self), sentence)));
}

/* ---- on a thread --------------------------------------------------------------------------------------- */

struct describing {
    const char *name;
    struct dataset_options options;
    int fd;
    struct role_range range;
    struct dataset dataset;
    struct describe describe;
    bool opened, described;
    struct jobs_error error;
};

static bool open_both(struct describing *d) {
    if (!dataset_open(&d->dataset, d->name, role_range_source(&d->range), &d->options, &d->error))
        return false;
    d->opened = true;
    d->described = describe_open(&d->describe, &d->dataset, &d->error);
    return d->described;
}

static bool read_some(void *arg) {
    struct describing *d = arg;
    int64_t end = clock_mono_ns() + PIECE_NS;
    if (!d->opened && !open_both(d)) return false;
    enum dataset_status status = DATASET_ROW;
    while (status == DATASET_ROW && clock_mono_ns() < end)
        status = describe_rows(&d->describe, PIECE_ROWS, &d->error);
    return status == DATASET_ROW;
}

static void close_both(struct describing *d) {
    if (d->described) describe_close(&d->describe);
    if (d->opened) dataset_close(&d->dataset);
    close(d->fd);
}

/* ---- what was found ------------------------------------------------------------------------------------ */

static Rookery__V1__ColumnType type_of(enum column_type type) {
    switch (type) {
    case COLUMN_INTEGER: return ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_INTEGER;
    case COLUMN_DOUBLE: return ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_DOUBLE;
    default: return ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_TEXT;
    }
}

static Rookery__V1__Column *shape_column(struct arena *a, const struct describing *d, size_t at) {
    const struct describe_column *found = &d->describe.columns[at];
    Rookery__V1__Column *out = ARENA_NEW(a, Rookery__V1__Column);
    rookery__v1__column__init(out);
    out->name = d->dataset.columns[at].name;
    out->type = type_of(d->dataset.columns[at].type);
    out->missing_count = (int64_t)d->dataset.columns[at].n_missing;
    out->slice_count = (int64_t)slice_keys_count(found->keys);
    out->slice_count_is_exact = !found->more;
    struct slice_cell cells[DESCRIBE_SLICES];
    out->n_slices = describe_slices(&d->describe, at, cells);
    out->slices = ARENA_ARRAY(a, char *, out->n_slices);
    for (size_t i = 0; i < out->n_slices; i++)
        out->slices[i] = arena_strndup(a, cells[i].text, cells[i].length);
    return out;
}

static struct str shape(struct arena *a, const struct describing *d) {
    Rookery__V1__DescribeDatasetResponse out = ROOKERY__V1__DESCRIBE_DATASET_RESPONSE__INIT;
    assert(d->described && d->error.fault == JOBS_FAULT_NONE);
    out.n_columns = d->dataset.n_columns;
    out.columns = ARENA_ARRAY(a, Rookery__V1__Column *, out.n_columns);
    for (size_t i = 0; i < out.n_columns; i++) out.columns[i] = shape_column(a, d, i);
    return pb_encode_arena(&out.base, a);
}

static int store(struct fiber *self, struct worker *w, int64_t dataset_id, const struct describing *d,
                 struct fault *fault) {
    return pg_ask(self, w->domain.pg, &ROLE_STORE_DESCRIPTION, NULL, fault, pg_i64(dataset_id),
                  pg_bytes(shape(fiber_arena(self), d)), pg_i64((int64_t)d->dataset.n_rows));
}

/* ---- the step ------------------------------------------------------------------------------------------ */

static int describe_file(struct fiber *self, struct worker *w, int64_t dataset_id, struct describing *d,
                         struct fault *fault) {
    int e = jobs_compute(self, w, read_some, d);
    if (e != 0) return e;
    if (d->error.fault != JOBS_FAULT_NONE)
        return role_dataset_fail(self, w, dataset_id, d->error.text, fault);
    return store(self, w, dataset_id, d, fault);
}

int role_describe(struct fiber *self, struct worker *w, int64_t dataset_id, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, &ROLE_BEGIN_DESCRIBING, &r, fault, pg_i64(dataset_id));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    struct str name = pg_take_str(&row), dialect = pg_take_str(&row);
    int64_t attempts = pg_take_i64(&row);
    pg_end(&row);
    if (attempts > ROLE_ATTEMPTS(w->domain.config))
        return role_dataset_fail(self, w, dataset_id, "reading: " ROLE_BEGUN_TOO_OFTEN, fault);
    struct describing d = {.name = str_to_cstr(fiber_arena(self), name)};
    role_dialect(fiber_arena(self), dialect, &d.options);
    int64_t length;
    d.fd = role_temporary(fault);
    if (d.fd < 0) return ERR_UNAVAILABLE;
    e = role_fetch(self, w, (struct role_bytes){.kind = ROLE_DATASET, .id = dataset_id}, d.fd, &length,
                   fault);
    d.range = (struct role_range){.fd = d.fd, .end = length};
    if (e == 0) e = describe_file(self, w, dataset_id, &d, fault);
    close_both(&d);
    return e;
}
