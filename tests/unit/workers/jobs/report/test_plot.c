/* The pictures of fits: well-formed whatever the data, bounded, and drawn where the data are. */
#include "core/base/str.h"
#include "tests/unit/support/fit_fixture.h"
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/report/plot.h"
#include "workers/jobs/report/svg.h"

static struct slice slice;
static struct linear_result linear;
static struct logistic_result logistic;
static struct fit_term terms[SLICE_COLUMNS + 1];
static struct linear_input input;
static const char *const x_names[] = {"x1", "x2", "x3"};
static const char *const key_names[] = {"slice", "site"};
static struct slice_cell key[2];

static void put_key(const char *first, const char *second) {
    key[0] = (struct slice_cell){first, strlen(first), false};
    key[1] = (struct slice_cell){second ? second : "", second ? strlen(second) : 0, !second};
}

static void put_rows(size_t n, size_t p, const double *rows) {
    slice_put(&slice, n, p, rows);
    input = (struct linear_input){slice.y, slice.columns, NULL, n, p};
}

static struct plot_slice fit_line(void) {
    assert_true(linear_fit(&input, NULL, scratch, &linear, terms));
    put_key("one", NULL);
    return (struct plot_slice){.key = key,
                               .key_names = key_names,
                               .n_key = 1,
                               .y_name = "y",
                               .x_names = x_names,
                               .input = &input,
                               .terms = terms,
                               .linear = &linear};
}

static struct plot_slice fit_classes(void) {
    assert_true(logistic_fit(&input, NULL, scratch, &logistic, terms));
    put_key("one", NULL);
    return (struct plot_slice){.key = key,
                               .key_names = key_names,
                               .n_key = 1,
                               .y_name = "y",
                               .x_names = x_names,
                               .input = &input,
                               .terms = terms,
                               .logistic = &logistic};
}

/* --- reading what was drawn ----------------------------------------------------------------------------- */

/* Does every element that opens close, in turn, with quoted attributes and nothing but the five entities?
 * Enough of XML for what svg.c writes. */
static void assert_well_formed(const char *s) {
    const char *open[32];
    size_t depth = 0, elements = 0;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        assert_true(c >= 0x20 || c == '\n');
        if (c == '&')
            assert_true(!strncmp(s, "&lt;", 4) || !strncmp(s, "&gt;", 4) || !strncmp(s, "&amp;", 5) ||
                        !strncmp(s, "&quot;", 6));
        assert_true(c != '>');
        if (c != '<') continue;
        const char *name = ++s;
        int quoted = 0;
        for (; *s && (quoted || *s != '>'); s++) {
            quoted ^= *s == '"';
            assert_true(*s != '<');
        }
        assert_true(*s == '>' && !quoted);
        elements++;
        if (name[0] == '/') {
            size_t length = (size_t)(s - name) - 1;
            assert_true(depth > 0 && strncmp(open[--depth], name + 1, length) == 0);
        } else if (s[-1] != '/') {
            assert_true(depth < 32);
            open[depth++] = name;
        }
    }
    assert_int_equal(depth, 0);
    assert_true(elements > 3);
}

static char *drawn(const struct plot_slice *s) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(plot_write_slice(out, s));
    fclose(out);
    assert_well_formed(text);
    assert_true(str_is_utf8(str_from(text)));
    return text;
}

static char *drawn_overview(struct plot_overview *o, size_t page) {
    char *text = NULL;
    size_t size = 0;
    struct jobs_error error = {0};
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(plot_overview_write(o, page, out, &error));
    fclose(out);
    assert_well_formed(text);
    assert_true(str_is_utf8(str_from(text)));
    return text;
}

static void add_to(struct plot_overview *o, const struct plot_slice *s) {
    struct jobs_error error = {0};
    if (!plot_overview_add(o, s, &error)) fail_msg("%s", error.text);
}

/* How often a text stands between two tags: as a title for a browser is another tag's. */
static size_t texts(const char *drawing, const char *text) {
    char between[300];
    snprintf(between, sizeof between, ">%s</text>", text);
    size_t count = 0;
    for (const char *s = drawing; (s = strstr(s, between)); s++) count++;
    return count;
}

static size_t occurrences(const char *text, const char *of) {
    size_t count = 0;
    for (const char *s = text; (s = strstr(s, of)); s++) count++;
    return count;
}

static size_t dots(const char *text) {
    return occurrences(text, "h0\"/>");
}

