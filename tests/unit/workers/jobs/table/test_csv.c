/* The CSV reader: the dialect, every way of breaking it with its line and column, and cuts at every byte. */
#include <errno.h>

#include "core/base/str.h"
#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/jobs_table.h"

/* What a reader takes beside the dialect. */
static struct csv_allowed allowed;

/* What a reader says of a text: "[field][field]q\n" per record, fields in quotes marked by a q, and at the end the
 * error. Pieces of at most step bytes. */
static void describe(const char *text, size_t length, size_t step, char delimiter, struct buf *out) {
    struct text_source source = {.step = step};
    struct csv_source from = text_source(&source, text);
    struct csv_reader *reader = csv_reader_new(delimiter);
    const struct csv_field *fields;
    enum csv_status status;
    size_t n;
    assert_non_null(reader);
    csv_reader_allow(reader, &allowed);
    source.length = length;
    buf_clear(out);
    while ((status = csv_reader_read(reader, &from, &fields, &n)) == CSV_RECORD) {
        buf_append_i64(out, (int64_t)csv_reader_line(reader));
        for (size_t i = 0; i < n; i++) {
            buf_printf(out, "%s", fields[i].quoted ? "q[" : "[");
            buf_append(out, fields[i].at, fields[i].length);
            buf_append_char(out, ']');
        }
        buf_append_char(out, '\n');
    }
    if (status == CSV_ERROR) {
        const struct csv_error *e = csv_reader_error(reader);
        buf_printf(out, "%llu:%llu %s", (unsigned long long)e->line, (unsigned long long)e->column, e->text);
    }
    csv_reader_free(reader);
}

/* Cut anywhere, it says the same. */
static void assert_reads(const char *text, size_t length, const char *expected) {
    struct buf said;
    buf_init(&said);
    for (size_t step = 0; step <= length; step++) {
        describe(text, length, step, ',', &said);
        buf_append_char(&said, '\0');
        assert_string_equal(said.ptr, expected);
    }
    buf_free(&said);
}
#define READS(text, expected) assert_reads("" text, sizeof(text) - 1, expected)

static void reads_the_dialect(void **state) {
    (void)state;
    READS("a,b\n1,2\n", "1[a][b]\n2[1][2]\n");
    READS("a,b\n1,2", "1[a][b]\n2[1][2]\n");
    READS("a,b\r\n1,2\r\n", "1[a][b]\n2[1][2]\n");
    READS("\xEF\xBB\xBF"
          "a\n1\n",
          "1[a]\n2[1]\n");
    READS("a,b\n , x \n", "1[a][b]\n2[ ][ x ]\n");
    READS("a,b\n,\n", "1[a][b]\n2[][]\n");
    READS("a\n\n", "1[a]\n2[]\n");
    READS("a,b\n\"\",\"x\"\n", "1[a][b]\n2q[]q[x]\n");
    READS("a,b\n\"say \"\"hi\"\"\",\"\"\"\"\n", "1[a][b]\n2q[say \"hi\"]q[\"]\n");
    READS("a,b\n\"1,2\",3\n", "1[a][b]\n2q[1,2][3]\n");
    READS("a,b\n\"x\ny\",1\n2,3\n", "1[a][b]\n2q[x\ny][1]\n4[2][3]\n");
    READS("a,b\n\"x\r\ny\",1\r\n2,\"3\"", "1[a][b]\n2q[x\r\ny][1]\n4[2]q[3]\n");
    READS("\"a\",\"b,c\"\n1,2\n", "1q[a]q[b,c]\n2[1][2]\n");
    READS("\xC3\xA9,\xE2\x82\xAC\n\xF0\x9F\x90\xA6,z\n",
          "1[\xC3\xA9][\xE2\x82\xAC]\n2[\xF0\x9F\x90\xA6][z]\n");
}

/* A one-column file may have empty cells, but then a second line end at the end of the file is a row as well. */
static void refuses_what_is_malformed(void **state) {
    (void)state;
    READS("", "1:1 the input is empty; its first line must name the columns");
    READS("\xEF\xBB\xBF", "1:1 the input is empty; its first line must name the columns");
    READS("a,b\n1\n", "1[a][b]\n2:2 the row has 1 field; the header has 2, so every row must have 2");
    READS("a,b\n1,2,3\n", "1[a][b]\n2:5 the row has 3 fields; the header has 2, so every row must have 2");
    READS("a,b\n1,2\n\n",
          "1[a][b]\n2[1][2]\n3:1 the line is empty; the header has 2 fields, so every row must have 2");
    READS("a,b\n\"x\ny\",1\n2\n",
          "1[a][b]\n2q[x\ny][1]\n4:2 the row has 1 field; the header has 2, so every row must have 2");
    READS("a,,c\n", "1:3 the header's field 2 is empty; every column needs a name");
    READS(",,c\n", "1:2 the header's field 2 is empty; every column needs a name");
    READS("\n", "1:1 the header's field 1 is empty; every column needs a name");
    READS("\"\"\n", "1:1 the header's field 1 is empty; every column needs a name");
    READS("a,b,a\n",
          "1:5 the header names \"a\" twice (fields 1 and 3); every column needs a name of its own");
    READS("a,b\n1,x\"y\n",
          "1[a][b]\n2:4 a quote inside an unquoted field; quote the whole field and double the quotes in it");
    READS("a,b\n\"1\"x,2\n",
          "1[a][b]\n2:4 text after a closing quote; a quote inside a quoted field is written twice");
    READS("a,b\n1,\"2\n3,4\n", "1[a][b]\n2:3 the quote that opens here is never closed");
    READS(
        "a,b\n1,2\r3,4\n",
        "1[a][b]\n2:4 a carriage return without a line feed; end lines with LF or CRLF, or quote the field");
    READS(
        "a,b\n1,2\r",
        "1[a][b]\n2:4 a carriage return without a line feed; end lines with LF or CRLF, or quote the field");
    READS("a,b\n1,\0002\n", "1[a][b]\n2:3 a NUL byte; the file must be UTF-8 text");
    READS("a,b\n1,\xC3(\n", "1[a][b]\n2:3 the byte 0xC3 is not valid UTF-8 here; save the file as UTF-8");
    READS("a,b\n\"x\n\xFF\",2\n",
          "1[a][b]\n3:1 the byte 0xFF is not valid UTF-8 here; save the file as UTF-8");
}

