/* The CSV reader, and typed rows on top of it. What is promised: no crash and no read outside the input; the same
 * records, or the same error at the same place, however the bytes come in; a number read and printed is the same
 * number; and a record written out again is read as the same record.
 *
 * The first byte of an input chooses the delimiter, the second how the bytes are cut.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pieces.h"
#include "workers/jobs/table/csv.h"
#include "workers/jobs/table/dataset.h"
#include "workers/jobs/table/decimal.h"

static const char delimiters[] = {',', ';', '\t', '|', ' ', ',', ',', ','};

static void note_field(struct buf *out, const struct csv_field *field) {
    buf_append_char(out, field->quoted ? 'q' : 'u');
    buf_append_i64(out, field->length);
    buf_append_char(out, ':');
    buf_append(out, field->at, field->length);
}

/* Everything a reader says of the bytes, records and error. */
static bool describe(const char *bytes, size_t size, char delimiter, size_t step, struct buf *out) {
    struct pieces pieces = {bytes, size, step};
    struct csv_source source = {read_piece, &pieces};
    struct csv_reader *reader = csv_reader_new(delimiter);
    const struct csv_field *fields;
    enum csv_status status;
    size_t n, width = 0;
    assert(reader);
    while ((status = csv_reader_read(reader, &source, &fields, &n)) == CSV_RECORD) {
        assert(width == 0 || n == width);
        width = n;
        buf_append_i64(out, (int64_t)csv_reader_line(reader));
        for (size_t i = 0; i < n; i++) note_field(out, &fields[i]);
        buf_append_char(out, '\n');
    }
    assert(status == CSV_END || status == CSV_ERROR);
    if (status == CSV_ERROR) {
        const struct csv_error *e = csv_reader_error(reader);
        assert(e->line > 0 && e->column > 0 && e->text[0] != '\0');
        assert(csv_reader_read(reader, &source, &fields, &n) == CSV_ERROR);
        buf_printf(out, "%llu:%llu %s", (unsigned long long)e->line, (unsigned long long)e->column, e->text);
    }
    csv_reader_free(reader);
    return status == CSV_END;
}

/* A number that was read is the one that its print reads as. */
static void check_number(const struct dataset_cell *cell) {
    char text[DECIMAL_PRINT_ROOM];
    double again;
    if (isnan(cell->number)) return;
    assert(isfinite(cell->number));
    size_t length = decimal_print(cell->number, text);
    assert(length < sizeof text && text[length] == '\0');
    assert(decimal_parse(text, length, &again) != DECIMAL_NOT && again == cell->number);
}

static void read_typed(const char *bytes, size_t size, char delimiter) {
    struct pieces pieces = {bytes, size, 0};
    struct dataset_options options = {.delimiter = delimiter, .na = ",NA,-9", .want_gaps = true};
    struct jobs_error error = {0};
    struct dataset d;
    struct dataset_row row;
    enum dataset_status status;
    if (!dataset_open(&d, "input", (struct csv_source){read_piece, &pieces}, &options, &error)) {
        assert(error.fault == JOBS_FAULT_DATA && error.text[0] != '\0');
        return;
    }
    dataset_use_all(&d, USE_TYPE | USE_SPELL);
    while ((status = dataset_next(&d, &row, &error)) == DATASET_ROW) {
        for (size_t i = 0; i < d.n_columns; i++) {
            check_number(&row.cells[i]);
            assert(!row.cells[i].missing || row.gap || d.columns[i].label);
            assert(!(row.cells[i].missing && row.cells[i].quoted));
        }
    }
    assert((status == DATASET_ERROR) == (error.fault != JOBS_FAULT_NONE));
    dataset_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole, cut;
    if (size < 2) return 0;
    const char *bytes = (const char *)data + 2;
    char delimiter = delimiters[data[0] % sizeof delimiters];
    buf_init(&whole);
    buf_init(&cut);
    bool good = describe(bytes, size - 2, delimiter, 0, &whole);
    assert(describe(bytes, size - 2, delimiter, 1 + data[1] % 97, &cut) == good);
    assert(str_eq(buf_str(&whole), buf_str(&cut)));
    read_typed(bytes, size - 2, delimiter);
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}

static const char *const seeds[] = {
    "a,b,c\n1,2.5,NA\n-3,1e10,\n",
    "\xEF\xBB\xBFname,\"a, b\",x\r\n\"say \"\"hi\"\"\",\"two\nlines\",-0.0\r\nz,\"\",4.9e-324\r\n",
    "g;y\na;9007199254740993\nb;1.7976931348623157e308\nc;12345678901234567890",
    "x\n1\n\"2\"\n.5\n5.\n+7\n1e400\n0x10\ninf\nnan\n-9\n",
    "a\tb\n\xC3\xA9\t\xE2\x82\xAC\n\xF0\x9F\x90\xA6\tz\n",
    "a,b\n1,2,3\n",
    "a,a\n",
    "a,\"b\n",
    "a,b\n1,x\"y\n",
    "a,b\n\"1\"z,2\n",
    "a\n1\r2\n",
    "\n",
};

bool fuzz_seed(size_t i, struct buf *out) {
    if (i >= sizeof seeds / sizeof *seeds) return false;
    buf_append_char(out, i == 2 ? 1 : i == 4 ? 2 : 0);
    buf_append_char(out, (char)(i * 5));
    buf_append_cstr(out, seeds[i]);
    return true;
}
