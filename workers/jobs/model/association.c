/* Counting carriers: rows are sorted by variant (counting sort). Within a variant a patient is counted at the first
 * occurrence, which a stamp per patient and status shows. The time is linear in rows and patients. */
#include "workers/jobs/model/association.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide; /* thousandths of a difference of fractions of 32-bit counts */

struct counting {
    const struct association_input *in;
    size_t *start;   /* n_variants + 1: where a variant's rows begin in order */
    size_t *order;   /* row numbers by variant; those without one are not in it */
    uint32_t *stamp; /* per patient and status: 1 + the last variant seen */
    uint32_t denominator[2];
};

static bool known(const struct association_input *in, size_t row) {
    return in->status[row] == ASSOCIATION_HEALTHY || in->status[row] == ASSOCIATION_DISEASED;
}

static bool carries(const struct association_input *in, size_t row) {
    return known(in, row) && in->variant[row] != ASSOCIATION_NO_VARIANT;
}

static void counting_free(struct counting *c) {
    free(c->start);
    free(c->order);
    free(c->stamp);
}

static bool counting_begin(struct counting *c, const struct association_input *in) {
    *c = (struct counting){.in = in};
    c->start = calloc((size_t)in->n_variants + 2, sizeof *c->start);
    c->order = calloc(in->rows + 1, sizeof *c->order);
    c->stamp = calloc(2 * (size_t)in->n_patients + 1, sizeof *c->stamp);
    if (c->start && c->order && c->stamp) return true;
    counting_free(c);
    return false;
}

static uint32_t *stamp_of(struct counting *c, size_t row) {
    assert(c->in->patient[row] < c->in->n_patients);
    return &c->stamp[2 * (size_t)c->in->patient[row] + c->in->status[row]];
}

/* Distinct patients of each status, with or without a variant. Clears the stamps behind it. */
static void count_denominators(struct counting *c) {
    for (size_t i = 0; i < c->in->rows; i++) {
        if (!known(c->in, i) || *stamp_of(c, i)) continue;
        *stamp_of(c, i) = 1;
        c->denominator[c->in->status[i]]++;
    }
    memset(c->stamp, 0, 2 * (size_t)c->in->n_patients * sizeof *c->stamp);
}

static void sort_by_variant(struct counting *c) {
    const struct association_input *in = c->in;
    /* start[v + 2] counts v; after summing start[v + 1] is where v goes next, and so ends as v's end. */
    for (size_t i = 0; i < in->rows; i++) {
        if (!carries(in, i)) continue;
        assert(in->variant[i] < in->n_variants);
        c->start[(size_t)in->variant[i] + 2]++;
    }
    for (size_t v = 0; v < in->n_variants; v++) c->start[v + 2] += c->start[v + 1];
    for (size_t i = 0; i < in->rows; i++) {
        if (carries(in, i)) c->order[c->start[(size_t)in->variant[i] + 1]++] = i;
    }
}

static void count_carriers(struct counting *c, uint32_t variant, uint32_t carriers[2]) {
    assert(c->start[variant] <= c->start[variant + 1] && c->start[variant + 1] <= c->in->rows);
    carriers[0] = carriers[1] = 0;
    for (size_t k = c->start[variant]; k < c->start[variant + 1]; k++) {
        uint32_t *stamp = stamp_of(c, c->order[k]);
        if (*stamp == variant + 1) continue;
        *stamp = variant + 1;
        carriers[c->in->status[c->order[k]]]++;
    }
}

/* numerator / denominator in thousandths, half up. */
static int32_t milli(wide numerator, wide denominator) {
    assert(numerator <= denominator && denominator > 0);
    return (int32_t)((2000 * numerator + denominator) / (2 * denominator));
}

/* The counts that frequencies are made of: 0 for a side with too few carriers. */
struct sides {
    uint64_t diseased, healthy;         /* carriers */
    uint64_t all_diseased, all_healthy; /* at least 1, so that an empty side has frequency 0 */
};

static struct sides sides_of(const struct association_row *row, const struct association_result *result,
                             uint32_t min_patients) {
    return (struct sides){
        .diseased = row->diseased_carriers < min_patients ? 0 : row->diseased_carriers,
        .healthy = row->healthy_carriers < min_patients ? 0 : row->healthy_carriers,
        .all_diseased = result->diseased ? result->diseased : 1,
        .all_healthy = result->healthy ? result->healthy : 1,
    };
}

