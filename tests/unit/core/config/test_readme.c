/* README's configuration table says what the programs do: each line of it is in config.h's table, and each of
 * that table's is in it. Run in the repository's root, as scripts/test does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config/config.h"

#define S(variable, member, default_value, help) "| `" variable "` | " default_value " | " help " |",
#define N(variable, member, default_value, lowest, highest, help)                                            \
    "| `" variable "` | " #default_value " (" #lowest " to " #highest ") | " help " |",
static const char *const rows[] = {CONFIG_TABLE(S, N)};
#undef S
#undef N
#define ROWS (sizeof rows / sizeof rows[0])

static char *readme;

static int read_readme(void **state) {
    (void)state;
    FILE *f = fopen("README.md", "rb");
    if (!f) return -1;
    enum { MOST = 1 << 20 };
    readme = calloc(1, MOST);
    if (readme && fread(readme, 1, MOST - 1, f) == 0) {
        free(readme);
        readme = NULL;
    }
    fclose(f);
    return readme ? 0 : -1;
}

static int free_readme(void **state) {
    (void)state;
    free(readme);
    return 0;
}

static void test_every_variable_is_in_the_table_as_it_is(void **state) {
    (void)state;
    size_t missing = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (strstr(readme, rows[i])) continue;
        missing++;
        print_message("README.md lacks the line\n%s\n", rows[i]);
    }
    assert_int_equal(missing, 0);
}

static void test_the_table_has_no_other_variable(void **state) {
    (void)state;
    const char *line = strstr(readme, "\n| variable | default | meaning |\n");
    assert_non_null(line);
    size_t found = 0, unknown = 0;
    while ((line = strchr(line + 1, '\n')) && line[1] == '|') {
        if (strncmp(line, "\n| `", 4) != 0) continue;
        size_t length = strcspn(line + 4, "`") + 4, i = 0;
        while (i < ROWS && strncmp(line + 1, rows[i], length) != 0) i++;
        found++;
        if (i < ROWS) continue;
        unknown++;
        print_message("config.h does not know %.*s\n", (int)length, line + 1);
    }
    assert_int_equal(unknown, 0);
    assert_int_equal(found, ROWS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_variable_is_in_the_table_as_it_is),
        cmocka_unit_test(test_the_table_has_no_other_variable),
    };
    return cmocka_run_group_tests(tests, read_readme, free_readme);
}
