/* See latency.h. Below 64 us every microsecond has its bucket; above, each doubling has 64 more. */
#include "latency.h"

#include <math.h>

static int bucket_of(int64_t us) {
    if (us < LATENCY_STEPS) return us < 0 ? 0 : (int)us;
    int doubling = 63 - __builtin_clzll((unsigned long long)us) - 6;
    int bucket = LATENCY_STEPS * (doubling + 1) + (int)((us >> doubling) - LATENCY_STEPS);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The largest latency of a bucket. */
static int64_t end_of(int bucket) {
    if (bucket < LATENCY_STEPS) return bucket;
    int doubling = bucket / LATENCY_STEPS - 1;
    int64_t step = bucket % LATENCY_STEPS + LATENCY_STEPS;
    return ((step + 1) << doubling) - 1;
}

void latency_add(struct latency *l, int64_t us) {
    l->count[bucket_of(us)]++;
    l->n++;
    if (us > l->max_us) l->max_us = us;
}

int64_t latency_percentile(const struct latency *l, double p) {
    uint64_t wanted = (uint64_t)ceil(p * (double)l->n), seen = 0;
    for (int i = 0; i < LATENCY_BUCKETS && l->n > 0; i++) {
        seen += l->count[i];
        if (seen >= wanted && seen > 0) return end_of(i) < l->max_us ? end_of(i) : l->max_us;
    }
    return l->max_us;
}
