/* Metrics: the page as Prometheus reads it, and the limit on series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/metrics.h"

static int set_up(void **state) {
    *state = metrics_new();
    return 0;
}

static int tear_down(void **state) {
    metrics_free(*state);
    return 0;
}

/* The page, until the next call. */
static const char *page(struct metrics *m) {
    static struct buf out;
    static char text[1 << 20];
    buf_init(&out);
    metrics_write(m, &out);
    assert_true(out.len < sizeof(text));
    if (out.len) memcpy(text, out.ptr, out.len);
    text[out.len] = '\0';
    buf_free(&out);
    return text;
}

static void assert_has_line(struct metrics *m, const char *line) {
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (!strstr(page(m), wanted)) fail_msg("no line \"%s\" in\n%s", line, page(m));
}

static void writes_families_in_order_of_name(void **state) {
    struct metrics *m = *state;
    assert_string_equal(page(m), "");
    metrics_gauge(m, "queue_depth", "Calls that wait.", "")->value = 2.5;
    metrics_counter(m, "calls_total", "Calls answered.", "code=\"OK\"")->value = 7;
    metrics_counter(m, "calls_total", "Calls answered.", "code=\"ABORTED\"")->value++;
    assert_string_equal(page(m), "# HELP calls_total Calls answered.\n"
                                 "# TYPE calls_total counter\n"
                                 "calls_total{code=\"OK\"} 7\n"
                                 "calls_total{code=\"ABORTED\"} 1\n"
                                 "# HELP queue_depth Calls that wait.\n"
                                 "# TYPE queue_depth gauge\n"
                                 "queue_depth 2.5\n");
}

static void gives_the_same_series_for_the_same_name_and_labels(void **state) {
    struct metrics *m = *state;
    char labels[] = "a=\"1\"";
    struct counter *c = metrics_counter(m, "x", "h", labels);
    assert_ptr_equal(metrics_counter(m, "x", "h", "a=\"1\""), c);
    assert_ptr_not_equal(metrics_counter(m, "x", "h", "a=\"2\""), c);
    assert_ptr_not_equal(metrics_counter(m, "x", "h", ""), c);
    labels[3] = '9'; /* the labels were copied */
    assert_ptr_equal(metrics_counter(m, "x", "h", "a=\"1\""), c);
    assert_has_line(m, "x{a=\"1\"} 0");
}

static void counts_latencies_cumulatively(void **state) {
    struct metrics *m = *state;
    struct histogram *h = metrics_histogram(m, "call_seconds", "Latency.", "method=\"Get\"");
    histogram_observe(h, 0.0001, m); /* a bound belongs to its bucket */
    histogram_observe(h, 0.00011, m);
    histogram_observe(h, 0.3, m);
    histogram_observe(h, 11, m);
    assert_has_line(m, "# TYPE call_seconds histogram");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"0.0001\"} 1");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"0.00025\"} 2");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"0.25\"} 2");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"0.5\"} 3");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"10\"} 3");
    assert_has_line(m, "call_seconds_bucket{method=\"Get\",le=\"+Inf\"} 4");
    assert_has_line(m, "call_seconds_sum{method=\"Get\"} 11.30021");
    assert_has_line(m, "call_seconds_count{method=\"Get\"} 4");
}

static void counts_sizes_by_powers_of_two(void **state) {
    struct metrics *m = *state;
    struct histogram *h = metrics_size_histogram(m, "batch_rows", "Rows.", "");
    histogram_observe(h, 0, m);
    histogram_observe(h, 3, m);
    histogram_observe(h, 32768, m);
    histogram_observe(h, 40000, m);
    assert_has_line(m, "batch_rows_bucket{le=\"1\"} 1");
    assert_has_line(m, "batch_rows_bucket{le=\"2\"} 1");
    assert_has_line(m, "batch_rows_bucket{le=\"4\"} 2");
    assert_has_line(m, "batch_rows_bucket{le=\"32768\"} 3");
    assert_has_line(m, "batch_rows_bucket{le=\"+Inf\"} 4");
    assert_has_line(m, "batch_rows_sum 72771");
    assert_has_line(m, "batch_rows_count 4");
}

static void writes_numbers_that_are_none(void **state) {
    struct metrics *m = *state;
    metrics_gauge(m, "a", "h", "")->value = NAN;
    metrics_gauge(m, "b", "h", "")->value = INFINITY;
    metrics_gauge(m, "c", "h", "")->value = -INFINITY;
    assert_has_line(m, "a NaN");
    assert_has_line(m, "b +Inf");
    assert_has_line(m, "c -Inf");
}

static void escapes_help(void **state) {
    struct metrics *m = *state;
    metrics_gauge(m, "a", "", "");
    metrics_gauge(m, "b", "two\nlines and a \\", "");
    assert_has_line(m, "# HELP b two\\nlines and a \\\\");
}

static void refresh(void *arg) {
    ((struct gauge *)arg)->value += 1;
}

static void refreshes_gauges_before_it_prints(void **state) {
    struct metrics *m = *state;
    struct gauge *g = metrics_gauge(m, "z", "h", "");
    metrics_gauge(m, "a", "h", "");
    metrics_on_scrape(m, refresh, g);
    metrics_on_scrape(m, refresh, g);
    assert_non_null(strstr(page(m), "z 2\n"));
    assert_non_null(strstr(page(m), "z 4\n"));
}

static void refreshes_no_longer_what_was_taken_off(void **state) {
    struct metrics *m = *state;
    struct gauge *gone = metrics_gauge(m, "gone", "h", ""), *kept = metrics_gauge(m, "kept", "h", "");
    metrics_on_scrape(m, refresh, gone);
    metrics_on_scrape(m, refresh, kept);
    metrics_off_scrape(m, refresh, gone);
    metrics_off_scrape(m, refresh, gone);
    const char *text = page(m);
    assert_non_null(strstr(text, "gone 0\n"));
    assert_non_null(strstr(text, "kept 1\n"));
}

static void shares_one_series_past_the_limit(void **state) {
    struct metrics *m = *state;
    struct counter *last = NULL;
    for (int i = 0; i < 5000; i++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "n=\"%d\"", i);
        last = metrics_counter(m, "many_total", "h", labels);
        last->value++;
    }
    assert_int_equal(last->value, 3000);
    assert_ptr_equal(metrics_counter(m, "another_total", "h", ""), last);
    assert_has_line(m, "many_total{n=\"1999\"} 1");
    assert_null(strstr(page(m), "2000\"}"));
    assert_has_line(m, "metrics_overflow_total 3000");
    histogram_observe(metrics_histogram(m, "s", "h", ""), 1, m);
    histogram_observe(metrics_size_histogram(m, "t", "h", ""), 1, m);
    metrics_gauge(m, "u", "h", "")->value = 5;
    assert_has_line(m, "metrics_overflow_seconds_count 1");
    assert_has_line(m, "metrics_overflow_size_count 1");
    assert_has_line(m, "metrics_overflow 5");
    assert_ptr_equal(metrics_counter(m, "many_total", "h", "n=\"0\""),
                     metrics_counter(m, "many_total", "h", "n=\"0\"")); /* the old ones are still found */
    assert_int_equal(metrics_counter(m, "many_total", "h", "n=\"0\"")->value, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_families_in_order_of_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_the_same_series_for_the_same_name_and_labels, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(counts_latencies_cumulatively, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_sizes_by_powers_of_two, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_numbers_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(escapes_help, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refreshes_gauges_before_it_prints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refreshes_no_longer_what_was_taken_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_one_series_past_the_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
