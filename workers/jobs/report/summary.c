/* summary: see summary.h. */
#include "workers/jobs/report/summary.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void summary_add(struct summary_counts *counts, const char *name, uint64_t n) {
    size_t at = 0;
    if (n == 0) return;
    while (at < counts->n && strcmp(counts->count[at].name, name) != 0) at++;
    if (at == SUMMARY_COUNTS) at--;
    if (at == counts->n) counts->count[counts->n++].name = name;
    assert(at < counts->n && counts->n <= SUMMARY_COUNTS);
    counts->count[at].n += n;
}

static void put_number(FILE *out, uint64_t n, const char *noun) {
    fprintf(out, "%" PRIu64 " %s%s", n, noun, n == 1 ? "" : "s");
}

static uint64_t sum_of(const struct summary_counts *counts) {
    uint64_t sum = 0;
    for (size_t i = 0; i < counts->n; i++) sum += counts->count[i].n;
    return sum;
}

/* " (knn 11, mean of the column 1)" */
static void put_filled(FILE *out, const struct summary_counts *filled) {
    const char *before = " (";
    for (size_t i = 0; i < filled->n; i++) {
        if (!*filled->count[i].name) continue;
        fprintf(out, "%s%s %" PRIu64, before, filled->count[i].name, filled->count[i].n);
        before = ", ";
    }
    if (*before == ',') fputc(')', out);
}

/* "3 slices: 2 ok, 1 saturated" */
static void put_statuses(FILE *out, const struct summary *s) {
    put_number(out, s->slices, "slice");
    for (size_t i = 0; i < s->statuses.n; i++) {
        fprintf(out, "%s %" PRIu64 " %s", i ? "," : ":", s->statuses.count[i].n, s->statuses.count[i].name);
    }
}

void summary_write(const struct summary *s, FILE *out) {
    if (s->tables) {
        put_number(out, s->tables, "table");
        fputs(" of ", out);
    }
    put_number(out, s->rows, "row");
    fprintf(out, " read, %" PRIu64 " dropped", s->dropped);
    for (size_t i = 0; i < s->more.n; i++) {
        fprintf(out, ", %" PRIu64 " %s", s->more.count[i].n, s->more.count[i].name);
    }
    if (s->fills) {
        fputs(", ", out);
        put_number(out, sum_of(&s->filled), "cell");
        fputs(" filled", out);
        put_filled(out, &s->filled);
    }
    if (s->knows_left) fprintf(out, ", %" PRIu64 " left missing", s->left);
    if (*s->results) fprintf(out, "; %s", s->results);
    if (s->statuses.n) {
        fputs("; ", out);
        put_statuses(out, s);
    }
    fputc('\n', out);
}
