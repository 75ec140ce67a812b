/* The structured log: whole JSON lines whatever is logged, and a limit on repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"

/* 2026-03-01T12:00:00.123Z */
static int64_t now_ms;

static int64_t test_clock(void) {
    return now_ms;
}

struct fixture {
    FILE *file;
    struct log *log;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->file = tmpfile();
    f->log = log_new("test", LOG_DEBUG, fileno(f->file));
    now_ms = INT64_C(1772366400123);
    log_use_clock(f->log, test_clock);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    log_free(f->log);
    fclose(f->file);
    free(f);
    return 0;
}

/* All that was written so far, to be freed. */
static char *written(struct fixture *f, size_t *len) {
    *len = (size_t)lseek(fileno(f->file), 0, SEEK_END);
    char *text = calloc(1, *len + 1);
    assert_int_equal(pread(fileno(f->file), text, *len, 0), (ssize_t)*len);
    return text;
}

static void assert_written(struct fixture *f, const char *expected) {
    size_t len;
    char *text = written(f, &len);
    assert_string_equal(text, expected);
    free(text);
}

/* The lines, each of which must be one JSON object; the array is the caller's. */
static json_t *written_lines(struct fixture *f) {
    size_t len;
    char *text = written(f, &len), *at = text, *end;
    json_t *lines = json_array();
    for (; (end = strchr(at, '\n')); at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(line);
        assert_true(json_is_object(line));
        json_array_append_new(lines, line);
    }
    assert_int_equal(at - text, len); /* nothing behind the last line's end */
    free(text);
    return lines;
}

static const char *text_of(const json_t *lines, size_t i, const char *key) {
    return json_string_value(json_object_get(json_array_get(lines, i), key));
}

static void writes_one_json_object_a_line(void **state) {
    struct fixture *f = *state;
    log_info(f->log, "gateway ready", LOG_S("listen", "[::1]:80"), LOG_I("pid", -7), LOG_F("load", 0.25));
    now_ms += 1877;
    log_error(f->log, "gone");
    assert_written(f, "{\"time\":\"2026-03-01T12:00:00.123Z\",\"level\":\"info\",\"service\":\"test\","
                      "\"message\":\"gateway ready\",\"listen\":\"[::1]:80\",\"pid\":-7,\"load\":0.25}\n"
                      "{\"time\":\"2026-03-01T12:00:02.000Z\",\"level\":\"error\",\"service\":\"test\","
                      "\"message\":\"gone\"}\n");
}

static void writes_nothing_below_its_level(void **state) {
    struct fixture *f = *state;
    struct log *quiet = log_new("test", LOG_WARN, fileno(f->file));
    log_debug(quiet, "no");
    log_info(quiet, "no");
    assert_written(f, "");
    log_warn(quiet, "yes");
    json_t *lines = written_lines(f);
    assert_int_equal(json_array_size(lines), 1);
    json_decref(lines);
    log_free(quiet);
}

static void does_nothing_without_a_log(void **state) {
    (void)state;
    log_error(NULL, "nobody hears", LOG_I("n", 1));
    log_free(NULL);
}

static void escapes_every_byte(void **state) {
    struct fixture *f = *state;
    char all[256];
    for (int i = 0; i < 256; i++) all[i] = (char)i;
    log_info(f->log, "m", LOG_STR("ascii", ((struct str){all, 128})),
             LOG_STR("rest", ((struct str){all + 128, 128})), LOG_S("utf8", "Gr\u00fc\u00dfe \U0001F427"),
             LOG_STR("cut", STR("\xe2\x82")), LOG_STR("null", ((struct str){NULL, 0})));
    json_t *line, *ascii;
    size_t len;
    char *text = written(f, &len);
    for (size_t i = 0; i + 1 < len; i++) assert_true((unsigned char)text[i] >= 0x20 && text[i] != 0x7F);
    line = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    assert_non_null(line);
    ascii = json_object_get(line, "ascii");
    assert_int_equal(json_string_length(ascii), 128);
    assert_memory_equal(json_string_value(ascii), all, 128);
    assert_int_equal(json_string_length(json_object_get(line, "rest")), 128 * 3);
    assert_memory_equal(json_string_value(json_object_get(line, "rest")), "\xEF\xBF\xBD\xEF\xBF\xBD", 6);
    assert_string_equal(json_string_value(json_object_get(line, "utf8")), "Gr\u00fc\u00dfe \U0001F427");
    assert_string_equal(json_string_value(json_object_get(line, "cut")), "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(json_string_value(json_object_get(line, "null")), "");
    free(text);
    json_decref(line);
}

static void writes_null_for_what_is_no_number(void **state) {
    struct fixture *f = *state;
    log_info(f->log, "m", LOG_F("a", NAN), LOG_F("b", INFINITY), LOG_F("c", -INFINITY), LOG_F("d", 1e300));
    json_t *lines = written_lines(f), *line = json_array_get(lines, 0);
    assert_true(json_is_null(json_object_get(line, "a")));
    assert_true(json_is_null(json_object_get(line, "b")));
    assert_true(json_is_null(json_object_get(line, "c")));
    assert_true(json_real_value(json_object_get(line, "d")) == 1e300);
    json_decref(lines);
}

/* Every length around the limit, with characters of one to four bytes and with escapes at the cut. */
static void keeps_lines_whole_and_within_4_kib(void **state) {
    struct fixture *f = *state;
    static const char *const fillers[] = {"a", "\u00e9", "\u20ac", "\U0001F427", "\x01", "\"", "\xff"};
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        struct buf long_text;
        buf_init(&long_text);
        for (int k = 0; k < 5000; k++) buf_append_cstr(&long_text, fillers[i]);
        for (size_t lead = 0; lead < 8; lead++) {
            struct str text = {long_text.ptr, long_text.len};
            char key[16] = "0123456";
            key[lead] = '\0';
            log_info(f->log, "long", LOG_STR(key, text), LOG_I("n", INT64_MAX), LOG_S("after", "x"));
            now_ms += 1000;
        }
        buf_free(&long_text);
    }
    json_t *lines = written_lines(f);
    size_t len, count = json_array_size(lines);
    char *text = written(f, &len), *at = text, *end;
    assert_int_equal(count, 8 * sizeof(fillers) / sizeof(fillers[0]));
    for (size_t i = 0; i < count; i++) {
        assert_true(json_is_true(json_object_get(json_array_get(lines, i), "cut")));
        end = strchr(at, '\n');
        assert_in_range(end + 1 - at, 4060, 4096);
        at = end + 1;
    }
    free(text);
    json_decref(lines);
}