static bool has_line(const char *text) {
    return strstr(text, "fill=\"none\" stroke=\"#c2410c\"") != NULL;
}

static bool has_band(const char *text) {
    return strstr(text, "fill-opacity") != NULL;
}

/* --- one slice ------------------------------------------------------------------------------------------ */

static void points_on_the_line_are_drawn_on_the_line(void **state) {
    (void)state;
    const double rows[] = {1, 0, 3, 1, 5, 2, 7, 3};
    put_rows(4, 1, rows);
    struct plot_slice s = fit_line();
    char *text = drawn(&s);
    assert_int_equal(dots(text), 4);
    double x, y, line_x, line_y;
    const char *line = strstr(text, "fill=\"none\" stroke=\"#c2410c\"");
    assert_non_null(line);
    assert_int_equal(sscanf(strstr(line, "d=\"M"), "d=\"M%lf %lf", &line_x, &line_y), 2);
    const char *points = strstr(text, "stroke-linecap");
    assert_int_equal(sscanf(strstr(points, "d=\"M"), "d=\"M%lf %lf", &x, &y), 2);
    assert_true(x == line_x && y == line_y);
    assert_non_null(strstr(text, "y = 1 + 2 x1"));
    free(text);
}

static void a_slice_says_its_name_size_and_equation(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    put_rows(5, 1, rows);
    struct plot_slice s = fit_line();
    char *text = drawn(&s);
    assert_non_null(strstr(text, "slice = one"));
    assert_non_null(strstr(text, "n = 5"));
    assert_non_null(strstr(text, "y = 4.8 \xe2\x88\x92 0.6 x1"));
    assert_true(has_line(text) && has_band(text));
    free(text);
}

static void several_predictors_show_observed_against_fitted(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 3, 2, 9, 5, 3, 2, 1, 4, 4, 2, 5, 7, 8, 6, 1};
    put_rows(6, 2, rows);
    struct plot_slice s = fit_line();
    char *text = drawn(&s);
    assert_non_null(strstr(text, "observed y"));
    assert_non_null(strstr(text, "fitted y"));
    assert_non_null(strstr(text, "2 predictors"));
    assert_true(dots(text) == 6 && has_line(text) && !has_band(text));
    free(text);
}

static void logistic_fits_show_the_probability(void **state) {
    (void)state;
    const double rows[] = {0, 1, 5, 0, 2, 4, 1, 3, 9, 0, 4, 2, 1, 5, 3, 1, 6, 1, 0, 7, 2, 1, 8, 7};
    put_rows(8, 2, rows);
    struct plot_slice s = fit_classes();
    assert_int_equal(logistic.status, FIT_OK);
    char *text = drawn(&s);
    assert_non_null(strstr(text, "fitted P(y = 1)"));
    free(text);
    input.p = 1;
    s = fit_classes();
    text = drawn(&s);
    assert_non_null(strstr(text, "logit P(y = 1) = "));
    assert_int_equal(texts(text, "P(y = 1)"), 1);
    assert_true(has_line(text) && has_band(text));
    free(text);
}

static void logistic_fits_say_which_value_is_1(void **state) {
    (void)state;
    const double rows[] = {0, 1, 5, 0, 2, 4, 1, 3, 9, 0, 4, 2, 1, 5, 3, 1, 6, 1, 0, 7, 2, 1, 8, 7};
    put_rows(8, 2, rows);
    struct plot_slice s = fit_classes();
    s.y_name = "sex";
    s.positive = "m<le";
    char *text = drawn(&s);
    assert_int_equal(texts(text, "fitted P(sex = m&lt;le)"), 1);
    assert_int_equal(texts(text, "observed (1: sex = m&lt;le)"), 1);
    free(text);
    input.p = 1;
    s = fit_classes();
    s.y_name = "sex";
    s.positive = "m<le";
    text = drawn(&s);
    assert_int_equal(texts(text, "P(sex = m&lt;le)"), 1);
    assert_non_null(strstr(text, "logit P(sex = m&lt;le) = "));
    free(text);
    struct plot_overview *o = plot_overview_new("sex by slice", NULL, NULL);
    assert_non_null(o);
    add_to(o, &s);
    text = drawn_overview(o, 0);
    assert_int_equal(texts(text, "P(sex = m&lt;le)"), 1);
    free(text);
    plot_overview_free(o);
}

