/* Statuses' names and the growable working memory of fits. */
#include "workers/jobs/model/model.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "workers/jobs/model/distributions.h"

enum { SCRATCH_ALIGN = 64, QUANTILES = 256 };

struct fit_scratch {
    char *block;
    size_t size, used;
    struct {
        double p, value;
        size_t df; /* 0: empty */
    } quantile[QUANTILES];
};

const struct fit_term fit_term_undefined = {
    .estimate = NAN,
    .std_error = NAN,
    .statistic = NAN,
    .p_value = NAN,
    .log10_p = NAN,
    .conf_low = NAN,
    .conf_high = NAN,
    .se_hc = {NAN, NAN, NAN, NAN},
};

void fit_term_tidy(struct fit_term *t) {
    if (!isfinite(t->estimate)) {
        bool dropped = t->dropped;
        *t = fit_term_undefined;
        t->dropped = dropped;
    }
    if (!isfinite(t->std_error)) t->std_error = t->statistic = t->p_value = t->log10_p = NAN;
    if (isnan(t->std_error) || !isfinite(t->conf_low) || !isfinite(t->conf_high))
        t->conf_low = t->conf_high = NAN;
}

const char *fit_status_name(enum fit_status status) {
    static const char *const names[] = {
        [FIT_OK] = "ok",
        [FIT_SATURATED] = "saturated",
        [FIT_TOO_FEW_ROWS] = "too_few_rows",
        [FIT_RANK_DEFICIENT] = "rank_deficient",
        [FIT_CONSTANT_RESPONSE] = "constant_response",
        [FIT_SEPARATION] = "separation",
        [FIT_NOT_CONVERGED] = "not_converged",
        [FIT_PARSE_ERROR] = "parse_error",
    };
    assert((size_t)status < sizeof names / sizeof *names);
    return names[status];
}

struct fit_scratch *fit_scratch_new(void) {
    return calloc(1, sizeof(struct fit_scratch));
}

void fit_scratch_free(struct fit_scratch *s) {
    if (!s) return;
    free(s->block);
    free(s);
}

size_t fit_scratch_round(size_t bytes) {
    return (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
}

bool fit_scratch_reserve(struct fit_scratch *s, size_t bytes) {
    s->used = 0;
    if (bytes <= s->size) return true;
    /* Half as much again, so that slowly growing slices do not reallocate each time. */
    size_t size = fit_scratch_round(bytes + bytes / 2);
    if (size < bytes) return false;
    free(s->block);
    s->block = aligned_alloc(SCRATCH_ALIGN, size);
    s->size = s->block ? size : 0;
    return s->block != NULL;
}

void *fit_scratch_take(struct fit_scratch *s, size_t bytes) {
    size_t rounded = fit_scratch_round(bytes);
    assert(rounded <= s->size - s->used);
    void *piece = s->block + s->used;
    s->used += rounded;
    return piece;
}

double fit_student_quantile(struct fit_scratch *s, double p, size_t df) {
    size_t slot = df % QUANTILES;
    if (s->quantile[slot].df != df || s->quantile[slot].p != p) {
        s->quantile[slot].value = student_quantile(p, (double)df);
        s->quantile[slot].p = p;
        s->quantile[slot].df = df;
    }
    return s->quantile[slot].value;
}
