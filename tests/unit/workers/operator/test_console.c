/* What the operator's commands share: words and numbers are taken in order, ages and times read as a person writes
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/operator/console.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Standard error goes to a file between these two. */
static int kept_stderr;
static FILE *said;

static void listen_to_stderr(void) {
    fflush(stderr);
    said = tmpfile();
    assert_non_null(said);
    kept_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(said), STDERR_FILENO) >= 0);
}

static void assert_said(const char *text) {
    char got[512];
    fflush(stderr);
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    rewind(said);
    got[fread(got, 1, sizeof got - 1, said)] = '\0';
    fclose(said);
    assert_string_equal(got, text);
}

static void words_come_one_after_the_other(void **state) {
    char *argv[] = {"audit", "--since", "5"};
    struct words w = words_of("audit", 3, argv);
    (void)state;
    assert_string_equal(words_next(&w), "--since");
    assert_string_equal(words_value(&w, "--since"), "5");
    assert_null(words_next(&w));
    assert_null(words_next(&w));
}

static void an_option_without_a_value_is_named(void **state) {
    char *argv[] = {"audit"};
    struct words w = words_of("audit", 1, argv);
    int64_t n = 7;
    (void)state;
    listen_to_stderr();
    assert_null(words_value(&w, "--gateway"));
    assert_false(words_number(&w, "--since", 0, 9, &n));
    assert_said("rookery-worker audit: --gateway needs a value (see --help)\n"
                "rookery-worker audit: --since needs a value (see --help)\n");
    assert_int_equal(n, 7);
}

static void a_number_lies_within_its_bounds(void **state) {
    static const struct {
        char *word;
        bool good;
    } cases[] = {{"3", true}, {"10", true}, {"2", false}, {"11", false}, {"5x", false}, {"", false}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *argv[] = {"dlq", cases[i].word}, expected[128] = "";
        struct words w = words_of("dlq", 2, argv);
        int64_t n = 0;
        listen_to_stderr();
        bool good = words_number(&w, "--limit", 3, 10, &n);
        if (!cases[i].good)
            snprintf(expected, sizeof expected,
                     "rookery-worker dlq: --limit must be a whole number from 3 to 10, not \"%s\"\n",
                     cases[i].word);
        assert_said(expected);
        assert_int_equal(good, cases[i].good);
        if (good) assert_int_equal(n, strtol(cases[i].word, NULL, 10));
    }
}

static void a_complaint_is_a_usage_error(void **state) {
    (void)state;
    listen_to_stderr();
    int status = complain("grant", "no account %s", "ada");
    assert_said("rookery-worker grant: no account ada\n");
    assert_int_equal(status, 2);
}

static void an_age_has_the_unit_a_person_would_choose(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0.0 s"},       {0, "0.0 s"},       {250, "0.2 s"},     {1500, "1.5 s"},      {9900, "9.9 s"},
        {10000, "10 s"},     {119999, "119 s"},  {120000, "2 min"},  {7199999, "119 min"}, {7200000, "2 h"},
        {172799999, "47 h"}, {172800000, "2 d"}, {259199999, "2 d"}, {777600000, "9 d"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[AGE_MAX];
        assert_string_equal(age_text(text, cases[i].ms), cases[i].text);
    }
}

static void a_time_is_in_utc_with_milliseconds(void **state) {
    char text[TIME_MAX];
    (void)state;
    assert_string_equal(time_text(text, 0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_text(text, INT64_C(1772323200123)), "2026-03-01T00:00:00.123Z");
    assert_string_equal(time_text(text, INT64_C(1772366399999)), "2026-03-01T11:59:59.999Z");
}

static void progress_is_for_terminals(void **state) {
    (void)state;
    listen_to_stderr();
    show_progress("%d of %d", 1, 2);
    assert_said("");
}

static void progress_replaces_the_line_of_a_terminal(void **state) {
    char got[64] = "";
    (void)state;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) skip();
    int screen = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(screen >= 0);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(screen, STDERR_FILENO);
    show_progress("%d of %d", 1, 2);
    dup2(kept, STDERR_FILENO);
    const char want[] = "\r\033[K1 of 2";
    ssize_t n = 1; /* it may come in pieces */
    for (size_t at = 0; n > 0 && at < sizeof want - 1; at += (size_t)n)
        n = read(terminal, got + at, sizeof got - 1 - at);
    assert_string_equal(got, want);
    close(kept);
    close(screen);
    close(terminal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_come_one_after_the_other),
        cmocka_unit_test(an_option_without_a_value_is_named),
        cmocka_unit_test(a_number_lies_within_its_bounds),
        cmocka_unit_test(a_complaint_is_a_usage_error),
        cmocka_unit_test(an_age_has_the_unit_a_person_would_choose),
        cmocka_unit_test(a_time_is_in_utc_with_milliseconds),
        cmocka_unit_test(progress_is_for_terminals),
        cmocka_unit_test(progress_replaces_the_line_of_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