/* The lowest and highest pixel of a path that begins at `at`. */
static void extent(const char *at, double *low, double *high) {
    const char *end = strchr(at, '"');
    double x, y;
    int used;
    *low = INFINITY;
    *high = -INFINITY;
    while (at < end && sscanf(at, "%lf %lf %n", &x, &y, &used) == 2) {
        *low = fmin(*low, y);
        *high = fmax(*high, y);
        at += used;
    }
}

static void a_band_ends_where_the_points_do(void **state) {
    (void)state;
    /* Three points far off a line: the band of 95 % is ten times as high as they are. */
    const double few[] = {0, 1, 10, 2, 0, 3}, many[] = {0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 6, 6, 7, 7, 8, 8};
    put_rows(3, 1, few);
    struct plot_slice s = fit_line();
    char *text = drawn(&s), *at = strstr(text, "fill-opacity");
    double low, high, first = 0, second = 0;
    assert_non_null(at);
    extent(strstr(at, "d=\"M") + 4, &low, &high);
    at = strstr(text, "stroke-linecap");
    assert_int_equal(sscanf(strstr(at, "d=\"M"), "d=\"M%*f %lf", &first), 1);
    at = strstr(strstr(at, "d=\"M") + 1, "d=\"M");
    assert_int_equal(sscanf(at, "d=\"M%*f %lf", &second), 1);
    assert_true(first > second && low < second && high > first);
    assert_true(high - low < 1.25 * (first - second));
    /* The axis shows the points, not a band ten times as high. */
    assert_true(first - second > 250);
    assert_non_null(strstr(text, "the 95 % band goes on above or below"));
    free(text);
    put_rows(8, 1, many);
    s = fit_line();
    text = drawn(&s);
    assert_non_null(strstr(text, "fill-opacity=\"0.16\""));
    assert_null(strstr(text, "goes on"));
    free(text);
}

static void a_slice_without_estimates_shows_its_points_and_the_reason(void **state) {
    (void)state;
    const double separated[] = {0, 1, 0, 2, 0, 3, 1, 4, 1, 5, 1, 6};
    put_rows(6, 1, separated);
    struct plot_slice s = fit_classes();
    char *text = drawn(&s);
    assert_true(dots(text) == 6 && !has_line(text) && !has_band(text));
    assert_non_null(strstr(text, "separation"));
    free(text);
    put_rows(0, 1, NULL);
    s = fit_line();
    text = drawn(&s);
    assert_true(dots(text) == 0 && !has_line(text));
    assert_non_null(strstr(text, "too_few_rows; no points to draw"));
    free(text);
}

static void dropped_terms_are_named(void **state) {
    (void)state;
    const double rows[] = {4, 7, 1, 3, 7, 2, 5, 7, 3, 1, 7, 4};
    put_rows(4, 2, rows);
    struct plot_slice s = fit_line();
    char *text = drawn(&s);
    assert_non_null(strstr(text, "rank_deficient; dropped: x1"));
    free(text);
    input.p = 1;
    s = fit_line();
    text = drawn(&s);
    assert_true(dots(text) == 4 && has_line(text) && !has_band(text));
    free(text);
}

static void every_small_or_flat_slice_is_drawn(void **state) {
    (void)state;
    const double rows[] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
    for (size_t p = 0; p <= 2; p++) {
        for (size_t n = 0; n <= 4; n++) {
            put_rows(n, p, rows);
            struct plot_slice s = fit_line();
            char *text = drawn(&s);
            assert_int_equal(dots(text), n);
            free(text);
        }
    }
}

static void the_largest_and_smallest_numbers_are_drawn(void **state) {
    (void)state;
    const double factors[] = {1e308, 1e-308, 5e-324, 1e154, 1e-20};
    for (size_t k = 0; k < 5; k++) {
        const double rows[] = {1, -1, -1, 1, 0.5, 0.25, 1, 0.75};
        put_rows(4, 1, rows);
        for (size_t i = 0; i < 4; i++) {
            slice.y[i] *= factors[k];
            slice.x[0][i] *= factors[k];
        }
        struct plot_slice s = fit_line();
        char *text = drawn(&s);
        assert_int_equal(dots(text), 4);
        assert_null(strstr(text, "inf"));
        assert_null(strstr(text, "nan"));
        free(text);
    }
}

static void values_that_are_not_finite_are_left_out(void **state) {
    (void)state;
    const double rows[] = {1, 1, NAN, 2, 3, INFINITY, 4, 4};
    put_rows(4, 1, rows);
    struct plot_slice s = fit_line();
    char *text = drawn(&s);
    assert_int_equal(dots(text), 2);
    assert_non_null(strstr(text, "parse_error"));
    free(text);
}

