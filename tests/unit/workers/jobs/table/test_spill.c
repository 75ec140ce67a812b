/* Temporary files of jobs where the system does not do as asked: no nameless files, interrupted calls, short ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/support/folder.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/table/spill.h"

/* ---- a system that misbehaves ---- */

static int open_errno;         /* for nameless files; 0: they work */
static int interruptions;      /* of the next writes and reads */
static size_t most = SIZE_MAX; /* bytes that one write or read does */
static int pread_errno;        /* of the next read that is not interrupted */

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, int) : 0;
    va_end(more);
    if ((flags & O_TMPFILE) == O_TMPFILE && open_errno) {
        errno = open_errno;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static bool interrupted(void) {
    if (interruptions == 0) return false;
    interruptions--;
    errno = EINTR;
    return true;
}

ssize_t write(int fd, const void *at, size_t n) {
    if (fd > STDERR_FILENO && interrupted()) return -1;
    return syscall(SYS_write, fd, at, fd > STDERR_FILENO && n > most ? most : n);
}

ssize_t pread(int fd, void *at, size_t n, off_t offset) {
    if (interrupted()) return -1;
    if (pread_errno) {
        errno = pread_errno;
        return -1;
    }
    return syscall(SYS_pread64, fd, at, n > most ? most : n, offset);
}

static int behave(void **state) {
    (void)state;
    open_errno = interruptions = pread_errno = 0;
    most = SIZE_MAX;
    return 0;
}

/* ---- temporary files ---- */

static void where_files_need_names_they_lose_them_at_once(void **state) {
    static const int errnos[] = {EOPNOTSUPP, EISDIR, ENOENT};
    (void)state;
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
        struct jobs_error error = {0};
        char folder[TEST_FOLDER_SIZE];
        test_folder_make(folder);
        open_errno = errnos[i];
        int fd = spill_temporary(folder, &error);
        assert_true(fd >= 0);
        assert_int_equal(rmdir(folder), 0); /* which is empty */
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(pwrite(fd, "x", 1, 0), 1);
        close(fd);
    }
}

static void a_place_that_takes_no_files_is_named(void **state) {
    struct jobs_error error = {0};
    (void)state;
    open_errno = EACCES;
    assert_int_equal(spill_temporary("/some/where", &error), -1);
    assert_int_equal(error.fault, JOBS_FAULT_MACHINE);
    assert_string_equal(error.text,
                        "no temporary file can be made in /some/where: Permission denied; name another "
                        "place with --scratch-dir");
}

