/* Rows of a table: see rows.h. Cells are terminated and unquoted in place: nothing is copied. */
#include "gateway/service/job/rows.h"

#include <assert.h>
#include <string.h>

static size_t count(struct str text, char c) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += text.ptr[i] == c;
    return n;
}

/* Returns the length of the row that text begins with; 0 while it is incomplete. */
static size_t row_length(struct str text) {
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        quoted ^= text.ptr[i] == '"';
        if (text.ptr[i] == '\n' && !quoted) return i + 1;
    }
    return 0;
}

/* Cuts off the cell that a row begins with. The row's last byte is LF, which is never read past. */
static char *cut_cell(struct str *row) {
    assert(row->len > 0 && row->ptr[row->len - 1] == '\n');
    char *cell = (char *)(uintptr_t)row->ptr, *from = cell, *to = cell, *end = cell + row->len - 1;
    if (*from == '"') {
        for (from++; from < end && (*from != '"' || from[1] == '"'); *to++ = *from++) from += *from == '"';
        if (from < end) from++;
    } else {
        while (from < end && *from != ',') from++;
        to = from;
    }
    from++;
    *to = '\0';
    row->len -= (size_t)(from - cell);
    row->ptr = from;
    return cell;
}

static Rookery__V1__ResultRow *cut_row(struct str row, struct arena *a) {
    Rookery__V1__ResultRow *out = ARENA_NEW(a, Rookery__V1__ResultRow);
    rookery__v1__result_row__init(out);
    size_t most = count(row, ',') + 1;
    out->cells = ARENA_ARRAY(a, char *, most);
    while (row.len > 0) {
        assert(out->n_cells < most);
        out->cells[out->n_cells++] = cut_cell(&row);
    }
    return out;
}

int job_rows_cut(struct job_rows *rows, struct str piece, struct arena *a,
                 Rookery__V1__GetResultResponse *reply, struct fault *fault) {
    buf_consume(&rows->bytes, rows->cut);
    buf_append_str(&rows->bytes, piece);
    struct str left = buf_str(&rows->bytes);
    reply->rows = ARENA_ARRAY(a, Rookery__V1__ResultRow *, count(left, '\n') + 1);
    for (size_t length; (length = row_length(left)) > 0; left.ptr += length, left.len -= length)
        reply->rows[reply->n_rows++] = cut_row((struct str){left.ptr, length}, a);
    rows->cut = rows->bytes.len - left.len;
    if (left.len <= JOB_ROW_MAX) return 0;
    return fault_set(fault, ERR_FAILED_PRECONDITION,
                     "a row of this table is longer than %u bytes, more than a message holds: ask for bytes",
                     JOB_ROW_MAX);
}