static void hostile_names_stay_text(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    const char *const hostile[] = {"</text><script>alert(\"1\")</script>",
                                   "a & b < c > d \"e\" 'f'",
                                   "\xff\xfe\xc0\xaf\xed\xa0\x80\xf8",
                                   "tab\tnewline\nbell\a\x7f\xc2\x85",
                                   "%s%n%99999d",
                                   "\xf0\x9f\x90\xa7 \xe4\xbc\x81\xe9\xb9\x85 \xce\xb1"};
    for (size_t k = 0; k < sizeof hostile / sizeof *hostile; k++) {
        put_rows(5, 1, rows);
        struct plot_slice s = fit_line();
        put_key(hostile[k], hostile[k]);
        s.n_key = 2;
        s.y_name = s.positive = hostile[k];
        s.x_names = &hostile[k];
        char *text = drawn(&s);
        assert_null(strstr(text, "<script"));
        free(text);
    }
}

static void long_names_are_cut_in_their_middle(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    static char name[100001];
    memset(name, 'x', sizeof name - 1);
    put_rows(5, 1, rows);
    struct plot_slice s = fit_line();
    const char *names[] = {name};
    put_key(name, NULL);
    s.y_name = name;
    s.x_names = names;
    char *text = drawn(&s);
    assert_true(strlen(text) < 10000);
    assert_non_null(strstr(text, "x\xe2\x80\xa6x"));
    assert_non_null(strstr(text, "n = 5"));
    free(text);
}

static void a_file_is_bounded_and_the_same_for_the_same_data(void **state) {
    (void)state;
    enum { MANY = 50021 };
    double *y = calloc(MANY, sizeof *y), *x = calloc(MANY, sizeof *x);
    assert_true(y && x);
    for (size_t i = 0; i < MANY; i++) {
        x[i] = sin((double)i);
        y[i] = cos((double)i * 1.7);
    }
    const double *columns[] = {x};
    input = (struct linear_input){y, columns, NULL, MANY, 1};
    struct plot_slice s = fit_line();
    char *text = drawn(&s), *again = drawn(&s);
    assert_int_equal(dots(text), PLOT_MAX_POINTS);
    assert_true(strlen(text) < 200000);
    assert_non_null(strstr(text, "4000 of 50021 points drawn"));
    assert_string_equal(text, again);
    free(text);
    free(again);
    free(x);
    free(y);
}

static void a_full_disk_is_reported(void **state) {
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (!full) skip();
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    put_rows(5, 1, rows);
    struct plot_slice s = fit_line();
    assert_false(plot_write_slice(full, &s));
    fclose(full);
}

/* --- the overview --------------------------------------------------------------------------------------- */

static void an_overview_has_a_panel_per_slice(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    struct plot_overview *o = plot_overview_new("all <slices>", NULL, NULL);
    assert_non_null(o);
    for (int k = 0; k < 5; k++) {
        char name[32];
        snprintf(name, sizeof name, "%d", k);
        put_rows(k == 3 ? 0 : 5, 1, rows);
        struct plot_slice s = fit_line();
        put_key(name, NULL);
        add_to(o, &s);
    }
    assert_int_equal(plot_overview_pages(o), 1);
    char *text = drawn_overview(o, 0);
    assert_non_null(strstr(text, "all &lt;slices&gt;"));
    assert_int_equal(texts(text, "5 slices"), 1);
    for (int k = 0; k < 5; k++) {
        char title[64];
        snprintf(title, sizeof title, "slice = %d", k);
        assert_int_equal(texts(text, title), 1);
        snprintf(title, sizeof title, "<title>slice = %d</title>", k);
        assert_int_equal(occurrences(text, title), 1);
    }
    assert_int_equal(dots(text), 20);
    assert_int_equal(occurrences(text, "fill-opacity"), 4);
    assert_int_equal(texts(text, "too_few_rows"), 1);
    assert_null(strstr(text, "page"));
    free(text);
    plot_overview_free(o);
}