static void the_first_column_may_have_row_labels(void **state) {
    (void)state;
    READS(",a\n0,1\n", "1[][a]\n2[0][1]\n");
    READS("\"\",\"a\"\n\"x\",1\n", "1q[]q[a]\n2q[x][1]\n");
}

static void a_first_line_may_be_data(void **state) {
    (void)state;
    allowed.no_header = true;
    READS("a,,a\n1,2,3\n", "1[a][][a]\n2[1][2][3]\n");
    READS("1,2\n1\n", "1[1][2]\n2:2 the row has 1 field; the header has 2, so every row must have 2");
    allowed = (struct csv_allowed){0};
}

static void comments_are_left_out_where_they_are_allowed(void **state) {
    (void)state;
    READS("#a,b\n#1,2\n", "1[#a][b]\n2[#1][2]\n");
    allowed.comment = '#';
    READS("# \"x\r\n#\na,b\n#,\n1,#2\n#\xFF,3\n\"#x\",\"y\n#z\"\n#end",
          "3[a][b]\n5[1][#2]\n7q[#x]q[y\n#z]\n");
    READS("\xEF\xBB\xBF#\na\n", "2[a]\n");
    READS("a\n #1\n", "1[a]\n2[ #1]\n");
    READS("#a\n#", "3:1 the input is empty; its first line must name the columns");
    READS("a,b\n#\n1\n", "1[a][b]\n3:2 the row has 1 field; the header has 2, so every row must have 2");
    allowed = (struct csv_allowed){0};
}

static void blank_lines_are_left_out_where_they_are_allowed(void **state) {
    (void)state;
    allowed.blank_lines = true;
    READS("\n  \r\na,b\n\n1,2\n   \n\r\n\"x\n\ny\",3\n\n \n  ", "3[a][b]\n5[1][2]\n8q[x\n\ny][3]\n");
    READS("a\n\n1\n \n", "1[a]\n3[1]\n");
    READS(" a\n x\n", "1[ a]\n2[ x]\n");
    READS("a,b\n\t\n", "1[a][b]\n2:2 the row has 1 field; the header has 2, so every row must have 2");
    READS("a,b\n \r1,2\n",
          "1[a][b]\n2:2 a carriage return without a line feed; end lines with LF or CRLF, or quote "
          "the field");
    READS(
        "a,b\n\r",
        "1[a][b]\n2:1 a carriage return without a line feed; end lines with LF or CRLF, or quote the field");
    allowed = (struct csv_allowed){0};
}

static void blanks_are_trimmed_where_they_are_allowed(void **state) {
    (void)state;
    READS("a,b\n \"1\",2\n",
          "1[a][b]\n2:2 a quote inside an unquoted field; quote the whole field and double the quotes in it");
    allowed.trim = true;
    READS(" a\t, \"b\" \r\n 1 2 ,\t \n \" x \" ,\"\"\"\"\t\n", "1[a]q[b]\n2[1 2][]\n3q[ x ]q[\"]\n");
    READS("a,b\n1, x\"y\n",
          "1[a][b]\n2:5 a quote inside an unquoted field; quote the whole field and double the quotes in it");
    READS("a,b\n\"1\" x,2\n",
          "1[a][b]\n2:5 text after a closing quote; a quote inside a quoted field is written twice");
    READS("a,a \n",
          "1:3 the header names \"a\" twice (fields 1 and 2); every column needs a name of its own");
    READS("a\n\"1\"  ", "1[a]\n2q[1]\n");
    allowed = (struct csv_allowed){0};
}

static void knows_well_formed_utf8(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "ascii",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xEF\xBF",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xE2\x82(",
                                      "\xFE"};
    size_t at;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(csv_utf8_valid(good[i], strlen(good[i]), &at));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[16];
        snprintf(text, sizeof text, "ab%s", bad[i]);
        assert_false(csv_utf8_valid(text, strlen(text), &at));
        assert_int_equal(at, 2);
    }
}

