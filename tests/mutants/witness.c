/* Linked into what scripts/mutate --assertions runs, in the place of the C library's function: it also writes which
 * assertion failed to the file that ASSERTIONS_LOG names, since a daemon's last words do not reach its test. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void say(FILE *to, const char *assertion, const char *file, unsigned line, const char *function) {
    if (to) fprintf(to, "%s:%u: %s: %s\n", file, line, function, assertion);
    if (to) fflush(to);
}

void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) {
    const char *log = getenv("ASSERTIONS_LOG");
    say(log ? fopen(log, "a") : NULL, assertion, file, line, function);
    say(stderr, assertion, file, line, function);
    abort();
}