/* 250 slices, the last first: three pages, in the order of the keys, whose panels have the same axes. */
static void many_slices_are_several_pages_in_the_order_of_their_keys(void **state) {
    (void)state;
    double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    bool text_keys[] = {false};
    const struct slice_kinds kinds = {text_keys, 1};
    struct plot_overview *o = plot_overview_new("many", &kinds, NULL);
    assert_non_null(o);
    for (int k = 250; k > 0; k--) {
        char name[32];
        snprintf(name, sizeof name, "%d", k);
        rows[0] = k == 250 ? 400 : 4;
        put_rows(5, 1, rows);
        struct plot_slice s = fit_line();
        put_key(name, NULL);
        add_to(o, &s);
    }
    assert_int_equal(plot_overview_pages(o), 3);
    static const char *const says[] = {"slices 1 to 100 of 250  \xc2\xb7  page 1 of 3",
                                       "slices 101 to 200 of 250  \xc2\xb7  page 2 of 3",
                                       "slices 201 to 250 of 250  \xc2\xb7  page 3 of 3"};
    for (size_t page = 0, k = 1; page < 3; page++) {
        char *text = drawn_overview(o, page), *at = text;
        assert_int_equal(texts(text, says[page]), 1);
        for (; k <= (page + 1) * PLOT_PAGE_PANELS && k <= 250; k++) {
            char title[64];
            snprintf(title, sizeof title, ">slice = %zu</text>", k);
            at = strstr(at, title);
            assert_non_null(at);
        }
        assert_int_equal(occurrences(text, "<g><title>"), page < 2 ? 100 : 50);
        assert_int_equal(dots(text), page < 2 ? 500 : 250);
        assert_true(texts(text, "400") >= 1);
        assert_int_equal(occurrences(text, "href=\"overview.svg\""), page == 1);
        assert_int_equal(occurrences(text, "href=\"overview-2.svg\""), page != 1);
        assert_int_equal(occurrences(text, "href=\"overview-3.svg\""), page == 1);
        free(text);
    }
    plot_overview_free(o);
}

/* What all panels share is said once, above them. */
static void panels_are_called_by_what_tells_them_apart(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    struct plot_overview *o = plot_overview_new("long", NULL, NULL);
    assert_non_null(o);
    for (int k = 0; k < 4; k++) {
        char name[200];
        snprintf(name, sizeof name, "a measurement of the second expedition: run %d", k);
        put_rows(5, 1, rows);
        struct plot_slice s = fit_line();
        put_key(name, "Dream");
        s.n_key = 2;
        add_to(o, &s);
    }
    char *text = drawn_overview(o, 0);
    assert_int_equal(texts(text, "site = Dream"), 1);
    assert_int_equal(texts(text, "panels: slice = a measurement of the second expedition: run \xe2\x80\xa6"),
                     1);
    for (int k = 0; k < 4; k++) {
        char title[200];
        snprintf(title, sizeof title, "\xe2\x80\xa6%d", k);
        assert_int_equal(texts(text, title), 1);
        snprintf(title, sizeof title, "expedition: run %d, site = Dream</title>", k);
        assert_int_equal(occurrences(text, title), 1);
    }
    free(text);
    plot_overview_free(o);
}

static void an_overview_of_nothing_is_still_a_picture(void **state) {
    (void)state;
    struct plot_overview *o = plot_overview_new("none", NULL, NULL);
    assert_non_null(o);
    assert_int_equal(plot_overview_pages(o), 1);
    char *text = drawn_overview(o, 0);
    assert_non_null(strstr(text, "0 slices"));
    free(text);
    plot_overview_free(o);
    plot_overview_free(NULL);
}

static void a_place_without_temporary_files_is_said(void **state) {
    (void)state;
    const double rows[] = {4, 1, 3, 2, 5, 3, 1, 4, 2, 5};
    struct jobs_error error = {0};
    struct plot_overview *o = plot_overview_new("none", NULL, "/nowhere/at/all");
    assert_non_null(o);
    put_rows(5, 1, rows);
    struct plot_slice s = fit_line();
    for (size_t k = 0; k < PLOT_PAGE_PANELS; k++) add_to(o, &s);
    assert_false(plot_overview_add(o, &s, &error));
    assert_non_null(strstr(error.text, "no temporary file can be made in /nowhere/at/all"));
    plot_overview_free(o);
}

/* --- axes ----------------------------------------------------------------------------------------------- */

static void check_axis(double low, double high, int wanted) {
    struct svg_axis a = svg_axis_choose(low, high, wanted);
    char label[SVG_LABEL_SIZE], before[SVG_LABEL_SIZE] = "";
    assert_true(a.low <= low && a.high >= high && a.low < a.high);
    assert_in_range(a.ticks, 1, SVG_MAX_TICKS);
    for (size_t k = 0; k < a.ticks; k++) {
        long double tick = a.first + (long double)k * a.step;
        assert_true(tick >= a.low - a.step * 1e-6L && tick <= a.high + a.step * 1e-6L);
        assert_in_range(svg_axis_label(&a, k, label), 1, 20);
        assert_string_not_equal(label, before);
        strcpy(before, label);
    }
}

