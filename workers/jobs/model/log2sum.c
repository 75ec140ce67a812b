/* Rows are expanded to (patient, gene, value), sorted by patient and gene with two counting sorts, and each
 * group's values are sorted before they are added.
 */
#include "workers/jobs/model/log2sum.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_E 1.442695040888963407359924681001892137L

/* ---- the map ----------------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorts each transcript's genes, drops repeats, and closes the gaps. */
static void map_tidy(struct log2sum_map *map) {
    size_t kept = 0, from = 0;
    for (size_t t = 0; t < map->n_transcripts; t++) {
        size_t to = map->offsets[t + 1], first = kept;
        qsort(map->genes + from, to - from, sizeof *map->genes, compare_ids);
        for (size_t k = from; k < to; k++) {
            if (kept == first || map->genes[kept - 1] != map->genes[k]) map->genes[kept++] = map->genes[k];
        }
        assert(kept <= to);
        from = to;
        map->offsets[t + 1] = kept;
    }
}

bool log2sum_map_build(struct log2sum_map *map, const uint32_t *transcript, const uint32_t *gene,
                       size_t pairs, uint32_t n_transcripts, uint32_t n_genes) {
    *map = (struct log2sum_map){.n_transcripts = n_transcripts, .n_genes = n_genes};
    /* One more than the offsets need: while filling, offsets[t + 1] is where t's next gene goes. */
    map->offsets = calloc((size_t)n_transcripts + 2, sizeof *map->offsets);
    map->genes = calloc(pairs + 1, sizeof *map->genes);
    if (!map->offsets || !map->genes) {
        log2sum_map_free(map);
        return false;
    }
    for (size_t i = 0; i < pairs; i++) {
        assert(transcript[i] < n_transcripts && gene[i] < n_genes);
        map->offsets[(size_t)transcript[i] + 2]++;
    }
    for (size_t t = 0; t < n_transcripts; t++) map->offsets[t + 2] += map->offsets[t + 1];
    for (size_t i = 0; i < pairs; i++) map->genes[map->offsets[(size_t)transcript[i] + 1]++] = gene[i];
    assert(map->offsets[n_transcripts] == pairs);
    map_tidy(map);
    return true;
}

void log2sum_map_free(struct log2sum_map *map) {
    free(map->offsets);
    free(map->genes);
    *map = (struct log2sum_map){0};
}

/* ---- the sums ---------------------------------------------------------------------------------------- */

struct value {
    uint32_t patient, gene;
    double tpm;
};

struct sorter {
    struct value *values, *other; /* two halves of the counting sort */
    size_t *start;
    size_t count;
};

static bool bad_tpm(double tpm) {
    return tpm < 0 || isinf(tpm);
}

/* Counts what will be left out and how many values there will be. */
static enum log2sum_status survey(const struct log2sum_map *map, const struct log2sum_input *in,
                                  bool *unmapped, struct log2sum_result *result, size_t *count) {
    *count = 0;
    for (size_t i = 0; i < in->rows; i++) {
        uint32_t t = in->transcript[i];
        if (bad_tpm(in->tpm[i])) {
            result->bad_row = i;
            return LOG2SUM_BAD_TPM;
        }
        assert(t < map->n_transcripts && in->patient[i] < in->n_patients);
        size_t genes = map->offsets[t + 1] - map->offsets[t];
        *count += genes;
        result->missing_rows += isnan(in->tpm[i]) ? 1 : 0;
        if (genes > 0) continue;
        result->unmapped_rows++;
        result->unmapped_transcripts += !unmapped[t];
        unmapped[t] = true;
    }
    return LOG2SUM_OK;
}

static void expand(const struct log2sum_map *map, const struct log2sum_input *in, struct value *to,
                   const struct value *end) {
    for (size_t i = 0; i < in->rows; i++) {
        uint32_t t = in->transcript[i];
        for (size_t k = map->offsets[t]; k < map->offsets[t + 1]; k++) {
            *to++ = (struct value){in->patient[i], map->genes[k], in->tpm[i]};
        }
    }
    assert(to == end);
}

static uint32_t key_of(const struct value *v, bool by_patient) {
    return by_patient ? v->patient : v->gene;
}