static void fill_row(struct association_row *row, struct sides s) {
    uint64_t left = s.diseased * s.all_healthy, right = s.healthy * s.all_diseased;
    wide whole = (wide)s.all_diseased * s.all_healthy;
    uint64_t apart = left > right ? left - right : right - left;
    row->diseased_frequency = (double)s.diseased / (double)s.all_diseased;
    row->healthy_frequency = (double)s.healthy / (double)s.all_healthy;
    row->frequency_difference = (double)apart / (double)whole;
    row->diseased_milli = milli(s.diseased, s.all_diseased);
    row->healthy_milli = milli(s.healthy, s.all_healthy);
    row->difference_milli = milli(apart, whole);
    if (left < right) {
        row->frequency_difference = -row->frequency_difference;
        row->difference_milli = -row->difference_milli;
    }
}

/* ---- ranking ----------------------------------------------------------------------------------------- */

/* What orders rows: the difference over the denominators' product, which all share, is an integer. */
struct ranked {
    uint64_t apart;
    struct association_row row;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->apart != y->apart) return x->apart > y->apart ? -1 : 1;
    return (x->row.variant > y->row.variant) - (x->row.variant < y->row.variant);
}

static size_t rank_variants(struct counting *c, const struct association_result *result,
                            uint32_t min_patients, struct ranked *ranked) {
    size_t count = 0;
    for (uint32_t v = 0; v < c->in->n_variants; v++) {
        uint32_t carriers[2];
        count_carriers(c, v, carriers);
        struct association_row row = {.variant = v,
                                      .diseased_carriers = carriers[ASSOCIATION_DISEASED],
                                      .healthy_carriers = carriers[ASSOCIATION_HEALTHY]};
        struct sides s = sides_of(&row, result, min_patients);
        if (s.diseased + s.healthy == 0) continue;
        uint64_t left = s.diseased * s.all_healthy, right = s.healthy * s.all_diseased;
        fill_row(&row, s);
        ranked[count++] = (struct ranked){left > right ? left - right : right - left, row};
    }
    qsort(ranked, count, sizeof *ranked, compare_ranked);
    return count;
}

static bool keep_top(struct association_result *result, struct ranked *ranked, size_t count,
                     double confidence) {
    if (count == 0) return true;
    result->rows = malloc(count * sizeof *result->rows);
    if (!result->rows) return false;
    result->count = count;
    for (size_t k = 0; k < count; k++) {
        struct association_row *row = &result->rows[k];
        *row = ranked[k].row;
        assert(row->diseased_carriers <= result->diseased && row->healthy_carriers <= result->healthy);
        assert(k == 0 || ranked[k - 1].apart >= ranked[k].apart);
        row->fisher =
            fisher_exact(row->diseased_carriers, result->diseased - row->diseased_carriers,
                         row->healthy_carriers, result->healthy - row->healthy_carriers, confidence);
    }
    return true;
}

bool association_run(const struct association_input *input, const struct association_options *options,
                     struct association_result *result) {
    struct association_options o = options ? *options : (struct association_options){0};
    if (o.min_patients == 0) o.min_patients = ASSOCIATION_MIN_PATIENTS;
    if (o.top == 0) o.top = ASSOCIATION_TOP;
    if (o.confidence == 0) o.confidence = 0.95;
    *result = (struct association_result){0};
    struct counting c;
    if (!counting_begin(&c, input)) return false;
    count_denominators(&c);
    result->diseased = c.denominator[ASSOCIATION_DISEASED];
    result->healthy = c.denominator[ASSOCIATION_HEALTHY];
    sort_by_variant(&c);
    struct ranked *ranked = malloc(((size_t)input->n_variants + 1) * sizeof *ranked);
    bool done = ranked != NULL;
    if (done) {
        size_t count = rank_variants(&c, result, o.min_patients, ranked);
        done = keep_top(result, ranked, count < o.top ? count : o.top, o.confidence);
    }
    free(ranked);
    counting_free(&c);
    if (!done) *result = (struct association_result){0};
    return done;
}

void association_free(struct association_result *result) {
    free(result->rows);
    *result = (struct association_result){0};
}

size_t association_format_milli(char out[static 16], int32_t milli_value) {
    uint32_t size = milli_value < 0 ? 0u - (uint32_t)milli_value : (uint32_t)milli_value;
    int length = snprintf(out, 16, "%s%u.%03u", milli_value < 0 ? "-" : "", size / 1000, size % 1000);
    return (size_t)length;
}