static void ticks_are_few_inside_the_range_and_told_apart_by_their_labels(void **state) {
    (void)state;
    static const double ranges[][2] = {
        {0, 1},           {-1, 1},          {172, 231},        {1334009411, 1334009485},
        {5, 5},           {0, 0},           {-3e-9, 2e-9},     {1e15, 1e15 + 4},
        {1e-300, 3e-300}, {-1e308, 1e308},  {0.1, 0.1 + 1e-9}, {99.9, 100.1},
        {-7, 123456},     {5e-324, 1e-323}, {1e12, 3e12},      {-2e7, 2e7}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        for (int wanted = 2; wanted <= 7; wanted++) check_axis(ranges[i][0], ranges[i][1], wanted);
    }
}

/* Below a narrow panel, and beside a neighbour that has the same labels. */
static void labels_do_not_touch(void **state) {
    (void)state;
    static const double ranges[][2] = {
        {0, 1},           {-1, 1},      {172, 231}, {1334009411, 1334009485}, {0.1, 0.1 + 1e-9}, {-7, 123456},
        {1e15, 1e15 + 4}, {1000, 6000}, {-2e7, 2e7}};
    const double width = 210, gap = 12;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        struct svg_frame f = {
            0, 0, width, 100, svg_axis_fit(ranges[i][0], ranges[i][1], 4, width), svg_axis_choose(0, 1, 4)};
        svg_frame_draw(out, &f, true, false);
        f.left += width + gap;
        svg_frame_draw(out, &f, true, false);
        fclose(out);
        double end = -INFINITY, x;
        size_t labels = 0;
        for (const char *at = text; (at = strstr(at, "<text x=\"")); labels++) {
            at += strlen("<text x=\"");
            x = strtod(at, NULL);
            at = strchr(at, '>') + 1;
            size_t length = (size_t)(strchr(at, '<') - at);
            double label = svg_text_width((struct svg_style){.size = 11}, at, length);
            assert_true(x - label / 2 > end);
            end = x + label / 2;
        }
        assert_true(labels >= 2);
        free(text);
    }
}

static void labels_are_round_numbers(void **state) {
    (void)state;
    struct svg_axis a = svg_axis_choose(172, 231, 7);
    char label[SVG_LABEL_SIZE];
    const char *const expected[] = {"170", "180", "190", "200", "210", "220", "230"};
    assert_int_equal(a.ticks, 7);
    for (size_t k = 0; k < 7; k++) {
        svg_axis_label(&a, k, label);
        assert_string_equal(label, expected[k]);
    }
    a = svg_axis_choose(-0.1, 0.1, 4);
    svg_axis_label(&a, a.ticks / 2, label);
    assert_string_equal(label, "0.0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_on_the_line_are_drawn_on_the_line),
        cmocka_unit_test(a_slice_says_its_name_size_and_equation),
        cmocka_unit_test(several_predictors_show_observed_against_fitted),
        cmocka_unit_test(logistic_fits_show_the_probability),
        cmocka_unit_test(logistic_fits_say_which_value_is_1),
        cmocka_unit_test(a_band_ends_where_the_points_do),
        cmocka_unit_test(a_slice_without_estimates_shows_its_points_and_the_reason),
        cmocka_unit_test(dropped_terms_are_named),
        cmocka_unit_test(every_small_or_flat_slice_is_drawn),
        cmocka_unit_test(the_largest_and_smallest_numbers_are_drawn),
        cmocka_unit_test(values_that_are_not_finite_are_left_out),
        cmocka_unit_test(hostile_names_stay_text),
        cmocka_unit_test(long_names_are_cut_in_their_middle),
        cmocka_unit_test(a_file_is_bounded_and_the_same_for_the_same_data),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test(an_overview_has_a_panel_per_slice),
        cmocka_unit_test(many_slices_are_several_pages_in_the_order_of_their_keys),
        cmocka_unit_test(panels_are_called_by_what_tells_them_apart),
        cmocka_unit_test(an_overview_of_nothing_is_still_a_picture),
        cmocka_unit_test(a_place_without_temporary_files_is_said),
        cmocka_unit_test(ticks_are_few_inside_the_range_and_told_apart_by_their_labels),
        cmocka_unit_test(labels_are_round_numbers),
        cmocka_unit_test(labels_do_not_touch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
