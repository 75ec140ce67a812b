/* Folders for the files of one test. */
#include "tests/unit/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

void test_folder_make(char folder[TEST_FOLDER_SIZE]) {
    const char *parent = getenv("TMPDIR");
    int n = snprintf(folder, TEST_FOLDER_SIZE, "%s/rookery-test-XXXXXX", parent && *parent ? parent : "/tmp");
    assert_true(n > 0 && n < TEST_FOLDER_SIZE);
    assert_non_null(mkdtemp(folder));
}
