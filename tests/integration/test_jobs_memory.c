/* Bounded memory: a file far larger than --memory is fitted, cut into parts and filled by a process that stays small.
 * What counts is the largest resident size, as the system reports it; a job on a handful of rows is the base line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 600000
#define SLICES 4001
#define MEMORY "2M"
/* Beside the rows there are read and write buffers and results: what 2 MiB of memory may come to. */
#define ALLOWED_KIB (12 * 1024)
/* The rows in memory, at least: y and five predictors. */
#define TABLE_KIB (ROWS * 48 / 1024)
#define WORDS_MAX 32

static char folder[64], large[128], small[128], parts[128], worker[512];

static void write_rows(const char *path, int rows) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("g,y,a,b,c,d,e\n", f);
    for (int i = 0; i < rows; i++) {
        fprintf(f, "%d,%d,%d.%d,%d,%s,%d,%d\n", i % SLICES, i % 97, i % 89, i % 7, i % 83,
                i % 13 ? "1.25" : "NA", i % 73, i * 3 % 71);
    }
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state) {
    (void)state;
    const char *build = getenv("ROOKERY_BUILD");
    snprintf(worker, sizeof worker, "%s/rookery-worker", build ? build : "build");
    snprintf(folder, sizeof folder, "/tmp/rookery-jobs-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(large, sizeof large, "%s/large.csv", folder);
    snprintf(small, sizeof small, "%s/small.csv", folder);
    snprintf(parts, sizeof parts, "%s/parts", folder);
    write_rows(large, ROWS);
    write_rows(small, 10);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

/* Runs a job whose words are separated by blanks; returns its largest resident size in KiB. */
static long peak_of(const char *command, const char *path, const char *more) {
    char line[1024], *words[WORDS_MAX] = {worker, (char *)(uintptr_t) "jobs"};
    int n = 2, status;
    struct rusage usage;
    snprintf(line, sizeof line, "%s %s %s --quiet --scratch-dir %s", command, path, more, folder);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
        assert_true(n < WORDS_MAX - 1);
        words[n++] = word;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout)) execv(worker, words);
        _exit(127);
    }
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return usage.ru_maxrss;
}

#define FIT "--slice-by g --y y --x a,b,c,d,e --missing median --wide"

static void check_small(const char *command, const char *path, const char *more) {
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer holds freed memory back */
#endif
    long base = peak_of("fit", small, "--y y");
    long used = peak_of(command, path, more) - base;
    if (used > ALLOWED_KIB) print_error("%s took %ld KiB more than a small job\n", command, used);
    assert_true(used <= ALLOWED_KIB);
}

static void a_fit_stays_small(void **state) {
    (void)state;
    check_small("fit", large, FIT " --threads 2 --memory " MEMORY);
}

static void so_does_cutting_into_parts(void **state) {
    (void)state;
    char more[256];
    snprintf(more, sizeof more, FIT " --memory " MEMORY " --output-dir %s", parts);
    check_small("slice", large, more);
}

static void and_filling_gaps(void **state) {
    (void)state;
    check_small("impute", large, "--missing median --memory " MEMORY);
}

/* Packed, and of the rows one file after the other: that takes no more. */
static void packed_files_take_no_more(void **state) {
    (void)state;
    char command[512], files[300];
    snprintf(command, sizeof command, "gzip -1 <'%s' >'%s.gz' && cp '%s.gz' '%s/again.csv.gz'", large, large,
             large, folder);
    assert_int_equal(system(command), 0);
    snprintf(files, sizeof files, "%s.gz %s/again.csv.gz", large, folder);
    check_small("fit", files, FIT " --threads 2 --memory " MEMORY);
    check_small("impute", files, "--missing median --memory " MEMORY);
}

static void with_enough_memory_the_rows_are_held(void **state) {
    (void)state;
    long base = peak_of("fit", small, "--y y");
    assert_true(peak_of("fit", large, FIT) - base > TABLE_KIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_stays_small),
        cmocka_unit_test(so_does_cutting_into_parts),
        cmocka_unit_test(and_filling_gaps),
        cmocka_unit_test(packed_files_take_no_more),
        cmocka_unit_test(with_enough_memory_the_rows_are_held),
    };
    return cmocka_run_group_tests_name("integration/jobs_memory", tests, set_up, tear_down);
}
