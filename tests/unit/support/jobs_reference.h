/* Reference tables for the tests of the jobs lane: small CSV files without quotes, from the folder named by
 * ROOKERY_SHARED or from ../shared. Where that folder is absent, the tests that need it are skipped.
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_JOBS_REFERENCE_H
#define ROOKERY_TESTS_UNIT_SUPPORT_JOBS_REFERENCE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct reference {
    char *text;
    char **cells; /* rows x columns, the header first */
    size_t rows, columns;
};

static inline void reference_path(char out[static 512], const char *name) {
    const char *shared = getenv("ROOKERY_SHARED");
    struct stat info;
    snprintf(out, 512, "%s/data", shared ? shared : "../shared");
    if (stat(out, &info) != 0) skip();
    snprintf(out, 512, "%s/data/%s", shared ? shared : "../shared", name);
}

static inline char *reference_slurp(const char *name) {
    char path[512];
    reference_path(path, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    size_t length = fread(text, 1, size - 1, f);
    assert_true(length < size - 1);
    fclose(f);
    text[length] = '\0';
    return text;
}

static inline struct reference reference_open(const char *name) {
    struct reference r = {.text = reference_slurp(name), .columns = 1};
    size_t count = 0, lines = 0;
    for (char *s = r.text; *s; s++) lines += *s == '\n';
    for (char *s = r.text; *s && *s != '\n'; s++) r.columns += *s == ',';
    r.cells = calloc((lines + 1) * r.columns, sizeof *r.cells);
    assert_non_null(r.cells);
    for (char *line = r.text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        for (char *cell = line, *next; cell; cell = next) {
            next = strchr(cell, ',');
            if (next) *next++ = '\0';
            assert_true(count < (lines + 1) * r.columns);
            r.cells[count++] = cell;
        }
    }
    assert_int_equal(count % r.columns, 0);
    r.rows = count / r.columns - 1;
    return r;
}

static inline void reference_close(struct reference *r) {
    free(r->text);
    free(r->cells);
}

static inline size_t reference_column(const struct reference *r, const char *name) {
    for (size_t c = 0; c < r->columns; c++) {
        if (strcmp(r->cells[c], name) == 0) return c;
    }
    fail_msg("no column %s", name);
    return 0;
}

static inline const char *reference_text(const struct reference *r, size_t row, const char *column) {
    return r->cells[(row + 1) * r->columns + reference_column(r, column)];
}

/* NAN for NA and for nothing. */
static inline double reference_number(const struct reference *r, size_t row, const char *column) {
    const char *s = reference_text(r, row, column);
    return *s == '\0' || strcmp(s, "NA") == 0 ? (double)NAN : strtod(s, NULL);
}

/* The first row whose column holds the text. */
static inline size_t reference_find(const struct reference *r, const char *column, const char *text) {
    for (size_t i = 0; i < r->rows; i++) {
        if (strcmp(reference_text(r, i, column), text) == 0) return i;
    }
    fail_msg("no row with %s = %s", column, text);
    return 0;
}

/* The complete rows of one slice: y and p predictors. */
enum { SLICE_COLUMNS = 12, SLICE_ROWS = 512 };
struct slice {
    double y[SLICE_ROWS], x[SLICE_COLUMNS][SLICE_ROWS];
    const double *columns[SLICE_COLUMNS];
    size_t n, p;
};

/* n rows of y and p predictors. */
static inline void slice_put(struct slice *s, size_t n, size_t p, const double *rows) {
    s->n = n;
    s->p = p;
    for (size_t j = 0; j < p; j++) s->columns[j] = s->x[j];
    for (size_t i = 0; i < n; i++) {
        s->y[i] = rows[i * (p + 1)];
        for (size_t j = 0; j < p; j++) s->x[j][i] = rows[i * (p + 1) + j + 1];
    }
}

/* key NULL takes all rows; names are y first, then the predictors. */
static inline void slice_take(struct slice *s, const struct reference *r, const char *key, const char *value,
                              const char *const *names, size_t p) {
    s->n = 0;
    s->p = p;
    for (size_t j = 0; j < p; j++) s->columns[j] = s->x[j];
    for (size_t i = 0; i < r->rows; i++) {
        double row[SLICE_COLUMNS + 1];
        int complete = 1;
        if (key && strcmp(reference_text(r, i, key), value) != 0) continue;
        for (size_t j = 0; j <= p; j++) {
            row[j] = reference_number(r, i, names[j]);
            complete &= !isnan(row[j]);
        }
        if (!complete) continue;
        assert_true(s->n < SLICE_ROWS);
        s->y[s->n] = row[0];
        for (size_t j = 0; j < p; j++) s->x[j][s->n] = row[j + 1];
        s->n++;
    }
}

/* Digits that agree: -log10 of the relative error (of the absolute error where the reference is 0), at most
 * 15. */
static inline double digits_of(double value, double reference) {
    double error = reference == 0 ? fabs(value) : fabs(value - reference) / fabs(reference);
    if (isnan(error)) return 0;
    return error <= 1e-15 ? 15 : -log10(error);
}

#define assert_close(value, reference, relative)                                                             \
    assert_close_at((value), (reference), (relative), #value, __FILE__, __LINE__)
static inline void assert_close_at(double value, double reference, double relative, const char *what,
                                   const char *file, int line) {
    if (isnan(reference) && isnan(value)) return;
    if (fabs(value - reference) <= relative * fmax(fabs(reference), 1e-300)) return;
    print_error("%s is %.17g, not %.17g\n", what, value, reference);
    _fail(file, line);
}

#endif
