/* What people's files are like before they are the CSV of fuzz_csv: packed, in UTF-16, with comments, blank lines,
 * blanks around cells, numbers of another style, no header. What is promised: no crash and no read outside the input;
 * the same text, or the same failure behind the same text, however the bytes come in; what is packed is unpacked; the
 * same records, or the same error at the same place, however the text comes in.
 *
 * The first byte of an input chooses what is allowed, the second how the bytes are cut, the third the numbers' style.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pieces.h"
#include "workers/jobs/decode/decode.h"
#include "workers/jobs/table/dataset.h"

#define HEAD 3
/* Gzip data may unpack to a thousand times their size: more than this is not looked at. */
#define TEXT_MAX (256u << 10)

/* Appends the text of the bytes; returns 0, or the errno of the failure. */
static int decode(const char *bytes, size_t size, size_t step, struct buf *out) {
    struct pieces pieces = {bytes, size, step};
    struct decoder *d = decoder_new((struct csv_source){read_piece, &pieces});
    ssize_t got = 1;
    assert(d);
    while (got > 0 && out->len < TEXT_MAX) {
        char at[256];
        size_t room = step ? 1 + step % sizeof at : sizeof at;
        got = decoder_read(d, at, room);
        assert(got <= (ssize_t)room);
        if (got > 0) buf_append(out, at, (size_t)got);
    }
    int why = got < 0 ? errno : 0;
    assert(why == 0 || why == EBADMSG || why == ENODATA || why == EILSEQ);
    decoder_free(d);
    if (out->len > TEXT_MAX) out->len = TEXT_MAX;
    return why;
}

static void pack(struct buf *out, const char *bytes, size_t size) {
    unsigned char room[1024];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)bytes, .avail_in = (uInt)size};
    int done = deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 1, Z_DEFAULT_STRATEGY);
    assert(done == Z_OK);
    while (done != Z_STREAM_END) {
        z.next_out = room;
        z.avail_out = sizeof room;
        done = deflate(&z, Z_FINISH);
        assert(done == Z_OK || done == Z_STREAM_END || done == Z_BUF_ERROR);
        buf_append(out, (const char *)room, sizeof room - z.avail_out);
    }
    deflateEnd(&z);
}

static void check_packed(const char *bytes, size_t size, size_t step) {
    struct buf packed, out;
    size_t half = size / 2;
    unsigned char first = size > 1 ? (unsigned char)bytes[0] : 0,
                  second = size > 1 ? (unsigned char)bytes[1] : 0;
    if ((first == 0xFE && second == 0xFF) || (first == 0xFF && second == 0xFE)) return;
    buf_init(&packed);
    buf_init(&out);
    pack(&packed, bytes, half);
    pack(&packed, bytes + half, size - half);
    assert(decode(packed.ptr, packed.len, step, &out) == 0);
    assert(str_eq(buf_str(&out), (struct str){bytes, size}));
    buf_free(&packed);
    buf_free(&out);
}

/* Everything a reader says of the text, records and error. */
static void describe(struct str text, const struct csv_allowed *allowed, size_t step, struct buf *out) {
    struct pieces pieces = {text.ptr, text.len, step};
    struct csv_source source = {read_piece, &pieces};
    struct csv_reader *reader = csv_reader_new(0);
    const struct csv_field *fields;
    enum csv_status status;
    size_t n;
    assert(reader);
    csv_reader_allow(reader, allowed);
    while ((status = csv_reader_read(reader, &source, &fields, &n)) == CSV_RECORD) {
        buf_append_i64(out, (int64_t)csv_reader_line(reader));
        for (size_t i = 0; i < n; i++) {
            buf_append_char(out, fields[i].quoted ? 'q' : 'u');
            buf_append_i64(out, fields[i].length);
            buf_append_char(out, ':');
            buf_append(out, fields[i].at, fields[i].length);
            if (!allowed->trim || fields[i].quoted || fields[i].length == 0) continue;
            assert(fields[i].at[0] != ' ' && fields[i].at[fields[i].length - 1] != ' ');
        }
    }
    if (status == CSV_ERROR) {
        const struct csv_error *e = csv_reader_error(reader);
        buf_printf(out, "%llu:%llu %s", (unsigned long long)e->line, (unsigned long long)e->column, e->text);
    }
    csv_reader_free(reader);
}