/* Records around the size of the buffer, with a quoted field over its end. */
static void grows_for_long_records(void **state) {
    (void)state;
    for (size_t size = CSV_BUFFER - 70; size < CSV_BUFFER + 70; size += 7) {
        struct buf text, said, expected;
        buf_init(&text);
        buf_init(&said);
        buf_init(&expected);
        buf_append_cstr(&text, "a,b\n1,\"");
        for (size_t i = 0; i < size; i++) buf_append_char(&text, i % 101 ? 'x' : ',');
        buf_append_cstr(&text, "\"\"\"\n2,3\n");
        buf_append_cstr(&expected, "1[a][b]\n2[1]q[");
        for (size_t i = 0; i < size; i++) buf_append_char(&expected, i % 101 ? 'x' : ',');
        buf_append_cstr(&expected, "\"]\n3[2][3]\n");
        buf_append_char(&text, '\0');
        describe(text.ptr, text.len - 1, size % 3 ? 0 : 4099, ',', &said);
        assert_true(str_eq(buf_str(&said), buf_str(&expected)));
        buf_free(&text);
        buf_free(&said);
        buf_free(&expected);
    }
}

static ssize_t endless(void *context, char *at, size_t room) {
    (void)context;
    memset(at, 'x', room);
    return (ssize_t)room;
}

static void refuses_an_endless_record(void **state) {
    (void)state;
    struct csv_source source = {endless, NULL};
    struct csv_reader *reader = csv_reader_new(0);
    const struct csv_field *fields;
    size_t n;
    assert_int_equal(csv_reader_read(reader, &source, &fields, &n), CSV_ERROR);
    assert_non_null(strstr(csv_reader_error(reader)->text, "is a closing quote missing?"));
    csv_reader_free(reader);
}

static void refuses_too_many_columns(void **state) {
    (void)state;
    struct buf text, said;
    buf_init(&text);
    buf_init(&said);
    for (int i = 0; i <= CSV_COLUMNS_MAX; i++) buf_printf(&text, "c%d,", i);
    buf_append_char(&text, '\0');
    describe(text.ptr, text.len - 1, 0, ',', &said);
    buf_append_char(&said, '\0');
    assert_non_null(strstr(said.ptr, "more than 65536 fields"));
    buf_free(&text);
    buf_free(&said);
}

static void says_that_a_read_failed(void **state) {
    (void)state;
    struct text_source source = {.step = 3, .fail_at = 7};
    struct csv_source from = text_source(&source, "a,b\n1,2\n3,4\n");
    struct csv_reader *reader = csv_reader_new(0);
    const struct csv_field *fields;
    size_t n;
    assert_int_equal(csv_reader_read(reader, &from, &fields, &n), CSV_RECORD);
    assert_int_equal(csv_reader_read(reader, &from, &fields, &n), CSV_ERROR);
    assert_non_null(strstr(csv_reader_error(reader)->text, strerror(EIO)));
    assert_int_equal(csv_reader_read(reader, &from, &fields, &n), CSV_ERROR);
    csv_reader_free(reader);
}

static bool read_all(void *context) {
    struct text_source source = {0};
    struct csv_source from = text_source(&source, context);
    struct csv_reader *reader = csv_reader_new(0);
    const struct csv_field *fields;
    enum csv_status status = CSV_ERROR;
    size_t n;
    if (!reader) return false;
    int records = 0;
    while ((status = csv_reader_read(reader, &from, &fields, &n)) == CSV_RECORD) records++;
    csv_reader_free(reader);
    assert_true(status != CSV_END || records == 2);
    return status == CSV_END;
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    struct buf text; /* more fields and a longer record than there is room for to begin with */
    if (!failing_malloc_works()) skip();
    buf_init(&text);
    for (int i = 0; i < 200; i++) buf_printf(&text, "c%d%c", i, i == 199 ? '\n' : ',');
    buf_append_cstr(&text, "\"");
    for (size_t i = 0; i < 2 * CSV_BUFFER; i++) buf_append_char(&text, 'x');
    buf_append_cstr(&text, "\"");
    for (int i = 1; i < 200; i++) buf_append_char(&text, ',');
    buf_append_char(&text, '\0');
    assert_true(failing_malloc_each(read_all, text.ptr) > 5);
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_column_may_have_row_labels),
        cmocka_unit_test(a_first_line_may_be_data),
        cmocka_unit_test(comments_are_left_out_where_they_are_allowed),
        cmocka_unit_test(blank_lines_are_left_out_where_they_are_allowed),
        cmocka_unit_test(blanks_are_trimmed_where_they_are_allowed),
        cmocka_unit_test(reads_the_dialect),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(knows_well_formed_utf8),
        cmocka_unit_test(grows_for_long_records),
        cmocka_unit_test(refuses_an_endless_record),
        cmocka_unit_test(refuses_too_many_columns),
        cmocka_unit_test(says_that_a_read_failed),
        cmocka_unit_test(survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests_name("unit/jobs_csv", tests, NULL, NULL);
}
