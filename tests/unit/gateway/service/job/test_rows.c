/* A table's CSV as rows: the same rows however the bytes are cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/service/job/rows.h"

#define COLUMNS 3

static const struct str table = STR("key,n,\"a \"\"b\"\"\"\n"
                                    "plain,1,0.5\n"
                                    "\"with, a comma\",,\n"
                                    ",\"\",\"\"\"\"\n"
                                    "\"two\nlines, and \"\"\n\"\"\",7,x\n");
static const char *const cells[][COLUMNS] = {{"key", "n", "a \"b\""},
                                             {"plain", "1", "0.5"},
                                             {"with, a comma", "", ""},
                                             {"", "", "\""},
                                             {"two\nlines, and \"\n\"", "7", "x"}};
#define ROWS (sizeof cells / sizeof *cells)

static size_t check_rows(const Rookery__V1__GetResultResponse *reply, size_t first) {
    for (size_t i = 0; i < reply->n_rows; i++) {
        assert_true(first + i < ROWS);
        assert_int_equal(reply->rows[i]->n_cells, COLUMNS);
        for (size_t j = 0; j < COLUMNS; j++)
            assert_string_equal(reply->rows[i]->cells[j], cells[first + i][j]);
    }
    return reply->n_rows;
}

static void rows_are_the_same_however_bytes_come(void **state) {
    (void)state;
    for (size_t size = 1; size <= table.len; size++) {
        struct job_rows rows = {0};
        struct arena a;
        size_t n = 0;
        arena_init(&a, 0);
        for (size_t at = 0; at < table.len; at += size) {
            Rookery__V1__GetResultResponse reply = ROOKERY__V1__GET_RESULT_RESPONSE__INIT;
            /* A copy of its own size: sanitizers see who reads past it. */
            size_t length = table.len - at < size ? table.len - at : size;
            char *piece = malloc(length);
            assert_non_null(piece);
            memcpy(piece, table.ptr + at, length);
            assert_int_equal(job_rows_cut(&rows, (struct str){piece, length}, &a, &reply, NULL), 0);
            free(piece);
            n += check_rows(&reply, n);
            arena_reset(&a);
        }
        assert_int_equal(n, ROWS);
        buf_free(&rows.bytes);
        arena_free(&a);
    }
}

static void a_row_that_fits_no_message_is_refused(void **state) {
    (void)state;
    struct job_rows rows = {0};
    struct fault fault = {.error = ERR_OK};
    struct arena a;
    char *piece = calloc(1, JOB_ROW_MAX);
    assert_non_null(piece);
    memset(piece, 'x', JOB_ROW_MAX);
    arena_init(&a, 0);
    Rookery__V1__GetResultResponse reply = ROOKERY__V1__GET_RESULT_RESPONSE__INIT;
    assert_int_equal(job_rows_cut(&rows, (struct str){piece, JOB_ROW_MAX}, &a, &reply, &fault), 0);
    assert_int_equal(reply.n_rows, 0);
    assert_int_equal(job_rows_cut(&rows, STR("y"), &a, &reply, &fault), ERR_FAILED_PRECONDITION);
    assert_non_null(strstr(fault.text, "ask for bytes"));
    free(piece);
    buf_free(&rows.bytes);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_however_bytes_come),
        cmocka_unit_test(a_row_that_fits_no_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
