/* grouped_batch: rows in memory with the number of each row's slice. See grouped_internal.h. */
#include <assert.h>
#include <stdlib.h>

#include "workers/jobs/fit/grouped_internal.h"

#define GO_ON_EVERY 4096

#define FIRST_ROWS 1024
/* What a row takes besides its cells: its slice's number, and its place in the index. */
#define ROW_OVERHEAD (2 * sizeof(uint32_t))
/* What a slice takes in the index while its keys are sorted. */
#define SLICE_OVERHEAD 64

bool grouped_batch_open(struct grouped_batch *batch, const struct dataset *d, size_t n_keys,
                        struct jobs_error *error) {
    *batch = (struct grouped_batch){.keys = slice_keys_new(n_keys)};
    if (batch->keys && table_open(&batch->table, d)) return true;
    slice_keys_free(batch->keys);
    *batch = (struct grouped_batch){0};
    return jobs_fail_memory(error, "the rows");
}

void grouped_batch_close(struct grouped_batch *batch) {
    table_close(&batch->table);
    slice_keys_free(batch->keys);
    slice_index_free(&batch->index);
    free(batch->row_slice);
    *batch = (struct grouped_batch){0};
}

static bool grow(struct grouped_batch *batch) {
    size_t room = batch->rows_room ? batch->rows_room + batch->rows_room / 2 : FIRST_ROWS;
    uint32_t *bigger = realloc(batch->row_slice, room * sizeof *bigger);
    if (!bigger) return false;
    batch->row_slice = bigger;
    batch->rows_room = room;
    return true;
}

bool grouped_batch_add(struct grouped_batch *batch, const struct dataset_row *row, uint32_t slice,
                       struct jobs_error *error) {
    size_t n = batch->table.n_rows;
    if (n == TABLE_ROWS_MAX) {
        return jobs_fail(error, JOBS_FAULT_DATA,
                         "more than %u rows are in memory, which is the limit; lower --memory",
                         TABLE_ROWS_MAX);
    }
    if (n == batch->rows_room && !grow(batch)) return jobs_fail_memory(error, "the rows; lower --memory");
    if (!table_append(&batch->table, row)) return jobs_fail_memory(error, "the rows; lower --memory");
    assert(n < batch->rows_room && batch->table.n_rows == n + 1);
    batch->row_slice[n] = slice;
    return true;
}

size_t grouped_spell(double number, char out[static DECIMAL_PRINT_ROOM]) {
    return decimal_print(number + 0.0, out); /* never -0 */
}

/* Numbers each text of the spelling as the number that it is. Returns false on allocation failure. */
static bool respell(const struct decimal_style *style, struct intern *spelling, uint32_t *respelled,
                    uint32_t n) {
    for (uint32_t id = 0; id < n; id++) {
        size_t length;
        double number;
        char text[DECIMAL_PRINT_ROOM];
        const char *written = intern_text(spelling, id, &length);
        /* A gap need not be one. */
        bool is_number = decimal_parse_styled(style, written, length, &number) != DECIMAL_NOT;
        respelled[id] = is_number ? intern_add(spelling, text, grouped_spell(number, text)) : id;
        if (respelled[id] == INTERN_NONE) return false;
    }
    return true;
}

bool grouped_respell(const struct grouped_state *state, struct grouped_batch *batch) {
    struct table_column *column = &batch->table.columns[state->job->columns.y];
    if (!state->respells) return true;
    uint32_t n = intern_count(column->spelling);
    uint32_t *respelled = malloc(((size_t)n + 1) * sizeof *respelled);
    bool good = respelled && respell(&state->job->dataset->options.numbers, column->spelling, respelled, n);
    for (size_t row = 0; row < batch->table.n_rows && good; row++) {
        column->text[row] = respelled[column->text[row]];
    }
    free(respelled);
    return good;
}

size_t grouped_batch_size(const struct grouped_batch *batch) {
    return table_size(&batch->table) + batch->table.n_rows * ROW_OVERHEAD + slice_keys_size(batch->keys) +
           slice_keys_count(batch->keys) * SLICE_OVERHEAD;
}

bool grouped_go_on(const struct grouped_spec *spec, uint64_t rows, struct jobs_error *error) {
    if (!spec->go_on || rows % GO_ON_EVERY != 0 || spec->go_on(spec->context, rows)) return true;
    return jobs_fail(error, JOBS_FAULT_STOPPED, "the job was stopped");
}
