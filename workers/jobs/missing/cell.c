/* What the policies share: means, and the cells they add. */
#include "workers/jobs/missing/missing.h"

#include <stdlib.h>

bool missing_mean(const struct table_column *column, const uint32_t *rows, size_t n_rows, double *mean) {
    long double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = missing_row(rows, i);
        if (table_is_missing(column, row)) continue;
        sum += table_number(column, row);
        n++;
    }
    if (n) *mean = (double)(sum / n);
    return n > 0;
}

bool missing_add_cell(struct missing_result *result, struct missing_cell cell) {
    if (result->n_cells == result->cells_room) {
        size_t room = result->cells_room ? result->cells_room * 2 : 64;
        struct missing_cell *cells = realloc(result->cells, room * sizeof *cells);
        if (!cells) return false;
        result->cells = cells;
        result->cells_room = room;
    }
    result->cells[result->n_cells++] = cell;
    return true;
}