static void check_records(struct str text, const struct csv_allowed *allowed, size_t step) {
    struct buf whole, cut;
    buf_init(&whole);
    buf_init(&cut);
    describe(text, allowed, 0, &whole);
    describe(text, allowed, step, &cut);
    assert(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_free(&whole);
    buf_free(&cut);
}

static void read_typed(struct str text, const struct csv_allowed *allowed,
                       const struct decimal_style *style) {
    struct pieces pieces = {text.ptr, text.len, 0};
    struct dataset_options options = {
        .delimiter = ';', .allowed = *allowed, .numbers = *style, .want_gaps = true};
    struct jobs_error error = {0};
    struct dataset d;
    struct dataset_row row;
    if (!dataset_open(&d, "input", (struct csv_source){read_piece, &pieces}, &options, &error)) {
        assert(error.fault == JOBS_FAULT_DATA && error.text[0] != '\0');
        return;
    }
    dataset_use_all(&d, USE_TYPE | USE_SPELL);
    enum dataset_status status =
        allowed->no_header ? dataset_first(&d, &row, &error) : dataset_next(&d, &row, &error);
    for (; status == DATASET_ROW; status = dataset_next(&d, &row, &error)) {
        for (size_t i = 0; i < d.n_columns; i++)
            assert(isnan(row.cells[i].number) || isfinite(row.cells[i].number));
    }
    assert((status == DATASET_ERROR) == (error.fault != JOBS_FAULT_NONE));
    dataset_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct decimal_style styles[] = {{0, 0},   {',', 0},   {',', '.'},
                                                  {0, ','}, {',', ' '}, {0, '\''}};
    if (size < HEAD) return 0;
    const char *bytes = (const char *)data + HEAD;
    size_t step = 1 + data[1] % 97;
    struct csv_allowed allowed = {.no_header = data[0] & 1,
                                  .comment = data[0] & 2 ? '#' : 0,
                                  .blank_lines = (data[0] & 4) != 0,
                                  .trim = (data[0] & 8) != 0};
    struct buf text, cut;
    buf_init(&text);
    buf_init(&cut);
    int why = decode(bytes, size - HEAD, 0, &text);
    assert(decode(bytes, size - HEAD, step, &cut) == why || text.len >= TEXT_MAX);
    assert(str_eq(buf_str(&text), buf_str(&cut)));
    check_packed(bytes, size - HEAD, step);
    check_records(buf_str(&text), &allowed, step);
    read_typed(buf_str(&text), &allowed, &styles[data[2] % (sizeof styles / sizeof *styles)]);
    buf_free(&text);
    buf_free(&cut);
    return 0;
}

static const struct {
    unsigned char allowed, style;
    bool packed;
    const char *text;
    size_t length;
} seeds[] = {
#define SEED(allowed, style, packed, text)                                                                   \
    { allowed, style, packed, text, sizeof(text) - 1 }
    SEED(0, 0, false, ",a,b\n0,1,2\n"),
    SEED(1, 0, false, "ENST1.1,G1\nENST2.1,G1\n"),
    SEED(2, 0, false, "# c \"\na;b\n#\n1;#2\n\"#\n#\";3\n#end"),
    SEED(4, 0, false, "\n  \r\na\n\n1\n \n\r\n"),
    SEED(8, 0, false, " a ,\t\"b\" \n\" x \"\t, 1 2 \n"),
    SEED(14, 2, false, "#\n\n a ; b \n 1.234,5 ; -9.999 \n \n1.5;1,5,\n"),
    SEED(0, 4, false,
         "a;b\n1 234,5;1\xC2\xA0"
         "234\n1\xE2\x80\xAF"
         "234 567;,5\n"),
    SEED(0, 0, true, "a,b\n1,2\n3,4\n"),
    SEED(6, 0, true,
         "\xFF\xFE"
         "a\0\n\0"
         "1\0\n\0=\xD8&\xDC\n\0"),
    SEED(0, 0, false,
         "\xFE\xFF\0a\0\n\0"
         "1\0\n\xD8=\xDC&"),
    SEED(0, 0, false,
         "\xFF\xFE"
         "a\0\n\0\0\xD8"),
};

bool fuzz_seed(size_t i, struct buf *out) {
    if (i >= sizeof seeds / sizeof *seeds) return false;
    buf_append_char(out, (char)seeds[i].allowed);
    buf_append_char(out, (char)(i * 5));
    buf_append_char(out, (char)seeds[i].style);
    if (seeds[i].packed) {
        pack(out, seeds[i].text, 3);
        pack(out, seeds[i].text + 3, seeds[i].length - 3);
    } else {
        buf_append(out, seeds[i].text, seeds[i].length);
    }
    return true;
}