/* One stable counting sort, from s->values to s->other, which then change places. */
static void sort_by(struct sorter *s, bool by_patient, uint32_t keys) {
    memset(s->start, 0, ((size_t)keys + 1) * sizeof *s->start);
    for (size_t i = 0; i < s->count; i++) s->start[(size_t)key_of(&s->values[i], by_patient) + 1]++;
    for (size_t k = 0; k < keys; k++) s->start[k + 1] += s->start[k];
    for (size_t i = 0; i < s->count; i++) {
        s->other[s->start[key_of(&s->values[i], by_patient)]++] = s->values[i];
    }
    assert(keys == 0 || s->start[keys - 1] == s->count);
    struct value *sorted = s->other;
    s->other = s->values;
    s->values = sorted;
}

/* Missing values last. */
static int compare_tpm(const void *a, const void *b) {
    double x = ((const struct value *)a)->tpm, y = ((const struct value *)b)->tpm;
    if (isnan(x) || isnan(y)) return (isnan(x) ? 1 : 0) - (isnan(y) ? 1 : 0);
    return (x > y) - (x < y);
}

/* log2(sum + 1) of one patient's values for one gene. */
static double log2_of_group(struct value *values, size_t count, bool null_as_zero) {
    long double sum = 0;
    size_t present = 0;
    if (count > 1) qsort(values, count, sizeof *values, compare_tpm);
    for (; present < count && !isnan(values[present].tpm); present++) sum += values[present].tpm;
    if (present == 0) return null_as_zero ? 0 : (double)NAN;
    return (double)(log1pl(sum) * LOG2_E);
}

/* The order of the output. */
static bool comes_before(const struct value *a, const struct value *b) {
    return a->patient != b->patient ? a->patient < b->patient : a->gene < b->gene;
}

static bool sum_groups(struct sorter *s, bool null_as_zero, struct log2sum_result *result) {
    size_t groups = 0;
    const struct value *v = s->values;
    for (size_t i = 0; i < s->count; i++) {
        groups += i == 0 || v[i].patient != v[i - 1].patient || v[i].gene != v[i - 1].gene;
    }
    result->rows = malloc((groups + 1) * sizeof *result->rows);
    if (!result->rows) return false;
    for (size_t i = 0, end; i < s->count; i = end) {
        for (end = i + 1; end < s->count && v[end].patient == v[i].patient && v[end].gene == v[i].gene;)
            end++;
        assert(i == 0 || comes_before(&v[i - 1], &v[i]));
        double log2_tpm = log2_of_group(s->values + i, end - i, null_as_zero);
        result->rows[result->count++] = (struct log2sum_row){v[i].patient, v[i].gene, log2_tpm};
    }
    assert(result->count == groups);
    return true;
}

static enum log2sum_status sort_and_sum(const struct log2sum_map *map, const struct log2sum_input *in,
                                        size_t count, struct log2sum_result *result) {
    uint32_t keys = in->n_patients > map->n_genes ? in->n_patients : map->n_genes;
    struct sorter s = {.count = count};
    s.values = malloc((count + 1) * sizeof *s.values);
    s.other = malloc((count + 1) * sizeof *s.other);
    s.start = malloc(((size_t)keys + 1) * sizeof *s.start);
    bool done = s.values && s.other && s.start;
    if (done) {
        expand(map, in, s.values, s.values + count);
        sort_by(&s, false, map->n_genes);
        sort_by(&s, true, in->n_patients);
        done = sum_groups(&s, in->null_as_zero, result);
    }
    free(s.values);
    free(s.other);
    free(s.start);
    return done ? LOG2SUM_OK : LOG2SUM_NO_MEMORY;
}

enum log2sum_status log2sum_run(const struct log2sum_map *map, const struct log2sum_input *input,
                                struct log2sum_result *result) {
    size_t count;
    *result = (struct log2sum_result){0};
    bool *unmapped = calloc((size_t)map->n_transcripts + 1, sizeof *unmapped);
    if (!unmapped) return LOG2SUM_NO_MEMORY;
    enum log2sum_status status = survey(map, input, unmapped, result, &count);
    free(unmapped);
    if (status != LOG2SUM_OK) return status;
    return sort_and_sum(map, input, count, result);
}

void log2sum_free(struct log2sum_result *result) {
    free(result->rows);
    *result = (struct log2sum_result){0};
}