static void other_failures_make_no_file_with_a_name(void **state) {
    struct jobs_error error = {0};
    char folder[TEST_FOLDER_SIZE];
    (void)state;
    test_folder_make(folder);
    open_errno = EMFILE;
    assert_int_equal(spill_temporary(folder, &error), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void a_path_that_is_too_long_is_a_failure(void **state) {
    struct jobs_error error = {0};
    char path[5000];
    (void)state;
    memset(path, '/', sizeof path);
    path[sizeof path - 1] = '\0'; /* of slashes alone: the root */
    open_errno = EOPNOTSUPP;
    assert_int_equal(spill_temporary(path, &error), -1);
}

static void without_a_place_it_is_tmpdir_or_var_tmp(void **state) {
    struct jobs_error error = {0};
    char *kept = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    (void)state;
    open_errno = EACCES; /* so that the place is named */
    setenv("TMPDIR", "/my/tmp", 1);
    assert_int_equal(spill_temporary(NULL, &error), -1);
    assert_non_null(strstr(error.text, "made in /my/tmp:"));
    error = (struct jobs_error){0};
    setenv("TMPDIR", "", 1);
    assert_int_equal(spill_temporary(NULL, &error), -1);
    assert_non_null(strstr(error.text, "made in /var/tmp:"));
    error = (struct jobs_error){0};
    unsetenv("TMPDIR");
    assert_int_equal(spill_temporary(NULL, &error), -1);
    assert_non_null(strstr(error.text, "made in /var/tmp:"));
    if (kept) setenv("TMPDIR", kept, 1);
    free(kept);
}

static void a_write_goes_on_until_all_is_written(void **state) {
    struct jobs_error error = {0};
    char got[8] = "";
    (void)state;
    int fd = spill_temporary(NULL, &error);
    interruptions = 2;
    most = 3;
    assert_true(spill_write(fd, "abcdefg", 7, &error));
    most = SIZE_MAX;
    assert_int_equal(pread(fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "abcdefg");
    close(fd);
}

static void a_write_of_nothing_is_a_failure(void **state) {
    struct jobs_error error = {0};
    (void)state;
    int fd = spill_temporary(NULL, &error);
    most = 0;
    errno = EINTR; /* of some call before */
    assert_false(spill_write(fd, "a", 1, &error));
    close(fd);
}

static void a_full_disk_is_a_sentence(void **state) {
    struct jobs_error error = {0};
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    assert_false(spill_write(fd, "a", 1, &error));
    assert_int_equal(error.fault, JOBS_FAULT_MACHINE);
    assert_non_null(strstr(error.text, "No space left on device"));
    close(fd);
}

/* ---- rows ---- */

/* A spill of the rows g,y = k,k for k from 0; all of one key. */
struct rows {
    struct text_source source;
    struct dataset dataset;
    struct spill *spill;
    size_t n, partition;
};

static char *some_rows(size_t n) {
    char *text = malloc(16 + 32 * n);
    size_t used = (size_t)sprintf(text, "g,y\n");
    for (size_t i = 0; i < n; i++) used += (size_t)sprintf(text + used, "a,%zu\n", i);
    return text;
}

static void rows_open(struct rows *r, const char *text) {
    struct jobs_error error = {0};
    struct dataset_row row;
    struct slice_key key;
    char *room = NULL;
    size_t size = 0;
    struct slice_cell cell = {"a", 1, false};
    *r = (struct rows){0};
    assert_true(dataset_open(&r->dataset, "rows", text_source(&r->source, text), &(struct dataset_options){0},
                             &error));
    assert_true(dataset_use(&r->dataset, "y", USE_NUMBER, "", &error));
    r->spill = spill_new(&r->dataset, NULL, 1, 0, &error);
    assert_non_null(r->spill);
    assert_true(slice_key_encode(&cell, 1, &room, &size, &key));
    for (; dataset_next(&r->dataset, &row, &error) == DATASET_ROW; r->n++)
        assert_true(spill_append(r->spill, key, &row, &error));
    assert_true(spill_flush(r->spill, &error));
    while (spill_rows(r->spill, r->partition) == 0) r->partition++;
    free(room);
}

static void rows_close(struct rows *r) {
    spill_free(r->spill);
    dataset_close(&r->dataset);
}

/* How many rows come back, each checked, before the end or an error. */
static size_t read_rows(struct rows *r, struct jobs_error *error, enum dataset_status *end) {
    struct spill_cursor *cursor = spill_cursor_new(r->spill, r->partition);
    struct dataset_row row;
    struct slice_key key;
    size_t n = 0;
    assert_non_null(cursor);
    while ((*end = spill_cursor_next(cursor, &key, &row, error)) == DATASET_ROW) {
        assert_float_equal(row.cells[1].number, (double)n, 0);
        n++;
    }
    spill_cursor_free(cursor);
    return n;
}

static void rows_come_back_through_interrupted_and_short_reads(void **state) {
    struct jobs_error error = {0};
    enum dataset_status end;
    struct rows r;
    char *text = some_rows(3000);
    (void)state;
    most = 100;
    interruptions = 3;
    rows_open(&r, text);
    assert_int_equal(r.n, 3000);
    assert_int_equal(spill_rows(r.spill, r.partition), 3000);
    interruptions = 3;
    assert_int_equal(read_rows(&r, &error, &end), 3000);
    assert_int_equal(end, DATASET_END);
    rows_close(&r);
    free(text);
}

static void rows_come_back_byte_by_byte(void **state) {
    struct jobs_error error = {0};
    enum dataset_status end;
    struct rows r;
    char *text = some_rows(20);
    (void)state;
    rows_open(&r, text);
    most = 1;
    assert_int_equal(read_rows(&r, &error, &end), 20);
    assert_int_equal(end, DATASET_END);
    rows_close(&r);
    free(text);
}

/* A key of more than the reader's buffer, between two small rows. */
static void a_row_larger_than_the_buffer_comes_back_whole(void **state) {
    struct jobs_error error = {0};
    struct dataset_row row;
    struct slice_key key, large;
    struct rows r;
    size_t size = 0, n = 600 * 1000, seen = 0;
    char *room = NULL, *name = malloc(n), *text = some_rows(1);
    (void)state;
    memset(name, 'k', n);
    struct slice_cell cell = {name, (uint32_t)n, false};
    assert_true(slice_key_encode(&cell, 1, &room, &size, &large));
    rows_open(&r, text);
    const struct dataset_cell numbers[2] = {{0}, {.number = 7}};
    row = (struct dataset_row){.cells = numbers};
    for (int i = 0; i < 3; i++) assert_true(spill_append(r.spill, large, &row, &error));
    assert_true(spill_flush(r.spill, &error));
    for (size_t p = 0; p < SPILL_PARTITIONS; p++) {
        struct spill_cursor *cursor = spill_cursor_new(r.spill, p);
        while (spill_cursor_next(cursor, &key, &row, &error) == DATASET_ROW) {
            if (key.length != large.length) continue;
            assert_memory_equal(key.bytes, large.bytes, large.length);
            assert_float_equal(row.cells[1].number, 7, 0);
            seen++;
        }
        spill_cursor_free(cursor);
    }
    assert_int_equal(seen, 3);
    rows_close(&r);
    free(room);
    free(name);
    free(text);
}

static void a_read_that_fails_is_a_sentence(void **state) {
    struct jobs_error error = {0};
    enum dataset_status end;
    struct rows r;
    char *text = some_rows(10);
    (void)state;
    rows_open(&r, text);
    pread_errno = EIO;
    assert_int_equal(read_rows(&r, &error, &end), 0);
    assert_int_equal(end, DATASET_ERROR);
    assert_string_equal(error.text, "a temporary file could not be read back: Input/output error");
    rows_close(&r);
    free(text);
}

static void a_file_that_has_become_shorter_is_noticed(void **state) {
    struct jobs_error error = {0};
    enum dataset_status end;
    struct rows r;
    char *text = some_rows(10);
    (void)state;
    rows_open(&r, text);
    most = 0;
    errno = EINTR; /* of some call before */
    assert_int_equal(read_rows(&r, &error, &end), 0);
    assert_int_equal(end, DATASET_ERROR);
    assert_string_equal(error.text,
                        "a temporary file could not be read back: it is shorter than what was written");
    rows_close(&r);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(where_files_need_names_they_lose_them_at_once, behave),
        cmocka_unit_test_setup(a_place_that_takes_no_files_is_named, behave),
        cmocka_unit_test_setup(other_failures_make_no_file_with_a_name, behave),
        cmocka_unit_test_setup(a_path_that_is_too_long_is_a_failure, behave),
        cmocka_unit_test_setup(without_a_place_it_is_tmpdir_or_var_tmp, behave),
        cmocka_unit_test_setup(a_write_goes_on_until_all_is_written, behave),
        cmocka_unit_test_setup(a_write_of_nothing_is_a_failure, behave),
        cmocka_unit_test_setup(a_full_disk_is_a_sentence, behave),
        cmocka_unit_test_setup(rows_come_back_through_interrupted_and_short_reads, behave),
        cmocka_unit_test_setup(rows_come_back_byte_by_byte, behave),
        cmocka_unit_test_setup(a_row_larger_than_the_buffer_comes_back_whole, behave),
        cmocka_unit_test_setup(a_read_that_fails_is_a_sentence, behave),
        cmocka_unit_test_setup(a_file_that_has_become_shorter_is_noticed, behave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