/* The place where a line is full falls on every part of a field in turn. */
static void stays_whole_wherever_a_field_falls_on_the_limit(void **state) {
    struct fixture *f = *state;
    char filler[4200];
    memset(filler, 'x', sizeof(filler));
    for (size_t len = 3900; len < 4010; len++) {
        struct str first = {filler, len};
        log_info(f->log, "long", LOG_STR("first", first), LOG_I("number", 12345678),
                 LOG_S("text", "\n\u20ac"), LOG_F("real", 0.1));
        now_ms += 1000;
    }
    json_t *lines = written_lines(f);
    size_t cut = 0, i;
    json_t *line;
    assert_int_equal(json_array_size(lines), 110);
    json_array_foreach(lines, i, line) {
        bool whole = json_object_get(line, "number") && json_object_get(line, "real") &&
                     json_string_length(json_object_get(line, "first")) == 3900 + i &&
                     json_string_length(json_object_get(line, "text")) == 4;
        assert_int_equal(json_is_true(json_object_get(line, "cut")), !whole);
        cut += !whole;
    }
    assert_in_range(cut, 50, 109); /* both kinds did occur */
    json_decref(lines);
}

static void limits_repeats_and_counts_what_it_left_out(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 1000; i++) log_warn(f->log, "peer sent nonsense", LOG_I("i", i));
    log_error(f->log, "peer sent nonsense"); /* another level: another count */
    log_warn(f->log, "something else");
    now_ms += 1000;
    log_info(f->log, "later");
    json_t *lines = written_lines(f);
    assert_int_equal(json_array_size(lines), 24);
    for (size_t i = 0; i < 20; i++) assert_string_equal(text_of(lines, i, "message"), "peer sent nonsense");
    assert_string_equal(text_of(lines, 20, "level"), "error");
    assert_string_equal(text_of(lines, 21, "message"), "something else");
    assert_string_equal(text_of(lines, 22, "message"), "lines left out");
    assert_string_equal(text_of(lines, 22, "level"), "warn");
    assert_string_equal(text_of(lines, 22, "of"), "peer sent nonsense");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 22), "count")), 980);
    assert_string_equal(text_of(lines, 23, "message"), "later");
    json_decref(lines);
}

/* Also when the messages are many more than the table holds, and when the clock steps back. What is written
 * stays bounded: 20 lines and a report for each of 256 messages, and for the others together. */
static void writes_or_counts_every_line(void **state) {
    struct fixture *f = *state;
    int64_t total = 0, seen = 0;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 3000; i += round % 3 ? 1 : 700) {
            char message[32];
            snprintf(message, sizeof(message), "message %d", i);
            log_info(f->log, message);
            total++;
        }
        if (round % 10 == 9) now_ms -= 5000;
    }
    log_free(f->log);
    f->log = NULL;
    json_t *lines = written_lines(f), *line;
    size_t i;
    json_array_foreach(lines, i, line) {
        json_t *count = json_object_get(line, "count");
        seen += count ? json_integer_value(count) : 1;
    }
    assert_int_equal(seen, total);
    assert_true(total > 3 * 21 * 257 &&
                json_array_size(lines) <= 3 * 21 * 257); /* in three different seconds */
    json_decref(lines);
}

static void *write_many(void *arg) {
    for (int i = 0; i < 500; i++)
        log_info(arg, "from a thread", LOG_S("text", "a line that must stay whole"));
    return NULL;
}

static void keeps_lines_of_several_threads_apart(void **state) {
    struct fixture *f = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, write_many, f->log), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    log_free(f->log);
    f->log = NULL;
    json_t *lines = written_lines(f);
    assert_int_equal(json_array_size(lines), 21);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 20), "count")), 1980);
    json_decref(lines);
}

static void reads_the_names_of_levels(void **state) {
    (void)state;
    enum log_level level = LOG_INFO;
    assert_true(log_level_from(STR("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_from(STR("error"), &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_from(STR("INFO"), &level));
    assert_false(log_level_from(STR(""), &level));
    assert_int_equal(level, LOG_ERROR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_one_json_object_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_nothing_below_its_level, set_up, tear_down),
        cmocka_unit_test(does_nothing_without_a_log),
        cmocka_unit_test_setup_teardown(escapes_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_null_for_what_is_no_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_lines_whole_and_within_4_kib, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stays_whole_wherever_a_field_falls_on_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_repeats_and_counts_what_it_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_or_counts_every_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_lines_of_several_threads_apart, set_up, tear_down),
        cmocka_unit_test(reads_the_names_of_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
